//! Asking for the memory that an operation will read: what batches are made of.
//!
//! Owned by `batch`. Invariant: hints only; nothing is changed, and nothing is read that a lookup would not read.

#![allow(unsafe_code)]

use super::group::{Head, Tag};
use super::layout::{Geometry, LANES, Layout, SLOTS};
use super::table::Bare;
use bucketmask_alloc::prefetch;

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
