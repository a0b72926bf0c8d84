//! Parallel iterators of `StrMap`.
//!
//! Owned by `par`. Invariant: as there. Iterators have no names of their own: rayon's traits say what they can do.

use super::drive;
use crate::raw::RawTable;
use crate::raw::layout::{Auto, Layout};
use crate::raw::part::{Shared, Unique};
use crate::str_map::{StrKey, StrMap};
use crate::{Allocator, Pages};
use core::hash::BuildHasher;
use rayon::iter::plumbing::UnindexedConsumer;
use rayon::iter::{
    FromParallelIterator, IntoParallelIterator, ParallelDrainFull, ParallelExtend, ParallelIterator,
};
use std::boxed::Box;

/// Entries of a map of strings by reference, in parallel.
pub struct ParStrIter<'a, V, L: Layout = Auto> {
    part: Shared<'a, (StrKey, V), L>,
}

/// Entries of a map of strings, values mutable, in parallel.
pub struct ParStrIterMut<'a, V, L: Layout = Auto> {
    part: Unique<'a, (StrKey, V), L>,
}

/// Entries of a map of strings, owned, in parallel.
pub struct ParStrIntoIter<V, A: Allocator = Pages, L: Layout = Auto> {
    table: RawTable<(StrKey, V), A, L>,
}

/// Entries taken out of a map of strings, in parallel: [`StrMap::par_drain`].
pub struct ParStrDrain<'a, V, A: Allocator = Pages, L: Layout = Auto> {
    table: &'a mut RawTable<(StrKey, V), A, L>,
}

impl<'a, V: Sync, L: Layout> ParallelIterator for ParStrIter<'a, V, L> {
    type Item = (&'a str, &'a V);

    fn drive_unindexed<C: UnindexedConsumer<Self::Item>>(self, consumer: C) -> C::Result {
        drive(self.part, |entry: &'a (StrKey, V)| (entry.0.as_str(), &entry.1), consumer)
    }
}

impl<'a, V: Send, L: Layout> ParallelIterator for ParStrIterMut<'a, V, L> {
    type Item = (&'a str, &'a mut V);

    fn drive_unindexed<C: UnindexedConsumer<Self::Item>>(self, consumer: C) -> C::Result {
        drive(self.part, |entry: &'a mut (StrKey, V)| (entry.0.as_str(), &mut entry.1), consumer)
    }
}

impl<V: Send, A: Allocator + Send, L: Layout> ParallelIterator for ParStrIntoIter<V, A, L> {
    type Item = (StrKey, V);

    fn drive_unindexed<C: UnindexedConsumer<Self::Item>>(mut self, consumer: C) -> C::Result {
        self.table.drain_part(|part| drive(part, |entry| entry, consumer))
    }
}

impl<V: Send, A: Allocator + Send, L: Layout> ParallelIterator for ParStrDrain<'_, V, A, L> {
    type Item = (StrKey, V);

    fn drive_unindexed<C: UnindexedConsumer<Self::Item>>(self, consumer: C) -> C::Result {
        self.table.bare.drain_part(|part| drive(part, |entry| entry, consumer))
    }
}

impl<V, A: Allocator, L: Layout> Drop for ParStrDrain<'_, V, A, L> {
    /// Empties the map, also where the iterator was never driven.
    fn drop(&mut self) {
        self.table.clear();
    }
}

impl<V: Sync, S, A: Allocator, L: Layout> StrMap<V, S, A, L> {
    /// The keys, in parallel.
    pub fn par_keys(&self) -> impl ParallelIterator<Item = &str> {
        self.into_par_iter().map(|(key, _)| key)
    }

    /// The values, in parallel.
    pub fn par_values(&self) -> impl ParallelIterator<Item = &V> {
        self.into_par_iter().map(|(_, value)| value)
    }
}

impl<V: Send, S, A: Allocator, L: Layout> StrMap<V, S, A, L> {
    /// The values, mutable, in parallel.
    pub fn par_values_mut(&mut self) -> impl ParallelIterator<Item = &mut V> {
        self.into_par_iter().map(|(_, value)| value)
    }

    /// Takes all entries out, in parallel, and keeps the memory. What the consumer does not take is dropped.
    pub fn par_drain(&mut self) -> ParStrDrain<'_, V, A, L> {
        ParStrDrain { table: &mut self.table }
    }
}

impl<V: Send, S, A: Allocator + Send, L: Layout> IntoParallelIterator for StrMap<V, S, A, L> {
    type Item = (StrKey, V);
    type Iter = ParStrIntoIter<V, A, L>;

    fn into_par_iter(self) -> Self::Iter {
        ParStrIntoIter { table: self.table }
    }
}

impl<'a, V: Sync, S, A: Allocator, L: Layout> IntoParallelIterator for &'a StrMap<V, S, A, L> {
    type Item = (&'a str, &'a V);
    type Iter = ParStrIter<'a, V, L>;

    fn into_par_iter(self) -> Self::Iter {
        ParStrIter { part: self.table.shared_part() }
    }
}

impl<'a, V: Send, S, A: Allocator, L: Layout> IntoParallelIterator for &'a mut StrMap<V, S, A, L> {
    type Item = (&'a str, &'a mut V);
    type Iter = ParStrIterMut<'a, V, L>;

    fn into_par_iter(self) -> Self::Iter {
        ParStrIterMut { part: self.table.unique_part() }
    }
}

impl<'a, V: Send, S, A: Allocator + Send, L: Layout> ParallelDrainFull for &'a mut StrMap<V, S, A, L> {
    type Iter = ParStrDrain<'a, V, A, L>;
    type Item = (StrKey, V);

    fn par_drain(self) -> Self::Iter {
        ParStrDrain { table: &mut self.table }
    }
}

impl<K, V, S, A, L> ParallelExtend<(K, V)> for StrMap<V, S, A, L>
where
    K: AsRef<str> + Into<Box<str>> + Send,
    V: Send,
    S: BuildHasher,
    A: Allocator,
    L: Layout,
{
    /// Collects the entries in parallel, then inserts them on this thread.
    fn par_extend<I: IntoParallelIterator<Item = (K, V)>>(&mut self, entries: I) {
        for list in entries.into_par_iter().collect_vec_list() {
            self.extend(list);
        }
    }
}

impl<K, V, S, A, L> FromParallelIterator<(K, V)> for StrMap<V, S, A, L>
where
    K: AsRef<str> + Into<Box<str>> + Send,
    V: Send,
    S: BuildHasher + Default,
    A: Allocator + Default,
    L: Layout,
{
    fn from_par_iter<I: IntoParallelIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut map = Self::default();
        map.par_extend(entries);
        map
    }
}
