//! What one collection cycle did. Owned by the reader of figures: filled by the heap, printed by reports.
//!
//! Invariant: it is a plain value, complete when the cycle ends, and never changed afterwards.

use crate::walk::Walk;
use std::time::Duration;

/// Write barriers, by kind. All but the last two are those that ran while marking went on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Barriers {
    /// Of an object that takes up one pointer: the pointer's target is marked, if the object was traced.
    pub forward: u64,
    /// Of a whole object: it is traced again, if it was traced.
    pub backward: u64,
    /// Of 64 elements of a slice: they are traced again.
    pub bucket: u64,
    /// Of a map that takes up an entry: the entry is marked, if the map was traced.
    pub container: u64,
    /// Entries that were marked so.
    pub shaded: u64,
    /// Barriers that had nothing to do, since nothing was being marked. Counted on
    /// [request](crate::Arena::count_barriers) only, or by `BUCKETMASK_TRACE=barrier`.
    pub idle: u64,
    /// Objects that were handed out [unpublished](crate::Unpublished), whose writes run no barrier. Counted while marking goes
    /// on, or on request.
    pub unpublished: u64,
}

impl Barriers {
    /// What has come since.
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            forward: self.forward - before.forward,
            backward: self.backward - before.backward,
            bucket: self.bucket - before.bucket,
            container: self.container - before.container,
            shaded: self.shaded - before.shaded,
            idle: self.idle - before.idle,
            unpublished: self.unpublished - before.unpublished,
        }
    }
}

/// The figures of one collection cycle, from [`Arena::last_cycle`](crate::Arena::last_cycle).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CycleReport {
    /// How many cycles the arena has finished, this one included.
    pub cycle: u64,
    /// How masks were walked.
    #[doc(hidden)]
    pub walk: Walk,
    /// Time spent finding what the root reaches.
    pub mark_time: Duration,
    /// Time spent freeing the rest, destructors included.
    pub sweep_time: Duration,
    /// Steps that the cycle was run in: calls that collected something of it.
    pub steps: usize,
    /// The longest of these calls.
    pub longest_step: Duration,
    /// The most work of one of these calls, in the bytes that [`Budget::work`](crate::Budget::work) counts.
    pub most_work: usize,
    /// Barriers since the end of the cycle before.
    pub barriers: Barriers,
    /// Objects that stay: they were reachable.
    pub marked: usize,
    /// Objects that were kept though nothing led to them: by finalizer queues, or by the program in a finalization.
    pub resurrected: usize,
    /// Objects that were freed.
    pub swept: usize,
    /// Bytes of the slots of the objects that stay, huge objects with their own size.
    pub live_bytes: usize,
    /// Slots that were looked at, in pages and in the containers that count theirs, while marking and sweeping.
    pub slots_scanned: usize,
    /// Slots that were passed over without being looked at, because a mask word said that they need nothing.
    pub slots_skipped: usize,
    /// Bucket pages that the arena holds after the cycle.
    pub pages: usize,
    /// Of those, pages of which at least half the slots are occupied.
    pub pages_dense: usize,
    /// Of those, the other pages.
    pub pages_sparse: usize,
    /// Empty pages that were given back in this cycle.
    pub pages_returned: usize,
    /// Cache lines of objects and of maps' entries that marking read; counted only where the environment asks for a
    /// trace (`BUCKETMASK_TRACE=gc`), else 0.
    pub lines: usize,
    /// Bytes of the bucket pages and huge objects that the arena held before the cycle; counted as `lines` is.
    pub held_before: usize,
    /// Bytes of the bucket pages and huge objects that the arena holds after the cycle.
    pub held_bytes: usize,
}
