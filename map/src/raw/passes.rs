//! Passes: entries of which classes lie past a bucket of their trail, sixteen bits a head, one for each class of tophashes.
//!
//! Owned by `table`. A search goes on after a bucket only if an entry of its own class passed it, so most misses end at
//! home even where a bucket has overflowed (the idea of remembering what overflows is F14's, Facebook's folly; the classes
//! are ours). A bit has no count: a removal looks on along the trail for others of the class, of which there is one in sixteen
//! entries. Invariant: a bit is set if an entry of its class lies past the bucket, and only then unless the table is
//! `stale`; the last bucket has none.

#![allow(unsafe_code)]

use super::group::Head;
use super::layout::{Geometry, LANES, Layout, PASSES, Zones};
use super::table::{Bare, LONG_TRAIL, Spot};

/// The classes that have passed a bucket, a bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct Passes(u16);

/// Classes of tophashes.
pub(crate) const CLASSES: usize = 16;

/// The class of a tophash: its upper half, which is the same before and after the byte is kept from being zero.
#[inline(always)]
pub(crate) const fn class(tag: u8) -> usize {
    tag as usize / CLASSES
}

impl Passes {
    /// Nothing has passed.
    pub(crate) const NONE: Self = Self(0);

    /// What passed `bucket`.
    ///
    /// # Safety
    /// `bucket` is open in the table of these zones, or the one head of a table without memory.
    #[inline(always)]
    pub(crate) unsafe fn load<T, L: Layout>(zones: &Zones<T>, bucket: usize) -> Self {
        // SAFETY: the caller's promise. Volatile, or the compiler takes the passes out of the vector
        // register that the head was compared in, by way of the stack.
        unsafe { Self::at::<T, L>(zones, bucket).read_volatile() }
    }

    /// Where the passes of `bucket` lie.
    ///
    /// # Safety
    /// As for `load`.
    #[inline(always)]
    unsafe fn at<T, L: Layout>(zones: &Zones<T>, bucket: usize) -> *mut Self {
        // SAFETY: the caller's promise.
        unsafe { L::Geometry::head(zones, bucket).add(PASSES).cast() }
    }

    /// What entries have passed `bucket` that lie behind it, by the lowest home of each class of them.
    pub(crate) fn by(lowest: &[usize; CLASSES], bucket: usize) -> Self {
        let bits = lowest.iter().enumerate().map(|(class, &home)| u16::from(home <= bucket) << class);
        Self(bits.fold(0, |all, bit| all | bit))
    }

    /// Whether entries of any class have passed.
    #[inline(always)]
    pub(crate) const fn any(self) -> bool {
        self.0 != 0
    }

    /// Whether entries of the class of `tag` have passed.
    #[inline(always)]
    pub(crate) const fn has(self, tag: u8) -> bool {
        self.0 >> class(tag) & 1 != 0
    }

    /// With the class of `tag`.
    #[inline(always)]
    pub(crate) const fn with(self, tag: u8) -> Self {
        Self(self.0 | 1 << class(tag))
    }

    /// Without the class of `tag`.
    #[inline(always)]
    pub(crate) const fn without(self, tag: u8) -> Self {
        Self(self.0 & !(1 << class(tag)))
    }

    /// With the classes of which there are some.
    pub(crate) fn and(self, more: &[u32; CLASSES]) -> Self {
        let bits = more.iter().enumerate().map(|(class, &count)| u16::from(count > 0) << class);
        Self(bits.fold(self.0, |all, bit| all | bit))
    }

    /// Whether all of `other`'s classes are among these.
    pub(crate) const fn cover(self, other: Self) -> bool {
        other.0 & !self.0 == 0
    }
}

/// Entries that one removal moves nearer to their homes at most.
const PULLS: usize = 2;

/// Buckets before an entry that a removal looks after, at most; where a trail is longer, bits stay.
const SOLE: usize = 64;

/// Spots of entries to be moved, each into the hole that the one before it leaves, and whether its class has passed that
/// hole's bucket by no other entry.
pub(crate) struct Pulls {
    spots: [(Spot, bool); PULLS],
    len: usize,
}

impl<T, L: Layout> Bare<T, L> {
    /// What passed `bucket`.
    ///
    /// # Safety
    /// `bucket` is open.
    #[inline(always)]
    pub(crate) unsafe fn passes(&self, bucket: usize) -> Passes {
        // SAFETY: the caller's promise.
        unsafe { Passes::load::<T, L>(&self.zones, bucket) }
    }

