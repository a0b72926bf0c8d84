//! Visiting all live blocks, as a leak report or a heap profile does: ours reads the pages' masks, mimalloc's
//! `mi_heap_visit_blocks` rebuilds such a mask from each page's free list. Part of the blocks was freed at random. Invariant:
//! both sides hand every live block's address to the same visitor.
#![allow(unsafe_code)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use bucketmask_alloc::BucketAlloc;

use crate::installed::Choice;
use crate::peer::Peer;
use crate::workload::block::Block;
use crate::workload::{Ran, Scale};

/// Bytes a block.
const SIZE: usize = 64;
/// At least so long is walked.
const LEAST: Duration = Duration::from_millis(60);

/// What a walk found: blocks, and the sum of their addresses, for which each must be touched by the visitor.
#[derive(Clone, Copy, Default)]
struct Found {
    blocks: u64,
    sum: usize,
}

impl Found {
    #[inline(always)]
    fn visit(&mut self, address: usize) {
        self.blocks += 1;
        self.sum = self.sum.wrapping_add(address);
    }
}

/// Times walks over a heap of which `percent` is live. An operation is one live block visited.
pub(super) fn run<A: Peer>(allocator: A, scale: Scale, percent: u32) -> Ran {
    let count = scale.pick(1_000_000_usize, 200_000, 2000);
    let mut rng = fastrand::Rng::with_seed(u64::from(percent));
    let mut blocks: Vec<Option<Block<A>>> = (0..count).map(|_| Some(Block::new(allocator, SIZE))).collect();
    for place in &mut blocks {
        if rng.u32(0..100) >= percent {
            *place = None;
        }
    }
    let live = blocks.iter().flatten().count() as u64;
    let walk: fn() -> Found = match A::CHOICE {
        Choice::Bucketmask => by_mask,
        _ => by_visit_blocks,
    };
    // The harness and the runtime have a few blocks of their own.
    let found = walk();
    assert!((live..live + 2000).contains(&found.blocks), "{} found of {live}", found.blocks);
    let start = Instant::now();
    let mut walks = 0;
    while start.elapsed() < LEAST || walks < 3 {
        black_box(walk());
        walks += 1;
    }
    let nanoseconds = start.elapsed().as_nanos() as f64 / f64::from(walks);
    Ran { operations: live, nanoseconds, checksum: live, settled: None }
}

#[inline(never)]
fn by_mask() -> Found {
    let mut found = Found::default();
    BucketAlloc::new().for_each_page(|page| page.live_addresses().for_each(|address| found.visit(address)));
    found
}

unsafe extern "C" {
    /// mimalloc v3: the heap that all plain calls allocate from.
    fn mi_heap_main() -> *mut libmimalloc_sys::mi_heap_t;
}

#[inline(never)]
fn by_visit_blocks() -> Found {
    unsafe extern "C" fn visitor(
        _heap: *const libmimalloc_sys::mi_heap_t,
        _area: *const libmimalloc_sys::mi_heap_area_t,
        block: *mut libc::c_void,
        _size: usize,
        found: *mut libc::c_void,
    ) -> bool {
        // Once an area without a block, then its blocks.
        if !block.is_null() {
            // SAFETY: the `Found` below, which nobody else uses meanwhile.
            unsafe { (*found.cast::<Found>()).visit(block as usize) };
        }
        true
    }
    let mut found = Found::default();
    // SAFETY: no other thread allocates while this one walks; the visitor gets `found` and does not allocate.
    unsafe {
        libmimalloc_sys::mi_heap_visit_blocks(mi_heap_main(), true, Some(visitor), (&raw mut found).cast());
    }
    found
}
