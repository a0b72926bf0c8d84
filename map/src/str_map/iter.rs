//! The iterators of `StrMap`: pairs made of the table's entries.
//!
//! Owned by `str_map.rs`. Invariant: all of them go in the order of the hashes and know how many entries are left.

use super::{StrKey, StrMap};
use crate::pages::Pages;
use crate::raw::extract::Extract;
use crate::raw::layout::{Auto, Layout};
use crate::raw::walk;
use allocator_api2::alloc::Allocator;
use core::fmt;
use core::iter::FusedIterator;

/// Entries of a map by reference: [`StrMap::iter`].
pub struct Iter<'a, V, L: Layout = Auto> {
    pub(super) inner: walk::Iter<'a, (StrKey, V), L>,
}

/// Entries of a map, values mutable: [`StrMap::iter_mut`].
pub struct IterMut<'a, V, L: Layout = Auto> {
    pub(super) inner: walk::IterMut<'a, (StrKey, V), L>,
}

/// Entries of a map, owned.
pub struct IntoIter<V, A: Allocator = Pages, L: Layout = Auto> {
    pub(super) inner: walk::IntoIter<(StrKey, V), A, L>,
}

/// Entries taken out of a map: [`StrMap::drain`].
pub struct Drain<'a, V, A: Allocator = Pages, L: Layout = Auto> {
    pub(super) inner: walk::Drain<'a, (StrKey, V), A, L>,
}

/// Keys of a map: [`StrMap::keys`].
pub struct Keys<'a, V, L: Layout = Auto> {
    pub(super) inner: Iter<'a, V, L>,
}

/// Values of a map: [`StrMap::values`].
pub struct Values<'a, V, L: Layout = Auto> {
    pub(super) inner: Iter<'a, V, L>,
}

/// Values of a map, mutable: [`StrMap::values_mut`].
pub struct ValuesMut<'a, V, L: Layout = Auto> {
    pub(super) inner: IterMut<'a, V, L>,
}

/// Keys of a map, owned: [`StrMap::into_keys`].
pub struct IntoKeys<V, A: Allocator = Pages, L: Layout = Auto> {
    pub(super) inner: IntoIter<V, A, L>,
}

/// Values of a map, owned: [`StrMap::into_values`].
pub struct IntoValues<V, A: Allocator = Pages, L: Layout = Auto> {
    pub(super) inner: IntoIter<V, A, L>,
}

/// Entries that a predicate takes out: [`StrMap::extract_if`].
#[must_use = "an extraction takes out nothing before it is asked"]
pub struct ExtractIf<'a, V, F, L: Layout = Auto> {
    pub(super) inner: Extract<'a, (StrKey, V), L>,
    pub(super) chosen: F,
}

impl<V, F: FnMut(&str, &mut V) -> bool, L: Layout> Iterator for ExtractIf<'_, V, F, L> {
    type Item = (StrKey, V);

    #[inline]
    fn next(&mut self) -> Option<(StrKey, V)> {
        let chosen = &mut self.chosen;
        self.inner.next(|(key, value)| chosen(key.as_str(), value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.inner.left()))
    }
}

impl<V, F: FnMut(&str, &mut V) -> bool, L: Layout> FusedIterator for ExtractIf<'_, V, F, L> {}

impl<V, F, L: Layout> fmt::Debug for ExtractIf<'_, V, F, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExtractIf").finish_non_exhaustive()
    }
}

/// What all iterators have in common: the item, what to do with the inner item to make it, and what is left to show.
macro_rules! iterator {
    (
        $name:ident<$($life:lifetime)? $(; $alloc:ident)?>, $item:ty, $entry:pat => $value:expr,
        $self:ident shows $rest:expr
    ) => {
        impl<$($life,)? V, $($alloc: Allocator,)? L: Layout> Iterator for $name<$($life,)? V, $($alloc,)? L> {
            type Item = $item;

            #[inline]
            fn next(&mut self) -> Option<$item> {
                self.inner.next().map(|$entry| $value)
            }

            fn size_hint(&self) -> (usize, Option<usize>) {
                self.inner.size_hint()
            }
        }

        impl<$($life,)? V, $($alloc: Allocator,)? L: Layout> ExactSizeIterator for $name<$($life,)? V, $($alloc,)? L> {}
        impl<$($life,)? V, $($alloc: Allocator,)? L: Layout> FusedIterator for $name<$($life,)? V, $($alloc,)? L> {}

        impl<$($life,)? V: fmt::Debug, $($alloc: Allocator,)? L: Layout> fmt::Debug
            for $name<$($life,)? V, $($alloc,)? L>
        {
            fn fmt(&$self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_list().entries($rest).finish()
            }
        }
    };
}

iterator!(Iter<'a>, (&'a str, &'a V), (key, value) => (key.as_str(), value), self shows self.clone());
iterator!(IterMut<'a>, (&'a str, &'a mut V), (key, value) => (key.as_str(), value), self shows self.inner.rest());
iterator!(IntoIter<; A>, (StrKey, V), entry => entry, self shows self.inner.rest());
iterator!(Drain<'a; A>, (StrKey, V), entry => entry, self shows self.inner.rest());
iterator!(Keys<'a>, &'a str, (key, _) => key, self shows self.clone());
iterator!(Values<'a>, &'a V, (_, value) => value, self shows self.clone());
iterator!(ValuesMut<'a>, &'a mut V, (_, value) => value, self shows self.inner.inner.rest().map(|(_, value)| value));
iterator!(IntoKeys<; A>, StrKey, (key, _) => key, self shows self.inner.inner.rest().map(|(key, _)| key));
iterator!(IntoValues<; A>, V, (_, value) => value, self shows self.inner.inner.rest().map(|(_, value)| value));

macro_rules! cloneable {
    ($($name:ident)*) => {$(
        impl<V, L: Layout> Clone for $name<'_, V, L> {
            fn clone(&self) -> Self {
                Self { inner: self.inner.clone() }
            }
        }
    )*};
}

cloneable!(Iter Keys Values);

impl<V, S, A: Allocator, L: Layout> IntoIterator for StrMap<V, S, A, L> {
    type Item = (StrKey, V);
    type IntoIter = IntoIter<V, A, L>;

    fn into_iter(self) -> IntoIter<V, A, L> {
        IntoIter { inner: self.table.into_iter() }
    }
}

impl<'a, V, S, A: Allocator, L: Layout> IntoIterator for &'a StrMap<V, S, A, L> {
    type Item = (&'a str, &'a V);
    type IntoIter = Iter<'a, V, L>;

    fn into_iter(self) -> Iter<'a, V, L> {
        self.iter()
    }
}

impl<'a, V, S, A: Allocator, L: Layout> IntoIterator for &'a mut StrMap<V, S, A, L> {
    type Item = (&'a str, &'a mut V);
    type IntoIter = IterMut<'a, V, L>;

    fn into_iter(self) -> IterMut<'a, V, L> {
        self.iter_mut()
    }
}
