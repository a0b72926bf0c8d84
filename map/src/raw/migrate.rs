//! Elastic growth and shrinking: a watermark walks over the hashes, and entries are at home under one size above it and
//! under another below it.
//!
//! Owned by `upkeep`, which decides when. Growing it walks down from the top hash, `upper` being the new size: homes only
//! move up. Shrinking it walks up from the lowest, `lower` being the new size: homes only move down. Pseudocode of a step:
//!
//! ```text
//! low..high = the next homes of the old size: a batch of entries, or as many homes as a step looks through
//! last = end of the trail from high - 1
//! for each entry of buckets low..=last: hash it; remember it if its old home is in low..high
//! make sure that there is room for them where they go
//! watermark = first hash of home low (growing) or high (shrinking)
//! for each remembered entry, from the far end: take it from its old trail, place it again
//! ```
//!
//! All hashing and all allocation come before the first change. Where trails have grown long (equal hashes, copies in hash
//! order) a step takes as many homes as the trail has buckets, so that no trail is walked once for each home on it, and
//! moves all entries together (`haul`), so that it is not walked once for each entry either.
//! Invariant: between steps, every entry is on the trail of its home under the size that the watermark names.

#![allow(unsafe_code)]

use super::group::{ALL, Head};
use super::haul::visited;
use super::layout::{FULL_WORD, Geometry, LANE_BITS, LANES, Layout, OS_PAGE, PASSES, SLOTS};
use super::passes::{CLASSES, Passes, class};
use super::policy::{BATCH, STEP_BUCKETS};
use super::storage::TryReserveError;
use super::table::{Bare, LONG_TRAIL, RawTable, Spot};
use crate::checked::{self, seeded};
use crate::hash::{first_hash, home, tag_byte};
use crate::probes;
use allocator_api2::alloc::Allocator;
use bucketmask_alloc::prefetch;
use core::alloc::Layout as Block;
use core::mem;
use core::ops::Range;
use core::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// Bytes of a cache line.
const LINE: usize = 64;

/// Buckets of a trail from which on a step of growth takes as many homes as the trail has buckets. Shorter ones are gone over again by the next
/// steps, which costs little, as only what has strayed is left there; a step that took them all at once would be the slowest in a thousand.
const TEDIOUS: usize = 8 * LONG_TRAIL;

/// An entry about to be placed anew.
#[derive(Clone, Copy)]
pub(crate) struct Move {
    pub(crate) hash: u64,
    pub(crate) spot: Spot,
}

impl<T, L: Layout> Bare<T, L> {
    /// Whether a migration is under way, to more homes or to fewer.
    #[inline(always)]
    pub(crate) fn is_migrating(&self) -> bool {
        self.care.target != 0
    }

    /// Starts to grow to `homes` home buckets, which are open. Nothing moves before the first step.
    pub(crate) fn begin(&mut self, homes: usize) {
        debug_assert!(!self.is_migrating() && self.upper == self.lower);
        debug_assert!(homes > self.upper && homes <= self.buckets);
        self.care.target = homes;
        self.care.shrinking = false;
        self.care.frontier = self.lower;
        self.care.touched = [self.buckets; 2];
        self.care.held_until = 0;
        // A home of the size that is left.
        self.care.crowded = None;
        self.trigger = 0;
    }

    /// Starts to shrink to `homes` home buckets. Nothing moves before the first step.
    pub(crate) fn begin_shrink(&mut self, homes: usize) {
        debug_assert!(!self.is_migrating() && self.upper == self.lower && homes < self.upper);
        (self.lower, self.watermark) = (homes, 0);
        self.care.target = homes;
        self.care.shrinking = true;
        self.care.frontier = 0;
        self.care.held_until = 0;
        // A home of the size that is left, and perhaps among the buckets that are given up.
        self.care.crowded = None;
        self.trigger = 0;
    }

    /// Entries in `bucket`, which is open.
    #[inline(always)]
    pub(crate) fn population(&self, bucket: usize) -> usize {
        debug_assert!(bucket < self.buckets);
        // SAFETY: an open bucket has a mask word.
        (unsafe { self.word(bucket / LANES) } >> (bucket % LANES * LANE_BITS) & u64::from(ALL)).count_ones()
            as usize
    }

