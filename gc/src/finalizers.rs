//! [`Finalizers`]: objects that the program wants to see once more before they go. A queue in the arena.
//!
//! The collector fills it when marking ends, and calls nobody: the program takes objects out whenever it likes, with all that
//! [`Mutation`] allows. Invariant: a watched object is in `watched` or in `ready`, each once for each call of `watch`; what is in `ready` is
//! kept alive from there.
#![allow(unsafe_code)]

use crate::collect::{Collect, Trace};
use crate::parts::Traced;
use crate::{Gc, GcWeak, Mutation};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;

/// A queue of objects that nothing else keeps any more. Make it a part of the root.
///
/// An object that is [watched](Self::watch) goes into the queue when a collection finds that neither the root nor anything it
/// reaches leads to it. It is kept then, with all that it leads to (it is *resurrected*, which
/// [`CycleReport::resurrected`](crate::CycleReport::resurrected) counts), until the program has [taken it out](Self::next) and has let
/// go of it: the next collection frees it, unless it is watched anew. Of objects that lead to one another and become
/// unreachable together, all go into the queue, in no order.
///
/// ```
/// use bucketmask_gc::{Arena, Finalizers, Gc, Rootable};
///
/// let mut arena = Arena::<Rootable![Finalizers<'_, String>]>::new(|mc| {
///     let files = Finalizers::new(mc);
///     files.watch(mc, Gc::new(mc, "a file to close".to_owned()));
///     files
/// });
/// arena.finish_cycle();
/// assert_eq!(arena.last_cycle().resurrected, 1);
/// arena.mutate(|mc, files| {
///     let file = files.next(mc).unwrap();
///     assert_eq!(*file, "a file to close");
///     assert!(files.next(mc).is_none());
/// });
/// arena.finish_cycle();
/// assert_eq!(arena.metrics().total_gc_count(), 1, "the queue itself");
/// ```
pub struct Finalizers<'gc, T: 'gc>(Gc<'gc, Queue<'gc, T>>);

/// The object behind it.
struct Queue<'gc, T> {
    /// What is watched, at places that stay; and the places that are vacant.
    watched: RefCell<Vec<Option<GcWeak<'gc, T>>>>,
    vacant: RefCell<Vec<usize>>,
    ready: RefCell<VecDeque<Gc<'gc, T>>>,
}

impl<'gc, T: 'gc> Finalizers<'gc, T> {
    /// An empty queue that watches nothing.
    pub fn new(mc: &Mutation<'gc>) -> Self {
        let (watched, vacant, ready) = (RefCell::default(), RefCell::default(), RefCell::default());
        Self(Gc::new(mc, Queue { watched, vacant, ready }))
    }

    /// Watches an object until it goes into the queue, once. Watched twice, it comes twice. Constant time, amortised.
    pub fn watch(&self, mc: &Mutation<'gc>, object: Gc<'gc, T>) {
        let weak = Gc::downgrade(object);
        let vacant = self.0.vacant.borrow_mut().pop();
        let mut watched = self.0.watched.borrow_mut();
        let at = vacant.unwrap_or(watched.len());
        if at == watched.len() {
            watched.push(None);
        }
        watched[at] = Some(weak);
        if mc.must_shade(Gc::erase(self.0)) {
            mc.shade(&Watched { weak: GcWeak::erase(weak), queue: Gc::erase(self.0), at });
        }
    }

    /// Takes the object out that has been in the queue longest.
    pub fn next(&self, mc: &Mutation<'gc>) -> Option<Gc<'gc, T>> {
        // Who takes it up runs a barrier.
        let _ = mc;
        self.0.ready.borrow_mut().pop_front()
    }

    /// Objects in the queue.
    pub fn ready(&self) -> usize {
        self.0.ready.borrow().len()
    }

    /// Objects that are watched, those in the queue not included.
    pub fn watched(&self) -> usize {
        self.0.watched.borrow().len() - self.0.vacant.borrow().len()
    }
}

/// One object that is watched, as a value to trace.
struct Watched<'gc> {
    weak: GcWeak<'gc, ()>,
    queue: Gc<'gc, ()>,
    at: usize,
}

// SAFETY: it owns a weak pointer, which is traced; the queue's pointer only names the queue.
unsafe impl<'gc> Collect<'gc> for Watched<'gc> {
    fn trace<C: Trace<'gc>>(&self, cc: &mut C) {
        cc.trace_gc_weak(self.weak);
        if cc.trace_ephemeron(self.weak, self.queue, self.at) {
            cc.end_ephemeron();
        }
    }
}

impl<'gc, T: 'gc> Queue<'gc, T> {
    fn trace_watched<C: Trace<'gc>>(&self, from: usize, most: usize, cc: &mut C) -> usize {
        // SAFETY: queues are made by `Finalizers::new` alone and never moved, so this one lies in the arena.
        let queue = unsafe { Gc::from_ptr(std::ptr::from_ref(self).cast()) };
        let watched = self.watched.borrow();
        let end = from.saturating_add(most).min(watched.len());
        for (at, weak) in watched.iter().enumerate().take(end).skip(from) {
            if let Some(weak) = *weak {
                cc.trace(&Watched { weak: GcWeak::erase(weak), queue, at });
            }
        }
        end
    }
}

// SAFETY: what is ready is traced, and all weak pointers. What is watched enters by `watch` alone, which runs a barrier; what is
// ready was marked when it came there.
unsafe impl<'gc, T: 'gc> Collect<'gc> for Queue<'gc, T> {
    fn trace<C: Trace<'gc>>(&self, cc: &mut C) {
        self.ready.borrow().iter().for_each(|object| cc.trace(object));
        self.trace_watched(0, usize::MAX, cc);
    }

    const IN_PARTS: bool = true;

    fn trace_part<C: Trace<'gc>>(&self, at: usize, bytes: usize, cc: &mut C) -> Traced {
        if at == 0 {
            // At once: taking objects out moves the others.
            self.ready.borrow().iter().for_each(|object| cc.trace(object));
        }
        let end = self.trace_watched(at, bytes.div_ceil(16), cc);
        let all = end == self.watched.borrow().len();
        Traced { next: (!all).then_some(end), bytes: (end - at) * 16 }
    }

    const RESURRECTS: bool = true;

    fn forget(&self, _key: GcWeak<'gc, ()>, tag: usize) {
        let Some(weak) = self.watched.borrow_mut()[tag].take() else { return };
        self.vacant.borrow_mut().push(tag);
        // Live: marking has just come to its end, and it is marked next.
        self.ready.borrow_mut().push_back(weak.inner);
    }
}

// SAFETY: it owns one pointer, which is traced.
unsafe impl<'gc, T: 'gc> Collect<'gc> for Finalizers<'gc, T> {
    #[inline]
    fn trace<C: Trace<'gc>>(&self, cc: &mut C) {
        cc.trace(&self.0);
    }
}

impl<'gc, T: 'gc> Copy for Finalizers<'gc, T> {}

impl<'gc, T: 'gc> Clone for Finalizers<'gc, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<'gc, T: 'gc> fmt::Debug for Finalizers<'gc, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Finalizers({} watched, {} ready)", self.watched(), self.ready())
    }
}
