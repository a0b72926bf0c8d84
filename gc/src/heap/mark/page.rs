//! Tracing the grey objects of one page: by its masks, and by the pile of what is marked on it meanwhile.
//!
//! Owned by the marker. Invariant: the pile holds black objects of the entered page that were not traced; who leaves the page with
//! some on it has made them grey again.
#![allow(unsafe_code)]

use super::{Marker, NOT_QUEUED, QUEUED_FOR_MORE, QUEUED_FOR_ONE};
use crate::heap::colour::clear;
use crate::heap::plan::PAGE_SLOTS;
use crate::heap::table::TypeTable;
use crate::heap::types::{USER_QUEUED, USER_TABLE, bucket, slots_in, words};
use crate::walk::Walk;
use bucketmask_alloc::{LentPage, Located, prefetch};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

impl Marker {
    /// From here on until [`leave`](Self::leave), what is marked on this page goes to the pile. Not if masks are walked flat, which is
    /// for who wants to know what looking at slots costs.
    #[inline(always)]
    pub(super) fn enter(&mut self, page: LentPage) {
        self.here = (self.walk == Walk::Mask).then_some(page);
    }

    /// What is left on the pile was traced by nobody.
    #[inline(always)]
    pub(super) fn leave(&mut self) {
        self.here = None;
        self.pile.clear();
    }

    /// Asks for what the next page in the queue needs first, while this one is traced: its masks, and the object it is queued for
    /// with those below it.
    #[inline(always)]
    pub(super) fn ask_for_next(&self) {
        let Some(&(page, object)) = self.queue.front() else { return };
        prefetch(page.user());
        prefetch(page.marked());
        prefetch(page.scanned());
        prefetch(object);
        prefetch(object.wrapping_sub(64));
    }

    /// Traces the grey objects of a page that was queued for `object`, until `end` is reached.
    #[inline(always)]
    pub(super) fn trace_queued(&mut self, page: LentPage, object: *const u8, end: usize) {
        let before = self.counts_lines.then(|| words_of(page.scanned()));
        self.enter(page);
        // A flat walk looks at all slots, whatever is known.
        if page.user()[USER_QUEUED].load(Relaxed) == QUEUED_FOR_ONE && self.walk == Walk::Mask {
            self.trace_one(page, object, end);
        } else {
            self.trace_page(page, end);
        }
        self.leave();
        if let Some(before) = before {
            let words = words_of(page.scanned()).into_iter().zip(before);
            self.lines += words.map(|(now, before)| lines_of(now & !before, page.slot_size())).sum::<usize>();
        }
    }

    /// Traces grey objects of the entered page, which are black by now, and what that marks on the page, until `end` is reached: then
    /// some are grey again. True: none is.
    #[inline(always)]
    fn trace_run(
        &mut self,
        page: LentPage,
        table: &TypeTable,
        first: *const u8,
        todo: u64,
        end: usize,
    ) -> bool {
        let left = end.saturating_sub(self.traced_bytes);
        let is_ample = left >= PAGE_SLOTS * table.trace_bytes;
        let quota = if is_ample { PAGE_SLOTS } else { left.div_ceil(table.trace_bytes) };
        self.quota = quota;
        // SAFETY: marked slots hold live objects of the page's type.
        unsafe { (table.trace)(first, todo, self) };
        let traced = quota - self.quota;
        self.scanned += traced;
        self.traced_bytes += traced * table.trace_bytes;
        let is_done = self.pile.is_empty();
        while let Some(object) = self.pile.pop() {
            // SAFETY: what is piled up are objects of this page.
            let Located { slot, .. } = unsafe { self.locator.locate(object) };
            clear(page.scanned(), slot as usize);
        }
        is_done
    }

