//! [`Gc`]: the pointer. Owns nothing; says what may be asked of an object.
//!
//! Invariant: inside a callback of its arena a `Gc` points to a live value, at the start of a slot of a bucket page or
//! at the start of a huge object. The brand `'gc` keeps it from being used anywhere else.
#![allow(unsafe_code)]

use crate::barrier::{Unlock, Write};
use crate::collect::{Collect, Trace};
use crate::{Finalization, GcWeak, Mutation, Static, heap};
use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::ops::Deref;
use std::ptr::NonNull;

/// Makes a type invariant in `'gc`.
pub(crate) type Brand<'gc> = PhantomData<std::cell::Cell<&'gc ()>>;

/// A pointer to a value in an arena: one machine word (two for unsized targets), `Copy`, without any header at the
/// other end.
///
/// It is made by [`Gc::new`] inside a callback of the arena, lives as long as the callback (`'gc`), and outlasts it only
/// by being stored in the root or in something that the root reaches.
///
/// Comparison, ordering and hashing are those of the values; [`Gc::ptr_eq`] compares addresses.
pub struct Gc<'gc, T: ?Sized + 'gc> {
    pub(crate) ptr: NonNull<T>,
    pub(crate) brand: Brand<'gc>,
}

static_assertions::assert_eq_size!(Gc<'static, u8>, usize);
static_assertions::assert_eq_size!(Option<Gc<'static, u8>>, usize);
static_assertions::assert_not_impl_any!(Gc<'static, u8>: Send, Sync);

impl<'gc, T: Collect<'gc> + 'gc> Gc<'gc, T> {
    /// Moves a value into the arena. Takes a slot of a page of its type; when there is none free, a page from the
    /// current NUMA node.
    ///
    /// Memory that cannot be had is reported by [`std::alloc::handle_alloc_error`].
    #[inline]
    #[cfg_attr(feature = "checked", track_caller)]
    pub fn new(mc: &Mutation<'gc>, value: T) -> Self {
        Self::from_non_null(mc.allocate(value))
    }
}

impl<'gc, T: 'static> Gc<'gc, T> {
    /// Moves a value into the arena whose type need not implement [`Collect`], since it is `'static`.
    #[inline]
    #[cfg_attr(feature = "checked", track_caller)]
    pub fn new_static(mc: &Mutation<'gc>, value: T) -> Self {
        Self::from_non_null(mc.allocate(Static(value)).cast())
    }
}

impl<'gc, T: ?Sized + 'gc> Gc<'gc, T> {
    #[inline]
    pub(crate) fn from_non_null(ptr: NonNull<T>) -> Self {
        Self { ptr, brand: PhantomData }
    }

    /// The address that the collector knows the target by.
    #[inline(always)]
    pub(crate) fn address(self) -> *const u8 {
        self.ptr.as_ptr().cast::<u8>()
    }

    /// The pointer that [`as_ptr`](Self::as_ptr) turned into an address.
    ///
    /// # Safety
    ///
    /// `ptr` comes from [`Gc::as_ptr`] of an object of the arena that `'gc` brands, which has not been collected.
    #[inline]
    pub unsafe fn from_ptr(ptr: *const T) -> Self {
        // SAFETY: the caller promises that it comes from `as_ptr`, which never returns null.
        Self::from_non_null(unsafe { NonNull::new_unchecked(ptr.cast_mut()) })
    }

    /// Changes the type of the target, without touching it.
    ///
    /// # Safety
    ///
    /// The target must be valid as a `U` for as long as it lives.
    #[inline]
    pub unsafe fn cast<U: 'gc>(this: Self) -> Gc<'gc, U> {
        Gc::from_non_null(this.ptr.cast())
    }

    /// Forgets the type of the target.
    #[inline]
    pub fn erase(this: Self) -> Gc<'gc, ()> {
        Gc::from_non_null(this.ptr.cast())
    }

    /// The target for as long as the callback runs, which is longer than [`Deref`] gives.
    #[inline]
    #[expect(
        clippy::should_implement_trait,
        reason = "`AsRef` is implemented too; this one has the longer lifetime"
    )]
    #[cfg_attr(feature = "checked", track_caller)]
    pub fn as_ref(self: Gc<'gc, T>) -> &'gc T {
        // SAFETY: the object is alive, and no collection can run while `'gc` lasts: that takes `&mut Arena`. Nothing of it is read
        // before its slot was checked: what is asked of the reference is its length.
        let target = unsafe { &*self.ptr.as_ptr() };
        heap::checked::read(self.address(), size_of_val(target));
        target
    }

    /// The address of the target.
    #[inline]
    pub fn as_ptr(this: Self) -> *const T {
        this.ptr.as_ptr()
    }

    /// Whether both point to the same object. Only addresses are compared, no metadata of unsized targets.
    #[inline]
    pub fn ptr_eq(this: Self, other: Self) -> bool {
        std::ptr::addr_eq(this.ptr.as_ptr(), other.ptr.as_ptr())
    }

    /// A pointer to the same object that does not keep it alive.
    #[inline]
    pub fn downgrade(this: Self) -> GcWeak<'gc, T> {
        GcWeak { inner: this }
    }

    /// Whether the marking that has just ended did not find the target. Such a pointer is held only by what is itself about
    /// to die, and was come by through a weak pointer; unless it is resurrected, the target goes in this cycle.
    #[inline]
    pub fn is_dead(fc: &Finalization<'gc>, this: Self) -> bool {
        // Only a callback of finalization may look.
        let _ = fc;
        // SAFETY: a pointer of this brand, and marking has ended.
        unsafe { heap::barrier::is_dead(this.address()) }
    }

    /// Keeps the target in this cycle, and all that is reachable from it. Does nothing for one that is not
    /// [dead](Self::is_dead).
    #[inline]
    pub fn resurrect(fc: &Finalization<'gc>, this: Self) {
        // SAFETY: a pointer of this brand, in a callback before the sweep.
        unsafe { fc.context().resurrect(this.address()) };
    }

    /// Runs the write barrier on the object, and in return hands it out as one that may take up any pointer until the
    /// callback ends. Fields are reached by [`field!`](crate::barrier::field) and
    /// [`unlock!`](crate::barrier::unlock).
    #[inline]
    #[cfg_attr(feature = "checked", track_caller)]
    pub fn write(mc: &Mutation<'gc>, this: Self) -> &'gc Write<T> {
        mc.context_before_write(this.address());
        mc.backward_barrier(Gc::erase(this), None);
        // SAFETY: the barrier on the object that owns all of `T` holds until the callback ends.
        unsafe { Write::assume(this.as_ref()) }
    }

    /// [`Gc::write`] and then [`Write::unlock`].
    #[inline]
    #[cfg_attr(feature = "checked", track_caller)]
    pub fn unlock(self, mc: &Mutation<'gc>) -> &'gc T::Unlocked
    where
        T: Unlock,
    {
        Gc::write(mc, self).unlock()
    }
}

impl<'gc, T: Collect<'gc> + 'gc> Gc<'gc, [T]> {
    /// Moves values into the arena, side by side, as many as there are: a vector's or a box's `into_iter()`, an array, anything
    /// that knows how many come. (An array whose length the program's text knows can also be made by [`Gc::new`] and
    /// [`unsize!`](crate::unsize).) An iterator that gives fewer than it says makes a shorter slice; what it gives beyond is
    /// dropped with it. If it panics, what came before is garbage.
    ///
    /// A slice takes up to a quarter more than its elements, and eight bytes. One over 16 KiB is traced in parts; one over 2 MiB
    /// is dropped and given back in parts too. Time: a look into a table of the process under its lock, then as
    /// [`Gc::new`], and the elements.
    ///
    /// # Panics
    ///
    /// If the elements' bytes are more than an address tells.
    ///
    /// ```
    /// use bucketmask_gc::{Gc, arena::rootless_mutate};
    ///
    /// rootless_mutate(|mc| {
    ///     let words = "three short words".split(' ').collect::<Vec<_>>();
    ///     let slice = Gc::new_slice(mc, words.into_iter().map(str::to_owned));
    ///     assert_eq!(slice.len(), 3);
    ///     assert_eq!(slice[2], "words");
    /// });
    /// ```
    pub fn new_slice<I>(mc: &Mutation<'gc>, elements: I) -> Self
    where
        I: IntoIterator<Item = T>,
        I::IntoIter: ExactSizeIterator,
    {
        let elements = elements.into_iter();
        let slice = mc.context().allocate_slice(elements.len(), elements);
        Self::from_non_null(slice.expect("the length of a slice fits the address space"))
    }
}

impl<'gc, T: 'gc> Gc<'gc, [T]> {
    /// Runs the write barrier for one element of a slice, and in return hands that out as one that may take up any pointer
    /// until the callback ends. In a slice that was traced already, only the 64 elements around it are traced again, where
    /// [`Gc::write`] has all of them traced.
    ///
    /// # Panics
    ///
    /// If the slice has no such element.
    ///
    /// ```
    /// use bucketmask_gc::{Gc, Lock, arena::rootless_mutate, unsize};
    ///
    /// rootless_mutate(|mc| {
    ///     let cells = unsize!(Gc::new(mc, [const { Lock::new(None) }; 512]) => [Lock<Option<Gc<'_, u8>>>]);
    ///     Gc::write_at(mc, cells, 7).unlock().set(Some(Gc::new(mc, 1)));
    ///     assert!(cells[7].get().is_some());
    /// });
    /// ```
    #[inline]
    #[cfg_attr(feature = "checked", track_caller)]
    pub fn write_at(mc: &Mutation<'gc>, this: Self, index: usize) -> &'gc Write<T> {
        const BUCKET: usize = 64;
        let element = &this.as_ref()[index];
        let at = index / BUCKET * BUCKET * size_of::<T>();
        mc.context_before_write(this.address());
        // SAFETY: a pointer of this brand, in a callback; arrays take any byte for a position.
        unsafe { mc.bucket_barrier(this.address(), at, BUCKET * size_of::<T>()) };
        // SAFETY: the barrier on the bucket of the element holds until the callback ends.
        unsafe { Write::assume(element) }
    }
}

// SAFETY: it owns one pointer, itself.
unsafe impl<'gc, T: ?Sized + 'gc> Collect<'gc> for Gc<'gc, T> {
    #[inline(always)]
    fn trace<C: Trace<'gc>>(&self, cc: &mut C) {
        // A pointer to a sized type most often leads to an object that was made as one, and not cast since.
        if size_of::<NonNull<T>>() == size_of::<usize>() {
            // SAFETY: the target is live, and nobody holds it mutably during a cycle. Its size and alignment are
            // constants, so nothing is read.
            let target = unsafe { self.ptr.as_ref() };
            cc.trace_gc_of(Gc::erase(*self), heap::slot_bytes(size_of_val(target), align_of_val(target)));
        } else {
            cc.trace_gc(Gc::erase(*self));
        }
    }
}

impl<'gc, T: ?Sized + 'gc> Copy for Gc<'gc, T> {}

impl<'gc, T: ?Sized + 'gc> Clone for Gc<'gc, T> {
    #[inline]
    fn clone(&self) -> Self {
        *self
    }
}

