//! [`Marker`]: finds what the root reaches. Owns the queue of pages with grey objects.
//!
//! ```text
//! mark(object): set its bit in `marked`; unless its type has no pointers:
//!               if its page is being traced: scanned |= it; put it on the pile
//!               else its page goes to the end of the queue with it as its first object, or, if it is there, is known to have more
//! drain: while a page is first in the queue
//!          if it has no more than its first object: scanned |= it; trace it
//!          else, until the page has nothing grey: for each word of it: scanned |= todo = marked & !scanned; trace the objects in todo
//!          and after each trace: while the pile is not empty: trace its last object
//! ```
//!
//! So objects are traced a page at a time, with one trace function, depth first within a page; nothing recurses, however deep the
//! graph. While a page is traced, what it leads to on itself needs no queue and no look at its masks: an object's loads wait for
//! nothing but the pointer to it. (Pages in a queue, with the objects marked meanwhile piling up on them, is the idea of Go's Green
//! Tea collector.) Where the pointer's type tells how large its target's slots are, page and slot are found with constants
//! (`mark_of`), by one word of the granule map, which also says whether the guess was right. Large containers of this library are
//! traced in parts (`parts.rs`), first of all, so that few are under way at a time. Marking may stop after any object or part
//! and go on later; write barriers make objects grey again meanwhile, which are traced when all else is.
//! Invariant: an object that is marked and not scanned, and of a type that is traced, lies on a page that is in the queue,
//! or that is being traced; the pile is empty whenever no page is; what a black object points to is marked, whenever no callback runs.
#![allow(unsafe_code)]

mod page;

use super::colour::{Place, clear};
use super::ephemeron::{Ephemerons, Waiter};
use super::parts::Parts;
use super::plan::{self, PAGE_SLOTS};
use super::types::{USER_QUEUED, USER_WEAK, words};
use super::{Heap, checked, huge, is_huge};
use crate::collect::{Collect, Trace};
use crate::metrics::UNIT_BYTES;
use crate::report::CycleReport;
use crate::walk::Walk;
use crate::{Gc, GcWeak};
use bucketmask_alloc::{LentPage, Located, Locator, Shaped, prefetch};
use std::collections::VecDeque;
use std::sync::atomic::Ordering::Relaxed;

/// States of a page's queue word.
const NOT_QUEUED: usize = 0;
/// Queued, and the object it is queued for is its only grey one.
const QUEUED_FOR_ONE: usize = 1;
/// Queued, or being traced, and it may have any number of grey objects.
const QUEUED_FOR_MORE: usize = 2;

#[expect(clippy::struct_excessive_bools, reason = "each says something else")]
pub(crate) struct Marker {
    /// Where pages lie, as of the start of the cycle; in registers while objects are traced.
    locator: Locator,
    /// The page that is being traced: what is marked on it goes to the pile.
    here: Option<LentPage>,
    /// Objects that were marked on that page and are traced before it is left, the last one first. Black already, so that nobody
    /// looks at their bits again. Room for a page's slots.
    pile: Vec<*const u8>,
    /// Objects of the pile that may be traced before the next look at the budget.
    quota: usize,
    /// Pages with objects to trace, each once, and the object that each was queued for.
    queue: VecDeque<(LentPage, *const u8)>,
    /// Huge objects to trace.
    huge: Vec<*const u8>,
    /// What barriers made grey again, traced when nothing else is left: the pages, and the huge objects. A container that the
    /// program writes to between any two steps would be traced in each otherwise.
    again: VecDeque<LentPage>,
    huge_again: Vec<*const u8>,
    /// Objects that are being traced in parts.
    pub(super) parts: Parts,
    /// What waits for objects to be marked, and whether there was any in this cycle.
    pub(super) ephemerons: Ephemerons,
    waits: bool,
    /// Whether the root is to be traced: at the start of a cycle, and after it was changed.
    pub(super) root_is_grey: bool,
    /// Whether an object was resurrected since marking last came to its end: then marking has not ended.
    pub(super) unsettled: bool,
    walk: Walk,
    /// Bytes of objects traced since they were last counted, and objects marked that are never traced.
    traced_bytes: usize,
    leaves: usize,
    pub(super) scanned: usize,
    pub(super) skipped: usize,
    /// Objects that were marked though nothing led to them.
    pub(super) resurrected: usize,
    /// Whether lines are counted, and how many.
    counts_lines: bool,
    pub(super) lines: usize,
}

