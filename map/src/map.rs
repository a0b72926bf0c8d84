//! `HashMap`: the safe face of the table.
//!
//! Owned by the crate's users. Invariant: user code runs before the table changes: a lookup first, then growth and
//! repair, then the entry is written.

use crate::entry::{Entry, OccupiedEntry, OccupiedError, VacantEntry};
use crate::entry_ref::{EntryRef, VacantEntryRef};
use crate::hash::hash_of;
use crate::iter::{Drain, ExtractIf, IntoKeys, IntoValues, Iter, IterMut, Keys, Values, ValuesMut};
use crate::pages::Pages;
use crate::raw::check::TableStats;
use crate::raw::layout::{Auto, Layout};
use crate::raw::storage::TryReserveError;
use crate::raw::text;
use crate::raw::{Cell, RawTable};
use allocator_api2::alloc::Allocator;
use core::hash::{BuildHasher, Hash};
use core::mem;
use equivalent::Equivalent;
use std::collections::hash_map::RandomState;

/// A hash map with std's interface that grows without a pause.
///
/// Lookups, inserts and removals take expected O(1). A table of 64 KiB and more grows in place, a few buckets with each
/// insert, inside a reserved range, and shrinks in the same way when entries are removed, but not below what
/// [`reserve`](Self::reserve) and [`with_capacity`](Self::with_capacity) promised; a smaller one is copied. Keys whose
/// hashes are equal are found by walking all of them.
///
/// As in std, a key must not change its hash or equality while it is in the map; if it does, lookups answer something
/// unspecified, and memory safety holds.
///
/// `A` is where the memory comes from; only with the default, [`Pages`], is it a reserved range that grows in place.
/// `L` says how heads and slots lie in memory; leave it at its default unless you measure.
///
/// ```
/// use bucketmask_map::HashMap;
///
/// let mut ages = HashMap::new();
/// ages.insert("Ada", 36);
/// *ages.entry("Ada").or_insert(0) += 1;
/// assert_eq!(ages["Ada"], 37);
/// ```
pub struct HashMap<K, V, S = RandomState, A: Allocator = Pages, L: Layout = Auto> {
    pub(crate) table: RawTable<(K, V), A, L>,
    pub(crate) build: S,
}

impl<K, V> HashMap<K, V> {
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

impl<K, V, S> HashMap<K, V, S> {
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
        Self::with_capacity_in_layout(capacity, build)
    }
}

impl<K, V, A: Allocator> HashMap<K, V, RandomState, A> {
    /// An empty map that will take its memory from `alloc`.
    #[must_use]
    pub fn new_in(alloc: A) -> Self {
        Self::with_hasher_in(RandomState::new(), alloc)
    }

    /// An empty map in `alloc` that takes `capacity` entries before it grows.
    ///
    /// # Panics
    /// If the table would be larger than the address space.
    #[must_use]
    pub fn with_capacity_in(capacity: usize, alloc: A) -> Self {
        Self::with_capacity_and_hasher_in(capacity, RandomState::new(), alloc)
    }
}

impl<K, V, S, A: Allocator> HashMap<K, V, S, A> {
    /// An empty map that hashes with `build` and will take its memory from `alloc`.
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
        Self::with_capacity_in_layout_in(capacity, build, alloc)
    }
}

impl<K, V, S, A: Allocator + Default, L: Layout> HashMap<K, V, S, A, L> {
    /// An empty map of a chosen layout.
    #[must_use]
    pub fn in_layout(build: S) -> Self {
        Self::in_layout_in(build, A::default())
    }

    /// An empty map of a chosen layout that takes `capacity` entries before it grows.
    ///
    /// # Panics
    /// If the table would be larger than the address space.
    #[must_use]
    pub fn with_capacity_in_layout(capacity: usize, build: S) -> Self {
        Self::with_capacity_in_layout_in(capacity, build, A::default())
    }
}

impl<K, V, S, A: Allocator, L: Layout> HashMap<K, V, S, A, L> {
    /// An empty map of a chosen layout in `alloc`.
    #[must_use]
    pub const fn in_layout_in(build: S, alloc: A) -> Self {
        Self { table: RawTable::new_in(alloc), build }
    }

    /// An empty map of a chosen layout in `alloc` that takes `capacity` entries before it grows.
    ///
    /// # Panics
    /// If the table would be larger than the address space.
    #[must_use]
    pub fn with_capacity_in_layout_in(capacity: usize, build: S, alloc: A) -> Self {
        let table = RawTable::with_capacity_in(capacity, alloc).unwrap_or_else(|error| error.raise());
        Self { table, build }
    }

    /// The allocator.
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

