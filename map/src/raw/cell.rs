//! One place in a table, held by a unique borrow: occupied or vacant. What `entry.rs` is the typed face of.
//!
//! Owned by the safe faces. Invariant: an `Occupied` names a live entry and its hash; a `Vacant` a hash whose entry is
//! not in the table, its home, and a table that is ready to take it.

#![allow(unsafe_code)]

use super::group::Tag;
use super::layout::Layout;
use super::table::{Bare, RawTable, Spot};
use crate::hash::tag_byte;
use crate::probes;
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
    home: usize,
}

/// The place of an entry: where it is, or where it would go.
pub(crate) type Cell<'a, T, A, L> = Result<Occupied<'a, T, A, L>, Vacant<'a, T, A, L>>;

impl<T, L: Layout> Bare<T, L> {
    /// The entry with this hash that `eq` accepts.
    #[inline(always)]
    pub(crate) fn get(&self, hash: u64, eq: impl FnMut(&T) -> bool) -> Option<&T> {
        // SAFETY: a live entry of a table that is borrowed.
        self.seen(hash, eq).map(|entry| unsafe { entry.as_ref() })
    }

    /// The entry with this hash that `eq` accepts.
    #[inline(always)]
    pub(crate) fn get_mut(&mut self, hash: u64, eq: impl FnMut(&T) -> bool) -> Option<&mut T> {
        // SAFETY: a live entry of a table that is borrowed uniquely.
        self.seen(hash, eq).map(|mut entry| unsafe { entry.as_mut() })
    }

    /// Takes out the entry with this hash that `eq` accepts. Where others had to pass its bucket, one or two of them come
    /// nearer to their homes, by `rehash`.
    #[inline(always)]
    pub(crate) fn remove(
        &mut self,
        hash: u64,
        eq: impl FnMut(&T) -> bool,
        rehash: impl Fn(&T) -> u64,
    ) -> Option<T> {
        let home = self.home(hash);
        let spot = self.find_from(home, hash, eq)?;
        // SAFETY: a spot that was just found, through the home that its hash has now.
        unsafe {
            if spot.bucket != home || self.passes(spot.bucket).any() {
                return Some(self.take_on_trail(spot, home, rehash));
            }
            Some(self.vacate(spot))
        }
    }
}

