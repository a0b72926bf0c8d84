//! Interior mutability under the collector: [`Lock`] (a `Cell`), [`RefLock`] (a `RefCell`) and [`OnceLock`] (a
//! `OnceCell`).
//!
//! Invariant: the cell inside is reachable for writing only by `&mut`, through a [`Write`](crate::barrier::Write), or by
//! an unsafe call: so no pointer is taken up without a write barrier.
#![allow(unsafe_code)]

use crate::barrier::Unlock;
use crate::collect::{Collect, Trace};
use crate::heap::checked;
use crate::{Gc, Mutation};
use std::cell::{BorrowError, BorrowMutError, Cell, OnceCell, Ref, RefCell, RefMut};
use std::cmp::Ordering;
use std::fmt;

/// A `Gc` to a [`Lock`].
pub type GcLock<'gc, T> = Gc<'gc, Lock<T>>;
/// A `Gc` to a [`RefLock`].
pub type GcRefLock<'gc, T> = Gc<'gc, RefLock<T>>;
/// A `Gc` to a [`OnceLock`].
pub type GcOnceLock<'gc, T> = Gc<'gc, OnceLock<T>>;

/// A `Cell` that can hold pointers into an arena. Reading is free; writing goes through a write barrier:
/// [`Gc::<Lock<T>>::set`](Gc::set) when the lock is an object itself, [`unlock!`](crate::barrier::unlock) when it is a
/// field of one.
#[derive(Default)]
#[repr(transparent)]
pub struct Lock<T: ?Sized> {
    cell: Cell<T>,
}

/// A `RefCell` that can hold pointers into an arena. Reading is by [`RefLock::borrow`]; writing goes through a write
/// barrier: [`Gc::<RefLock<T>>::borrow_mut`](Gc::borrow_mut) when the lock is an object itself,
/// [`unlock!`](crate::barrier::unlock) when it is a field of one.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(transparent)]
pub struct RefLock<T: ?Sized> {
    cell: RefCell<T>,
}

/// A `OnceCell` that can hold pointers into an arena.
#[derive(Clone, PartialEq, Eq)]
#[repr(transparent)]
pub struct OnceLock<T> {
    cell: OnceCell<T>,
}

macro_rules! lock_common {
    ($lock:ident over $cell:ident, as $unlocked:ident $(, $unsized:ident)?) => {
        impl<T $(: ?$unsized)?> $lock<T> {
            /// The cell inside.
            ///
            /// # Safety
            ///
            /// No pointer into the arena may be taken up through it, unless a write barrier is run on the object that
            /// holds the lock before the callback ends.
            #[inline]
            #[cfg_attr(feature = "checked", track_caller)]
            pub unsafe fn $unlocked(&self) -> &$cell<T> {
                checked::opened(std::ptr::from_ref(self).cast());
                &self.cell
            }
        }

        impl<T $(: ?$unsized)?> Unlock for $lock<T> {
            type Unlocked = $cell<T>;

            #[inline]
            #[cfg_attr(feature = "checked", track_caller)]
            unsafe fn unlock_unchecked(&self) -> &$cell<T> {
                checked::opened(std::ptr::from_ref(self).cast());
                &self.cell
            }
        }

        impl<T> From<T> for $lock<T> {
            #[inline]
            fn from(value: T) -> Self {
                Self { cell: $cell::from(value) }
            }
        }

        impl<T> From<$cell<T>> for $lock<T> {
            #[inline]
            fn from(cell: $cell<T>) -> Self {
                Self { cell }
            }
        }
    };
}

lock_common!(Lock over Cell, as as_cell, Sized);
lock_common!(RefLock over RefCell, as as_ref_cell, Sized);
lock_common!(OnceLock over OnceCell, as as_once_cell);

impl<T> Lock<T> {
    /// A lock that holds `value`.
    #[inline]
    pub const fn new(value: T) -> Self {
        Self { cell: Cell::new(value) }
    }

    /// The value.
    #[inline]
    pub fn into_inner(self) -> T {
        self.cell.into_inner()
    }

    /// A copy of the value.
    #[inline]
    pub fn get(&self) -> T
    where
        T: Copy,
    {
        self.cell.get()
    }

