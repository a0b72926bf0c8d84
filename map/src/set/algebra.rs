//! What two sets have in common, and what not: lazy iterators.
//!
//! Owned by `set.rs`. Invariant: one set is walked, the other is asked; so a set of few values against one of many costs
//! the few where the result allows.

use super::{HashSet, Iter};
use crate::pages::Pages;
use crate::raw::layout::{Auto, Layout};
use allocator_api2::alloc::Allocator;
use core::fmt;
use core::hash::{BuildHasher, Hash};
use core::iter::{Chain, FusedIterator};

/// Values that both sets hold: [`HashSet::intersection`].
#[must_use = "iterators are lazy"]
pub struct Intersection<'a, T, S, A: Allocator = Pages, L: Layout = Auto> {
    few: Iter<'a, T, L>,
    other: &'a HashSet<T, S, A, L>,
}

/// Values that the first set holds and the second does not: [`HashSet::difference`].
#[must_use = "iterators are lazy"]
pub struct Difference<'a, T, S, A: Allocator = Pages, L: Layout = Auto> {
    first: Iter<'a, T, L>,
    other: &'a HashSet<T, S, A, L>,
}

/// One set's difference to another, then the other's to it.
type Both<'a, T, S, A, L> = Chain<Difference<'a, T, S, A, L>, Difference<'a, T, S, A, L>>;

/// Values that one of the sets holds: [`HashSet::symmetric_difference`].
#[must_use = "iterators are lazy"]
pub struct SymmetricDifference<'a, T, S, A: Allocator = Pages, L: Layout = Auto> {
    both: Both<'a, T, S, A, L>,
}

/// Values that either set holds: [`HashSet::union`].
#[must_use = "iterators are lazy"]
pub struct Union<'a, T, S, A: Allocator = Pages, L: Layout = Auto> {
    both: Chain<Iter<'a, T, L>, Difference<'a, T, S, A, L>>,
}

impl<T, S, A, L> HashSet<T, S, A, L>
where
    T: Eq + Hash,
    S: BuildHasher,
    A: Allocator,
    L: Layout,
{
    /// The values that both sets hold, as references into the one with fewer values.
    pub fn intersection<'a>(&'a self, other: &'a Self) -> Intersection<'a, T, S, A, L> {
        let (few, many) = if self.len() <= other.len() { (self, other) } else { (other, self) };
        Intersection { few: few.iter(), other: many }
    }

    /// The values of this set that `other` does not hold.
    pub fn difference<'a>(&'a self, other: &'a Self) -> Difference<'a, T, S, A, L> {
        Difference { first: self.iter(), other }
    }

    /// The values that one of the sets holds and the other does not.
    pub fn symmetric_difference<'a>(&'a self, other: &'a Self) -> SymmetricDifference<'a, T, S, A, L> {
        SymmetricDifference { both: self.difference(other).chain(other.difference(self)) }
    }

    /// The values that either set holds, each once.
    pub fn union<'a>(&'a self, other: &'a Self) -> Union<'a, T, S, A, L> {
        let (few, many) = if self.len() <= other.len() { (self, other) } else { (other, self) };
        Union { both: many.iter().chain(few.difference(many)) }
    }

    /// Whether no value is in both sets.
    pub fn is_disjoint(&self, other: &Self) -> bool {
        self.intersection(other).next().is_none()
    }

    /// Whether `other` holds every value of this set.
    pub fn is_subset(&self, other: &Self) -> bool {
        self.len() <= other.len() && self.iter().all(|value| other.contains(value))
    }

    /// Whether this set holds every value of `other`.
    pub fn is_superset(&self, other: &Self) -> bool {
        other.is_subset(self)
    }
}

impl<T, S, A: Allocator, L: Layout> Clone for Intersection<'_, T, S, A, L> {
    fn clone(&self) -> Self {
        Self { few: self.few.clone(), ..*self }
    }
}

impl<T, S, A: Allocator, L: Layout> Clone for Difference<'_, T, S, A, L> {
    fn clone(&self) -> Self {
        Self { first: self.first.clone(), ..*self }
    }
}

impl<T, S, A: Allocator, L: Layout> Clone for SymmetricDifference<'_, T, S, A, L> {
    fn clone(&self) -> Self {
        Self { both: self.both.clone() }
    }
}

impl<T, S, A: Allocator, L: Layout> Clone for Union<'_, T, S, A, L> {
    fn clone(&self) -> Self {
        Self { both: self.both.clone() }
    }
}

macro_rules! iterator {
    ($($name:ident: $self:ident => $next:expr, $hint:expr, $fold:expr;)*) => {$(
        impl<'a, T, S, A, L> Iterator for $name<'a, T, S, A, L>
        where
            T: Eq + Hash,
            S: BuildHasher,
            A: Allocator,
            L: Layout,
        {
            type Item = &'a T;

            #[inline]
            fn next(&mut $self) -> Option<&'a T> {
                $next
            }

            #[inline]
            fn size_hint(&$self) -> (usize, Option<usize>) {
                $hint
            }

            #[inline]
            fn fold<R, F: FnMut(R, &'a T) -> R>($self, first: R, step: F) -> R {
                $fold.fold(first, step)
            }
        }

        impl<T, S, A, L> FusedIterator for $name<'_, T, S, A, L>
        where
            T: Eq + Hash,
            S: BuildHasher,
            A: Allocator,
            L: Layout,
        {
        }

        impl<T, S, A, L> fmt::Debug for $name<'_, T, S, A, L>
        where
            T: Eq + Hash + fmt::Debug,
            S: BuildHasher,
            A: Allocator,
            L: Layout,
        {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_list().entries(self.clone()).finish()
            }
        }
    )*};
}

iterator! {
    Intersection: self => self.few.find(|value| self.other.contains(*value)),
        (0, self.few.size_hint().1),
        self.few.filter(|value| self.other.contains(*value));
    Difference: self => self.first.find(|value| !self.other.contains(*value)),
        (self.first.len().saturating_sub(self.other.len()), self.first.size_hint().1),
        self.first.filter(|value| !self.other.contains(*value));
    SymmetricDifference: self => self.both.next(), self.both.size_hint(), self.both;
    Union: self => self.both.next(), self.both.size_hint(), self.both;
}
