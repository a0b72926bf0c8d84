//! [`Write`]: the proof that an object's write barrier has run, and the projections that carry it to the object's parts.
//!
//! Invariant: a `&Write<T>` refers to a part of an object whose barrier has run in this callback (or to something that
//! no collector looks at). Projections never go through a `Gc`: what lies behind one is another object.
#![allow(unsafe_code)]

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{BuildHasher, Hash};
use std::ops::{Deref, DerefMut, Index, Range, RangeFrom, RangeInclusive, RangeTo, RangeToInclusive};

/// A reference to a part of an object that may take up any pointer until the callback ends. It exists only behind a
/// reference: [`Gc::write`](crate::Gc::write) makes it, [`field!`] and the methods here lead to the parts, and
/// [`unlock`](Write::unlock) opens a lock that was reached so.
#[non_exhaustive]
#[repr(transparent)]
pub struct Write<T: ?Sized> {
    // Public for the pattern in `field!`; `non_exhaustive` keeps others from writing the struct.
    #[doc(hidden)]
    pub __inner: T,
}

impl<T: ?Sized> Write<T> {
    /// Takes a reference for one whose object's barrier has run.
    ///
    /// # Safety
    ///
    /// No pointer may be taken up through it, unless [`Gc::write`](crate::Gc::write) is called on the object before the
    /// callback ends.
    #[inline(always)]
    pub unsafe fn assume(value: &T) -> &Self {
        // SAFETY: `repr(transparent)`.
        unsafe { &*(std::ptr::from_ref(value) as *const Self) }
    }

    /// A reference to something `'static`, which can take up no pointer.
    #[inline]
    pub fn from_static(value: &T) -> &Self
    where
        T: 'static,
    {
        // SAFETY: no pointer of any arena fits in.
        unsafe { Self::assume(value) }
    }

    /// An exclusive reference; who has that may write anyway.
    #[inline]
    pub fn from_mut(value: &mut T) -> &mut Self {
        // SAFETY: `repr(transparent)`.
        unsafe { &mut *(std::ptr::from_mut(value) as *mut Self) }
    }

    /// Half of [`field!`]: the pointer keeps the reference from having been coerced on its way here.
    ///
    /// # Safety
    ///
    /// As [`assume`](Self::assume).
    #[doc(hidden)]
    #[inline(always)]
    pub unsafe fn __from_ref_and_ptr(value: &T, _uncoerced: *const T) -> &Self {
        // SAFETY: as the caller promises.
        unsafe { Self::assume(value) }
    }

    /// Opens a lock.
    #[inline]
    pub fn unlock(&self) -> &T::Unlocked
    where
        T: Unlock,
    {
        // SAFETY: the barrier of the object that holds the lock has run.
        unsafe { self.__inner.unlock_unchecked() }
    }

    /// What a box (or another [`DerefWrite`] pointer) owns.
    #[inline(always)]
    pub fn as_deref(&self) -> &Write<T::Target>
    where
        T: DerefWrite,
    {
        // SAFETY: `DerefWrite` promises that the target belongs to the same object.
        unsafe { Write::assume(&*self.__inner) }
    }
}

impl<T> Write<Option<T>> {
    /// The value, if any.
    #[inline(always)]
    pub fn as_write(&self) -> Option<&Write<T>> {
        // SAFETY: the value is part of the option.
        self.__inner.as_ref().map(|value| unsafe { Write::assume(value) })
    }
}

impl<T, E> Write<Result<T, E>> {
    /// The value, or the error.
    ///
    /// # Errors
    ///
    /// The error that is there in place of the value, as something that can be written.
    #[inline(always)]
    pub fn as_write(&self) -> Result<&Write<T>, &Write<E>> {
        match &self.__inner {
            // SAFETY: the value is part of the result.
            Ok(value) => Ok(unsafe { Write::assume(value) }),
            // SAFETY: the error is part of the result.
            Err(error) => Err(unsafe { Write::assume(error) }),
        }
    }
}

impl<T: ?Sized> Deref for Write<T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        &self.__inner
    }
}

impl<T: ?Sized> DerefMut for Write<T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.__inner
    }
}

impl<T: IndexWrite<I> + ?Sized, I> Index<I> for Write<T> {
    type Output = Write<T::Output>;

    #[inline]
    fn index(&self, index: I) -> &Self::Output {
        // SAFETY: `IndexWrite` promises that the element belongs to the same object.
        unsafe { Write::assume(&self.__inner[index]) }
    }
}

