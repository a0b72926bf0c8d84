//! `HashSet`: a map without values.
//!
//! Owned by the crate's users. Invariant: nothing here knows how the map works.

use crate::iter;
use crate::map::HashMap;
use crate::pages::Pages;
use crate::raw::check::TableStats;
use crate::raw::layout::{Auto, Layout};
use allocator_api2::alloc::Allocator;
use core::borrow::Borrow;
use core::fmt;
use core::hash::{BuildHasher, Hash};
use std::collections::hash_map::RandomState;

/// A hash set with std's interface over [`HashMap`].
pub struct HashSet<T, S = RandomState, A: Allocator = Pages, L: Layout = Auto> {
    pub(crate) map: HashMap<T, (), S, A, L>,
}

/// Values of a set by reference: [`HashSet::iter`].
pub type SetIter<'a, T, L = Auto> = iter::Keys<'a, T, (), L>;
/// Values of a set, owned.
pub type SetIntoIter<T, A = Pages, L = Auto> = iter::IntoKeys<T, (), A, L>;

/// Values taken out of a set: [`HashSet::drain`].
pub struct SetDrain<'a, T, A: Allocator = Pages, L: Layout = Auto> {
    inner: iter::Drain<'a, T, (), A, L>,
}

impl<T, A: Allocator, L: Layout> Iterator for SetDrain<'_, T, A, L> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.inner.next().map(|(value, ())| value)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.inner.size_hint()
    }
}

impl<T, A: Allocator, L: Layout> ExactSizeIterator for SetDrain<'_, T, A, L> {}

impl<T: fmt::Debug, A: Allocator, L: Layout> fmt::Debug for SetDrain<'_, T, A, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl<T> HashSet<T> {
    /// An empty set, without memory.
    #[must_use]
    pub fn new() -> Self {
        Self { map: HashMap::new() }
    }

    /// An empty set that takes `capacity` values before it grows.
    ///
    /// # Panics
    /// If the table would be larger than the address space.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self { map: HashMap::with_capacity(capacity) }
    }
}

impl<T, S> HashSet<T, S> {
    /// An empty set, without memory, that hashes with `build`.
    #[must_use]
    pub fn with_hasher(build: S) -> Self {
        Self { map: HashMap::with_hasher(build) }
    }

    /// An empty set that takes `capacity` values before it grows and hashes with `build`.
    ///
    /// # Panics
    /// If the table would be larger than the address space.
    #[must_use]
    pub fn with_capacity_and_hasher(capacity: usize, build: S) -> Self {
        Self { map: HashMap::with_capacity_and_hasher(capacity, build) }
    }
}

impl<T, S, A: Allocator, L: Layout> HashSet<T, S, A, L> {
    /// Values in the set.
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// Values that fit before the table grows again.
    pub fn capacity(&self) -> usize {
        self.map.capacity()
    }

    /// What the table is made of. O(buckets).
    pub fn stats(&self) -> TableStats {
        self.map.stats()
    }

    /// The values, in the order of their hashes.
    pub fn iter(&self) -> SetIter<'_, T, L> {
        self.map.keys()
    }

    /// Takes all values out and keeps the memory.
    pub fn drain(&mut self) -> SetDrain<'_, T, A, L> {
        SetDrain { inner: self.map.drain() }
    }

    /// Keeps the values for which `keep` is true.
    pub fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        self.map.retain(|value, ()| keep(value));
    }

    /// Drops all values and keeps the memory.
    pub fn clear(&mut self) {
        self.map.clear();
    }

    /// The hasher's builder.
    pub fn hasher(&self) -> &S {
        self.map.hasher()
    }
}

impl<T: Eq + Hash, S: BuildHasher, A: Allocator, L: Layout> HashSet<T, S, A, L> {
    /// Whether `value` is there.
    pub fn contains<Q: Hash + Eq + ?Sized>(&self, value: &Q) -> bool
    where
        T: Borrow<Q>,
    {
        self.map.contains_key(value)
    }