impl<T, A: Allocator, L: Layout> RawTable<T, A, L> {
    /// The place of the entry with this hash that `eq` accepts. Where there is none, the table is made ready to take
    /// it; want of memory goes to the alloc error hook and changes nothing.
    #[inline(always)]
    pub(crate) fn cell(
        &mut self,
        hash: u64,
        mut eq: impl FnMut(&T) -> bool,
        rehash: impl Fn(&T) -> u64,
    ) -> Cell<'_, T, A, L> {
        let home = self.home(hash);
        // SAFETY: a home is an open bucket, or the one empty head of a table without memory.
        if let Some(slot) = unsafe { self.search(home, Tag::of(hash), &mut eq) } {
            return Ok(Occupied { table: self, spot: Spot { bucket: home, slot }, hash });
        }
        self.cell_past(home, hash, eq, rehash)
    }

    /// As `cell`, where the home bucket alone tells and the table has nothing to do. Nothing here is a call, so that what `eq` compares with may
    /// stay in registers. `None`: ask [`cell_beyond`](Self::cell_beyond).
    #[inline(always)]
    pub(crate) fn cell_at_home(
        &mut self,
        hash: u64,
        mut eq: impl FnMut(&T) -> bool,
    ) -> Option<Cell<'_, T, A, L>> {
        let home = self.home(hash);
        // SAFETY: a home is an open bucket, or the one empty head of a table without memory, which is not ready.
        unsafe {
            if let Some(slot) = self.search(home, Tag::of(hash), &mut eq) {
                return Some(Ok(Occupied { table: self, spot: Spot { bucket: home, slot }, hash }));
            }
            let tells = !self.passes(home).has(tag_byte(hash)) && self.is_ready();
            tells.then_some(Err(Vacant { table: self, hash, home }))
        }
    }

    /// As `cell`, where [`cell_at_home`](Self::cell_at_home) did not tell: the home bucket has no such entry.
    #[inline(always)]
    pub(crate) fn cell_beyond(
        &mut self,
        hash: u64,
        eq: impl FnMut(&T) -> bool,
        rehash: impl Fn(&T) -> u64,
    ) -> Cell<'_, T, A, L> {
        self.cell_past(self.home(hash), hash, eq, rehash)
    }

    /// The place in the buckets after `home`, which has no such entry.
    #[inline(always)]
    fn cell_past(
        &mut self,
        home: usize,
        hash: u64,
        eq: impl FnMut(&T) -> bool,
        rehash: impl Fn(&T) -> u64,
    ) -> Cell<'_, T, A, L> {
        // SAFETY: a home is an open bucket, or the one empty head of a table without memory, which nothing has passed. What has passed a
        // bucket lies behind it, as `find_after` wants it.
        let spot = unsafe {
            if self.passes(home).has(tag_byte(hash)) { self.find_after(home, hash, eq) } else { None }
        };
        match spot {
            Some(spot) => Ok(Occupied { table: self, spot, hash }),
            None if self.is_ready() => Err(Vacant { table: self, hash, home }),
            None => Err(self.vacant(hash, rehash)),
        }
    }

    /// A place for an entry that is not in the table, which is made ready to take it.
    #[inline(always)]
    pub(crate) fn vacant(&mut self, hash: u64, rehash: impl Fn(&T) -> u64) -> Vacant<'_, T, A, L> {
        self.ready(rehash).unwrap_or_else(|error| error.raise());
        let home = self.home(hash);
        Vacant { table: self, hash, home }
    }

    /// The entry with this hash that `eq` accepts, to stay at. Without one the table comes back.
    #[inline(always)]
    pub(crate) fn occupied(
        &mut self,
        hash: u64,
        eq: impl FnMut(&T) -> bool,
    ) -> Result<Occupied<'_, T, A, L>, &mut Self> {
        match self.find(hash, eq) {
            Some(spot) => Ok(Occupied { table: self, spot, hash }),
            None => Err(self),
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
        self.take().0
    }

    /// Takes the entry out and stays at its place.
    pub(crate) fn take(self) -> (T, Vacant<'a, T, A, L>) {
        let Self { table, spot, hash } = self;
        let home = table.home(hash);
        // SAFETY: as in `get`; nothing has moved since the spot was found through this home.
        let entry = unsafe { table.take(spot, home) };
        (entry, Vacant { table, hash, home })
    }

    /// Puts what `change` makes of the entry in its place, or nothing. Should `change` panic, the entry is gone.
    pub(crate) fn replace_with(
        self,
        change: impl FnOnce(T) -> Option<T>,
    ) -> Result<Self, Vacant<'a, T, A, L>> {
        let (entry, vacant) = self.take();
        match change(entry) {
            Some(entry) => Ok(vacant.insert_at(entry)),
            None => Err(vacant),
        }
    }
}

impl<'a, T, A: Allocator, L: Layout> Vacant<'a, T, A, L> {
    /// Puts the entry there and stays; want of memory goes to the alloc error hook.
    pub(crate) fn insert_at(self, entry: T) -> Occupied<'a, T, A, L> {
        let Self { table, hash, home } = self;
        let spot = table.place_from(home, hash, entry).unwrap_or_else(|error| error.raise());
        Occupied { table, spot, hash }
    }

    /// Puts the entry there; want of memory goes to the alloc error hook.
    #[inline(always)]
    pub(crate) fn insert(self, entry: T) -> &'a mut T {
        let Self { table, hash, home } = self;
        // SAFETY: the table is ready for an entry, so it has memory, and `home` is the home of the hash.
        match unsafe { table.bare.fill_home(home, hash, entry) } {
            Ok(mut at) => {
                probes::insert(hash, home);
                // SAFETY: just written, in a table that is borrowed for 'a.
                unsafe { at.as_mut() }
            }
            Err(entry) => Self { table, hash, home }.insert_past(entry),
        }
    }

    /// Puts the entry behind its home, which is full.
    #[cold]
    #[inline(never)]
    fn insert_past(self, entry: T) -> &'a mut T {
        self.insert_at(entry).into_mut()
    }
}
