//! [`TypeTable`]: what the collector knows of a type. It stands once a page, so that objects need no header.
//!
//! Owned by the program's read-only data. Invariant: a table's functions are called only with addresses of objects that
//! were allocated with a table of the same contents. Two tables for one type, or one for two types that agree in all
//! of it, are both harmless: nothing depends on a table but the functions and numbers in it.
#![allow(unsafe_code)]

use super::mark::Marker;
use super::plan;
use super::verify::Reached;
use crate::collect::{Collect, Trace};
use std::marker::PhantomData;

/// The collector's view of a type. Each function that takes a mask works on the slots of one bucket.
pub(super) struct TypeTable {
    /// Traces the objects in the slots `todo` of the bucket whose first slot is at `first`.
    pub(super) trace: unsafe fn(first: *const u8, todo: u64, marker: &mut Marker),
    /// Reports the pointers of one object to the checker.
    pub(super) visit: unsafe fn(object: *const u8, reached: &mut Reached),
    /// Drops the values in the slots `left`, clearing each bit before its destructor runs. `None`: nothing to drop.
    pub(super) drop: Option<unsafe fn(first: *mut u8, left: &mut u64)>,
    /// Bytes and alignment of a value.
    pub(super) size: usize,
    pub(super) align: usize,
    /// Bytes from a slot to the next.
    pub(super) slot_bytes: usize,
    /// Whether values can hold pointers.
    pub(super) needs_trace: bool,
    /// The type's name, for messages.
    pub(super) name: fn() -> &'static str,
}

impl TypeTable {
    /// The table's address as a key and as a page's user word.
    #[inline(always)]
    pub(super) fn expose(&'static self) -> usize {
        std::ptr::from_ref(self).expose_provenance()
    }

    /// Whether the collector would do the same by either table. Then objects of both may share pages.
    pub(super) fn says_the_same(&self, other: &Self) -> bool {
        let drops = match (self.drop, other.drop) {
            (Some(mine), Some(others)) => std::ptr::fn_addr_eq(mine, others),
            (None, None) => true,
            _ => false,
        };
        drops
            && std::ptr::fn_addr_eq(self.trace, other.trace)
            && std::ptr::fn_addr_eq(self.visit, other.visit)
            && (self.size, self.align, self.slot_bytes) == (other.size, other.align, other.slot_bytes)
            && self.needs_trace == other.needs_trace
    }

    /// The table that a page's user word names.
    ///
    /// # Safety
    ///
    /// `word` comes from [`expose`](Self::expose).
    #[inline(always)]
    pub(super) unsafe fn from_exposed(word: usize) -> &'static Self {
        // SAFETY: as the caller promises; tables are never freed.
        unsafe { &*std::ptr::with_exposed_provenance::<Self>(word) }
    }
}

/// Where a type's table comes from.
pub(super) struct Typed<T>(PhantomData<T>);

impl<T> Typed<T> {
    pub(super) const SLOT_BYTES: usize = plan::slot_bytes(size_of::<T>(), align_of::<T>());
    pub(super) const HUGE: bool = plan::is_huge(size_of::<T>(), align_of::<T>());
}

impl<'gc, T: Collect<'gc> + 'gc> Typed<T> {
    pub(super) const TABLE: &'static TypeTable = &TypeTable {
        trace: trace::<T>,
        visit: visit::<T>,
        drop: if std::mem::needs_drop::<T>() { Some(drop_run::<T>) } else { None },
        size: size_of::<T>(),
        align: align_of::<T>(),
        slot_bytes: Self::SLOT_BYTES,
        needs_trace: T::NEEDS_TRACE,
        name: std::any::type_name::<T>,
    };
}

unsafe fn trace<'gc, T: Collect<'gc>>(first: *const u8, todo: u64, marker: &mut Marker) {
    let mut left = todo;
    while left != 0 {
        let slot = left.trailing_zeros() as usize;
        left &= left - 1;
        // SAFETY: the slot holds a live `T`, and no program code holds it mutably during a cycle.
        let value = unsafe { &*first.add(slot * Typed::<T>::SLOT_BYTES).cast::<T>() };
        marker.trace(value);
    }
}

unsafe fn visit<'gc, T: Collect<'gc>>(object: *const u8, reached: &mut Reached) {
    // SAFETY: the address is that of a live `T`.
    reached.trace(unsafe { &*object.cast::<T>() });
}

unsafe fn drop_run<T>(first: *mut u8, left: &mut u64) {
    while *left != 0 {
        let slot = left.trailing_zeros() as usize;
        *left &= *left - 1;
        // SAFETY: the slot holds a `T` that nobody will use again; its bit is clear, so it is dropped once.
        unsafe { first.add(slot * Typed::<T>::SLOT_BYTES).cast::<T>().drop_in_place() };
    }
}
