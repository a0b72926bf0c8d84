//! [`Arena`]: a heap and its root, and the only place where a cycle can start.
//!
//! Invariant: the root and the context are used together under one brand, which a caller can only receive, in a closure
//! that must work for every brand. A cycle takes `&mut Arena`, so no callback is running and every pointer that will
//! ever be used again is reachable from the root.
#![allow(unsafe_code)]

use crate::budget::Budget;
use crate::collect::Collect;
use crate::heap::Home;
use crate::heap::cycle::{Effort, Phase, Until};
use crate::heap::dump::HeapDump;
use crate::heap::verify::{Verified, VerifyError};
use crate::metrics::Metrics;
use crate::report::{Barriers, CycleReport};
use crate::stress::Stress;
use crate::walk::Walk;
use crate::{Finalization, Mutation};
use std::marker::PhantomData;

/// Gives, for each brand `'a`, the type of an arena's root. Written with [`Rootable!`](macro@crate::Rootable).
pub trait Rootable<'a> {
    /// The root's type when the brand is `'a`.
    type Root: ?Sized + 'a;
}

/// A sized stand-in for the trait object that `Rootable!` writes.
#[doc(hidden)]
pub struct __DynRootable<T: ?Sized>(PhantomData<T>);

impl<'a, T: ?Sized + Rootable<'a>> Rootable<'a> for __DynRootable<T> {
    type Root = <T as Rootable<'a>>::Root;
}

/// The type of an arena's root, from the root's type with `'_` (or a lifetime that is introduced by `'gc =>`) where the
/// brand belongs.
///
/// ```
/// use bucketmask_gc::{Arena, Gc, Rootable};
///
/// type Numbers = Arena<Rootable![Vec<Gc<'_, u32>>]>;
/// type SameNumbers = Arena<Rootable!['gc => Vec<Gc<'gc, u32>>]>;
///
/// let numbers = Numbers::new(|mc| vec![Gc::new(mc, 7)]);
/// let same: SameNumbers = numbers;
/// same.mutate(|_, root| assert_eq!(*root[0], 7));
/// ```
#[macro_export]
macro_rules! Rootable {
    ($brand:lifetime => $root:ty) => {
        $crate::__DynRootable::<dyn for<$brand> $crate::Rootable<$brand, Root = $root>>
    };
    ($root:ty) => {
        $crate::Rootable!['__gc => $crate::__unelide_lifetimes!('__gc; $root)]
    };
}

/// The root of `R` for one brand.
pub type Root<'a, R> = <R as Rootable<'a>>::Root;

/// Where an arena's collector stands, from [`Arena::collection_phase`]; in the order of a cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CollectionPhase {
    /// Between cycles.
    Sleeping,
    /// It is finding out what the root reaches.
    Marking,
    /// It knows what the root reaches. A write barrier, a mutable borrow of the root or a resurrection takes it back to
    /// `Marking`.
    Marked,
    /// It is freeing the rest.
    Sweeping,
}

/// A garbage-collected heap with a root.
///
/// Collection is incremental: the methods that collect do a part of a cycle each, between which the program runs.
/// [`collect_debt`](Self::collect_debt), called every now and then, is all that most programs need.
///
/// The root must be [`Collect`], so that it has no destructor that looks at what is gone and keeps no reference to itself
/// (gc-arena asks for that only where a cycle runs). Objects live as long as the root reaches them; those it does not reach are freed by the next cycle, and all of them
/// with the arena. Any number of arenas may exist; each belongs to the thread that made it.
///
/// ```
/// use bucketmask_gc::{Arena, Gc, Rootable};
///
/// let mut arena = Arena::<Rootable![Vec<Gc<'_, String>>]>::new(|_| Vec::new());
/// arena.mutate_root(|mc, root| {
///     root.push(Gc::new(mc, "kept".to_owned()));
///     Gc::new(mc, "dropped".to_owned());
/// });
/// arena.finish_cycle();
/// assert_eq!(arena.metrics().total_gc_count(), 1);
/// ```
pub struct Arena<R>
where
    R: for<'a> Rootable<'a>,
{
    context: Home,
    stress: Option<Stress>,
    root: Root<'static, R>,
}

