//! `HashTable`: the table with the hashes in the caller's hand.
//!
//! Owned by the crate's users. Invariant: no key, no hasher here; whoever calls says what a hash is and what is equal,
//! and a wrong answer costs entries that lookups do not find, never memory safety.

use crate::hash::finalise;
use crate::pages::Pages;
use crate::raw::RawTable;
use crate::raw::check::TableStats;
use crate::raw::layout::{Auto, Layout};
use crate::raw::storage::TryReserveError;
use allocator_api2::alloc::Allocator;
use core::fmt;

mod entry;
mod iter;

pub use entry::{AbsentEntry, Entry, OccupiedEntry, VacantEntry};
pub use iter::{Drain, ExtractIf, IntoIter, Iter, IterHash, IterHashMut, IterMut};

/// A hash table whose caller hashes and compares: for entries that hold their key elsewhere, or more than one.
///
/// A hash is any `u64`; it is mixed once more, so one that fills only its low bits will do. Calls that may grow the table
/// take a hasher that gives an entry's hash again.
///
/// ```
/// use bucketmask_map::HashTable;
///
/// // Words in a list of their own; the table holds their places.
/// let words = ["one", "two", "three"];
/// let hash = |word: &str| word.bytes().fold(7, |hash: u64, byte| hash.wrapping_mul(31) ^ u64::from(byte));
/// let mut places = HashTable::new();
/// for (place, word) in words.iter().enumerate() {
///     places.insert_unique(hash(word), place, |place: &usize| hash(words[*place]));
/// }
/// assert_eq!(places.find(hash("two"), |place| words[*place] == "two"), Some(&1));
/// ```
pub struct HashTable<T, A: Allocator = Pages, L: Layout = Auto> {
    pub(crate) raw: RawTable<T, A, L>,
}

impl<T> HashTable<T> {
    /// An empty table, without memory.
    #[must_use]
    pub const fn new() -> Self {
        Self::new_in(Pages)
    }

    /// An empty table that takes `capacity` entries before it grows.
    ///
    /// # Panics
    /// If the table would be larger than the address space.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self::with_capacity_in(capacity, Pages)
    }
}

impl<T, A: Allocator> HashTable<T, A> {
    /// An empty table that will take its memory from `alloc`.
    #[must_use]
    pub const fn new_in(alloc: A) -> Self {
        Self::in_layout_in(alloc)
    }

    /// An empty table in `alloc` that takes `capacity` entries before it grows.
    ///
    /// # Panics
    /// If the table would be larger than the address space.
    #[must_use]
    pub fn with_capacity_in(capacity: usize, alloc: A) -> Self {
        Self { raw: RawTable::with_capacity_in(capacity, alloc).unwrap_or_else(|error| error.raise()) }
    }
}

impl<T, A: Allocator, L: Layout> HashTable<T, A, L> {
    /// An empty table of a chosen layout in `alloc`.
    #[must_use]
    pub const fn in_layout_in(alloc: A) -> Self {
        Self { raw: RawTable::new_in(alloc) }
    }

    /// The allocator.
    #[inline]
    pub fn allocator(&self) -> &A {
        &self.raw.alloc
    }

    /// Entries in the table.
    #[inline]
    pub fn len(&self) -> usize {
        self.raw.len
    }

