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
use super::types::{TypeHeap, bucket};
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

/// Drops a panic's payload, which may panic in turn; one that does so for ever is leaked in the end.
fn discard(mut payload: Box<dyn Any + Send>) {
    const TRIES: usize = 16;
    for _ in 0..TRIES {
        match catch_unwind(AssertUnwindSafe(move || drop(payload))) {
            Ok(()) => return,
            Err(again) => payload = again,
        }
    }
    std::mem::forget(payload);
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
        let how = How { walk: self.walk, scans: self.holds };
        for heap in self.index.heaps_mut() {
            heap.sweep(how, &mut report, destructors);
        }
        self.huge.sweep(&mut report, destructors);
        report
    }
}

impl TypeHeap {
    fn sweep(&mut self, how: How, report: &mut CycleReport, destructors: &mut Destructors) {
        self.close_window();
        let table = self.table();
        let how = How { scans: how.scans || table.needs_trace, ..how };
        let (mut spare, mut live_here) = (false, 0);
        self.retain_pages(|page| {
            let Tally { live, held, dead } = sweep_page(page, table, how, destructors);
            live_here += live;
            report.swept += dead;
            let looked_at = match how.walk {
                Walk::Flat => page.slots(),
                Walk::Mask if table.drop.is_some() => dead,
                Walk::Mask => 0,
            };
            report.slots_scanned += looked_at;
            report.slots_skipped += page.slots() - looked_at;
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

/// Mask words of a page.
const WORDS: usize = 8;

/// How to sweep.
#[derive(Clone, Copy)]
struct How {
    walk: Walk,
    /// Whether any slot may be scanned: objects of the type are traced, or some slots are held for weak pointers.
    scans: bool,
}

/// What a page held when it was swept.
#[derive(Default)]
struct Tally {
    live: usize,
    /// Slots kept for weak pointers.
    held: usize,
    dead: usize,
}

/// Sweeps a page. Counting bits is a good part of it, and one instruction where the processor has it.
fn sweep_page(page: LentPage, table: &'static TypeTable, how: How, destructors: &mut Destructors) -> Tally {
    /// The same, compiled for processors that count bits.
    ///
    /// # Safety
    ///
    /// The processor has the instruction.
    #[cfg(all(target_arch = "x86_64", not(bucketmask_portable)))]
    #[target_feature(enable = "popcnt")]
    unsafe fn with_popcnt(
        page: LentPage,
        table: &'static TypeTable,
        how: How,
        destructors: &mut Destructors,
    ) -> Tally {
        sweep_line(page, table, how, destructors)
    }

    #[cfg(all(target_arch = "x86_64", not(bucketmask_portable)))]
    if std::arch::is_x86_feature_detected!("popcnt") {
        // SAFETY: the processor has the instruction.
        return unsafe { with_popcnt(page, table, how, destructors) };
    }
    sweep_line(page, table, how, destructors)
}

/// Sweeps the eight words of a page: those past its slots are zero in all its masks.
#[inline(always)]
fn sweep_line(page: LentPage, table: &'static TypeTable, how: How, destructors: &mut Destructors) -> Tally {
    let slots = page.slots();
    let mut dead = [0; WORDS];
    // Most pages have nothing dead and hold nothing: one look at every word, without a branch, tells.
    let (mut any_dead, mut occupied_slots) = (0, 0);
    for (index, dead) in dead.iter_mut().enumerate() {
        let (occupied, marked) = (page.occupied()[index].load(Relaxed), page.marked()[index].load(Relaxed));
        debug_assert_eq!(marked & !occupied, 0, "a free slot is marked");
        *dead = how.walk.dead(occupied, marked, slots.saturating_sub(index * 64).min(64) as u32);
        any_dead |= *dead;
        occupied_slots += occupied.count_ones() as usize;
    }
    let scanned = how.scans && page.scanned().iter().fold(0, |any, word| any | word.load(Relaxed)) != 0;
    let held = if scanned { unscan(page) } else { 0 };
    for word in page.marked() {
        word.store(0, Relaxed);
    }
    let dead = if any_dead == 0 { 0 } else { bury(page, table, &dead, destructors) };
    Tally { live: occupied_slots - dead, held, dead }
}

/// Clears the bits of scanned objects that are marked; those left are held for weak pointers. Returns their number.
fn unscan(page: LentPage) -> usize {
    let mut held = 0;
    for (scanned, marked) in page.scanned().iter().zip(page.marked()) {
        let kept = scanned.load(Relaxed) & !marked.load(Relaxed);
        scanned.store(kept, Relaxed);
        held += kept.count_ones() as usize;
    }
    held
}

/// Frees the dead slots of a page and drops what they hold. Returns their number.
fn bury(
    page: LentPage,
    table: &'static TypeTable,
    dead: &[u64; WORDS],
    destructors: &mut Destructors,
) -> usize {
    let mut buried = 0;
    for (index, (&dead, occupied)) in dead.iter().zip(page.occupied()).enumerate() {
        occupied.store(occupied.load(Relaxed) & !dead, Relaxed);
        buried += dead.count_ones() as usize;
        if dead != 0 {
            // SAFETY: nothing reachable leads to the dead slots, and their bits are clear.
            unsafe { destructors.run(table, bucket(page, index), dead) };
        }
    }
    buried
}
