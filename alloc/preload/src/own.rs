//! What the library's own Rust code allocates with: the same blocks as everybody, and counted as theirs are.
//!
//! Invariant: its blocks are `raw`'s, so that any thread may free them by either way.
#![allow(unsafe_code)]

use core::alloc::{GlobalAlloc, Layout};

use bucketmask_alloc::raw;

/// `raw`, as Rust calls an allocator.
pub(crate) struct Own;

// SAFETY: `raw` gives disjoint blocks, as large and as aligned as asked for, that stay until freed.
unsafe impl GlobalAlloc for Own {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        raw::malloc_aligned(layout.size(), layout.align())
    }

    unsafe fn dealloc(&self, block: *mut u8, _layout: Layout) {
        // SAFETY: by the trait's contract the block is ours and no longer used.
        unsafe { raw::free(block) };
    }
}
