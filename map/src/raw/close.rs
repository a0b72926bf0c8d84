//! Giving back what a table that has shrunk no longer needs: its end, a piece at a time.
//!
//! Owned by `upkeep`. Invariant: only empty buckets are given up, nothing has passed the bucket that becomes
//! the last one, and what comes back later reads as empty again.

#![allow(unsafe_code)]

use super::layout::{GROUP, HEAD, LANES, Layout, SLOTS};
use super::passes::Passes;
use super::policy::{CLOSE_BYTES, spill};
use super::table::Bare;

impl<T, L: Layout> Bare<T, L> {
    /// Gives up to `CLOSE_BYTES` of empty buckets at the end back to the system.
    pub(crate) fn close_a_piece(&mut self) {
        let homes = self.upper;
        let keep = (homes + spill(homes)).max(self.trail_end(homes - 1) + 1);
        let piece = (CLOSE_BYTES / (HEAD + SLOTS * size_of::<T>())).clamp(1, CLOSE_BYTES / HEAD / SLOTS);
        let (end, start) = (self.buckets, self.buckets.saturating_sub(piece).max(keep));
        // Hashes that lie may have left an entry here.
        if start >= end || (start..end).any(|bucket| self.population(bucket) > 0) {
            self.care.closing = false;
            return;
        }
        for bucket in start..end {
            // SAFETY: an open bucket. What it knows of has gone.
            unsafe { self.set_passes(bucket, Passes::NONE) };
        }
        for word in start.div_ceil(LANES)..end.div_ceil(LANES) {
            // SAFETY: the word of an open bucket; all buckets of the word are empty.
            unsafe { *self.zones.summary.as_ptr().add(word / GROUP) &= !(1 << (word % GROUP)) };
        }
        // Removals may have left marks of what had passed it, and the buckets where that lay are given up.
        // SAFETY: an open bucket and its word, since `keep` is at least 1; no entry lies behind it.
        unsafe {
            self.set_passes(start - 1, Passes::NONE);
            self.unmark((start - 1) / LANES);
        }
        self.storage.close::<T, L>(start, end);
        self.buckets = start;
        self.care.unswept = self.care.unswept.min(start);
        self.care.closing = start > keep;
    }
}
