//! Frees what was not marked, a word at a time. Owns the order in which bits are cleared and destructors run.
//!
//! ```text
//! for each word:  dead = occupied & !marked;  occupied &= marked;  scanned &= occupied ^ marked;  marked = 0
//!                 destructors of dead, if the type has any
//! ```
//!
//! A page at a time; between two pages the program may run. It is handed slots of swept and of fresh pages only, so what
//! it allocates meanwhile is white and stays. Pages of a type without destructors are swept early when it runs out of
//! slots. Invariant: a slot's bit in `occupied` is clear before its destructor runs, and no window is open on an unswept
//! page. So a destructor that panics leaves masks that are true, and the sweep goes on; the first panic is passed on at the
//! end of the step.
#![allow(unsafe_code)]

use super::colour::Place;
use super::remains::Remains;
use super::table::TypeTable;
use super::types::{TypeHeap, USER_WEAK, bucket};
use super::{Heap, checked};
use crate::metrics::{Metrics, UNIT_BYTES};
use crate::parts::PART_BYTES;
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
    pub(super) unsafe fn run(
        &mut self,
        table: &'static TypeTable,
        first: NonNull<u8>,
        dead: u64,
        remains: &mut Remains,
    ) {
        let Some(drop_run) = table.drop else { return };
        let mut left = dead;
        while left != 0 {
            // SAFETY: as the caller promises; each bit is cleared before its destructor runs.
            self.catch(|| unsafe { drop_run(first.as_ptr(), &mut left, remains) });
        }
    }

    /// Runs what may panic. `None`: it did.
    pub(super) fn catch<R>(&mut self, run: impl FnOnce() -> R) -> Option<R> {
        match catch_unwind(AssertUnwindSafe(run)) {
            Ok(result) => Some(result),
            Err(panic) => {
                match self.panic {
                    Some(_) => discard(panic),
                    None => self.panic = Some(panic),
                }
                None
            }
        }
    }

    /// Whether there was a panic.
    pub(super) fn panicked(&self) -> bool {
        self.panic.is_some()
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

/// What a sweep needs beside the pages: how to look, and where to say what was found.
pub(super) struct Sweep<'a> {
    pub(super) walk: Walk,
    pub(super) report: &'a mut CycleReport,
    pub(super) metrics: &'a Metrics,
    pub(super) destructors: &'a mut Destructors,
    pub(super) remains: &'a mut Remains,
}

impl Heap {
    /// Nothing is grey any more: everything now held is to be swept, and nothing of it is handed out before it was.
    pub(super) fn start_sweep(&mut self) {
        self.report.slots_scanned = self.marker.scanned;
        self.report.slots_skipped = self.marker.skipped;
        self.report.resurrected = self.marker.resurrected;
        self.report.lines = self.marker.lines;
        self.sweeping = 0;
        for heap in self.index.heaps_mut() {
            heap.start_sweep();
        }
        self.huge.start_sweep();
    }

    /// Sweeps pages, one after the other, until `enough` says so, which is asked after so many pages. True: all are swept.
    pub(super) fn sweep_some(
        &mut self,
        metrics: &Metrics,
        destructors: &mut Destructors,
        pages: usize,
        mut enough: impl FnMut() -> bool,
    ) -> bool {
        while let Some(waiter) = self.marker.ephemerons.next_dead() {
            // SAFETY: the map was marked in this cycle, so it stays.
            destructors.catch(|| unsafe { (Place::of(waiter.owner).table().forget)(&waiter) });
            metrics.count_work(UNIT_BYTES);
            if enough() {
                return false;
            }
        }
        let Self { walk, ref mut report, ref mut remains, .. } = *self;
        let mut sweep = Sweep { walk, report, metrics, destructors, remains };
        if !sweep.bury_remains(&mut enough) {
            return false;
        }
        while let Some(heap) = self.index.heap_mut(self.sweeping) {
            while heap.sweep_pages(&mut sweep, pages) {
                if enough() || !sweep.bury_remains(&mut enough) {
                    return false;
                }
            }
            self.sweeping += 1;
        }
        while self.huge.sweep_next(&mut sweep) {
            if enough() || !sweep.bury_remains(&mut enough) {
                return false;
            }
        }
        true
    }

    /// Completes the report of a cycle.
    pub(super) fn finish_sweep(&mut self) {
        self.report.held_bytes = self.held_bytes();
        self.last = self.report;
    }
}

impl Sweep<'_> {
    /// Drops what takes more than a step, until `enough` says so. True: nothing of it is left.
    fn bury_remains(&mut self, enough: &mut impl FnMut() -> bool) -> bool {
        while !self.remains.is_empty() {
            self.remains.drop_a_part(self.destructors);
            self.metrics.count_work(PART_BYTES);
            if enough() {
                return self.remains.is_empty();
            }
        }
        true
    }
}

