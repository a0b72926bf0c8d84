//! [`Marker`]: finds what the root reaches. Owns the queue of pages with grey objects.
//!
//! ```text
//! mark(object): set its bit in `marked`; unless its type has no pointers, its page goes to the end of the queue with
//!               it as its first object, or, if it is there, is known to have more
//! drain: while a page is first in the queue
//!          if it has no more than its first object: scanned |= it; trace it
//!          else for each word of the page: while todo = marked & !scanned is not empty
//!            scanned |= todo; trace the objects in todo
//! ```
//!
//! So objects are traced a page at a time, with one trace function, in address order; nothing recurses, however deep
//! the graph. Lists and other thin shapes find one object on a page at a time; it is traced without a look at the
//! page's masks. (Pages in a queue, with the objects marked meanwhile piling up on them, is the idea of Go's Green Tea
//! collector.) Invariant: `scanned` is a subset of `marked` on pages of types that are traced; an object that is marked
//! and not scanned lies on a page that is in the queue, or that is being traced.
#![allow(unsafe_code)]

use super::table::TypeTable;
use super::types::{USER_QUEUED, USER_TABLE, bucket, slots_in, words};
use super::{Heap, huge, is_huge};
use crate::collect::Trace;
use crate::walk::Walk;
use crate::{Gc, GcWeak};
use bucketmask_alloc::{LentPage, Located, Locator, prefetch};
use std::collections::VecDeque;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// States of a page's queue word.
const NOT_QUEUED: usize = 0;
/// Queued, and the object it is queued for is its only grey one.
const QUEUED_FOR_ONE: usize = 1;
/// Queued, or being traced, and it may have any number of grey objects.
const QUEUED_FOR_MORE: usize = 2;

pub(crate) struct Marker {
    /// Where pages lie, as of the start of the cycle; in registers while objects are traced.
    locator: Locator,
    /// Pages with objects to trace, each once, and the slot of the object that each was queued for.
    queue: VecDeque<(LentPage, u32)>,
    /// Huge objects to trace.
    huge: Vec<*const u8>,
    /// Targets of the weak pointers that were traced.
    pub(super) weak: Vec<*const u8>,
    walk: Walk,
    pub(super) scanned: usize,
    pub(super) skipped: usize,
}

impl Marker {
    pub(super) fn new() -> Self {
        Self {
            locator: Locator::new(),
            queue: VecDeque::new(),
            huge: Vec::new(),
            weak: Vec::new(),
            walk: Walk::default(),
            scanned: 0,
            skipped: 0,
        }
    }

    /// Marks the object at `address`.
    ///
    /// # Safety
    ///
    /// `address` is that of a live object of this arena.
    #[inline(always)]
    unsafe fn mark(&mut self, address: *const u8) {
        if is_huge(address) {
            // SAFETY: as the caller promises.
            unsafe { self.mark_huge(address) };
            return;
        }
        // SAFETY: as the caller promises.
        let Located { page, slot, leaf } = unsafe { self.locator.locate(address) };
        // SAFETY: a page has at most 512 slots, so the word is one of eight.
        let word = unsafe { page.marked().get_unchecked(slot as usize / 64) };
        let marked = word.load(Relaxed);
        let bit = 1 << (slot % 64);
        if marked & bit != 0 {
            return;
        }
        word.store(marked | bit, Relaxed);
        if !leaf {
            self.queue_for(page, slot, address);
        }
    }

    /// Sees to it that a marked object is traced.
    #[inline]
    fn queue_for(&mut self, page: LentPage, slot: u32, address: *const u8) {
        let queued = &page.user()[USER_QUEUED];
        if queued.load(Relaxed) == NOT_QUEUED {
            queued.store(QUEUED_FOR_ONE, Relaxed);
            prefetch(address);
            self.queue.push_back((page, slot));
        } else {
            queued.store(QUEUED_FOR_MORE, Relaxed);
        }
    }

    #[cold]
    #[inline(never)]
    unsafe fn mark_huge(&mut self, address: *const u8) {
        // SAFETY: a live huge object, as the caller of `mark` promises.
        let header = unsafe { huge::header(address) };
        if !header.marked.replace(true) && header.table.needs_trace {
            self.huge.push(address);
        }
    }