impl Marker {
    pub(super) fn new() -> Self {
        Self {
            locator: Locator::new(),
            here: None,
            pile: Vec::new(),
            quota: 0,
            queue: VecDeque::new(),
            huge: Vec::new(),
            again: VecDeque::new(),
            huge_again: Vec::new(),
            parts: Parts::default(),
            ephemerons: Ephemerons::default(),
            waits: false,
            root_is_grey: false,
            unsettled: false,
            walk: Walk::default(),
            traced_bytes: 0,
            leaves: 0,
            scanned: 0,
            skipped: 0,
            resurrected: 0,
            counts_lines: false,
            lines: 0,
        }
    }

    /// Marks the object at `address`, whose slot most probably has so many bytes, a constant: then page and slot are found by
    /// constants too, but for one word of the granule map. Not while something waits for objects.
    ///
    /// # Safety
    ///
    /// `address` is that of a live object of this arena.
    #[inline(always)]
    unsafe fn mark_of(&mut self, address: *const u8, slot_bytes: usize) {
        let Some(shape) = plan::grown_shape(slot_bytes) else {
            // SAFETY: as the caller promises.
            return unsafe { self.mark_anywhere(address) };
        };
        // SAFETY: as the caller promises; huge objects lie in ranges.
        match unsafe { self.locator.locate_in(address, shape) } {
            Shaped::Leaf(page, slot) => {
                if set(page, slot) {
                    self.leaves += 1;
                }
            }
            Shaped::Traced(page, slot) => {
                if set(page, slot) {
                    self.queue_for(page, slot, address);
                }
            }
            // SAFETY: as the caller promises.
            Shaped::Other => unsafe { self.mark_anywhere(address) },
        }
    }

    /// [`mark`](Self::mark), out of line.
    ///
    /// # Safety
    ///
    /// `address` is that of a live object of this arena.
    #[inline(never)]
    unsafe fn mark_anywhere(&mut self, address: *const u8) {
        // SAFETY: as the caller promises.
        unsafe { self.mark(address) };
    }

    /// Marks the object at `address`.
    ///
    /// # Safety
    ///
    /// `address` is that of a live object of this arena.
    #[inline(always)]
    pub(super) unsafe fn mark(&mut self, address: *const u8) {
        if is_huge(address) {
            // SAFETY: as the caller promises.
            unsafe { self.mark_huge(address) };
            return;
        }
        // SAFETY: as the caller promises.
        let Located { page, slot, leaf } = unsafe { self.locator.locate(address) };
        if !set(page, slot) {
            return;
        }
        if leaf {
            self.leaves += 1;
            if self.waits {
                self.ephemerons.wake(address);
            }
        } else {
            self.queue_for(page, slot, address);
        }
    }

    /// Sees to it that a marked object is traced.
    #[inline(always)]
    fn queue_for(&mut self, page: LentPage, slot: u32, address: *const u8) {
        if self.here == Some(page) && page.user()[USER_WEAK].load(Relaxed) == 0 {
            // SAFETY: a page has at most 512 slots, so the word is one of eight.
            let scanned = unsafe { page.scanned().get_unchecked(slot as usize / 64) };
            scanned.store(scanned.load(Relaxed) | 1 << (slot % 64), Relaxed);
            let len = self.pile.len();
            debug_assert!(len < self.pile.capacity());
            // SAFETY: there is room for all slots of a page, and each was marked once since the page was entered.
            unsafe {
                self.pile.as_mut_ptr().add(len).write(address);
                self.pile.set_len(len + 1);
            }
        } else {
            self.queue_page(page, slot, address);
        }
    }

    #[inline(never)]
    fn queue_page(&mut self, page: LentPage, slot: u32, address: *const u8) {
        if checked::seeded!("gc: traced bit set without tracing") {
            let word = &page.scanned()[slot as usize / 64];
            word.store(word.load(Relaxed) | 1 << (slot % 64), Relaxed);
            return;
        }
        let user = page.user();
        if user[USER_WEAK].load(Relaxed) != 0 {
            // A weak pointer may have led here before.
            clear(page.scanned(), slot as usize);
            if self.waits {
                self.ephemerons.wake(address);
            }
        }
        let queued = &user[USER_QUEUED];
        if queued.load(Relaxed) == NOT_QUEUED {
            queued.store(QUEUED_FOR_ONE, Relaxed);
            prefetch(address);
            self.queue.push_back((page, address));
        } else {
            queued.store(QUEUED_FOR_MORE, Relaxed);
        }
    }

    /// Takes an object off the pile, for who traces the page's type.
    #[inline(always)]
    pub(super) fn next_of_pile(&mut self) -> Option<*const u8> {
        if self.quota == 0 {
            return None;
        }
        let object = self.pile.pop()?;
        self.quota -= 1;
        Some(object)
    }

