//! [`unsize!`](crate::unsize): from a pointer to a sized value to one to a slice or a trait object.
//!
//! Invariant: the address stays, so the collector sees the same object.
#![allow(unsafe_code)]

use crate::{Gc, GcWeak};

/// Turns a [`Gc`] or [`GcWeak`] to a sized value into one to a slice or a trait object: `unsize!(gc => dyn Trait)`. It
/// stands in for the coercion that std's pointers have and other pointers cannot declare in stable Rust.
///
/// ```
/// use bucketmask_gc::{Gc, arena::rootless_mutate, unsize};
///
/// rootless_mutate(|mc| {
///     let numbers: Gc<'_, [i32]> = unsize!(Gc::new(mc, [1, 2, 3]) => [i32]);
///     assert_eq!(numbers.len(), 3);
///     let shown = unsize!(Gc::new(mc, 'x') => dyn std::fmt::Display);
///     assert_eq!(shown.to_string(), "x");
/// });
/// ```
///
/// What does not coerce does not compile:
///
/// ```compile_fail,E0277
/// use bucketmask_gc::{Gc, arena::rootless_mutate, unsize};
///
/// rootless_mutate(|mc| unsize!(Gc::new(mc, 'x') => dyn std::error::Error).to_string());
/// ```
#[macro_export]
macro_rules! unsize {
    ($pointer:expr => $target:ty) => {{
        let pointer = $pointer;
        // SAFETY: the closure can do nothing but coerce the pointer.
        unsafe { $crate::__Unsize::__unsize(pointer, |sized: *const _| -> *const $target { sized }) }
    }};
}

/// Half of [`unsize!`](crate::unsize): applies a coercion of raw pointers to a pointer of this crate of the same brand.
///
/// # Safety
///
/// The result has the address that the coercion returns, and the brand of `self`.
#[doc(hidden)]
pub unsafe trait __Unsize<Unsized> {
    type Target;
    type UnsizedTarget: ?Sized;

    /// # Safety
    ///
    /// `coerce` is a coercion: it returns its argument.
    unsafe fn __unsize<F>(self, coerce: F) -> Unsized
    where
        F: FnOnce(*const Self::Target) -> *const Self::UnsizedTarget;
}

// SAFETY: address and brand are kept.
unsafe impl<'gc, T, U: ?Sized> __Unsize<Gc<'gc, U>> for Gc<'gc, T> {
    type Target = T;
    type UnsizedTarget = U;

    #[inline(always)]
    unsafe fn __unsize<F: FnOnce(*const T) -> *const U>(self, coerce: F) -> Gc<'gc, U> {
        // SAFETY: the same object, as the caller promises.
        unsafe { Gc::from_ptr(coerce(Gc::as_ptr(self))) }
    }
}

// SAFETY: address and brand are kept.
unsafe impl<'gc, T, U: ?Sized> __Unsize<GcWeak<'gc, U>> for GcWeak<'gc, T> {
    type Target = T;
    type UnsizedTarget = U;

    #[inline(always)]
    unsafe fn __unsize<F: FnOnce(*const T) -> *const U>(self, coerce: F) -> GcWeak<'gc, U> {
        // SAFETY: the same object, as the caller promises.
        unsafe { GcWeak::from_ptr(coerce(self.as_ptr())) }
    }
}
