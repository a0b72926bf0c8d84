//! [`GcWeak`]: a pointer that does not keep its target alive.
//!
//! Invariant: as long as a reachable `GcWeak` exists, its target's slot is not used again, even when the value in it has
//! been dropped. So the address alone tells for ever whether the value is still there.
#![allow(unsafe_code)]

use crate::collect::{Collect, Trace};
use crate::{Finalization, Gc, Mutation, heap};
use std::fmt;

/// A pointer into an arena that does not keep its target alive. It is made by [`Gc::downgrade`].
pub struct GcWeak<'gc, T: ?Sized + 'gc> {
    pub(crate) inner: Gc<'gc, T>,
}

impl<'gc, T: ?Sized + 'gc> GcWeak<'gc, T> {
    /// The target; or `None` if it has been dropped, or will be by the sweep that is going on.
    #[inline]
    pub fn upgrade(self, mc: &Mutation<'gc>) -> Option<Gc<'gc, T>> {
        // SAFETY: a weak pointer of this brand, in a callback.
        unsafe { mc.context().may_upgrade(self.inner.address()) }.then_some(self.inner)
    }

    /// Whether the target's value has been dropped. While a sweep is going on a target may be about to be dropped, so false
    /// does not mean that [`upgrade`](Self::upgrade) succeeds.
    ///
    /// It may become true within one callback: while a sweep is going on, an allocation sweeps pages of its own type if that has
    /// no destructor, dead targets of weak pointers among what lies there. (In gc-arena nothing is dropped in a callback.) What
    /// [`upgrade`](Self::upgrade) says stays the same throughout a callback.
    #[inline]
    pub fn is_dropped(self) -> bool {
        // SAFETY: the slot of a weak pointer's target is kept as long as the pointer is reachable.
        unsafe { !heap::is_live(self.inner.address()) }
    }

    /// Whether the marking that has just ended found no strong pointer to the target. If it has not been dropped in an
    /// earlier cycle, it will be in this one, unless it is resurrected.
    #[inline]
    pub fn is_dead(self, fc: &Finalization<'gc>) -> bool {
        Gc::is_dead(fc, self.inner)
    }

    /// Keeps the target in this cycle, and all that is reachable from it, and gives a strong pointer to it; `None` if it has
    /// been dropped.
    #[inline]
    pub fn resurrect(self, fc: &Finalization<'gc>) -> Option<Gc<'gc, T>> {
        // SAFETY: a weak pointer of this brand, in a callback before the sweep.
        unsafe { fc.context().resurrect(self.inner.address()) }.then_some(self.inner)
    }

    /// Whether both point to the same object. Only addresses are compared, no metadata of unsized targets.
    #[inline]
    pub fn ptr_eq(this: Self, other: Self) -> bool {
        Gc::ptr_eq(this.inner, other.inner)
    }

    /// The address of the target, which may have been dropped.
    #[inline]
    pub fn as_ptr(self) -> *const T {
        Gc::as_ptr(self.inner)
    }

    /// The pointer that [`as_ptr`](Self::as_ptr) turned into an address.
    ///
    /// # Safety
    ///
    /// `ptr` comes from `as_ptr` of a weak or strong pointer of the arena that `'gc` brands, and such a pointer to it
    /// has been reachable ever since.
    #[inline]
    pub unsafe fn from_ptr(ptr: *const T) -> Self {
        // SAFETY: as the caller promises; the pointer is not looked through before it is known to be live.
        Self { inner: unsafe { Gc::from_ptr(ptr) } }
    }

    /// Changes the type of the target, without touching it.
    ///
    /// # Safety
    ///
    /// The target must be valid as a `U` for as long as it lives.
    #[inline]
    pub unsafe fn cast<U: 'gc>(this: Self) -> GcWeak<'gc, U> {
        // SAFETY: as the caller promises.
        GcWeak { inner: unsafe { Gc::cast(this.inner) } }
    }

    /// Forgets the type of the target.
    #[inline]
    pub fn erase(this: Self) -> GcWeak<'gc, ()> {
        GcWeak { inner: Gc::erase(this.inner) }
    }
}

// SAFETY: it owns one pointer, itself.
unsafe impl<'gc, T: ?Sized + 'gc> Collect<'gc> for GcWeak<'gc, T> {
    #[inline]
    fn trace<C: Trace<'gc>>(&self, cc: &mut C) {
        cc.trace_gc_weak(GcWeak::erase(*self));
    }
}

impl<'gc, T: ?Sized + 'gc> Copy for GcWeak<'gc, T> {}

impl<'gc, T: ?Sized + 'gc> Clone for GcWeak<'gc, T> {
    #[inline]
    fn clone(&self) -> Self {
        *self
    }
}

impl<'gc, T: ?Sized + 'gc> fmt::Debug for GcWeak<'gc, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(GcWeak)")
    }
}
