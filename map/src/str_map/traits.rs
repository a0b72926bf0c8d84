//! std's traits for `StrMap`.
//!
//! Owned by `str_map.rs`. Invariant: no trait does more than its namesake on std's map.

use super::StrMap;
use crate::raw::layout::Layout;
use allocator_api2::alloc::Allocator;
use core::fmt;
use core::hash::BuildHasher;
use core::ops::Index;
use std::collections::hash_map::RandomState;

impl<V, S: Default, A: Allocator + Default, L: Layout> Default for StrMap<V, S, A, L> {
    fn default() -> Self {
        Self::with_hasher_in(S::default(), A::default())
    }
}

impl<V: Clone, S: Clone, A: Allocator + Clone, L: Layout> Clone for StrMap<V, S, A, L> {
    /// Copies entry by entry into the same shape: no hashing, no growth.
    fn clone(&self) -> Self {
        let table = self.table.clone_with(Clone::clone).unwrap_or_else(|error| error.raise());
        Self { table, build: self.build.clone() }
    }
}

impl<V: fmt::Debug, S, A: Allocator, L: Layout> fmt::Debug for StrMap<V, S, A, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<V: PartialEq, S: BuildHasher, A: Allocator, L: Layout> PartialEq for StrMap<V, S, A, L> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len()
            && self.iter().all(|(key, value)| other.get(key).is_some_and(|theirs| *value == *theirs))
    }
}

impl<V: Eq, S: BuildHasher, A: Allocator, L: Layout> Eq for StrMap<V, S, A, L> {}

impl<V, S: BuildHasher, A: Allocator, L: Layout> Index<&str> for StrMap<V, S, A, L> {
    type Output = V;

    /// The value of `key`.
    ///
    /// # Panics
    /// If `key` is not in the map.
    fn index(&self, key: &str) -> &V {
        self.get(key).expect("no entry found for key")
    }
}

impl<K: AsRef<str> + Into<Box<str>>, V, S: BuildHasher, A: Allocator, L: Layout> Extend<(K, V)>
    for StrMap<V, S, A, L>
{
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        let entries = entries.into_iter();
        // Keys that are there already need no room: as std, count on half of them once there are some.
        let hint = entries.size_hint().0;
        self.expect_more(if self.is_empty() { hint } else { hint.div_ceil(2) });
        for (key, value) in entries {
            self.insert(key, value);
        }
    }
}

impl<'a, V: Copy, S: BuildHasher, A: Allocator, L: Layout> Extend<(&'a str, &'a V)> for StrMap<V, S, A, L> {
    fn extend<I: IntoIterator<Item = (&'a str, &'a V)>>(&mut self, entries: I) {
        self.extend(entries.into_iter().map(|(key, value)| (key, *value)));
    }
}

impl<K: AsRef<str> + Into<Box<str>>, V, S: BuildHasher + Default, A: Allocator + Default, L: Layout>
    FromIterator<(K, V)> for StrMap<V, S, A, L>
{
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut map = Self::default();
        map.extend(entries);
        map
    }
}

impl<K: AsRef<str> + Into<Box<str>>, V, const N: usize> From<[(K, V); N]> for StrMap<V, RandomState> {
    fn from(entries: [(K, V); N]) -> Self {
        entries.into_iter().collect()
    }
}

/// Lifetimes of values shrink as in std's map: compiles or does not.
const _: () = {
    const fn covariant<'short, V, S, A: Allocator, L: Layout>(
        map: StrMap<&'static V, S, A, L>,
    ) -> StrMap<&'short V, S, A, L> {
        map
    }
    let _ = covariant::<u8, (), crate::Pages, crate::Split>;
};