    /// The value equal to `value` that the set holds.
    pub fn get<Q: Hash + Eq + ?Sized>(&self, value: &Q) -> Option<&T>
    where
        T: Borrow<Q>,
    {
        self.map.get_key_value(value).map(|(value, ())| value)
    }

    /// Adds `value`; false if it was there, and then the set keeps the one it has.
    pub fn insert(&mut self, value: T) -> bool {
        self.map.insert(value, ()).is_none()
    }

    /// Takes `value` out; false if it was not there.
    pub fn remove<Q: Hash + Eq + ?Sized>(&mut self, value: &Q) -> bool
    where
        T: Borrow<Q>,
    {
        self.map.remove(value).is_some()
    }

    /// Takes `value` out and returns the one that the set held.
    pub fn take<Q: Hash + Eq + ?Sized>(&mut self, value: &Q) -> Option<T>
    where
        T: Borrow<Q>,
    {
        self.map.remove_entry(value).map(|(value, ())| value)
    }

    /// Makes room for `additional` more values.
    ///
    /// # Panics
    /// If the table would be larger than the address space.
    pub fn reserve(&mut self, additional: usize) {
        self.map.reserve(additional);
    }

    /// Rebuilds the table in as little memory as its values need.
    pub fn shrink_to_fit(&mut self) {
        self.map.shrink_to_fit();
    }

    /// Whether every value is also in `other`.
    pub fn is_subset(&self, other: &Self) -> bool {
        self.len() <= other.len() && self.iter().all(|value| other.contains(value))
    }

    /// Whether no value is also in `other`.
    pub fn is_disjoint(&self, other: &Self) -> bool {
        let (few, many) = if self.len() <= other.len() { (self, other) } else { (other, self) };
        few.iter().all(|value| !many.contains(value))
    }
}

impl<T, S: Default, A: Allocator + Default, L: Layout> Default for HashSet<T, S, A, L> {
    fn default() -> Self {
        Self { map: HashMap::default() }
    }
}

impl<T: Clone, S: Clone, A: Allocator + Clone, L: Layout> Clone for HashSet<T, S, A, L> {
    fn clone(&self) -> Self {
        Self { map: self.map.clone() }
    }
}

impl<T: fmt::Debug, S, A: Allocator, L: Layout> fmt::Debug for HashSet<T, S, A, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl<T: Eq + Hash, S: BuildHasher, A: Allocator, L: Layout> PartialEq for HashSet<T, S, A, L> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.is_subset(other)
    }
}

impl<T: Eq + Hash, S: BuildHasher, A: Allocator, L: Layout> Eq for HashSet<T, S, A, L> {}

impl<T: Eq + Hash, S: BuildHasher, A: Allocator, L: Layout> Extend<T> for HashSet<T, S, A, L> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, values: I) {
        self.map.extend(values.into_iter().map(|value| (value, ())));
    }
}

impl<T: Eq + Hash, S: BuildHasher + Default, A: Allocator + Default, L: Layout> FromIterator<T>
    for HashSet<T, S, A, L>
{
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        let mut set = Self::default();
        set.extend(values);
        set
    }
}

impl<T: Eq + Hash, const N: usize> From<[T; N]> for HashSet<T> {
    fn from(values: [T; N]) -> Self {
        values.into_iter().collect()
    }
}

impl<T, S, A: Allocator, L: Layout> IntoIterator for HashSet<T, S, A, L> {
    type Item = T;
    type IntoIter = SetIntoIter<T, A, L>;

    fn into_iter(self) -> SetIntoIter<T, A, L> {
        self.map.into_keys()
    }
}

impl<'a, T, S, A: Allocator, L: Layout> IntoIterator for &'a HashSet<T, S, A, L> {
    type Item = &'a T;
    type IntoIter = SetIter<'a, T, L>;

    fn into_iter(self) -> SetIter<'a, T, L> {
        self.iter()
    }
}