impl<R> Arena<R>
where
    R: for<'a> Rootable<'a>,
    for<'a> Root<'a, R>: Sized + Collect<'a>,
{
    /// An arena with the root that the closure returns. Takes no page before the first object is allocated.
    pub fn new<F>(f: F) -> Self
    where
        F: for<'gc> FnOnce(&'gc Mutation<'gc>) -> Root<'gc, R>,
    {
        let context = Home::new();
        // SAFETY: the closure must accept any brand, so it cannot tell this one from a fresh one; the box keeps the
        // context in place, and no cycle runs before the arena exists.
        let root: Root<'static, R> = f(unsafe { Mutation::of(&context) });
        Self { context, stress: None, root }
    }

    /// [`Arena::new`] for a closure that can fail.
    ///
    /// # Errors
    ///
    /// The closure's error; what it allocated is dropped.
    pub fn try_new<F, E>(f: F) -> Result<Self, E>
    where
        F: for<'gc> FnOnce(&'gc Mutation<'gc>) -> Result<Root<'gc, R>, E>,
    {
        let context = Home::new();
        // SAFETY: as in `new`.
        let root: Root<'static, R> = f(unsafe { Mutation::of(&context) })?;
        Ok(Self { context, stress: None, root })
    }

    /// Replaces the root by another, of any type, made from it.
    #[inline]
    pub fn map_root<R2>(
        self,
        f: impl for<'gc> FnOnce(&'gc Mutation<'gc>, Root<'gc, R>) -> Root<'gc, R2>,
    ) -> Arena<R2>
    where
        R2: for<'a> Rootable<'a>,
        for<'a> Root<'a, R2>: Sized + Collect<'a>,
    {
        let Self { mut context, stress, root } = self;
        context.root_barrier();
        // SAFETY: as in `new`; the root belongs to this context.
        let root: Root<'static, R2> = f(unsafe { Mutation::of(&context) }, root);
        Arena { context, stress, root }
    }

    /// [`Arena::map_root`] for a closure that can fail.
    ///
    /// # Errors
    ///
    /// The closure's error; the arena and all that is in it are dropped.
    #[inline]
    pub fn try_map_root<R2, E>(
        self,
        f: impl for<'gc> FnOnce(&'gc Mutation<'gc>, Root<'gc, R>) -> Result<Root<'gc, R2>, E>,
    ) -> Result<Arena<R2>, E>
    where
        R2: for<'a> Rootable<'a>,
        for<'a> Root<'a, R2>: Sized + Collect<'a>,
    {
        let Self { mut context, stress, root } = self;
        context.root_barrier();
        // SAFETY: as in `new`; the root belongs to this context.
        let root: Root<'static, R2> = f(unsafe { Mutation::of(&context) }, root)?;
        Ok(Arena { context, stress, root })
    }
}