/// Pages whose objects all stay.
#[derive(Default)]
struct Whole {
    pages: usize,
    dense: usize,
    slots: usize,
    live: usize,
}

impl TypeHeap {
    /// Sweeps at most so many pages, fewer if some value takes more than a step to drop. False: all were swept before. Counting
    /// bits is a good part of it, and one instruction where the processor has it.
    pub(super) fn sweep_pages(&mut self, sweep: &mut Sweep<'_>, most: usize) -> bool {
        /// The same, compiled for processors that count bits.
        ///
        /// # Safety
        ///
        /// The processor has the instructions.
        #[cfg(all(target_arch = "x86_64", not(bucketmask_portable)))]
        #[target_feature(enable = "popcnt,bmi1")]
        unsafe fn with_popcnt(heap: &mut TypeHeap, sweep: &mut Sweep<'_>, most: usize) -> bool {
            heap.sweep_each(sweep, most)
        }

        #[cfg(all(target_arch = "x86_64", not(bucketmask_portable)))]
        if std::arch::is_x86_feature_detected!("popcnt") && std::arch::is_x86_feature_detected!("bmi1") {
            // SAFETY: the processor has the instructions.
            return unsafe { with_popcnt(self, sweep, most) };
        }
        self.sweep_each(sweep, most)
    }

    #[inline(always)]
    fn sweep_each(&mut self, sweep: &mut Sweep<'_>, most: usize) -> bool {
        let table = self.table();
        let mut whole = Whole::default();
        let mut swept = 0;
        while swept < most && sweep.remains.is_empty() {
            let Some(page) = self.next_unswept() else { break };
            swept += 1;
            let stays = if sweep.walk == Walk::Mask { pass_whole(page, table.needs_trace) } else { None };
            let Some(live) = stays else {
                self.sweep_one(page, sweep, false);
                continue;
            };
            let slots = page.slots();
            whole.pages += 1;
            whole.dense += usize::from(live * 2 >= slots);
            whole.slots += slots;
            whole.live += live;
            self.keep_page(page);
        }
        let report = &mut *sweep.report;
        report.marked += whole.live;
        report.live_bytes += whole.live * table.slot_bytes;
        report.slots_skipped += whole.slots;
        report.pages += whole.pages;
        report.pages_dense += whole.dense;
        report.pages_sparse += whole.pages - whole.dense;
        sweep.metrics.count_kept(whole.pages, whole.live * table.slot_bytes);
        swept != 0
    }

    /// Sweeps the next page, and keeps it even if it is empty. False: all are swept.
    pub(super) fn sweep_next(&mut self, sweep: &mut Sweep<'_>) -> bool {
        let Some(page) = self.next_unswept() else { return false };
        self.sweep_one(page, sweep, true);
        true
    }

    /// Sweeps a page, and gives it back if it is empty; unless it is `wanted`, or the first such page: so a type that comes and
    /// goes does not lend one in every cycle.
    #[inline(never)]
    fn sweep_one(&mut self, page: LentPage, sweep: &mut Sweep<'_>, wanted: bool) {
        let table = self.table();
        let Tally { live, held, dead, freed } = sweep_page(page, table, sweep);
        let report = &mut *sweep.report;
        report.marked += live;
        report.swept += dead;
        report.live_bytes += live * table.slot_bytes;
        let looked_at = match sweep.walk {
            Walk::Flat => page.slots(),
            Walk::Mask if table.drop.is_some() => dead,
            Walk::Mask => 0,
        };
        report.slots_scanned += looked_at;
        report.slots_skipped += page.slots() - looked_at;
        sweep.metrics.count_swept(table.slot_bytes, live + held, dead, freed);
        let empty = live + held == 0 || checked::seeded!("gc: page with objects given back");
        if empty && !wanted && self.keeps_spare() {
            report.pages_returned += 1;
            self.return_page(page);
            return;
        }
        report.pages += 1;
        if live * 2 >= page.slots() {
            report.pages_dense += 1;
        } else {
            report.pages_sparse += 1;
        }
        self.keep_page(page);
    }
}

/// Mask words of a page.
const WORDS: usize = 8;

/// What a page held when it was swept.
#[derive(Default)]
struct Tally {
    live: usize,
    /// Slots kept for weak pointers.
    held: usize,
    dead: usize,
    /// Slots that can be handed out again.
    freed: usize,
}

