//! [`Metrics`] and [`Pacing`]: how much there is, and how much collecting is due.
//!
//! The scheme is gc-arena's: allocation makes debt, collection pays it, and a pacing says what each piece of collection
//! pays. Invariant: debt grows only by allocation (and by what the program adds), work only lowers it, and a cycle that
//! ran as one piece leaves none.

use crate::External;
use std::cell::Cell;
use std::rc::Rc;

/// Bytes of the smallest slot: what one unit of debt stands for.
pub(crate) const UNIT_BYTES: usize = 16;

/// Bytes that sweeping a page counts as, beside those of the values that die.
const PAGE_WORK: usize = 256;

/// Bytes of values dropped that one page counts as at most.
const PAGE_WORK_MOST: usize = QUANTUM_BYTES;

/// Bytes of work between two looks at the debt, at most.
pub(crate) const QUANTUM_BYTES: usize = 16384;

/// How fast the collector works, against allocation.
///
/// Debt is counted in units: an object that takes up to 16 bytes is one unit, a larger one as many as 16-byte objects would
/// fit in its slot (gc-arena counts one for every object, however large). When a cycle ends the collector sleeps until
/// `max(units that stayed * sleep_factor, min_sleep)` have been allocated; every unit after that is debt. Each of the other
/// factors is the debt that a kind of work pays, for one unit of what is worked on. To be sure that collection is faster
/// than allocation, and so ends, keep each of these sums below 1:
///
/// - `mark_factor + trace_factor + keep_factor`, what an object costs that stays,
/// - `drop_factor + free_factor`, what an object costs that goes,
/// - `mark_factor + drop_factor + keep_factor`, what an object costs that weak pointers are left of.
///
/// Smaller factors give longer steps and less memory in use, larger ones the opposite.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pacing {
    /// Units to allocate before the next cycle begins, as a share of the units that the last one left.
    pub sleep_factor: f64,
    /// Fewest units to allocate before the next cycle begins.
    pub min_sleep: usize,
    /// Debt paid by finding that an object is reachable.
    pub mark_factor: f64,
    /// Debt paid by tracing an object.
    pub trace_factor: f64,
    /// Debt paid by sweeping past an object that stays.
    pub keep_factor: f64,
    /// Debt paid by dropping an object.
    pub drop_factor: f64,
    /// Debt paid by freeing an object's slot.
    pub free_factor: f64,
}

impl Pacing {
    /// The default: a heap may grow by half between cycles, and every kind of work pays well under one unit.
    pub const DEFAULT: Self = Self {
        sleep_factor: 0.5,
        min_sleep: 256,
        mark_factor: 0.1,
        trace_factor: 0.4,
        keep_factor: 0.05,
        drop_factor: 0.2,
        free_factor: 0.3,
    };

    /// Cycles that run as one piece: no work pays anything before the cycle has ended. A heap may double between cycles.
    pub const STOP_THE_WORLD: Self = Self {
        sleep_factor: 1.0,
        min_sleep: 256,
        mark_factor: 0.0,
        trace_factor: 0.0,
        keep_factor: 0.0,
        drop_factor: 0.0,
        free_factor: 0.0,
    };
}

impl Default for Pacing {
    #[inline]
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// What was done in a cycle so far, in bytes of slots.
#[derive(Clone, Copy, Debug, Default)]
struct Work {
    marked: usize,
    traced: usize,
    kept: usize,
    dropped: usize,
    freed: usize,
}

#[derive(Debug, Default)]
struct Counters {
    pacing: Cell<Pacing>,
    /// Objects whose slots are taken: allocated and not freed.
    objects: Cell<usize>,
    /// Bytes of slots handed out in this cycle.
    allocated_bytes: Cell<usize>,
    /// Bytes outside the arena that its objects hold.
    external_bytes: Cell<usize>,
    /// Debt that the program added, or that the last cycle left.
    artificial_debt: Cell<f64>,
    /// Units to allocate before debt begins.
    sleep: Cell<f64>,
    work: Cell<Work>,
    /// Bytes that were traced, dropped, or looked at otherwise, since the arena was made: what budgets count.
    all_work: Cell<usize>,
}

/// An arena's counters and pacing; a cheap handle, which may outlive the arena.
#[derive(Clone, Debug)]
pub struct Metrics(Rc<Counters>);

impl Metrics {
    pub(crate) fn new() -> Self {
        Self(Rc::default())
    }

    /// Sets the pacing. The two sleeping factors count from the end of the next cycle on, the others at once.
    #[inline]
    pub fn set_pacing(&self, pacing: Pacing) {
        self.0.pacing.set(pacing);
    }

    /// How many objects the arena holds: allocated, and not freed. A dropped object that weak pointers still ask for
    /// counts until they are gone. An arena that is dropped holds none.
    #[inline]
    pub fn total_gc_count(&self) -> usize {
        self.0.objects.get()
    }

    /// Units of debt, at least 0; when there are any, [`collect_debt`](crate::Arena::collect_debt) has something to do. An
    /// arena without objects has none.
    #[inline]
    pub fn allocation_debt(&self) -> f64 {
        if self.total_gc_count() == 0 {
            return 0.0;
        }
        let allocated = units(self.0.allocated_bytes.get()) + self.0.artificial_debt.get();
        let debits = allocated - self.0.sleep.get();
        if debits <= 0.0 {
            return 0.0;
        }
        (debits - self.paid()).max(0.0)
    }

