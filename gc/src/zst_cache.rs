//! [`ZstCache`]: one slot for all zero-sized values.
//!
//! Invariant: the cached address is aligned to `MAX_ALIGN`, and the cache keeps its object alive.
#![allow(unsafe_code)]

use crate::collect::{Collect, Trace};
use crate::heap::ZstSlot;
use crate::{Gc, Mutation};

/// Hands out one pointer for all values of zero-sized types whose alignment is at most `MAX_ALIGN`, so that they take no
/// slots. Such pointers are equal by [`Gc::ptr_eq`] whatever their types; where that matters use [`Gc::new`], which gives
/// every object an address of its own.
///
/// A value with a destructor is not cached, so that it is dropped once, when it dies (gc-arena drops it at once, and hands out
/// a pointer all the same).
///
/// ```
/// use bucketmask_gc::{Gc, arena::rootless_mutate, zst_cache::ZstCache};
///
/// rootless_mutate(|mc| {
///     let cache = ZstCache::<8>::new(mc);
///     let one = cache.alloc(mc, ());
///     let other = cache.alloc_static(mc, [0_u64; 0]);
///     assert!(cache.is_cached(one) && cache.is_cached(other));
///     assert!(!cache.is_cached(cache.alloc(mc, 7_u8)));
///     assert_eq!(mc.metrics().total_gc_count(), 2);
/// });
/// ```
#[derive(Clone, Copy)]
pub struct ZstCache<'gc, const MAX_ALIGN: usize> {
    cached: Gc<'gc, ()>,
}

// SAFETY: it owns one pointer, which is traced.
unsafe impl<'gc, const MAX_ALIGN: usize> Collect<'gc> for ZstCache<'gc, MAX_ALIGN> {
    #[inline]
    fn trace<T: Trace<'gc>>(&self, cc: &mut T) {
        cc.trace_gc(self.cached);
    }
}

impl<'gc, const MAX_ALIGN: usize> ZstCache<'gc, MAX_ALIGN>
where
    Alignment<MAX_ALIGN>: ValidAlignment,
{
    /// A cache with one object of its own, which takes `MAX_ALIGN` bytes, 16 at least.
    pub fn new(mc: &Mutation<'gc>) -> Self {
        Self {
            cached: Gc::from_non_null(mc.context().allocate_zst(&<Alignment<MAX_ALIGN> as HasSlot>::SLOT)),
        }
    }

    /// The pointer that is handed out, aligned to `MAX_ALIGN`.
    #[inline]
    pub fn cached_ptr(&self) -> Gc<'gc, ()> {
        self.cached
    }

    /// Whether a pointer is the one that is handed out.
    #[inline]
    pub fn is_cached<T: ?Sized>(&self, this: Gc<'gc, T>) -> bool {
        Gc::ptr_eq(self.cached, Gc::erase(this))
    }

    /// The pointer that is handed out, as one to a `T`; `None` if `T` has a size, no values at all, or an alignment over
    /// `MAX_ALIGN`. Allocates nothing.
    ///
    /// It makes a reference to a `T` out of nothing, as gc-arena does, in safe code: a zero-sized type whose values are meant to
    /// prove something (a token, a capability) can be forged where a cache is at hand, and must not guard unsafe code. Give such
    /// a type a size, or keep it out of the arena.
    #[inline]
    pub fn alloc_zst<T: 'gc>(&self) -> Option<Gc<'gc, T>> {
        // An option of a type without values has but one value, and no size.
        let has_values = size_of::<Option<T>>() != 0;
        let fits = size_of::<T>() == 0 && align_of::<T>() <= MAX_ALIGN && has_values;
        // SAFETY: a value without bytes is at any address that is aligned.
        fits.then(|| unsafe { Gc::cast(self.cached) })
    }

    fn cached_for<T: 'gc>(self) -> Option<Gc<'gc, T>> {
        if std::mem::needs_drop::<T>() { None } else { self.alloc_zst() }
    }

    /// [`Gc::new`], without a slot if the cache can do it.
    #[inline]
    pub fn alloc<T: Collect<'gc>>(&self, mc: &Mutation<'gc>, value: T) -> Gc<'gc, T> {
        match self.cached_for() {
            Some(cached) => cached,
            None => Gc::new(mc, value),
        }
    }

    /// [`Gc::new_static`], without a slot if the cache can do it.
    #[inline]
    pub fn alloc_static<T: 'static>(&self, mc: &Mutation<'gc>, value: T) -> Gc<'gc, T> {
        match self.cached_for() {
            Some(cached) => cached,
            None => Gc::new_static(mc, value),
        }
    }
}

/// An alignment as a type; see [`ValidAlignment`].
pub struct Alignment<const ALIGN: usize>;

/// Implemented for [`Alignment`] of every power of two up to 2^29.
#[expect(private_bounds, reason = "sealed: the private trait says how the cached object is allocated")]
pub trait ValidAlignment: HasSlot {}

impl<T: HasSlot> ValidAlignment for T {}

trait HasSlot {
    const SLOT: ZstSlot;
}

macro_rules! alignments {
    ($($align:literal)*) => { $(
        const _: () = {
            #[repr(align($align))]
            struct Aligned;

            impl HasSlot for Alignment<$align> {
                const SLOT: ZstSlot = ZstSlot::of::<Aligned>();
            }
        };
    )* };
}

alignments!(1 2 4 8 16 32 64 128 256 512 1024 2048 4096 8192 16384 32768 65536 131_072 262_144 524_288 1_048_576 2_097_152);
alignments!(4_194_304 8_388_608 16_777_216 33_554_432 67_108_864 134_217_728 268_435_456 536_870_912);
