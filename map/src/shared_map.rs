//! `SharedMap`: a map whose operations take `&self` on the caller's word that they do not overlap, and which, with the feature `detect`, finds out
//! where that word is broken.
//!
//! `operation` names what is done; `watch` is the detector (`blind` stands in for it where the feature is off), `marks` its protocol, `threads` who is
//! who, `report` what is said, `stacks` where the other side came from. What is found by whom: docs/shared-map.md.
//! Invariant: between the beginning of an operation and its end the table is touched by nobody else, or the contract was broken.

#![allow(unsafe_code)]

#[cfg(not(feature = "detect"))]
mod blind;
#[cfg(feature = "detect")]
mod marks;
mod operation;
#[cfg(feature = "detect")]
mod report;
#[cfg(feature = "detect")]
mod stacks;
#[cfg(feature = "detect")]
mod threads;
#[cfg(feature = "detect")]
mod watch;

#[cfg(not(feature = "detect"))]
use blind as watch;
use operation::Operation;
#[cfg(feature = "detect")]
pub use report::{Response, respond_with};
use watch::{Iterating, Watch};

use crate::hash::hash_of;
use crate::iter;
use crate::map::HashMap;
use crate::pages::Pages;
use crate::raw::text;
use allocator_api2::alloc::Allocator;
use core::cell::UnsafeCell;
use core::fmt;
use core::hash::{BuildHasher, Hash};
use core::iter::FusedIterator;
use core::marker::PhantomData;
use core::mem::{self, ManuallyDrop};
use equivalent::Equivalent;
use std::collections::hash_map::RandomState;

/// A map that is shared by hand: every operation takes `&self`, and the caller promises what a lock would see to.
///
/// For maps behind a foreign language's interface, behind a lock or a handshake of the caller's own, or inside a type with a hand-written
/// `Sync`. Without the feature `detect` it is a [`HashMap`], to the byte and to the instruction. With it, each operation leaves marks: an operation that
/// overlaps with another one, of which at least one writes, panics with a message that names both threads, what they do, the
/// hashes of their keys, and where. `raw::respond_with` makes it an abort.
///
/// # Safety
///
/// The contract of every `unsafe` method here is the same. An operation that **writes** (`insert`, `update`, `remove`, `retain`, `clear`,
/// `reserve`, `write`, and dropping or moving the map) overlaps with nothing else on the same map: with no other operation, not even one that the same thread
/// makes from inside a closure, a `Hash` or an `Eq`; not with the life of an iterator, which is one operation from [`iter`](Self::iter) to its drop; not
/// with the life of a reference that an earlier operation returned. Operations that only **read** (the others) may overlap with each other. "Does not overlap" means ordered by
/// happens-before: by a lock, a join, a message. In a collector's arena, a write that stores a pointer is followed by the write barrier of the object
/// that holds the map.
///
/// The detector does not replace the contract. It sees operations, so it does not see a returned reference that is used too long
/// ([`with`](Self::with) keeps the mark while the value is looked at), and a read that it stops at its end has read what it should not have.
///
/// ```
/// use bucketmask_map::raw::SharedMap;
///
/// let ages = SharedMap::new();
/// std::thread::scope(|threads| {
///     // SAFETY: the scope joins the thread before the map is read.
///     threads.spawn(|| unsafe { ages.insert("Ada", 36) });
/// });
/// // SAFETY: nobody writes any more.
/// assert_eq!(unsafe { ages.with("Ada", |age| *age) }, Some(36));
/// ```
pub struct SharedMap<K, V, S = RandomState, A: Allocator = Pages> {
    watch: Watch,
    map: ManuallyDrop<UnsafeCell<HashMap<K, V, S, A>>>,
}

// SAFETY: it owns its entries, its hasher and its allocator, as the map does; marks are atomics.
unsafe impl<K: Send, V: Send, S: Send, A: Allocator + Send> Send for SharedMap<K, V, S, A> {}
// SAFETY: whatever touches the map through a shared reference is unsafe, and its caller promises that writes do not overlap with anything. So
// the map may be read by several threads (`Sync`) and be written by one after the other (`Send`).
unsafe impl<K: Send + Sync, V: Send + Sync, S: Send + Sync, A: Allocator + Send + Sync> Sync
    for SharedMap<K, V, S, A>
{
}

impl<K, V> SharedMap<K, V> {
    /// An empty map, without memory.
    #[must_use]
    pub fn new() -> Self {
        Self::with_hasher(RandomState::new())
    }
}

