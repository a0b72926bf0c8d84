//! [`DynamicRootSet`]: roots that the program holds from outside the arena.
//!
//! The set and its handles share a ledger; it outlives whichever goes first. Invariant: an entry of the ledger has a
//! target exactly as long as some handle refers to it, and the set traces all targets. The ledger's address tells
//! whether a handle belongs to a set: handles hold it, so it is not used again as long as one exists.
#![allow(unsafe_code)]

use crate::arena::{Root, Rootable};
use crate::collect::{Collect, Trace};
use crate::{Gc, Mutation};
use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

/// A set of pointers that are kept alive by handles outside the arena. Make it a part of the root; then what is
/// [stashed](Self::stash) in it stays as long as its [`DynamicRoot`] or a clone of that.
///
/// ```
/// use bucketmask_gc::{Arena, DynamicRootSet, Gc, Rootable};
///
/// let mut arena = Arena::<Rootable![DynamicRootSet<'_>]>::new(|mc| DynamicRootSet::new(mc));
/// let greeting = arena.mutate(|mc, roots| {
///     roots.stash::<Rootable![String]>(mc, Gc::new(mc, "hello".to_owned()))
/// });
/// arena.finish_cycle();
/// arena.mutate(|_, roots| assert_eq!(*roots.fetch(&greeting), "hello"));
/// drop(greeting);
/// arena.finish_cycle();
/// assert_eq!(arena.metrics().total_gc_count(), 1, "the set itself");
/// ```
#[derive(Clone, Copy)]
pub struct DynamicRootSet<'gc>(Gc<'gc, Stash<'gc>>);

// SAFETY: it owns one pointer, which is traced.
unsafe impl<'gc> Collect<'gc> for DynamicRootSet<'gc> {
    #[inline]
    fn trace<T: Trace<'gc>>(&self, cc: &mut T) {
        cc.trace(&self.0);
    }
}

impl<'gc> DynamicRootSet<'gc> {
    /// An empty set.
    pub fn new(mc: &Mutation<'gc>) -> Self {
        Self(Gc::new(mc, Stash(Rc::default())))
    }

    /// Puts a pointer into the set. The handle may leave the arena; as long as it or a clone of it exists, and the set is
    /// reachable, so is the target. Constant time, amortised.
    pub fn stash<R: for<'a> Rootable<'a>>(
        &self,
        mc: &Mutation<'gc>,
        root: Gc<'gc, Root<'gc, R>>,
    ) -> DynamicRoot<R> {
        mc.backward_barrier(Gc::erase(self.0), Some(Gc::erase(root)));
        let entry = self.0.0.0.borrow_mut().enter(Gc::erase(root));
        // SAFETY: only the brand changes. Nobody sees the pointer under it: `fetch` restores the brand, after making sure
        // that it is the one of the set that the pointer was stashed in.
        let target =
            unsafe { std::mem::transmute::<Gc<'gc, Root<'gc, R>>, Gc<'static, Root<'static, R>>>(root) };
        // SAFETY: as above; the ledger's targets are read by the set alone.
        let ledger = unsafe { std::mem::transmute::<Rc<Ledger<'gc>>, Rc<Ledger<'static>>>(self.0.0.clone()) };
        DynamicRoot { target, ledger, entry }
    }

    /// The pointer of a handle.
    ///
    /// # Panics
    ///
    /// If the handle is of another set.
    #[inline]
    pub fn fetch<R: for<'r> Rootable<'r>>(&self, root: &DynamicRoot<R>) -> Gc<'gc, Root<'gc, R>> {
        self.try_fetch(root).expect("mismatched root set")
    }

    /// The pointer of a handle.
    ///
    /// # Errors
    ///
    /// If the handle is of another set.
    #[inline]
    pub fn try_fetch<R: for<'r> Rootable<'r>>(
        &self,
        root: &DynamicRoot<R>,
    ) -> Result<Gc<'gc, Root<'gc, R>>, MismatchedRootSet> {
        if self.contains(root) {
            // SAFETY: stashed in this very set, whose brand then was that of this arena, as it is now; and kept alive by
            // the set ever since.
            Ok(unsafe {
                std::mem::transmute::<Gc<'static, Root<'static, R>>, Gc<'gc, Root<'gc, R>>>(root.target)
            })
        } else {
            Err(MismatchedRootSet(()))
        }
    }