/// Something with interior mutability that is opened by a write barrier.
pub trait Unlock {
    /// What it opens to: a cell.
    type Unlocked: ?Sized;

    /// Opens it without a barrier.
    ///
    /// # Safety
    ///
    /// No pointer may be taken up through it, unless a write barrier is run on the object that holds it before the
    /// callback ends.
    unsafe fn unlock_unchecked(&self) -> &Self::Unlocked;
}

/// A pointer whose target belongs to the object that holds the pointer.
///
/// # Safety
///
/// `deref` returns a reference into the same object, without going through a `Gc`, and takes up no pointer. The target is this
/// pointer's alone, or can hold no pointer of an arena.
pub unsafe trait DerefWrite: Deref {}

// SAFETY: the target belongs to the box alone; no `Gc` is passed.
unsafe impl<T: ?Sized> DerefWrite for Box<T> {}
// SAFETY: as for `Box`.
unsafe impl<T> DerefWrite for Vec<T> {}
// What is shared may hang on objects that no barrier was run on: those of other owners. So its target is one that can hold no `Gc`.
// SAFETY: a `'static` target holds no pointer of an arena, so there is nothing that a barrier would have to see.
unsafe impl<T: ?Sized + 'static> DerefWrite for &T {}
// SAFETY: as for `&T`.
unsafe impl<T: ?Sized + 'static> DerefWrite for std::rc::Rc<T> {}
// SAFETY: as for `&T`.
unsafe impl<T: ?Sized + 'static> DerefWrite for std::sync::Arc<T> {}

/// A container whose elements belong to the object that holds the container.
///
/// # Safety
///
/// `index` returns a reference into the same object, without going through a `Gc`, and takes up no pointer. The promise
/// is for the index type `I` alone: an index type from elsewhere may do anything.
pub unsafe trait IndexWrite<I: ?Sized>: Index<I> {}

macro_rules! index_write_slice {
    ($($index:ty),*) => { $(
        // SAFETY: an element or a part of the slice itself.
        unsafe impl<T> IndexWrite<$index> for [T] {}
    )* };
}

index_write_slice!(
    usize,
    Range<usize>,
    RangeFrom<usize>,
    RangeInclusive<usize>,
    RangeTo<usize>,
    RangeToInclusive<usize>
);

// SAFETY: arrays index as slices do.
unsafe impl<T, I, const N: usize> IndexWrite<I> for [T; N] where [T]: IndexWrite<I> {}
// SAFETY: vectors index as slices do, into memory that they own.
unsafe impl<T, I> IndexWrite<I> for Vec<T>
where
    [T]: IndexWrite<I>,
    Self: Index<I>,
{
}
// SAFETY: an element that the deque owns.
unsafe impl<T> IndexWrite<usize> for VecDeque<T> {}
// SAFETY: a value that the map owns.
unsafe impl<K, V, Q> IndexWrite<&Q> for BTreeMap<K, V>
where
    K: Borrow<Q> + Ord,
    Q: Ord + ?Sized,
{
}
// SAFETY: a value that the map owns.
unsafe impl<K, V, S, Q> IndexWrite<&Q> for HashMap<K, V, S>
where
    K: Eq + Hash + Borrow<Q>,
    Q: Eq + Hash + ?Sized,
    S: BuildHasher,
{
}

/// From a `&Write<Struct>` to a `&Write` of one of its named fields: `field!(value, Struct, name)`.
///
/// ```
/// use bucketmask_gc::barrier::{Write, field};
///
/// struct Pair<T> {
///     first: T,
///     second: T,
/// }
///
/// fn second<T>(pair: &Write<Pair<T>>) -> &Write<T> {
///     field!(pair, Pair, second)
/// }
/// ```
#[doc(inline)]
pub use crate::__field as field;

/// [`field!`] of a lock, opened: `unlock!(value, Struct, lock)`.
#[doc(inline)]
pub use crate::__unlock as unlock;

#[doc(hidden)]
#[macro_export]
macro_rules! __field {
    ($value:expr, $type:path, $field:ident) => {
        match $value {
            // A pattern derefs nothing, in contrast to `.field`; and `ref` under an explicit `&` refuses to see through
            // references. So the field is a part of this very object.
            &$crate::barrier::Write { __inner: $type { ref $field, .. }, .. } => {
                // SAFETY: the field is a part of the object whose barrier has run.
                unsafe { $crate::barrier::Write::__from_ref_and_ptr($field, $field as *const _) }
            }
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __unlock {
    ($value:expr, $type:path, $field:ident) => {
        $crate::barrier::field!($value, $type, $field).unlock()
    };
}
