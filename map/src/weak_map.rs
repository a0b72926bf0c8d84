//! `WeakMap`: a map in an arena that keeps an entry only while something else keeps its key.
//!
//! Owned by the feature `gc`. Keys are objects, told apart by their addresses; entries are ephemerons: a value is traced once its
//! key is marked, so a value that leads to its own key keeps neither. Invariant: an entry whose key was found dead leaves the table before
//! the sweep of that collection ends, and nobody is shown it in between.

#![allow(unsafe_code)]

use crate::gc_body::{Body, Entry, Table};
use crate::hash::finalise;
use crate::pages::Pages;
use crate::raw::RawTable;
use crate::raw::check::TableStats;
use bucketmask_gc::collect::Trace;
use bucketmask_gc::{Collect, Gc, GcWeak, Mutation};
use core::fmt;
use core::mem;

/// A map from objects of an arena to values, that keeps no key alive: a small, `Copy` handle to a body in the arena.
///
/// When a collection finds that only such maps lead to a key, its entries go, and so do the values. A value that refers to its own key
/// does not keep it (such maps are *ephemeron tables*). It costs a collection time in proportion to the entries, whatever
/// refers to what: an entry whose key was not found yet waits, and is woken by the key.
///
/// Entries are read by copy ([`get`](Self::get)) or inside a closure ([`with`](Self::with)). The order of walks is not specified.
///
/// # Panics
///
/// A closure that changes the map it was called by panics; reading inside a reading closure is fine.
///
/// ```
/// use bucketmask_gc::{Arena, Gc, Rootable};
/// use bucketmask_map::WeakMap;
///
/// type Notes<'gc> = (WeakMap<'gc, String, u32>, Vec<Gc<'gc, String>>);
/// let mut arena = Arena::<Rootable![Notes<'_>]>::new(|mc| (WeakMap::new(mc), Vec::new()));
/// arena.mutate_root(|mc, (notes, kept)| {
///     for (number, name) in ["kept", "gone"].into_iter().enumerate() {
///         let object = Gc::new(mc, name.to_owned());
///         notes.insert(mc, object, number as u32);
///         kept.push(object);
///     }
///     kept.pop();
/// });
/// arena.finish_cycle();
/// arena.mutate(|_, (notes, kept)| {
///     assert_eq!(notes.len(), 1);
///     assert_eq!(notes.get(kept[0]), Some(0));
/// });
/// ```
pub struct WeakMap<'gc, K: 'gc, V: 'gc> {
    body: Gc<'gc, Body<WeakEntry<'gc, K, V>, ()>>,
}

struct WeakEntry<'gc, K: 'gc, V> {
    key: GcWeak<'gc, K>,
    value: V,
}

/// The hash of an address: its own bits, less those that are the same for all objects.
#[inline(always)]
fn hash_at(address: *const u8) -> u64 {
    let bits = address.addr() as u64 >> 3;
    finalise(bits ^ bits >> 24)
}

impl<'gc, K: 'gc, V> WeakEntry<'gc, K, V> {
    #[inline(always)]
    fn address(&self) -> *const u8 {
        self.key.as_ptr().cast()
    }

    fn rehash((): &(), entry: &Self) -> u64 {
        hash_at(entry.address())
    }
}

impl<'gc, K: 'gc, V: Collect<'gc>> Entry<'gc> for WeakEntry<'gc, K, V> {
    const NEEDS_TRACE: bool = true;

    fn trace_entry<T: Trace<'gc>>(&self, owner: Gc<'gc, ()>, cc: &mut T) {
        let key = GcWeak::erase(self.key);
        cc.trace_gc_weak(key);
        if cc.trace_ephemeron(key, owner, 0) {
            cc.trace(&self.value);
            cc.end_ephemeron();
        }
    }

    fn wake<T: Trace<'gc>>(table: &Table<Self>, key: *const u8, cc: &mut T) {
        if let Some(entry) = table.get(hash_at(key), |entry| entry.address() == key) {
            cc.trace(&entry.value);
        }
    }

    fn forget(table: &mut Table<Self>, key: *const u8) -> Option<Self> {
        table.remove(hash_at(key), |entry| entry.address() == key, |entry| hash_at(entry.address()))
    }
}

/// An entry about to go into a map, for the barrier.
struct Arriving<'a, 'gc, K: 'gc, V>(&'a WeakEntry<'gc, K, V>, Gc<'gc, ()>);

