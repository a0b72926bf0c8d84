//! [`Collect`] for the types of the standard library.
//!
//! Invariant: a cell of std gets an implementation only for `'static` contents, since it knows no write barrier.
#![allow(unsafe_code)]

use crate::collect::{Collect, Trace};
use crate::parts::{PART_BYTES, Traced};
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, LinkedList, VecDeque};
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::Arc;

macro_rules! static_collect_all {
    ($($type:ty),* $(,)?) => { $(static_collect!($type);)* };
}

static_collect_all!(
    bool,
    char,
    u8,
    u16,
    u32,
    u64,
    u128,
    usize,
    i8,
    i16,
    i32,
    i64,
    i128,
    isize,
    f32,
    f64,
    String,
    str,
    std::any::TypeId,
    std::cmp::Ordering,
    std::ffi::CStr,
    std::ffi::CString,
    std::ffi::OsStr,
    std::ffi::OsString,
    std::path::Path,
    std::path::PathBuf,
    std::time::Duration,
    std::time::Instant,
    std::time::SystemTime,
    std::num::NonZero<u8>,
    std::num::NonZero<u16>,
    std::num::NonZero<u32>,
    std::num::NonZero<u64>,
    std::num::NonZero<u128>,
    std::num::NonZero<usize>,
    std::num::NonZero<i8>,
    std::num::NonZero<i16>,
    std::num::NonZero<i32>,
    std::num::NonZero<i64>,
    std::num::NonZero<i128>,
    std::num::NonZero<isize>,
    std::sync::atomic::AtomicBool,
    std::sync::atomic::AtomicU8,
    std::sync::atomic::AtomicU16,
    std::sync::atomic::AtomicU32,
    std::sync::atomic::AtomicU64,
    std::sync::atomic::AtomicUsize,
    std::sync::atomic::AtomicI8,
    std::sync::atomic::AtomicI16,
    std::sync::atomic::AtomicI32,
    std::sync::atomic::AtomicI64,
    std::sync::atomic::AtomicIsize,
);

static_collect!(<T> Cell<T>);

// SAFETY: `'static` contents hold no pointer of any arena. The bound is on the contents, so that it holds for unsized
// ones too.
unsafe impl<T: ?Sized + 'static> Collect<'_> for RefCell<T> {
    const NEEDS_TRACE: bool = false;
}

static_collect!(<T> OnceCell<T>);

// SAFETY: nothing behind a `'static` reference can point into an arena. The bound on `T` follows from the type's being
// well-formed, but has to be written: without it the compiler accepts `&'static Gc<'gc, T>` in the places where `'gc`
// is universally quantified.
unsafe impl<T: ?Sized + 'static> Collect<'_> for &'static T {
    const NEEDS_TRACE: bool = false;
}

// SAFETY: it owns no value.
unsafe impl<T: ?Sized> Collect<'_> for PhantomData<T> {
    const NEEDS_TRACE: bool = false;
}

macro_rules! collect_deref {
    ($($pointer:ident),*) => { $(
        // SAFETY: the one value that it owns is traced.
        unsafe impl<'gc, T: ?Sized + Collect<'gc>> Collect<'gc> for $pointer<T> {
            const NEEDS_TRACE: bool = T::NEEDS_TRACE;

            #[inline]
            fn trace<C: Trace<'gc>>(&self, cc: &mut C) {
                cc.trace(&**self);
            }
        }
    )* };
}

collect_deref!(Box, Rc, Arc);

macro_rules! collect_elements {
    ($($container:ident),*) => { $(
        // SAFETY: every element is traced, and a container owns nothing else that could hold a pointer.
        unsafe impl<'gc, T: Collect<'gc>> Collect<'gc> for $container<T> {
            const NEEDS_TRACE: bool = T::NEEDS_TRACE;

            #[inline]
            fn trace<C: Trace<'gc>>(&self, cc: &mut C) {
                for element in self {
                    cc.trace(element);
                }
            }
        }
    )* };
}

collect_elements!(Vec, VecDeque, LinkedList, BTreeSet, BinaryHeap);

// SAFETY: the value, if any, is traced.
unsafe impl<'gc, T: Collect<'gc>> Collect<'gc> for Option<T> {
    const NEEDS_TRACE: bool = T::NEEDS_TRACE;

    #[inline]
    fn trace<C: Trace<'gc>>(&self, cc: &mut C) {
        if let Some(value) = self {
            cc.trace(value);
        }
    }
}

