//! `Collect` for `HashMap`, `HashSet`, `StrMap` and `HashTable`: maps that are owned by a GC object and changed through its locks.
//!
//! Owned by the feature `gc`. Invariant: every key and every value is traced, by masks.

#![allow(unsafe_code)]

use crate::hash_table::HashTable;
use crate::map::HashMap;
use crate::raw::layout::Layout;
use crate::raw::visit::Occupancy;
use crate::set::HashSet;
use crate::str_map::StrMap;
use allocator_api2::alloc::Allocator;
use bucketmask_gc::Collect;
use bucketmask_gc::collect::Trace;

// SAFETY: all keys and values are traced; hasher and allocator are 'static, so they hold no pointer. Dropping a table drops its
// entries and looks at none of them.
unsafe impl<'gc, K: Collect<'gc>, V: Collect<'gc>, S: 'static, A: Allocator + 'static, L: Layout> Collect<'gc>
    for HashMap<K, V, S, A, L>
{
    const NEEDS_TRACE: bool = K::NEEDS_TRACE || V::NEEDS_TRACE;

    fn trace<T: Trace<'gc>>(&self, cc: &mut T) {
        // SAFETY: masks are always true.
        let looked = unsafe {
            self.table.visit(0..usize::MAX, usize::MAX, Occupancy::Masks, |(key, value)| {
                cc.trace(key);
                cc.trace(value);
            })
        };
        cc.count_slots(looked.at, looked.past);
    }
}

// SAFETY: as for the map it is made of.
unsafe impl<'gc, T: Collect<'gc>, S: 'static, A: Allocator + 'static, L: Layout> Collect<'gc>
    for HashSet<T, S, A, L>
{
    const NEEDS_TRACE: bool = T::NEEDS_TRACE;

    fn trace<C: Trace<'gc>>(&self, cc: &mut C) {
        cc.trace(&self.map);
    }
}

// SAFETY: all entries are traced. Else as for `HashMap`.
unsafe impl<'gc, E: Collect<'gc>, A: Allocator + 'static, L: Layout> Collect<'gc> for HashTable<E, A, L> {
    const NEEDS_TRACE: bool = E::NEEDS_TRACE;

    fn trace<T: Trace<'gc>>(&self, cc: &mut T) {
        // SAFETY: masks are always true.
        let looked =
            unsafe { self.raw.visit(0..usize::MAX, usize::MAX, Occupancy::Masks, |entry| cc.trace(entry)) };
        cc.count_slots(looked.at, looked.past);
    }
}

// SAFETY: all values are traced; keys are texts. Else as for `HashMap`.
unsafe impl<'gc, V: Collect<'gc>, S: 'static, A: Allocator + 'static, L: Layout> Collect<'gc>
    for StrMap<V, S, A, L>
{
    const NEEDS_TRACE: bool = V::NEEDS_TRACE;

    fn trace<T: Trace<'gc>>(&self, cc: &mut T) {
        // SAFETY: masks are always true.
        let looked = unsafe {
            self.table.visit(0..usize::MAX, usize::MAX, Occupancy::Masks, |(_, value)| cc.trace(value))
        };
        cc.count_slots(looked.at, looked.past);
    }
}