    /// Bytes of the table's memory that are in use; reserved room that is not open does not count.
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
    pub fn iter(&self) -> Iter<'_, K, V, L> {
        Iter { inner: self.table.iter() }
    }

    /// The entries, values mutable, in the order of their hashes.
    pub fn iter_mut(&mut self) -> IterMut<'_, K, V, L> {
        IterMut { inner: self.table.iter_mut() }
    }

    /// The keys, in the order of their hashes.
    pub fn keys(&self) -> Keys<'_, K, V, L> {
        Keys { inner: self.iter() }
    }

    /// The values, in the order of their keys' hashes.
    pub fn values(&self) -> Values<'_, K, V, L> {
        Values { inner: self.iter() }
    }

    /// The values, mutable, in the order of their keys' hashes.
    pub fn values_mut(&mut self) -> ValuesMut<'_, K, V, L> {
        ValuesMut { inner: self.iter_mut() }
    }

    /// The keys, owned.
    pub fn into_keys(self) -> IntoKeys<K, V, A, L> {
        IntoKeys { inner: self.into_iter() }
    }

    /// The values, owned.
    pub fn into_values(self) -> IntoValues<K, V, A, L> {
        IntoValues { inner: self.into_iter() }
    }

    /// Takes all entries out and keeps the memory. Entries that the iterator did not reach are dropped with it; if it is
    /// leaked, they and the memory leak too.
    pub fn drain(&mut self) -> Drain<'_, K, V, A, L> {
        Drain { inner: self.table.drain() }
    }

    /// Keeps the entries for which `keep` is true. O(entries), by masks. It has no hasher, so marks of what has
    /// overflowed may stay; a later insert repairs them when that pays.
    pub fn retain<F>(&mut self, mut keep: F)
    where
        F: FnMut(&K, &mut V) -> bool,
    {
        self.table.retain(|(key, value)| keep(key, value));
    }

    /// Takes out the entries for which `chosen` is true, one at a time as the iterator is asked. Entries that it did not
    /// reach stay. Marks of what has overflowed as for [`retain`](Self::retain).
    pub fn extract_if<F>(&mut self, chosen: F) -> ExtractIf<'_, K, V, F, L>
    where
        F: FnMut(&K, &mut V) -> bool,
    {
        ExtractIf { inner: self.table.extract(), chosen }
    }

    /// Drops all entries and keeps the memory.
    pub fn clear(&mut self) {
        self.table.clear();
    }
}

