//! What the shipped ring knows as its crate's `sync`, with a fault: a published index is one too far, so that a slot is taken for
//! full before it is written.
//!
//! Invariant: but for that, the ring here is the shipped one: the same file.

pub(crate) use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// What the ring is made of, as `alloc/src/sync/ordered.rs` has it.
pub(crate) mod ordered {
    use super::{AtomicUsize, Ordering};
    use core::marker::PhantomData;

    pub(crate) trait Orders {}
    pub(crate) enum ReleaseAcquire {}
    impl Orders for ReleaseAcquire {}

    pub(crate) struct Published<A, O>(A, PhantomData<O>);
    pub(crate) struct StoreRelease<'w, A, O>(&'w Published<A, O>);
    pub(crate) struct LoadAcquire<'w, A, O>(&'w Published<A, O>);

    impl<A, O> Published<A, O> {
        pub(crate) const fn new(word: A) -> Self {
            Self(word, PhantomData)
        }

        pub(crate) fn writer(&self) -> StoreRelease<'_, A, O> {
            StoreRelease(self)
        }

        pub(crate) fn reader(&self) -> LoadAcquire<'_, A, O> {
            LoadAcquire(self)
        }
    }

    impl<O> StoreRelease<'_, AtomicUsize, O> {
        pub(crate) fn own(&self) -> usize {
            self.0.0.load(Ordering::Relaxed)
        }

        /// The fault.
        pub(crate) fn store(&self, value: usize) {
            self.0.0.store(value + 1, Ordering::Release);
        }
    }

    impl<O> LoadAcquire<'_, AtomicUsize, O> {
        pub(crate) fn load(&self) -> usize {
            self.0.0.load(Ordering::Acquire)
        }
    }
}

pub(crate) struct Place<T>(core::cell::UnsafeCell<T>);

impl<T> Place<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(core::cell::UnsafeCell::new(value))
    }

    pub(crate) fn with_mut<R>(&self, use_it: impl FnOnce(*mut T) -> R) -> R {
        use_it(self.0.get())
    }
}

macro_rules! const_fn {
    ($(#[$attribute:meta])* pub fn $($rest:tt)*) => { $(#[$attribute])* pub(crate) const fn $($rest)* };
}
pub(crate) use const_fn;

macro_rules! filled {
    ($len:expr, $value:expr) => {
        [const { $value }; $len]
    };
}
pub(crate) use filled;

pub(crate) use bucketmask_alloc::sync::Padded;

#[allow(dead_code, unused_imports, unreachable_pub, clippy::pedantic, reason = "linted where it is shipped")]
#[path = "../../../alloc/src/sync/ring.rs"]
pub(crate) mod ring;
