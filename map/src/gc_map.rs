//! `GcMap`: a map that lives in an arena, its body apart from its handle.
//!
//! Owned by the feature `gc`. Invariant: every call that may store a pointer tells the collector; what it is told, and how the
//! body is traced in parts, is in `gc_body`.

#![allow(unsafe_code)]

use crate::gc_body::{Body, Table};
use crate::hash::hash_of;
use crate::pages::Pages;
use crate::raw::RawTable;
use crate::raw::check::TableStats;
use crate::raw::storage::TryReserveError;
use bucketmask_gc::collect::Trace;
use bucketmask_gc::{Collect, Gc, Mutation};
use core::borrow::Borrow;
use core::fmt;
use core::hash::{BuildHasher, Hash};
use core::mem;
use std::collections::hash_map::RandomState;

/// A hash map in a collector's arena: a small, `Copy` handle to a body that grows in place and is traced by its masks.
///
/// Entries are read by copy ([`get`](Self::get)) or inside a closure ([`with`](Self::with)); a reference to the table
/// never escapes. Calls that change the map take the arena's [`Mutation`] and run the write barrier: one that concerns what
/// they put in, where a barrier on the whole map would have all of it traced again.
///
/// A collection traces the map in parts, so that a map of any size fits steps of any
/// [budget](bucketmask_gc::Budget); a dead one is dropped, and its memory given back, in parts as well. A map that holds
/// little in much memory shrinks while it is traced, see [`set_shrinking`](Self::set_shrinking).
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
    body: Gc<'gc, Body<(K, V), S>>,
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

    fn of(mc: &Mutation<'gc>, table: Table<(K, V)>, build: S, flat_word: Option<usize>) -> Self {
        Self { body: Body::alloc(mc, table, build, flat_word) }
    }

    /// The table, to change, where what is taken up is told otherwise.
    #[inline(always)]
    fn change<R>(self, change: impl FnOnce(&mut Table<(K, V)>, &S) -> R) -> R {
        let mut table = self.body.table.borrow_mut();
        let changed = change(&mut table, &self.body.build);
        self.body.account(&table);
        changed
    }

    /// Whether the map shrinks when it holds far less than its memory could (less than 3/8 of it, in a map that is large enough
    /// to grow in place): with removals, and inside collections, where its keys are hashed then. It does from the start; to
    /// keep the memory, say false, or reserve the room.
    pub fn set_shrinking(&self, mc: &Mutation<'gc>, shrinks: bool) {
        let _ = mc;
        self.body.shrinks.set(shrinks);
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
        // Values are shown to be changed: any of them may take up any pointer.
        mc.backward_barrier(Gc::erase(self.body), None);
        self.change(|table, _| table.retain(|(key, value)| keep(key, value)));
    }

    /// Drops all entries and keeps the memory.
    pub fn clear(&self, mc: &Mutation<'gc>) {
        let _ = mc;
        self.change(|table, _| table.clear());
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
        let entry = (key, value);
        Body::takes_up(self.body, mc, &entry);
        self.body.hash_by(Self::rehash);
        self.change(|table, build| {
            let hash = hash_of(build, &entry.0);
            match table.cell(hash, |(held, _)| *held == entry.0, |(held, _)| hash_of(build, held)) {
                Ok(mut occupied) => Some(mem::replace(&mut occupied.get_mut().1, entry.1)),
                Err(vacant) => {
                    vacant.insert(entry);
                    None
                }
            }
        })
    }

    /// The hash of an entry.
    fn rehash(build: &S, entry: &(K, V)) -> u64 {
        hash_of(build, &entry.0)
    }

    /// A copy of the value of `key`, after inserting what `make` makes if there was none. `make` must not use this map.
    pub fn get_or_insert_with(&self, mc: &Mutation<'gc>, key: K, make: impl FnOnce() -> V) -> V
    where
        V: Copy,
    {
        self.body.hash_by(Self::rehash);
        self.change(|table, build| {
            let hash = hash_of(build, &key);
            match table.cell(hash, |(held, _)| *held == key, |(held, _)| hash_of(build, held)) {
                Ok(occupied) => occupied.get().1,
                Err(vacant) => {
                    let entry = (key, make());
                    Body::takes_up(self.body, mc, &entry);
                    vacant.insert(entry).1
                }
            }
        })
    }

    /// Takes `key` out and returns its value.
    #[inline]
    pub fn remove<Q: Hash + Eq + ?Sized>(&self, mc: &Mutation<'gc>, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let _ = mc;
        self.change(|table, build| {
            let rehash = |(held, _): &(K, V)| hash_of(build, held);
            if self.body.shrinks.get() {
                table.ebb(rehash);
            }
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
        let _ = mc;
        self.change(|table, build| table.reserve(additional, |(key, _)| hash_of(build, key)))
    }

    /// Rebuilds the table in as little memory as its entries need. O(entries + buckets).
    pub fn shrink_to_fit(&self, mc: &Mutation<'gc>) {
        let _ = mc;
        let shrunk = self.change(|table, build| table.shrink_to(0, |(key, _)| hash_of(build, key)));
        shrunk.unwrap_or_else(|error| error.raise());
    }

    /// Mask words that the collection under way has traced, if it is in the midst of this map.
    #[doc(hidden)]
    pub fn traced_words(&self) -> usize {
        self.body.traced()
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
