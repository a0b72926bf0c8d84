//! `Pages`: the allocator that tables take their memory from unless told otherwise.
//!
//! Owned by the crate's users, who name it in types only. Invariant: it is `BucketAlloc`, whether or not that is the
//! program's global allocator.

#![allow(unsafe_code)]

use allocator_api2::alloc::{AllocError, Allocator};
use bucketmask_alloc::BucketAlloc;
use core::alloc::{GlobalAlloc, Layout as Block};
use core::ptr::NonNull;

/// Bucket pages: memory of [`BucketAlloc`], also where another allocator is the program's global one.
///
/// The only allocator whose large tables are reserved ranges, which grow in place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pages;

static_assertions::assert_eq_size!(Pages, ());

impl Pages {
    /// What `get` gives for a block of one byte or more; else an address that nobody reads.
    #[inline]
    fn block(
        block: Block,
        get: unsafe fn(&BucketAlloc, Block) -> *mut u8,
    ) -> Result<NonNull<[u8]>, AllocError> {
        let start = if block.size() == 0 {
            // SAFETY: alignments are not zero.
            unsafe { NonNull::new_unchecked(core::ptr::without_provenance_mut(block.align())) }
        } else {
            // SAFETY: the block is not empty.
            NonNull::new(unsafe { get(&BucketAlloc, block) }).ok_or(AllocError)?
        };
        Ok(NonNull::slice_from_raw_parts(start, block.size()))
    }
}

// SAFETY: blocks are `BucketAlloc`'s, which keeps them until they are given back; all instances are the same allocator.
unsafe impl Allocator for Pages {
    #[inline]
    fn allocate(&self, block: Block) -> Result<NonNull<[u8]>, AllocError> {
        Self::block(block, BucketAlloc::alloc)
    }

    #[inline]
    fn allocate_zeroed(&self, block: Block) -> Result<NonNull<[u8]>, AllocError> {
        Self::block(block, BucketAlloc::alloc_zeroed)
    }

    #[inline]
    unsafe fn deallocate(&self, start: NonNull<u8>, block: Block) {
        if block.size() != 0 {
            // SAFETY: by the trait's contract it is a block of ours, of this layout.
            unsafe { BucketAlloc.dealloc(start.as_ptr(), block) }
        }
    }
}
