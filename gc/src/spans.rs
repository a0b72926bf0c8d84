//! What the collector tells subscribers of the crate `tracing`, behind the feature of that name.
//!
//! Owned by the cycle. A span `phase` (with the phase's name and the number of the cycle) around each piece of a phase that a step
//! runs, an event in it when the phase changes, and one when a cycle has ended. Target: `bucketmask_gc`. Invariant: without the
//! feature nothing of it is compiled.

use crate::heap::cycle::Phase;
use crate::report::CycleReport;

#[cfg(feature = "tracing")]
mod told {
    use super::{CycleReport, Phase};

    const TARGET: &str = "bucketmask_gc";

    impl Phase {
        const fn name(self) -> &'static str {
            match self {
                Self::Sleep => "sleep",
                Self::Mark => "mark",
                Self::Sweep => "sweep",
            }
        }
    }

    /// A piece of a phase begins; it ends when the span is dropped.
    pub(crate) fn phase(phase: Phase, cycle: u64) -> tracing::span::EnteredSpan {
        tracing::debug_span!(target: TARGET, "phase", phase = phase.name(), cycle).entered()
    }

    /// The phase changes.
    pub(crate) fn change(from: Phase, to: Phase, objects: usize) {
        tracing::debug!(target: TARGET, from = from.name(), to = to.name(), objects, "phase ended");
    }

    /// A cycle has ended.
    pub(crate) fn end(report: &CycleReport) {
        tracing::info!(
            target: TARGET,
            cycle = report.cycle,
            marked = report.marked,
            swept = report.swept,
            live_bytes = report.live_bytes,
            held_bytes = report.held_bytes,
            mark_nanos = report.mark_time.as_nanos() as u64,
            sweep_nanos = report.sweep_time.as_nanos() as u64,
            "cycle ended"
        );
    }
}

#[cfg(not(feature = "tracing"))]
mod told {
    use super::{CycleReport, Phase};

    /// In place of a span.
    pub(crate) struct Nothing;

    #[inline(always)]
    pub(crate) fn phase(_phase: Phase, _cycle: u64) -> Nothing {
        Nothing
    }

    #[inline(always)]
    pub(crate) fn change(_from: Phase, _to: Phase, _objects: usize) {}

    #[inline(always)]
    pub(crate) fn end(_report: &CycleReport) {}
}

pub(crate) use told::{change, end, phase};
