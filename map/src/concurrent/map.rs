//! `ConcurrentMap` itself, and the conveniences that need no guard.
//!
//! Owned by the crate's users. Invariant: no method hands out a reference that is not tied to a guard, and none holds a lock when
//! it returns or calls a closure.

use super::core::Core;
use super::guard::sealed::Pinning;
use super::guard::{Guard, OwnedGuard};
use super::migrate::homes_for;
use super::rules::{Fresh, Rules};
use crate::epoch::{self, OldGuard};
use crate::hash::hash_of;
use core::fmt;
use core::hash::{BuildHasher, Hash};
use equivalent::Equivalent;
use std::collections::hash_map::RandomState;

/// Entries that are reserved on the word of an iterator alone.
const TRUSTED: usize = 1 << 20;

/// A hash map that many threads read and write at once.
///
/// A read takes no lock, writes nothing that others read, and does not wait, whatever writers do: also while the table
/// grows or shrinks, which writers do a few buckets at a time. Writers lock the bucket of their key.
///
/// What a reader is given is tied to a **guard** ([`pin`](Self::pin)), and stays as it was while the guard lives: entries are
/// replaced, never changed. A guard holds no lock, so that two of them, or one across an `await` ([`pin_owned`](Self::pin_owned)),
/// block nobody; it does hold back the freeing of what was replaced meanwhile, which
/// [`pending_bytes`](Self::pending_bytes) and [`oldest_guard`](Self::oldest_guard) show.
///
/// Each operation on a key is atomic: operations on one key are linearizable. Operations on several (`len`, iteration,
/// `clear`, `retain`) are not atomic as a whole, and say what they promise instead.
///
/// `Hash` and `Eq` of keys run with a bucket locked when a writer compares or moves entries: they must not use the map.
/// If one panics, its operation has no effect; if `Hash` panics while a writer moves entries, that writer's own operation is done
/// before. Closures and drops run unlocked. Drops of what was removed or replaced run at the end of some later operation, of any
/// thread; if one panics, that comes out of that operation, which is done. One that writes to a map leaves its garbage
/// for later, so drops do not nest.
///
/// After `fork`, a child never frees garbage if another thread of its parent had a guard, or was moving the epoch on, at that moment.
///
/// ```
/// use bucketmask_map::ConcurrentMap;
///
/// let map = ConcurrentMap::new();
/// std::thread::scope(|threads| {
///     for thread in 0..4u64 {
///         let map = &map;
///         threads.spawn(move || (0..1000).for_each(|n| assert!(!map.insert(thread * 1000 + n, n))));
///     }
/// });
/// let guard = map.pin();
/// assert_eq!((guard.get(&3999), guard.get(&4000), map.len()), (Some(&999), None, 4000));
/// ```
pub struct ConcurrentMap<K, V, S = RandomState, R: Rules = Fresh> {
    pub(super) core: Core<K, V, R>,
    pub(super) build: S,
}

impl<K, V> ConcurrentMap<K, V> {
    /// An empty map with a random state to hash by.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty map that takes `capacity` entries before it grows.
    ///
    /// # Panics
    /// If that is more than the address space holds.
    pub fn with_capacity(capacity: usize) -> Self {
        Self::with_capacity_and_hasher(capacity, RandomState::new())
    }
}

impl<K, V, S> ConcurrentMap<K, V, S> {
    /// An empty map that hashes by `build`.
    pub fn with_hasher(build: S) -> Self {
        Self::with_rules(0, build)
    }

    /// An empty map that hashes by `build` and takes `capacity` entries before it grows.
    ///
    /// # Panics
    /// If that is more than the address space holds.
    pub fn with_capacity_and_hasher(capacity: usize, build: S) -> Self {
        Self::with_rules(capacity, build)
    }
}

impl<K, V, S, R: Rules> ConcurrentMap<K, V, S, R> {
    /// An empty map that works by the rules `R`.
    #[doc(hidden)]
    pub fn with_rules(capacity: usize, build: S) -> Self {
        Self { core: Core::new(homes_for(capacity)), build }
    }

    /// The map's hasher.
    pub fn hasher(&self) -> &S {
        &self.build
    }

    /// A guard for this thread: its methods read and write the map and hand out references that live as long as it.
    ///
    /// Costs two plain stores, less where the thread has one already, and no fence.
    #[inline(always)]
    pub fn pin(&self) -> Guard<'_, K, V, S, R> {
        Guard::new(self, epoch::pin())
    }

    /// A guard that may move to another thread, or live across an `await`.
    ///
    /// Costs more than [`pin`](Self::pin): a walk over the process's records of threads and owned guards to the first that is
    /// free (as many as were in use at once, at most), a locked instruction to take it, two short locks, and a clone of the thread's handle.
    /// The first guard beyond all there were allocates a record, which is kept.
    pub fn pin_owned(&self) -> OwnedGuard<'_, K, V, S, R> {
        Guard::new(self, epoch::OwnedPin::new())
    }

    /// Number of entries: exact while nobody writes, otherwise off by at most the writes under way.
    pub fn len(&self) -> usize {
        self.core.len()
    }

    /// Whether there is no entry; as exact as [`len`](Self::len).
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of what was removed or replaced and is not freed yet, because guards may still see it: entries, overflow
    /// buckets, segments of old tables. Without what entries own elsewhere.
    pub fn pending_bytes(&self) -> usize {
        self.core.garbage.bytes(&self.core.lanes)
    }

    /// Frees what no guard can see any more. Returns the bytes that are left. Writers do so in passing; this is for who
    /// wants it done now. Called by a drop that is run here, or by a writer in passing, it frees nothing.
    pub fn collect_garbage(&self) -> usize {
        self.core.garbage.collect::<R>(&self.core.lanes)
    }

    /// The guard, of this or any other map, that holds freeing back longest.
    pub fn oldest_guard(&self) -> Option<OldGuard> {
        epoch::oldest_guard()
    }

    /// Bytes of the tables' home buckets, opened or not, without overflow buckets and entries.
    pub fn table_bytes(&self) -> usize {
        let _pin = epoch::pin();
        let table = self.core.first();
        let next = if table.next::<R>().is_null() { 0 } else { table.behind::<R>().homes };
        (table.homes + next) * size_of::<super::bucket::Bucket<K, V>>()
    }

    /// Whether entries are on their way to another table.
    pub fn is_migrating(&self) -> bool {
        let _pin = epoch::pin();
        !self.core.first().next::<R>().is_null()
    }
}

