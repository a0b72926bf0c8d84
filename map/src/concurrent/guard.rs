//! Guards: all that one does with a map.
//!
//! Owned by `map.rs`. Invariant: a reference handed out lives no longer than the guard, and the guard was pinned before the map's table
//! was loaded.

#![allow(unsafe_code)]

use super::bucket::Entry;
use super::core::View;
use super::iter::Iter;
use super::lane::Writer;
use super::map::ConcurrentMap;
use super::migrate::Effect;
use super::rules::{Fresh, Rules};
use super::write::{Expect, Put};
use crate::epoch::{OwnedPin, Pin};
use core::fmt;
use core::hash::{BuildHasher, Hash};
use core::ptr::NonNull;
use equivalent::Equivalent;

pub(super) mod sealed {
    pub trait Pinning {
        fn writer(&self) -> super::Writer;
    }
}
use sealed::Pinning;

impl Pinning for Pin {
    #[inline(always)]
    fn writer(&self) -> Writer {
        Writer::thread(self.index())
    }
}

impl Pinning for OwnedPin {
    fn writer(&self) -> Writer {
        Writer::anybody(self.index())
    }
}

/// Access to a map, and to what was in it while the guard lives.
///
/// Of this thread: [`OwnedGuard`] is one that may go elsewhere. Guards nest, hold no lock, and cost what
/// [`pin`](ConcurrentMap::pin) says; one that is held long holds back the freeing of all that is replaced meanwhile, in all maps.
pub struct Guard<'m, K, V, S, R: Rules = Fresh, P: Pinning = Pin> {
    pub(super) map: &'m ConcurrentMap<K, V, S, R>,
    view: View<K, V>,
    pin: P,
}

/// A guard that may move to another thread, be shared between threads, or live across an `await`.
pub type OwnedGuard<'m, K, V, S, R = Fresh> = Guard<'m, K, V, S, R, OwnedPin>;

// SAFETY: an owned pin's record belongs to the guard, whoever has it. The guard refers to a map that threads share, and its view is
// a table of that map.
unsafe impl<K: Send + Sync, V: Send + Sync, S: Sync, R: Rules> Send for OwnedGuard<'_, K, V, S, R> {}
// SAFETY: as above; the record is written when the guard is made and dropped.
unsafe impl<K: Send + Sync, V: Send + Sync, S: Sync, R: Rules> Sync for OwnedGuard<'_, K, V, S, R> {}

/// What [`Guard::compute`] should do with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change<V> {
    /// Nothing.
    Keep,
    /// Insert this value, or put it in the place of the one there is.
    Put(V),
    /// Remove the entry, if there is one.
    Remove,
}

impl<'m, K, V, S, R: Rules, P: Pinning> Guard<'m, K, V, S, R, P> {
    #[inline(always)]
    pub(super) fn new(map: &'m ConcurrentMap<K, V, S, R>, pin: P) -> Self {
        Self { view: map.core.view(), map, pin }
    }

    /// The map.
    pub fn map(&self) -> &'m ConcurrentMap<K, V, S, R> {
        self.map
    }

    /// A reference of the guard's life to an entry that was found, put or taken since the guard began.
    #[inline(always)]
    #[expect(clippy::unused_self, reason = "its life is the reference's")]
    pub(super) fn show(&self, entry: NonNull<Entry<K, V>>) -> &Entry<K, V> {
        // SAFETY: it was linked, or was unlinked, after the guard began, so its grace period ends after the guard; entries are
        // not changed.
        unsafe { entry.as_ref() }
    }
}

