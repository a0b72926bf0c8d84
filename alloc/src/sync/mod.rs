//! Orderings as types, and two transports made of them: the ground floor of everything that crosses threads.
//!
//! Allocation-free, on storage that the caller owns (a `static` will do), so that the allocator and the collector may
//! use them too. Nothing here waits: an end that finds its channel full or empty says so.
//!
//! ```text
//! ordered     Published: one side stores with release, the others load with acquire, and the type says which
//! ring        one producer, one consumer
//! channel     several producers, one consumer, in the order of their tickets
//! asymmetric  a fence that costs its rare side everything and its frequent side nothing
//! ```
//!
//! The files name their atomics by this module, so that a model checker's can stand in for them: the tests compile the
//! shipped files once more, on top of loom.
//! Invariant: a value is read only after an acquire load that saw the release store behind its write.

pub mod asymmetric;
pub mod channel;
pub mod ordered;
pub mod ring;

pub(crate) use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// Memory that one thread at a time may use, in the shape that loom's cell has.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct Place<T>(core::cell::UnsafeCell<T>);

impl<T> Place<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(core::cell::UnsafeCell::new(value))
    }

    /// Lends the place. Whoever uses the pointer vouches that nobody else does meanwhile.
    #[inline(always)]
    pub(crate) fn with_mut<R>(&self, use_it: impl FnOnce(*mut T) -> R) -> R {
        use_it(self.0.get())
    }
}

/// Declares a function that is `const` with these atomics, and is not with a model checker's.
macro_rules! const_fn {
    ($(#[$attribute:meta])* pub fn $($rest:tt)*) => { $(#[$attribute])* pub const fn $($rest)* };
}
pub(crate) use const_fn;

/// An array of `$len` values of a constant expression.
macro_rules! filled {
    ($len:expr, $value:expr) => {
        [const { $value }; $len]
    };
}
pub(crate) use filled;

/// A value on cache lines of its own: two of them, since processors fetch lines in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Padded<T>(pub T);