    /// Whether there is no entry.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.raw.len == 0
    }

    /// Entries that fit before the table grows again, those that are there included.
    #[inline]
    pub fn capacity(&self) -> usize {
        self.raw.capacity()
    }

    /// Bytes of the table's memory that are in use; reserved room that is not open does not count.
    pub fn allocation_size(&self) -> usize {
        self.raw.bytes()
    }

    /// What the table is made of. O(buckets).
    pub fn stats(&self) -> TableStats {
        self.raw.stats()
    }

    /// The entry of this hash that `eq` accepts.
    #[inline]
    pub fn find(&self, hash: u64, eq: impl FnMut(&T) -> bool) -> Option<&T> {
        self.raw.get(finalise(hash), eq)
    }

    /// The entry of this hash that `eq` accepts, mutable.
    #[inline]
    pub fn find_mut(&mut self, hash: u64, eq: impl FnMut(&T) -> bool) -> Option<&mut T> {
        self.raw.get_mut(finalise(hash), eq)
    }

    /// The place of the entry of this hash that `eq` accepts.
    ///
    /// # Errors
    /// There is none: the error gives the table back.
    #[inline]
    pub fn find_entry(
        &mut self,
        hash: u64,
        eq: impl FnMut(&T) -> bool,
    ) -> Result<OccupiedEntry<'_, T, A, L>, AbsentEntry<'_, T, A, L>> {
        match self.raw.occupied(finalise(hash), eq) {
            Ok(inner) => Ok(OccupiedEntry { inner }),
            Err(raw) => Err(AbsentEntry { raw }),
        }
    }

    /// The place of the entry of this hash that `eq` accepts, or the one that it would have. `hasher` gives the hashes of
    /// entries that are there.
    ///
    /// # Panics
    /// If the table would be larger than the address space.
    #[inline]
    pub fn entry(
        &mut self,
        hash: u64,
        eq: impl FnMut(&T) -> bool,
        hasher: impl Fn(&T) -> u64,
    ) -> Entry<'_, T, A, L> {
        match self.raw.cell(finalise(hash), eq, |entry| finalise(hasher(entry))) {
            Ok(inner) => Entry::Occupied(OccupiedEntry { inner }),
            Err(inner) => Entry::Vacant(VacantEntry { inner }),
        }
    }

    /// Inserts an entry without looking for an equal one. `hasher` gives the hashes of entries that are there.
    ///
    /// # Panics
    /// If the table would be larger than the address space.
    #[inline]
    pub fn insert_unique(
        &mut self,
        hash: u64,
        value: T,
        hasher: impl Fn(&T) -> u64,
    ) -> OccupiedEntry<'_, T, A, L> {
        let vacant = self.raw.vacant(finalise(hash), |entry| finalise(hasher(entry)));
        OccupiedEntry { inner: vacant.insert_at(value) }
    }

    /// Drops all entries and keeps the memory.
    pub fn clear(&mut self) {
        self.raw.clear();
    }

    /// Makes room for `additional` more entries.
    ///
    /// # Panics
    /// If the table would be larger than the address space.
    pub fn reserve(&mut self, additional: usize, hasher: impl Fn(&T) -> u64) {
        self.try_reserve(additional, hasher).unwrap_or_else(|error| error.raise());
    }

    /// Makes room for `additional` more entries.
    ///
    /// # Errors
    /// The table would be larger than the address space, or there is no memory; the table is unchanged.
    pub fn try_reserve(
        &mut self,
        additional: usize,
        hasher: impl Fn(&T) -> u64,
    ) -> Result<(), TryReserveError> {
        self.raw.reserve(additional, |entry| finalise(hasher(entry)))?;
        let len = self.raw.len + additional;
        self.raw.promise(len);
        Ok(())
    }

    /// Does a piece of the work that growth, shrinking or repair has left to later calls; returns whether there is more.
    /// See [`HashMap::migrate_step`](crate::HashMap::migrate_step). Removals have no hasher, so this is also what begins
    /// to shrink a table after many of them.
    pub fn migrate_step(&mut self, hasher: impl Fn(&T) -> u64) -> bool {
        self.raw.migrate_step(|entry| finalise(hasher(entry)))
    }

    /// Rebuilds the table in as little memory as its entries need. O(entries + buckets).
    pub fn shrink_to_fit(&mut self, hasher: impl Fn(&T) -> u64) {
        self.shrink_to(0, hasher);
    }

    /// Rebuilds the table in as little memory as its entries, and at least `capacity` of them, need.
    pub fn shrink_to(&mut self, capacity: usize, hasher: impl Fn(&T) -> u64) {
        let shrunk = self.raw.shrink_to(capacity, |entry| finalise(hasher(entry)));
        shrunk.unwrap_or_else(|error| error.raise());
    }

    /// The entries, in the order of their (mixed) hashes.
    pub fn iter(&self) -> Iter<'_, T, L> {
        Iter { inner: self.raw.iter() }
    }

    /// The entries, mutable, in the order of their (mixed) hashes. A change must not change an entry's hash.
    pub fn iter_mut(&mut self) -> IterMut<'_, T, L> {
        IterMut { inner: self.raw.iter_mut() }
    }

    /// The entries that may have this hash: all that do, and others that share a byte of it.
    pub fn iter_hash(&self, hash: u64) -> IterHash<'_, T, L> {
        IterHash { inner: self.raw.matches(finalise(hash)) }
    }

    /// The entries that may have this hash, mutable: all that do, and others that share a byte of it.
    pub fn iter_hash_mut(&mut self, hash: u64) -> IterHashMut<'_, T, L> {
        IterHashMut { inner: self.raw.matches_mut(finalise(hash)) }
    }

    /// Keeps the entries for which `keep` is true. O(entries), by masks. Without a hasher, marks of what has overflowed
    /// may stay; a later insert repairs them when that pays.
    pub fn retain(&mut self, keep: impl FnMut(&mut T) -> bool) {
        self.raw.retain(keep);
    }

    /// Takes all entries out and keeps the memory. Entries that the iterator did not reach are dropped with it; if it is
    /// leaked, they and the memory leak too.
    pub fn drain(&mut self) -> Drain<'_, T, A, L> {
        Drain { inner: self.raw.drain() }
    }

    /// Takes out the entries for which `chosen` is true, one at a time as the iterator is asked. Entries that it did not
    /// reach stay.
    pub fn extract_if<F>(&mut self, chosen: F) -> ExtractIf<'_, T, F, L>
    where
        F: FnMut(&mut T) -> bool,
    {
        ExtractIf { inner: self.raw.extract(), chosen }
    }

    /// For each hash the entry that `eq` accepts for its index, mutable.
    ///
    /// # Panics
    /// If two of them are one entry.
    pub fn get_disjoint_mut<const N: usize>(
        &mut self,
        hashes: [u64; N],
        eq: impl FnMut(usize, &T) -> bool,
    ) -> [Option<&'_ mut T>; N] {
        self.raw.get_disjoint_mut(hashes.map(finalise), eq)
    }

    /// Panics unless the table's invariants hold. O(entries).
    #[doc(hidden)]
    pub fn check(&self, hasher: impl Fn(&T) -> u64) {
        self.raw.check(|entry| finalise(hasher(entry)));
    }
}

