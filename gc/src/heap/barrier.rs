//! What the program tells the collector between steps: write barriers, and questions about objects.
//!
//! Invariant: when a callback ends, whatever a black object points to is marked. Whoever calls these has seen the view's `alert`,
//! which is set while marking goes on, and while barriers are to be counted that do not run: outside marking a barrier is that
//! one comparison, and since nothing changes while a callback runs, one before a loop will do.
#![allow(unsafe_code)]

use super::colour::Place;
use super::cycle::Phase;
use super::{Context, Heap, checked};
use crate::collect::{Collect, Trace};
use crate::probes;
use crate::report::Barriers;

impl Context {
    fn count(&self, kind: impl FnOnce(&mut Barriers) -> &mut u64) {
        let mut counts = self.barriers.get();
        *kind(&mut counts) += 1;
        self.barriers.set(counts);
    }

    /// Counts a barrier of a kind, and says whether it must run: not if the collector was alert for the count alone.
    fn counted(&self, kind: impl FnOnce(&mut Barriers) -> &mut u64) -> bool {
        let marks = self.phase() == Phase::Mark;
        if marks {
            self.count(kind);
        } else if self.counts.get() {
            self.count(|counts| &mut counts.idle);
        }
        marks
    }

    /// An object was handed out that is written to without barriers.
    #[inline]
    pub(crate) fn count_unpublished(&self) {
        if self.phase() == Phase::Mark || self.counts.get() {
            self.count(|counts| &mut counts.unpublished);
        }
    }

    /// Barriers since the arena was made.
    pub(crate) fn barriers(&self) -> Barriers {
        self.barriers.get()
    }

    /// `parent` takes up `child`, or any number of pointers: if it is black, it becomes grey, unless the child is marked.
    ///
    /// # Safety
    ///
    /// Both are addresses of live objects of this arena.
    #[cold]
    #[inline(never)]
    #[cfg_attr(feature = "checked", track_caller)]
    pub(crate) unsafe fn backward_barrier(&self, parent: *const u8, child: Option<*const u8>) {
        probes::barrier(0, parent);
        self.announce(Some(parent), child);
        if self.counted(|counts| &mut counts.backward) {
            // SAFETY: as the caller promises.
            unsafe { self.backward(parent, child) };
        }
    }

    #[cfg_attr(feature = "checked", track_caller)]
    unsafe fn backward(&self, parent: *const u8, child: Option<*const u8>) {
        if checked::seeded!("gc: backward barrier removed") {
            return;
        }
        // SAFETY: as the caller promises.
        let settled = |child| unsafe { Place::of(child) }.marked();
        // SAFETY: as the caller promises.
        let place = unsafe { Place::of(parent) };
        let is_inverted = checked::seeded!("gc: backward barrier decides the other way round");
        let is_black = place.is_black() ^ is_inverted;
        checked::agree(parent, is_black);
        if is_black && !child.is_some_and(settled) {
            let parent = if checked::seeded!("gc: backward barrier on the neighbour") {
                place.neighbour(parent)
            } else {
                parent
            };
            // SAFETY: black, as was just found.
            unsafe { self.regrey(parent) };
        }
    }

    /// `parent` takes up a weak `child`.
    ///
    /// # Safety
    ///
    /// `parent` is the address of a live object of this arena, `child` that of a live or held one.
    #[cold]
    #[inline(never)]
    #[cfg_attr(feature = "checked", track_caller)]
    pub(crate) unsafe fn backward_barrier_weak(&self, parent: *const u8, child: *const u8) {
        probes::barrier(0, parent);
        self.announce(Some(parent), Some(child));
        if self.counted(|counts| &mut counts.backward)
            && !checked::seeded!("gc: backward barrier of weak pointers removed")
        {
            // SAFETY: as the caller promises.
            unsafe { self.backward_weak(parent, child) };
        }
    }

    unsafe fn backward_weak(&self, parent: *const u8, child: *const u8) {
        // SAFETY: as the caller promises.
        let (parent_place, child) = unsafe { (Place::of(parent), Place::of(child)) };
        let held = child.occupied() && child.scanned();
        if parent_place.is_black() && !child.marked() && !held {
            // SAFETY: black, as was just found.
            unsafe { self.regrey(parent) };
        }
    }

    /// `parent`, or any object, takes up `child`: if the parent is black, the child is marked.
    ///
    /// # Safety
    ///
    /// Both are addresses of live objects of this arena.
    #[cold]
    #[inline(never)]
    #[cfg_attr(feature = "checked", track_caller)]
    pub(crate) unsafe fn forward_barrier(&self, parent: Option<*const u8>, child: *const u8) {
        probes::barrier(1, child);
        self.announce(parent, Some(child));
        if self.counted(|counts| &mut counts.forward) && !checked::seeded!("gc: forward barrier removed") {
            // SAFETY: as the caller promises.
            unsafe { self.forward(parent, child) };
        }
    }

    unsafe fn forward(&self, parent: Option<*const u8>, child: *const u8) {
        // SAFETY: as the caller promises.
        if parent.is_none_or(|parent| unsafe { Place::of(parent) }.is_black()) {
            let marker = &mut self.heap_mut().marker;
            marker.relocate();
            // SAFETY: as the caller promises.
            unsafe { marker.mark(child) };
        }
    }

