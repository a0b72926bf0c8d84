//! The iterators of `HashSet`: the map's, keys only.
//!
//! Owned by `set.rs`. Invariant: all of them go in the order of the hashes.

use crate::iter;
use crate::pages::Pages;
use crate::raw::extract::Extract;
use crate::raw::layout::{Auto, Layout};
use allocator_api2::alloc::Allocator;
use core::fmt;
use core::iter::FusedIterator;

/// Values of a set by reference: [`HashSet::iter`](crate::HashSet::iter).
pub struct Iter<'a, T, L: Layout = Auto> {
    pub(super) inner: iter::Keys<'a, T, (), L>,
}

/// Values of a set, owned.
pub struct IntoIter<T, A: Allocator = Pages, L: Layout = Auto> {
    pub(super) inner: iter::IntoKeys<T, (), A, L>,
}

/// Values taken out of a set: [`HashSet::drain`](crate::HashSet::drain).
pub struct Drain<'a, T, A: Allocator = Pages, L: Layout = Auto> {
    pub(super) inner: iter::Drain<'a, T, (), A, L>,
}

/// Values taken out of a set by a predicate: [`HashSet::extract_if`](crate::HashSet::extract_if).
#[must_use = "iterators are lazy: values that it does not reach stay in the set"]
pub struct ExtractIf<'a, T, F, L: Layout = Auto> {
    pub(super) inner: Extract<'a, (T, ()), L>,
    pub(super) chosen: F,
}

macro_rules! iterator {
    ($name:ident<$($life:lifetime)? $(; $alloc:ident)?>, $item:ty, $entry:pat => $value:expr, $self:ident => $rest:expr) => {
        impl<$($life,)? T, $($alloc: Allocator,)? L: Layout> Iterator for $name<$($life,)? T, $($alloc,)? L> {
            type Item = $item;

            #[inline]
            fn next(&mut self) -> Option<$item> {
                self.inner.next().map(|$entry| $value)
            }

            #[inline]
            fn size_hint(&self) -> (usize, Option<usize>) {
                self.inner.size_hint()
            }

            #[inline]
            fn count(self) -> usize {
                self.inner.len()
            }

            #[inline]
            fn fold<R, F: FnMut(R, $item) -> R>(self, first: R, mut step: F) -> R {
                self.inner.fold(first, |sum, $entry| step(sum, $value))
            }
        }

        impl<$($life,)? T, $($alloc: Allocator,)? L: Layout> ExactSizeIterator for $name<$($life,)? T, $($alloc,)? L> {}
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

iterator!(Iter<'a>, &'a T, value => value, self => self.clone());
iterator!(IntoIter<; A>, T, value => value, self => self.inner.inner.inner.rest().map(|(value, ())| value));
iterator!(Drain<'a; A>, T, (value, ()) => value, self => self.inner.inner.rest().map(|(value, ())| value));

impl<T, L: Layout> Clone for Iter<'_, T, L> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

impl<T, L: Layout> Default for Iter<'_, T, L> {
    fn default() -> Self {
        Self { inner: iter::Keys::default() }
    }
}

impl<T, A: Allocator + Default, L: Layout> Default for IntoIter<T, A, L> {
    fn default() -> Self {
        Self { inner: iter::IntoKeys::default() }
    }
}

impl<T, F: FnMut(&T) -> bool, L: Layout> Iterator for ExtractIf<'_, T, F, L> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        let chosen = &mut self.chosen;
        self.inner.next(|(value, ())| chosen(value)).map(|(value, ())| value)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.inner.left()))
    }
}

impl<T, F: FnMut(&T) -> bool, L: Layout> FusedIterator for ExtractIf<'_, T, F, L> {}

impl<T: fmt::Debug, F, L: Layout> fmt::Debug for ExtractIf<'_, T, F, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExtractIf").finish_non_exhaustive()
    }
}
