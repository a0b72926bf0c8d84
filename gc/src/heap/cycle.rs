//! The cycle as a machine of three phases, run in steps by debt or to an end.
//!
//! ```text
//! Sleep --begin--> Mark --nothing grey--> Sweep --all swept--> Sleep
//!                   ^ |
//!                   +-+  a write barrier, a changed root or a resurrection makes something grey again
//! ```
//!
//! Invariant: a run takes place only while no callback does, so all pointers that will be used again are reachable from the
//! root. A `trace` that panics gives the cycle up, back to `Sleep`; destructors' panics are passed on when the run ends.
#![allow(unsafe_code)]

use super::sweep::Destructors;
use super::{Context, Heap, checked};
use crate::budget::Limit;
use crate::collect::Collect;
use crate::metrics::{Metrics, QUANTUM_BYTES};
use crate::probes;
use crate::spans;
use crate::trace_line;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

/// What the collector is doing, or about to go on with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    Sleep,
    Mark,
    Sweep,
}

/// Where a run stops at the latest, in the order of a cycle.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Until {
    /// Before the sweep.
    Marked,
    /// When the sweep has started.
    Sweeping,
    /// When the cycle ends that runs, or that this run begins.
    CycleEnd,
    /// As long as there is debt; but when a cycle ends that this run began.
    Paid,
}

/// How much a run does on its way.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effort {
    /// What there is debt for: nothing if there is none.
    Debt,
    /// Until all work that was ever done in the arena comes to so many bytes.
    Work(usize),
    /// Until then.
    Until(Instant),
    All,
}

impl Effort {
    /// What a budget that is given now allows.
    pub(crate) fn within(limit: Limit, metrics: &Metrics) -> Self {
        match limit {
            Limit::Work(bytes) => Self::Work(metrics.all_work().saturating_add(bytes.max(1))),
            Limit::Until(end) => Self::Until(end),
        }
    }

    fn is_spent(self, metrics: &Metrics) -> bool {
        match self {
            Self::Debt => metrics.allocation_debt() <= 0.0,
            Self::Work(end) => metrics.all_work() >= end,
            Self::Until(end) => Instant::now() >= end,
            Self::All => false,
        }
    }

    /// Bytes of objects to trace before the next look.
    fn quantum(self, metrics: &Metrics) -> usize {
        match self {
            Self::Debt => metrics.tracing_due(),
            Self::Work(end) => end.saturating_sub(metrics.all_work()).clamp(1, QUANTUM_BYTES),
            Self::Until(_) => QUANTUM_BYTES,
            Self::All => usize::MAX,
        }
    }
}

/// The time since `now`, which is set to the present.
fn lap(now: &mut Instant) -> Duration {
    let before = std::mem::replace(now, Instant::now());
    *now - before
}

/// A call that collects.
struct Step {
    start: Instant,
    /// All work before it.
    work: usize,
}

impl Step {
    /// Counts the step, which ends now, in the cycle that it belonged to: the one that it ended, if it has.
    fn note(self, now: Instant, cycles: u64, heap: &mut Heap, metrics: &Metrics) {
        let ended = heap.last.cycle != cycles;
        let report = if ended { &mut heap.last } else { &mut heap.report };
        report.steps += 1;
        report.longest_step = report.longest_step.max(now - self.start);
        report.most_work = report.most_work.max(metrics.all_work().wrapping_sub(self.work));
        if ended && heap.traces {
            trace_line::write(&heap.last);
        }
    }
}

impl Context {
    #[inline]
    pub(crate) fn phase(&self) -> Phase {
        self.phase.get()
    }

    pub(super) fn set_phase(&mut self, phase: Phase) {
        if phase != self.phase() {
            spans::change(self.phase(), phase, self.metrics.total_gc_count());
            probes::phase(self.phase(), phase, self.metrics.total_gc_count());
        }
        self.phase.set(phase);
        self.view.alert = phase == Phase::Mark || self.counts.get() || checked::is_armed();
    }

    /// Whether to count barriers that have nothing to do.
    pub(crate) fn count_barriers(&mut self, counts: bool) {
        self.counts.set(counts);
        self.set_phase(self.phase());
    }

    /// Whether marking has something left to do; only while it runs.
    pub(crate) fn has_grey(&self) -> bool {
        // SAFETY: no user code runs while this shared borrow lasts.
        unsafe { (*self.heap.get()).marker.has_grey() }
    }

    /// The root may have taken up pointers.
    #[inline]
    pub(crate) fn root_barrier(&mut self) {
        if self.phase.get() == Phase::Mark && !checked::seeded!("gc: root barrier removed") {
            self.heap.get_mut().marker.root_is_grey = true;
        }
    }

