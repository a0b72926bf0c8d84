//! Passes: how many entries lie past a bucket of their trail, four counts a head, one for each class of tophashes.
//!
//! Owned by `table`. A search goes on after a bucket only if entries of its own class passed it, so most misses end at
//! home even where a bucket has overflowed (the idea of counting what overflows is F14's, Facebook's folly; the classes
//! are ours). Invariant: a count is at least the number of entries of its class placed past the bucket, and exactly that
//! until it reaches [`MOST`] or the table is `stale`; the last bucket's counts are 0.

#![allow(unsafe_code)]

use super::group::Head;
use super::layout::{Geometry, LANES, Layout, PASSES, Zones};
use super::table::{Bare, LONG_TRAIL, Spot};

/// The four counts of a head, four bits each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct Passes(pub(crate) u16);

/// A count that is only known to be large; it stays until the counts are rebuilt. Not 15: so no byte of the counts is
/// 0xff, which is what `group` searches there for.
pub(crate) const MOST: u16 = 14;

/// Classes of tophashes.
pub(crate) const CLASSES: usize = 4;

/// The class of this tophash.
pub(crate) const fn class(tag: u8) -> usize {
    Passes::shift(tag) as usize / 4
}

impl Passes {
    /// With so many entries more of each class.
    pub(crate) fn and(mut self, more: &[u32; CLASSES]) -> Self {
        for (class, &count) in more.iter().enumerate() {
            let had = self.0 >> (4 * class) & 15;
            let has = (u32::from(had) + count).min(u32::from(MOST)) as u16;
            self.0 = self.0 & !(15 << (4 * class)) | has << (4 * class);
        }
        self
    }

    /// Nothing has passed.
    pub(crate) const NONE: Self = Self(0);

    /// What passed `bucket`.
    ///
    /// # Safety
    /// `bucket` is open in the table of these zones, or the one head of a table without memory.
    #[inline(always)]
    pub(crate) unsafe fn load<T, L: Layout>(zones: &Zones<T>, bucket: usize) -> Self {
        // SAFETY: the caller's promise. Volatile, or the compiler takes the counts out of the vector
        // register that the head was compared in, by way of the stack.
        unsafe { Self::at::<T, L>(zones, bucket).read_volatile() }
    }

    /// Where the counts of `bucket` lie.
    ///
    /// # Safety
    /// As for `load`.
    #[inline(always)]
    unsafe fn at<T, L: Layout>(zones: &Zones<T>, bucket: usize) -> *mut Self {
        // SAFETY: the caller's promise.
        unsafe { L::Geometry::head(zones, bucket).add(PASSES).cast() }
    }

    /// Where the count of this tophash's class lies.
    #[inline(always)]
    const fn shift(tag: u8) -> u32 {
        (tag & 0b1100) as u32
    }

    /// Whether entries of any class have passed.
    #[inline(always)]
    pub(crate) const fn any(self) -> bool {
        self.0 != 0
    }

    /// How many entries of the class of `tag` have passed; [`MOST`]: that many or more.
    #[inline(always)]
    pub(crate) const fn of(self, tag: u8) -> u16 {
        self.0 >> Self::shift(tag) & 15
    }

    /// With one entry more.
    pub(crate) const fn more(self, tag: u8) -> Self {
        if self.of(tag) < MOST { Self(self.0 + (1 << Self::shift(tag))) } else { self }
    }

    /// With one entry less. Zero is met only if the user's hasher gave two answers for one key; then nothing is owed.
    pub(crate) const fn less(self, tag: u8) -> Self {
        match self.of(tag) {
            0 | MOST => self,
            _ => Self(self.0 - (1 << Self::shift(tag))),
        }
    }
}

/// Entries that one removal moves nearer to their homes at most.
const PULLS: usize = 2;

/// Spots of entries to be moved, each into the hole that the one before it leaves.
pub(crate) struct Pulls {
    spots: [Spot; PULLS],
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
    /// `bucket` is open, and as many entries have passed it at most.
    pub(crate) unsafe fn set_passes(&mut self, bucket: usize, passes: Passes) {
        // SAFETY: the caller's promise.
        unsafe { Passes::at::<T, L>(&self.zones, bucket).write(passes) };
    }

    /// One more entry of this tophash lies past each bucket of `home..bucket`.
    ///
    /// # Safety
    /// The buckets are open, and not the last.
    #[cold]
    #[inline(never)]
    pub(crate) unsafe fn count_passes(&mut self, home: usize, bucket: usize, tag: u8) {
        for passed in home..bucket {
            // SAFETY: the caller's promise.
            unsafe { self.set_passes(passed, self.passes(passed).more(tag)) };
        }
        if bucket - home > LONG_TRAIL {
            self.note_long_trail(home);
        }
    }

    /// One entry less of this tophash lies past each bucket of `home..bucket`.
    ///
    /// # Safety
    /// The buckets are open.
    #[cold]
    #[inline(never)]
    pub(crate) unsafe fn uncount_passes(&mut self, home: usize, bucket: usize, tag: u8) {
        for passed in home..bucket {
            // SAFETY: the caller's promise.
            unsafe {
                let had = self.passes(passed);
                let has = had.less(tag);
                self.set_passes(passed, has);
                if had.any() && !has.any() {
                    self.unmark(passed / LANES);
                }
            }
        }
    }

    /// Entries that may come nearer to their homes once there is a hole in `bucket`: one of the next bucket that passed
    /// it, then one for the hole that this leaves. Without it, what overflowed stays away when room gets free, trails
    /// grow into each other, and after some turnover of a table most misses visit several buckets.
    ///
    /// Only looks: the hasher may panic. At most 28 entries are hashed, few of them in the mean.
    ///
    /// # Safety
    /// `bucket` is open.
    #[cold]
    #[inline(never)]
    pub(crate) unsafe fn pulls(&self, bucket: usize, hash: impl Fn(&T) -> u64) -> Pulls {
        let mut pulls = Pulls { spots: [Spot { bucket: 0, slot: 0 }; PULLS], len: 0 };
        while pulls.len < PULLS {
            // SAFETY: where something has passed a bucket, the next one is open.
            let spot = unsafe { self.strayed_past(bucket + pulls.len, &hash) };
            let Some(spot) = spot else { break };
            pulls.spots[pulls.len] = spot;
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
                if passes.of(*head.add(spot.slot)) != 0 && self.home(hash(self.at(spot))) <= bucket {
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
    #[cold]
    #[inline(never)]
    pub(crate) unsafe fn pull(&mut self, mut hole: Spot, pulls: &Pulls) {
        for &from in &pulls.spots[..pulls.len] {
            // SAFETY: `from` is occupied, one bucket after the hole, which is free and on its trail.
            unsafe {
                let tag = *L::Geometry::head(&self.zones, from.bucket).add(from.slot);
                let entry = self.vacate(from);
                self.uncount_passes(hole.bucket, from.bucket, tag);
                self.settle(hole, tag, entry);
                self.moved_to(hole);
            }
            hole = from;
        }
    }
}
