//! [`Collect`] for containers of other crates, each behind a feature of the crate's name.
//!
//! Invariant: every element is traced; hashers and allocators are `'static`, so they hold no pointer.
#![allow(unsafe_code)]

use crate::collect::{Collect, Trace};

#[cfg(feature = "hashbrown")]
mod hashbrown {
    use super::{Collect, Trace};
    use crate::barrier::IndexWrite;
    use hashbrown::{Equivalent, HashMap, HashSet, HashTable};
    use std::hash::{BuildHasher, Hash};

    // SAFETY: every key and value is traced.
    unsafe impl<'gc, K: Collect<'gc>, V: Collect<'gc>, S: 'static> Collect<'gc> for HashMap<K, V, S> {
        const NEEDS_TRACE: bool = K::NEEDS_TRACE || V::NEEDS_TRACE;

        #[inline]
        fn trace<C: Trace<'gc>>(&self, cc: &mut C) {
            for (key, value) in self {
                cc.trace(key);
                cc.trace(value);
            }
        }
    }

    // SAFETY: every element is traced.
    unsafe impl<'gc, T: Collect<'gc>, S: 'static> Collect<'gc> for HashSet<T, S> {
        const NEEDS_TRACE: bool = T::NEEDS_TRACE;

        #[inline]
        fn trace<C: Trace<'gc>>(&self, cc: &mut C) {
            for element in self {
                cc.trace(element);
            }
        }
    }

    // SAFETY: every element is traced.
    unsafe impl<'gc, T: Collect<'gc>> Collect<'gc> for HashTable<T> {
        const NEEDS_TRACE: bool = T::NEEDS_TRACE;

        #[inline]
        fn trace<C: Trace<'gc>>(&self, cc: &mut C) {
            for element in self {
                cc.trace(element);
            }
        }
    }

    // SAFETY: a value that the map owns.
    unsafe impl<K, V, S, Q> IndexWrite<&Q> for HashMap<K, V, S>
    where
        K: Eq + Hash,
        Q: Hash + Equivalent<K> + ?Sized,
        S: BuildHasher,
    {
    }
}

#[cfg(feature = "indexmap")]
mod indexmap {
    use super::{Collect, Trace};
    use indexmap::{IndexMap, IndexSet};

    // SAFETY: every key and value is traced.
    unsafe impl<'gc, K: Collect<'gc>, V: Collect<'gc>, S: 'static> Collect<'gc> for IndexMap<K, V, S> {
        const NEEDS_TRACE: bool = K::NEEDS_TRACE || V::NEEDS_TRACE;

        #[inline]
        fn trace<C: Trace<'gc>>(&self, cc: &mut C) {
            for (key, value) in self {
                cc.trace(key);
                cc.trace(value);
            }
        }
    }

    // SAFETY: every element is traced.
    unsafe impl<'gc, T: Collect<'gc>, S: 'static> Collect<'gc> for IndexSet<T, S> {
        const NEEDS_TRACE: bool = T::NEEDS_TRACE;

        #[inline]
        fn trace<C: Trace<'gc>>(&self, cc: &mut C) {
            for element in self {
                cc.trace(element);
            }
        }
    }
}

#[cfg(feature = "smallvec")]
// SAFETY: every element is traced.
unsafe impl<'gc, A: smallvec::Array> Collect<'gc> for smallvec::SmallVec<A>
where
    A::Item: Collect<'gc>,
{
    const NEEDS_TRACE: bool = A::Item::NEEDS_TRACE;

    #[inline]
    fn trace<C: Trace<'gc>>(&self, cc: &mut C) {
        cc.trace(self.as_slice());
    }
}

#[cfg(feature = "slotmap")]
// SAFETY: every value is traced; keys hold nothing.
unsafe impl<'gc, K: slotmap::Key, V: Collect<'gc>> Collect<'gc> for slotmap::SlotMap<K, V> {
    const NEEDS_TRACE: bool = V::NEEDS_TRACE;

    #[inline]
    fn trace<C: Trace<'gc>>(&self, cc: &mut C) {
        for value in self.values() {
            cc.trace(value);
        }
    }
}

#[cfg(feature = "enum-map")]
// SAFETY: every value is traced; keys are not kept.
unsafe impl<'gc, K: enum_map::EnumArray<V>, V: Collect<'gc>> Collect<'gc> for enum_map::EnumMap<K, V> {
    const NEEDS_TRACE: bool = V::NEEDS_TRACE;

    #[inline]
    fn trace<C: Trace<'gc>>(&self, cc: &mut C) {
        for value in self.values() {
            cc.trace(value);
        }
    }
}

#[cfg(feature = "allocator-api2")]
mod allocator_api2 {
    use super::{Collect, Trace};
    use crate::barrier::{DerefWrite, IndexWrite};
    use allocator_api2::alloc::Allocator;
    use allocator_api2::boxed::Box;
    use allocator_api2::vec::Vec;
    use std::ops::Index;

    // SAFETY: every element is traced.
    unsafe impl<'gc, T: Collect<'gc>, A: Allocator + 'static> Collect<'gc> for Vec<T, A> {
        const NEEDS_TRACE: bool = T::NEEDS_TRACE;

        #[inline]
        fn trace<C: Trace<'gc>>(&self, cc: &mut C) {
            cc.trace(self.as_slice());
        }
    }

    // SAFETY: the value is traced.
    unsafe impl<'gc, T: Collect<'gc> + ?Sized, A: Allocator + 'static> Collect<'gc> for Box<T, A> {
        const NEEDS_TRACE: bool = T::NEEDS_TRACE;

        #[inline]
        fn trace<C: Trace<'gc>>(&self, cc: &mut C) {
            cc.trace(&**self);
        }
    }

    // SAFETY: the target is owned, and no `Gc` is passed.
    unsafe impl<T, A: Allocator> DerefWrite for Vec<T, A> {}
    // SAFETY: as for `Vec`.
    unsafe impl<T: ?Sized, A: Allocator> DerefWrite for Box<T, A> {}
    // SAFETY: vectors index as slices do, into memory that they own.
    unsafe impl<T, I, A: Allocator> IndexWrite<I> for Vec<T, A>
    where
        [T]: IndexWrite<I>,
        Self: Index<I>,
    {
    }
}
