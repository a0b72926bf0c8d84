//! How a type tells the collector what it points to: [`Collect`] and [`Trace`], and macros that implement the former.
//!
//! Invariant: a `Collect` implementation passes on every pointer into the arena that the value owns. The collector
//! frees what it is not told about.
#![allow(unsafe_code)]

use crate::parts::{DropInParts, Traced};
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

    /// Whether objects of this type are traced by `trace_part` and dropped by `take_apart`. Values inside others are not.
    #[doc(hidden)]
    const IN_PARTS: bool = false;

    /// Traces about `bytes` of the value, from a position on that begins at 0.
    #[doc(hidden)]
    #[inline]
    fn trace_part<T: Trace<'gc>>(&self, at: usize, bytes: usize, cc: &mut T) -> Traced {
        let _ = (at, bytes);
        self.trace(cc);
        Traced { next: None, bytes: size_of_val(self) }
    }

    /// Drops a dead value but for what takes longer than a step.
    ///
    /// # Safety
    ///
    /// As for [`std::ptr::drop_in_place`].
    #[doc(hidden)]
    #[inline]
    unsafe fn take_apart(this: *mut Self) -> Option<Box<dyn DropInParts + 'gc>>
    where
        Self: Sized + 'gc,
    {
        // SAFETY: the caller's promise.
        unsafe { this.drop_in_place() };
        None
    }

    /// A key that an entry of this object waited for has been marked: traces the entry's value.
    #[doc(hidden)]
    #[inline]
    fn wake<T: Trace<'gc>>(&self, key: GcWeak<'gc, ()>, tag: usize, cc: &mut T) {
        let _ = (key, tag, cc);
    }

    /// Marking has ended, and a key that an entry of this object waited for was not found. Whoever
    /// [`RESURRECTS`](Self::RESURRECTS) keeps the key, which is marked then; others drop the entry.
    #[doc(hidden)]
    #[inline]
    fn forget(&self, key: GcWeak<'gc, ()>, tag: usize) {
        let _ = (key, tag);
    }

    /// Whether keys that this object waits for are saved when nothing else keeps them.
    #[doc(hidden)]
    const RESURRECTS: bool = false;

    /// Whether a value that lies in a range of its own is dropped by `drop_part`.
    #[doc(hidden)]
    const DROPS_IN_PARTS: bool = false;

    /// Drops about `bytes` of the value from `at` on, which is moved on before each destructor runs. True: all is dropped.
    ///
    /// # Safety
    ///
    /// As for [`std::ptr::drop_in_place`], but that what lies before `at` was dropped.
    #[doc(hidden)]
    #[inline]
    unsafe fn drop_part(this: *mut Self, at: &mut usize, bytes: usize) -> bool
    where
        Self: Sized,
    {
        let _ = bytes;
        if *at == 0 {
            *at = 1;
            // SAFETY: the caller's promise.
            unsafe { this.drop_in_place() };
        }
        true
    }
}

/// What [`Collect::trace`] reports to: the marker, or anything else that wants to see the pointers of a value.
pub trait Trace<'gc> {
    /// Takes a strong pointer (with its type erased).
    fn trace_gc(&mut self, gc: Gc<'gc, ()>);

    /// [`trace_gc`](Self::trace_gc) of a pointer whose target most probably is in a slot of so many bytes.
    #[doc(hidden)]
    #[inline(always)]
    fn trace_gc_of(&mut self, gc: Gc<'gc, ()>, slot_bytes: usize) {
        let _ = slot_bytes;
        self.trace_gc(gc);
    }

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

    /// Counts cache lines of entries that a container has read.
    #[doc(hidden)]
    #[inline]
    fn count_lines(&mut self, lines: usize) {
        let _ = lines;
    }

    /// Whether the value of an entry is to be traced now, since its key is marked, with [`end_ephemeron`](Self::end_ephemeron)
    /// behind it. If not, the entry waits, and `owner`, an object of the type that calls this, is
    /// [woken](Collect::wake) with key and tag, or told to [forget](Collect::forget) it.
    #[doc(hidden)]
    #[inline]
    fn trace_ephemeron(&mut self, key: GcWeak<'gc, ()>, owner: Gc<'gc, ()>, tag: usize) -> bool {
        let _ = (key, owner, tag);
        true
    }

    /// The value of an entry was traced.
    #[doc(hidden)]
    #[inline]
    fn end_ephemeron(&mut self) {}

    /// Whether a container should check its own bookkeeping on the way.
    #[doc(hidden)]
    #[inline]
    fn is_checking(&self) -> bool {
        false
    }

    /// Takes what such a check has found.
    #[doc(hidden)]
    #[inline]
    #[expect(unused_variables, reason = "the names document the parameters; nobody asked for it here")]
    fn tell_fault(&mut self, fault: String) {}

    /// Whether a lock that is mutably borrowed is to be passed over, where tracing it would panic.
    #[doc(hidden)]
    #[cfg(feature = "checked")]
    #[inline]
    fn passes_over_borrowed(&mut self) -> bool {
        false
    }
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

/// [`Collect`] behind a trait object. Every type that implements [`Collect`] implements this.
///
/// `dyn DynCollect<'gc>` implements [`Collect`] in turn; so do trait objects of traits that have `DynCollect<'gc>` as a
/// supertrait, by [`dyn_collect!`](dyn_collect).
///
/// # Safety
///
/// `dyn_trace` passes on every pointer that the value owns, and the other promises of [`Collect`] hold.
pub unsafe trait DynCollect<'gc> {
    /// [`Collect::trace`].
    fn dyn_trace(&self, cc: &mut dyn Trace<'gc>);
}

// SAFETY: `Collect` promises the same.
unsafe impl<'gc, T: Collect<'gc>> DynCollect<'gc> for T {
    #[inline]
    fn dyn_trace(&self, cc: &mut dyn Trace<'gc>) {
        Tracer(cc).trace(self);
    }
}

