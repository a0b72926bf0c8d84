//! Batches: several lookups or inserts on their way from memory at a time.
//!
//! Owned by `map.rs` and `set.rs`. A lookup in a large table waits for its head, then for its slot. A batch hashes all of its
//! keys and asks for their heads, reads the heads and asks for the slots they name, and only then compares; so up to
//! sixteen waits pass together. Prefetches are hints: each lookup is then done as any other.
//! Invariant: answers and effects are those of the single operations, in order.

use crate::Allocator;
use crate::hash::hash_of;
use crate::map::HashMap;
use crate::raw::layout::Layout;
use crate::set::HashSet;
use core::hash::{BuildHasher, Hash};
use core::iter::FusedIterator;
use core::mem;
use equivalent::Equivalent;

/// Lookups or inserts that wait for memory together.
const BATCH: usize = 16;
/// Larger entries are not worth a copy into a batch and out again.
const MOST_BYTES: usize = 256;

impl<K: Eq + Hash, V, S: BuildHasher, A: Allocator, L: Layout> HashMap<K, V, S, A, L> {
    /// The values of `keys`, in their order. In a map that no cache holds, several times faster than one
    /// [`get`](Self::get) after the other.
    ///
    /// ```
    /// use bucketmask_map::HashMap;
    ///
    /// let map = HashMap::from([("a", 1), ("b", 2)]);
    /// assert_eq!(map.get_many(["b", "c", "a"]), [Some(&2), None, Some(&1)]);
    /// ```
    #[inline]
    pub fn get_many<Q, const N: usize>(&self, keys: [&Q; N]) -> [Option<&V>; N]
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        if self.table.is_near() {
            return keys.map(|key| self.get_hashed(hash_of(&self.build, key), key));
        }
        let mut found = [None; N];
        let mut hashes = [0; BATCH];
        for (keys, found) in keys.chunks(BATCH).zip(found.chunks_mut(BATCH)) {
            let hashes = &mut hashes[..keys.len()];
            for (key, hash) in keys.iter().zip(&mut *hashes) {
                *hash = hash_of(&self.build, *key);
                self.table.ask_for_head(*hash);
            }
            for &hash in &*hashes {
                self.table.ask_for_slot(hash);
            }
            for ((key, &hash), found) in keys.iter().zip(&*hashes).zip(found) {
                *found = self.get_hashed(hash, *key);
            }
        }
        found
    }

    /// The values of any number of `keys`, in their order, sixteen lookups at a time: keys are taken from the iterator as
    /// far ahead.
    ///
    /// ```
    /// use bucketmask_map::HashMap;
    ///
    /// let map: HashMap<u32, u32> = (0..100).map(|key| (key, key + 1)).collect();
    /// let keys: Vec<u32> = (90..110).collect();
    /// assert_eq!(map.get_each(&keys).flatten().count(), 10);
    /// ```
    pub fn get_each<'a, 'q, Q, I>(&'a self, keys: I) -> GetEach<'a, 'q, K, V, Q, S, A, L, I::IntoIter>
    where
        Q: Hash + Equivalent<K> + ?Sized + 'q,
        I: IntoIterator<Item = &'q Q>,
    {
        let keys = keys.into_iter();
        GetEach { map: self, keys, batch: [None; BATCH], hashes: [0; BATCH], next: BATCH }
    }

    #[inline(always)]
    fn get_hashed<Q: Equivalent<K> + ?Sized>(&self, hash: u64, key: &Q) -> Option<&V> {
        self.table.get(hash, |(held, _)| key.equivalent(held)).map(|(_, value)| value)
    }

    /// Inserts `value` under `key`, whose hash this is, or lets `resolve` change the value that is there.
    #[inline(always)]
    fn put_hashed(&mut self, hash: u64, key: K, value: V, resolve: impl FnOnce(&K, &mut V, V)) {
        let build = &self.build;
        match self.table.cell(hash, |(held, _)| *held == key, |(held, _)| hash_of(build, held)) {
            Ok(mut occupied) => {
                let (held, ours) = occupied.get_mut();
                resolve(held, ours, value);
            }
            Err(vacant) => {
                vacant.insert((key, value));
            }
        }
    }

    /// Inserts `value` under `key`, or lets `resolve` change the value that is there.
    #[inline]
    pub(crate) fn put_with(&mut self, key: K, value: V, resolve: impl FnOnce(&K, &mut V, V)) {
        self.put_hashed(hash_of(&self.build, &key), key, value, resolve);
    }

    /// Inserts entries in order, a batch at a time: what `Extend` does after it has made room. Should the iterator or a
    /// hasher panic, the entries of the batch under way are dropped.
    pub(crate) fn insert_each(&mut self, mut entries: impl Iterator<Item = (K, V)>) {
        let replace = |_: &K, ours: &mut V, theirs| *ours = theirs;
        let mut batch: [Option<(u64, (K, V))>; BATCH] = [const { None }; BATCH];
        loop {
            if size_of::<(K, V)>() > MOST_BYTES || self.table.is_near() {
                for _ in 0..BATCH {
                    let Some((key, value)) = entries.next() else { return };
                    self.put_with(key, value, replace);
                }
                continue;
            }
            for place in &mut batch {
                let Some(entry) = entries.next() else { break };
                let hash = hash_of(&self.build, &entry.0);
                self.table.ask_for_head(hash);
                *place = Some((hash, entry));
            }
            for (hash, _) in batch.iter().flatten() {
                self.table.ask_for_free_slot(*hash);
            }
            let mut len = 0;
            for (hash, (key, value)) in batch.iter_mut().filter_map(Option::take) {
                self.put_hashed(hash, key, value, replace);
                len += 1;
            }
            if len < BATCH {
                return;
            }
        }
    }

    /// Ends a growth under way. O(what is left to move).
    pub(crate) fn finish_growth(&mut self) {
        let build = &self.build;
        let finished = self.table.finish(&|(key, _): &(K, V)| hash_of(build, key));
        finished.unwrap_or_else(|error| error.raise());
    }
}

