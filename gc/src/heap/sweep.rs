//! Frees what was not marked, a word at a time. Owns the order in which bits are cleared and destructors run.
//!
//! ```text
//! for each word:  dead = occupied & !marked;  occupied &= marked;  marked = 0
//!                 destructors of dead, if the type has any
//! ```
//!
//! Invariant: a slot's bit in `occupied` is clear before its destructor runs, and no window is open. So a destructor
//! that panics leaves masks that are true, and the sweep goes on; the first panic is passed on at the end.
#![allow(unsafe_code)]

use super::Heap;
use super::mark::Marker;
use super::table::TypeTable;
use super::types::{TypeHeap, bucket, slots_in, words};
use crate::report::CycleReport;
use crate::walk::Walk;
use bucketmask_alloc::LentPage;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::NonNull;
use std::sync::atomic::Ordering::Relaxed;

/// Runs destructors, and keeps the first panic among them.
#[derive(Default)]
pub(super) struct Destructors {
    panic: Option<Box<dyn Any + Send>>,
}

impl Destructors {
    /// Drops the values in the slots `dead` of a bucket, all of them, whatever panics.
    ///
    /// # Safety
    ///
    /// The slots hold values of the table's type that nobody will use or drop again.
    #[inline]
    pub(super) unsafe fn run(&mut self, table: &'static TypeTable, first: NonNull<u8>, dead: u64) {
        let Some(drop_run) = table.drop else { return };
        let mut left = dead;
        while left != 0 {
            // SAFETY: as the caller promises; each bit is cleared before its destructor runs.
            let run = catch_unwind(AssertUnwindSafe(|| unsafe { drop_run(first.as_ptr(), &mut left) }));
            if let Err(panic) = run {
                match self.panic {
                    Some(_) => discard(panic),
                    None => self.panic = Some(panic),
                }
            }
        }
    }

    /// Passes the first panic on.
    pub(super) fn resume_panic(self) {
        if let Some(panic) = self.panic {
            resume_unwind(panic);
        }
    }
}

/// Drops a panic's payload, which may panic in turn, and then is leaked.
fn discard(payload: Box<dyn Any + Send>) {
    if let Err(again) = catch_unwind(AssertUnwindSafe(move || drop(payload))) {
        std::mem::forget(again);
    }
}

impl Heap {
    /// Sweeps everything. The report lacks the times.
    pub(super) fn sweep(&mut self, marker: &Marker, destructors: &mut Destructors) -> CycleReport {
        let mut report = CycleReport {
            cycle: self.last.cycle + 1,
            walk: self.walk,
            slots_scanned: marker.scanned,
            slots_skipped: marker.skipped,
            ..CycleReport::default()
        };
        let walk = self.walk;
        for heap in self.index.heaps_mut() {
            heap.sweep(walk, &mut report, destructors);
        }
        self.huge.sweep(&mut report, destructors);
        report
    }
}

impl TypeHeap {
    fn sweep(&mut self, walk: Walk, report: &mut CycleReport, destructors: &mut Destructors) {
        self.close_window();
        let table = self.table();
        let (mut spare, mut live_here) = (false, 0);
        self.retain_pages(|page| {
            let (live, held) = sweep_page(page, table, walk, report, destructors);
            live_here += live;
            // One empty page stays, so that a type that comes and goes does not lend one in every cycle.
            let keep = live + held > 0 || !std::mem::replace(&mut spare, true);
            if !keep {
                report.pages_returned += 1;
                return false;
            }
            report.pages += 1;
            if live * 2 >= page.slots() {
                report.pages_dense += 1;
            } else {
                report.pages_sparse += 1;
            }
            true
        });
        report.marked += live_here;
        report.live_bytes += live_here * table.slot_bytes;
        report.held_bytes += self.held_bytes();
    }
}

/// Sweeps a page; returns its live objects and its held slots.
fn sweep_page(
    page: LentPage,
    table: &'static TypeTable,
    walk: Walk,
    report: &mut CycleReport,
    destructors: &mut Destructors,
) -> (usize, usize) {
    let (mut live, mut held) = (0, 0);
    for index in 0..words(page) {
        let (occupied_word, marked_word) = (&page.occupied()[index], &page.marked()[index]);
        let scanned_word = &page.scanned()[index];
        let (occupied, marked) = (occupied_word.load(Relaxed), marked_word.load(Relaxed));
        debug_assert_eq!(marked & !occupied, 0, "a free slot is marked");
        let slots = slots_in(page, index);
        let dead = walk.dead(occupied, marked, slots);
        occupied_word.store(occupied & !dead, Relaxed);
        marked_word.store(0, Relaxed);
        let kept = scanned_word.load(Relaxed) & !marked;
        scanned_word.store(kept, Relaxed);
        live += (occupied & !dead).count_ones() as usize;
        held += kept.count_ones() as usize;
        report.swept += dead.count_ones() as usize;
        let touched = if table.drop.is_some() { dead.count_ones() } else { 0 };
        let looked_at = walk.looked_at(slots, touched);
        report.slots_scanned += looked_at as usize;
        report.slots_skipped += (slots - looked_at) as usize;
        // SAFETY: nothing reachable leads to the dead slots, and their bits are clear.
        unsafe { destructors.run(table, bucket(page, index), dead) };
    }
    (live, held)
}