impl<R> Arena<R>
where
    R: for<'a> Rootable<'a>,
{
    /// Runs a closure on the arena's contents. It may allocate, and change anything through locks; it may return
    /// anything that holds no pointer into the arena. Nothing is collected meanwhile.
    #[inline]
    pub fn mutate<F, T>(&self, f: F) -> T
    where
        F: for<'gc> FnOnce(&'gc Mutation<'gc>, &'gc Root<'gc, R>) -> T,
    {
        let _callback = self.context.callback();
        let root: *const Root<'static, R> = &raw const self.root;
        // SAFETY: the closure must accept any brand, so nothing of that brand outlives it; the root is borrowed for
        // exactly as long, and a cycle would need `&mut self`.
        unsafe { f(Mutation::of(&self.context), &*root) }
    }

    /// [`Arena::mutate`] with a mutable root, which is traced again if marking goes on.
    #[inline]
    pub fn mutate_root<F, T>(&mut self, f: F) -> T
    where
        F: for<'gc> FnOnce(&'gc Mutation<'gc>, &'gc mut Root<'gc, R>) -> T,
    {
        self.context.root_barrier();
        let root: *mut Root<'static, R> = &raw mut self.root;
        let _callback = self.context.callback();
        // SAFETY: as in `mutate`; the root is borrowed mutably, and apart from the context.
        unsafe { f(Mutation::of(&self.context), &mut *root) }
    }

    /// The arena's counters and its pacing.
    #[inline]
    pub fn metrics(&self) -> &Metrics {
        self.context.metrics()
    }

    /// Where the collector stands.
    #[inline]
    pub fn collection_phase(&self) -> CollectionPhase {
        match self.context.phase() {
            Phase::Sleep => CollectionPhase::Sleeping,
            Phase::Mark if self.context.has_grey() => CollectionPhase::Marking,
            Phase::Mark => CollectionPhase::Marked,
            Phase::Sweep => CollectionPhase::Sweeping,
        }
    }

    /// What the last finished cycle did; all zero before the first.
    pub fn last_cycle(&self) -> CycleReport {
        self.context.last_cycle()
    }

    /// Counts also the barriers that have nothing to do; not from the start, since a barrier that has nothing to do costs one
    /// comparison, and counting it more.
    pub fn count_barriers(&mut self, counts: bool) {
        self.context.count_barriers(counts);
    }

    /// Barriers that were run, or elided, since the arena was made.
    pub fn barriers(&self) -> Barriers {
        self.context.barriers()
    }

    /// Lets [`collect_debt`](Self::collect_debt) do more, or less, than is due; for tests. `None`: what is due, as at the
    /// start.
    pub fn set_stress(&mut self, stress: Option<Stress>) {
        self.stress = stress;
    }

    /// Sets how masks are walked from the next cycle on; for measurements.
    #[doc(hidden)]
    pub fn set_walk(&mut self, walk: Walk) {
        self.context.set_walk(walk);
    }
}