    /// Runs the collector.
    ///
    /// # Safety
    ///
    /// `root` is this arena's, and nothing that it does not reach will be used again.
    pub(crate) unsafe fn run<'gc, R: Collect<'gc> + ?Sized>(
        &mut self,
        root: &R,
        effort: Effort,
        until: Until,
    ) {
        if effort.is_spent(&self.metrics) {
            return;
        }
        self.settle_callbacks();
        let step = Step { start: Instant::now(), work: self.metrics.all_work() };
        let cycles = self.heap.get_mut().last.cycle;
        // SAFETY: as the caller promises.
        unsafe {
            self.run_phases(root, effort, until, step.start, |now, heap, metrics| {
                step.note(now, cycles, heap, metrics);
            });
        };
    }

    /// Goes from phase to phase. The clock is read when a piece of a phase ends, and once before the first.
    ///
    /// # Safety
    ///
    /// As for `run`.
    unsafe fn run_phases<'gc, R: Collect<'gc> + ?Sized>(
        &mut self,
        root: &R,
        effort: Effort,
        until: Until,
        mut now: Instant,
        end: impl FnOnce(Instant, &mut Heap, &Metrics),
    ) {
        let mut destructors = Destructors::default();
        // Whether the cycle began in this run.
        let mut began = false;
        loop {
            let phase = self.phase.get();
            let _span = spans::phase(phase, self.heap.get_mut().last.cycle + 1);
            match phase {
                Phase::Sleep => {
                    began = true;
                    self.heap.get_mut().start_marking();
                    self.set_phase(Phase::Mark);
                }
                Phase::Mark => {
                    let ended = self.mark_some(root, effort, &mut now);
                    if ended && until == Until::Marked {
                        break;
                    }
                    if ended {
                        self.look(root);
                        self.heap.get_mut().start_sweep();
                        self.set_phase(Phase::Sweep);
                    }
                }
                Phase::Sweep if until <= Until::Sweeping => break,
                Phase::Sweep => {
                    let ended = self.sweep_some(effort, &mut destructors, &mut now);
                    // After a destructor's panic no `trace` may run, which could panic too.
                    if ended && (began || until == Until::CycleEnd || destructors.panicked()) {
                        self.finish_cycle(began);
                        break;
                    }
                    if ended {
                        self.finish_cycle(began);
                    }
                }
            }
            if effort.is_spent(&self.metrics) {
                break;
            }
        }
        end(now, self.heap.get_mut(), &self.metrics);
        destructors.resume_panic();
    }

    /// Marks for a while, from `now` on, which is set to the end. True: nothing is grey.
    fn mark_some<'gc, R: Collect<'gc> + ?Sized>(
        &mut self,
        root: &R,
        effort: Effort,
        now: &mut Instant,
    ) -> bool {
        let _phase = checked::enter("mark");
        let budget = effort.quantum(&self.metrics);
        let heap = self.heap.get_mut();
        let Heap { marker, report, .. } = heap;
        marker.relocate();
        let marked = catch_unwind(AssertUnwindSafe(|| marker.drain(root, budget)));
        match marked {
            Ok(ended) => {
                let (marked, traced) = marker.take_work();
                self.metrics.count_traced(marked, traced);
                report.mark_time += lap(now);
                ended
            }
            Err(panic) => {
                // An unwinding `trace` may not have told of all pointers, and may unwind for ever: the cycle is given up.
                heap.abandon_marking();
                self.metrics.abandon_cycle();
                self.set_phase(Phase::Sleep);
                resume_unwind(panic)
            }
        }
    }

    /// Sweeps for a while, from `now` on, which is set to the end. True: all is swept.
    fn sweep_some(&mut self, effort: Effort, destructors: &mut Destructors, now: &mut Instant) -> bool {
        let _phase = checked::enter("sweep");
        let metrics = &self.metrics;
        let heap = self.heap.get_mut();
        let pages = if effort == Effort::All { usize::MAX } else { 1 };
        let ended = heap.sweep_some(metrics, destructors, pages, || effort.is_spent(metrics));
        heap.report.sweep_time += lap(now);
        ended
    }

    fn finish_cycle(&mut self, as_one_piece: bool) {
        let barriers = self.barriers.get();
        let heap = self.heap.get_mut();
        heap.report.barriers = barriers.since(heap.barriers_before);
        heap.barriers_before = barriers;
        heap.finish_sweep();
        spans::end(&heap.last);
        probes::cycle_end(heap.last.cycle, heap.last.swept, heap.last.live_bytes);
        self.metrics.finish_cycle(as_one_piece);
        self.set_phase(Phase::Sleep);
    }
}
