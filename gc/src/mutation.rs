//! [`Mutation`]: what a callback of an arena may do to it. A branded view of the arena's context.
//!
//! Invariant: a `Mutation` exists only inside a callback, and no cycle runs there.
#![allow(unsafe_code)]

use crate::collect::Collect;
use crate::gc::Brand;
use crate::heap::Context;
use crate::metrics::Metrics;
use crate::{Gc, GcWeak};
use std::ptr::NonNull;

/// The handle that callbacks of an arena receive: permission to allocate, and to change what is there.
///
/// The barriers tell the collector that an object takes up a pointer. [`Lock`](crate::Lock),
/// [`RefLock`](crate::RefLock) and [`Gc::write`] call them; only types with interior mutability of their own have to.
/// Collection is not incremental yet, so they cost and do nothing; programs must call them all the same.
#[repr(transparent)]
pub struct Mutation<'gc> {
    context: Context,
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
    pub(crate) unsafe fn of<'a>(context: *const Context) -> &'a Self {
        // SAFETY: `repr(transparent)` over `Context`, next to a zero-sized brand.
        unsafe { &*context.cast::<Self>() }
    }

    /// The arena's counters and its pacing.
    #[inline]
    pub fn metrics(&self) -> &Metrics {
        self.context.metrics()
    }

    /// Announces that `parent` takes up `child`, or, without a child, any number of pointers until the callback ends:
    /// `parent` will be traced again.
    #[inline]
    pub fn backward_barrier(&self, parent: Gc<'gc, ()>, child: Option<Gc<'gc, ()>>) {
        let _ = (self, parent, child);
    }

    /// [`backward_barrier`](Self::backward_barrier) for a weak child.
    #[inline]
    pub fn backward_barrier_weak(&self, parent: Gc<'gc, ()>, child: GcWeak<'gc, ()>) {
        let _ = (self, parent, child);
    }

    /// Announces that `parent`, or, without a parent, any object until the callback ends, takes up `child`: `child`
    /// will be kept in this cycle.
    #[inline]
    pub fn forward_barrier(&self, parent: Option<Gc<'gc, ()>>, child: Gc<'gc, ()>) {
        let _ = (self, parent, child);
    }

    /// [`forward_barrier`](Self::forward_barrier) for a weak child.
    #[inline]
    pub fn forward_barrier_weak(&self, parent: Option<Gc<'gc, ()>>, child: GcWeak<'gc, ()>) {
        let _ = (self, parent, child);
    }

    #[inline]
    pub(crate) fn allocate<T: Collect<'gc> + 'gc>(&self, value: T) -> NonNull<T> {
        self.context.allocate(value)
    }
}
