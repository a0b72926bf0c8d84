//! The memory of a table's buckets: never cleared as a whole, given back a segment at a time.
//!
//! Large tables lie in reserved ranges of the allocator: opening one is a call whatever its size, the kernel hands out
//! zeroed pages as they are touched, and segments are closed one by one. Small ones, and those that get no range, are blocks of the
//! global allocator.
//! Invariant: a bucket that was never written is empty.

#![allow(unsafe_code)]

use super::bucket::Bucket;
use crate::sync::ZEROS_ARE_NEW;
use bucketmask_alloc::Range;
use core::alloc::Layout;
use core::ptr::NonNull;
use std::alloc::{alloc_zeroed, dealloc, handle_alloc_error};

/// Buckets that are given back at a time.
pub(crate) const SEGMENT: usize = 2048;

/// Buckets whose memory is asked of the kernel at a time: 64 KiB.
pub(crate) const PORTION: usize = 512;

enum Memory {
    Range(Range),
    Heap(Layout),
}

pub(crate) struct Block<K, V> {
    base: NonNull<Bucket<K, V>>,
    memory: Memory,
}

// SAFETY: an owner of memory; what lies in it is the table's, which says who may touch it.
unsafe impl<K, V> Send for Block<K, V> {}
// SAFETY: as above.
unsafe impl<K, V> Sync for Block<K, V> {}

impl<K, V> Block<K, V> {
    /// Memory of `buckets` empty buckets, one or more. Aborts where there is none, as the global allocator's callers do.
    ///
    /// # Panics
    /// If that many buckets are more than the address space holds.
    pub(crate) fn new(buckets: usize) -> Self {
        let layout = Layout::array::<Bucket<K, V>>(buckets).expect("a table within the address space");
        if buckets > 2 * SEGMENT && ZEROS_ARE_NEW {
            if let Some(range) = Range::reserve(layout.size()) {
                if range.open(0, layout.size()) {
                    return Self { base: range.base().cast(), memory: Memory::Range(range) };
                }
            }
        }
        // SAFETY: the layout is of one bucket or more.
        let base = unsafe { alloc_zeroed(layout) };
        let base = NonNull::new(base.cast()).unwrap_or_else(|| handle_alloc_error(layout));
        if !ZEROS_ARE_NEW {
            // SAFETY: the block has room for the buckets.
            (0..buckets).for_each(|bucket| unsafe { base.add(bucket).write(Bucket::new()) });
        }
        Self { base, memory: Memory::Heap(layout) }
    }

    pub(crate) fn base(&self) -> NonNull<Bucket<K, V>> {
        self.base
    }

    /// Has the kernel put memory behind the portion of buckets that begins at bucket `first`, which are about to be written.
    #[cold]
    #[inline(never)]
    pub(crate) fn populate(&self, first: usize) {
        if let Memory::Range(range) = &self.memory {
            let bucket = size_of::<Bucket<K, V>>();
            // Where it does not, its faults do.
            let _ = range.populate(first * bucket, PORTION * bucket);
        }
    }

    /// Gives the memory of the segment back that begins at bucket `first`, if it can be given back by itself.
    pub(crate) fn close(&self, first: usize) {
        if let Memory::Range(range) = &self.memory {
            let bucket = size_of::<Bucket<K, V>>();
            range.close(first * bucket, SEGMENT * bucket);
        }
    }
}

impl<K, V> Drop for Block<K, V> {
    fn drop(&mut self) {
        if let Memory::Heap(layout) = self.memory {
            // SAFETY: allocated with this layout, once.
            unsafe { dealloc(self.base.as_ptr().cast(), layout) };
        }
    }
}