    /// `parent`, or any object, takes up a weak `child`.
    ///
    /// # Safety
    ///
    /// `parent` is the address of a live object of this arena, `child` that of a live or held one.
    #[cold]
    #[inline(never)]
    #[cfg_attr(feature = "checked", track_caller)]
    pub(crate) unsafe fn forward_barrier_weak(&self, parent: Option<*const u8>, child: *const u8) {
        probes::barrier(1, child);
        self.announce(parent, Some(child));
        if self.counted(|counts| &mut counts.forward)
            && !checked::seeded!("gc: forward barrier of weak pointers removed")
        {
            // SAFETY: as the caller promises.
            unsafe { Self::forward_weak(parent, child) };
        }
    }

    unsafe fn forward_weak(parent: Option<*const u8>, child: *const u8) {
        // SAFETY: as the caller promises.
        if parent.is_none_or(|parent| unsafe { Place::of(parent) }.is_black()) {
            // SAFETY: as the caller promises.
            unsafe { Place::of(child) }.hold();
        }
    }

    /// The `bytes` at position `at` of a slice that is traced in parts take up pointers; of any other object, all of it.
    ///
    /// # Safety
    ///
    /// `parent` is the address of a live object of this arena, and if its type is traced in parts, `at` is a position in it.
    #[cold]
    #[inline(never)]
    #[cfg_attr(feature = "checked", track_caller)]
    pub(crate) unsafe fn bucket_barrier(&self, parent: *const u8, at: usize, bytes: usize) {
        probes::barrier(2, parent);
        self.announce(Some(parent), None);
        if self.counted(|counts| &mut counts.bucket) && !checked::seeded!("gc: bucket barrier removed") {
            // SAFETY: as the caller promises.
            unsafe { self.bucket(parent, at, bytes) };
        }
    }

    unsafe fn bucket(&self, parent: *const u8, at: usize, bytes: usize) {
        // SAFETY: as the caller promises.
        let place = unsafe { Place::of(parent) };
        if !place.is_black() {
            return;
        }
        let table = place.table();
        if table.trace_part.is_none() {
            // SAFETY: black, as was just found.
            unsafe { self.regrey(parent) };
        } else {
            let at = if checked::seeded!("gc: bucket barrier one bucket too far") { at + bytes } else { at };
            self.heap_mut().marker.parts.add_bucket(parent, table, at, bytes);
        }
    }

    /// Whether a container that is traced in parts was traced already, or is being traced.
    ///
    /// # Safety
    ///
    /// `parent` is the address of a live object of this arena.
    #[cold]
    #[inline(never)]
    pub(crate) unsafe fn must_shade(&self, parent: *const u8) -> bool {
        probes::barrier(3, parent);
        !checked::seeded!("gc: container's entries not shaded")
            && self.counted(|counts| &mut counts.container)
            // SAFETY: as the caller promises.
            && unsafe { Place::of(parent) }.is_black()
    }

    /// Marks what a value leads to.
    ///
    /// # Safety
    ///
    /// The value's pointers are of this arena, and a callback runs.
    #[cold]
    pub(crate) unsafe fn shade<'gc, C: Collect<'gc>>(&self, value: &C) {
        if self.phase() == Phase::Mark {
            let marker = &mut self.heap_mut().marker;
            marker.relocate();
            marker.trace(value);
            self.count(|counts| &mut counts.shaded);
        }
    }

    unsafe fn regrey(&self, black: *const u8) {
        // SAFETY: as the caller promises.
        let bytes = unsafe { self.heap_mut().marker.regrey(black) };
        self.metrics.uncount_traced(bytes);
    }

    /// Whether a strong pointer may be made of a weak one: the value is there, and no sweep will drop it.
    ///
    /// # Safety
    ///
    /// `address` is the target of a weak pointer of this arena.
    #[inline]
    pub(crate) unsafe fn may_upgrade(&self, address: *const u8) -> bool {
        // SAFETY: as the caller promises.
        let place = unsafe { Place::of(address) };
        // While marking goes on, whatever takes up the strong pointer runs a barrier.
        if self.phase() == Phase::Sweep { !place.is_doomed() } else { place.occupied() }
    }

    /// Marks an object though nothing was found that leads to it. False: its value was dropped.
    ///
    /// # Safety
    ///
    /// `address` is that of a live or held object of this arena, and this cycle's sweep has not started.
    pub(crate) unsafe fn resurrect(&self, address: *const u8) -> bool {
        // SAFETY: as the caller promises.
        let place = unsafe { Place::of(address) };
        if place.is_dead() && place.occupied() {
            let marker = &mut self.heap_mut().marker;
            marker.relocate();
            marker.unsettled = true;
            marker.resurrected += 1;
            // SAFETY: a live object.
            unsafe { marker.mark(address) };
        }
        place.occupied()
    }

    #[expect(
        clippy::mut_from_ref,
        reason = "callers end the borrow before anything else can look at the heap"
    )]
    fn heap_mut(&self) -> &mut Heap {
        // SAFETY: the context stays on its thread, and no user code runs in any of the callers' borrows.
        unsafe { &mut *self.heap.get() }
    }
}

/// Whether the marking that has just ended found no strong pointer to an object.
///
/// # Safety
///
/// `address` is that of a live or held object of an arena, whose marking has ended.
pub(crate) unsafe fn is_dead(address: *const u8) -> bool {
    // SAFETY: as the caller promises.
    unsafe { Place::of(address) }.is_dead()
}
