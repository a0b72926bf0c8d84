//! Medium blocks: zeroed when asked, resized where they are where that can be, content kept, memory of
//! what was freed reused.

use std::alloc::{GlobalAlloc, Layout};

use bucketmask_alloc::{BucketAlloc, PageUse};
use parking_lot::Mutex;

/// What one test frees another would take: one at a time.
static ALONE: Mutex<()> = Mutex::new(());

const GRANULE: usize = 64 * 1024;

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, 8).unwrap()
}

/// A block of `size` bytes, each of them `fill`.
fn filled(size: usize, fill: u8) -> *mut u8 {
    // SAFETY: not of size 0; a block of that size.
    unsafe {
        let block = BucketAlloc.alloc(layout(size));
        assert!(!block.is_null());
        block.write_bytes(fill, size);
        block
    }
}

/// Whether the first `size` bytes are all `fill`.
fn holds(block: *const u8, size: usize, fill: u8) -> bool {
    // SAFETY: callers name blocks of theirs, of at least that size.
    unsafe { std::slice::from_raw_parts(block, size) }.iter().all(|&byte| byte == fill)
}

fn free(block: *mut u8, size: usize) {
    // SAFETY: made with this layout.
    unsafe { BucketAlloc.dealloc(block, layout(size)) };
}

fn resize(block: *mut u8, old: usize, new: usize) -> *mut u8 {
    // SAFETY: made with this layout, and not of size 0 then.
    unsafe { BucketAlloc.realloc(block, layout(old), new) }
}

#[test]
fn a_zeroed_block_is_zero_whatever_lay_there_before() {
    let _alone = ALONE.lock();
    for size in [40_000, GRANULE, 100_000, 500_000, 2 << 20] {
        for _ in 0..20 {
            // Dirty memory in the thread's keeping and in the span, longer and shorter than what follows.
            for other in [size, size / 2 + 20_000, (size + 70_000).min(2 << 20)] {
                free(filled(other, 0xab), other);
            }
            // SAFETY: not of size 0.
            let block = unsafe { BucketAlloc.alloc_zeroed(layout(size)) };
            assert!(holds(block, size, 0), "{size}");
            free(block, size);
        }
    }
}

#[test]
fn what_is_zeroed_after_a_resize_was_counted_as_written() {
    let _alone = ALONE.lock();
    // Written in full, then cut short and freed: the next one must not take the rest for zero.
    let block = filled(5 * GRANULE, 1);
    let block = resize(block, 5 * GRANULE, 3 * GRANULE - 100);
    free(block, 3 * GRANULE - 100);
    for _ in 0..4 {
        // SAFETY: not of size 0.
        let zeroed = unsafe { BucketAlloc.alloc_zeroed(layout(5 * GRANULE)) };
        assert!(holds(zeroed, 5 * GRANULE, 0));
    }
}

#[test]
fn a_block_shrinks_and_grows_where_it_is_when_there_is_room() {
    let _alone = ALONE.lock();
    let block = filled(10 * GRANULE, 7);
    let mut old = 10 * GRANULE;
    for size in [9 * GRANULE + 1, 3 * GRANULE, 40_000, 4 * GRANULE, 10 * GRANULE] {
        let moved = resize(block, old, size);
        old = size;
        assert_eq!(moved, block, "to {size}: nobody else took what lies behind");
        assert!(holds(block, 40_000, 7));
        let pages = BucketAlloc.occupancy();
        let page = pages.iter().find(|page| page.base == block as usize).unwrap();
        assert_eq!((page.usage, page.slot_size, page.live_slots()), (PageUse::Medium, size, 1));
        assert_eq!(page.bytes, size.next_multiple_of(GRANULE));
    }
    free(block, 10 * GRANULE);
}

#[test]
fn a_block_that_can_not_grow_moves_with_its_content() {
    let _alone = ALONE.lock();
    let sizes = [33_000, 70_000, 300_000, 1 << 20, 2 << 20, 5 << 20, 90_000, 1000, 200_000];
    let (mut block, mut size) = (filled(20_000, 3), 20_000);
    for new in sizes {
        let blocker = filled(GRANULE, 9);
        block = resize(block, size, new);
        assert!(holds(block, 1000, 3), "{size} to {new}");
        assert!(holds(block, size.min(new).min(20_000), 3) || size < 20_000, "{size} to {new}");
        size = new;
        assert!(holds(blocker, GRANULE, 9));
        free(blocker, GRANULE);
    }
    free(block, size);
}

#[test]
fn every_alignment_up_to_a_granule_is_met() {
    let _alone = ALONE.lock();
    for align in (0..=16).map(|shift| 1usize << shift) {
        let layout = Layout::from_size_align(50_000, align).unwrap();
        // SAFETY: not of size 0; freed with its layout.
        unsafe {
            let block = BucketAlloc.alloc(layout);
            assert_eq!(block as usize % align.max(GRANULE), 0);
            BucketAlloc.dealloc(block, layout);
        }
    }
}
