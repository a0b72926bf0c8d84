//! `StrMap`: a map from strings whose short keys lie in the table.
//!
//! Owned by the crate's users. Invariant: as in `map.rs`, every insert makes the table ready before it probes; a long
//! key's stored hash is the hash it was inserted under.

mod entry;
mod iter;
mod key;
mod traits;

pub use crate::raw::short::StrKey;
pub use entry::{Entry, OccupiedEntry, VacantEntry};
pub use iter::{Drain, ExtractIf, IntoIter, IntoKeys, IntoValues, Iter, IterMut, Keys, Values, ValuesMut};

use crate::hash::finalise;
use crate::pages::Pages;
use crate::raw::RawTable;
use crate::raw::check::TableStats;
use crate::raw::layout::{Auto, Layout};
use crate::raw::short::Asked;
use crate::raw::storage::TryReserveError;
use allocator_api2::alloc::Allocator;
use core::hash::{BuildHasher, Hasher};
use core::mem;
use std::collections::hash_map::RandomState;

/// A map from strings: keys of up to 23 bytes lie in the table itself, longer ones in a block each.
///
/// A lookup of a short key touches two cache lines (head and slot) where a map of `String` touches a third, the text, and
/// compares three words without a branch. A long key is compared by 64 bits of its hash and its length before its text.
/// Short keys cost no allocation, and 24 bytes an entry as a `String`'s header does.
///
/// Keys go in as `&str`, `String`, `Box<str>`, `Cow<str>` or [`StrKey`], and lookups take `&str`. A key's bytes are hashed in
/// one `write` of the hasher, without the terminator that `str`'s own `Hash` adds. All else is as in
/// [`HashMap`](crate::HashMap): growth, order, complexity, `A` and `L`. `A` holds the table; long keys' blocks are the
/// global allocator's.
///
/// ```
/// use bucketmask_map::StrMap;
///
/// let mut stars = StrMap::new();
/// stars.insert("Sirius", -1.46);
/// stars.insert(String::from("Vega"), 0.03);
/// *stars.entry("Vega").or_insert(0.0) += 0.01;
/// assert_eq!(stars["Vega"], 0.04);
/// assert_eq!(stars.get("Deneb"), None);
/// ```
pub struct StrMap<V, S = RandomState, A: Allocator = Pages, L: Layout = Auto> {
    pub(crate) table: RawTable<(StrKey, V), A, L>,
    pub(crate) build: S,
}

/// The finalised hash of a key's text.
#[inline(always)]
pub(crate) fn hash_of<S: BuildHasher>(build: &S, text: &str) -> u64 {
    let mut state = build.build_hasher();
    state.write(text.as_bytes());
    finalise(state.finish())
}

/// The hash of a key in the table; a long one's is remembered.
#[inline(always)]
pub(crate) fn hash_of_key<S: BuildHasher>(build: &S, key: &StrKey) -> u64 {
    key.stored_hash().unwrap_or_else(|| hash_of(build, key.as_str()))
}

impl<V> StrMap<V> {
    /// An empty map, without memory.
    #[must_use]
    pub fn new() -> Self {
        Self::with_hasher(RandomState::new())
    }

    /// An empty map that takes `capacity` entries before it grows.
    ///
    /// # Panics
    /// If the table would be larger than the address space.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self::with_capacity_and_hasher(capacity, RandomState::new())
    }
}

impl<V, S> StrMap<V, S> {
    /// An empty map, without memory, that hashes with `build`.
    #[must_use]
    pub const fn with_hasher(build: S) -> Self {
        Self { table: RawTable::new_in(Pages), build }
    }

    /// An empty map that takes `capacity` entries before it grows and hashes with `build`.
    ///
    /// # Panics
    /// If the table would be larger than the address space.
    #[must_use]
    pub fn with_capacity_and_hasher(capacity: usize, build: S) -> Self {
        Self::with_capacity_and_hasher_in(capacity, build, Pages)
    }
}

impl<V, A: Allocator> StrMap<V, RandomState, A> {
    /// An empty map whose table will take its memory from `alloc`.
    #[must_use]
    pub fn new_in(alloc: A) -> Self {
        Self::with_hasher_in(RandomState::new(), alloc)
    }
}

impl<V, S, A: Allocator, L: Layout> StrMap<V, S, A, L> {
    /// An empty map that hashes with `build` and whose table will take its memory from `alloc`.
    #[must_use]
    pub const fn with_hasher_in(build: S, alloc: A) -> Self {
        Self { table: RawTable::new_in(alloc), build }
    }

