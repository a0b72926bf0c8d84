//! The walk over all pages: in order, free of allocation, and right about slots that other threads still
//! have pending.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use bucketmask_alloc::{BucketAlloc, PageUse};
use common::Meeting;
use parking_lot::Mutex;

/// The installed allocator counts what is asked of it; the blocks of these tests come from `BucketAlloc`
/// directly.
struct Counted;

static ASKED: AtomicUsize = AtomicUsize::new(0);

// SAFETY: the system's allocator does the work.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ASKED.fetch_add(1, Ordering::Relaxed);
        // SAFETY: by this function's contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: by this function's contract.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static GLOBAL: Counted = Counted;

/// These tests count pages: one at a time.
static ALONE: Mutex<()> = Mutex::new(());

fn blocks(layout: Layout, count: usize) -> Vec<usize> {
    // SAFETY: not of size 0.
    (0..count).map(|_| unsafe { BucketAlloc.alloc(layout) } as usize).collect()
}

fn free(layout: Layout, blocks: impl IntoIterator<Item = usize>) {
    for block in blocks {
        // SAFETY: of `blocks`, freed once.
        unsafe { BucketAlloc.dealloc(block as *mut u8, layout) };
    }
}

/// Live addresses in pages of a slot size.
fn live(slot_size: usize) -> BTreeSet<usize> {
    let mut live = BTreeSet::new();
    BucketAlloc.for_each_page(|page| {
        if page.usage == PageUse::Slab && page.slot_size == slot_size {
            live.extend(page.live_addresses());
        }
    });
    live
}

fn pages_come_by_address_and_nothing_is_allocated() {
    let _alone = ALONE.lock();
    let layouts = [24, 100, 700, 5000].map(|size| Layout::from_size_align(size, 8).unwrap());
    let held = layouts.map(|layout| blocks(layout, 5000));
    let known: Vec<_> = BucketAlloc.occupancy();
    let (asked, mut place, mut last, mut slots) = (ASKED.load(Ordering::Relaxed), 0, 0, 0);
    BucketAlloc.for_each_page(|page| {
        assert!(page.base > last, "pages come by address");
        assert_eq!((page.base, page.live), (known[place].base, known[place].live));
        assert_eq!(page.live_bits().count_ones(), page.live_slots());
        (place, last, slots) = (place + 1, page.base, slots + page.live_slots());
    });
    assert_eq!(ASKED.load(Ordering::Relaxed), asked, "the walk allocated");
    assert_eq!(place, known.len());
    assert_eq!(slots, 4 * 5000);
    for (layout, blocks) in layouts.into_iter().zip(held) {
        free(layout, blocks);
    }
}

/// Threads free blocks of others and keep still: what is pending in their heaps is free.
fn what_is_pending_in_many_threads_is_free() {
    const THREADS: usize = 20;
    let _alone = ALONE.lock();
    let layout = Layout::new::<[u64; 12]>();
    let held = blocks(layout, 20_000);
    assert_eq!(live(96).len(), held.len());
    let (freed, kept): (Vec<usize>, Vec<usize>) = held.iter().partition(|&block| block / 96 % 7 == 0);
    let meeting = Meeting::default();
    std::thread::scope(|scope| {
        let (freed, meeting) = (&freed, &meeting);
        let threads = (0..THREADS).map(|thread| {
            scope.spawn(move || {
                free(layout, freed.iter().copied().skip(thread).step_by(THREADS));
                meeting.wait(THREADS + 1);
                // Alive, its heap in use, while the masks are read.
                meeting.wait(THREADS + 1);
            })
        });
        let threads: Vec<_> = threads.collect();
        meeting.wait(THREADS + 1);
        assert_eq!(live(96), kept.iter().copied().collect());
        meeting.wait(THREADS + 1);
        for thread in threads {
            thread.join().unwrap();
        }
    });
    assert_eq!(live(96), kept.iter().copied().collect());
    free(layout, kept);
    assert!(live(96).is_empty());
}

fn main() {
    common::run(&[
        ("pages_come_by_address_and_nothing_is_allocated", pages_come_by_address_and_nothing_is_allocated),
        ("what_is_pending_in_many_threads_is_free", what_is_pending_in_many_threads_is_free),
    ]);
}