impl<K: Hash + Eq, V, S: BuildHasher, R: Rules> ConcurrentMap<K, V, S, R> {
    #[inline(always)]
    pub(super) fn hash<Q: Hash + ?Sized>(&self, key: &Q) -> u64 {
        hash_of(&self.build, key)
    }

    /// Calls `read` with the value of `key`. No lock is held meanwhile.
    pub fn read<Q, T>(&self, key: &Q, read: impl FnOnce(&V) -> T) -> Option<T>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.pin().get(key).map(read)
    }

    /// A clone of the value of `key`.
    pub fn get_cloned<Q>(&self, key: &Q) -> Option<V>
    where
        Q: Hash + Equivalent<K> + ?Sized,
        V: Clone,
    {
        self.read(key, V::clone)
    }

    /// Whether there is an entry of `key`.
    pub fn contains_key<Q>(&self, key: &Q) -> bool
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.pin().contains_key(key)
    }

    /// Inserts, or replaces the entry of an equal key: [`Guard::insert`], for who does not want to see the old value.
    /// Whether one was replaced.
    pub fn insert(&self, key: K, value: V) -> bool {
        self.pin().insert(key, value).is_some()
    }

    /// Removes the entry of `key`. Whether there was one.
    pub fn remove<Q>(&self, key: &Q) -> bool
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.pin().remove(key).is_some()
    }

    /// Replaces the value of `key` by what `change` makes of it; see [`Guard::update`]. Whether there was one.
    pub fn update<Q>(&self, key: &Q, change: impl FnMut(&V) -> V) -> bool
    where
        Q: Hash + Equivalent<K> + ?Sized,
        K: Clone,
    {
        self.pin().update(key, change).is_some()
    }

    /// Removes every entry that was there throughout; not atomic as a whole.
    pub fn clear(&self) {
        self.retain(|_, _| false);
    }

    /// Removes the entries that `keep` says no to. An entry that is there throughout is judged. Where one that `keep` said no to was
    /// replaced before it could be removed, what took its place is judged, too; what replaces an entry that `keep`
    /// said yes to is not. Not atomic as a whole. No lock is held while `keep` runs.
    ///
    /// One guard is held throughout: what is removed is freed after it.
    pub fn retain(&self, keep: impl FnMut(&K, &V) -> bool) {
        self.pin().retain(keep);
    }

    /// Begins to move to a table for `len` entries, unless entries are being moved already: whether it began.
    #[doc(hidden)]
    pub fn begin_migration(&self, len: usize) -> bool {
        let pin = epoch::pin();
        let begun = self.core.begin(homes_for(len));
        self.core.relieve(pin.writer());
        begun
    }

    /// The home of `key` in the first table, that table's homes, and how many of them are flipped: for experiments.
    #[doc(hidden)]
    pub fn mark_of(&self, key: &K) -> (usize, usize, usize) {
        let _pin = epoch::pin();
        let table = self.core.first();
        (table.home(self.hash(key)), table.homes, table.read_ts::<R>())
    }

    /// Moves up to `buckets` buckets of a migration that is under way. `false`: there is none left, or another thread is at it.
    pub fn migrate_step(&self, buckets: usize) -> bool {
        let pin = epoch::pin();
        let more = self.core.step(pin.index(), buckets, &|key| self.hash(key));
        self.core.relieve(pin.writer());
        more
    }
}

impl<K, V, S: Default, R: Rules> Default for ConcurrentMap<K, V, S, R> {
    fn default() -> Self {
        Self::with_rules(0, S::default())
    }
}

impl<K: fmt::Debug + Hash + Eq, V: fmt::Debug, S: BuildHasher, R: Rules> fmt::Debug
    for ConcurrentMap<K, V, S, R>
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.pin().iter()).finish()
    }
}

impl<K: Hash + Eq, V, S: BuildHasher, R: Rules> Extend<(K, V)> for &ConcurrentMap<K, V, S, R> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        // A guard for each: one for all would hold back what the table leaves behind as it grows, and while the iterator waits.
        for (key, value) in entries {
            self.insert(key, value);
        }
    }
}

impl<K: Hash + Eq, V, S: BuildHasher, R: Rules> Extend<(K, V)> for ConcurrentMap<K, V, S, R> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        (&*self).extend(entries);
    }
}

impl<K: Hash + Eq, V, S: BuildHasher + Default, R: Rules> FromIterator<(K, V)> for ConcurrentMap<K, V, S, R> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let entries = entries.into_iter();
        let map = Self::with_rules(entries.size_hint().0.min(TRUSTED), S::default());
        (&map).extend(entries);
        map
    }
}