    #[cold]
    #[inline(never)]
    unsafe fn mark_huge(&mut self, address: *const u8) {
        // SAFETY: a live huge object, as the caller of `mark` promises.
        let header = unsafe { huge::header(address) };
        if header.marked.replace(true) {
            return;
        }
        header.scanned.set(false);
        if self.waits {
            self.ephemerons.wake(address);
        }
        if header.table.needs_trace {
            self.huge.push(address);
        } else {
            self.leaves += 1;
        }
    }

    /// Makes a black object grey again; returns its bytes. Objects that are never traced stay as they are.
    ///
    /// # Safety
    ///
    /// `address` is that of a black object of this arena.
    pub(super) unsafe fn regrey(&mut self, address: *const u8) -> usize {
        // SAFETY: as the caller promises.
        match unsafe { Place::of(address) } {
            Place::Slot { leaf: true, .. } => 0,
            Place::Slot { page, slot, .. } => {
                self.parts.expect_again();
                clear(page.scanned(), slot);
                let queued = &page.user()[USER_QUEUED];
                if queued.load(Relaxed) == NOT_QUEUED && !checked::seeded!("gc: grey page not queued") {
                    self.again.push_back(page);
                }
                queued.store(QUEUED_FOR_MORE, Relaxed);
                page.slot_size()
            }
            Place::Huge(header) if header.table.needs_trace => {
                self.parts.expect_again();
                header.scanned.set(false);
                self.huge_again.push(address);
                header.table.trace_bytes
            }
            Place::Huge(_) => 0,
        }
    }

    /// Whether anything is left to do before the sweep.
    pub(super) fn has_grey(&self) -> bool {
        self.root_is_grey
            || self.unsettled
            || !self.queue.is_empty()
            || !self.huge.is_empty()
            || !self.again.is_empty()
            || !self.huge_again.is_empty()
            || !self.parts.is_empty()
            || self.ephemerons.has_grey()
    }

    /// Looks up anew where pages lie; the first page of the process may have been lent since.
    pub(super) fn relocate(&mut self) {
        self.locator = Locator::new();
        if self.waits {
            self.locator = self.locator.without_shapes();
        }
        // A `trace` that panicked may have left it.
        self.leave();
    }

    /// Traces until nothing is grey, or until `budget` bytes of objects have been traced. True: nothing is grey. The root
    /// is traced when there is nothing else to: first in a cycle, and last if it was changed later.
    pub(super) fn drain<'gc, R: Collect<'gc> + ?Sized>(&mut self, root: &R, budget: usize) -> bool {
        let end = self.traced_bytes.saturating_add(budget);
        loop {
            if self.waits && self.trace_ephemerons() {
                self.traced_bytes += UNIT_BYTES;
            } else if let Some(bytes) = self.trace_a_part() {
                self.traced_bytes += bytes;
            } else if let Some((page, object)) = self.queue.pop_front() {
                self.ask_for_next();
                self.trace_queued(page, object, end);
            } else if let Some(object) = self.huge.pop() {
                self.trace_huge(object);
            } else if let Some(page) = self.again.pop_front() {
                self.trace_queued(page, std::ptr::null(), end);
            } else if let Some(object) = self.huge_again.pop() {
                self.trace_huge(object);
            } else if self.root_is_grey {
                self.trace(root);
                self.root_is_grey = false;
            } else if self.waits && self.ephemerons.end_watch() {
                // What finalizer queues watch and nothing else keeps: they take it, and marking goes on.
            } else {
                self.unsettled = false;
                return true;
            }
            if self.traced_bytes >= end {
                return !self.has_grey();
            }
        }
    }

    /// Traces a grey huge object.
    fn trace_huge(&mut self, object: *const u8) {
        // SAFETY: a marked huge object, so it is live.
        let header = unsafe { huge::header(object) };
        header.scanned.set(true);
        self.traced_bytes += header.table.trace_bytes;
        // SAFETY: as above.
        unsafe { (header.table.trace)(object, 1, self) };
    }

    /// Saves one object for a finalizer queue, or traces one value whose key has been marked. False: there is none.
    fn trace_ephemerons(&mut self) -> bool {
        if let Some(waiter) = self.ephemerons.next_saved() {
            // SAFETY: what waits are marked objects.
            unsafe { (Place::of(waiter.owner).table().forget)(&waiter) };
            self.resurrected += 1;
            // SAFETY: a live object, which was white until now.
            unsafe { self.mark(waiter.key) };
            return true;
        }
        let Some(waiter) = self.ephemerons.next_woken() else { return false };
        if checked::seeded!("gc: key's value not woken") {
            return true;
        }
        // SAFETY: as above.
        unsafe { (Place::of(waiter.owner).table().wake)(&waiter, self) };
        true
    }

