//! [`TypeTable`]: what the collector knows of a type. It stands once a page, so that objects need no header.
//!
//! Owned by the program's read-only data. Invariant: a table's functions are called only with addresses of objects that
//! were allocated with a table of the same contents. Two tables for one type, or one for two types that agree in all
//! of it, are both harmless: nothing depends on a table but the functions and numbers in it.
#![allow(unsafe_code)]

use super::checked;
use super::ephemeron::Waiter;
use super::mark::Marker;
use super::plan;
use super::remains::Remains;
use super::verify::Reached;
use crate::GcWeak;
use crate::collect::{Collect, Trace};
use crate::metrics::UNIT_BYTES;
use crate::parts::Traced;
use std::marker::PhantomData;

/// Traces about so many bytes of one object, from a position on.
pub(super) type TracePart = unsafe fn(object: *const u8, at: usize, bytes: usize, &mut Marker) -> Traced;

/// The collector's view of a type. Each function that takes a mask works on the slots of one bucket.
pub(super) struct TypeTable {
    /// Traces the objects in the slots `todo` of the bucket whose first slot is at `first`.
    pub(super) trace: unsafe fn(first: *const u8, todo: u64, marker: &mut Marker),
    /// Traces about so many bytes of one object, from a position on. `None`: objects are traced whole.
    pub(super) trace_part: Option<TracePart>,
    /// Traces the value of an entry of one object, whose key has been marked; see `ephemeron.rs`.
    pub(super) wake: unsafe fn(&Waiter, marker: &mut Marker),
    /// Drops an entry of one object whose key is dead; or, if the type resurrects, keeps the key.
    pub(super) forget: unsafe fn(&Waiter),
    pub(super) resurrects: bool,
    /// Reports the pointers of one object to the checker.
    pub(super) visit: unsafe fn(object: *const u8, reached: &mut Reached),
    /// Drops the values in the slots `left`, clearing each bit before its destructor runs; what takes long, remains.
    /// `None`: nothing to drop.
    pub(super) drop: Option<unsafe fn(first: *mut u8, left: &mut u64, remains: &mut Remains)>,
    /// Drops about so many bytes of one object that lies in a range of its own. `None`: such objects are dropped whole.
    pub(super) drop_part: Option<unsafe fn(object: *mut u8, at: &mut usize, bytes: usize) -> bool>,
    /// Bytes and alignment of a value.
    pub(super) size: usize,
    pub(super) align: usize,
    /// Bytes from a slot to the next.
    pub(super) slot_bytes: usize,
    /// Bytes that tracing an object counts as; if it is traced in parts, without these.
    pub(super) trace_bytes: usize,
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
        macro_rules! same {
            ($function:ident) => {
                match (self.$function, other.$function) {
                    (Some(mine), Some(others)) => std::ptr::fn_addr_eq(mine, others),
                    (None, None) => true,
                    _ => false,
                }
            };
        }
        same!(drop)
            && same!(drop_part)
            && same!(trace_part)
            && std::ptr::fn_addr_eq(self.trace, other.trace)
            && std::ptr::fn_addr_eq(self.visit, other.visit)
            && std::ptr::fn_addr_eq(self.wake, other.wake)
            && std::ptr::fn_addr_eq(self.forget, other.forget)
            && self.resurrects == other.resurrects
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
        trace_part: if T::IN_PARTS { Some(trace_part::<T>) } else { None },
        wake: wake::<T>,
        forget: forget::<T>,
        resurrects: T::RESURRECTS,
        visit: visit::<T>,
        drop: if std::mem::needs_drop::<T>() { Some(drop_run::<T>) } else { None },
        drop_part: if T::DROPS_IN_PARTS && std::mem::needs_drop::<T>() { Some(drop_part::<T>) } else { None },
        size: size_of::<T>(),
        align: align_of::<T>(),
        slot_bytes: Self::SLOT_BYTES,
        trace_bytes: if T::IN_PARTS { UNIT_BYTES } else { Self::SLOT_BYTES },
        needs_trace: T::NEEDS_TRACE,
        name: std::any::type_name::<T>,
    };
}

unsafe fn trace<'gc, T: Collect<'gc> + 'gc>(first: *const u8, todo: u64, marker: &mut Marker) {
    let trace_one = |object: *const u8, marker: &mut Marker| {
        checked::touch("trace", object);
        if T::IN_PARTS {
            marker.parts.begin(object, Typed::<T>::TABLE);
        } else {
            // SAFETY: the slot holds a live `T`, and no program code holds it mutably during a cycle.
            marker.trace(unsafe { &*object.cast::<T>() });
        }
    };
    let mut left = todo;
    while left != 0 {
        let slot = left.trailing_zeros() as usize;
        left &= left - 1;
        // SAFETY: a slot of the bucket.
        trace_one(unsafe { first.add(slot * Typed::<T>::SLOT_BYTES) }, marker);
    }
    // What that has marked on the same page, and what that has marked there, and so on: a page's slots are of one type, or of
    // types whose tables say the same, this function included.
    while let Some(object) = marker.next_of_pile() {
        trace_one(object, marker);
    }
}

unsafe fn trace_part<'gc, T: Collect<'gc>>(
    object: *const u8,
    at: usize,
    bytes: usize,
    marker: &mut Marker,
) -> Traced {
    // SAFETY: the address is that of a live `T`, which no program code holds mutably during a cycle.
    unsafe { &*object.cast::<T>() }.trace_part(at, bytes, marker)
}

unsafe fn wake<'gc, T: Collect<'gc>>(waiter: &Waiter, marker: &mut Marker) {
    // SAFETY: what waits are marked objects, here of type `T`, and keys that are live or held.
    unsafe { (*waiter.owner.cast::<T>()).wake(GcWeak::from_ptr(waiter.key.cast()), waiter.tag, marker) };
}

unsafe fn forget<'gc, T: Collect<'gc>>(waiter: &Waiter) {
    // SAFETY: as above; the sweep that follows the marking has not come past the object, which it leaves.
    unsafe { (*waiter.owner.cast::<T>()).forget(GcWeak::from_ptr(waiter.key.cast()), waiter.tag) };
}

unsafe fn visit<'gc, T: Collect<'gc>>(object: *const u8, reached: &mut Reached) {
    // SAFETY: the address is that of a live `T`.
    reached.trace(unsafe { &*object.cast::<T>() });
}

unsafe fn drop_run<'gc, T: Collect<'gc> + 'gc>(first: *mut u8, left: &mut u64, remains: &mut Remains) {
    while *left != 0 {
        let slot = left.trailing_zeros() as usize;
        *left &= *left - 1;
        // SAFETY: the slot holds a `T` that nobody will use again; its bit is clear, so it is dropped once.
        let value = unsafe { first.add(slot * Typed::<T>::SLOT_BYTES).cast::<T>() };
        checked::touch("drop", value.cast());
        if T::IN_PARTS {
            // SAFETY: as above.
            if let Some(rest) = unsafe { T::take_apart(value) } {
                // SAFETY: `Collect` asks of the type what is needed.
                unsafe { remains.add(rest) };
            }
        } else {
            // SAFETY: as above.
            unsafe { value.drop_in_place() };
        }
    }
}

unsafe fn drop_part<'gc, T: Collect<'gc>>(object: *mut u8, at: &mut usize, bytes: usize) -> bool {
    // SAFETY: as the caller promises.
    unsafe { T::drop_part(object.cast(), at, bytes) }
}
