//! Places in a `HashTable`: occupied, vacant, or just not found.
//!
//! Owned by `hash_table.rs`. Invariant: a vacant place belongs to a table that is ready to take an entry.

use crate::pages::Pages;
use crate::raw::layout::{Auto, Layout};
use crate::raw::{Occupied, RawTable, Vacant};
use allocator_api2::alloc::Allocator;
use core::fmt;

/// A place in a table: [`HashTable::entry`](crate::HashTable::entry).
pub enum Entry<'a, T, A: Allocator = Pages, L: Layout = Auto> {
    /// The entry is there.
    Occupied(OccupiedEntry<'a, T, A, L>),
    /// The entry is not there.
    Vacant(VacantEntry<'a, T, A, L>),
}

/// The place of an entry that is there.
pub struct OccupiedEntry<'a, T, A: Allocator = Pages, L: Layout = Auto> {
    pub(super) inner: Occupied<'a, T, A, L>,
}

/// The place of an entry that is not there.
pub struct VacantEntry<'a, T, A: Allocator = Pages, L: Layout = Auto> {
    pub(super) inner: Vacant<'a, T, A, L>,
}

/// No entry was found, and none can be inserted: the hasher is not at hand.
pub struct AbsentEntry<'a, T, A: Allocator = Pages, L: Layout = Auto> {
    pub(super) raw: &'a mut RawTable<T, A, L>,
}

impl<'a, T, A: Allocator, L: Layout> Entry<'a, T, A, L> {
    /// Sets the entry and stays at its place. It must have the hash that was looked for.
    #[inline]
    pub fn insert(self, value: T) -> OccupiedEntry<'a, T, A, L> {
        match self {
            Self::Occupied(mut entry) => {
                *entry.get_mut() = value;
                entry
            }
            Self::Vacant(entry) => entry.insert(value),
        }
    }

    /// The place, after inserting `default` if there was no entry.
    #[inline]
    pub fn or_insert(self, default: T) -> OccupiedEntry<'a, T, A, L> {
        self.or_insert_with(|| default)
    }

    /// The place, after inserting what `default` makes if there was no entry.
    #[inline]
    pub fn or_insert_with(self, default: impl FnOnce() -> T) -> OccupiedEntry<'a, T, A, L> {
        match self {
            Self::Occupied(entry) => entry,
            Self::Vacant(entry) => entry.insert(default()),
        }
    }

    /// Changes the entry if there is one. A change must not change its hash.
    #[inline]
    #[expect(clippy::return_self_not_must_use, reason = "std's may be dropped")]
    pub fn and_modify(mut self, change: impl FnOnce(&mut T)) -> Self {
        if let Self::Occupied(entry) = &mut self {
            change(entry.get_mut());
        }
        self
    }
}

impl<'a, T, A: Allocator, L: Layout> OccupiedEntry<'a, T, A, L> {
    /// The entry.
    #[inline]
    pub fn get(&self) -> &T {
        self.inner.get()
    }

    /// The entry, mutable as long as the place is borrowed. A change must not change its hash.
    #[inline]
    pub fn get_mut(&mut self) -> &mut T {
        self.inner.get_mut()
    }

    /// The entry, mutable as long as the table is borrowed. A change must not change its hash.
    #[inline]
    pub fn into_mut(self) -> &'a mut T {
        self.inner.into_mut()
    }

    /// Takes the entry out and stays at its place.
    #[inline]
    #[expect(clippy::must_use_candidate, reason = "removing is often the point")]
    pub fn remove(self) -> (T, VacantEntry<'a, T, A, L>) {
        let (value, inner) = self.inner.take();
        (value, VacantEntry { inner })
    }

    /// Replaces the entry by what `change` makes of it, of the same hash, or takes it out if that is nothing. Should
    /// `change` panic, the entry is gone.
    pub fn replace_entry_with<F>(self, change: F) -> Entry<'a, T, A, L>
    where
        F: FnOnce(T) -> Option<T>,
    {
        match self.inner.replace_with(change) {
            Ok(inner) => Entry::Occupied(OccupiedEntry { inner }),
            Err(inner) => Entry::Vacant(VacantEntry { inner }),
        }
    }
}

impl<'a, T, A: Allocator, L: Layout> VacantEntry<'a, T, A, L> {
    /// Inserts the entry and stays at its place. It must have the hash that was looked for.
    #[inline]
    pub fn insert(self, value: T) -> OccupiedEntry<'a, T, A, L> {
        OccupiedEntry { inner: self.inner.insert_at(value) }
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

impl<T, A: Allocator, L: Layout> fmt::Debug for VacantEntry<'_, T, A, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VacantEntry")
    }
}

impl<T, A: Allocator, L: Layout> fmt::Debug for AbsentEntry<'_, T, A, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AbsentEntry").field("len", &self.raw.len).finish_non_exhaustive()
    }
}