    /// Counts memory outside the arena that an object of it holds, see [`External`].
    #[inline]
    pub fn external(&self, bytes: usize) -> External {
        External::new(self.clone(), bytes)
    }

    /// Bytes outside the arena that its objects hold, as far as it was told of them.
    #[inline]
    pub fn external_bytes(&self) -> usize {
        self.0.external_bytes.get()
    }

    /// What was `had` bytes outside is `has` now.
    pub(crate) fn count_external(&self, had: usize, has: usize) {
        let counters = &self.0;
        counters.external_bytes.set(counters.external_bytes.get() - had + has);
        // What has become less frees no slot, and was debt that collecting has paid.
        counters.allocated_bytes.set(counters.allocated_bytes.get() + has.saturating_sub(had));
    }

    /// Adds to (or takes from) the debt, in units; for memory outside the arena that its objects hold.
    #[inline]
    pub fn adjust_debt(&self, units: f64) {
        self.0.artificial_debt.set(self.0.artificial_debt.get() + units);
    }

    /// Debt that this cycle's work has paid.
    fn paid(&self) -> f64 {
        let (pacing, work) = (self.0.pacing.get(), self.0.work.get());
        units(work.marked) * pacing.mark_factor
            + units(work.traced) * pacing.trace_factor
            + units(work.kept) * pacing.keep_factor
            + units(work.dropped) * pacing.drop_factor
            + units(work.freed) * pacing.free_factor
    }

    /// Bytes of objects to trace before looking at the debt again: as many as pay it, within a quantum.
    pub(crate) fn tracing_due(&self) -> usize {
        let pacing = self.0.pacing.get();
        let rate = pacing.mark_factor + pacing.trace_factor;
        if rate > 0.0 {
            let bytes = self.allocation_debt() / rate * UNIT_BYTES as f64;
            #[expect(clippy::cast_sign_loss, reason = "the debt is not negative, nor is the rate")]
            let bytes = bytes.clamp(UNIT_BYTES as f64, QUANTUM_BYTES as f64) as usize;
            bytes
        } else {
            usize::MAX
        }
    }

    #[inline(always)]
    pub(crate) fn count_allocated(&self, bytes: usize) {
        self.0.objects.set(self.0.objects.get() + 1);
        self.0.allocated_bytes.set(self.0.allocated_bytes.get() + bytes);
    }

    fn add_work(&self, add: impl FnOnce(&mut Work)) {
        let mut work = self.0.work.get();
        add(&mut work);
        self.0.work.set(work);
    }

    /// Counts work that pays no debt.
    #[inline]
    pub(crate) fn count_work(&self, bytes: usize) {
        self.0.all_work.set(self.0.all_work.get().wrapping_add(bytes));
    }

    /// Whether anything was allocated since the last cycle ended.
    pub(crate) fn has_allocated(&self) -> bool {
        self.0.allocated_bytes.get() > 0
    }

    /// All work that was done.
    #[inline]
    pub(crate) fn all_work(&self) -> usize {
        self.0.all_work.get()
    }

    pub(crate) fn count_traced(&self, marked_bytes: usize, traced_bytes: usize) {
        self.count_work(marked_bytes);
        self.add_work(|work| {
            work.marked += marked_bytes;
            work.traced += traced_bytes;
        });
    }

    /// Takes back the tracing of an object that must be traced again.
    pub(crate) fn uncount_traced(&self, bytes: usize) {
        self.add_work(|work| {
            work.marked = work.marked.saturating_sub(bytes);
            work.traced = work.traced.saturating_sub(bytes);
        });
    }

    /// Objects of `bytes` each were swept: some stay (or their slots are held), some were dropped, some slots were freed.
    pub(crate) fn count_swept(&self, bytes: usize, kept: usize, dropped: usize, freed: usize) {
        self.0.objects.set(self.0.objects.get() - freed);
        self.count_work(PAGE_WORK + (dropped * bytes).min(PAGE_WORK_MOST));
        self.add_work(|work| {
            work.kept += kept * bytes;
            work.dropped += dropped * bytes;
            work.freed += freed * bytes;
        });
    }

    /// So many pages were swept with all their objects, of so many bytes, left.
    #[inline]
    pub(crate) fn count_kept(&self, pages: usize, bytes: usize) {
        self.count_work(pages * PAGE_WORK);
        self.add_work(|work| work.kept += bytes);
    }

    /// A cycle was given up: its work pays nothing.
    pub(crate) fn abandon_cycle(&self) {
        self.0.work.set(Work::default());
    }

    /// A cycle ended. Debt that is left passes on, unless the cycle ran as one piece.
    pub(crate) fn finish_cycle(&self, as_one_piece: bool) {
        let pacing = self.0.pacing.get();
        let kept = units(self.0.work.get().kept + self.external_bytes());
        let left = if as_one_piece { 0.0 } else { self.allocation_debt() };
        self.0.sleep.set((kept * pacing.sleep_factor).max(pacing.min_sleep as f64));
        self.0.artificial_debt.set(left);
        self.0.allocated_bytes.set(0);
        self.0.work.set(Work::default());
    }

    /// The arena is gone, and all that was in it.
    pub(crate) fn close(&self) {
        self.0.objects.set(0);
        self.finish_cycle(true);
    }
}

fn units(bytes: usize) -> f64 {
    bytes as f64 / UNIT_BYTES as f64
}