impl<K: Hash + Eq, V, S: BuildHasher, R: Rules, P: Pinning> Guard<'_, K, V, S, R, P> {
    #[inline(always)]
    fn find<Q>(&self, hash: u64, key: &Q) -> Option<NonNull<Entry<K, V>>>
    where
        Q: Equivalent<K> + ?Sized,
    {
        self.map.core.find(self.view, hash, |entry| key.equivalent(&entry.key))
    }

    /// The value of `key`. No lock, no fence, no atomic read-modify-write.
    #[inline]
    pub fn get<Q>(&self, key: &Q) -> Option<&V>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.find(self.map.hash(key), key).map(|entry| &self.show(entry).value)
    }

    /// The entry of `key`.
    #[inline]
    pub fn get_key_value<Q>(&self, key: &Q) -> Option<(&K, &V)>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.find(self.map.hash(key), key).map(|entry| {
            let entry = self.show(entry);
            (&entry.key, &entry.value)
        })
    }

    /// Whether there is an entry of `key`.
    #[inline]
    pub fn contains_key<Q>(&self, key: &Q) -> bool
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.find(self.map.hash(key), key).is_some()
    }

    #[inline(always)]
    fn boxed(&self, key: K, value: V) -> Box<Entry<K, V>> {
        self.map.core.boxed(self.pin.writer(), key, value)
    }

    fn put(&self, hash: u64, entry: Box<Entry<K, V>>, expect: &Expect<K, V>) -> Put<K, V> {
        self.map.core.put(self.pin.writer(), hash, entry, expect, K::eq)
    }

    /// What a writer does for the table after its own work.
    fn upkeep(&self, effect: Effect) {
        self.map.core.upkeep(self.pin.writer(), effect, &|key| self.map.hash(key));
    }

    /// Inserts, or replaces the entry of an equal key, the key too. The value that was there.
    pub fn insert(&self, key: K, value: V) -> Option<&V> {
        let hash = self.map.hash(&key);
        let put = self.put(hash, self.boxed(key, value), &Expect::Any);
        self.upkeep(put.effect());
        match put {
            Put::Replaced(old, _) => Some(&self.show(old).value),
            Put::Inserted(_) | Put::Refused(..) => None,
        }
    }

    /// Inserts, unless there is an entry of an equal key.
    ///
    /// # Errors
    /// What is there, and the value that was to be inserted.
    pub fn try_insert(&self, key: K, value: V) -> Result<&V, (&V, V)> {
        let hash = self.map.hash(&key);
        if let Some(found) = self.find(hash, &key) {
            return Err((&self.show(found).value, value));
        }
        match self.put(hash, self.boxed(key, value), &Expect::Absent) {
            Put::Inserted(new) | Put::Replaced(_, new) => {
                self.upkeep(Effect::Inserted);
                Ok(&self.show(new).value)
            }
            Put::Refused(Some(found), entry) => Err((&self.show(found).value, entry.value)),
            Put::Refused(None, _) => unreachable!("an absent entry was expected, and none was there"),
        }
    }

    /// The value of `key`, which is made by `make` if there is none. `make` may run in vain, if another thread inserts
    /// meanwhile; no lock is held while it runs.
    pub fn get_or_insert_with(&self, key: K, make: impl FnOnce() -> V) -> &V {
        let hash = self.map.hash(&key);
        if let Some(found) = self.find(hash, &key) {
            return &self.show(found).value;
        }
        let value = make();
        match self.try_insert(key, value) {
            Ok(value) | Err((value, _)) => value,
        }
    }

    /// Removes the entry of `key`: the value that was there.
    pub fn remove<Q>(&self, key: &Q) -> Option<&V>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.remove_entry(key).map(|(_, value)| value)
    }

    /// Removes the entry of `key`: what was there.
    pub fn remove_entry<Q>(&self, key: &Q) -> Option<(&K, &V)>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let hash = self.map.hash(key);
        let taken = self.map.core.take(self.pin.writer(), hash, |entry| key.equivalent(&entry.key));
        self.upkeep(if taken.is_some() { Effect::Removed } else { Effect::SameLen });
        let entry = self.show(taken?);
        Some((&entry.key, &entry.value))
    }

    /// Replaces the value of `key` by what `change` makes of it: the new value. `change` runs unlocked, and again whenever
    /// another thread was faster.
    pub fn update<Q>(&self, key: &Q, mut change: impl FnMut(&V) -> V) -> Option<&V>
    where
        Q: Hash + Equivalent<K> + ?Sized,
        K: Clone,
    {
        let hash = self.map.hash(key);
        loop {
            let found = self.find(hash, key)?;
            let Entry { key, value } = self.show(found);
            let entry = self.boxed(key.clone(), change(value));
            if let Put::Replaced(_, new) = self.put(hash, entry, &Expect::Present(found)) {
                self.upkeep(Effect::SameLen);
                return Some(&self.show(new).value);
            }
        }
    }

    /// Does with `key` what `change` says of the value that is there: the value afterwards. `change` runs unlocked, and
    /// again whenever another thread was faster; what it said last is done, atomically.
    pub fn compute(&self, key: K, mut change: impl FnMut(Option<&V>) -> Change<V>) -> Option<&V> {
        let hash = self.map.hash(&key);
        let mut key = key;
        loop {
            let found = self.find(hash, &key);
            match (change(found.map(|entry| &self.show(entry).value)), found) {
                (Change::Keep, found) => return found.map(|entry| &self.show(entry).value),
                (Change::Remove, None) => return None,
                (Change::Remove, Some(found)) => {
                    if self.remove_this(hash, found) {
                        self.upkeep(Effect::Removed);
                        return None;
                    }
                }
                (Change::Put(value), found) => {
                    let expect = found.map_or(Expect::Absent, Expect::Present);
                    let put = self.put(hash, self.boxed(key, value), &expect);
                    let effect = put.effect();
                    match put {
                        Put::Inserted(new) | Put::Replaced(_, new) => {
                            self.upkeep(effect);
                            return Some(&self.show(new).value);
                        }
                        Put::Refused(_, entry) => key = entry.key,
                    }
                }
            }
        }
    }

    /// Removes this very entry, if it is still there.
    fn remove_this(&self, hash: u64, entry: NonNull<Entry<K, V>>) -> bool {
        let this = |found: &Entry<K, V>| core::ptr::eq(found, entry.as_ptr());
        self.map.core.take(self.pin.writer(), hash, this).is_some()
    }

    /// Removes the entries that `keep` says no to; see [`ConcurrentMap::retain`].
    pub fn retain(&self, mut keep: impl FnMut(&K, &V) -> bool) {
        let mut entries = self.iter();
        while let Some(entry) = entries.next_entry() {
            let hash = self.map.hash(&self.show(entry).key);
            let (mut judged, mut effect) = (Some(entry), Effect::SameLen);
            while let Some(entry) = judged {
                let shown = self.show(entry);
                if keep(&shown.key, &shown.value) {
                    break;
                }
                if self.remove_this(hash, entry) {
                    effect = Effect::Removed;
                    break;
                }
                judged = self.find(hash, &shown.key);
            }
            self.upkeep(effect);
        }
    }

    /// Removes every entry that is there throughout.
    pub fn clear(&self) {
        self.retain(|_, _| false);
    }

    /// All entries, in the order of their hashes.
    ///
    /// Shows each entry that is there throughout exactly once, and no key twice; of an entry that comes, goes or is replaced
    /// meanwhile, what was there at some moment, or nothing. Nothing is locked, and no migration is waited for.
    pub fn iter(&self) -> Iter<'_, K, V, S, R, P> {
        Iter::all(self)
    }

    /// All keys; as [`iter`](Self::iter).
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.iter().map(|(key, _)| key)
    }

    /// All values; as [`iter`](Self::iter).
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }
}

impl<'g, K: Hash + Eq, V, S: BuildHasher, R: Rules, P: Pinning> IntoIterator
    for &'g Guard<'_, K, V, S, R, P>
{
    type Item = (&'g K, &'g V);
    type IntoIter = Iter<'g, K, V, S, R, P>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<K, V, S, R: Rules, P: Pinning> fmt::Debug for Guard<'_, K, V, S, R, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").finish_non_exhaustive()
    }
}
