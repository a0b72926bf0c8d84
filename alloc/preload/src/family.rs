//! The functions that give, change and take blocks. Each is its symbol of the C library, so programs,
//! their libraries and the C library itself call these instead of its own.
//!
//! Invariant: `errno` changes only where a function returns null for want of memory (`ENOMEM`) or for an
//! alignment that is none (`EINVAL`); a successful call and every free leave it as it was.
#![allow(unsafe_code)]

use core::ffi::{c_int, c_void};
use core::ptr::null_mut;

use bucketmask_alloc::raw;

use crate::request;

/// A block of `size` bytes, aligned to 16; null and `ENOMEM` if there is none.
#[unsafe(no_mangle)]
pub extern "C" fn malloc(size: usize) -> *mut c_void {
    // The largest sizes fail further down: no pages serve them, and mimalloc refuses them.
    let block = raw::malloc(size);
    if block.is_null() {
        return refuse(libc::ENOMEM);
    }
    block.cast()
}

/// A block of `count` elements of `size` bytes, all zero; null and `ENOMEM` if there is none, or if the
/// product is too large.
#[unsafe(no_mangle)]
pub extern "C" fn calloc(count: usize, size: usize) -> *mut c_void {
    let block = request::array(count, size).map_or(null_mut(), raw::malloc_zeroed);
    if block.is_null() {
        return refuse(libc::ENOMEM);
    }
    block.cast()
}

/// The block with room for `size` bytes, moved if need be; null and `ENOMEM` if there is no memory, and
/// the block stays. Null becomes a block, and 0 bytes free the block and return null.
///
/// # Safety
/// `block` is null or a live block of this family, not used any more if something else is returned.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn realloc(block: *mut c_void, size: usize) -> *mut c_void {
    if size == 0 && !block.is_null() {
        // SAFETY: by this function's contract.
        unsafe { raw::free(block.cast()) };
        return null_mut();
    }
    let Some(size) = request::fitting(size, raw::ALIGN) else { return refuse(libc::ENOMEM) };
    // SAFETY: by this function's contract.
    let moved = unsafe { raw::realloc(block.cast(), size) };
    if moved.is_null() {
        return refuse(libc::ENOMEM);
    }
    moved.cast()
}

/// As [`realloc`], for `count` elements of `size` bytes; null and `ENOMEM` if the product is too large.
///
/// # Safety
/// As [`realloc`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reallocarray(block: *mut c_void, count: usize, size: usize) -> *mut c_void {
    match request::array(count, size) {
        // SAFETY: by this function's contract.
        Some(bytes) => unsafe { realloc(block, bytes) },
        None => refuse(libc::ENOMEM),
    }
}

/// Frees a block; null is none.
///
/// # Safety
/// `block` is null or a live block of this family, not used any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn free(block: *mut c_void) {
    // SAFETY: by this function's contract.
    unsafe { raw::free(block.cast()) };
}

/// [`free`] under its old name.
///
/// # Safety
/// As [`free`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfree(block: *mut c_void) {
    // SAFETY: by this function's contract.
    unsafe { raw::free(block.cast()) };
}

/// [`free`] of a block that malloc, calloc or realloc made with `size` bytes (C23). The address says as much.
///
/// # Safety
/// As [`free`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn free_sized(block: *mut c_void, _size: usize) {
    // SAFETY: by this function's contract.
    unsafe { raw::free(block.cast()) };
}

/// [`free`] of a block that [`aligned_alloc`] made with these arguments (C23).
///
/// # Safety
/// As [`free`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn free_aligned_sized(block: *mut c_void, _align: usize, _size: usize) {
    // SAFETY: by this function's contract.
    unsafe { raw::free(block.cast()) };
}

/// A block of `size` bytes at `align`; null and `EINVAL` unless that is a power of two, null and `ENOMEM` if
/// there is no memory. The size need not be a multiple of it.
#[unsafe(no_mangle)]
pub extern "C" fn aligned_alloc(align: usize, size: usize) -> *mut c_void {
    aligned(request::valid_alignment(align), Some(size))
}

/// A block of `size` bytes at `align` rounded up to a power of two; null and `EINVAL` if that overflows, null
/// and `ENOMEM` if there is no memory.
#[unsafe(no_mangle)]
pub extern "C" fn memalign(align: usize, size: usize) -> *mut c_void {
    aligned(request::rounded_alignment(align), Some(size))
}

/// A block of `size` bytes that begins with an OS page; null and `ENOMEM` if there is none.
#[unsafe(no_mangle)]
pub extern "C" fn valloc(size: usize) -> *mut c_void {
    aligned(Some(request::OS_PAGE), Some(size))
}

/// As [`valloc`], in whole pages, at least one.
#[unsafe(no_mangle)]
pub extern "C" fn pvalloc(size: usize) -> *mut c_void {
    aligned(Some(request::OS_PAGE), request::whole_pages(size))
}

/// Puts a block of `size` bytes at `align` into `place` and returns 0. Otherwise returns `EINVAL` (`align` is no
/// power of two or no multiple of a pointer's size) or `ENOMEM`, and leaves `place` and `errno` as they were.
///
/// # Safety
/// `place` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn posix_memalign(place: *mut *mut c_void, align: usize, size: usize) -> c_int {
    let Some(align) = request::posix_alignment(align) else { return libc::EINVAL };
    let block = request::fitting(size, align).map_or(null_mut(), |size| raw::malloc_aligned(size, align));
    if block.is_null() {
        return libc::ENOMEM;
    }
    // SAFETY: by this function's contract.
    unsafe { *place = block.cast() };
    0
}

/// Bytes that a block may be used for; 0 for null.
///
/// # Safety
/// `block` is null or a live block of this family.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn malloc_usable_size(block: *mut c_void) -> usize {
    // SAFETY: by this function's contract.
    unsafe { raw::usable_size(block.cast()) }
}

/// A block at an alignment, if that was one, of a size, if that was one.
fn aligned(align: Option<usize>, size: Option<usize>) -> *mut c_void {
    let Some(align) = align else { return refuse(libc::EINVAL) };
    let size = size.and_then(|size| request::fitting(size, align));
    let block = size.map_or(null_mut(), |size| raw::malloc_aligned(size, align));
    if block.is_null() {
        return refuse(libc::ENOMEM);
    }
    block.cast()
}

/// Null, and `errno` says why.
#[cold]
#[inline(never)]
fn refuse(error: c_int) -> *mut c_void {
    // SAFETY: the C library's address of this thread's variable.
    unsafe { *libc::__errno_location() = error };
    null_mut()
}
