//! One place in a table, held by a unique borrow: occupied or vacant. What `entry.rs` is the typed face of.
//!
//! Owned by the safe faces. Invariant: an `Occupied` names a live entry and its hash; a `Vacant` a hash whose entry is
//! not in the table, and a table that is ready to take it.

#![allow(unsafe_code)]

use super::layout::Layout;
use super::table::{Bare, RawTable, Spot};
use allocator_api2::alloc::Allocator;

/// An entry that is there.
pub(crate) struct Occupied<'a, T, A: Allocator, L: Layout> {
    table: &'a mut RawTable<T, A, L>,
    spot: Spot,
    hash: u64,
}

/// A hash whose entry is not there.
pub(crate) struct Vacant<'a, T, A: Allocator, L: Layout> {
    table: &'a mut RawTable<T, A, L>,
    hash: u64,
}

impl<T, L: Layout> Bare<T, L> {
    /// The entry with this hash that `eq` accepts.
    #[inline(always)]
    pub(crate) fn get(&self, hash: u64, eq: impl FnMut(&T) -> bool) -> Option<&T> {
        // SAFETY: a spot that was just found.
        self.find(hash, eq).map(|spot| unsafe { self.at(spot) })
    }

    /// The entry with this hash that `eq` accepts.
    #[inline(always)]
    pub(crate) fn get_mut(&mut self, hash: u64, eq: impl FnMut(&T) -> bool) -> Option<&mut T> {
        // SAFETY: a spot that was just found.
        self.find(hash, eq).map(|spot| unsafe { self.at_mut(spot) })
    }

    /// Takes out the entry with this hash that `eq` accepts.
    #[inline(always)]
    pub(crate) fn remove(&mut self, hash: u64, eq: impl FnMut(&T) -> bool) -> Option<T> {
        let spot = self.find(hash, eq)?;
        // SAFETY: a spot that was just found, through the home that its hash has now.
        Some(unsafe { self.take(spot, self.home(hash)) })
    }
}

impl<T, A: Allocator, L: Layout> RawTable<T, A, L> {
    /// The place of the entry with this hash that `eq` accepts. For a vacant one the caller has made the table ready.
    #[inline(always)]
    pub(crate) fn cell(
        &mut self,
        hash: u64,
        eq: impl FnMut(&T) -> bool,
    ) -> Result<Occupied<'_, T, A, L>, Vacant<'_, T, A, L>> {
        match self.find(hash, eq) {
            Some(spot) => Ok(Occupied { table: self, spot, hash }),
            None => Err(Vacant { table: self, hash }),
        }
    }
}

impl<'a, T, A: Allocator, L: Layout> Occupied<'a, T, A, L> {
    pub(crate) fn get(&self) -> &T {
        // SAFETY: the spot is occupied as long as this is borrowed.
        unsafe { self.table.at(self.spot) }
    }

    pub(crate) fn get_mut(&mut self) -> &mut T {
        // SAFETY: as in `get`.
        unsafe { self.table.at_mut(self.spot) }
    }

    pub(crate) fn into_mut(self) -> &'a mut T {
        // SAFETY: as in `get`.
        unsafe { self.table.at_mut(self.spot) }
    }

    pub(crate) fn remove(self) -> T {
        let home = self.table.home(self.hash);
        // SAFETY: as in `get`; nothing has moved since the spot was found through this home.
        unsafe { self.table.take(self.spot, home) }
    }
}

impl<'a, T, A: Allocator, L: Layout> Vacant<'a, T, A, L> {
    /// Puts the entry there and stays; want of memory goes to the alloc error hook.
    pub(crate) fn insert_at(self, entry: T) -> Occupied<'a, T, A, L> {
        let Self { table, hash } = self;
        let spot = table.place(hash, entry).unwrap_or_else(|error| error.raise());
        Occupied { table, spot, hash }
    }

    /// Puts the entry there; want of memory goes to the alloc error hook.
    #[inline(always)]
    pub(crate) fn insert(self, entry: T) -> &'a mut T {
        self.insert_at(entry).into_mut()
    }
}