// SAFETY: every element is traced.
unsafe impl<'gc, T: Collect<'gc>> Collect<'gc> for [T] {
    const NEEDS_TRACE: bool = T::NEEDS_TRACE;

    #[inline]
    fn trace<C: Trace<'gc>>(&self, cc: &mut C) {
        for element in self {
            cc.trace(element);
        }
    }
}

// SAFETY: every element is traced.
unsafe impl<'gc, T: Collect<'gc>, const N: usize> Collect<'gc> for [T; N] {
    const NEEDS_TRACE: bool = T::NEEDS_TRACE;

    #[inline]
    fn trace<C: Trace<'gc>>(&self, cc: &mut C) {
        cc.trace(self.as_slice());
    }

    const IN_PARTS: bool = size_of::<[T; N]>() > PART_BYTES;

    fn trace_part<C: Trace<'gc>>(&self, at: usize, bytes: usize, cc: &mut C) -> Traced {
        // Positions are bytes, so that they mean the same for whatever the array is taken for.
        let size = size_of::<T>().max(1);
        let first = (at / size).min(N);
        let end = at.saturating_add(bytes).div_ceil(size).clamp(first, N);
        cc.trace(&self[first..end]);
        Traced { next: (end < N).then_some(end * size), bytes: (end - first) * size }
    }

    const DROPS_IN_PARTS: bool = size_of::<[T; N]>() > PART_BYTES;

    unsafe fn drop_part(this: *mut Self, at: &mut usize, bytes: usize) -> bool {
        let end = at.saturating_add(bytes.div_ceil(size_of::<T>().max(1))).min(N);
        while *at < end {
            let element = this.cast::<T>().wrapping_add(*at);
            *at += 1;
            // SAFETY: an element that the caller gives up, and that was not dropped before.
            unsafe { element.drop_in_place() };
        }
        end == N
    }
}

// SAFETY: every element is traced, and the hasher is `'static`.
unsafe impl<'gc, T: Collect<'gc>, S: 'static> Collect<'gc> for HashSet<T, S> {
    const NEEDS_TRACE: bool = T::NEEDS_TRACE;

    #[inline]
    fn trace<C: Trace<'gc>>(&self, cc: &mut C) {
        for element in self {
            cc.trace(element);
        }
    }
}

// SAFETY: every key and value is traced, and the hasher is `'static`.
unsafe impl<'gc, K: Collect<'gc>, V: Collect<'gc>, S: 'static> Collect<'gc> for HashMap<K, V, S> {
    const NEEDS_TRACE: bool = K::NEEDS_TRACE || V::NEEDS_TRACE;

    #[inline]
    fn trace<C: Trace<'gc>>(&self, cc: &mut C) {
        for (key, value) in self {
            cc.trace(key);
            cc.trace(value);
        }
    }
}

// SAFETY: every key and value is traced.
unsafe impl<'gc, K: Collect<'gc>, V: Collect<'gc>> Collect<'gc> for BTreeMap<K, V> {
    const NEEDS_TRACE: bool = K::NEEDS_TRACE || V::NEEDS_TRACE;

    #[inline]
    fn trace<C: Trace<'gc>>(&self, cc: &mut C) {
        for (key, value) in self {
            cc.trace(key);
            cc.trace(value);
        }
    }
}

// SAFETY: whichever value is there is traced.
unsafe impl<'gc, T: Collect<'gc>, E: Collect<'gc>> Collect<'gc> for Result<T, E> {
    const NEEDS_TRACE: bool = T::NEEDS_TRACE || E::NEEDS_TRACE;

    #[inline]
    fn trace<C: Trace<'gc>>(&self, cc: &mut C) {
        match self {
            Ok(value) => cc.trace(value),
            Err(error) => cc.trace(error),
        }
    }
}

static_collect!(());

macro_rules! collect_tuples {
    ($first:ident $($rest:ident)*) => {
        // SAFETY: every member is traced.
        unsafe impl<'gc, $first: Collect<'gc> $(, $rest: Collect<'gc>)*> Collect<'gc> for ($first, $($rest,)*) {
            const NEEDS_TRACE: bool = $first::NEEDS_TRACE $(|| $rest::NEEDS_TRACE)*;

            #[inline]
            #[expect(non_snake_case, reason = "the type parameters name the members")]
            fn trace<Tracer: Trace<'gc>>(&self, cc: &mut Tracer) {
                let ($first, $($rest,)*) = self;
                cc.trace($first);
                $(cc.trace($rest);)*
            }
        }
        collect_tuples!($($rest)*);
    };
    () => {};
}

collect_tuples!(A B C D E F G H I J K L M N O P);