/// Sweeps a page. Counting bits is a good part of it, and one instruction where the processor has it.
fn sweep_page(page: LentPage, table: &'static TypeTable, sweep: &mut Sweep<'_>) -> Tally {
    /// The same, compiled for processors that count bits.
    ///
    /// # Safety
    ///
    /// The processor has the instruction.
    #[cfg(all(target_arch = "x86_64", not(bucketmask_portable)))]
    #[target_feature(enable = "popcnt")]
    unsafe fn with_popcnt(page: LentPage, table: &'static TypeTable, sweep: &mut Sweep<'_>) -> Tally {
        sweep_line(page, table, sweep)
    }

    #[cfg(all(target_arch = "x86_64", not(bucketmask_portable)))]
    if std::arch::is_x86_feature_detected!("popcnt") {
        // SAFETY: the processor has the instruction.
        return unsafe { with_popcnt(page, table, sweep) };
    }
    sweep_line(page, table, sweep)
}

/// Sweeps the eight words of a page: those past its slots are zero in all its masks.
#[inline(always)]
fn sweep_line(page: LentPage, table: &'static TypeTable, sweep: &mut Sweep<'_>) -> Tally {
    let (slots, walk) = (page.slots(), sweep.walk);
    let mut dead = [0; WORDS];
    // Most pages have nothing dead and hold nothing: one look at every word, without a branch, tells.
    let (mut any_dead, mut occupied_slots) = (0, 0);
    for (index, dead) in dead.iter_mut().enumerate() {
        let (occupied, marked) = (page.occupied()[index].load(Relaxed), page.marked()[index].load(Relaxed));
        *dead = walk.dead(occupied, marked, slots.saturating_sub(index * 64).min(64) as u32);
        if checked::seeded!("gc: sweep takes a marked slot") {
            *dead |= marked & marked.wrapping_neg();
        }
        any_dead |= *dead;
        occupied_slots += occupied.count_ones() as usize;
    }
    let weak = page.user()[USER_WEAK].load(Relaxed) != 0;
    let Holds { held, newly_held, let_go } = if weak { hold(page) } else { Holds::default() };
    if table.needs_trace && !weak {
        for word in page.scanned() {
            word.store(0, Relaxed);
        }
    }
    for word in page.marked() {
        word.store(0, Relaxed);
    }
    let dead = if any_dead == 0 { 0 } else { bury(page, table, &dead, sweep) };
    Tally { live: occupied_slots - dead, held, dead, freed: dead - newly_held + let_go }
}

/// Readies a page for the next cycle whose objects all stay, and says how many they are. `None`, with nothing done: some die,
/// or there is none, or a weak pointer may lead to one.
#[inline(always)]
fn pass_whole(page: LentPage, needs_trace: bool) -> Option<usize> {
    let (occupied, marked) = (page.occupied(), page.marked());
    let (mut dead, mut live) = (0, 0);
    for index in 0..WORDS {
        let marked = marked[index].load(Relaxed);
        dead |= occupied[index].load(Relaxed) & !marked;
        live += marked.count_ones() as usize;
    }
    if dead != 0 || live == 0 || page.user()[USER_WEAK].load(Relaxed) != 0 {
        return None;
    }
    // Without weak pointers only what is occupied is marked.
    for word in page.marked() {
        word.store(0, Relaxed);
    }
    if needs_trace {
        for word in page.scanned() {
            word.store(0, Relaxed);
        }
    }
    Some(live)
}

#[derive(Default)]
struct Holds {
    held: usize,
    /// Of those, slots of objects that die in this sweep.
    newly_held: usize,
    /// Slots held since an earlier cycle that no weak pointer leads to any more.
    let_go: usize,
}

/// Leaves in `scanned` the slots that weak pointers need; see `colour.rs`.
#[cold]
fn hold(page: LentPage) -> Holds {
    let mut holds = Holds::default();
    for (index, word) in page.scanned().iter().enumerate() {
        let (occupied, marked) = (page.occupied()[index].load(Relaxed), page.marked()[index].load(Relaxed));
        let scanned = word.load(Relaxed);
        let held = scanned & (occupied ^ marked);
        word.store(held, Relaxed);
        holds.held += held.count_ones() as usize;
        holds.newly_held += (held & occupied).count_ones() as usize;
        holds.let_go += (scanned & !occupied & !marked).count_ones() as usize;
    }
    page.user()[USER_WEAK].store(usize::from(holds.held != 0), Relaxed);
    holds
}

/// Frees the dead slots of a page and drops what they hold. Returns their number.
fn bury(page: LentPage, table: &'static TypeTable, dead: &[u64; WORDS], sweep: &mut Sweep<'_>) -> usize {
    let mut buried = 0;
    for (index, (&dead, occupied)) in dead.iter().zip(page.occupied()).enumerate() {
        occupied.store(occupied.load(Relaxed) & !dead, Relaxed);
        buried += dead.count_ones() as usize;
        if dead != 0 {
            // SAFETY: nothing reachable leads to the dead slots, and their bits are clear.
            unsafe { sweep.destructors.run(table, bucket(page, index), dead, sweep.remains) };
            checked::buried(page, index, dead);
        }
    }
    buried
}
