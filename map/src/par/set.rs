//! Parallel iterators of `HashSet`.
//!
//! Owned by `par`. Invariant: as there; nothing here knows how the map works.

use super::map::{ParDrain, ParIntoIter, ParKeys};
use crate::raw::layout::{Auto, Layout};
use crate::set::HashSet;
use crate::{Allocator, Pages};
use core::hash::{BuildHasher, Hash};
use rayon::iter::plumbing::UnindexedConsumer;
use rayon::iter::{
    FromParallelIterator, IntoParallelIterator, ParallelDrainFull, ParallelExtend, ParallelIterator,
};

/// Values of a set, owned, in parallel.
pub struct ParSetIntoIter<T, A: Allocator = Pages, L: Layout = Auto> {
    inner: ParIntoIter<T, (), A, L>,
}

/// Values taken out of a set, in parallel: [`HashSet::par_drain`].
pub struct ParSetDrain<'a, T, A: Allocator = Pages, L: Layout = Auto> {
    inner: ParDrain<'a, T, (), A, L>,
}

impl<T: Send, A: Allocator + Send, L: Layout> ParallelIterator for ParSetIntoIter<T, A, L> {
    type Item = T;

    fn drive_unindexed<C: UnindexedConsumer<T>>(self, consumer: C) -> C::Result {
        self.inner.map(|(value, ())| value).drive_unindexed(consumer)
    }
}

impl<T: Send, A: Allocator + Send, L: Layout> ParallelIterator for ParSetDrain<'_, T, A, L> {
    type Item = T;

    fn drive_unindexed<C: UnindexedConsumer<T>>(self, consumer: C) -> C::Result {
        self.inner.map(|(value, ())| value).drive_unindexed(consumer)
    }
}

impl<T: Send, S, A: Allocator, L: Layout> HashSet<T, S, A, L> {
    /// Takes all values out, in parallel, and keeps the memory. What the consumer does not take is dropped.
    pub fn par_drain(&mut self) -> ParSetDrain<'_, T, A, L> {
        ParSetDrain { inner: self.map.par_drain() }
    }
}

impl<T, S, A, L: Layout> HashSet<T, S, A, L>
where
    T: Eq + Hash + Sync,
    S: BuildHasher + Sync,
    A: Allocator + Sync,
{
    /// The values that are here and not in `other`, in parallel.
    pub fn par_difference<'a>(&'a self, other: &'a Self) -> impl ParallelIterator<Item = &'a T> {
        self.into_par_iter().filter(|value| !other.contains(*value))
    }

    /// The values that are in one of the sets alone, in parallel.
    pub fn par_symmetric_difference<'a>(&'a self, other: &'a Self) -> impl ParallelIterator<Item = &'a T> {
        self.par_difference(other).chain(other.par_difference(self))
    }

    /// The values that are in both sets, in parallel; those that this set holds.
    pub fn par_intersection<'a>(&'a self, other: &'a Self) -> impl ParallelIterator<Item = &'a T> {
        self.into_par_iter().filter(|value| other.contains(*value))
    }

    /// The values that are in either set, in parallel, each once.
    pub fn par_union<'a>(&'a self, other: &'a Self) -> impl ParallelIterator<Item = &'a T> {
        self.into_par_iter().chain(other.par_difference(self))
    }

    /// Whether no value is in both sets, asked in parallel.
    pub fn par_is_disjoint(&self, other: &Self) -> bool {
        self.into_par_iter().all(|value| !other.contains(value))
    }

    /// Whether `other` has all values of this set, asked in parallel.
    pub fn par_is_subset(&self, other: &Self) -> bool {
        self.len() <= other.len() && self.into_par_iter().all(|value| other.contains(value))
    }

    /// Whether this set has all values of `other`, asked in parallel.
    pub fn par_is_superset(&self, other: &Self) -> bool {
        other.par_is_subset(self)
    }

    /// Whether both sets have the same values, asked in parallel.
    pub fn par_eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.par_is_subset(other)
    }
}

impl<T: Send, S, A: Allocator + Send, L: Layout> IntoParallelIterator for HashSet<T, S, A, L> {
    type Item = T;
    type Iter = ParSetIntoIter<T, A, L>;

    fn into_par_iter(self) -> Self::Iter {
        ParSetIntoIter { inner: self.map.into_par_iter() }
    }
}

impl<'a, T: Sync, S, A: Allocator, L: Layout> IntoParallelIterator for &'a HashSet<T, S, A, L> {
    type Item = &'a T;
    type Iter = ParKeys<'a, T, (), L>;

    fn into_par_iter(self) -> Self::Iter {
        self.map.par_keys()
    }
}

impl<'a, T: Send, S, A: Allocator + Send, L: Layout> ParallelDrainFull for &'a mut HashSet<T, S, A, L> {
    type Iter = ParSetDrain<'a, T, A, L>;
    type Item = T;

    fn par_drain(self) -> Self::Iter {
        HashSet::par_drain(self)
    }
}

impl<T, S, A, L: Layout> ParallelExtend<T> for HashSet<T, S, A, L>
where
    T: Eq + Hash + Send,
    S: BuildHasher,
    A: Allocator,
{
    fn par_extend<I: IntoParallelIterator<Item = T>>(&mut self, values: I) {
        self.map.par_extend(values.into_par_iter().map(|value| (value, ())));
    }
}

impl<'a, T, S, A, L: Layout> ParallelExtend<&'a T> for HashSet<T, S, A, L>
where
    T: Copy + Eq + Hash + Send + Sync,
    S: BuildHasher,
    A: Allocator,
{
    fn par_extend<I: IntoParallelIterator<Item = &'a T>>(&mut self, values: I) {
        self.par_extend(values.into_par_iter().copied());
    }
}

impl<T, S, A, L: Layout> FromParallelIterator<T> for HashSet<T, S, A, L>
where
    T: Eq + Hash + Send,
    S: BuildHasher + Default,
    A: Allocator + Default,
{
    fn from_par_iter<I: IntoParallelIterator<Item = T>>(values: I) -> Self {
        let mut set = Self::default();
        set.par_extend(values);
        set
    }
}