    /// The old homes of the next step, `batch` entries' worth of them or a little more, and the last bucket on their
    /// trails.
    fn next_homes(&self, batch: usize) -> (Range<usize>, usize) {
        let frontier = self.care.frontier;
        let mut found = 0;
        if self.care.shrinking {
            let most = self.upper.min(frontier + STEP_BUCKETS);
            let mut high = frontier;
            while high < most && found < batch {
                found += self.population(high);
                high += 1;
            }
            let last = self.trail_end(high - 1);
            let trail = last + 1 - high;
            if trail > LONG_TRAIL.max(high - frontier) {
                high = self.upper.min(frontier + trail);
            }
            return (frontier..high, self.trail_end(high - 1).max(last));
        }
        let last = self.trail_end(frontier - 1);
        let trail = last + 1 - frontier;
        let least = frontier.saturating_sub(STEP_BUCKETS);
        let mut low = frontier;
        while low > least && found < batch {
            low -= 1;
            found += self.population(low);
        }
        if trail > TEDIOUS {
            low = low.min(frontier.saturating_sub(trail));
        }
        (low..frontier, last)
    }

    /// Touches the next OS page that entries of old homes from `low` on will go to, if it was never touched. The system puts
    /// memory behind a page at its first touch, which takes as long as many moves: one call does one or the other.
    fn touches_ahead(&mut self, low: usize) -> bool {
        let [heads, slots] = self.care.touched;
        if self.care.shrinking || home(first_hash(low, self.lower), self.care.target) >= heads.max(slots) {
            return false;
        }
        let bucket = heads.max(slots) - 1;
        // SAFETY: an open bucket, and the first two for their addresses.
        unsafe {
            let head = L::Geometry::head(&self.zones, bucket);
            if heads > bucket {
                // A write whatever is there: a page that is read first is touched twice.
                let passes = AtomicU8::from_ptr(head.add(PASSES));
                let _ = passes.compare_exchange(0, 0, Relaxed, Relaxed);
                let stride =
                    L::Geometry::head(&self.zones, 1).addr() - L::Geometry::head(&self.zones, 0).addr();
                self.care.touched[0] = bucket - (head.addr() % OS_PAGE / stride).min(bucket);
            } else {
                let first = L::Geometry::slot(&self.zones, bucket, 0);
                if size_of::<T>() > 0 && Head::load(head).occupied() == 0 {
                    first.cast::<u8>().write_volatile(0);
                }
                let stride =
                    L::Geometry::slot(&self.zones, 1, 0).addr() - L::Geometry::slot(&self.zones, 0, 0).addr();
                self.care.touched[1] = bucket - (first.addr() % OS_PAGE / stride.max(1)).min(bucket);
            }
        }
        true
    }

    /// Asks for the memory that the next step of growth will read and write: until then the caller's own work goes on.
    fn ask_for_next_step(&self) {
        if !self.is_migrating() || self.is_near() {
            return;
        }
        let low = self.care.frontier.saturating_sub(2);
        let into = home(first_hash(low, self.lower), self.care.target);
        // A step takes two buckets or a little less; of large entries the first lines.
        let lines = (2 * SLOTS * size_of::<T>()).div_ceil(LINE).min(2 * SLOTS);
        for bucket in [low, into] {
            // SAFETY: open buckets, for their addresses; what lies behind them is asked for and not read.
            unsafe {
                let slots = L::Geometry::slot(&self.zones, bucket, 0).cast::<u8>();
                (0..lines).for_each(|line| prefetch(slots.wrapping_add(LINE * line)));
                prefetch(L::Geometry::head(&self.zones, bucket));
            }
        }
    }

