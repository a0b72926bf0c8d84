//! Passes that nobody is left for: made exact again, a few buckets at a time, from the top bucket down.
//!
//! Owned by `upkeep`. Entries that leave where no hasher is at hand (`retain`, `extract_if`, occupied entries) leave the
//! bits of what they passed set. Invariant: the class of every entry that lies past a bucket is marked there, in mid-repair too; so
//! growth, inserts and removals go on between the pieces.

#![allow(unsafe_code)]

use super::layout::{LANES, Layout};
use super::passes::Passes;
use super::policy::REPAIR_BUCKETS;
use super::table::Bare;
use crate::hash::tag_byte;

impl<T, L: Layout> Bare<T, L> {
    /// Whether enough has left unseen for a repair to pay.
    pub(crate) fn repair_pays(&self) -> bool {
        self.care.stale.saturating_mul(8) > self.buckets
    }

    /// Makes the passes of the next few buckets exact; begins at the top if that pays.
    pub(crate) fn repair_a_piece(&mut self, hash: &impl Fn(&T) -> u64) {
        let end = match self.care.unswept.min(self.buckets) {
            0 if self.repair_pays() => self.buckets,
            end => end,
        };
        let start = end.saturating_sub(REPAIR_BUCKETS);
        if end > 0 {
            self.recount(start, end, hash);
        }
        if end == self.buckets {
            self.care.stale = 0;
        }
        self.care.unswept = start;
    }

    /// Makes the passes of buckets `start..end` exact; `REPAIR_BUCKETS` of them at most. Hashes the entries of these and
    /// of the trails that lead on from there.
    fn recount(&mut self, start: usize, end: usize, hash: &impl Fn(&T) -> u64) {
        let mut passes = [Passes::NONE; REPAIR_BUCKETS];
        for bucket in start..=self.trail_end(end - 1) {
            self.each_spot_of(bucket, |table, spot| {
                // SAFETY: the walk yields occupied spots.
                let hash = hash(unsafe { table.at(spot) });
                for passed in table.home(hash).max(start)..spot.bucket.min(end) {
                    passes[passed - start] = passes[passed - start].with(tag_byte(hash));
                }
            });
        }
        for (bucket, passes) in (start..end).zip(passes) {
            // SAFETY: open buckets, and the mask words over them.
            unsafe {
                self.set_passes(bucket, passes);
                if passes.any() {
                    self.mark(bucket / LANES);
                } else {
                    self.unmark(bucket / LANES);
                }
            }
        }
    }
}
