//! Elastic growth: a watermark walks down from the top hash, and entries above it are at home under the new size.
//!
//! Owned by `upkeep`, which decides when. Pseudocode of a step:
//!
//! ```text
//! low = frontier - batch                         homes low..frontier of the lower size are moved together
//! last = end of the trail from frontier - 1
//! for each entry of buckets low..=last: hash it; remember it if its lower home is in low..frontier
//! watermark = first hash of home low             from here on these hashes are looked up under the upper size
//! for each remembered entry, highest first: take it from its old trail, place it again
//! ```
//!
//! All hashing comes before the first change. Homes only move up, so a step touches the new end of the table and a
//! few buckets at the frontier. Where trails have grown long (equal hashes, copies in hash order) a step takes as many
//! homes as the trail has buckets, so that no trail is walked once for each home on it.
//! Invariant: between steps, every entry is on the trail of its home under the size that the watermark names.

#![allow(unsafe_code)]

use super::layout::Layout;
use super::table::{Bare, LONG_TRAIL, RawTable, Spot};
use crate::hash::{first_hash, home};
use allocator_api2::alloc::Allocator;
use core::mem;

/// An entry about to be placed anew.
#[derive(Clone, Copy)]
pub(crate) struct Move {
    hash: u64,
    spot: Spot,
}

impl<T, L: Layout> Bare<T, L> {
    /// Whether a migration is under way.
    #[inline(always)]
    pub(crate) fn is_growing(&self) -> bool {
        self.care.target != 0
    }

    /// Starts to grow to `homes` home buckets, which are open. Nothing moves before the first step.
    pub(crate) fn begin(&mut self, homes: usize) {
        debug_assert!(
            !self.is_growing() && self.upper == self.lower && homes > self.upper && homes <= self.buckets
        );
        self.care.target = homes;
        self.care.frontier = self.lower;
        self.trigger = 0;
    }
}

impl<T, A: Allocator, L: Layout> RawTable<T, A, L> {
    /// Moves the entries of at least `batch` old homes, or of all that are left.
    pub(crate) fn step(&mut self, batch: usize, hash: &impl Fn(&T) -> u64) {
        if !self.is_growing() {
            return;
        }
        let frontier = self.care.frontier;
        let last = self.trail_end(frontier - 1);
        let trail = last + 1 - frontier;
        let low = frontier.saturating_sub(if trail > LONG_TRAIL { batch.max(trail) } else { batch });
        let mut moves = mem::take(&mut self.care.moves);
        moves.clear();
        for bucket in low..=last {
            self.each_spot_of(bucket, |table, spot| {
                // SAFETY: the walk yields occupied spots.
                let hash = hash(unsafe { table.at(spot) });
                if (low..frontier).contains(&home(hash, table.lower)) {
                    moves.push(Move { hash, spot });
                }
            });
        }
        // No user code from here on.
        self.upper = self.care.target;
        self.watermark = first_hash(low, self.lower);
        self.care.frontier = low;
        for &Move { hash, spot } in moves.iter().rev() {
            // SAFETY: the spot was occupied above, and each spot is remembered once: what is placed in between goes to
            // free slots, and a slot that was freed here is not visited again.
            unsafe {
                let entry = self.bare.take(spot, home(hash, self.bare.lower));
                if let Err(error) = self.place(hash, entry) {
                    error.raise();
                }
            }
        }
        if low == 0 {
            self.lower = self.upper;
            self.care.target = 0;
        }
        self.care.moves = moves;
    }

    /// Moves everything that is left to move.
    pub(crate) fn finish(&mut self, hash: &impl Fn(&T) -> u64) {
        while self.is_growing() {
            self.step(64, hash);
        }
    }
}
