//! Words whose type says who may store, who may load, and in which order that happens.
//!
//! A [`Published`] word is written by one side through [`StoreRelease`] and read by others through [`LoadAcquire`]: no
//! call names an ordering, so none can name a wrong one. What stands here instead of a comment at each atomic: the store
//! of one pairs with the load of the other.
//! Invariant: of a published word no access is weaker than release and acquire, but for the writer's view of its own.

use crate::sync::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, const_fn};
use core::marker::PhantomData;

mod sealed {
    pub trait Word {}
}

/// An atomic word: what [`Published`] can hold.
pub trait Word: sealed::Word {
    /// What the word holds.
    type Value: Copy;
    #[doc(hidden)]
    fn load_as(&self, order: Ordering) -> Self::Value;
    #[doc(hidden)]
    fn store_as(&self, value: Self::Value, order: Ordering);
}

macro_rules! words {
    ($($atomic:ident: $value:ty),*) => {$(
        impl sealed::Word for $atomic {}
        impl Word for $atomic {
            type Value = $value;
            #[inline(always)]
            fn load_as(&self, order: Ordering) -> $value {
                self.load(order)
            }
            #[inline(always)]
            fn store_as(&self, value: $value, order: Ordering) {
                self.store(value, order);
            }
        }
    )*};
}

words!(AtomicBool: bool, AtomicU32: u32, AtomicU64: u64, AtomicUsize: usize);

impl<T> sealed::Word for AtomicPtr<T> {}
impl<T> Word for AtomicPtr<T> {
    type Value = *mut T;
    #[inline(always)]
    fn load_as(&self, order: Ordering) -> *mut T {
        self.load(order)
    }
    #[inline(always)]
    fn store_as(&self, value: *mut T, order: Ordering) {
        self.store(value, order);
    }
}

/// Which orderings the two sides of a published word use.
///
/// # Safety
/// What is written before a store of `STORE` must be visible to whoever reads the stored value by a load of `LOAD`:
/// release and acquire, or stronger.
#[expect(unsafe_code, reason = "transports rely on the orderings for memory safety")]
pub unsafe trait Orders {
    /// Of the one who publishes.
    const STORE: Ordering;
    /// Of those who observe.
    const LOAD: Ordering;
}

/// Release stores and acquire loads: what is needed, and the default.
#[derive(Debug, Clone, Copy)]
pub enum ReleaseAcquire {}

/// Sequentially consistent stores: a locked instruction each on x86-64. For measuring what release stores save.
#[derive(Debug, Clone, Copy)]
pub enum Sequential {}

#[expect(unsafe_code, reason = "the orderings' own proof")]
// SAFETY: release and acquire.
unsafe impl Orders for ReleaseAcquire {
    const STORE: Ordering = Ordering::Release;
    const LOAD: Ordering = Ordering::Acquire;
}

#[expect(unsafe_code, reason = "the orderings' own proof")]
// SAFETY: stronger than release and acquire.
unsafe impl Orders for Sequential {
    const STORE: Ordering = Ordering::SeqCst;
    const LOAD: Ordering = Ordering::SeqCst;
}

/// A word that one side publishes through: whoever sees its value sees all that its writer did before.
#[derive(Debug)]
#[repr(transparent)]
pub struct Published<A, O = ReleaseAcquire>(A, PhantomData<fn() -> O>);

impl<A: Word, O: Orders> Published<A, O> {
    const_fn! {
        /// A word that holds what `word` holds.
        pub fn new(word: A) -> Self {
            Self(word, PhantomData)
        }
    }

    /// The side that stores. Each word should have one at a time: two would overwrite each other's values, though
    /// they publish what they did all the same.
    #[inline(always)]
    pub fn writer(&self) -> StoreRelease<'_, A, O> {
        StoreRelease(self)
    }

    /// A side that loads.
    #[inline(always)]
    pub fn reader(&self) -> LoadAcquire<'_, A, O> {
        LoadAcquire(self)
    }
}

/// The storing side of a [`Published`] word.
#[derive(Debug)]
pub struct StoreRelease<'a, A, O = ReleaseAcquire>(&'a Published<A, O>);

impl<A: Word, O: Orders> StoreRelease<'_, A, O> {
    /// Publishes `value`, and with it whatever this thread did before. Pairs with [`LoadAcquire::load`].
    #[inline(always)]
    pub fn store(&mut self, value: A::Value) {
        self.0.0.store_as(value, O::STORE);
    }

    /// What this side stored last. Relaxed: a thread sees its own stores in order.
    #[inline(always)]
    pub fn own(&self) -> A::Value {
        self.0.0.load_as(Ordering::Relaxed)
    }
}

/// A loading side of a [`Published`] word.
#[derive(Debug)]
pub struct LoadAcquire<'a, A, O = ReleaseAcquire>(&'a Published<A, O>);

impl<A, O> Clone for LoadAcquire<'_, A, O> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A, O> Copy for LoadAcquire<'_, A, O> {}

impl<A: Word, O: Orders> LoadAcquire<'_, A, O> {
    /// The word's value; what its writer did before it stored that value is visible from here on. Pairs with
    /// [`StoreRelease::store`].
    #[inline(always)]
    pub fn load(self) -> A::Value {
        self.0.0.load_as(O::LOAD)
    }
}