    /// Takes the value out and leaves the default, which needs no barrier: `T::default()` has no way to come by a
    /// pointer of this brand.
    #[inline]
    pub fn take(&self) -> T
    where
        T: Default,
    {
        self.cell.take()
    }
}

impl<T: ?Sized> Lock<T> {
    /// A pointer to the value.
    #[inline]
    pub fn as_ptr(&self) -> *mut T {
        self.cell.as_ptr()
    }

    /// The value, by exclusive access.
    #[inline]
    pub fn get_mut(&mut self) -> &mut T {
        self.cell.get_mut()
    }
}

impl<'gc, T: Copy + 'gc> Gc<'gc, Lock<T>> {
    /// A copy of the value.
    #[inline]
    pub fn get(self) -> T {
        self.cell.get()
    }

    /// Stores a value, with a write barrier.
    #[inline]
    #[cfg_attr(feature = "checked", track_caller)]
    pub fn set(self, mc: &Mutation<'gc>, value: T) {
        self.unlock(mc).set(value);
    }
}

// SAFETY: a copy of the value holds the same pointers as the value.
unsafe impl<'gc, T: Collect<'gc> + Copy + 'gc> Collect<'gc> for Lock<T> {
    const NEEDS_TRACE: bool = T::NEEDS_TRACE;

    #[inline]
    fn trace<C: Trace<'gc>>(&self, cc: &mut C) {
        cc.trace(&self.get());
    }
}

impl<T: Copy> Clone for Lock<T> {
    #[inline]
    fn clone(&self) -> Self {
        Self::new(self.get())
    }
}

impl<T: PartialEq + Copy> PartialEq for Lock<T> {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl<T: Eq + Copy> Eq for Lock<T> {}

impl<T: PartialOrd + Copy> PartialOrd for Lock<T> {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.get().partial_cmp(&other.get())
    }
}

impl<T: Ord + Copy> Ord for Lock<T> {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        self.get().cmp(&other.get())
    }
}

impl<T: Copy + fmt::Debug> fmt::Debug for Lock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Lock").field(&self.cell).finish()
    }
}

impl<T> RefLock<T> {
    /// A lock that holds `value`.
    #[inline]
    pub const fn new(value: T) -> Self {
        Self { cell: RefCell::new(value) }
    }

    /// The value.
    #[inline]
    pub fn into_inner(self) -> T {
        self.cell.into_inner()
    }

    /// Takes the value out and leaves the default; see [`Lock::take`] for why that needs no barrier.
    ///
    /// # Panics
    ///
    /// If the value is borrowed.
    #[inline]
    #[track_caller]
    pub fn take(&self) -> T
    where
        T: Default,
    {
        self.cell.take()
    }
}

impl<T: ?Sized> RefLock<T> {
    /// A pointer to the value.
    #[inline]
    pub fn as_ptr(&self) -> *mut T {
        self.cell.as_ptr()
    }

    /// The value, by exclusive access.
    #[inline]
    pub fn get_mut(&mut self) -> &mut T {
        self.cell.get_mut()
    }

    /// Borrows the value for reading.
    ///
    /// # Panics
    ///
    /// If it is mutably borrowed.
    #[inline]
    #[track_caller]
    pub fn borrow(&self) -> Ref<'_, T> {
        self.cell.borrow()
    }

    /// Borrows the value for reading.
    ///
    /// # Errors
    ///
    /// If it is mutably borrowed.
    #[inline]
    pub fn try_borrow(&self) -> Result<Ref<'_, T>, BorrowError> {
        self.cell.try_borrow()
    }
}

