//! What `ci/instructions.sh` counts: one pattern of mallocs and frees, by this allocator or by mimalloc, as
//! often as asked. Usage: `fast_path bucketmask|mimalloc|none CASE COUNT`; `none` is the loop around them.
//!
//! Run twice with different counts, the difference is what the calls cost, start and end of the process aside.
//! Invariant: the loops are the same for all, and each call is as a Rust program makes it: by layout.

use std::alloc::{GlobalAlloc, Layout};
use std::hint::black_box;

use bucketmask_alloc::BucketAlloc;

/// mimalloc as its own crate installs it.
struct Mimalloc;

// SAFETY: mimalloc's blocks are disjoint, as large and as aligned as asked for.
unsafe impl GlobalAlloc for Mimalloc {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: any size will do.
        unsafe { libmimalloc_sys::mi_malloc(layout.size()).cast() }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, _layout: Layout) {
        // SAFETY: by this function's contract.
        unsafe { libmimalloc_sys::mi_free(block.cast()) };
    }
}

/// No allocator: hands out one address that nobody uses.
struct Nothing;

// SAFETY: the loops below don't touch the blocks.
unsafe impl GlobalAlloc for Nothing {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        std::ptr::without_provenance_mut(layout.align())
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, _layout: Layout) {
        black_box(block);
    }
}

/// Known when the program is compiled, as for a `Box`.
const KNOWN: Layout = Layout::new::<[u64; 8]>();
/// The smallest class, of whose pages the blocks fill two.
const TINY: Layout = Layout::new::<u64>();
/// Blocks that are live at a time where there are many.
const BATCH: usize = 1000;

fn run(allocator: &impl GlobalAlloc, case: &str, count: usize) {
    // A layout that the compiler does not know, as a `Vec`'s.
    let opaque = Layout::from_size_align(black_box(200), 8).unwrap_or(KNOWN);
    // Sums of blocks, so that none is left out.
    let mut blocks = Vec::with_capacity(count.max(BATCH));
    // SAFETY: layouts are not of size 0, and each block is freed once with its own.
    unsafe {
        match case {
            "pair" => (0..count).for_each(|_| allocator.dealloc(black_box(allocator.alloc(KNOWN)), KNOWN)),
            "pair-opaque" => {
                (0..count).for_each(|_| allocator.dealloc(black_box(allocator.alloc(opaque)), opaque));
            }
            "batch" => {
                for _ in 0..count / BATCH {
                    blocks.extend((0..BATCH).map(|_| allocator.alloc(KNOWN)));
                    blocks.drain(..).for_each(|block| allocator.dealloc(black_box(block), KNOWN));
                }
            }
            "malloc" => blocks.extend((0..count).map(|_| allocator.alloc(KNOWN))),
            "malloc-free" => {
                blocks.extend((0..count).map(|_| allocator.alloc(KNOWN)));
                blocks.drain(..).for_each(|block| allocator.dealloc(black_box(block), KNOWN));
            }
            "replace" => {
                blocks.extend((0..BATCH).map(|_| allocator.alloc(KNOWN)));
                let mut place = 0;
                for _ in 0..count {
                    place = (place + 387) % BATCH;
                    allocator.dealloc(blocks[place], KNOWN);
                    blocks[place] = allocator.alloc(KNOWN);
                }
            }
            "random" => {
                blocks.extend((0..BATCH).map(|_| allocator.alloc(TINY)));
                let mut random = 1u64;
                for _ in 0..count {
                    random = random
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1_442_695_040_888_963_407);
                    let place = (random >> 33) as usize % BATCH;
                    allocator.dealloc(blocks[place], TINY);
                    blocks[place] = allocator.alloc(TINY);
                }
            }
            other => panic!("no such case: {other}"),
        }
    }
    black_box(&blocks);
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [allocator, case, count] = arguments.as_slice() else { panic!("allocator, case and count") };
    let count = count.parse().unwrap();
    match allocator.as_str() {
        "bucketmask" => run(&BucketAlloc, case, count),
        "mimalloc" => run(&Mimalloc, case, count),
        "none" => run(&Nothing, case, count),
        other => panic!("no such allocator: {other}"),
    }
}
