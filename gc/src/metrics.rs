//! [`Metrics`] and [`Pacing`]: how much there is, and when a cycle is due.
//!
//! Invariant: debt grows only by allocation (and by what the program adds), and a finished cycle pays all of it.

use std::cell::Cell;
use std::rc::Rc;

/// Bytes that one object stands for in [`Pacing::min_sleep`]: the smallest slot.
const MIN_SLOT_BYTES: f64 = 16.0;

/// When a cycle is due.
///
/// After a cycle that left `live` bytes the collector sleeps until
/// `max(live * sleep_factor, min_sleep * 16 bytes)` have been allocated; every byte above that is debt, and
/// [`Arena::collect_debt`](crate::Arena::collect_debt) runs a cycle if there is debt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pacing {
    /// Bytes to allocate before the next cycle, as a share of the bytes that the last one left alive.
    pub sleep_factor: f64,
    /// Fewest objects (of the smallest size, 16 bytes) to allocate before the next cycle.
    pub min_sleep: usize,
}

impl Pacing {
    /// The default: a heap may double between cycles.
    pub const DEFAULT: Self = Self { sleep_factor: 1.0, min_sleep: 256 };

    /// A pacing for cycles that run as one piece, which all cycles do at present: the default.
    pub const STOP_THE_WORLD: Self = Self::DEFAULT;
}

impl Default for Pacing {
    fn default() -> Self {
        Self::DEFAULT
    }
}

#[derive(Debug, Default)]
struct Counters {
    pacing: Cell<Pacing>,
    /// Objects that are allocated and not freed.
    objects: Cell<usize>,
    /// Bytes of slots handed out since the last cycle.
    allocated_bytes: Cell<usize>,
    /// Debt that the program added.
    artificial_debt: Cell<f64>,
    /// Bytes to allocate before debt begins.
    sleep_bytes: Cell<f64>,
}

/// An arena's counters and pacing; a cheap handle, which may outlive the arena.
#[derive(Clone, Debug)]
pub struct Metrics(Rc<Counters>);

impl Metrics {
    pub(crate) fn new() -> Self {
        let metrics = Self(Rc::default());
        metrics.sleep_after(0);
        metrics
    }

    /// Sets when cycles are due, from the end of the next cycle on.
    pub fn set_pacing(&self, pacing: Pacing) {
        self.0.pacing.set(pacing);
    }

    /// How many objects the arena holds: allocated, and not freed yet.
    pub fn total_gc_count(&self) -> usize {
        self.0.objects.get()
    }

    /// Bytes of debt; a cycle is due when there are any.
    pub fn allocation_debt(&self) -> f64 {
        if self.total_gc_count() == 0 {
            return 0.0;
        }
        let allocated = self.0.allocated_bytes.get() as f64 + self.0.artificial_debt.get();
        (allocated - self.0.sleep_bytes.get()).max(0.0)
    }

    /// Adds to (or takes from) the debt, in bytes; for memory outside the arena that its objects hold.
    pub fn adjust_debt(&self, bytes: f64) {
        self.0.artificial_debt.set(self.0.artificial_debt.get() + bytes);
    }

    #[inline(always)]
    pub(crate) fn count_object(&self, bytes: usize) {
        self.0.objects.set(self.0.objects.get() + 1);
        self.0.allocated_bytes.set(self.0.allocated_bytes.get() + bytes);
    }

    /// A cycle ended: `objects` and `bytes` are left.
    pub(crate) fn finish_cycle(&self, objects: usize, bytes: usize) {
        self.0.objects.set(objects);
        self.0.allocated_bytes.set(0);
        self.0.artificial_debt.set(0.0);
        self.sleep_after(bytes);
    }

    fn sleep_after(&self, live_bytes: usize) {
        let pacing = self.0.pacing.get();
        let sleep = live_bytes as f64 * pacing.sleep_factor;
        self.0.sleep_bytes.set(sleep.max(pacing.min_sleep as f64 * MIN_SLOT_BYTES));
    }
}