    /// Whether `wanted` entries, all of home `home` at worst, find free slots there and behind; else the buckets lacking.
    pub(crate) fn lacks(&self, home: usize, wanted: usize) -> usize {
        let mut free = 0;
        // A mask word at a time; of the first one the buckets from `home` on, of the last one those that are open.
        let mut lanes = FULL_WORD << (home % LANES * LANE_BITS);
        for word in home / LANES..self.words() {
            let open = self.buckets - word * LANES;
            if open < LANES {
                lanes &= (1 << (open * LANE_BITS)) - 1;
            }
            // SAFETY: a word of the table.
            free += (!unsafe { self.word(word) } & lanes).count_ones() as usize;
            if free >= wanted {
                return 0;
            }
            lanes = FULL_WORD;
        }
        (wanted - free).div_ceil(SLOTS)
    }
}

impl<T, A: Allocator, L: Layout> RawTable<T, A, L> {
    /// Moves the entries of the next homes, a batch of them, or of all that are left.
    ///
    /// # Errors
    /// There is no memory to do it; nothing has changed.
    pub(crate) fn step(&mut self, hash: &impl Fn(&T) -> u64) -> Result<(), TryReserveError> {
        self.step_of(L::BATCH, hash)
    }

    /// As `step`, for a batch of this many entries.
    pub(crate) fn step_of(&mut self, batch: usize, hash: &impl Fn(&T) -> u64) -> Result<(), TryReserveError> {
        if !self.is_migrating() {
            return Ok(());
        }
        let (homes, last) = self.next_homes(batch);
        probes::split(homes.start, homes.len(), self.care.target);
        if batch == L::BATCH && self.storage.is_range() && self.touches_ahead(homes.start) {
            return Ok(());
        }
        if self.bare.lift(homes.start, last, hash) {
            self.move_watermark(&homes);
            self.ask_for_next_step();
            return Ok(());
        }
        // Should a hasher panic, the lists are lost and nothing else.
        let mut moves = mem::take(&mut self.care.moves);
        let mut stays = mem::take(&mut self.care.stays);
        self.gather(homes.clone(), last, hash, &mut moves, &mut stays)?;
        if let Some(top) = moves.iter().map(|entry| entry.hash).max() {
            let lacking = self.lacks(home(top, self.care.target), moves.len());
            if lacking > 0 {
                self.make_room(self.buckets + lacking)?;
            }
        }
        let (shrinking, from) = (self.care.shrinking, self.old_homes());
        if Bare::<T, L>::is_haul(&moves, from) {
            let mut buffer = Vec::new();
            buffer.try_reserve_exact(moves.len()).map_err(|_| no_list::<T>(moves.len()))?;
            self.move_watermark(&homes);
            // SAFETY: remembered just now, each once, and there is room for them, in the buffer too. What passed the buckets
            // and stays is noted; what goes to them is so when it is placed.
            unsafe { self.bare.haul(&mut moves, homes.start, &stays, buffer) };
            self.keep(moves, stays);
            return Ok(());
        }
        // No user code and no failure from here on.
        self.move_watermark(&homes);
        // SAFETY: open buckets. What passed them and stays is noted; what goes to them is so when it is placed.
        unsafe { self.keep_passes(homes.start, &stays) };
        let mut shift = |&Move { hash, spot }: &Move| {
            // SAFETY: the spot was occupied above, and each spot is remembered once: what is placed in between goes to
            // free slots, and a slot that was freed here is not visited again.
            unsafe {
                visited(spot.bucket.saturating_sub(home(hash, from)));
                let left = L::Geometry::slot(&self.bare.zones, spot.bucket, spot.slot).cast_const();
                checked::moves(left);
                let entry = self.bare.vacate(spot);
                let (home, spot) = self.bare.seek_open(hash);
                visited(2 * (spot.bucket - home));
                self.bare.fill(hash, home, spot, entry);
                self.bare.moved_to(spot);
                checked::is_moved(left);
            }
        };
        if shrinking {
            moves.iter().rev().for_each(&mut shift);
        } else {
            moves.iter().for_each(&mut shift);
        }
        self.keep(moves, stays);
        Ok(())
    }

    /// Keeps the lists' memory for the next step, if there is one.
    fn keep(&mut self, moves: Vec<Move>, stays: Vec<Passes>) {
        if self.is_migrating() {
            (self.care.moves, self.care.stays) = (moves, stays);
        }
    }