    /// Traces the one grey object of the entered page, and what becomes grey on that page by it, until `end` is reached.
    fn trace_one(&mut self, page: LentPage, object: *const u8, end: usize) {
        // SAFETY: the user word of every page that a type heap lends.
        let table = unsafe { TypeTable::from_exposed(page.user()[USER_TABLE].load(Relaxed)) };
        // SAFETY: an object of the page.
        let Located { slot, .. } = unsafe { self.locator.locate(object) };
        let scanned = &page.scanned()[slot as usize / 64];
        scanned.store(scanned.load(Relaxed) | 1 << (slot % 64), Relaxed);
        self.scanned += 1;
        self.traced_bytes += table.trace_bytes;
        let is_done = self.trace_run(page, table, object, 1, end);
        if !is_done || page.user()[USER_QUEUED].load(Relaxed) != QUEUED_FOR_ONE {
            self.trace_page(page, end);
        } else {
            page.user()[USER_QUEUED].store(NOT_QUEUED, Relaxed);
        }
    }

    /// Traces the grey objects of the entered page, those included that become grey meanwhile, bucket by bucket until `end` is
    /// reached. It stays until the page has none: a page that goes back to the queue for each generation of its objects
    /// is fetched anew for each. Objects mostly point to older ones, which lie below them: so the last bucket comes first.
    fn trace_page(&mut self, page: LentPage, end: usize) {
        // SAFETY: the user word of every page that a type heap lends.
        let table = unsafe { TypeTable::from_exposed(page.user()[USER_TABLE].load(Relaxed)) };
        let grey = |(marked, done): (&AtomicU64, &AtomicU64)| marked.load(Relaxed) & !done.load(Relaxed) != 0;
        let has_grey = || page.marked().iter().zip(page.scanned()).any(grey);
        while has_grey() {
            if self.traced_bytes >= end {
                // It stays queued, at the queue's end.
                page.user()[USER_QUEUED].store(QUEUED_FOR_MORE, Relaxed);
                self.queue.push_back((page, std::ptr::null()));
                return;
            }
            for index in (0..words(page)).rev() {
                self.trace_bucket(page, index, table, end);
                if self.traced_bytes >= end {
                    break;
                }
            }
        }
        page.user()[USER_QUEUED].store(NOT_QUEUED, Relaxed);
    }

    /// Traces the grey objects of a bucket, those included that become grey meanwhile.
    #[inline(always)]
    fn trace_bucket(&mut self, page: LentPage, index: usize, table: &'static TypeTable, end: usize) {
        let slots = slots_in(page, index);
        let (marked, scanned) = (&page.marked()[index], &page.scanned()[index]);
        let first = bucket(page, index);
        let (mut at, mut traced) = (0, 0_u64);
        loop {
            let done = scanned.load(Relaxed);
            let piece = self.walk.next_piece(marked.load(Relaxed) & !done, &mut at, slots);
            if piece == 0 {
                break;
            }
            scanned.store(done | piece, Relaxed);
            traced |= piece;
            self.trace_run(page, table, first.as_ptr(), piece, end);
        }
        let traced = traced.count_ones();
        let looked_at = self.walk.looked_at(slots, traced);
        self.scanned += looked_at as usize;
        self.skipped += (slots - looked_at) as usize;
        self.traced_bytes += traced as usize * table.trace_bytes;
    }
}

fn words_of(line: &[AtomicU64; 8]) -> [u64; 8] {
    line.each_ref().map(|word| word.load(Relaxed))
}

/// Cache lines over which some slots of a bucket lie.
#[cold]
fn lines_of(slots: u64, slot_bytes: usize) -> usize {
    const LINE: usize = 64;
    let (mut left, mut lines, mut next) = (slots, 0, 0);
    while left != 0 {
        let start = left.trailing_zeros() as usize * slot_bytes;
        left &= left - 1;
        let (first, end) = ((start / LINE).max(next), (start + slot_bytes).div_ceil(LINE));
        lines += end.saturating_sub(first);
        next = end;
    }
    lines
}
