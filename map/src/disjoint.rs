//! Several values of a map at once, each by unique reference.
//!
//! Owned by `map.rs`, `str_map.rs` and `hash_table.rs`. Invariant: the checked forms panic before they give out two references to one entry.

#![allow(unsafe_code)]

use crate::hash::{finalise, hash_of};
use crate::hash_table::HashTable;
use crate::map::HashMap;
use crate::raw::layout::Layout;
use crate::str_map::StrMap;
use allocator_api2::alloc::Allocator;
use core::hash::{BuildHasher, Hash};
use equivalent::Equivalent;

impl<K, V, S, A, L> HashMap<K, V, S, A, L>
where
    K: Eq + Hash,
    S: BuildHasher,
    A: Allocator,
    L: Layout,
{
    /// The values of `keys`, mutable, `None` for those that are not there. O(N²) comparisons of places.
    ///
    /// # Panics
    /// If two keys that are there are equal.
    ///
    /// ```
    /// let mut map = bucketmask_map::HashMap::from([("a", 1), ("b", 2)]);
    /// if let [Some(a), Some(b), None] = map.get_disjoint_mut(["a", "b", "c"]) {
    ///     core::mem::swap(a, b);
    /// }
    /// assert_eq!((map["a"], map["b"]), (2, 1));
    /// ```
    pub fn get_disjoint_mut<Q, const N: usize>(&mut self, keys: [&Q; N]) -> [Option<&'_ mut V>; N]
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.get_disjoint_key_value_mut(keys).map(|entry| entry.map(|(_, value)| value))
    }

    /// The values of `keys`, mutable, `None` for those that are not there, without a look whether keys are equal.
    ///
    /// # Safety
    /// No two keys that are there are equal, and their `Eq` tells the truth about it.
    pub unsafe fn get_disjoint_unchecked_mut<Q, const N: usize>(
        &mut self,
        keys: [&Q; N],
    ) -> [Option<&'_ mut V>; N]
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        // SAFETY: the caller's promise.
        unsafe { self.get_disjoint_key_value_unchecked_mut(keys) }.map(|entry| entry.map(|(_, value)| value))
    }

    /// The entries of `keys`, values mutable, `None` for those that are not there.
    ///
    /// # Panics
    /// If two keys that are there are equal.
    pub fn get_disjoint_key_value_mut<Q, const N: usize>(
        &mut self,
        keys: [&Q; N],
    ) -> [Option<(&'_ K, &'_ mut V)>; N]
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let hashes = keys.map(|key| hash_of(&self.build, key));
        let found = self.table.get_disjoint_mut(hashes, |at, (held, _)| keys[at].equivalent(held));
        found.map(|entry| entry.map(|(key, value)| (&*key, value)))
    }

    /// The entries of `keys`, values mutable, `None` for those that are not there, without a look whether keys are equal.
    ///
    /// # Safety
    /// No two keys that are there are equal, and their `Eq` tells the truth about it.
    pub unsafe fn get_disjoint_key_value_unchecked_mut<Q, const N: usize>(
        &mut self,
        keys: [&Q; N],
    ) -> [Option<(&'_ K, &'_ mut V)>; N]
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let hashes = keys.map(|key| hash_of(&self.build, key));
        // SAFETY: the caller's promise: different keys, different entries.
        let found = unsafe {
            self.table.get_disjoint_unchecked_mut(hashes, |at, (held, _)| keys[at].equivalent(held))
        };
        found.map(|entry| entry.map(|(key, value)| (&*key, value)))
    }
}

impl<V, S: BuildHasher, A: Allocator, L: Layout> StrMap<V, S, A, L> {
    /// The values of `keys`, mutable, `None` for those that are not there. O(N²) comparisons of places.
    ///
    /// # Panics
    /// If two keys that are there are equal.
    ///
    /// ```
    /// let mut map = bucketmask_map::StrMap::from([("a", 1), ("b", 2)]);
    /// if let [Some(a), Some(b), None] = map.get_disjoint_mut(["a", "b", "c"]) {
    ///     core::mem::swap(a, b);
    /// }
    /// assert_eq!((map["a"], map["b"]), (2, 1));
    /// ```
    pub fn get_disjoint_mut<const N: usize>(&mut self, keys: [&str; N]) -> [Option<&'_ mut V>; N] {
        let asked = keys.map(|key| self.ask(key));
        let hashes = core::array::from_fn(|at| asked[at].0);
        let found = self.table.get_disjoint_mut(hashes, |at, (held, _)| held.is(&asked[at].1));
        found.map(|entry| entry.map(|(_, value)| value))
    }
}

impl<T, A: Allocator, L: Layout> HashTable<T, A, L> {
    /// For each hash the entry that `eq` accepts for its index, mutable, without a look whether they are one.
    ///
    /// # Safety
    /// No two of them are one entry.
    pub unsafe fn get_disjoint_unchecked_mut<const N: usize>(
        &mut self,
        hashes: [u64; N],
        eq: impl FnMut(usize, &T) -> bool,
    ) -> [Option<&'_ mut T>; N] {
        // SAFETY: the caller's promise.
        unsafe { self.raw.get_disjoint_unchecked_mut(hashes.map(finalise), eq) }
    }
}
