//! Several entries of a table at once, each by unique reference.
//!
//! Owned by `disjoint.rs` and `hash_table.rs`. Invariant: no two references of an answer are to one entry.

#![allow(unsafe_code)]

use super::layout::{Geometry, Layout};
use super::table::{Bare, Spot};
use core::array;

impl<T, L: Layout> Bare<T, L> {
    /// For each hash the entry that `eq` accepts for its index.
    ///
    /// # Panics
    /// If two of them are one entry.
    #[inline]
    pub(crate) fn get_disjoint_mut<const N: usize>(
        &mut self,
        hashes: [u64; N],
        eq: impl FnMut(usize, &T) -> bool,
    ) -> [Option<&mut T>; N] {
        let spots = self.spots(hashes, eq);
        for (at, spot) in spots.iter().enumerate() {
            assert!(spot.is_none() || !spots[..at].contains(spot), "duplicate keys found");
        }
        // SAFETY: just found, and no two are alike.
        unsafe { self.all_mut(spots) }
    }

    /// For each hash the entry that `eq` accepts for its index.
    ///
    /// # Safety
    /// No two of them are one entry.
    #[inline]
    pub(crate) unsafe fn get_disjoint_unchecked_mut<const N: usize>(
        &mut self,
        hashes: [u64; N],
        eq: impl FnMut(usize, &T) -> bool,
    ) -> [Option<&mut T>; N] {
        let spots = self.spots(hashes, eq);
        // SAFETY: just found; for the rest the caller's promise.
        unsafe { self.all_mut(spots) }
    }

    /// Where they are.
    #[inline(always)]
    fn spots<const N: usize>(
        &self,
        hashes: [u64; N],
        mut eq: impl FnMut(usize, &T) -> bool,
    ) -> [Option<Spot>; N] {
        array::from_fn(|at| self.find(hashes[at], |entry| eq(at, entry)))
    }

    /// The entries at `spots`.
    ///
    /// # Safety
    /// The spots are occupied, and no two are alike.
    #[inline(always)]
    unsafe fn all_mut<const N: usize>(&mut self, spots: [Option<Spot>; N]) -> [Option<&mut T>; N] {
        let zones = &self.zones;
        spots.map(|spot| {
            // SAFETY: the caller's promise; the table is borrowed uniquely.
            spot.map(|Spot { bucket, slot }| unsafe { &mut *L::Geometry::slot(zones, bucket, slot) })
        })
    }
}