    /// An empty map in `alloc` that takes `capacity` entries before it grows and hashes with `build`.
    ///
    /// # Panics
    /// If the table would be larger than the address space.
    #[must_use]
    pub fn with_capacity_and_hasher_in(capacity: usize, build: S, alloc: A) -> Self {
        let table = RawTable::with_capacity_in(capacity, alloc).unwrap_or_else(|error| error.raise());
        Self { table, build }
    }

    /// The allocator of the table.
    #[inline]
    pub fn allocator(&self) -> &A {
        &self.table.alloc
    }

    /// Entries in the map.
    #[inline]
    pub fn len(&self) -> usize {
        self.table.len
    }

    /// Whether there is no entry.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.table.len == 0
    }

    /// Entries that fit before the table grows again, those that are there included.
    #[inline]
    pub fn capacity(&self) -> usize {
        self.table.capacity()
    }

    /// Bytes of the table's memory that are in use, without the blocks of long keys; reserved room that is not open does
    /// not count.
    pub fn allocation_size(&self) -> usize {
        self.table.bytes()
    }

    /// What the table is made of. O(buckets).
    pub fn stats(&self) -> TableStats {
        self.table.stats()
    }

    /// The hasher's builder.
    #[inline]
    pub fn hasher(&self) -> &S {
        &self.build
    }

    /// The entries, in the order of their hashes.
    pub fn iter(&self) -> Iter<'_, V, L> {
        Iter { inner: self.table.iter() }
    }

    /// The entries, values mutable, in the order of their hashes.
    pub fn iter_mut(&mut self) -> IterMut<'_, V, L> {
        IterMut { inner: self.table.iter_mut() }
    }

    /// The keys, in the order of their hashes.
    pub fn keys(&self) -> Keys<'_, V, L> {
        Keys { inner: self.iter() }
    }

    /// The values, in the order of their keys' hashes.
    pub fn values(&self) -> Values<'_, V, L> {
        Values { inner: self.iter() }
    }

    /// The values, mutable, in the order of their keys' hashes.
    pub fn values_mut(&mut self) -> ValuesMut<'_, V, L> {
        ValuesMut { inner: self.iter_mut() }
    }

    /// The keys, owned.
    pub fn into_keys(self) -> IntoKeys<V, A, L> {
        IntoKeys { inner: self.into_iter() }
    }

    /// The values, owned.
    pub fn into_values(self) -> IntoValues<V, A, L> {
        IntoValues { inner: self.into_iter() }
    }

    /// Takes all entries out and keeps the memory. Entries that the iterator did not reach are dropped with it; if it is
    /// leaked, they and the memory leak too.
    pub fn drain(&mut self) -> Drain<'_, V, A, L> {
        Drain { inner: self.table.drain() }
    }

    /// Keeps the entries for which `keep` is true. O(entries), by masks.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &mut V) -> bool) {
        self.table.retain(|(key, value)| keep(key.as_str(), value));
    }

    /// Takes out the entries for which `chosen` is true, one at a time as the iterator is asked. Entries that it did not
    /// reach stay.
    pub fn extract_if<F>(&mut self, chosen: F) -> ExtractIf<'_, V, F, L>
    where
        F: FnMut(&str, &mut V) -> bool,
    {
        ExtractIf { inner: self.table.extract(), chosen }
    }

    /// Drops all entries and keeps the memory.
    pub fn clear(&mut self) {
        self.table.clear();
    }
}

impl<V, S: BuildHasher, A: Allocator, L: Layout> StrMap<V, S, A, L> {
    /// Makes room for `additional` more entries. A large table does not pause for it: it starts to grow here and goes on
    /// with the next inserts.
    ///
    /// The table does not grow by its load while these are inserted. Memory may still be asked for, and lacking it the insert fails as any: a
    /// list of moves while a table grows or shrinks, up to four buckets where hashes crowd at the table's end, and a
    /// larger table where so many hashes are crowded elsewhere that trails would be long.
    ///
    /// # Panics
    /// If the table would be larger than the address space.
    pub fn reserve(&mut self, additional: usize) {
        self.try_reserve(additional).unwrap_or_else(|error| error.raise());
    }

    /// Makes room for `additional` more entries.
    ///
    /// # Errors
    /// The table would be larger than the address space, or there is no memory; the map is unchanged.
    pub fn try_reserve(&mut self, additional: usize) -> Result<(), TryReserveError> {
        let build = &self.build;
        self.table.reserve(additional, |(key, _)| hash_of_key(build, key))?;
        let len = self.table.len + additional;
        self.table.promise(len);
        Ok(())
    }

