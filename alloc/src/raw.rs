//! Memory without layouts, as C asks for it: freed by its address alone.
//!
//! For the library under `LD_PRELOAD`, for runtimes, and for whoever else has to serve a C interface. An
//! address leads to its granule's word, that to its page, which names its window, and from there on a block is freed as one with
//! a layout. Blocks of the two kinds are the same blocks, but their requested bytes are told in two
//! ways: here by samples (module `sample`), because free does not know what malloc was asked for.
//!
//! Invariant: no function here panics, unwinds or changes `errno`; what can't be had is a null pointer.
#![allow(unsafe_code)]

use crate::class::{self, ClassIdx};
use crate::fault::{Fault, fatal};
use crate::global;
use crate::granule::Kind;
use crate::heap::{Heap, UNKNOWN};
use crate::large;
use crate::medium;
use crate::purger;
use crate::region::REGION;
use crate::registry::{own_heap, with_heap};
use crate::site;
use crate::trace::recorder;

/// The alignment that every block has, in bytes: enough for any type of C without an attribute.
pub const ALIGN: usize = 16;

/// A block of at least `size` bytes, or null. A request of 0 bytes gets a block of its own too.
///
/// Takes no lock and does no atomic read-modify-write while the thread's window has a slot.
#[inline(always)]
pub fn malloc(size: usize) -> *mut u8 {
    malloc_aligned(size, ALIGN)
}

/// A block of at least `size` bytes at `align`, or null.
///
/// `align` is a power of two; any below 16 is taken for 16.
#[inline(always)]
pub fn malloc_aligned(size: usize, align: usize) -> *mut u8 {
    let block = malloc_unnoted(size, align.max(ALIGN));
    site::made(block);
    block
}

#[inline(always)]
fn malloc_unnoted(size: usize, align: usize) -> *mut u8 {
    let Some(heap) = own_heap() else { return malloc_slow(size, align) };
    if size > class::SMALL || align > ALIGN {
        return malloc_other(heap, size, align);
    }
    let window = heap.small_window(size, ALIGN);
    if window.is_sample_due() {
        return malloc_measured(heap, size, align);
    }
    heap.malloc(window, UNKNOWN)
}

/// As [`malloc`], with all `size` bytes zero.
#[inline]
pub fn malloc_zeroed(size: usize) -> *mut u8 {
    let class = class::class_of(size, ALIGN);
    let block = match (class, own_heap()) {
        (Some(class), Some(heap)) => {
            let window = heap.window(class);
            if window.is_sample_due() {
                window.measure(class, size);
            }
            heap.malloc_zeroed(window, size, UNKNOWN)
        }
        _ => malloc_slow_zeroed(class, size),
    };
    site::made(block);
    block
}

/// Frees a block; null is none.
///
/// A pointer that is no block, or no longer, ends the process with a message where that is noticed, as
/// [`BucketAlloc`](crate::BucketAlloc) says.
///
/// # Safety
/// `block` is null or came from this module or [`BucketAlloc`](crate::BucketAlloc), was not freed since,
/// and is not used any more.
#[inline(always)]
pub unsafe fn free(block: *mut u8) {
    // SAFETY: by this function's contract.
    unsafe { free_unnoted(block) };
    site::freed(block);
}

/// # Safety
/// As [`free`].
#[inline(always)]
unsafe fn free_unnoted(block: *mut u8) {
    if REGION.offset_of(block as usize).is_none() {
        // SAFETY: by this function's contract.
        return unsafe { free_slow(block) };
    }
    // SAFETY: as above.
    let Some(heap) = own_heap() else { return unsafe { free_slow(block) } };
    // SAFETY: as above.
    unsafe { heap.free(block as usize, UNKNOWN) };
}

/// Bytes that a block may be used for, at least as many as were asked for; 0 for null.
///
/// # Safety
/// As [`free`], but that the block stays in use.
#[inline]
pub unsafe fn usable_size(block: *const u8) -> usize {
    match class_at(block) {
        Some(class) => class.about().slot_size as usize,
        // SAFETY: by this function's contract.
        None => unsafe { usable_elsewhere(block) },
    }
}

/// The block, or another in its place, with at least `size` bytes and what of the old content fits; null
/// leaves the block as it was. Of null it makes a block. The alignment is 16, whatever it was.
///
/// In place within a size class, and where a medium or large block can grow or shrink; copies otherwise.
///
/// # Safety
/// As [`free`]: where the result is not null, the old block is no longer the caller's.
#[inline]
pub unsafe fn realloc(block: *mut u8, size: usize) -> *mut u8 {
    if recorder::is_on() && !block.is_null() {
        // SAFETY: by this function's contract.
        return unsafe { realloc_recorded(block, size) };
    }
    // SAFETY: as above.
    unsafe { resize(block, size) }
}

