//! `GcStrMap`: a map from strings in an arena, whose short keys lie in the table.
//!
//! Owned by the feature `gc`. Invariant: as in `gc_map`; keys are texts, so only values are traced.

#![allow(unsafe_code)]

use crate::gc_body::{Body, Table};
use crate::pages::Pages;
use crate::raw::RawTable;
use crate::raw::check::TableStats;
use crate::raw::short::{Asked, StrKey};
use crate::raw::storage::TryReserveError;
use crate::str_map::{hash_of, hash_of_key};
use bucketmask_gc::collect::Trace;
use bucketmask_gc::{Collect, Gc, Mutation};
use core::fmt;
use core::hash::BuildHasher;
use core::mem;
use std::collections::hash_map::RandomState;

/// A map from strings in a collector's arena: a small, `Copy` handle to a body that grows in place and is traced by its masks.
///
/// Keys are those of [`StrMap`](crate::StrMap): up to 23 bytes lie in the table. All else is as in [`GcMap`](crate::GcMap).
///
/// ```
/// use bucketmask_gc::{Arena, Gc, Rootable};
/// use bucketmask_map::GcStrMap;
///
/// type Globals<'gc> = GcStrMap<'gc, Gc<'gc, i64>>;
/// let mut arena = Arena::<Rootable![Globals<'_>]>::new(|mc| GcStrMap::new(mc));
/// arena.mutate(|mc, globals| {
///     globals.insert(mc, "answer", Gc::new(mc, 42));
///     assert_eq!(globals.get("answer").map(|value| *value), Some(42));
///     assert!(globals.get("question").is_none());
/// });
/// ```
pub struct GcStrMap<'gc, V: 'gc, S: 'gc = RandomState> {
    body: Gc<'gc, Body<(StrKey, V), S>>,
}

// SAFETY: a text, without pointers into an arena.
unsafe impl Collect<'_> for StrKey {
    const NEEDS_TRACE: bool = false;
}

impl<V, S> Clone for GcStrMap<'_, V, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<V, S> Copy for GcStrMap<'_, V, S> {}

// SAFETY: the handle owns its body's pointer and nothing else.
unsafe impl<'gc, V: Collect<'gc> + 'gc, S: 'static> Collect<'gc> for GcStrMap<'gc, V, S> {
    fn trace<T: Trace<'gc>>(&self, cc: &mut T) {
        cc.trace(&self.body);
    }
}

impl<'gc, V: Collect<'gc> + 'gc> GcStrMap<'gc, V> {
    /// An empty map.
    #[must_use]
    pub fn new(mc: &Mutation<'gc>) -> Self {
        Self::with_hasher(mc, RandomState::new())
    }
}

impl<'gc, V: Collect<'gc> + 'gc, S: 'static> GcStrMap<'gc, V, S> {
    /// An empty map that hashes with `build`.
    #[must_use]
    pub fn with_hasher(mc: &Mutation<'gc>, build: S) -> Self {
        Self { body: Body::alloc(mc, RawTable::new_in(Pages), build, None) }
    }

    #[inline(always)]
    fn change<R>(self, change: impl FnOnce(&mut Table<(StrKey, V)>, &S) -> R) -> R {
        let mut table = self.body.table.borrow_mut();
        let changed = change(&mut table, &self.body.build);
        self.body.account(&table);
        changed
    }

    /// As [`GcMap::set_shrinking`](crate::GcMap::set_shrinking).
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
    pub fn for_each(&self, mut visit: impl FnMut(&str, &V)) {
        self.body.table.borrow().iter().for_each(|(key, value)| visit(key.as_str(), value));
    }

    /// Keeps the entries for which `keep` is true. O(entries), by masks.
    pub fn retain(&self, mc: &Mutation<'gc>, mut keep: impl FnMut(&str, &mut V) -> bool) {
        // Values are shown to be changed: any of them may take up any pointer.
        mc.backward_barrier(Gc::erase(self.body), None);
        self.change(|table, _| table.retain(|(key, value)| keep(key.as_str(), value)));
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

impl<'gc, V: Collect<'gc> + 'gc, S: BuildHasher + 'static> GcStrMap<'gc, V, S> {
    /// The hash of an entry.
    fn rehash(build: &S, entry: &(StrKey, V)) -> u64 {
        hash_of_key(build, &entry.0)
    }

    /// A copy of the value of `key`.
    #[inline]
    pub fn get(&self, key: &str) -> Option<V>
    where
        V: Copy,
    {
        self.with(key, |value| *value)
    }

    /// Shows the value of `key` to `look`.
    #[inline]
    pub fn with<R>(&self, key: &str, look: impl FnOnce(&V) -> R) -> Option<R> {
        let table = self.body.table.borrow();
        let hash = hash_of(&self.body.build, key);
        let asked = Asked::new(key, hash);
        table.get(hash, |(held, _)| held.is(&asked)).map(|(_, value)| look(value))
    }

    /// Whether `key` is there.
    #[inline]
    pub fn contains_key(&self, key: &str) -> bool {
        self.with(key, |_| ()).is_some()
    }

    /// Sets the value of `key` and returns the one it had.
    pub fn insert(&self, mc: &Mutation<'gc>, key: &str, value: V) -> Option<V> {
        Body::takes_up(self.body, mc, &value);
        self.body.hash_by(Self::rehash);
        self.change(|table, build| {
            let hash = hash_of(build, key);
            let asked = Asked::new(key, hash);
            match table.cell(hash, |(held, _)| held.is(&asked), |entry| Self::rehash(build, entry)) {
                Ok(mut occupied) => Some(mem::replace(&mut occupied.get_mut().1, value)),
                Err(vacant) => {
                    vacant.insert((StrKey::new(key, hash), value));
                    None
                }
            }
        })
    }

    /// Takes `key` out and returns its value.
    pub fn remove(&self, mc: &Mutation<'gc>, key: &str) -> Option<V> {
        let _ = mc;
        self.change(|table, build| {
            let rehash = |entry: &(StrKey, V)| Self::rehash(build, entry);
            if self.body.shrinks.get() {
                table.ebb(rehash);
            }
            let hash = hash_of(build, key);
            let asked = Asked::new(key, hash);
            table.remove(hash, |(held, _)| held.is(&asked), rehash).map(|(_, value)| value)
        })
    }

    /// Makes room for `additional` more entries.
    ///
    /// # Errors
    /// The table would be larger than the address space, or there is no memory; the map is unchanged.
    pub fn try_reserve(&self, mc: &Mutation<'gc>, additional: usize) -> Result<(), TryReserveError> {
        let _ = mc;
        self.change(|table, build| table.reserve(additional, |entry| Self::rehash(build, entry)))
    }

    /// Panics unless the table's invariants hold. O(entries).
    #[doc(hidden)]
    pub fn check(&self) {
        self.body.table.borrow().check(|entry| Self::rehash(&self.body.build, entry));
    }
}

impl<'gc, V: Collect<'gc> + fmt::Debug + 'gc, S: 'static> fmt::Debug for GcStrMap<'gc, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.body.table.borrow().iter().map(|(key, value)| (key.as_str(), value)))
            .finish()
    }
}
