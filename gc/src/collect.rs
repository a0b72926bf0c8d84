//! How a type tells the collector what it points to: [`Collect`] and [`Trace`], and macros that implement the former.
//!
//! Invariant: a `Collect` implementation passes on every pointer into the arena that the value owns. The collector
//! frees what it is not told about.
#![allow(unsafe_code)]

use crate::walk::Walk;
use crate::{Gc, GcWeak};

pub use bucketmask_gc_derive::Collect;

/// A type that may be held by a [`Gc`]. Derive it.
///
/// # Safety
///
/// 1. [`trace`](Self::trace) must pass every [`Gc`] and [`GcWeak`] that the value owns to `cc`, or
///    [`NEEDS_TRACE`](Self::NEEDS_TRACE) must be false and the value own none.
/// 2. The type's `Drop` must not look through a `Gc` or `GcWeak`: their targets may be gone.
/// 3. Interior mutability must not take up new pointers without a write barrier on the object that holds them.
///
/// The derive keeps all three: it traces every field, forbids `Drop`, and the std cells do not implement `Collect` for
/// contents that hold pointers; [`Lock`](crate::Lock) and [`RefLock`](crate::RefLock), which run the barrier, do.
pub unsafe trait Collect<'gc> {
    /// False if no value of this type ever holds a pointer into an arena. Objects of such a type live on pages of their
    /// own kind, which are marked but never visited.
    const NEEDS_TRACE: bool = true;

    /// Passes every pointer that the value owns to `cc`, usually by [`Trace::trace`] on each field.
    ///
    /// Owned is what would be dropped with the value: the `Gc` itself, not what it points to.
    #[inline]
    #[expect(
        unused_variables,
        reason = "the names document the parameters; the default has nothing to trace"
    )]
    fn trace<T: Trace<'gc>>(&self, cc: &mut T) {}
}

/// What [`Collect::trace`] reports to: the marker, or anything else that wants to see the pointers of a value.
pub trait Trace<'gc> {
    /// Takes a strong pointer (with its type erased).
    fn trace_gc(&mut self, gc: Gc<'gc, ()>);

    /// Takes a weak pointer (with its type erased).
    fn trace_gc_weak(&mut self, gc: GcWeak<'gc, ()>);

    /// Traces a value, unless its type needs no tracing.
    #[inline]
    fn trace<C: Collect<'gc> + ?Sized>(&mut self, value: &C)
    where
        Self: Sized,
    {
        if C::NEEDS_TRACE {
            value.trace(self);
        }
    }

    /// How a container with an occupancy mask should walk its slots.
    #[doc(hidden)]
    #[inline]
    fn walk(&self) -> Walk {
        Walk::Mask
    }

    /// Counts slots of a container that were looked at, and slots that a mask let it pass over.
    #[doc(hidden)]
    #[inline]
    #[expect(unused_variables, reason = "the names document the parameters; the default counts nothing")]
    fn count_slots(&mut self, scanned: usize, skipped: usize) {}
}

/// Implements [`Collect`] for types that are `'static`, which hold no pointers into an arena.
///
/// ```
/// use bucketmask_gc::static_collect;
///
/// struct Handle(u32);
/// static_collect!(Handle);
///
/// struct Pair<T>(T, T);
/// static_collect!(<T> Pair<T> where T: Clone);
/// ```
#[macro_export]
macro_rules! static_collect {
    (<$($param:tt),+ $(,)*> $type:ty $(where $($bounds:tt)+)?) => {
        // SAFETY: the type is `'static`, so it holds no pointer of any arena.
        unsafe impl<'gc, $($param),+> $crate::Collect<'gc> for $type
        where
            $type: 'static,
            $($($bounds)+)?
        {
            const NEEDS_TRACE: bool = false;
        }
    };
    ($type:ty) => {
        // SAFETY: the type is `'static`, so it holds no pointer of any arena.
        unsafe impl<'gc> $crate::Collect<'gc> for $type
        where
            $type: 'static,
        {
            const NEEDS_TRACE: bool = false;
        }
    };
}
