//! The iterators of `HashTable`.
//!
//! Owned by `hash_table.rs`. Invariant: all of them go in the order of the mixed hashes, those over the whole table know
//! how many entries are left.

use crate::pages::Pages;
use crate::raw::extract::Extract;
use crate::raw::layout::{Auto, Layout};
use crate::raw::{probe, walk};
use allocator_api2::alloc::Allocator;
use core::fmt;
use core::iter::FusedIterator;

/// Entries by reference: [`HashTable::iter`](crate::HashTable::iter).
pub struct Iter<'a, T, L: Layout = Auto> {
    pub(super) inner: walk::Iter<'a, T, L>,
}

/// Entries by unique reference: [`HashTable::iter_mut`](crate::HashTable::iter_mut).
pub struct IterMut<'a, T, L: Layout = Auto> {
    pub(super) inner: walk::IterMut<'a, T, L>,
}

/// Entries, owned.
pub struct IntoIter<T, A: Allocator = Pages, L: Layout = Auto> {
    pub(super) inner: walk::IntoIter<T, A, L>,
}

/// Entries taken out: [`HashTable::drain`](crate::HashTable::drain).
pub struct Drain<'a, T, A: Allocator = Pages, L: Layout = Auto> {
    pub(super) inner: walk::Drain<'a, T, A, L>,
}

/// Entries that may have a hash: [`HashTable::iter_hash`](crate::HashTable::iter_hash).
pub struct IterHash<'a, T, L: Layout = Auto> {
    pub(super) inner: probe::Matches<'a, T, L>,
}

/// Entries that may have a hash, mutable: [`HashTable::iter_hash_mut`](crate::HashTable::iter_hash_mut).
pub struct IterHashMut<'a, T, L: Layout = Auto> {
    pub(super) inner: probe::MatchesMut<'a, T, L>,
}

/// Entries taken out by a predicate: [`HashTable::extract_if`](crate::HashTable::extract_if).
#[must_use = "iterators are lazy: entries that it does not reach stay in the table"]
pub struct ExtractIf<'a, T, F, L: Layout = Auto> {
    pub(super) inner: Extract<'a, T, L>,
    pub(super) chosen: F,
}

macro_rules! iterator {
    ($name:ident<$($life:lifetime)? $(; $alloc:ident)?>, $item:ty, $self:ident => $rest:expr) => {
        impl<$($life,)? T, $($alloc: Allocator,)? L: Layout> Iterator for $name<$($life,)? T, $($alloc,)? L> {
            type Item = $item;

            #[inline]
            fn next(&mut self) -> Option<$item> {
                self.inner.next()
            }

            #[inline]
            fn size_hint(&self) -> (usize, Option<usize>) {
                self.inner.size_hint()
            }
        }

        impl<$($life,)? T, $($alloc: Allocator,)? L: Layout> FusedIterator for $name<$($life,)? T, $($alloc,)? L> {}

        impl<$($life,)? T: fmt::Debug, $($alloc: Allocator,)? L: Layout> fmt::Debug
            for $name<$($life,)? T, $($alloc,)? L>
        {
            fn fmt(&$self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_list().entries($rest).finish()
            }
        }
    };
}

iterator!(Iter<'a>, &'a T, self => self.inner.clone());
iterator!(IterMut<'a>, &'a mut T, self => self.inner.rest());
iterator!(IntoIter<; A>, T, self => self.inner.rest());
iterator!(Drain<'a; A>, T, self => self.inner.rest());
iterator!(IterHash<'a>, &'a T, self => self.inner.clone());
iterator!(IterHashMut<'a>, &'a mut T, self => self.inner.rest());

impl<T, L: Layout> ExactSizeIterator for Iter<'_, T, L> {}
impl<T, L: Layout> ExactSizeIterator for IterMut<'_, T, L> {}
impl<T, A: Allocator, L: Layout> ExactSizeIterator for IntoIter<T, A, L> {}
impl<T, A: Allocator, L: Layout> ExactSizeIterator for Drain<'_, T, A, L> {}

macro_rules! borrowing {
    ($($name:ident)*) => {$(
        impl<T, L: Layout> Default for $name<'_, T, L> {
            fn default() -> Self {
                Self { inner: Default::default() }
            }
        }
    )*};
}

borrowing!(Iter IterMut IterHash IterHashMut);

impl<T, A: Allocator + Default, L: Layout> Default for IntoIter<T, A, L> {
    fn default() -> Self {
        Self { inner: walk::IntoIter::default() }
    }
}

impl<T, L: Layout> Clone for Iter<'_, T, L> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

impl<T, L: Layout> Clone for IterHash<'_, T, L> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

impl<T, F: FnMut(&mut T) -> bool, L: Layout> Iterator for ExtractIf<'_, T, F, L> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        self.inner.next(&mut self.chosen)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.inner.left()))
    }
}

impl<T, F: FnMut(&mut T) -> bool, L: Layout> FusedIterator for ExtractIf<'_, T, F, L> {}

impl<T: fmt::Debug, F, L: Layout> fmt::Debug for ExtractIf<'_, T, F, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExtractIf").finish_non_exhaustive()
    }
}