    /// Remembers the entries of buckets up to `last` whose old home is among `homes`, from the last bucket on, and what the others there have
    /// passed. Nothing from behind `last` has.
    fn gather(
        &self,
        homes: Range<usize>,
        last: usize,
        hash: &impl Fn(&T) -> u64,
        moves: &mut Vec<Move>,
        stays: &mut Vec<Passes>,
    ) -> Result<(), TryReserveError> {
        let (from, first) = (self.old_homes(), homes.start);
        moves.clear();
        stays.clear();
        let buckets = last + 1 - first;
        if stays.try_reserve(buckets).is_err() {
            return Err(no_list::<Passes>(buckets));
        }
        stays.resize(buckets, Passes::NONE);
        // Of each class the lowest home of what stays in the buckets seen so far.
        let mut lowest = [usize::MAX; CLASSES];
        for bucket in (first..=last).rev() {
            visited(1);
            stays[bucket - first] = Passes::by(&lowest, bucket);
            if moves.try_reserve(SLOTS).is_err() {
                return Err(no_list::<Move>(moves.len() + SLOTS));
            }
            self.each_spot_of(bucket, |table, spot| {
                // SAFETY: the walk yields occupied spots.
                let hash = hash(unsafe { table.at(spot) });
                if homes.contains(&home(hash, from)) {
                    moves.push(Move { hash, spot });
                } else {
                    let lowest = &mut lowest[class(tag_byte(hash))];
                    *lowest = table.home(hash).min(*lowest);
                }
            });
        }
        Ok(())
    }

    /// Moves everything that is left to move.
    pub(crate) fn finish(&mut self, hash: &impl Fn(&T) -> u64) -> Result<(), TryReserveError> {
        while self.is_migrating() {
            self.step_of(32 * BATCH, hash)?;
        }
        Ok(())
    }
}

/// There is no memory for a list of so many.
fn no_list<U>(len: usize) -> TryReserveError {
    TryReserveError::AllocError { layout: Block::array::<U>(len).unwrap_or(Block::new::<U>()) }
}

impl<T, L: Layout> Bare<T, L> {
    /// The size that a migration leaves.
    fn old_homes(&self) -> usize {
        if self.care.shrinking { self.upper } else { self.lower }
    }

    /// From here on the hashes of `homes`, of the old size, are looked up under the new one. After the last of them the
    /// table rests.
    pub(super) fn move_watermark(&mut self, homes: &Range<usize>) {
        let is_last = if self.care.shrinking { homes.end == self.upper } else { homes.start == 0 };
        if is_last {
            (self.upper, self.lower, self.watermark) = (self.care.target, self.care.target, 0);
            self.care.target = 0;
            self.care.held_until = 0;
            self.care.closing = self.care.shrinking;
        } else if self.care.shrinking {
            self.watermark = first_hash(homes.end, self.upper);
            self.care.frontier = homes.end;
        } else {
            self.upper = self.care.target;
            self.watermark = first_hash(homes.start, self.lower);
            self.care.frontier = homes.start;
        }
        if self.is_migrating() && seeded!("map: watermark one bucket too high") {
            self.watermark = first_hash(self.care.frontier + 1, self.old_homes());
        }
        if self.is_migrating() && seeded!("map: watermark one bucket too low") {
            self.watermark = first_hash(self.care.frontier.saturating_sub(1), self.old_homes());
        }
        self.watermark_moved();
    }

    /// The home of `hash` and the free spot that a new entry of that hash goes to, which there is.
    #[inline(always)]
    fn seek_open(&self, hash: u64) -> (usize, Spot) {
        let home = self.home(hash);
        let mut bucket = home;
        loop {
            // SAFETY: `step` has made sure that a free slot comes before the end.
            let free = unsafe { Head::load(L::Geometry::head(&self.zones, bucket)) }.empty();
            if free != 0 {
                return (home, Spot { bucket, slot: free.trailing_zeros() as usize });
            }
            bucket += 1;
        }
    }
}
