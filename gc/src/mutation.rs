//! [`Mutation`]: what a callback of an arena may do to it; [`Finalization`]: what it may do more when marking has ended.
//! Branded views of the arena's context.
//!
//! Invariant: either exists only inside a callback, and the collector does not run there.
#![allow(unsafe_code)]

use crate::collect::Collect;
use crate::gc::Brand;
use crate::heap::{Context, Home, View};
use crate::metrics::Metrics;
use crate::{Gc, GcWeak};
use std::ops::Deref;
use std::ptr::NonNull;

/// The handle that callbacks of an arena receive: permission to allocate, and to change what is there.
///
/// The barriers tell the collector that an object takes up a pointer, so that an incremental marking that has passed the
/// object finds the pointer. [`Lock`](crate::Lock), [`RefLock`](crate::RefLock) and [`Gc::write`] call them; only types with
/// interior mutability of their own have to. While nothing is being marked they cost one comparison.
#[repr(transparent)]
pub struct Mutation<'gc> {
    view: View,
    brand: Brand<'gc>,
}

static_assertions::assert_not_impl_any!(Mutation<'static>: Send, Sync);

impl<'gc> Mutation<'gc> {
    /// The branded view of a context.
    ///
    /// # Safety
    ///
    /// `'gc` must brand the arena of this context and no other, and end before the next cycle starts.
    #[inline]
    pub(crate) unsafe fn of<'a>(home: &Home) -> &'a Self {
        // SAFETY: `repr(transparent)` over `View`, next to a zero-sized brand; nothing writes to the view before `'gc` ends.
        unsafe { &*home.view().cast::<Self>() }
    }

    /// The arena's counters and its pacing.
    #[inline]
    pub fn metrics(&self) -> &Metrics {
        self.context().metrics()
    }

    /// Announces that `parent` takes up `child`, or, without a child, any number of pointers until the callback ends:
    /// `parent` will be traced again, if it was traced already (and the child, if given, was not found yet).
    #[inline]
    #[cfg_attr(feature = "checked", track_caller)]
    pub fn backward_barrier(&self, parent: Gc<'gc, ()>, child: Option<Gc<'gc, ()>>) {
        if self.view.alert {
            let child = child.map(Gc::address);
            // SAFETY: pointers of this brand, in a callback.
            unsafe { self.context().backward_barrier(parent.address(), child) };
        }
    }

    /// [`backward_barrier`](Self::backward_barrier) for a weak child.
    #[inline]
    #[cfg_attr(feature = "checked", track_caller)]
    pub fn backward_barrier_weak(&self, parent: Gc<'gc, ()>, child: GcWeak<'gc, ()>) {
        if self.view.alert {
            // SAFETY: pointers of this brand, in a callback.
            unsafe { self.context().backward_barrier_weak(parent.address(), child.inner.address()) };
        }
    }

    /// Announces that `parent`, or, without a parent, any object until the callback ends, takes up `child`: `child`
    /// will be kept in this cycle, if `parent` was traced already.
    #[inline]
    #[cfg_attr(feature = "checked", track_caller)]
    pub fn forward_barrier(&self, parent: Option<Gc<'gc, ()>>, child: Gc<'gc, ()>) {
        if self.view.alert {
            // SAFETY: pointers of this brand, in a callback.
            unsafe { self.context().forward_barrier(parent.map(Gc::address), child.address()) };
        }
    }

    /// [`forward_barrier`](Self::forward_barrier) for a weak child.
    #[inline]
    #[cfg_attr(feature = "checked", track_caller)]
    pub fn forward_barrier_weak(&self, parent: Option<Gc<'gc, ()>>, child: GcWeak<'gc, ()>) {
        if self.view.alert {
            // SAFETY: pointers of this brand, in a callback.
            unsafe { self.context().forward_barrier_weak(parent.map(Gc::address), child.inner.address()) };
        }
    }

    /// Whether what `parent` takes up must be [shaded](Self::shade): it was traced already, at least in part.
    #[doc(hidden)]
    #[inline]
    pub fn must_shade(&self, parent: Gc<'gc, ()>) -> bool {
        // SAFETY: a pointer of this brand, in a callback.
        self.view.alert && unsafe { self.context().must_shade(parent.address()) }
    }

    /// The forward barrier for all that a value holds, which a container takes up that was traced already.
    #[doc(hidden)]
    pub fn shade<C: Collect<'gc>>(&self, value: &C) {
        // SAFETY: in a callback of this brand.
        unsafe { self.context().shade(value) };
    }

    #[inline(always)]
    pub(crate) fn context(&self) -> &Context {
        // SAFETY: the view is part of the context, at an address that it keeps, and is used in callbacks only.
        unsafe { &*self.view.context }
    }

    /// The program is about to write to an object, and runs its barrier next.
    #[inline(always)]
    #[cfg_attr(feature = "checked", track_caller)]
    pub(crate) fn context_before_write(&self, object: *const u8) {
        self.context().before_overwrite(object);
    }

    /// The barrier on some elements of a slice; see `Context::bucket_barrier`.
    ///
    /// # Safety
    ///
    /// As there.
    #[inline]
    pub(crate) unsafe fn bucket_barrier(&self, parent: *const u8, at: usize, bytes: usize) {
        if self.view.alert {
            // SAFETY: as the caller promises.
            unsafe { self.context().bucket_barrier(parent, at, bytes) };
        }
    }

    /// An object was handed out that is written to without barriers.
    #[inline]
    pub(crate) fn count_unpublished(&self) {
        if self.view.alert {
            self.context().count_unpublished();
        }
    }

    #[inline]
    #[cfg_attr(feature = "checked", track_caller)]
    pub(crate) fn allocate<T: Collect<'gc> + 'gc>(&self, value: T) -> NonNull<T> {
        self.context().allocate(value)
    }
}

/// The handle that [`MarkedArena::finalize`](crate::arena::MarkedArena::finalize) hands to its callback: a [`Mutation`] that
/// may also ask what the marking did not find.
#[repr(transparent)]
pub struct Finalization<'gc> {
    mutation: Mutation<'gc>,
}

impl Finalization<'_> {
    /// The branded view of a context.
    ///
    /// # Safety
    ///
    /// As for [`Mutation::of`]; and marking has ended.
    #[inline]
    pub(crate) unsafe fn of<'a>(home: &Home) -> &'a Self {
        // SAFETY: `repr(transparent)` over `Mutation`, which is over `View`.
        unsafe { &*home.view().cast::<Self>() }
    }
}

impl<'gc> Deref for Finalization<'gc> {
    type Target = Mutation<'gc>;

    #[inline]
    fn deref(&self) -> &Mutation<'gc> {
        &self.mutation
    }
}
