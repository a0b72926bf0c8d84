//! All entries on a hash's trail with its tophash: what a lookup would compare, one after the other.
//!
//! Owned by `hash_table.rs`. Invariant: every entry of that hash is among them, each once.

#![allow(unsafe_code)]

use super::group::{Head, Tag};
use super::layout::{Geometry, Layout, Zones};
use super::passes::Passes;
use super::table::Bare;
use crate::hash::tag_byte;
use core::iter::FusedIterator;
use core::marker::PhantomData;
use core::ptr::NonNull;

/// The walk along a trail, as pointers.
struct Probe<T, L: Layout> {
    zones: Zones<T>,
    bucket: usize,
    hash: u64,
    /// Slots of `bucket` that are still to be shown.
    matches: u16,
    marker: PhantomData<fn() -> L>,
}

impl<T, L: Layout> Clone for Probe<T, L> {
    fn clone(&self) -> Self {
        Self { ..*self }
    }
}

impl<T, L: Layout> Probe<T, L> {
    /// No entries: at the end of a table without memory.
    fn nothing() -> Self {
        Self { zones: Zones::nothing(), bucket: 0, hash: 0, matches: 0, marker: PhantomData }
    }

    fn along(table: &Bare<T, L>, hash: u64) -> Self {
        let mut probe =
            Self { zones: table.zones, bucket: table.home(hash), hash, matches: 0, marker: PhantomData };
        // SAFETY: a home is an open bucket, or the one empty head of a table without memory.
        unsafe { probe.look() };
        probe
    }

    /// Reads the bucket's head.
    ///
    /// # Safety
    /// The table is alive and `bucket` is open.
    #[inline(always)]
    unsafe fn look(&mut self) {
        // SAFETY: the caller's promise.
        let head = unsafe { Head::load(L::Geometry::head(&self.zones, self.bucket)) };
        self.matches = head.matches(Tag::of(self.hash));
    }

    /// The next entry.
    ///
    /// # Safety
    /// The table is alive and no entry has come, gone or moved since the walk began.
    #[inline(always)]
    unsafe fn advance(&mut self) -> Option<NonNull<T>> {
        // SAFETY: the bucket is open, and nothing has passed the last open bucket; a tophash that is not 0 means a
        // live entry.
        unsafe {
            while self.matches == 0 {
                if !Passes::load::<T, L>(&self.zones, self.bucket).has(tag_byte(self.hash)) {
                    return None;
                }
                self.bucket += 1;
                self.look();
            }
            let slot = self.matches.trailing_zeros() as usize;
            self.matches &= self.matches - 1;
            Some(NonNull::new_unchecked(L::Geometry::slot(&self.zones, self.bucket, slot)))
        }
    }
}

/// Shared references to the entries with a tophash.
pub(crate) struct Matches<'a, T, L: Layout> {
    probe: Probe<T, L>,
    marker: PhantomData<&'a T>,
}

/// Unique references to the entries with a tophash.
pub(crate) struct MatchesMut<'a, T, L: Layout> {
    probe: Probe<T, L>,
    marker: PhantomData<&'a mut T>,
}

// SAFETY: a `Matches` is a bundle of &T.
unsafe impl<T: Sync, L: Layout> Send for Matches<'_, T, L> {}
// SAFETY: as above.
unsafe impl<T: Sync, L: Layout> Sync for Matches<'_, T, L> {}
// SAFETY: a `MatchesMut` is a bundle of &mut T.
unsafe impl<T: Send, L: Layout> Send for MatchesMut<'_, T, L> {}
// SAFETY: a shared `MatchesMut` gives out nothing.
unsafe impl<T: Sync, L: Layout> Sync for MatchesMut<'_, T, L> {}

impl<T, L: Layout> Bare<T, L> {
    /// The entries that a lookup of `hash` would compare, were none of them equal.
    pub(crate) fn matches(&self, hash: u64) -> Matches<'_, T, L> {
        Matches { probe: Probe::along(self, hash), marker: PhantomData }
    }

    /// The entries that a lookup of `hash` would compare, were none of them equal.
    pub(crate) fn matches_mut(&mut self, hash: u64) -> MatchesMut<'_, T, L> {
        MatchesMut { probe: Probe::along(self, hash), marker: PhantomData }
    }
}

impl<T, L: Layout> MatchesMut<'_, T, L> {
    /// The entries not yet visited.
    pub(crate) fn rest(&self) -> Matches<'_, T, L> {
        Matches { probe: self.probe.clone(), marker: PhantomData }
    }
}

impl<T, L: Layout> Clone for Matches<'_, T, L> {
    fn clone(&self) -> Self {
        Self { probe: self.probe.clone(), marker: PhantomData }
    }
}

impl<T, L: Layout> Default for Matches<'_, T, L> {
    fn default() -> Self {
        Self { probe: Probe::nothing(), marker: PhantomData }
    }
}

impl<T, L: Layout> Default for MatchesMut<'_, T, L> {
    fn default() -> Self {
        Self { probe: Probe::nothing(), marker: PhantomData }
    }
}

impl<'a, T, L: Layout> Iterator for Matches<'a, T, L> {
    type Item = &'a T;

    #[inline]
    fn next(&mut self) -> Option<&'a T> {
        // SAFETY: the table is borrowed for 'a.
        unsafe { self.probe.advance().map(|entry| entry.as_ref()) }
    }
}

impl<'a, T, L: Layout> Iterator for MatchesMut<'a, T, L> {
    type Item = &'a mut T;

    #[inline]
    fn next(&mut self) -> Option<&'a mut T> {
        // SAFETY: the table is borrowed uniquely for 'a, and each entry is visited once.
        unsafe { self.probe.advance().map(|mut entry| entry.as_mut()) }
    }
}

impl<T, L: Layout> FusedIterator for Matches<'_, T, L> {}
impl<T, L: Layout> FusedIterator for MatchesMut<'_, T, L> {}