impl<K, V> Default for SharedMap<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K, V, S> SharedMap<K, V, S> {
    /// An empty map, without memory, that hashes with `build`.
    #[must_use]
    pub const fn with_hasher(build: S) -> Self {
        Self::of(HashMap::with_hasher(build))
    }
}

impl<K, V, S, A: Allocator> From<HashMap<K, V, S, A>> for SharedMap<K, V, S, A> {
    fn from(map: HashMap<K, V, S, A>) -> Self {
        Self::of(map)
    }
}

impl<K, V, S, A: Allocator> SharedMap<K, V, S, A> {
    /// Shares a map.
    #[must_use]
    pub const fn of(map: HashMap<K, V, S, A>) -> Self {
        Self { watch: Watch::new(), map: ManuallyDrop::new(UnsafeCell::new(map)) }
    }

    /// The map, which nobody else has.
    pub fn get_mut(&mut self) -> &mut HashMap<K, V, S, A> {
        self.map.get_mut()
    }

    /// The map, no longer shared.
    ///
    /// # Panics
    /// With the feature `detect`: an operation is under way.
    #[must_use]
    pub fn into_inner(self) -> HashMap<K, V, S, A> {
        let this = ManuallyDrop::new(self);
        assert!(this.watch.may_go(Operation::IntoInner), "an operation on the map is under way");
        // SAFETY: `this` is not dropped, so the map is moved out once.
        let map = unsafe { core::ptr::read(&raw const this.map) };
        ManuallyDrop::into_inner(map).into_inner()
    }

    /// Entries in the map.
    ///
    /// # Safety
    /// A read, see [`SharedMap`].
    #[inline]
    pub unsafe fn len(&self) -> usize {
        // SAFETY: no write overlaps, as the caller promises.
        self.watch.read(Operation::Len, 0, || unsafe { self.seen() }.len())
    }

    /// Whether there is no entry.
    ///
    /// # Safety
    /// A read, see [`SharedMap`].
    #[inline]
    pub unsafe fn is_empty(&self) -> bool {
        // SAFETY: as the caller promises.
        unsafe { self.len() == 0 }
    }

    /// Any reading of the map, as one operation.
    ///
    /// # Safety
    /// A read, see [`SharedMap`].
    #[inline]
    pub unsafe fn read<R>(&self, look: impl FnOnce(&HashMap<K, V, S, A>) -> R) -> R {
        // SAFETY: no write overlaps, as the caller promises.
        self.watch.read(Operation::Read, 0, || look(unsafe { self.seen() }))
    }

    /// Any change of the map, as one operation.
    ///
    /// # Safety
    /// A write, see [`SharedMap`].
    #[inline]
    pub unsafe fn write<R>(&self, change: impl FnOnce(&mut HashMap<K, V, S, A>) -> R) -> R {
        let _inside = self.watch.write(Operation::Write, 0);
        // SAFETY: nothing overlaps, as the caller promises.
        change(unsafe { self.owned() })
    }

    /// The entries, in the order of their hashes. One read, from here to the drop of the iterator; an iterator that is leaked never ends.
    ///
    /// # Safety
    /// A read, see [`SharedMap`].
    #[allow(clippy::iter_without_into_iter, reason = "`for` would call it without a promise")]
    pub unsafe fn iter(&self) -> SharedIter<'_, K, V> {
        let inside = self.watch.iterate();
        // SAFETY: no write overlaps, as the caller promises.
        SharedIter { inner: unsafe { self.seen() }.iter(), inside, thread: PhantomData }
    }

    /// Keeps the entries for which `keep` is true. O(entries), by masks.
    ///
    /// # Safety
    /// A write, see [`SharedMap`].
    pub unsafe fn retain(&self, keep: impl FnMut(&K, &mut V) -> bool) {
        let _inside = self.watch.write(Operation::Retain, 0);
        // SAFETY: nothing overlaps, as the caller promises.
        unsafe { self.owned() }.retain(keep);
    }

    /// Drops all entries and keeps the memory.
    ///
    /// # Safety
    /// A write, see [`SharedMap`].
    pub unsafe fn clear(&self) {
        let _inside = self.watch.write(Operation::Clear, 0);
        // SAFETY: nothing overlaps, as the caller promises.
        unsafe { self.owned() }.clear();
    }

    /// The map, to look at.
    ///
    /// # Safety
    /// No write overlaps with the reference's life.
    #[inline(always)]
    unsafe fn seen(&self) -> &HashMap<K, V, S, A> {
        // SAFETY: as the caller promises.
        unsafe { &*self.map.get() }
    }

    /// The map, to change.
    ///
    /// # Safety
    /// Nothing overlaps with the reference's life.
    #[allow(clippy::mut_from_ref, reason = "the caller promises that it is the only one")]
    #[inline(always)]
    unsafe fn owned(&self) -> &mut HashMap<K, V, S, A> {
        // SAFETY: as the caller promises.
        unsafe { &mut *self.map.get() }
    }

    /// The hasher's builder, which no operation changes.
    ///
    /// # Safety
    /// The map is not being moved or dropped.
    #[inline(always)]
    unsafe fn build(&self) -> &S {
        // SAFETY: the map is live, and `write`, which alone could replace the hasher, does not overlap.
        unsafe { &(*self.map.get()).build }
    }
}

