//! Static probes of the collector: phases, cycles, and barriers that have something to do.
//!
//! Behind the feature `probes`: each is a `nop`, and a note in the binary that says where it is and which registers hold its
//! arguments, for perf, gdb and bpftrace. Owned by the code around the probe. Invariant: without the feature nothing of it is compiled,
//! and arguments are values that are at hand anyway.
#![allow(unsafe_code)]

use crate::heap::cycle::Phase;

/// The phase changes, from and to one of 0 sleep, 1 mark, 2 sweep; objects of the arena.
#[inline(always)]
pub(crate) fn phase(from: Phase, to: Phase, objects: usize) {
    #[cfg(feature = "probes")]
    probe::probe!(bucketmask_gc, phase, from, to, objects);
    #[cfg(not(feature = "probes"))]
    let _ = (from, to, objects);
}

/// A cycle has ended: its number, objects freed, bytes that live.
#[inline(always)]
pub(crate) fn cycle_end(cycle: u64, swept: usize, live: usize) {
    #[cfg(feature = "probes")]
    probe::probe!(bucketmask_gc, cycle_end, cycle, swept, live);
    #[cfg(not(feature = "probes"))]
    let _ = (cycle, swept, live);
}

/// A write barrier runs, or is counted: 0 backward, 1 forward, 2 bucket, 3 container; the object whose barrier it is.
#[inline(always)]
pub(crate) fn barrier(kind: u8, object: *const u8) {
    #[cfg(feature = "probes")]
    probe::probe!(bucketmask_gc, barrier, kind, object);
    #[cfg(not(feature = "probes"))]
    let _ = (kind, object);
}
