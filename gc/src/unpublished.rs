//! [`Unpublished`] and [`Pool`]: objects that nothing leads to yet, which are written to without a barrier.
//!
//! Barriers tell the marker what an object takes up that it has passed. It cannot have passed what it cannot reach: a new object is
//! white until something that is reached takes it up, and that runs a barrier. The type is the proof: an `Unpublished` is the only
//! way to its object, is neither copied nor kept in another object, and gives way to a `Gc` once, by
//! [`publish`](Unpublished::publish). Invariant: while an `Unpublished` exists, its object is not black, so that a callback that
//! ends without publishing it has broken nothing.
#![allow(unsafe_code)]

use crate::collect::{Collect, Trace};
use crate::heap::checked;
use crate::{Gc, Mutation};
use std::cell::RefCell;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{Ordering, fence};

/// The only pointer to an object of an arena, which therefore may be written to as any `&mut`, without barriers.
///
/// ```
/// use bucketmask_gc::{Collect, Gc, Unpublished, arena::rootless_mutate};
///
/// #[derive(Collect)]
/// #[collect(no_drop)]
/// struct Link<'gc> {
///     value: u32,
///     next: Option<Gc<'gc, Link<'gc>>>,
/// }
///
/// rootless_mutate(|mc| {
///     let mut last = Unpublished::new(mc, Link { value: 1, next: None });
///     last.value += 1;
///     let mut first = Unpublished::new(mc, Link { value: 1, next: None });
///     first.next = Some(last.publish());
///     let first: Gc<'_, _> = first.publish();
///     assert_eq!(first.next.unwrap().value, 2);
/// });
/// ```
///
/// After `publish` it is gone, and it cannot be stored in an object:
///
/// ```compile_fail,E0382
/// use bucketmask_gc::{Unpublished, arena::rootless_mutate};
///
/// rootless_mutate(|mc| {
///     let mut number = Unpublished::new(mc, 1);
///     let shared = number.publish();
///     *number += 1;
/// });
/// ```
///
/// ```compile_fail,E0277
/// use bucketmask_gc::{Gc, Unpublished, arena::rootless_mutate};
///
/// rootless_mutate(|mc| {
///     let _ = Gc::new(mc, Unpublished::new(mc, 1));
/// });
/// ```
#[must_use = "an object that is not published is garbage"]
pub struct Unpublished<'gc, T: 'gc> {
    gc: Gc<'gc, T>,
    // As `&mut T` is: not `Send`, invariant.
    unique: PhantomData<&'gc mut T>,
}

impl<'gc, T: Collect<'gc> + 'gc> Unpublished<'gc, T> {
    /// Moves a value into the arena.
    #[inline]
    #[cfg_attr(feature = "checked", track_caller)]
    pub fn new(mc: &Mutation<'gc>, value: T) -> Self {
        mc.count_unpublished();
        Self { gc: Gc::new(mc, value), unique: PhantomData }
    }
}

impl<'gc, T: 'gc> Unpublished<'gc, T> {
    /// Makes it an object like any other: from here on whoever has the pointer may store it, with barriers.
    ///
    /// It releases: what was written before is seen by whoever gets the pointer from an acquiring load. On x86-64 that takes
    /// no instruction.
    #[inline]
    pub fn publish(self) -> Gc<'gc, T> {
        // Release: pairs with the acquire of whoever takes the pointer up from where it is stored next.
        fence(Ordering::Release);
        self.gc
    }
}

impl<'gc, T: 'gc> Deref for Unpublished<'gc, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        Gc::as_ref(self.gc)
    }
}

impl<'gc, T: 'gc> DerefMut for Unpublished<'gc, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: no other pointer to the object exists, and no collection runs while `'gc` lasts.
        unsafe { &mut *self.gc.ptr.as_ptr() }
    }
}

impl<'gc, T: fmt::Debug + 'gc> fmt::Debug for Unpublished<'gc, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

/// Objects that are kept for reuse, all unpublished: what is put back is taken out again with its last value.
///
/// Only what was never published, or never will be reached again by the program's word, can come back, so a pool is for
/// objects that are filled, used within a callback, and put back; or filled and published in their turn.
///
/// ```
/// use bucketmask_gc::{Arena, Pool, Rootable, Unpublished};
///
/// let arena = Arena::<Rootable![Pool<'_, Vec<u8>>]>::new(|mc| Pool::new(mc));
/// for round in 0..3 {
///     arena.mutate(|mc, pool| {
///         let mut buffer = pool.take(mc).unwrap_or_else(|| Unpublished::new(mc, Vec::new()));
///         assert_eq!(buffer.len(), round);
///         buffer.push(7);
///         pool.put(mc, buffer);
///     });
/// }
/// assert_eq!(arena.metrics().total_gc_count(), 2);
/// ```
pub struct Pool<'gc, T: 'gc>(Gc<'gc, Objects<'gc, T>>);

struct Objects<'gc, T: 'gc>(RefCell<Vec<Gc<'gc, T>>>);

impl<'gc, T: Collect<'gc> + 'gc> Pool<'gc, T> {
    /// An empty pool.
    pub fn new(mc: &Mutation<'gc>) -> Self {
        Self(Gc::new(mc, Objects(RefCell::default())))
    }

    /// The object that was put in last. While marking goes on, one barrier makes it grey again if it was traced in the pool;
    /// that covers all writes until it is published.
    #[inline]
    pub fn take(&self, mc: &Mutation<'gc>) -> Option<Unpublished<'gc, T>> {
        let gc = self.0.0.borrow_mut().pop()?;
        if !checked::seeded!("gc: pool's barrier removed") {
            mc.backward_barrier(Gc::erase(gc), None);
        }
        mc.count_unpublished();
        Some(Unpublished { gc, unique: PhantomData })
    }

    /// Puts an object in.
    #[inline]
    pub fn put(&self, mc: &Mutation<'gc>, object: Unpublished<'gc, T>) {
        let gc = object.publish();
        mc.backward_barrier(Gc::erase(self.0), Some(Gc::erase(gc)));
        self.0.0.borrow_mut().push(gc);
    }

    /// Objects in the pool.
    pub fn len(&self) -> usize {
        self.0.0.borrow().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

// SAFETY: all objects are traced; they enter by `put` alone, which runs the barrier.
unsafe impl<'gc, T: 'gc> Collect<'gc> for Objects<'gc, T> {
    fn trace<C: Trace<'gc>>(&self, cc: &mut C) {
        self.0.borrow().iter().for_each(|object| cc.trace(object));
    }
}

// SAFETY: it owns one pointer, which is traced.
unsafe impl<'gc, T: 'gc> Collect<'gc> for Pool<'gc, T> {
    #[inline]
    fn trace<C: Trace<'gc>>(&self, cc: &mut C) {
        cc.trace(&self.0);
    }
}

impl<'gc, T: 'gc> Copy for Pool<'gc, T> {}

impl<'gc, T: 'gc> Clone for Pool<'gc, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<'gc, T: 'gc> fmt::Debug for Pool<'gc, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pool({} objects)", self.0.0.borrow().len())
    }
}