/// [`realloc`] of a block, recorded as one event.
///
/// # Safety
/// As there.
#[cold]
#[inline(never)]
unsafe fn realloc_recorded(block: *mut u8, size: usize) -> *mut u8 {
    // SAFETY: by this function's contract.
    let before = unsafe { usable_size(block) };
    recorder::resizing(block, before);
    // SAFETY: as above.
    let moved = recorder::quietly(|| unsafe { resize(block, size) });
    let (now, size) = if moved.is_null() { (block, before) } else { (moved, size) };
    recorder::resized(now, size, ALIGN);
    moved
}

/// # Safety
/// As [`realloc`].
#[inline]
unsafe fn resize(block: *mut u8, size: usize) -> *mut u8 {
    let old = class_at(block);
    let new = class::class_of(size, ALIGN);
    if old.is_some() && old == new {
        return block;
    }
    // SAFETY: by this function's contract.
    unsafe { realloc_elsewhere(block, size) }
}

/// Makes no thread of the allocator's own while `is_alone` says that the program has but one; the program's gives
/// unused memory back then, when it allocates. For a library under programs that don't know of it, some of
/// which do what is refused to a process of several threads. A delay set by the environment (`BUCKETMASK_PURGE`) stands.
pub fn stay_alone_while(is_alone: fn() -> bool) {
    purger::stay_alone_while(is_alone);
}

/// The class of the slot at an address, if a page of slots is there: a subtraction, a compare and a load.
#[inline(always)]
fn class_at(block: *const u8) -> Option<ClassIdx> {
    let offset = REGION.offset_of(block as usize)?;
    // SAFETY: the offset is inside the region.
    let entry = unsafe { REGION.entry(offset) };
    if entry.kind() == Kind::Slab { ClassIdx::from_tag(entry.tag()) } else { None }
}

/// Malloc of more than a small block.
#[inline(never)]
fn malloc_other(heap: &Heap, size: usize, align: usize) -> *mut u8 {
    let Some(class) = class::class_of(size, align) else { return malloc_slow(size, align) };
    let window = heap.window(class);
    if window.is_sample_due() {
        window.measure(class, size);
    }
    heap.malloc(window, UNKNOWN)
}

/// Malloc of a block whose size is measured: its window said that it is to be.
#[cold]
#[inline(never)]
fn malloc_measured(heap: &Heap, size: usize, align: usize) -> *mut u8 {
    let Some(class) = class::class_of(size, align) else { return malloc_slow(size, align) };
    let window = heap.window(class);
    window.measure(class, size);
    heap.malloc(window, UNKNOWN)
}

/// Malloc of a thread without a heap yet, or of what no class serves.
#[cold]
#[inline(never)]
fn malloc_slow(size: usize, align: usize) -> *mut u8 {
    let class = class::class_of(size, align);
    if let Some(class) = class {
        with_heap(|heap| heap.window(class).measure(class, size));
    }
    let block = global::malloc_slow(class, size, align, UNKNOWN);
    recorder::made(block, size, align, false);
    block
}

/// As [`malloc_slow`], zeroed.
#[cold]
#[inline(never)]
fn malloc_slow_zeroed(class: Option<ClassIdx>, size: usize) -> *mut u8 {
    if let Some(class) = class {
        with_heap(|heap| heap.window(class).measure(class, size));
    }
    let block = global::malloc_slow_zeroed(class, size, ALIGN, UNKNOWN);
    recorder::made(block, size, ALIGN, true);
    block
}

/// Free of null, of a thread without a heap, or of what is not the region's.
///
/// # Safety
/// As [`free`].
#[cold]
#[inline(never)]
unsafe fn free_slow(block: *mut u8) {
    if block.is_null() {
        return;
    }
    refuse_unknown(block);
    if recorder::is_on() {
        // SAFETY: by this function's contract.
        recorder::freed(block, unsafe { usable_size(block) });
    }
    // SAFETY: as above.
    unsafe { global::free_unrecorded(block, UNKNOWN) };
}

/// # Safety
/// As [`usable_size`].
#[cold]
#[inline(never)]
unsafe fn usable_elsewhere(block: *const u8) -> usize {
    if block.is_null() {
        return 0;
    }
    if let Some(offset) = REGION.offset_of(block as usize) {
        return medium::usable(medium::page_at(offset, block as usize));
    }
    refuse_unknown(block);
    // SAFETY: mimalloc made the block.
    unsafe { large::usable_size(block) }
}

/// Realloc of null, or to where the block isn't.
///
/// # Safety
/// As [`realloc`].
#[inline(never)]
unsafe fn realloc_elsewhere(block: *mut u8, size: usize) -> *mut u8 {
    if block.is_null() {
        return malloc(size);
    }
    // Without a region mimalloc serves every size.
    if class_at(block).is_none() && (class::class_of(size, ALIGN).is_none() || REGION.bytes() == 0) {
        refuse_unknown(block);
        // SAFETY: by this function's contract.
        let resize =
            |heap: &Heap| unsafe { heap.realloc_unclassed(block as usize, UNKNOWN, size, UNKNOWN, ALIGN) };
        match with_heap(resize) {
            Some(moved) if !moved.is_null() => {
                site::made(moved);
                return moved;
            }
            // It has to move, or can't be had.
            _ => {}
        }
    }
    // SAFETY: by this function's contract.
    let old_size = unsafe { usable_size(block) };
    let moved = malloc(size);
    if !moved.is_null() {
        // SAFETY: both blocks hold the smaller size and are distinct; the old one is the caller's.
        unsafe {
            block.copy_to_nonoverlapping(moved, old_size.min(size));
            free(block);
        }
    }
    moved
}

