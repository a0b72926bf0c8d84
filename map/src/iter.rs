//! The iterators of `HashMap`: pairs made of the table's entries.
//!
//! Owned by `map.rs`. Invariant: all of them go in the order of the hashes and know how many entries are left.

use crate::map::HashMap;
use crate::pages::Pages;
use crate::raw::extract::Extract;
use crate::raw::layout::{Auto, Layout};
use crate::raw::walk;
use allocator_api2::alloc::Allocator;
use core::fmt;
use core::iter::FusedIterator;

/// Entries of a map by reference: [`HashMap::iter`].
pub struct Iter<'a, K, V, L: Layout = Auto> {
    pub(crate) inner: walk::Iter<'a, (K, V), L>,
}

/// Entries of a map, values mutable: [`HashMap::iter_mut`].
pub struct IterMut<'a, K, V, L: Layout = Auto> {
    pub(crate) inner: walk::IterMut<'a, (K, V), L>,
}

/// Entries of a map, owned.
pub struct IntoIter<K, V, A: Allocator = Pages, L: Layout = Auto> {
    pub(crate) inner: walk::IntoIter<(K, V), A, L>,
}

/// Entries taken out of a map: [`HashMap::drain`].
pub struct Drain<'a, K, V, A: Allocator = Pages, L: Layout = Auto> {
    pub(crate) inner: walk::Drain<'a, (K, V), A, L>,
}

/// Keys of a map: [`HashMap::keys`].
pub struct Keys<'a, K, V, L: Layout = Auto> {
    pub(crate) inner: Iter<'a, K, V, L>,
}

/// Values of a map: [`HashMap::values`].
pub struct Values<'a, K, V, L: Layout = Auto> {
    pub(crate) inner: Iter<'a, K, V, L>,
}

/// Values of a map, mutable: [`HashMap::values_mut`].
pub struct ValuesMut<'a, K, V, L: Layout = Auto> {
    pub(crate) inner: IterMut<'a, K, V, L>,
}

/// Keys of a map, owned: [`HashMap::into_keys`].
pub struct IntoKeys<K, V, A: Allocator = Pages, L: Layout = Auto> {
    pub(crate) inner: IntoIter<K, V, A, L>,
}

/// Values of a map, owned: [`HashMap::into_values`].
pub struct IntoValues<K, V, A: Allocator = Pages, L: Layout = Auto> {
    pub(crate) inner: IntoIter<K, V, A, L>,
}

/// Entries taken out of a map by a predicate: [`HashMap::extract_if`].
#[must_use = "iterators are lazy: entries that it does not reach stay in the map"]
pub struct ExtractIf<'a, K, V, F, L: Layout = Auto> {
    pub(crate) inner: Extract<'a, (K, V), L>,
    pub(crate) chosen: F,
}

impl<K, V, F, L: Layout> Iterator for ExtractIf<'_, K, V, F, L>
where
    F: FnMut(&K, &mut V) -> bool,
{
    type Item = (K, V);

    #[inline]
    fn next(&mut self) -> Option<(K, V)> {
        let chosen = &mut self.chosen;
        self.inner.next(|(key, value)| chosen(key, value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.inner.left()))
    }
}

impl<K, V, F, L: Layout> FusedIterator for ExtractIf<'_, K, V, F, L> where F: FnMut(&K, &mut V) -> bool {}

impl<K: fmt::Debug, V: fmt::Debug, F, L: Layout> fmt::Debug for ExtractIf<'_, K, V, F, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExtractIf").finish_non_exhaustive()
    }
}

/// What all iterators have in common: the item, and what to do with the table's entry to make it.
macro_rules! iterator {
    ($name:ident<$($life:lifetime)? $(; $alloc:ident)?>, $item:ty, $entry:pat => $value:expr) => {
        impl<$($life,)? K, V, $($alloc: Allocator,)? L: Layout> Iterator for $name<$($life,)? K, V, $($alloc,)? L> {
            type Item = $item;

            #[inline]
            fn next(&mut self) -> Option<$item> {
                self.inner.next().map(|$entry| $value)
            }

            fn size_hint(&self) -> (usize, Option<usize>) {
                self.inner.size_hint()
            }

            #[inline]
            fn fold<R, F: FnMut(R, $item) -> R>(self, first: R, mut fold: F) -> R {
                self.inner.fold(first, |all, $entry| fold(all, $value))
            }
        }

        impl<$($life,)? K, V, $($alloc: Allocator,)? L: Layout> ExactSizeIterator
            for $name<$($life,)? K, V, $($alloc,)? L> {}
        impl<$($life,)? K, V, $($alloc: Allocator,)? L: Layout> FusedIterator
            for $name<$($life,)? K, V, $($alloc,)? L> {}
    };
}

