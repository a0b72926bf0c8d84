//! Where memory is linear: WebAssembly, whose memory begins at zero, grows at its end and gives nothing back.
//!
//! There is no address space to reserve, no page to protect, no node and no kernel, so bucket pages have nothing to stand
//! on: [`BucketAlloc`] is the system allocator under the name by which tables know theirs, and a [`Range`] is never to be had, so
//! that tables lie in blocks. `mask` and `sync` are what they are everywhere.
//! Invariant: whatever asks for what only a kernel has is told that there is none, and goes the way it goes elsewhere when it is refused.
#![allow(unsafe_code)]

use core::alloc::{GlobalAlloc, Layout};
use core::ptr::NonNull;
use std::alloc::System;

#[cfg(any(feature = "checked", feature = "frames", feature = "initial-exec"))]
compile_error!("the features checked, frames and initial-exec need a system that WebAssembly has not");

/// The system allocator: there are no bucket pages on WebAssembly.
#[derive(Clone, Copy, Debug, Default)]
pub struct BucketAlloc;

impl BucketAlloc {
    /// The allocator.
    pub const fn new() -> Self {
        Self
    }
}

// SAFETY: every call is the system allocator's.
unsafe impl GlobalAlloc for BucketAlloc {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(block, layout) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { System.realloc(block, layout, size) }
    }
}

/// Reserved address space, of which there is none on WebAssembly: there is no value of this type.
#[derive(Debug)]
pub enum Range {}

impl Range {
    /// `None`: use another way to grow.
    pub fn reserve(_room: usize) -> Option<Self> {
        None
    }

    /// `None`, as [`reserve`](Self::reserve).
    pub fn reserve_warm(_room: usize) -> Option<Self> {
        None
    }

    /// `None`, as [`reserve`](Self::reserve).
    pub fn reserve_ample(_least: usize) -> Option<Self> {
        None
    }

    /// Bytes that all live ranges have open now, and the most that they had since this was asked last: none.
    pub fn opened_by_all() -> (usize, usize) {
        (0, 0)
    }
}

/// Methods of a value that there is none of.
macro_rules! never_called {
    ($($name:ident($($argument:ident: $type:ty),*) $(-> $answer:ty)?;)*) => {
        impl Range {$(
            /// Never called: there is no range.
            pub fn $name(&self $(, $argument: $type)*) $(-> $answer)? {
                $(let _ = $argument;)*
                match *self {}
            }
        )*}
    };
}

never_called! {
    base() -> NonNull<u8>;
    room() -> usize;
    opened() -> usize;
    open_parts() -> Vec<(usize, usize)>;
    open(offset: usize, len: usize) -> bool;
    close(offset: usize, len: usize);
    populate(offset: usize, len: usize) -> bool;
    populate_soon(offset: usize, len: usize) -> bool;
    prefer_huge_pages(offset: usize, len: usize);
}

/// Asks the processor to fetch the cache line of `address`: WebAssembly has no such instruction.
#[inline(always)]
pub fn prefetch<T>(address: *const T) {
    let _ = address;
}

/// A full memory barrier on every running thread of the process: there is none, so each thread has its own.
pub(crate) fn barrier_on_all() -> bool {
    false
}
