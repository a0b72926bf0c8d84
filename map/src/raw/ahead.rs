//! Asking for the memory that an operation will read: what batches are made of.
//!
//! Owned by `batch`. Invariant: hints only; nothing is changed, and nothing is read that a lookup would not read.

#![allow(unsafe_code)]

use super::group::{Head, Tag};
use super::layout::{Geometry, LANES, Layout, SLOTS};
use super::table::Bare;
use bucketmask_alloc::prefetch;

/// Bytes of a cache line.
const LINE: usize = 64;
/// Tables of this many bytes of slots are in the cache by and large.
const NEAR: usize = 1 << 20;

impl<T, L: Layout> Bare<T, L> {
    /// Whether the caches are likely to hold the table, so that there is no point in asking ahead.
    pub(crate) fn is_near(&self) -> bool {
        self.buckets * SLOTS * size_of::<T>() <= NEAR
    }

    /// Asks for the head of the home of `hash`.
    #[inline(always)]
    pub(crate) fn ask_for_head(&self, hash: u64) {
        // SAFETY: a home is an open bucket, or the one empty head of a table without memory.
        prefetch(unsafe { L::Geometry::head(&self.zones, self.home(hash)) });
    }

    /// Asks for the slots of `bucket`, or the first lines of them where entries are large. There need be no such bucket.
    #[inline]
    pub(crate) fn ask_for_slots(&self, bucket: usize) {
        let lines = (SLOTS * size_of::<T>()).div_ceil(LINE).min(SLOTS);
        // SAFETY: the first bucket is there, or the one empty head of a table without memory; addresses are not read.
        let first = unsafe { L::Geometry::slot(&self.zones, 0, 0) }.cast::<u8>();
        // SAFETY: as above.
        let stride = unsafe { L::Geometry::slot(&self.zones, 1, 0) }.addr() - first.addr();
        (0..lines).for_each(|line| prefetch(first.wrapping_add(bucket * stride + LINE * line)));
    }

    /// Reads the head of the home of `hash` and asks for the first slot there that may hold its entry.
    #[inline(always)]
    pub(crate) fn ask_for_slot(&self, hash: u64) {
        let home = self.home(hash);
        // SAFETY: as above; an occupied slot is one of an open bucket.
        unsafe {
            let matches = Head::load(L::Geometry::head(&self.zones, home)).matches(Tag::of(hash));
            if matches != 0 {
                prefetch(L::Geometry::slot(&self.zones, home, matches.trailing_zeros() as usize));
            }
        }
    }

    /// Reads the head of the home of `hash` and asks for the first free slot and the mask word.
    #[inline(always)]
    pub(crate) fn ask_for_free_slot(&self, hash: u64) {
        let home = self.home(hash);
        // SAFETY: as above; a table without memory has one word of zeros in place of masks, and an address of no slot may be
        // asked for.
        unsafe {
            let free = Head::load(L::Geometry::head(&self.zones, home)).empty();
            let first = L::Geometry::slot(&self.zones, home, 0);
            prefetch(first.wrapping_add(free.trailing_zeros() as usize % SLOTS));
            prefetch(self.zones.masks.as_ptr().add(home / LANES));
        }
    }
}