    /// Traces until nothing is grey.
    pub(super) fn drain(&mut self) {
        loop {
            if let Some((page, slot)) = self.queue.pop_front() {
                if page.user()[USER_QUEUED].load(Relaxed) == QUEUED_FOR_ONE {
                    self.trace_one(page, slot);
                } else {
                    self.trace_page(page);
                }
            } else if let Some(object) = self.huge.pop() {
                // SAFETY: a marked huge object, so it is live.
                unsafe { (huge::header(object).table.trace)(object, 1, self) };
            } else {
                return;
            }
        }
    }

    /// Traces the one grey object of a page.
    fn trace_one(&mut self, page: LentPage, slot: u32) {
        // SAFETY: the user word of every page that a type heap lends.
        let table = unsafe { TypeTable::from_exposed(page.user()[USER_TABLE].load(Relaxed)) };
        let (index, bit) = (slot as usize / 64, 1 << (slot % 64));
        let scanned = &page.scanned()[index];
        scanned.store(scanned.load(Relaxed) | bit, Relaxed);
        // Before the object is traced: what it marks on this page queues the page anew.
        page.user()[USER_QUEUED].store(NOT_QUEUED, Relaxed);
        self.scanned += 1;
        // SAFETY: a marked slot holds a live object of the page's type.
        unsafe { (table.trace)(bucket(page, index).as_ptr(), bit, self) };
    }

    /// Traces the grey objects of a page, those included that become grey meanwhile.
    fn trace_page(&mut self, page: LentPage) {
        // SAFETY: the user word of every page that a type heap lends.
        let table = unsafe { TypeTable::from_exposed(page.user()[USER_TABLE].load(Relaxed)) };
        for index in 0..words(page) {
            let slots = slots_in(page, index);
            let (marked, scanned) = (&page.marked()[index], &page.scanned()[index]);
            let first = bucket(page, index);
            let before = scanned.load(Relaxed);
            let mut at = 0;
            loop {
                let done = scanned.load(Relaxed);
                let piece = self.walk.next_piece(marked.load(Relaxed) & !done, &mut at, slots);
                if piece == 0 {
                    break;
                }
                scanned.store(done | piece, Relaxed);
                // SAFETY: marked slots hold live objects of the page's type.
                unsafe { (table.trace)(first.as_ptr(), piece, self) };
            }
            let traced = scanned.load(Relaxed) & !before;
            let looked_at = self.walk.looked_at(slots, traced.count_ones());
            self.scanned += looked_at as usize;
            self.skipped += (slots - looked_at) as usize;
        }
        // A later word may have marked objects of an earlier one.
        let grey = |(marked, done): (&AtomicU64, &AtomicU64)| marked.load(Relaxed) & !done.load(Relaxed) != 0;
        if page.marked().iter().zip(page.scanned()).any(grey) {
            self.queue.push_back((page, 0));
        } else {
            page.user()[USER_QUEUED].store(NOT_QUEUED, Relaxed);
        }
    }
}

impl<'gc> Trace<'gc> for Marker {
    #[inline(always)]
    fn trace_gc(&mut self, gc: Gc<'gc, ()>) {
        // SAFETY: a reachable `Gc` points to a live object.
        unsafe { self.mark(gc.ptr.as_ptr().cast()) };
    }

    #[inline]
    fn trace_gc_weak(&mut self, gc: GcWeak<'gc, ()>) {
        self.weak.push(gc.inner.ptr.as_ptr().cast());
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
}

impl Heap {
    /// The marker of a new cycle. Its queue has room for every page, so marking does not allocate for it.
    pub(super) fn start_marking(&mut self) -> Marker {
        let mut marker = self.marker.take().unwrap_or_else(Marker::new);
        marker.locator = Locator::new();
        marker.weak.clear();
        marker.scanned = 0;
        marker.skipped = 0;
        marker.walk = self.walk;
        let pages = self.pages().count();
        marker.queue.reserve(pages);
        marker
    }

    /// Takes a partial marking back.
    pub(super) fn abandon_marking(&mut self, mut marker: Marker) {
        marker.queue.clear();
        marker.huge.clear();
        self.marker = Some(marker);
        for page in self.pages() {
            page.user()[USER_QUEUED].store(NOT_QUEUED, Relaxed);
            for (marked, scanned) in page.marked().iter().zip(page.scanned()) {
                // What is left in `scanned` are the slots that are held for weak pointers, which are never marked.
                scanned.store(scanned.load(Relaxed) & !marked.load(Relaxed), Relaxed);
                marked.store(0, Relaxed);
            }
        }
        self.huge.clear_marks();
    }
}
