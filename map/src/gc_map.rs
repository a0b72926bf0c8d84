//! `GcMap`: a map that lives in an arena, its body apart from its handle.
//!
//! Owned by the feature `gc`. Invariant: no reference into the table outlives a call, and every call that may store a
//! pointer tells the collector first; so the body can be traced a segment at a time.

#![allow(unsafe_code)]

use crate::hash::hash_of;
use crate::pages::Pages;
use crate::raw::RawTable;
use crate::raw::check::TableStats;
use crate::raw::layout::{Scrubbed, Split};
use crate::raw::storage::TryReserveError;
use crate::raw::visit::Occupancy;
use bucketmask_gc::collect::Trace;
use bucketmask_gc::{Collect, Gc, Mutation, Walk};
use core::borrow::Borrow;
use core::cell::RefCell;
use core::fmt;
use core::hash::{BuildHasher, Hash};
use core::mem;
use std::collections::hash_map::RandomState;

/// Vacated slots are zeroed, so that a flat walk, which masks are measured against, is possible.
type Table<K, V> = RawTable<(K, V), Pages, Scrubbed<Split>>;

/// A hash map in a collector's arena: a small, `Copy` handle to a body that grows in place and is traced by its masks.
///
/// Entries are read by copy ([`get`](Self::get)) or inside a closure ([`with`](Self::with)); a reference to the table
/// never escapes. Calls that change the map take the arena's [`Mutation`] and run the write barrier.
///
/// # Panics
///
/// A closure that changes the map it was called by panics, as does a key whose `Hash` or `Eq` does so; reading inside a
/// reading closure is fine.
///
/// ```
/// use bucketmask_gc::{Arena, Gc, Rootable};
/// use bucketmask_map::GcMap;
///
/// type Ages<'gc> = GcMap<'gc, u64, Gc<'gc, String>>;
/// let mut arena = Arena::<Rootable![Ages<'_>]>::new(|mc| GcMap::new(mc));
/// arena.mutate(|mc, map| {
///     map.insert(mc, 1, Gc::new(mc, "one".to_owned()));
///     assert_eq!(map.get(&1).map(|one| one.len()), Some(3));
/// });
/// ```
pub struct GcMap<'gc, K: 'gc, V: 'gc, S: 'gc = RandomState> {
    body: Gc<'gc, Body<K, V, S>>,
}

/// What lives in the arena: the table, and the hasher.
struct Body<K, V, S> {
    table: RefCell<Table<K, V>>,
    build: S,
    /// Offset of a word that is never zero in an entry, for walks that test slots.
    flat_word: Option<usize>,
}

/// A value that is one word and never all zero, so that a zeroed slot can be told from an entry by its value.
///
/// # Safety
/// The type has the size and alignment of `usize`, no uninitialised bytes, and no value whose bytes are all zero.
#[doc(hidden)]
pub unsafe trait NeverZero {}

// SAFETY: a `Gc` is one thin pointer to a live object.
unsafe impl<T> NeverZero for Gc<'_, T> {}

impl<K, V, S> Clone for GcMap<'_, K, V, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K, V, S> Copy for GcMap<'_, K, V, S> {}

// SAFETY: the handle owns its body's pointer and nothing else.
unsafe impl<'gc, K: Collect<'gc> + 'gc, V: Collect<'gc> + 'gc, S: 'static> Collect<'gc>
    for GcMap<'gc, K, V, S>
{
    fn trace<T: Trace<'gc>>(&self, cc: &mut T) {
        cc.trace(&self.body);
    }
}

// SAFETY: all keys and values are traced; the hasher is 'static. New pointers enter through `GcMap::change` alone, which
// runs the barrier. Dropping a table drops its entries and looks at none of them.
unsafe impl<'gc, K: Collect<'gc>, V: Collect<'gc>, S: 'static> Collect<'gc> for Body<K, V, S> {
    const NEEDS_TRACE: bool = K::NEEDS_TRACE || V::NEEDS_TRACE;

    fn trace<T: Trace<'gc>>(&self, cc: &mut T) {
        let by = match (cc.walk(), self.flat_word) {
            (Walk::Flat, Some(offset)) => Occupancy::Slots(offset),
            _ => Occupancy::Masks,
        };
        // No closure of the program runs while the collector does, so the cell is free.
        let table = self.table.borrow();
        // SAFETY: `flat_word` is set for values that are never zero only, and the layout scrubs.
        let looked = unsafe {
            table.visit(0..usize::MAX, by, |(key, value)| {
                cc.trace(key);
                cc.trace(value);
            })
        };
        cc.count_slots(looked.at, looked.past);
    }
}

impl<'gc, K: Collect<'gc> + 'gc, V: Collect<'gc> + 'gc> GcMap<'gc, K, V> {
    /// An empty map.
    #[must_use]
    pub fn new(mc: &Mutation<'gc>) -> Self {
        Self::with_hasher(mc, RandomState::new())
    }
}