impl<T: Eq + Hash, S: BuildHasher, A: Allocator, L: Layout> HashSet<T, S, A, L> {
    /// Which of `values` are in the set, in their order; as [`HashMap::get_many`].
    #[inline]
    pub fn contains_many<Q, const N: usize>(&self, values: [&Q; N]) -> [bool; N]
    where
        Q: Hash + Equivalent<T> + ?Sized,
    {
        self.map.get_many(values).map(|found| found.is_some())
    }
}

/// Values of several keys: [`HashMap::get_each`].
pub struct GetEach<'a, 'q, K, V, Q: ?Sized, S, A: Allocator, L: Layout, I> {
    map: &'a HashMap<K, V, S, A, L>,
    keys: I,
    batch: [Option<&'q Q>; BATCH],
    hashes: [u64; BATCH],
    /// The place in the batch that is next; `BATCH` when it is used up.
    next: usize,
}

impl<'q, K, V, Q, S, A, L, I> GetEach<'_, 'q, K, V, Q, S, A, L, I>
where
    K: Eq + Hash,
    Q: Hash + Equivalent<K> + ?Sized,
    S: BuildHasher,
    A: Allocator,
    L: Layout,
    I: Iterator<Item = &'q Q>,
{
    /// Takes up to a batch of keys, and asks for the memory that their lookups will read.
    fn refill(&mut self) {
        let table = &self.map.table;
        for (place, hash) in self.batch.iter_mut().zip(&mut self.hashes) {
            *place = self.keys.next();
            let Some(key) = *place else { break };
            *hash = hash_of(&self.map.build, key);
            table.ask_for_head(*hash);
        }
        for (_, &hash) in self.batch.iter().zip(&self.hashes).take_while(|(key, _)| key.is_some()) {
            table.ask_for_slot(hash);
        }
        self.next = 0;
    }
}

impl<'a, 'q, K, V, Q, S, A, L, I> Iterator for GetEach<'a, 'q, K, V, Q, S, A, L, I>
where
    K: Eq + Hash,
    Q: Hash + Equivalent<K> + ?Sized,
    S: BuildHasher,
    A: Allocator,
    L: Layout,
    I: Iterator<Item = &'q Q>,
{
    type Item = Option<&'a V>;

    #[inline]
    fn next(&mut self) -> Option<Option<&'a V>> {
        if self.next == BATCH {
            self.refill();
        }
        let key = mem::take(&mut self.batch[self.next])?;
        let hash = self.hashes[self.next];
        self.next += 1;
        Some(self.map.get_hashed(hash, key))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let (least, most) = self.keys.size_hint();
        let waiting = self.batch[self.next..].iter().flatten().count();
        (least.saturating_add(waiting), most.and_then(|most| most.checked_add(waiting)))
    }
}

impl<'q, K, V, Q, S, A, L, I> FusedIterator for GetEach<'_, 'q, K, V, Q, S, A, L, I>
where
    K: Eq + Hash,
    Q: Hash + Equivalent<K> + ?Sized,
    S: BuildHasher,
    A: Allocator,
    L: Layout,
    I: FusedIterator<Item = &'q Q>,
{
}