impl<R> Arena<R>
where
    R: for<'a> Rootable<'a>,
    for<'a> Root<'a, R>: Collect<'a>,
{
    /// Collects until there is no debt, see [`Pacing`](crate::metrics::Pacing); does nothing if there is none.
    ///
    /// It goes through all phases, from one cycle into the next if there is debt for it, but does not run more than one
    /// whole cycle. Time: in proportion to the debt, in pieces of at most a page's sweep or of marking 64 objects; what a
    /// single object's `trace` or destructor takes is not divided.
    ///
    /// # Panics
    ///
    /// As [`finish_cycle`](Self::finish_cycle).
    #[inline]
    pub fn collect_debt(&mut self) {
        if self.stress.is_some() {
            return self.run_stressed();
        }
        self.run(Effort::Debt, Until::Paid);
    }

    #[cold]
    fn run_stressed(&mut self) {
        match &mut self.stress {
            Some(Stress::Steps(seed)) => {
                let (limit, until) = Stress::next_piece(seed);
                let effort = limit.map_or(Effort::All, |limit| Effort::within(limit, self.context.metrics()));
                self.run(effort, until);
            }
            Some(Stress::EveryAllocation) if self.context.metrics().has_allocated() => {
                if self.collection_phase() != CollectionPhase::Sleeping {
                    self.finish_cycle();
                }
                self.finish_cycle();
            }
            _ => {}
        }
    }

    /// [`collect_debt`](Self::collect_debt) for the marking part: it stops when the collector is
    /// [`Marked`](CollectionPhase::Marked), and does nothing while it is [`Sweeping`](CollectionPhase::Sweeping).
    ///
    /// If the arena is marked now, the result allows to look at what is about to die.
    ///
    /// # Panics
    ///
    /// If a `trace` implementation panics, as [`finish_cycle`](Self::finish_cycle).
    #[inline]
    pub fn mark_debt(&mut self) -> Option<MarkedArena<'_, R>> {
        self.run(Effort::Debt, Until::Marked);
        self.marked()
    }

    /// Finishes marking, or begins a cycle and marks. `None` only while the collector is
    /// [`Sweeping`](CollectionPhase::Sweeping).
    ///
    /// # Panics
    ///
    /// If a `trace` implementation panics, as [`finish_cycle`](Self::finish_cycle).
    #[inline]
    pub fn finish_marking(&mut self) -> Option<MarkedArena<'_, R>> {
        self.run(Effort::All, Until::Marked);
        self.marked()
    }

    /// [`collect_debt`](Self::collect_debt), but it stops at the latest when the collector goes to
    /// [`Sleeping`](CollectionPhase::Sleeping).
    ///
    /// # Panics
    ///
    /// As [`finish_cycle`](Self::finish_cycle).
    #[inline]
    pub fn cycle_debt(&mut self) {
        self.run(Effort::Debt, Until::CycleEnd);
    }

    /// Finishes the cycle that runs, or runs a whole one: afterwards the collector is
    /// [`Sleeping`](CollectionPhase::Sleeping). After a whole one the arena holds exactly what the root reaches; one that
    /// was already running may leave what became unreachable meanwhile to the next.
    ///
    /// Time: marking grows with the objects that stay and with what tracing them takes; sweeping with the pages, plus
    /// one visit to each dead object whose type needs to be dropped.
    ///
    /// # Panics
    ///
    /// If a `trace` implementation panics (that of a [`RefLock`](crate::RefLock) does when a mutable borrow was leaked):
    /// the cycle is given up, nothing of it is freed, and the collector is [`Sleeping`](CollectionPhase::Sleeping). If a
    /// destructor panics: what was to be done is done first, all other destructors included, and the first panic goes on
    /// afterwards. The arena is usable in both cases.
    #[inline]
    pub fn finish_cycle(&mut self) {
        self.run(Effort::All, Until::CycleEnd);
    }

    /// Does a bounded piece of a cycle: of the one that runs, or of a new one. Returns whether the cycle has ended.
    ///
    /// The budget is kept to a piece of work: 16 KiB of objects or of one container's entries traced, a page swept, 16 KiB of
    /// one container's values dropped, or 2 MiB of memory given back. That goes for a large [`Gc`](crate::Gc) of an array and for the
    /// maps of `bucketmask-map`, which are traced, dropped and given back in parts. What a single call of a
    /// [`trace`](Collect::trace) or a destructor of the program's does is not divided: a `Vec` inside a value is traced at
    /// once, and so is one that is the root.
    ///
    /// # Panics
    ///
    /// As [`finish_cycle`](Self::finish_cycle).
    pub fn step(&mut self, budget: Budget) -> bool {
        self.run(Effort::within(budget.0, self.metrics()), Until::CycleEnd);
        self.collection_phase() == CollectionPhase::Sleeping
    }

    fn run(&mut self, effort: Effort, until: Until) {
        // SAFETY: no callback runs, so whatever is used again is reachable from this root, which is this context's.
        unsafe { self.context.run(&self.root, effort, until) };
    }

    fn marked(&mut self) -> Option<MarkedArena<'_, R>> {
        (self.collection_phase() == CollectionPhase::Marked).then_some(MarkedArena(self))
    }

    /// Every object with what it leads to, for a look at what keeps what. Takes time and memory in proportion to the live
    /// objects.
    ///
    /// ```
    /// use bucketmask_gc::{Arena, Gc, Rootable};
    ///
    /// type Nested<'gc> = Gc<'gc, Option<Gc<'gc, String>>>;
    /// let arena = Arena::<Rootable![Nested<'_>]>::new(|mc| Gc::new(mc, Some(Gc::new(mc, "kept".to_owned()))));
    /// let address = arena.mutate(|_, root| Gc::as_ptr(root.unwrap()).addr());
    /// let dump = arena.dump();
    /// let path = dump.path_to(address).unwrap();
    /// assert_eq!(path.len(), 2);
    /// assert!(path[0].type_name.contains("Option") && path[1].type_name.contains("String"));
    /// ```
    pub fn dump(&self) -> HeapDump {
        // SAFETY: as in `verify`.
        unsafe { self.context.dump(&self.root) }
    }

    /// Checks the heap's bookkeeping, and walks all that the root reaches without the collector's help. Meant for tests;
    /// takes time and memory in proportion to the live objects.
    ///
    /// # Errors
    ///
    /// The first discrepancy that was found.
    pub fn verify(&self) -> Result<Verified, VerifyError> {
        // SAFETY: as in `finish_cycle`; `&self` keeps callbacks with a mutable root away.
        unsafe { self.context.verify(&self.root) }
    }
}

