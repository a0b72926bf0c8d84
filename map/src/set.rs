//! `HashSet`: a map without values.
//!
//! Owned by the crate's users. Invariant: nothing here knows how the map works.

use crate::map::HashMap;
use crate::pages::Pages;
use crate::raw::check::TableStats;
use crate::raw::layout::{Auto, Layout};
use crate::raw::storage::TryReserveError;
use allocator_api2::alloc::Allocator;
use core::hash::{BuildHasher, Hash};
use core::mem;
use equivalent::Equivalent;
use std::collections::hash_map::RandomState;

mod algebra;
mod entry;
mod iter;
mod traits;

pub use algebra::{Difference, Intersection, SymmetricDifference, Union};
pub use entry::{Entry, OccupiedEntry, VacantEntry};
pub use iter::{Drain, ExtractIf, IntoIter, Iter};

/// A hash set with std's interface over [`HashMap`].
pub struct HashSet<T, S = RandomState, A: Allocator = Pages, L: Layout = Auto> {
    pub(crate) map: HashMap<T, (), S, A, L>,
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
    pub const fn with_hasher(build: S) -> Self {
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

impl<T, A: Allocator> HashSet<T, RandomState, A> {
    /// An empty set that will take its memory from `alloc`.
    #[must_use]
    pub fn new_in(alloc: A) -> Self {
        Self { map: HashMap::new_in(alloc) }
    }

    /// An empty set in `alloc` that takes `capacity` values before it grows.
    ///
    /// # Panics
    /// If the table would be larger than the address space.
    #[must_use]
    pub fn with_capacity_in(capacity: usize, alloc: A) -> Self {
        Self { map: HashMap::with_capacity_in(capacity, alloc) }
    }
}

impl<T, S, A: Allocator> HashSet<T, S, A> {
    /// An empty set that hashes with `build` and will take its memory from `alloc`.
    #[must_use]
    pub const fn with_hasher_in(build: S, alloc: A) -> Self {
        Self { map: HashMap::with_hasher_in(build, alloc) }
    }

    /// An empty set in `alloc` that takes `capacity` values before it grows and hashes with `build`.
    ///
    /// # Panics
    /// If the table would be larger than the address space.
    #[must_use]
    pub fn with_capacity_and_hasher_in(capacity: usize, build: S, alloc: A) -> Self {
        Self { map: HashMap::with_capacity_and_hasher_in(capacity, build, alloc) }
    }
}

impl<T, S, A: Allocator, L: Layout> HashSet<T, S, A, L> {
    /// The allocator.
    #[inline]
    pub fn allocator(&self) -> &A {
        self.map.allocator()
    }

    /// Bytes of the table's memory that are in use; reserved room that is not open does not count.
    pub fn allocation_size(&self) -> usize {
        self.map.allocation_size()
    }

    /// Values in the set.
    #[inline]
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// Whether there is no value.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// Values that fit before the table grows again, those that are there included.
    #[inline]
    pub fn capacity(&self) -> usize {
        self.map.capacity()
    }

    /// What the table is made of. O(buckets).
    pub fn stats(&self) -> TableStats {
        self.map.stats()
    }

    /// The values, in the order of their hashes.
    pub fn iter(&self) -> Iter<'_, T, L> {
        Iter { inner: self.map.keys() }
    }

    /// Takes all values out and keeps the memory.
    pub fn drain(&mut self) -> Drain<'_, T, A, L> {
        Drain { inner: self.map.drain() }
    }

    /// Keeps the values for which `keep` is true.
    pub fn retain<F>(&mut self, mut keep: F)
    where
        F: FnMut(&T) -> bool,
    {
        self.map.retain(|value, ()| keep(value));
    }

    /// Takes out the values for which `chosen` is true, one at a time as the iterator is asked. Values that it did not
    /// reach stay.
    pub fn extract_if<F>(&mut self, chosen: F) -> ExtractIf<'_, T, F, L>
    where
        F: FnMut(&T) -> bool,
    {
        ExtractIf { inner: self.map.table.extract(), chosen }
    }

    /// Drops all values and keeps the memory.
    pub fn clear(&mut self) {
        self.map.clear();
    }

    /// The hasher's builder.
    #[inline]
    pub fn hasher(&self) -> &S {
        self.map.hasher()
    }
}