iterator!(Iter<'a>, (&'a K, &'a V), (key, value) => (key, value));
iterator!(IterMut<'a>, (&'a K, &'a mut V), (key, value) => (&*key, value));
iterator!(IntoIter<; A>, (K, V), entry => entry);
iterator!(Drain<'a; A>, (K, V), entry => entry);
iterator!(Keys<'a>, &'a K, (key, _) => key);
iterator!(Values<'a>, &'a V, (_, value) => value);
iterator!(ValuesMut<'a>, &'a mut V, (_, value) => value);
iterator!(IntoKeys<; A>, K, (key, _) => key);
iterator!(IntoValues<; A>, V, (_, value) => value);

macro_rules! cloneable {
    ($($name:ident)*) => {$(
        impl<K, V, L: Layout> Clone for $name<'_, K, V, L> {
            fn clone(&self) -> Self {
                Self { inner: self.inner.clone() }
            }
        }
    )*};
}

cloneable!(Iter Keys Values);

/// What std's iterators over nothing give. Owning ones make an allocator.
macro_rules! empty {
    ($($name:ident<$($life:lifetime)? $(; $alloc:ident)?>)*) => {$(
        impl<$($life,)? K, V, $($alloc: Allocator + Default,)? L: Layout> Default
            for $name<$($life,)? K, V, $($alloc,)? L>
        {
            fn default() -> Self {
                Self { inner: Default::default() }
            }
        }
    )*};
}

empty! { Iter<'a> IterMut<'a> IntoIter<; A> Keys<'a> Values<'a> ValuesMut<'a> IntoKeys<; A> IntoValues<; A> }

macro_rules! shown {
    ($($name:ident<$($life:lifetime)? $(; $alloc:ident)?> [$($shown:ident)*], $self:ident => $rest:expr;)*) => {$(
        impl<$($life,)? K, V, $($alloc: Allocator,)? L: Layout> fmt::Debug for $name<$($life,)? K, V, $($alloc,)? L>
        where
            $($shown: fmt::Debug,)*
        {
            fn fmt(&$self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_list().entries($rest).finish()
            }
        }
    )*};
}

shown! {
    Iter<'a> [K V], self => self.clone();
    IterMut<'a> [K V], self => self.inner.rest();
    IntoIter<; A> [K V], self => self.inner.rest();
    Drain<'a; A> [K V], self => self.inner.rest();
    Keys<'a> [K], self => self.clone();
    Values<'a> [V], self => self.clone();
    ValuesMut<'a> [V], self => self.inner.inner.rest().map(|(_, value)| value);
    IntoKeys<; A> [K], self => self.inner.inner.rest().map(|(key, _)| key);
    IntoValues<; A> [V], self => self.inner.inner.rest().map(|(_, value)| value);
}

/// How much of what is left a migration has not reached, told by an iterator's rest.
macro_rules! migrating {
    ($($name:ident<$($life:lifetime)? $(; $alloc:ident)?>, $self:ident => $rest:expr;)*) => {$(
        impl<$($life,)? K, V, $($alloc: Allocator,)? L: Layout> $name<$($life,)? K, V, $($alloc,)? L> {
            /// Entries still to come that lie where a migration under way (growth or shrinking) has not been; 0 while the
            /// table rests. Iteration yields every entry once all the same. O(entries still to come).
            pub fn unmigrated(&$self) -> usize {
                $rest.unmigrated()
            }
        }
    )*};
}

migrating! {
    Iter<'a>, self => self.inner;
    IterMut<'a>, self => self.inner.rest();
    IntoIter<; A>, self => self.inner.rest();
    Drain<'a; A>, self => self.inner.rest();
}

impl<K, V, S, A: Allocator, L: Layout> IntoIterator for HashMap<K, V, S, A, L> {
    type Item = (K, V);
    type IntoIter = IntoIter<K, V, A, L>;

    fn into_iter(self) -> IntoIter<K, V, A, L> {
        IntoIter { inner: self.table.into_iter() }
    }
}

impl<'a, K, V, S, A: Allocator, L: Layout> IntoIterator for &'a HashMap<K, V, S, A, L> {
    type Item = (&'a K, &'a V);
    type IntoIter = Iter<'a, K, V, L>;

    fn into_iter(self) -> Iter<'a, K, V, L> {
        self.iter()
    }
}

impl<'a, K, V, S, A: Allocator, L: Layout> IntoIterator for &'a mut HashMap<K, V, S, A, L> {
    type Item = (&'a K, &'a mut V);
    type IntoIter = IterMut<'a, K, V, L>;

    fn into_iter(self) -> IterMut<'a, K, V, L> {
        self.iter_mut()
    }
}