impl<K, V, S, A> SharedMap<K, V, S, A>
where
    K: Eq + Hash,
    S: BuildHasher,
    A: Allocator,
{
    /// The entry of a key whose hash is known.
    ///
    /// # Safety
    /// No write overlaps with the reference's life.
    #[inline(always)]
    unsafe fn find<Q>(&self, hash: u64, key: &Q) -> Option<&(K, V)>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        // SAFETY: as the caller promises.
        unsafe { self.seen() }.table.get(hash, |(held, _)| text::is_key(held, key))
    }

    /// The value of `key`. The mark is gone when this returns: use [`with`](Self::with) where the detector shall know how long it is looked at.
    ///
    /// # Safety
    /// A read, see [`SharedMap`]; no write overlaps with the reference's life.
    #[inline]
    pub unsafe fn get<Q>(&self, key: &Q) -> Option<&V>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        // SAFETY: no write overlaps, as the caller promises, here and below.
        let hash = hash_of(unsafe { self.build() }, key);
        let find = || {
            // SAFETY: as above.
            unsafe { self.find(hash, key) }.map(|(_, value)| value)
        };
        self.watch.read(Operation::Get, hash, find)
    }

    /// What `look` makes of the value of `key`.
    ///
    /// # Safety
    /// A read, see [`SharedMap`].
    #[inline]
    pub unsafe fn with<Q, R>(&self, key: &Q, look: impl FnOnce(&V) -> R) -> Option<R>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        // SAFETY: no write overlaps, as the caller promises, here and below.
        let hash = hash_of(unsafe { self.build() }, key);
        let find = || {
            // SAFETY: as above.
            unsafe { self.find(hash, key) }.map(|(_, value)| look(value))
        };
        self.watch.read(Operation::With, hash, find)
    }

    /// Whether `key` is there.
    ///
    /// # Safety
    /// A read, see [`SharedMap`].
    #[inline]
    pub unsafe fn contains_key<Q>(&self, key: &Q) -> bool
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        // SAFETY: no write overlaps, as the caller promises, here and below.
        let hash = hash_of(unsafe { self.build() }, key);
        // SAFETY: as above.
        self.watch.read(Operation::ContainsKey, hash, || unsafe { self.find(hash, key) }.is_some())
    }

    /// Sets the value of `key` and returns the one it had. The map keeps the key it has.
    ///
    /// # Panics
    /// If the table would be larger than the address space.
    ///
    /// # Safety
    /// A write, see [`SharedMap`].
    #[inline]
    pub unsafe fn insert(&self, key: K, value: V) -> Option<V> {
        // SAFETY: nothing overlaps, as the caller promises, here and below.
        let hash = hash_of(unsafe { self.build() }, &key);
        let _inside = self.watch.write(Operation::Insert, hash);
        // SAFETY: as above.
        let HashMap { table, build } = unsafe { self.owned() };
        let found = table.cell(hash, |(held, _)| text::is_key(held, &key), |(held, _)| hash_of(build, held));
        match found {
            Ok(mut occupied) => Some(mem::replace(&mut occupied.get_mut().1, value)),
            Err(vacant) => {
                vacant.insert((key, value));
                None
            }
        }
    }

    /// Changes the value of `key` in place and returns what `change` returns.
    ///
    /// # Safety
    /// A write, see [`SharedMap`].
    #[inline]
    pub unsafe fn update<Q, R>(&self, key: &Q, change: impl FnOnce(&mut V) -> R) -> Option<R>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        // SAFETY: nothing overlaps, as the caller promises, here and below.
        let hash = hash_of(unsafe { self.build() }, key);
        let _inside = self.watch.write(Operation::Update, hash);
        // SAFETY: as above.
        let table = unsafe { &mut self.owned().table };
        table.get_mut(hash, |(held, _)| text::is_key(held, key)).map(|(_, value)| change(value))
    }

    /// Takes `key` out and returns its value.
    ///
    /// # Safety
    /// A write, see [`SharedMap`].
    #[inline]
    pub unsafe fn remove<Q>(&self, key: &Q) -> Option<V>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        // SAFETY: nothing overlaps, as the caller promises, here and below.
        let hash = hash_of(unsafe { self.build() }, key);
        let _inside = self.watch.write(Operation::Remove, hash);
        // SAFETY: as above.
        let HashMap { table, build } = unsafe { self.owned() };
        table.ebb(|(held, _)| hash_of(build, held));
        let taken = table.remove(hash, |(held, _)| text::is_key(held, key), |(held, _)| hash_of(build, held));
        taken.map(|(_, value)| value)
    }

    /// Makes room for `additional` more entries.
    ///
    /// # Panics
    /// If the table would be larger than the address space.
    ///
    /// # Safety
    /// A write, see [`SharedMap`].
    pub unsafe fn reserve(&self, additional: usize) {
        let _inside = self.watch.write(Operation::Reserve, 0);
        // SAFETY: nothing overlaps, as the caller promises.
        unsafe { self.owned() }.reserve(additional);
    }
}

