//! [`GcWeak`]: a pointer that does not keep its target alive.
//!
//! Invariant: as long as a reachable `GcWeak` exists, its target's slot is not used again, even when the value in it has
//! been dropped. So the address alone tells for ever whether the value is still there.
#![allow(unsafe_code)]

use crate::collect::{Collect, Trace};
use crate::{Gc, Mutation, heap};
use std::fmt;

/// A pointer into an arena that does not keep its target alive. It is made by [`Gc::downgrade`].
pub struct GcWeak<'gc, T: ?Sized + 'gc> {
    pub(crate) inner: Gc<'gc, T>,
}

impl<'gc, T: ?Sized + 'gc> GcWeak<'gc, T> {
    /// The target, if it has not been collected.
    #[inline]
    pub fn upgrade(self, mc: &Mutation<'gc>) -> Option<Gc<'gc, T>> {
        // Only a callback may look, since only there is an object that exists also safe to hold.
        let _ = mc;
        (!self.is_dropped()).then_some(self.inner)
    }

    /// Whether the target has been collected and its value dropped.
    #[inline]
    pub fn is_dropped(self) -> bool {
        // SAFETY: the slot of a weak pointer's target is kept as long as the pointer is reachable.
        unsafe { !heap::is_live(self.inner.ptr.as_ptr().cast::<u8>()) }
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