    /// Whether a handle is of this set.
    #[inline]
    pub fn contains<R: for<'r> Rootable<'r>>(&self, root: &DynamicRoot<R>) -> bool {
        std::ptr::addr_eq(Rc::as_ptr(&self.0.0), Rc::as_ptr(&root.ledger))
    }
}

/// A handle to a pointer in a [`DynamicRootSet`]. It is `'static`, so it may be held outside the arena. Cloning and dropping
/// take constant time; a drop makes the target collectable, if it was the last handle.
pub struct DynamicRoot<R: for<'gc> Rootable<'gc>> {
    target: Gc<'static, Root<'static, R>>,
    ledger: Rc<Ledger<'static>>,
    entry: usize,
}

impl<R: for<'gc> Rootable<'gc>> DynamicRoot<R> {
    /// The address of the target. It is valid as long as the set lives; a pointer that is made of it by the unsafe
    /// [`Gc::from_ptr`] must not be used in another arena, whatever brand it is given.
    #[inline]
    pub fn as_ptr<'gc>(&self) -> *const Root<'gc, R> {
        // SAFETY: only the brand changes, and the result is no pointer of an arena but an address.
        let target = unsafe {
            std::mem::transmute::<Gc<'static, Root<'static, R>>, Gc<'gc, Root<'gc, R>>>(self.target)
        };
        Gc::as_ptr(target)
    }
}

impl<R: for<'gc> Rootable<'gc>> Clone for DynamicRoot<R> {
    fn clone(&self) -> Self {
        self.ledger.0.borrow_mut().add_handle(self.entry);
        Self { target: self.target, ledger: self.ledger.clone(), entry: self.entry }
    }
}

impl<R: for<'gc> Rootable<'gc>> Drop for DynamicRoot<R> {
    fn drop(&mut self) {
        self.ledger.0.borrow_mut().drop_handle(self.entry);
    }
}

/// A handle was used with a set that it is not of.
#[derive(Debug)]
pub struct MismatchedRootSet(());

impl fmt::Display for MismatchedRootSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("mismatched root set")
    }
}

impl std::error::Error for MismatchedRootSet {}

/// The object behind a set.
struct Stash<'gc>(Rc<Ledger<'gc>>);

// SAFETY: all targets are traced. A target enters by `stash` alone, which runs the barrier.
unsafe impl<'gc> Collect<'gc> for Stash<'gc> {
    fn trace<T: Trace<'gc>>(&self, cc: &mut T) {
        for entry in &self.0.0.borrow().entries {
            if let Entry::Stashed { target, .. } = entry {
                cc.trace_gc(*target);
            }
        }
    }
}

#[derive(Default)]
struct Ledger<'gc>(RefCell<Entries<'gc>>);

#[derive(Default)]
struct Entries<'gc> {
    entries: Vec<Entry<'gc>>,
    /// The entry that was vacated last.
    vacant: Option<usize>,
}

enum Entry<'gc> {
    Stashed {
        target: Gc<'gc, ()>,
        handles: usize,
    },
    /// With the one that was vacated before it.
    Vacant(Option<usize>),
}

impl<'gc> Entries<'gc> {
    /// An entry with one handle.
    fn enter(&mut self, target: Gc<'gc, ()>) -> usize {
        let stashed = Entry::Stashed { target, handles: 1 };
        let Some(at) = self.vacant else {
            self.entries.push(stashed);
            return self.entries.len() - 1;
        };
        if let Entry::Vacant(before) = std::mem::replace(&mut self.entries[at], stashed) {
            self.vacant = before;
        }
        at
    }

    fn add_handle(&mut self, at: usize) {
        if let Entry::Stashed { handles, .. } = &mut self.entries[at] {
            // Handles can be leaked, but not 2^64 of them.
            *handles += 1;
        }
    }

    fn drop_handle(&mut self, at: usize) {
        match &mut self.entries[at] {
            Entry::Stashed { handles: 1, .. } => {
                self.entries[at] = Entry::Vacant(self.vacant.replace(at));
            }
            Entry::Stashed { handles, .. } => *handles -= 1,
            Entry::Vacant(_) => {}
        }
    }
}