impl<'gc, K: Collect<'gc> + 'gc, V: Collect<'gc> + 'gc, S: 'static> GcMap<'gc, K, V, S> {
    /// An empty map that hashes with `build`.
    #[must_use]
    pub fn with_hasher(mc: &Mutation<'gc>, build: S) -> Self {
        Self::of(mc, RawTable::new_in(Pages), build, None)
    }

    /// An empty map that takes `capacity` entries before it grows.
    ///
    /// # Panics
    /// If the table would be larger than the address space.
    #[must_use]
    pub fn with_capacity_and_hasher(mc: &Mutation<'gc>, capacity: usize, build: S) -> Self {
        let table = RawTable::with_capacity_in(capacity, Pages).unwrap_or_else(|error| error.raise());
        Self::of(mc, table, build, None)
    }

    /// An empty map that a flat walk of the collector tests slot by slot, for measurements.
    #[doc(hidden)]
    #[must_use]
    pub fn for_flat_walks(mc: &Mutation<'gc>, build: S) -> Self
    where
        V: NeverZero,
    {
        Self::of(mc, RawTable::new_in(Pages), build, Some(mem::offset_of!((K, V), 1)))
    }

    fn of(mc: &Mutation<'gc>, table: Table<K, V>, build: S, flat_word: Option<usize>) -> Self {
        Self { body: Gc::new(mc, Body { table: RefCell::new(table), build, flat_word }) }
    }

    /// The table, to change: the collector is told that the body takes up pointers.
    #[inline(always)]
    fn change<R>(self, mc: &Mutation<'gc>, change: impl FnOnce(&mut Table<K, V>, &S) -> R) -> R {
        mc.backward_barrier(Gc::erase(self.body), None);
        change(&mut self.body.table.borrow_mut(), &self.body.build)
    }

    /// Entries in the map.
    pub fn len(&self) -> usize {
        self.body.table.borrow().len
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the table is made of. O(buckets).
    pub fn stats(&self) -> TableStats {
        self.body.table.borrow().stats()
    }

    /// Shows every entry to `visit`, in the order of the hashes.
    pub fn for_each(&self, mut visit: impl FnMut(&K, &V)) {
        self.body.table.borrow().iter().for_each(|(key, value)| visit(key, value));
    }

    /// Keeps the entries for which `keep` is true. O(entries), by masks.
    pub fn retain(&self, mc: &Mutation<'gc>, mut keep: impl FnMut(&K, &mut V) -> bool) {
        self.change(mc, |table, _| table.retain(|(key, value)| keep(key, value)));
    }

    /// Drops all entries and keeps the memory.
    pub fn clear(&self, mc: &Mutation<'gc>) {
        self.change(mc, |table, _| table.clear());
    }

    /// Whether both are handles of one map.
    pub fn same_map(&self, other: &Self) -> bool {
        Gc::ptr_eq(self.body, other.body)
    }
}

impl<'gc, K: Collect<'gc> + Eq + Hash + 'gc, V: Collect<'gc> + 'gc, S: BuildHasher + 'static>
    GcMap<'gc, K, V, S>
{
    /// A copy of the value of `key`.
    #[inline]
    pub fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        V: Copy,
    {
        self.with(key, |value| *value)
    }

    /// Shows the value of `key` to `look`.
    #[inline]
    pub fn with<Q: Hash + Eq + ?Sized, R>(&self, key: &Q, look: impl FnOnce(&V) -> R) -> Option<R>
    where
        K: Borrow<Q>,
    {
        let table = self.body.table.borrow();
        let hash = hash_of(&self.body.build, key);
        table.get(hash, |(held, _)| held.borrow() == key).map(|(_, value)| look(value))
    }

    /// Whether `key` is there.
    #[inline]
    pub fn contains_key<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.with(key, |_| ()).is_some()
    }

    /// Sets the value of `key` and returns the one it had.
    #[inline]
    pub fn insert(&self, mc: &Mutation<'gc>, key: K, value: V) -> Option<V> {
        self.change(mc, |table, build| {
            let hash = hash_of(build, &key);
            match table.cell(hash, |(held, _)| *held == key, |(held, _)| hash_of(build, held)) {
                Ok(mut occupied) => Some(mem::replace(&mut occupied.get_mut().1, value)),
                Err(vacant) => {
                    vacant.insert((key, value));
                    None
                }
            }
        })
    }

    /// A copy of the value of `key`, after inserting what `make` makes if there was none. `make` must not use this map.
    pub fn get_or_insert_with(&self, mc: &Mutation<'gc>, key: K, make: impl FnOnce() -> V) -> V
    where
        V: Copy,
    {
        self.change(mc, |table, build| {
            let hash = hash_of(build, &key);
            match table.cell(hash, |(held, _)| *held == key, |(held, _)| hash_of(build, held)) {
                Ok(occupied) => occupied.get().1,
                Err(vacant) => vacant.insert((key, make())).1,
            }
        })
    }

    /// Takes `key` out and returns its value.
    #[inline]
    pub fn remove<Q: Hash + Eq + ?Sized>(&self, mc: &Mutation<'gc>, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.change(mc, |table, build| {
            let rehash = |(held, _): &(K, V)| hash_of(build, held);
            table
                .remove(hash_of(build, key), |(held, _)| held.borrow() == key, rehash)
                .map(|(_, value)| value)
        })
    }

    /// Makes room for `additional` more entries.
    ///
    /// # Errors
    /// The table would be larger than the address space, or there is no memory; the map is unchanged.
    pub fn try_reserve(&self, mc: &Mutation<'gc>, additional: usize) -> Result<(), TryReserveError> {
        self.change(mc, |table, build| table.reserve(additional, |(key, _)| hash_of(build, key)))
    }

    /// Rebuilds the table in as little memory as its entries need. O(entries + buckets).
    pub fn shrink_to_fit(&self, mc: &Mutation<'gc>) {
        let shrunk = self.change(mc, |table, build| table.shrink_to(0, |(key, _)| hash_of(build, key)));
        shrunk.unwrap_or_else(|error| error.raise());
    }

    /// Panics unless the table's invariants hold. O(entries).
    #[doc(hidden)]
    pub fn check(&self) {
        self.body.table.borrow().check(|(key, _)| hash_of(&self.body.build, key));
    }
}

impl<'gc, K: Collect<'gc> + fmt::Debug + 'gc, V: Collect<'gc> + fmt::Debug + 'gc, S: 'static> fmt::Debug
    for GcMap<'gc, K, V, S>
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.body.table.borrow().iter().map(|(key, value)| (key, value))).finish()
    }
}
