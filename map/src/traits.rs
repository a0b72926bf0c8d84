//! std's traits for `HashMap`: what makes it a drop-in.
//!
//! Owned by `map.rs`. Invariant: no trait does more than its namesake on std's map.

use crate::hash_table::HashTable;
use crate::map::HashMap;
use crate::raw::layout::Layout;
use crate::str_map::StrMap;
use allocator_api2::alloc::Allocator;
use core::fmt;
use core::hash::{BuildHasher, Hash};
use core::ops::Index;
use core::panic::UnwindSafe;
use equivalent::Equivalent;
use std::collections::hash_map::RandomState;

impl<K, V, S: Default, A: Allocator + Default, L: Layout> Default for HashMap<K, V, S, A, L> {
    fn default() -> Self {
        Self::in_layout(S::default())
    }
}

impl<K: Clone, V: Clone, S: Clone, A: Allocator + Clone, L: Layout> Clone for HashMap<K, V, S, A, L> {
    /// Copies entry by entry into the same shape: no hashing, no growth.
    fn clone(&self) -> Self {
        let table = self.table.clone_with(Clone::clone).unwrap_or_else(|error| error.raise());
        Self { table, build: self.build.clone() }
    }

    /// Into the memory that is there, if the other's shape fits it.
    fn clone_from(&mut self, source: &Self) {
        let build = source.build.clone();
        self.table.clone_from_with(&source.table, Clone::clone).unwrap_or_else(|error| error.raise());
        self.build = build;
    }
}

impl<K: fmt::Debug, V: fmt::Debug, S, A: Allocator, L: Layout> fmt::Debug for HashMap<K, V, S, A, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<K: Eq + Hash, V: PartialEq, S: BuildHasher, A: Allocator, L: Layout> PartialEq
    for HashMap<K, V, S, A, L>
{
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len()
            && self.iter().all(|(key, value)| other.get(key).is_some_and(|theirs| *value == *theirs))
    }
}

impl<K: Eq + Hash, V: Eq, S: BuildHasher, A: Allocator, L: Layout> Eq for HashMap<K, V, S, A, L> {}

impl<K, Q, V, S, A, L> Index<&Q> for HashMap<K, V, S, A, L>
where
    K: Eq + Hash,
    Q: Hash + Equivalent<K> + ?Sized,
    S: BuildHasher,
    A: Allocator,
    L: Layout,
{
    type Output = V;

    /// The value of `key`.
    ///
    /// # Panics
    /// If `key` is not in the map.
    fn index(&self, key: &Q) -> &V {
        self.get(key).expect("no entry found for key")
    }
}

impl<K: Eq + Hash, V, S: BuildHasher, A: Allocator, L: Layout> Extend<(K, V)> for HashMap<K, V, S, A, L> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        let entries = entries.into_iter();
        // Keys that are there already need no room: as std, count on half of them once there are some.
        let hint = entries.size_hint().0;
        self.expect_more(if self.is_empty() { hint } else { hint.div_ceil(2) });
        self.insert_each(entries);
    }
}

impl<'a, K: Eq + Hash + Copy, V: Copy, S: BuildHasher, A: Allocator, L: Layout> Extend<(&'a K, &'a V)>
    for HashMap<K, V, S, A, L>
{
    fn extend<I: IntoIterator<Item = (&'a K, &'a V)>>(&mut self, entries: I) {
        self.extend(entries.into_iter().map(|(key, value)| (*key, *value)));
    }
}

impl<K: Eq + Hash, V, S: BuildHasher + Default, A: Allocator + Default, L: Layout> FromIterator<(K, V)>
    for HashMap<K, V, S, A, L>
{
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut map = Self::default();
        map.extend(entries);
        map
    }
}

impl<K: Eq + Hash, V, const N: usize> From<[(K, V); N]> for HashMap<K, V, RandomState> {
    fn from(entries: [(K, V); N]) -> Self {
        entries.into_iter().collect()
    }
}

impl<'a, K: Eq + Hash + Copy, V: Copy, S: BuildHasher, A: Allocator, L: Layout> Extend<&'a (K, V)>
    for HashMap<K, V, S, A, L>
{
    fn extend<I: IntoIterator<Item = &'a (K, V)>>(&mut self, entries: I) {
        self.extend(entries.into_iter().copied());
    }
}

/// As std's: what unwinding leaves behind depends on the entries alone.
impl<K, V, S, A, L> UnwindSafe for HashMap<K, V, S, A, L>
where
    K: UnwindSafe,
    V: UnwindSafe,
    S: UnwindSafe,
    A: Allocator + UnwindSafe,
    L: Layout,
{
}

/// As for [`HashMap`].
impl<V, S, A, L> UnwindSafe for StrMap<V, S, A, L>
where
    V: UnwindSafe,
    S: UnwindSafe,
    A: Allocator + UnwindSafe,
    L: Layout,
{
}

/// As for [`HashMap`].
impl<T, A, L> UnwindSafe for HashTable<T, A, L>
where
    T: UnwindSafe,
    A: Allocator + UnwindSafe,
    L: Layout,
{
}