impl<'gc, T: ?Sized + 'gc> Gc<'gc, RefLock<T>> {
    /// Borrows the value for reading, for as long as the callback runs.
    ///
    /// # Panics
    ///
    /// If it is mutably borrowed.
    #[inline]
    #[track_caller]
    pub fn borrow(self) -> Ref<'gc, T> {
        Gc::as_ref(self).borrow()
    }

    /// Borrows the value for reading, for as long as the callback runs.
    ///
    /// # Errors
    ///
    /// If it is mutably borrowed.
    #[inline]
    pub fn try_borrow(self) -> Result<Ref<'gc, T>, BorrowError> {
        Gc::as_ref(self).try_borrow()
    }

    /// Borrows the value for writing, with a write barrier.
    ///
    /// # Panics
    ///
    /// If it is borrowed.
    #[inline]
    #[track_caller]
    pub fn borrow_mut(self, mc: &Mutation<'gc>) -> RefMut<'gc, T> {
        self.unlock(mc).borrow_mut()
    }

    /// Borrows the value for writing, with a write barrier.
    ///
    /// # Errors
    ///
    /// If it is borrowed.
    #[inline]
    #[cfg_attr(feature = "checked", track_caller)]
    pub fn try_borrow_mut(self, mc: &Mutation<'gc>) -> Result<RefMut<'gc, T>, BorrowMutError> {
        self.unlock(mc).try_borrow_mut()
    }
}

// SAFETY: the value is traced, or, while it is mutably borrowed, tracing panics and the cycle frees nothing.
unsafe impl<'gc, T: Collect<'gc> + ?Sized + 'gc> Collect<'gc> for RefLock<T> {
    const NEEDS_TRACE: bool = T::NEEDS_TRACE;

    #[inline]
    fn trace<C: Trace<'gc>>(&self, cc: &mut C) {
        #[cfg(feature = "checked")]
        if self.try_borrow().is_err() && cc.passes_over_borrowed() {
            return;
        }
        cc.trace(&*self.borrow());
    }
}

impl<T: fmt::Debug + ?Sized> fmt::Debug for RefLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut tuple = f.debug_tuple("RefLock");
        match self.try_borrow() {
            Ok(value) => tuple.field(&value),
            Err(_) => tuple.field(&format_args!("<borrowed>")),
        };
        tuple.finish()
    }
}

impl<T> OnceLock<T> {
    /// A lock that holds nothing yet.
    #[inline]
    pub const fn new() -> Self {
        Self { cell: OnceCell::new() }
    }

    /// The value, if it has been set.
    #[inline]
    pub fn get(&self) -> Option<&T> {
        self.cell.get()
    }

    /// The value, if it has been set, by exclusive access.
    #[inline]
    pub fn get_mut(&mut self) -> Option<&mut T> {
        self.cell.get_mut()
    }
}

impl<'gc, T: 'gc> Gc<'gc, OnceLock<T>> {
    /// The value, if it has been set, for as long as the callback runs.
    #[inline]
    pub fn get(self) -> Option<&'gc T> {
        Gc::as_ref(self).get()
    }

    /// Sets the value, with a write barrier, if there is none.
    ///
    /// # Errors
    ///
    /// The value that was to be set, if there is one already.
    #[inline]
    pub fn set(self, mc: &Mutation<'gc>, value: T) -> Result<(), T> {
        let set = self.cell.set(value);
        if set.is_ok() && !checked::seeded!("gc: once-lock's barrier removed") {
            mc.backward_barrier(Gc::erase(self), None);
        }
        set
    }

    /// The value; if there is none, the closure's result is set, with a write barrier.
    ///
    /// # Panics
    ///
    /// If the closure sets the value.
    #[inline]
    pub fn get_or_init<F: FnOnce() -> T>(self, mc: &Mutation<'gc>, f: F) -> &'gc T {
        // No collection runs between the barrier and the end of the callback.
        let make = || {
            mc.backward_barrier(Gc::erase(self), None);
            f()
        };
        Gc::as_ref(self).cell.get_or_init(make)
    }
}

impl<T> Default for OnceLock<T> {
    #[inline]
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY: the value, if any, is traced.
unsafe impl<'gc, T: Collect<'gc>> Collect<'gc> for OnceLock<T> {
    const NEEDS_TRACE: bool = T::NEEDS_TRACE;

    #[inline]
    fn trace<C: Trace<'gc>>(&self, cc: &mut C) {
        if let Some(value) = self.get() {
            cc.trace(value);
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for OnceLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut tuple = f.debug_tuple("OnceLock");
        match self.get() {
            Some(value) => tuple.field(value),
            None => tuple.field(&format_args!("<uninit>")),
        };
        tuple.finish()
    }
}