impl<T, S, A, L> HashSet<T, S, A, L>
where
    T: Eq + Hash,
    S: BuildHasher,
    A: Allocator,
    L: Layout,
{
    /// Makes room for `additional` more values. A large table does not pause for it: it starts to grow here and goes on
    /// with the next inserts.
    ///
    /// # Panics
    /// If the table would be larger than the address space.
    pub fn reserve(&mut self, additional: usize) {
        self.map.reserve(additional);
    }

    /// Makes room for `additional` more values.
    ///
    /// # Errors
    /// The table would be larger than the address space, or there is no memory; the set is unchanged.
    pub fn try_reserve(&mut self, additional: usize) -> Result<(), TryReserveError> {
        self.map.try_reserve(additional)
    }

    /// Does a piece of the work that growth, shrinking or repair has left to later calls; returns whether there is more.
    /// See [`HashMap::migrate_step`](crate::HashMap::migrate_step).
    pub fn migrate_step(&mut self) -> bool {
        self.map.migrate_step()
    }

    /// Rebuilds the table in as little memory as its values need. O(values + buckets).
    pub fn shrink_to_fit(&mut self) {
        self.map.shrink_to_fit();
    }

    /// Rebuilds the table in as little memory as its values, and at least `capacity` of them, need.
    pub fn shrink_to(&mut self, capacity: usize) {
        self.map.shrink_to(capacity);
    }

    /// Whether `value` is there.
    #[inline]
    pub fn contains<Q>(&self, value: &Q) -> bool
    where
        Q: Hash + Equivalent<T> + ?Sized,
    {
        self.map.contains_key(value)
    }

    /// The value equal to `value` that the set holds.
    #[inline]
    pub fn get<Q>(&self, value: &Q) -> Option<&T>
    where
        Q: Hash + Equivalent<T> + ?Sized,
    {
        self.map.get_key_value(value).map(|(value, ())| value)
    }

    /// The value equal to `value` that the set holds, after inserting it if there was none.
    ///
    /// # Panics
    /// If the table would be larger than the address space.
    #[inline]
    pub fn get_or_insert(&mut self, value: T) -> &T {
        match self.map.cell(&value) {
            Ok(occupied) => &occupied.into_mut().0,
            Err(vacant) => &vacant.insert((value, ())).0,
        }
    }

    /// The value equivalent to `value` that the set holds, after inserting what `make` makes of it if there was none.
    ///
    /// # Panics
    /// If what `make` makes is not equivalent to `value`, or the table would be larger than the address space.
    #[inline]
    pub fn get_or_insert_with<Q, F>(&mut self, value: &Q, make: F) -> &T
    where
        Q: Hash + Equivalent<T> + ?Sized,
        F: FnOnce(&Q) -> T,
    {
        match self.map.cell(value) {
            Ok(occupied) => &occupied.into_mut().0,
            Err(vacant) => {
                let made = make(value);
                assert!(value.equivalent(&made), "new value is not equivalent");
                &vacant.insert((made, ())).0
            }
        }
    }

    /// The place of `value`, to look at and to change in one lookup.
    ///
    /// # Panics
    /// If the table would be larger than the address space.
    #[inline]
    pub fn entry(&mut self, value: T) -> Entry<'_, T, A, L> {
        Entry::of(self.map.entry(value))
    }

    /// Adds `value`; false if it was there, and then the set keeps the one it has.
    ///
    /// # Panics
    /// If the table would be larger than the address space.
    #[inline]
    pub fn insert(&mut self, value: T) -> bool {
        self.map.insert(value, ()).is_none()
    }

    /// Inserts a value that is known not to be there, without looking for it. Were it there nevertheless, the set would
    /// hold it twice; memory safety holds.
    ///
    /// # Panics
    /// If the table would be larger than the address space.
    #[inline]
    pub fn insert_unique_unchecked(&mut self, value: T) -> &T {
        self.map.insert_unique_unchecked(value, ()).0
    }

    /// Adds `value`, in the place of the equal one that the set held, which is returned.
    ///
    /// # Panics
    /// If the table would be larger than the address space.
    #[inline]
    pub fn replace(&mut self, value: T) -> Option<T> {
        match self.map.cell(&value) {
            Ok(mut occupied) => Some(mem::replace(&mut occupied.get_mut().0, value)),
            Err(vacant) => {
                vacant.insert((value, ()));
                None
            }
        }
    }

    /// Takes `value` out; false if it was not there.
    #[inline]
    pub fn remove<Q>(&mut self, value: &Q) -> bool
    where
        Q: Hash + Equivalent<T> + ?Sized,
    {
        self.map.remove(value).is_some()
    }

    /// Takes `value` out and returns the one that the set held.
    #[inline]
    pub fn take<Q>(&mut self, value: &Q) -> Option<T>
    where
        Q: Hash + Equivalent<T> + ?Sized,
    {
        self.map.remove_entry(value).map(|(value, ())| value)
    }
}