impl<K, V, S, A, L> HashMap<K, V, S, A, L>
where
    K: Eq + Hash,
    S: BuildHasher,
    A: Allocator,
    L: Layout,
{
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
        self.table.reserve(additional, |(key, _)| hash_of(build, key))?;
        let len = self.table.len + additional;
        self.table.promise(len);
        Ok(())
    }

    /// Makes room for `additional` more entries, of which the map may get fewer: it keeps no memory for their sake.
    pub(crate) fn expect_more(&mut self, additional: usize) {
        let build = &self.build;
        let room = self.table.reserve(additional, |(key, _)| hash_of(build, key));
        room.unwrap_or_else(|error| error.raise());
    }

    /// Does a piece of the work that growth, shrinking or repair has left to later calls, for programs that have idle time;
    /// returns whether there is more. A piece is what one insert would do: it moves entries of a few buckets, or gives a
    /// few hundred KiB back to the system.
    ///
    /// ```
    /// let mut map: bucketmask_map::HashMap<u64, u64> = (0..100_000).map(|key| (key, key)).collect();
    /// while map.migrate_step() {}
    /// ```
    pub fn migrate_step(&mut self) -> bool {
        let build = &self.build;
        self.table.migrate_step(|(key, _)| hash_of(build, key))
    }

    /// Rebuilds the table in as little memory as its entries need. O(entries + buckets).
    pub fn shrink_to_fit(&mut self) {
        self.shrink_to(0);
    }

    /// Rebuilds the table in as little memory as its entries, and at least `capacity` of them, need.
    pub fn shrink_to(&mut self, capacity: usize) {
        let build = &self.build;
        let shrunk = self.table.shrink_to(capacity, |(key, _)| hash_of(build, key));
        shrunk.unwrap_or_else(|error| error.raise());
    }

    /// The value of `key`.
    #[inline]
    pub fn get<Q>(&self, key: &Q) -> Option<&V>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.get_key_value(key).map(|(_, value)| value)
    }

    /// The entry of `key`, with the key that the map holds.
    #[inline]
    pub fn get_key_value<Q>(&self, key: &Q) -> Option<(&K, &V)>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let (held, value) = self.table.get(hash_of(&self.build, key), |(held, _)| text::is_key(held, key))?;
        Some((held, value))
    }

    /// The value of `key`, mutable.
    #[inline]
    pub fn get_mut<Q>(&mut self, key: &Q) -> Option<&mut V>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.get_key_value_mut(key).map(|(_, value)| value)
    }

    /// The entry of `key`, with the key that the map holds, value mutable.
    #[inline]
    pub fn get_key_value_mut<Q>(&mut self, key: &Q) -> Option<(&K, &mut V)>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let (held, value) =
            self.table.get_mut(hash_of(&self.build, key), |(held, _)| text::is_key(held, key))?;
        Some((held, value))
    }

    /// Whether `key` is there.
    #[inline]
    pub fn contains_key<Q>(&self, key: &Q) -> bool
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.get(key).is_some()
    }

    /// Sets the value of `key` and returns the one it had. The map keeps the key it has.
    ///
    /// # Panics
    /// If the table would be larger than the address space.
    #[inline]
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let hash = hash_of(&self.build, &key);
        match self.table.cell_at_home(hash, |(held, _)| text::is_key(held, &key)) {
            Some(cell) => Self::put_into(cell, key, value),
            None => self.insert_beyond(hash, key, value),
        }
    }

    /// As `insert`, where the home bucket did not tell. Takes the key, whose address would otherwise have to be one for all inserts: a key of two
    /// halves was written to the stack in two and read back in one, which stalls.
    #[cold]
    #[inline(never)]
    fn insert_beyond(&mut self, hash: u64, key: K, value: V) -> Option<V> {
        let build = &self.build;
        let is_key = |(held, _): &(K, V)| text::is_key(held, &key);
        let cell = self.table.cell_beyond(hash, is_key, |(held, _)| hash_of(build, held));
        Self::put_into(cell, key, value)
    }

    /// Puts an entry where its place is; what was under its key.
    #[inline(always)]
    fn put_into(cell: Cell<'_, (K, V), A, L>, key: K, value: V) -> Option<V> {
        match cell {
            Ok(mut occupied) => Some(mem::replace(&mut occupied.get_mut().1, value)),
            Err(vacant) => {
                vacant.insert((key, value));
                None
            }
        }
    }

    /// Inserts `value` under `key`, unless the key is there already.
    ///
    /// # Errors
    /// The key is there: the error holds its place, and `value`.
    ///
    /// # Panics
    /// If the table would be larger than the address space.
    pub fn try_insert(&mut self, key: K, value: V) -> Result<&mut V, OccupiedError<'_, K, V, A, L>> {
        match self.entry(key) {
            Entry::Occupied(entry) => Err(OccupiedError { entry, value }),
            Entry::Vacant(entry) => Ok(entry.insert(value)),
        }
    }

    /// Inserts an entry whose key is known not to be there, without looking for it. Were the key there nevertheless, the
    /// map would hold it twice: lookups would then find either one; memory safety holds, so this is no unsafe function.
    ///
    /// # Panics
    /// If the table would be larger than the address space.
    #[inline]
    pub fn insert_unique_unchecked(&mut self, key: K, value: V) -> (&K, &mut V) {
        let hash = hash_of(&self.build, &key);
        let build = &self.build;
        let (key, value) = self.table.vacant(hash, |(held, _)| hash_of(build, held)).insert((key, value));
        (key, value)
    }

    /// Takes `key` out and returns its value.
    #[inline]
    pub fn remove<Q>(&mut self, key: &Q) -> Option<V>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.remove_entry(key).map(|(_, value)| value)
    }

    /// Takes `key` out and returns its entry.
    #[inline]
    pub fn remove_entry<Q>(&mut self, key: &Q) -> Option<(K, V)>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let build = &self.build;
        self.table.ebb(|(held, _)| hash_of(build, held));
        self.table.remove(
            hash_of(build, key),
            |(held, _)| text::is_key(held, key),
            |(held, _)| hash_of(build, held),
        )
    }

    /// The place of `key`, to look at and to change in one lookup.
    ///
    /// # Panics
    /// If the table would be larger than the address space.
    #[inline]
    pub fn entry(&mut self, key: K) -> Entry<'_, K, V, A, L> {
        match self.cell(&key) {
            Ok(inner) => Entry::Occupied(OccupiedEntry { inner }),
            Err(inner) => Entry::Vacant(VacantEntry { inner, key }),
        }
    }

    /// The place of `key`, which is made a key of the map's own only if it has to be inserted.
    ///
    /// # Panics
    /// If the table would be larger than the address space.
    #[inline]
    pub fn entry_ref<'a, 'b, Q>(&'a mut self, key: &'b Q) -> EntryRef<'a, 'b, K, Q, V, A, L>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        match self.cell(key) {
            Ok(inner) => EntryRef::Occupied(OccupiedEntry { inner }),
            Err(inner) => EntryRef::Vacant(VacantEntryRef { inner, key }),
        }
    }

    /// The place of `key` in the table, which is ready to take it.
    #[inline(always)]
    pub(crate) fn cell<Q>(&mut self, key: &Q) -> Cell<'_, (K, V), A, L>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let build = &self.build;
        self.table.cell(
            hash_of(build, key),
            |(held, _)| text::is_key(held, key),
            |(held, _)| hash_of(build, held),
        )
    }

    /// Panics unless the table's invariants hold. O(entries).
    #[doc(hidden)]
    pub fn check(&self) {
        self.table.check(|(key, _)| hash_of(&self.build, key));
    }
}