impl<K, V, S, A: Allocator> Drop for SharedMap<K, V, S, A> {
    /// With the feature `detect`: panics if an operation is under way, and leaks the table, which that operation may still look at.
    fn drop(&mut self) {
        if self.watch.may_go(Operation::Drop) {
            // SAFETY: it is dropped here alone, once.
            unsafe { ManuallyDrop::drop(&mut self.map) };
        }
    }
}

/// Without its entries, which only its owner may look at.
impl<K, V, S, A: Allocator> fmt::Debug for SharedMap<K, V, S, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedMap").finish_non_exhaustive()
    }
}

/// Entries of a map by reference: [`SharedMap::iter`]. Belongs to the thread that made it.
pub struct SharedIter<'a, K, V> {
    inner: iter::Iter<'a, K, V>,
    inside: Iterating<'a>,
    thread: PhantomData<*const ()>,
}

impl<'a, K, V> Iterator for SharedIter<'a, K, V> {
    type Item = (&'a K, &'a V);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.inside.look();
        self.inner.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.inner.size_hint()
    }

    #[inline]
    fn fold<R, F: FnMut(R, Self::Item) -> R>(self, first: R, mut fold: F) -> R {
        let Self { inner, inside, .. } = self;
        inner.fold(first, |all, entry| {
            inside.look();
            fold(all, entry)
        })
    }
}

impl<K, V> ExactSizeIterator for SharedIter<'_, K, V> {}
impl<K, V> FusedIterator for SharedIter<'_, K, V> {}

impl<K, V> fmt::Debug for SharedIter<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedIter").field("left", &self.inner.len()).finish_non_exhaustive()
    }
}

#[cfg(feature = "gc")]
mod collect {
    use super::{HashMap, Operation, SharedMap};
    use crate::raw::layout::Auto;
    use allocator_api2::alloc::Allocator;
    use bucketmask_gc::Collect;
    use bucketmask_gc::collect::Trace;

    // SAFETY: all entries are traced, by the map's own implementation. Tracing is a read; who shares the map promised that no write overlaps with one,
    // and that writes are followed by barriers.
    unsafe impl<'gc, K, V, S, A> Collect<'gc> for SharedMap<K, V, S, A>
    where
        K: Collect<'gc>,
        V: Collect<'gc>,
        S: 'static,
        A: Allocator + 'static,
    {
        const NEEDS_TRACE: bool = <HashMap<K, V, S, A, Auto> as Collect<'gc>>::NEEDS_TRACE;

        fn trace<T: Trace<'gc>>(&self, cc: &mut T) {
            // SAFETY: no write overlaps, see above.
            self.watch.read(Operation::Trace, 0, || unsafe { self.seen() }.trace(cc));
        }
    }
}

#[cfg(all(test, not(feature = "detect")))]
mod tests {
    use super::*;

    #[test]
    fn without_the_detector_it_is_a_map_to_the_byte() {
        assert_eq!(size_of::<SharedMap<u64, String>>(), size_of::<HashMap<u64, String>>());
        assert_eq!(size_of::<SharedIter<'_, u64, u64>>(), size_of::<iter::Iter<'_, u64, u64>>());
        assert_eq!(size_of::<(Watch, Iterating<'_>, watch::Writing<'_>)>(), 0);
    }
}