    /// Makes room for `additional` more entries, of which the map may get fewer: it keeps no memory for their sake.
    pub(crate) fn expect_more(&mut self, additional: usize) {
        let build = &self.build;
        let room = self.table.reserve(additional, |(key, _)| hash_of_key(build, key));
        room.unwrap_or_else(|error| error.raise());
    }

    /// Does a piece of the work that growth, shrinking or repair has left to later calls, for programs that have idle time;
    /// returns whether there is more.
    pub fn migrate_step(&mut self) -> bool {
        let build = &self.build;
        self.table.migrate_step(|(key, _)| hash_of_key(build, key))
    }

    /// Rebuilds the table in as little memory as its entries need. O(entries + buckets).
    pub fn shrink_to_fit(&mut self) {
        self.shrink_to(0);
    }

    /// Rebuilds the table in as little memory as its entries, and at least `capacity` of them, need.
    pub fn shrink_to(&mut self, capacity: usize) {
        let build = &self.build;
        let shrunk = self.table.shrink_to(capacity, |(key, _)| hash_of_key(build, key));
        shrunk.unwrap_or_else(|error| error.raise());
    }

    /// The value of `key`.
    #[inline]
    pub fn get(&self, key: &str) -> Option<&V> {
        let (hash, asked) = self.ask(key);
        let (_, value) = self.table.get(hash, |(held, _)| held.is(&asked))?;
        Some(value)
    }

    /// The entry of `key`, with the key that the map holds.
    #[inline]
    pub fn get_key_value(&self, key: &str) -> Option<(&str, &V)> {
        let (hash, asked) = self.ask(key);
        let (held, value) = self.table.get(hash, |(held, _)| held.is(&asked))?;
        Some((held.as_str(), value))
    }

    /// The value of `key`, mutable.
    #[inline]
    pub fn get_mut(&mut self, key: &str) -> Option<&mut V> {
        let (hash, asked) = self.ask(key);
        let (_, value) = self.table.get_mut(hash, |(held, _)| held.is(&asked))?;
        Some(value)
    }

    /// Whether `key` is there.
    #[inline]
    pub fn contains_key(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// Sets the value of `key` and returns the one it had. The map keeps the key it has.
    #[inline]
    pub fn insert<K: AsRef<str> + Into<Box<str>>>(&mut self, key: K, value: V) -> Option<V> {
        match self.entry(key) {
            Entry::Occupied(mut entry) => Some(mem::replace(entry.get_mut(), value)),
            Entry::Vacant(entry) => {
                entry.insert(value);
                None
            }
        }
    }

    /// Takes `key` out and returns its value.
    #[inline]
    pub fn remove(&mut self, key: &str) -> Option<V> {
        self.remove_entry(key).map(|(_, value)| value)
    }

    /// Takes `key` out and returns its entry.
    #[inline]
    pub fn remove_entry(&mut self, key: &str) -> Option<(StrKey, V)> {
        let (hash, asked) = self.ask(key);
        let build = &self.build;
        self.table.ebb(|(held, _)| hash_of_key(build, held));
        self.table.remove(hash, |(held, _)| held.is(&asked), |(held, _)| hash_of_key(build, held))
    }

    /// The place of `key`, to look at and to change in one lookup. A `&str` becomes an owned key only when it is inserted.
    #[inline]
    pub fn entry<K: AsRef<str> + Into<Box<str>>>(&mut self, key: K) -> Entry<'_, K, V, A, L> {
        let (hash, asked) = self.ask(key.as_ref());
        let build = &self.build;
        match self.table.cell(hash, |(held, _)| held.is(&asked), |(held, _)| hash_of_key(build, held)) {
            Ok(inner) => Entry::Occupied(OccupiedEntry { inner }),
            Err(inner) => Entry::Vacant(VacantEntry { inner, key, hash }),
        }
    }

    /// The place of `key`, by reference: [`entry`](Self::entry) under the name that hashbrown's users look for.
    #[inline]
    pub fn entry_ref<'q>(&mut self, key: &'q str) -> Entry<'_, &'q str, V, A, L> {
        self.entry(key)
    }

    /// `key` ready for comparison, and its hash.
    #[inline(always)]
    pub(crate) fn ask<'q>(&self, key: &'q str) -> (u64, Asked<'q>) {
        let hash = hash_of(&self.build, key);
        (hash, Asked::new(key, hash))
    }

    /// Panics unless the table's invariants hold. O(entries).
    #[doc(hidden)]
    pub fn check(&self) {
        self.table.check(|(key, _)| hash_of_key(&self.build, key));
    }
}