/// Ends the process for an address that is neither the region's nor mimalloc's.
fn refuse_unknown(block: *const u8) {
    if REGION.offset_of(block as usize).is_none() && !large::is_known(block) {
        fatal(Fault::Foreign, block as usize, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::class::{LARGEST, LARGEST_ALIGN};

    const SIZES: [usize; 13] =
        [0, 1, 16, 17, 100, 1024, 4097, LARGEST, LARGEST + 1, 100_000, 1 << 20, 3 << 20, 40 << 20];

    fn filled(size: usize, byte: u8) -> *mut u8 {
        let block = malloc(size);
        assert!(!block.is_null() && block as usize % ALIGN == 0, "{size}");
        // SAFETY: a block of `size` bytes, just made.
        unsafe { block.write_bytes(byte, size) };
        block
    }

    fn starts_with(block: *const u8, byte: u8, len: usize) -> bool {
        // SAFETY: callers give blocks of at least `len` bytes that they filled.
        unsafe { core::slice::from_raw_parts(block, len) }.iter().all(|&found| found == byte)
    }

    #[test]
    fn every_size_is_served_usable_and_freed_by_its_address() {
        for size in SIZES {
            let block = filled(size, 7);
            // SAFETY: the test's own block.
            unsafe {
                assert!(usable_size(block) >= size.max(1), "{size}");
                block.write_bytes(8, usable_size(block));
                free(block);
            }
        }
        // SAFETY: null is no block.
        unsafe {
            free(core::ptr::null_mut());
            assert_eq!(usable_size(core::ptr::null()), 0);
        }
    }

    #[test]
    fn every_alignment_is_met() {
        for align in (0..=24).map(|shift| 1usize << shift) {
            for size in [1, 40, LARGEST_ALIGN, LARGEST, 200_000] {
                let block = malloc_aligned(size, align);
                assert!(!block.is_null() && block as usize % align.max(ALIGN) == 0, "{size} at {align}");
                // SAFETY: the test's own block.
                unsafe {
                    assert!(usable_size(block) >= size, "{size} at {align}");
                    block.write_bytes(1, size);
                    free(block);
                }
            }
        }
    }

    #[test]
    fn zeroed_blocks_are_zero_where_others_lay_before() {
        for size in SIZES {
            for _ in 0..3 {
                let block = malloc_zeroed(size);
                assert!(!block.is_null() && starts_with(block, 0, size), "{size}");
                // SAFETY: the test's own block.
                unsafe {
                    block.write_bytes(0xff, size);
                    free(block);
                }
            }
        }
    }

    #[test]
    fn a_resized_block_keeps_what_fits_from_any_size_to_any_other() {
        for old in SIZES {
            for new in SIZES {
                let block = filled(old, 5);
                // SAFETY: the test's own block.
                let moved = unsafe { realloc(block, new) };
                assert!(!moved.is_null() && starts_with(moved, 5, old.min(new)), "{old} to {new}");
                // SAFETY: as above.
                unsafe {
                    assert!(usable_size(moved) >= new, "{old} to {new}");
                    moved.write_bytes(6, new);
                    free(moved);
                }
            }
        }
    }

    #[test]
    fn what_was_asked_for_is_estimated_from_the_first_request_on() {
        // The thread's first request goes another way than all others.
        // SAFETY: the test's own block.
        unsafe { free(malloc(1)) };
        // A small class and a larger one, of sizes that no other test here asks for.
        for (size, slot) in [(83, 96), (2900, 3072)] {
            let blocks: Vec<*mut u8> = (0..1000).map(|_| filled(size, 1)).collect();
            let report = crate::BucketAlloc.report();
            let classes = report.nodes.iter().flat_map(|node| &node.classes);
            let class = classes.clone().find(|class| class.slot_size == slot).unwrap();
            assert!(class.sampled && class.live >= 1000, "{class:?}");
            assert_eq!(class.requested, class.live * size, "{class:?}");
            // SAFETY: the test's own blocks.
            blocks.into_iter().for_each(|block| unsafe { free(block) });
        }
    }

    #[test]
    fn what_cannot_be_had_is_null_and_leaves_the_block() {
        let huge = isize::MAX as usize;
        assert!(malloc(huge).is_null() && malloc_zeroed(huge).is_null());
        assert!(malloc_aligned(huge, 4096).is_null());
        let block = filled(100, 9);
        // SAFETY: the test's own block.
        unsafe {
            assert!(realloc(block, huge).is_null());
            assert!(starts_with(block, 9, 100));
            free(block);
        }
    }
}
