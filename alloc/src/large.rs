//! Large and over-aligned blocks, and everything where the kernel refused a region: mimalloc.
//!
//! Used by heaps only. Invariant: a block is mimalloc's exactly if its address is not the region's.
#![allow(unsafe_code)]

use core::ffi::c_void;

use crate::gate;

/// Whether mimalloc's plain calls align a block of that size enough.
fn is_natural(size: usize, align: usize) -> bool {
    align <= 16 && align <= size
}

/// A block of `size` bytes at `align`, or null.
pub(crate) fn malloc(size: usize, align: usize) -> *mut u8 {
    // SAFETY: any size and any power of two will do; failure is null.
    let block: *mut c_void = gate::pass(|| unsafe {
        if is_natural(size, align) {
            libmimalloc_sys::mi_malloc(size)
        } else {
            libmimalloc_sys::mi_malloc_aligned(size, align)
        }
    });
    block.cast()
}

/// As [`malloc`], zeroed.
pub(crate) fn malloc_zeroed(size: usize, align: usize) -> *mut u8 {
    // SAFETY: as in `malloc`.
    let block: *mut c_void = gate::pass(|| unsafe {
        if is_natural(size, align) {
            libmimalloc_sys::mi_zalloc(size)
        } else {
            libmimalloc_sys::mi_zalloc_aligned(size, align)
        }
    });
    block.cast()
}

/// A block moved or resized; null leaves it as it was.
///
/// # Safety
/// mimalloc made `block`.
pub(crate) unsafe fn realloc(block: *mut u8, size: usize, align: usize) -> *mut u8 {
    // SAFETY: by this function's contract.
    let block: *mut c_void = gate::pass(|| unsafe {
        if is_natural(size, align) {
            libmimalloc_sys::mi_realloc(block.cast(), size)
        } else {
            libmimalloc_sys::mi_realloc_aligned(block.cast(), size, align)
        }
    });
    block.cast()
}

/// Frees a block.
///
/// # Safety
/// mimalloc made `block`, and nobody uses it any more.
pub(crate) unsafe fn free(block: *mut u8) {
    // SAFETY: by this function's contract.
    gate::pass(|| unsafe { libmimalloc_sys::mi_free(block.cast()) });
}

/// Bytes that a block may be used for: at least what was asked for. The same from malloc to free or realloc.
///
/// # Safety
/// mimalloc made `block`.
pub(crate) unsafe fn usable_size(block: *const u8) -> usize {
    // SAFETY: by this function's contract.
    unsafe { libmimalloc_sys::mi_usable_size(block.cast()) }
}

/// Whether mimalloc has memory at this address: for pointers that come without a layout.
pub(crate) fn is_known(block: *const u8) -> bool {
    // SAFETY: any address will do: it is looked up, not followed.
    unsafe { libmimalloc_sys::mi_is_in_heap_region(block.cast()) }
}

/// Introduces the calling thread to mimalloc. Once is enough; more does no harm.
pub(crate) fn meet_thread() {
    // SAFETY: may be called at any time by any thread.
    gate::pass(|| unsafe { libmimalloc_sys::mi_thread_init() });
}

/// Bytes that mimalloc holds, by its own count.
pub(crate) fn committed() -> usize {
    let mut committed = 0;
    let none = core::ptr::null_mut();
    // SAFETY: writes the word that lives here; what is null is not told.
    unsafe { libmimalloc_sys::mi_process_info(none, none, none, none, none, &raw mut committed, none, none) };
    committed
}
