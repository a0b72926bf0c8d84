//! Parallel iterators of `HashMap`.
//!
//! Owned by `par`. Invariant: as there.

use super::drive;
use crate::map::HashMap;
use crate::raw::RawTable;
use crate::raw::layout::{Auto, Layout};
use crate::raw::part::{Shared, Unique};
use crate::{Allocator, Pages};
use core::hash::{BuildHasher, Hash};
use rayon::iter::plumbing::UnindexedConsumer;
use rayon::iter::{
    FromParallelIterator, IntoParallelIterator, ParallelDrainFull, ParallelExtend, ParallelIterator,
};

/// Entries of a map by reference, in parallel.
pub struct ParIter<'a, K, V, L: Layout = Auto> {
    part: Shared<'a, (K, V), L>,
}

/// Entries of a map, values mutable, in parallel.
pub struct ParIterMut<'a, K, V, L: Layout = Auto> {
    part: Unique<'a, (K, V), L>,
}

/// Keys of a map, in parallel: [`HashMap::par_keys`].
pub struct ParKeys<'a, K, V, L: Layout = Auto> {
    part: Shared<'a, (K, V), L>,
}

/// Values of a map, in parallel: [`HashMap::par_values`].
pub struct ParValues<'a, K, V, L: Layout = Auto> {
    part: Shared<'a, (K, V), L>,
}

/// Values of a map, mutable, in parallel: [`HashMap::par_values_mut`].
pub struct ParValuesMut<'a, K, V, L: Layout = Auto> {
    part: Unique<'a, (K, V), L>,
}

/// Entries of a map, owned, in parallel.
pub struct ParIntoIter<K, V, A: Allocator = Pages, L: Layout = Auto> {
    table: RawTable<(K, V), A, L>,
}

/// Entries taken out of a map, in parallel: [`HashMap::par_drain`].
pub struct ParDrain<'a, K, V, A: Allocator = Pages, L: Layout = Auto> {
    table: &'a mut RawTable<(K, V), A, L>,
}

/// An iterator over borrowed entries: its item, what its entries must be, and how they become items.
macro_rules! borrowed {
    ($name:ident, $item:ty, $key:ident + $value:ident, $to:expr) => {
        impl<'a, K: $key, V: $value, L: Layout> ParallelIterator for $name<'a, K, V, L> {
            type Item = $item;

            fn drive_unindexed<C: UnindexedConsumer<$item>>(self, consumer: C) -> C::Result {
                drive(self.part, $to, consumer)
            }
        }
    };
}

borrowed!(ParIter, (&'a K, &'a V), Sync + Sync, |entry: &'a (K, V)| (&entry.0, &entry.1));
borrowed!(ParKeys, &'a K, Sync + Sync, |entry: &'a (K, V)| &entry.0);
borrowed!(ParValues, &'a V, Sync + Sync, |entry: &'a (K, V)| &entry.1);

impl<'a, K: Send + Sync, V: Send, L: Layout> ParallelIterator for ParIterMut<'a, K, V, L> {
    type Item = (&'a K, &'a mut V);

    fn drive_unindexed<C: UnindexedConsumer<Self::Item>>(self, consumer: C) -> C::Result {
        drive(self.part, |entry: &'a mut (K, V)| (&entry.0, &mut entry.1), consumer)
    }
}

impl<'a, K: Send, V: Send, L: Layout> ParallelIterator for ParValuesMut<'a, K, V, L> {
    type Item = &'a mut V;

    fn drive_unindexed<C: UnindexedConsumer<Self::Item>>(self, consumer: C) -> C::Result {
        drive(self.part, |entry: &'a mut (K, V)| &mut entry.1, consumer)
    }
}

impl<K: Send, V: Send, A: Allocator + Send, L: Layout> ParallelIterator for ParIntoIter<K, V, A, L> {
    type Item = (K, V);

    fn drive_unindexed<C: UnindexedConsumer<(K, V)>>(mut self, consumer: C) -> C::Result {
        self.table.drain_part(|part| drive(part, |entry| entry, consumer))
    }
}

impl<K: Send, V: Send, A: Allocator + Send, L: Layout> ParallelIterator for ParDrain<'_, K, V, A, L> {
    type Item = (K, V);

    fn drive_unindexed<C: UnindexedConsumer<(K, V)>>(self, consumer: C) -> C::Result {
        self.table.bare.drain_part(|part| drive(part, |entry| entry, consumer))
    }
}

impl<K, V, A: Allocator, L: Layout> Drop for ParDrain<'_, K, V, A, L> {
    /// Empties the map, also where the iterator was never driven.
    fn drop(&mut self) {
        self.table.clear();
    }
}

impl<K: Sync, V: Sync, S, A: Allocator, L: Layout> HashMap<K, V, S, A, L> {
    /// The keys, in parallel.
    pub fn par_keys(&self) -> ParKeys<'_, K, V, L> {
        ParKeys { part: self.table.shared_part() }
    }

    /// The values, in parallel.
    pub fn par_values(&self) -> ParValues<'_, K, V, L> {
        ParValues { part: self.table.shared_part() }
    }
}

