//! `Entry`: a value's place in a set, looked up once.
//!
//! Owned by `set.rs`. Invariant: as for the map's entries, which these are.

use crate::entry as map;
use crate::pages::Pages;
use crate::raw::layout::{Auto, Layout};
use allocator_api2::alloc::Allocator;
use core::fmt;

/// A value's place in a set: [`HashSet::entry`](crate::HashSet::entry).
pub enum Entry<'a, T, A: Allocator = Pages, L: Layout = Auto> {
    /// The value is there.
    Occupied(OccupiedEntry<'a, T, A, L>),
    /// The value is not there.
    Vacant(VacantEntry<'a, T, A, L>),
}

/// The place of a value that is there.
pub struct OccupiedEntry<'a, T, A: Allocator = Pages, L: Layout = Auto> {
    inner: map::OccupiedEntry<'a, T, (), A, L>,
}

/// The place of a value that is not there, and the value.
pub struct VacantEntry<'a, T, A: Allocator = Pages, L: Layout = Auto> {
    inner: map::VacantEntry<'a, T, (), A, L>,
}

impl<'a, T, A: Allocator, L: Layout> Entry<'a, T, A, L> {
    pub(super) fn of(entry: map::Entry<'a, T, (), A, L>) -> Self {
        match entry {
            map::Entry::Occupied(inner) => Self::Occupied(OccupiedEntry { inner }),
            map::Entry::Vacant(inner) => Self::Vacant(VacantEntry { inner }),
        }
    }

    /// Inserts the value if it is not there, and stays at its place.
    #[inline]
    pub fn insert(self) -> OccupiedEntry<'a, T, A, L> {
        match self {
            Self::Occupied(entry) => entry,
            Self::Vacant(entry) => entry.insert(),
        }
    }

    /// Inserts the value if it is not there.
    #[inline]
    pub fn or_insert(self) {
        if let Self::Vacant(entry) = self {
            entry.insert();
        }
    }

    /// The value: the set's if it is there, else the one that was asked for.
    #[inline]
    pub fn get(&self) -> &T {
        match self {
            Self::Occupied(entry) => entry.get(),
            Self::Vacant(entry) => entry.get(),
        }
    }
}

impl<T, A: Allocator, L: Layout> OccupiedEntry<'_, T, A, L> {
    /// The value that the set holds.
    #[inline]
    pub fn get(&self) -> &T {
        self.inner.key()
    }

    /// Takes the value out.
    #[inline]
    #[expect(clippy::must_use_candidate, reason = "removing is often the point")]
    pub fn remove(self) -> T {
        self.inner.remove_entry().0
    }
}

impl<'a, T, A: Allocator, L: Layout> VacantEntry<'a, T, A, L> {
    /// The value that was asked for.
    #[inline]
    pub fn get(&self) -> &T {
        self.inner.key()
    }

    /// The value that was asked for, back.
    #[inline]
    #[must_use]
    pub fn into_value(self) -> T {
        self.inner.into_key()
    }

    /// Inserts the value and stays at its place.
    #[inline]
    pub fn insert(self) -> OccupiedEntry<'a, T, A, L> {
        OccupiedEntry { inner: self.inner.insert_entry(()) }
    }
}

impl<T: fmt::Debug, A: Allocator, L: Layout> fmt::Debug for Entry<'_, T, A, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Occupied(entry) => f.debug_tuple("Entry").field(entry).finish(),
            Self::Vacant(entry) => f.debug_tuple("Entry").field(entry).finish(),
        }
    }
}

impl<T: fmt::Debug, A: Allocator, L: Layout> fmt::Debug for OccupiedEntry<'_, T, A, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OccupiedEntry").field("value", self.get()).finish_non_exhaustive()
    }
}

impl<T: fmt::Debug, A: Allocator, L: Layout> fmt::Debug for VacantEntry<'_, T, A, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("VacantEntry").field(self.get()).finish()
    }
}