// SAFETY: `DynCollect` promises the same.
unsafe impl<'gc> Collect<'gc> for dyn DynCollect<'gc> + '_ {
    #[inline]
    fn trace<T: Trace<'gc>>(&self, cc: &mut T) {
        self.dyn_trace(cc);
    }
}

/// A tracer that is sized, around one that may not be.
struct Tracer<'a, 'gc>(&'a mut dyn Trace<'gc>);

impl<'gc> Trace<'gc> for Tracer<'_, 'gc> {
    fn trace_gc(&mut self, gc: Gc<'gc, ()>) {
        self.0.trace_gc(gc);
    }

    fn trace_gc_weak(&mut self, gc: GcWeak<'gc, ()>) {
        self.0.trace_gc_weak(gc);
    }

    fn walk(&self) -> Walk {
        self.0.walk()
    }

    fn count_slots(&mut self, scanned: usize, skipped: usize) {
        self.0.count_slots(scanned, skipped);
    }

    fn count_lines(&mut self, lines: usize) {
        self.0.count_lines(lines);
    }

    fn trace_ephemeron(&mut self, key: GcWeak<'gc, ()>, owner: Gc<'gc, ()>, tag: usize) -> bool {
        self.0.trace_ephemeron(key, owner, tag)
    }

    fn end_ephemeron(&mut self) {
        self.0.end_ephemeron();
    }

    fn is_checking(&self) -> bool {
        self.0.is_checking()
    }

    fn tell_fault(&mut self, fault: String) {
        self.0.tell_fault(fault);
    }

    #[cfg(feature = "checked")]
    fn passes_over_borrowed(&mut self) -> bool {
        self.0.passes_over_borrowed()
    }
}

/// Implements [`Collect`] for a trait object whose trait has [`DynCollect`] as a supertrait:
/// `dyn_collect!(dyn Trait<'gc>)`. Parameters go in front, bounds behind: `dyn_collect!(<T> dyn Trait<'gc, T> where T: Clone)`.
/// The arena's lifetime is called `'gc`.
///
/// ```
/// use bucketmask_gc::collect::{DynCollect, dyn_collect};
/// use bucketmask_gc::{Collect, Gc, arena::rootless_mutate, unsize};
///
/// trait Shape<'gc>: DynCollect<'gc> {
///     fn area(&self) -> f64;
/// }
/// dyn_collect!(dyn Shape<'gc>);
///
/// #[derive(Collect)]
/// #[collect(no_drop)]
/// struct Square(f64);
///
/// impl<'gc> Shape<'gc> for Square {
///     fn area(&self) -> f64 {
///         self.0 * self.0
///     }
/// }
///
/// rootless_mutate(|mc| {
///     let shapes: Vec<Box<dyn Shape<'_>>> = vec![Box::new(Square(2.0))];
///     assert_eq!(Gc::new(mc, shapes)[0].area(), 4.0);
/// });
/// ```
#[doc(inline)]
pub use crate::__dyn_collect as dyn_collect;

#[doc(hidden)]
#[macro_export]
macro_rules! __dyn_collect {
    // Bounds are bounds: a block would end the implementation below, and begin others.
    (@bounds) => {};
    (@bounds {$($any:tt)*} $($rest:tt)*) => {
        compile_error!("a block among the bounds of `dyn_collect!`");
    };
    (@bounds $bound:tt $($rest:tt)*) => {
        $crate::__dyn_collect!(@bounds $($rest)*);
    };
    (<$($param:tt),+ $(,)*> $object:ty $(where $($bounds:tt)+)?) => {
        $($crate::__dyn_collect!(@bounds $($bounds)+);)?
        impl<'gc, $($param),+> $crate::__MustBeUnsized for $object where $($($bounds)+)? {}
        // SAFETY: the supertrait `DynCollect` traces the value.
        unsafe impl<'gc, $($param),+> $crate::Collect<'gc> for $object
        where
            $($($bounds)+)?
        {
            fn trace<__Trace: $crate::collect::Trace<'gc>>(&self, cc: &mut __Trace) {
                $crate::collect::DynCollect::dyn_trace(self, cc);
            }
        }
    };
    ($object:ty) => {
        impl<'gc> $crate::__MustBeUnsized for $object {}
        // SAFETY: the supertrait `DynCollect` traces the value.
        unsafe impl<'gc> $crate::Collect<'gc> for $object {
            fn trace<__Trace: $crate::collect::Trace<'gc>>(&self, cc: &mut __Trace) {
                $crate::collect::DynCollect::dyn_trace(self, cc);
            }
        }
    };
}