// SAFETY: the entry's pointers are traced; the map's only names the map.
unsafe impl<'gc, K: 'gc, V: Collect<'gc>> Collect<'gc> for Arriving<'_, 'gc, K, V> {
    fn trace<T: Trace<'gc>>(&self, cc: &mut T) {
        self.0.trace_entry(self.1, cc);
    }
}

impl<K, V> Clone for WeakMap<'_, K, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K, V> Copy for WeakMap<'_, K, V> {}

// SAFETY: the handle owns its body's pointer and nothing else.
unsafe impl<'gc, K: 'gc, V: Collect<'gc> + 'gc> Collect<'gc> for WeakMap<'gc, K, V> {
    fn trace<T: Trace<'gc>>(&self, cc: &mut T) {
        cc.trace(&self.body);
    }
}

impl<'gc, K: 'gc, V: Collect<'gc> + 'gc> WeakMap<'gc, K, V> {
    /// An empty map.
    #[must_use]
    pub fn new(mc: &Mutation<'gc>) -> Self {
        let body = Body::alloc(mc, RawTable::new_in(Pages), (), None);
        body.hash_by(WeakEntry::rehash);
        Self { body }
    }

    /// Entries in the map. While a collection sweeps, those that it has found dead may be among them still.
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

    /// Whether both are handles of one map.
    pub fn same_map(&self, other: &Self) -> bool {
        Gc::ptr_eq(self.body, other.body)
    }

    /// Shows every entry whose key is alive to `visit`. What keys are shown that nothing else keeps may go with the next collection.
    pub fn for_each(&self, mc: &Mutation<'gc>, mut visit: impl FnMut(Gc<'gc, K>, &V)) {
        for entry in self.body.table.borrow().iter() {
            if let Some(key) = entry.key.upgrade(mc) {
                visit(key, &entry.value);
            }
        }
    }

    /// A copy of the value of `key`.
    #[inline]
    pub fn get(&self, key: Gc<'gc, K>) -> Option<V>
    where
        V: Copy,
    {
        self.with(key, |value| *value)
    }

    /// Shows the value of `key` to `look`.
    #[inline]
    pub fn with<R>(&self, key: Gc<'gc, K>, look: impl FnOnce(&V) -> R) -> Option<R> {
        let address = Gc::as_ptr(key).cast();
        let table = self.body.table.borrow();
        table.get(hash_at(address), |entry| entry.address() == address).map(|entry| look(&entry.value))
    }

    /// Whether `key` is there.
    #[inline]
    pub fn contains_key(&self, key: Gc<'gc, K>) -> bool {
        self.with(key, |_| ()).is_some()
    }

    /// Sets the value of `key` and returns the one it had.
    pub fn insert(&self, mc: &Mutation<'gc>, key: Gc<'gc, K>, value: V) -> Option<V> {
        let entry = WeakEntry { key: Gc::downgrade(key), value };
        Body::takes_up(self.body, mc, &Arriving(&entry, Gc::erase(self.body)));
        let address = entry.address();
        let mut table = self.body.table.borrow_mut();
        let rehash = |held: &WeakEntry<'gc, K, V>| hash_at(held.address());
        let old = match table.cell(hash_at(address), |held| held.address() == address, rehash) {
            Ok(mut occupied) => Some(mem::replace(&mut occupied.get_mut().value, entry.value)),
            Err(vacant) => {
                vacant.insert(entry);
                None
            }
        };
        self.body.account(&table);
        old
    }

    /// Takes `key` out and returns its value.
    pub fn remove(&self, mc: &Mutation<'gc>, key: Gc<'gc, K>) -> Option<V> {
        let _ = mc;
        let mut table = self.body.table.borrow_mut();
        table.ebb(|entry| hash_at(entry.address()));
        WeakEntry::forget(&mut table, Gc::as_ptr(key).cast()).map(|entry| entry.value)
    }

    /// Drops all entries and keeps the memory.
    pub fn clear(&self, mc: &Mutation<'gc>) {
        let _ = mc;
        self.body.table.borrow_mut().clear();
    }

    /// Panics unless the table's invariants hold. O(entries).
    #[doc(hidden)]
    pub fn check(&self) {
        self.body.table.borrow().check(|entry| hash_at(entry.address()));
    }
}

impl<'gc, K: 'gc, V: Collect<'gc> + 'gc> fmt::Debug for WeakMap<'gc, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WeakMap({} entries)", self.len())
    }
}