    /// Writes down what passed `bucket`.
    ///
    /// # Safety
    /// `bucket` is open and has a mark in the summary if anything has; it is not the last, or nothing has passed it.
    pub(crate) unsafe fn set_passes(&mut self, bucket: usize, passes: Passes) {
        // SAFETY: the caller's promise.
        unsafe { Passes::at::<T, L>(&self.zones, bucket).write(passes) };
    }

    /// What passed buckets from `first` on is no more than `all`.
    ///
    /// # Safety
    /// The buckets are open, and nothing but that has passed them.
    pub(crate) unsafe fn keep_passes(&mut self, first: usize, all: &[Passes]) {
        for (bucket, &passes) in (first..).zip(all) {
            // SAFETY: the caller's promise.
            unsafe {
                let had = self.passes(bucket);
                // A hasher that lies may tell of some that were never noted.
                let has = Passes(had.0 & passes.0);
                self.set_passes(bucket, has);
                if had.any() && !has.any() {
                    self.unmark(bucket / LANES);
                }
            }
        }
    }

    /// An entry of this tophash lies past each bucket of `home..bucket`.
    ///
    /// # Safety
    /// The buckets are open, and not the last.
    #[cold]
    #[inline(never)]
    pub(crate) unsafe fn note_passes(&mut self, home: usize, bucket: usize, tag: u8) {
        for passed in home..bucket {
            // SAFETY: the caller's promise.
            unsafe { self.set_passes(passed, self.passes(passed).with(tag)) };
        }
        if bucket - home > LONG_TRAIL {
            self.note_long_trail(home);
        }
    }

    /// Which of the buckets `home..spot.bucket` the entry at `spot` is the only one of its class to have passed: bit i speaks
    /// of the i-th before `spot.bucket`, for [`SOLE`] of them at most.
    ///
    /// Only looks: the hasher may panic. Hashes the entries of that class on this part of the trail, and behind it
    /// until one is found that has passed the bucket in question too.
    ///
    /// # Safety
    /// `spot` is occupied, and the buckets before it are open.
    unsafe fn passed_alone(&self, home: usize, spot: Spot, hash: &impl Fn(&T) -> u64) -> u64 {
        let mut alone = 0;
        // Buckets `from..to` were looked at: the lowest home of the class there is `lowest`.
        let (mut lowest, mut from, mut to) = (usize::MAX, spot.bucket + 1, spot.bucket + 1);
        // SAFETY: the caller's promise; where something has passed a bucket, the next one is open.
        unsafe {
            let tag = *L::Geometry::head(&self.zones, spot.bucket).add(spot.slot);
            for (place, passed) in (home..spot.bucket).rev().take(SOLE).enumerate() {
                while lowest > passed && from > passed + 1 {
                    from -= 1;
                    lowest = lowest.min(self.lowest_home(from, spot, tag, hash));
                }
                while lowest > passed && self.passes(to - 1).has(tag) {
                    lowest = lowest.min(self.lowest_home(to, spot, tag, hash));
                    to += 1;
                }
                alone |= u64::from(lowest > passed) << place;
            }
        }
        alone
    }

    /// The lowest home of the entries of `bucket` that are of the class of `tag`, but for the one at `spot`.
    ///
    /// # Safety
    /// `bucket` is open.
    unsafe fn lowest_home(&self, bucket: usize, spot: Spot, tag: u8, hash: &impl Fn(&T) -> u64) -> usize {
        let mut lowest = usize::MAX;
        self.each_spot_of(bucket, |table, other| {
            // SAFETY: the walk yields occupied spots.
            unsafe {
                let of = *L::Geometry::head(&table.zones, bucket).add(other.slot);
                if class(of) == class(tag) && other != spot {
                    lowest = lowest.min(table.home(hash(table.at(other))));
                }
            }
        });
        lowest
    }

    /// The entry of this tophash that lay in `bucket` has gone, which was `alone` past some buckets before.
    ///
    /// # Safety
    /// `passed_alone` has just said so, and the buckets are open.
    unsafe fn forget_passes(&mut self, bucket: usize, tag: u8, mut alone: u64) {
        while alone != 0 {
            let passed = bucket - 1 - alone.trailing_zeros() as usize;
            alone &= alone - 1;
            // SAFETY: the caller's promise.
            unsafe {
                let has = self.passes(passed).without(tag);
                self.set_passes(passed, has);
                if !has.any() {
                    self.unmark(passed / LANES);
                }
            }
        }
    }