/// An arena whose marking has ended, from [`Arena::finish_marking`] or [`Arena::mark_debt`].
pub struct MarkedArena<'a, R: for<'b> Rootable<'b>>(&'a mut Arena<R>);

impl<R> MarkedArena<'_, R>
where
    R: for<'b> Rootable<'b>,
    for<'b> Root<'b, R>: Collect<'b>,
{
    /// Runs a closure that can tell what is about to die, and save it: [`Gc::is_dead`](crate::Gc::is_dead),
    /// [`GcWeak::is_dead`](crate::GcWeak::is_dead), [`Gc::resurrect`](crate::Gc::resurrect) and
    /// [`GcWeak::resurrect`](crate::GcWeak::resurrect). It may do all else that [`Arena::mutate`] allows.
    ///
    /// What it resurrects is marked, and all that is reachable from there will be, when marking goes on.
    ///
    /// ```
    /// use bucketmask_gc::{Arena, Gc, GcWeak, Rootable};
    ///
    /// // Values that want to be told before they go: the program keeps weak pointers to them.
    /// let mut arena = Arena::<Rootable![Vec<GcWeak<'_, String>>]>::new(|mc| {
    ///     ["a", "b"].map(|name| Gc::downgrade(Gc::new(mc, name.to_owned()))).to_vec()
    /// });
    /// let dying = arena.finish_marking().unwrap().finalize(|fc, root| {
    ///     root[0].resurrect(fc);
    ///     root.iter().filter(|weak| weak.is_dead(fc)).count()
    /// });
    /// assert_eq!(dying, 1);
    /// arena.finish_cycle();
    /// arena.mutate(|_, root| assert!(!root[0].is_dropped() && root[1].is_dropped()));
    /// ```
    #[inline]
    pub fn finalize<F, T>(self, f: F) -> T
    where
        F: for<'gc> FnOnce(&'gc Finalization<'gc>, &'gc Root<'gc, R>) -> T,
    {
        let _callback = self.0.context.callback();
        let root: *const Root<'static, R> = &raw const self.0.root;
        // SAFETY: as in `Arena::mutate`; marking has ended, and the sweep needs `&mut Arena`.
        unsafe { f(Finalization::of(&self.0.context), &*root) }
    }

    /// Starts the sweep, without freeing anything yet: the collector is [`Sweeping`](CollectionPhase::Sweeping)
    /// afterwards. Time: the number of types.
    #[inline]
    pub fn start_sweeping(self) {
        self.0.run(Effort::All, Until::Sweeping);
        debug_assert_eq!(self.0.collection_phase(), CollectionPhase::Sweeping);
    }
}

/// Runs a closure on an arena without a root, and drops what it allocated.
pub fn rootless_mutate<F, T>(f: F) -> T
where
    F: for<'gc> FnOnce(&'gc Mutation<'gc>) -> T,
{
    let context = Home::new();
    // SAFETY: the closure must accept any brand, and no cycle ever runs on this context.
    f(unsafe { Mutation::of(&context) })
}
