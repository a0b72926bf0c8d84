//! Lifting: the common step of growth, in which entries leave a run of buckets for others that lie above all of them.
//!
//! Owned by `migrate`, which gathers the entries. Since nothing goes to the buckets that are left, entries need not be taken
//! out one by one: they are copied, and then each bucket is told what stayed. Invariant: every gathered entry is copied
//! once before its slot is free, and no user code runs in between.

#![allow(unsafe_code)]

use super::group::Head;
use super::layout::{Geometry, HEAD, LANE_BITS, LANES, Layout};
use super::migrate::Move;
use super::passes::Passes;
use super::table::{Bare, Spot};
use crate::hash::{first_hash, home, tag_byte, tophash};
use bucketmask_alloc::BucketMask;
use core::ops::Range;
use core::ptr;

impl<T, L: Layout> Bare<T, L> {
    /// Whether all entries of old homes from `low` on, of which the last lies in bucket `last`, go above it when the
    /// table grows.
    pub(crate) fn lifts(&self, low: usize, last: usize) -> bool {
        !self.care.shrinking && home(first_hash(low, self.lower), self.care.target) > last
    }

    /// Moves entries of `buckets` to their homes under the size grown to. What stays there passed all of the buckets before
    /// it. O(entries).
    ///
    /// # Safety
    /// `moves` are live entries of `buckets`, each once, in ascending order of buckets; their homes under the new size lie
    /// above all of these, and there are free slots for all of them at or behind the highest.
    pub(crate) unsafe fn lift(&mut self, moves: &[Move], buckets: Range<usize>) {
        // From the far end, so that what comes later in hash order also lies later on a trail.
        for &Move { hash, spot } in moves.iter().rev() {
            let home = home(hash, self.care.target);
            let mut bucket = home;
            // SAFETY: a free slot comes before the end; source and destination are slots of different buckets.
            unsafe {
                let mut free = Head::load(L::Geometry::head(&self.zones, bucket)).empty();
                while free == 0 {
                    bucket += 1;
                    free = Head::load(L::Geometry::head(&self.zones, bucket)).empty();
                }
                if bucket != home {
                    self.count_passes(home, bucket, tag_byte(hash));
                }
                let to = Spot { bucket, slot: free.trailing_zeros() as usize };
                let from = L::Geometry::slot(&self.zones, spot.bucket, spot.slot);
                L::Geometry::slot(&self.zones, to.bucket, to.slot).copy_from_nonoverlapping(from, 1);
                self.appear(to, tophash(hash));
                self.moved_to(to);
            }
        }
        // SAFETY: the entries have been copied.
        unsafe { self.leave(moves, buckets) };
    }

    /// Frees the slots of `moves`, and counts anew what passed the `buckets`.
    ///
    /// # Safety
    /// As for `lift`; the entries belong to others now.
    unsafe fn leave(&mut self, moves: &[Move], buckets: Range<usize>) {
        let mut left = moves.iter().rev().peekable();
        let mut passed = Passes::NONE;
        for bucket in buckets.clone().rev() {
            let mut gone = 0u16;
            while let Some(Move { spot, .. }) = left.next_if(|entry| entry.spot.bucket == bucket) {
                gone |= 1 << spot.slot;
                if L::SCRUB {
                    // SAFETY: a slot of the table, free by now.
                    unsafe { ptr::write_bytes(L::Geometry::slot(&self.zones, bucket, spot.slot), 0, 1) };
                }
            }
            // SAFETY: an open bucket.
            unsafe {
                let head = L::Geometry::head(&self.zones, bucket);
                let mut stay = Head::load(head).occupied() & !gone;
                if stay == 0 {
                    ptr::write_bytes(head, 0, HEAD);
                }
                self.set_passes(bucket, passed);
                for slot in BucketMask::from_word(u64::from(if stay == 0 { 0 } else { gone })).occupied() {
                    *head.add(slot as usize) = 0;
                }
                while stay != 0 {
                    passed = passed.more(*head.add(stay.trailing_zeros() as usize));
                    stay &= stay - 1;
                }
                let mask = self.zones.masks.as_ptr().add(bucket / LANES);
                *mask &= !(u64::from(gone) << (bucket % LANES * LANE_BITS));
                let is_first_of_word = bucket % LANES == 0 || bucket == buckets.start;
                if is_first_of_word && *mask == 0 {
                    self.unmark(bucket / LANES);
                }
            }
        }
    }
}