    /// An entry that had passed buckets has gone, and who took it had no hasher to look for others of its class.
    #[cold]
    pub(crate) fn note_stale(&mut self) {
        self.care.stale += 1;
        if self.repair_pays() {
            self.set_trigger();
        }
    }

    /// Takes out an entry that has passed buckets, or whose bucket others have passed; of these, one or two come nearer to
    /// their homes. Hashers run before the first change.
    ///
    /// # Safety
    /// `spot` holds an entry, whose home is `home`.
    #[cold]
    #[inline(never)]
    pub(crate) unsafe fn take_on_trail(&mut self, spot: Spot, home: usize, hash: impl Fn(&T) -> u64) -> T {
        // SAFETY: the caller's promise; what was found stays so until it is used.
        unsafe {
            if !self.is_near() && self.passes(spot.bucket).any() {
                (1..=PULLS).for_each(|next| self.ask_for_slots(spot.bucket + next));
            }
            let tag = *L::Geometry::head(&self.zones, spot.bucket).add(spot.slot);
            let alone = self.passed_alone(home, spot, &hash);
            let pulls = self.pulls(spot.bucket, &hash);
            let entry = self.vacate(spot);
            self.forget_passes(spot.bucket, tag, alone);
            if spot.bucket.saturating_sub(home) > SOLE {
                self.note_stale();
            }
            self.pull(spot, &pulls);
            entry
        }
    }

    /// Entries that may come nearer to their homes once there is a hole in `bucket`: one of the next bucket that passed
    /// it, then one for the hole that this leaves. Without it, what overflowed stays away when room gets free, trails
    /// grow into each other, and after some turnover of a table most misses visit several buckets.
    ///
    /// Only looks: the hasher may panic. At most 28 entries are hashed and those of their classes behind them, few in the mean.
    ///
    /// # Safety
    /// `bucket` is open.
    unsafe fn pulls(&self, bucket: usize, hash: &impl Fn(&T) -> u64) -> Pulls {
        let mut pulls = Pulls { spots: [(Spot { bucket: 0, slot: 0 }, false); PULLS], len: 0 };
        while pulls.len < PULLS {
            let hole = bucket + pulls.len;
            // SAFETY: where something has passed a bucket, the next one is open.
            unsafe {
                let Some(spot) = self.strayed_past(hole, hash) else { break };
                pulls.spots[pulls.len] = (spot, self.passed_alone(hole, spot, hash) != 0);
            }
            pulls.len += 1;
        }
        pulls
    }

    /// An entry in the bucket after `bucket` that passed it.
    ///
    /// # Safety
    /// `bucket` is open.
    unsafe fn strayed_past(&self, bucket: usize, hash: &impl Fn(&T) -> u64) -> Option<Spot> {
        // SAFETY: the caller's promise; where something has passed a bucket, the next one is open.
        unsafe {
            let passes = self.passes(bucket);
            if !passes.any() {
                return None;
            }
            let head = L::Geometry::head(&self.zones, bucket + 1);
            let mut occupied = Head::load(head).occupied();
            while occupied != 0 {
                let spot = Spot { bucket: bucket + 1, slot: occupied.trailing_zeros() as usize };
                occupied &= occupied - 1;
                if passes.has(*head.add(spot.slot)) && self.home(hash(self.at(spot))) <= bucket {
                    return Some(spot);
                }
            }
        }
        None
    }

    /// Moves entries one bucket nearer to their homes, the first into `hole`.
    ///
    /// # Safety
    /// `pulls(hole.bucket)` has just found them, `hole` has become free since, and nothing else has changed.
    unsafe fn pull(&mut self, mut hole: Spot, pulls: &Pulls) {
        for &(from, alone) in &pulls.spots[..pulls.len] {
            // SAFETY: `from` is occupied, one bucket after the hole, which is free and on its trail.
            unsafe {
                let tag = *L::Geometry::head(&self.zones, from.bucket).add(from.slot);
                let entry = self.vacate(from);
                self.forget_passes(from.bucket, tag, u64::from(alone));
                self.settle(hole, tag, entry);
                self.moved_to(hole);
            }
            hole = from;
        }
    }
}