impl<K: Send, V: Send, S, A: Allocator, L: Layout> HashMap<K, V, S, A, L> {
    /// The values, mutable, in parallel.
    pub fn par_values_mut(&mut self) -> ParValuesMut<'_, K, V, L> {
        ParValuesMut { part: self.table.unique_part() }
    }

    /// Takes all entries out, in parallel, and keeps the memory. What the consumer does not take is dropped.
    pub fn par_drain(&mut self) -> ParDrain<'_, K, V, A, L> {
        ParDrain { table: &mut self.table }
    }
}

impl<K, V, S, A, L: Layout> HashMap<K, V, S, A, L>
where
    K: Eq + Hash + Sync,
    V: PartialEq + Sync,
    S: BuildHasher + Sync,
    A: Allocator + Sync,
{
    /// Whether both maps have the same entries, asked in parallel.
    pub fn par_eq(&self, other: &Self) -> bool {
        self.len() == other.len()
            && self.into_par_iter().all(|(key, value)| other.get(key).is_some_and(|theirs| *value == *theirs))
    }
}

impl<K: Send, V: Send, S, A: Allocator + Send, L: Layout> IntoParallelIterator for HashMap<K, V, S, A, L> {
    type Item = (K, V);
    type Iter = ParIntoIter<K, V, A, L>;

    fn into_par_iter(self) -> Self::Iter {
        ParIntoIter { table: self.table }
    }
}

impl<'a, K: Sync, V: Sync, S, A: Allocator, L: Layout> IntoParallelIterator for &'a HashMap<K, V, S, A, L> {
    type Item = (&'a K, &'a V);
    type Iter = ParIter<'a, K, V, L>;

    fn into_par_iter(self) -> Self::Iter {
        ParIter { part: self.table.shared_part() }
    }
}

impl<'a, K: Send + Sync, V: Send, S, A: Allocator, L: Layout> IntoParallelIterator
    for &'a mut HashMap<K, V, S, A, L>
{
    type Item = (&'a K, &'a mut V);
    type Iter = ParIterMut<'a, K, V, L>;

    fn into_par_iter(self) -> Self::Iter {
        ParIterMut { part: self.table.unique_part() }
    }
}

impl<'a, K: Send, V: Send, S, A: Allocator + Send, L: Layout> ParallelDrainFull
    for &'a mut HashMap<K, V, S, A, L>
{
    type Iter = ParDrain<'a, K, V, A, L>;
    type Item = (K, V);

    fn par_drain(self) -> Self::Iter {
        ParDrain { table: &mut self.table }
    }
}

impl<K, V, S, A, L: Layout> ParallelExtend<(K, V)> for HashMap<K, V, S, A, L>
where
    K: Eq + Hash + Send,
    V: Send,
    S: BuildHasher,
    A: Allocator,
{
    /// Collects the entries in parallel, then inserts them on this thread, which alone may hash.
    fn par_extend<I: IntoParallelIterator<Item = (K, V)>>(&mut self, entries: I) {
        for list in entries.into_par_iter().collect_vec_list() {
            self.extend(list);
        }
    }
}

impl<'a, K, V, S, A, L: Layout> ParallelExtend<(&'a K, &'a V)> for HashMap<K, V, S, A, L>
where
    K: Copy + Eq + Hash + Send + Sync,
    V: Copy + Send + Sync,
    S: BuildHasher,
    A: Allocator,
{
    fn par_extend<I: IntoParallelIterator<Item = (&'a K, &'a V)>>(&mut self, entries: I) {
        for list in entries.into_par_iter().collect_vec_list() {
            self.extend(list);
        }
    }
}

impl<K, V, S, A, L: Layout> FromParallelIterator<(K, V)> for HashMap<K, V, S, A, L>
where
    K: Eq + Hash + Send,
    V: Send,
    S: BuildHasher + Default,
    A: Allocator + Default,
{
    fn from_par_iter<I: IntoParallelIterator<Item = (K, V)>>(entries: I) -> Self {
        let lists = entries.into_par_iter().collect_vec_list();
        let mut map = Self::default();
        map.reserve(lists.iter().map(Vec::len).sum());
        map.extend(lists.into_iter().flatten());
        map
    }
}
