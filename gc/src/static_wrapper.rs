//! [`Static`]: puts a `'static` value that knows nothing of this crate under the collector.
//!
//! Invariant: `repr(transparent)`, so a pointer to the wrapper is a pointer to the value.
#![allow(unsafe_code)]

use crate::arena::Rootable;
use crate::collect::Collect;
use std::borrow::{Borrow, BorrowMut};
use std::ops::{Deref, DerefMut};

/// Wraps a `'static` value so that it can be held by a [`Gc`](crate::Gc), whether or not its type implements
/// [`Collect`]: a `'static` value cannot hold pointers into an arena, so there is nothing to trace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Static<T: ?Sized>(pub T);

impl<T> From<T> for Static<T> {
    #[inline]
    fn from(value: T) -> Self {
        Self(value)
    }
}

impl<T: ?Sized> Deref for Static<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: ?Sized> DerefMut for Static<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T: ?Sized> AsRef<T> for Static<T> {
    #[inline]
    fn as_ref(&self) -> &T {
        &self.0
    }
}

impl<T: ?Sized> AsMut<T> for Static<T> {
    #[inline]
    fn as_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T: ?Sized> Borrow<T> for Static<T> {
    #[inline]
    fn borrow(&self) -> &T {
        &self.0
    }
}

impl<T: ?Sized> BorrowMut<T> for Static<T> {
    #[inline]
    fn borrow_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

/// A root without pointers is the same under every brand.
impl<T: ?Sized + 'static> Rootable<'_> for Static<T> {
    type Root = Self;
}

// SAFETY: a `'static` value holds no pointer of any arena.
unsafe impl<T: ?Sized + 'static> Collect<'_> for Static<T> {
    const NEEDS_TRACE: bool = false;
}