    /// Bytes marked and bytes traced since the last call. A leaf counts as the smallest object: its size is not looked at
    /// when it is marked.
    pub(super) fn take_work(&mut self) -> (usize, usize) {
        let traced = std::mem::take(&mut self.traced_bytes);
        let leaves = std::mem::take(&mut self.leaves) * UNIT_BYTES;
        (traced + leaves, traced)
    }
}

/// Marks a slot of a page. False: it was marked.
#[inline(always)]
fn set(page: LentPage, slot: u32) -> bool {
    // SAFETY: a page has at most 512 slots, so the word is one of eight.
    let word = unsafe { page.marked().get_unchecked(slot as usize / 64) };
    let before = word.load(Relaxed);
    let slot = if checked::seeded!("gc: mark bit of the neighbouring slot") { slot ^ 1 } else { slot };
    let after = before | 1 << (slot % 64);
    if after == before {
        return false;
    }
    if checked::seeded!("gc: mark bit lost") {
        return true;
    }
    word.store(after, Relaxed);
    true
}

impl<'gc> Trace<'gc> for Marker {
    #[inline(always)]
    fn trace_gc(&mut self, gc: Gc<'gc, ()>) {
        // SAFETY: a reachable `Gc` points to a live object.
        unsafe { self.mark(gc.ptr.as_ptr().cast()) };
    }

    #[inline(always)]
    fn trace_gc_of(&mut self, gc: Gc<'gc, ()>, slot_bytes: usize) {
        // SAFETY: a reachable `Gc` points to a live object.
        unsafe { self.mark_of(gc.ptr.as_ptr().cast(), slot_bytes) };
    }

    #[inline]
    fn trace_gc_weak(&mut self, gc: GcWeak<'gc, ()>) {
        // SAFETY: the target of a reachable weak pointer is live or held.
        unsafe { Place::of(gc.inner.address()) }.hold();
    }

    fn trace_ephemeron(&mut self, key: GcWeak<'gc, ()>, owner: Gc<'gc, ()>, tag: usize) -> bool {
        let (key, owner) = (key.inner.address(), owner.address());
        // SAFETY: the target of a reachable weak pointer is live or held, and the owner is being traced.
        let (place, table) = unsafe { (Place::of(key), Place::of(owner).table()) };
        if !place.occupied() || place.marked() {
            // A value whose key was dropped is gone, or will be before this cycle's sweep ends.
            return place.occupied();
        }
        place.hold();
        self.waits = true;
        // Leaves may be waited for from now on, which only the longer way asks.
        self.locator = self.locator.without_shapes();
        self.ephemerons.wait(Waiter { key, owner, tag }, table.resurrects);
        false
    }

    #[inline]
    fn walk(&self) -> Walk {
        self.walk
    }

    #[inline]
    fn count_slots(&mut self, scanned: usize, skipped: usize) {
        self.scanned += scanned;
        self.skipped += skipped;
    }

    #[inline]
    fn count_lines(&mut self, lines: usize) {
        if self.counts_lines {
            self.lines += lines;
        }
    }
}

impl Heap {
    /// Readies the marker for a new cycle.
    pub(super) fn start_marking(&mut self) {
        self.report = CycleReport { cycle: self.last.cycle + 1, walk: self.walk, ..CycleReport::default() };
        if self.traces {
            self.report.held_before = self.held_bytes();
        }
        let pages = self.index.heaps().map(|heap| heap.pages().len()).sum();
        let marker = &mut self.marker;
        // So that marking seldom allocates: a page is in the queue once.
        marker.queue.reserve(pages);
        marker.pile.reserve(PAGE_SLOTS);
        marker.root_is_grey = true;
        marker.waits = false;
        marker.resurrected = 0;
        marker.counts_lines = self.traces;
        marker.lines = 0;
        marker.scanned = 0;
        marker.skipped = 0;
        marker.walk = self.walk;
    }

    /// Takes a partial marking back: afterwards no cycle has begun.
    pub(super) fn abandon_marking(&mut self) {
        let marker = &mut self.marker;
        marker.queue.clear();
        marker.huge.clear();
        marker.again.clear();
        marker.huge_again.clear();
        marker.parts.clear();
        marker.ephemerons.clear();
        marker.root_is_grey = false;
        marker.unsettled = false;
        marker.take_work();
        for page in self.pages() {
            page.user()[USER_QUEUED].store(NOT_QUEUED, Relaxed);
            for index in 0..words(page) {
                // What is left in `scanned` are the slots that are held since an earlier cycle.
                let scanned = &page.scanned()[index];
                scanned.store(scanned.load(Relaxed) & !page.occupied()[index].load(Relaxed), Relaxed);
                page.marked()[index].store(0, Relaxed);
            }
        }
        self.huge.abandon_marking();
    }
}