impl<T, A: Allocator + Default, L: Layout> Default for HashTable<T, A, L> {
    fn default() -> Self {
        Self::in_layout_in(A::default())
    }
}

impl<T: Clone, A: Allocator + Clone, L: Layout> Clone for HashTable<T, A, L> {
    /// Copies entry by entry into the same shape: no hashing, no growth.
    fn clone(&self) -> Self {
        Self { raw: self.raw.clone_with(Clone::clone).unwrap_or_else(|error| error.raise()) }
    }

    /// Into the memory that is there, if the other's shape fits it.
    fn clone_from(&mut self, source: &Self) {
        self.raw.clone_from_with(&source.raw, Clone::clone).unwrap_or_else(|error| error.raise());
    }
}

impl<T: fmt::Debug, A: Allocator, L: Layout> fmt::Debug for HashTable<T, A, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl<T, A: Allocator, L: Layout> IntoIterator for HashTable<T, A, L> {
    type Item = T;
    type IntoIter = IntoIter<T, A, L>;

    fn into_iter(self) -> IntoIter<T, A, L> {
        IntoIter { inner: self.raw.into_iter() }
    }
}

impl<'a, T, A: Allocator, L: Layout> IntoIterator for &'a HashTable<T, A, L> {
    type Item = &'a T;
    type IntoIter = Iter<'a, T, L>;

    fn into_iter(self) -> Iter<'a, T, L> {
        self.iter()
    }
}

impl<'a, T, A: Allocator, L: Layout> IntoIterator for &'a mut HashTable<T, A, L> {
    type Item = &'a mut T;
    type IntoIter = IterMut<'a, T, L>;

    fn into_iter(self) -> IterMut<'a, T, L> {
        self.iter_mut()
    }
}
