//! std's traits for `HashSet`: what makes it a drop-in.
//!
//! Owned by `set.rs`. Invariant: no trait does more than its namesake on std's set.

use super::{HashSet, IntoIter, Iter};
use crate::map::HashMap;
use crate::raw::layout::Layout;
use allocator_api2::alloc::Allocator;
use core::fmt;
use core::hash::{BuildHasher, Hash};
use core::ops::{BitAnd, BitAndAssign, BitOr, BitOrAssign, BitXor, BitXorAssign, Sub, SubAssign};

impl<T, S: Default, A: Allocator + Default, L: Layout> Default for HashSet<T, S, A, L> {
    fn default() -> Self {
        Self { map: HashMap::default() }
    }
}

impl<T: Clone, S: Clone, A: Allocator + Clone, L: Layout> Clone for HashSet<T, S, A, L> {
    fn clone(&self) -> Self {
        Self { map: self.map.clone() }
    }

    fn clone_from(&mut self, source: &Self) {
        self.map.clone_from(&source.map);
    }
}

impl<T: fmt::Debug, S, A: Allocator, L: Layout> fmt::Debug for HashSet<T, S, A, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl<T: Eq + Hash, S: BuildHasher, A: Allocator, L: Layout> PartialEq for HashSet<T, S, A, L> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.is_subset(other)
    }
}

impl<T: Eq + Hash, S: BuildHasher, A: Allocator, L: Layout> Eq for HashSet<T, S, A, L> {}

impl<T: Eq + Hash, S: BuildHasher, A: Allocator, L: Layout> Extend<T> for HashSet<T, S, A, L> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, values: I) {
        self.map.extend(values.into_iter().map(|value| (value, ())));
    }
}

impl<T: Eq + Hash, S: BuildHasher + Default, A: Allocator + Default, L: Layout> FromIterator<T>
    for HashSet<T, S, A, L>
{
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        let mut set = Self::default();
        set.extend(values);
        set
    }
}

impl<T: Eq + Hash, const N: usize> From<[T; N]> for HashSet<T> {
    fn from(values: [T; N]) -> Self {
        values.into_iter().collect()
    }
}

impl<'a, T: Eq + Hash + Copy + 'a, S: BuildHasher, A: Allocator, L: Layout> Extend<&'a T>
    for HashSet<T, S, A, L>
{
    fn extend<I: IntoIterator<Item = &'a T>>(&mut self, values: I) {
        self.extend(values.into_iter().copied());
    }
}

impl<T, S, A: Allocator, L: Layout> From<HashMap<T, (), S, A, L>> for HashSet<T, S, A, L> {
    fn from(map: HashMap<T, (), S, A, L>) -> Self {
        Self { map }
    }
}

impl<T, S, A: Allocator, L: Layout> IntoIterator for HashSet<T, S, A, L> {
    type Item = T;
    type IntoIter = IntoIter<T, A, L>;

    fn into_iter(self) -> IntoIter<T, A, L> {
        IntoIter { inner: self.map.into_keys() }
    }
}

impl<'a, T, S, A: Allocator, L: Layout> IntoIterator for &'a HashSet<T, S, A, L> {
    type Item = &'a T;
    type IntoIter = Iter<'a, T, L>;

    fn into_iter(self) -> Iter<'a, T, L> {
        self.iter()
    }
}

/// The operators that make a new set of two.
macro_rules! operator {
    ($($trait:ident $name:ident $method:ident: $what:literal;)*) => {$(
        impl<T, S, A, L> $trait<&HashSet<T, S, A, L>> for &HashSet<T, S, A, L>
        where
            T: Eq + Hash + Clone,
            S: BuildHasher + Default,
            A: Allocator + Default,
            L: Layout,
        {
            type Output = HashSet<T, S, A, L>;

            #[doc = $what]
            fn $name(self, other: &HashSet<T, S, A, L>) -> HashSet<T, S, A, L> {
                self.$method(other).cloned().collect()
            }
        }
    )*};
}

operator! {
    BitOr bitor union: "A new set of the values of either, cloned.";
    BitAnd bitand intersection: "A new set of the values of both, cloned.";
    BitXor bitxor symmetric_difference: "A new set of the values of one of them but not the other, cloned.";
    Sub sub difference: "A new set of the values of the first but not the second, cloned.";
}

/// An operator that changes its left side: the trait, its method, what it does for each set.
macro_rules! assignment {
    ($($operator:ident $method:ident $what:literal: $change:expr;)*) => {$(
        impl<T, S, A, L> $operator<&Self> for HashSet<T, S, A, L>
        where
            T: Eq + Hash + Clone,
            S: BuildHasher,
            A: Allocator,
            L: Layout,
        {
            #[doc = $what]
            fn $method(&mut self, other: &Self) {
                $change(self, other);
            }
        }
    )*};
}

assignment! {
    BitOrAssign bitor_assign "Takes in clones of the other's values. O(other).":
        |ours: &mut Self, theirs: &Self| theirs.iter().for_each(|value| if !ours.contains(value) {
            ours.insert(value.clone());
        });
    BitAndAssign bitand_assign "Keeps the values that the other has, too. O(self).":
        |ours: &mut Self, theirs: &Self| ours.retain(|value| theirs.contains(value));
    BitXorAssign bitxor_assign "Takes in clones of the values that only the other has, and gives up those of both. O(other).":
        |ours: &mut Self, theirs: &Self| theirs.iter().for_each(|value| if !ours.remove(value) {
            ours.insert(value.clone());
        });
    SubAssign sub_assign "Gives up the values that the other has. O(the smaller).":
        |ours: &mut Self, theirs: &Self| if theirs.len() < ours.len() {
            theirs.iter().for_each(|value| _ = ours.remove(value));
        } else {
            ours.retain(|value| !theirs.contains(value));
        };
}

#[cfg(test)]
mod tests {
    use crate::HashSet;

    #[test]
    fn assignments_are_the_operators() {
        let ranges = [0..0, 0..100, 50..60, 50..3000, 200..300];
        let sets: Vec<HashSet<u32>> = ranges.into_iter().map(Iterator::collect).collect();
        for ours in &sets {
            for theirs in &sets {
                let change = |change: fn(&mut HashSet<u32>, &HashSet<u32>)| {
                    let mut ours = ours.clone();
                    change(&mut ours, theirs);
                    ours
                };
                assert_eq!(change(|ours, theirs| *ours |= theirs), ours | theirs);
                assert_eq!(change(|ours, theirs| *ours &= theirs), ours & theirs);
                assert_eq!(change(|ours, theirs| *ours ^= theirs), ours ^ theirs);
                assert_eq!(change(|ours, theirs| *ours -= theirs), ours - theirs);
            }
        }
    }
}