impl<'gc, T: ?Sized + 'gc> Deref for Gc<'gc, T> {
    type Target = T;

    #[inline]
    #[cfg_attr(feature = "checked", track_caller)]
    fn deref(&self) -> &T {
        Gc::as_ref(*self)
    }
}

impl<'gc, T: ?Sized + 'gc> AsRef<T> for Gc<'gc, T> {
    #[inline]
    fn as_ref(&self) -> &T {
        self
    }
}

impl<'gc, T: ?Sized + 'gc> Borrow<T> for Gc<'gc, T> {
    #[inline]
    fn borrow(&self) -> &T {
        self
    }
}

impl<'gc, T: fmt::Debug + ?Sized + 'gc> fmt::Debug for Gc<'gc, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl<'gc, T: fmt::Display + ?Sized + 'gc> fmt::Display for Gc<'gc, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&**self, f)
    }
}

impl<'gc, T: ?Sized + 'gc> fmt::Pointer for Gc<'gc, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Pointer::fmt(&self.ptr, f)
    }
}

impl<'gc, T: PartialEq + ?Sized + 'gc> PartialEq for Gc<'gc, T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<'gc, T: Eq + ?Sized + 'gc> Eq for Gc<'gc, T> {}

impl<'gc, T: PartialOrd + ?Sized + 'gc> PartialOrd for Gc<'gc, T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (**self).partial_cmp(&**other)
    }
}

impl<'gc, T: Ord + ?Sized + 'gc> Ord for Gc<'gc, T> {
    fn cmp(&self, other: &Self) -> Ordering {
        (**self).cmp(&**other)
    }
}

impl<'gc, T: Hash + ?Sized + 'gc> Hash for Gc<'gc, T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}
