//! rayon's traits: entries of an owned guard by parts of the hashes, and maps filled in parallel.
//!
//! Owned by the feature `rayon`. Invariant: parts are ranges of hashes, disjoint, so each entry is in one.

use super::guard::OwnedGuard;
use super::iter::{END, Iter};
use super::map::ConcurrentMap;
use super::rules::Rules;
use ::core::fmt;
use ::core::hash::{BuildHasher, Hash};
use rayon::iter::plumbing::{Folder, UnindexedConsumer, UnindexedProducer, bridge_unindexed};
use rayon::iter::{FromParallelIterator, IntoParallelIterator, ParallelExtend, ParallelIterator};

/// The entries of a map, in parallel. What it shows is what [`Guard::iter`](super::Guard::iter) shows.
pub struct ParIter<'g, K, V, S, R: Rules> {
    guard: &'g OwnedGuard<'g, K, V, S, R>,
}

impl<K, V, S, R: Rules> fmt::Debug for ParIter<'_, K, V, S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParIter").finish_non_exhaustive()
    }
}

impl<'g, K, V, S, R> IntoParallelIterator for &'g OwnedGuard<'_, K, V, S, R>
where
    K: Hash + Eq + Send + Sync,
    V: Send + Sync,
    S: BuildHasher + Sync,
    R: Rules,
{
    type Item = (&'g K, &'g V);
    type Iter = ParIter<'g, K, V, S, R>;

    fn into_par_iter(self) -> Self::Iter {
        ParIter { guard: self }
    }
}

/// A part: entries of hashes `from..to`, in homes of `least` hashes or more.
struct Part<'g, K, V, S, R: Rules> {
    guard: &'g OwnedGuard<'g, K, V, S, R>,
    from: u128,
    to: u128,
    least: u128,
}

// SAFETY is not needed here: a shared owned guard is `Send`, and the numbers are.
impl<'g, K, V, S, R> UnindexedProducer for Part<'g, K, V, S, R>
where
    K: Hash + Eq + Send + Sync,
    V: Send + Sync,
    S: BuildHasher + Sync,
    R: Rules,
{
    type Item = (&'g K, &'g V);

    fn split(mut self) -> (Self, Option<Self>) {
        let half = (self.to - self.from) / 2;
        if half < self.least {
            return (self, None);
        }
        let middle = self.from + half;
        let upper = Part { from: middle, ..self };
        self.to = middle;
        (self, Some(upper))
    }

    fn fold_with<F: Folder<Self::Item>>(self, folder: F) -> F {
        folder.consume_iter(Iter::of_hashes(self.guard, self.from, self.to))
    }
}

impl<'g, K, V, S, R> ParallelIterator for ParIter<'g, K, V, S, R>
where
    K: Hash + Eq + Send + Sync,
    V: Send + Sync,
    S: BuildHasher + Sync,
    R: Rules,
{
    type Item = (&'g K, &'g V);

    fn drive_unindexed<C: UnindexedConsumer<Self::Item>>(self, consumer: C) -> C::Result {
        let homes = self.guard.map().core.first().homes;
        let part = Part { guard: self.guard, from: 0, to: END, least: END / homes as u128 };
        bridge_unindexed(part, consumer)
    }
}

impl<K, V, S, R> ParallelExtend<(K, V)> for &ConcurrentMap<K, V, S, R>
where
    K: Hash + Eq + Send + Sync,
    V: Send + Sync,
    S: BuildHasher + Sync,
    R: Rules,
{
    fn par_extend<I: IntoParallelIterator<Item = (K, V)>>(&mut self, entries: I) {
        entries.into_par_iter().for_each(|(key, value)| {
            self.insert(key, value);
        });
    }
}

impl<K, V, S, R> FromParallelIterator<(K, V)> for ConcurrentMap<K, V, S, R>
where
    K: Hash + Eq + Send + Sync,
    V: Send + Sync,
    S: BuildHasher + Default + Sync,
    R: Rules,
{
    fn from_par_iter<I: IntoParallelIterator<Item = (K, V)>>(entries: I) -> Self {
        let map = Self::default();
        (&map).par_extend(entries);
        map
    }
}
