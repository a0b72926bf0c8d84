//! The table's invariants, checked, and its figures.
//!
//! Owned by tests and by `stats()`. Invariant: reads only.

#![allow(unsafe_code)]

use super::group::Head;
#[cfg(feature = "gc")]
use super::layout::GROUP;
use super::layout::{Geometry, LANE_BITS, LANES, Layout, SLOTS};
use super::passes::Passes;
use super::table::Bare;
use crate::hash::tag_byte;

/// What a table is made of at one moment. All sizes are counts but `bytes`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableStats {
    /// Buckets a hash may be at home in, once a migration under way has ended.
    pub homes: usize,
    /// Buckets there are, spill included.
    pub buckets: usize,
    /// Slots there are.
    pub slots: usize,
    /// Occupied slots.
    pub live: usize,
    /// Words that an iteration or a collection reads to find them.
    pub mask_words: usize,
    /// Most buckets in a row that entries have passed: a bound on what a miss reads.
    pub longest_trail: usize,
    /// Bytes of the table's memory.
    pub bytes: usize,
    /// Whether a migration to another size is under way.
    pub growing: bool,
    /// Whether the memory is a reserved range that grows in place.
    pub in_range: bool,
}

impl<T, L: Layout> Bare<T, L> {
    /// Counts what is there. O(buckets).
    pub(crate) fn stats(&self) -> TableStats {
        let (mut trail, mut longest) = (0, 0);
        for bucket in 0..self.buckets {
            trail = if self.passed(bucket).any() { trail + 1 } else { 0 };
            longest = longest.max(trail);
        }
        TableStats {
            homes: if self.buckets == 0 { 0 } else { self.homes() },
            buckets: self.buckets,
            slots: self.buckets * SLOTS,
            live: self.len,
            mask_words: self.words(),
            longest_trail: longest,
            bytes: self.bytes(),
            growing: self.is_migrating(),
            in_range: self.storage.is_range(),
        }
    }

    /// Bytes of the table's memory.
    pub(crate) fn bytes(&self) -> usize {
        self.storage.bytes::<T, L>(self.buckets)
    }

    /// The entry at `spot`, if there is one.
    #[cfg(feature = "gc")]
    pub(crate) fn entry_at(&self, spot: super::table::Spot) -> Option<&T> {
        let is_there = spot.bucket < self.buckets && {
            // SAFETY: an open bucket.
            let head = unsafe { Head::load(L::Geometry::head(&self.zones, spot.bucket)) };
            head.occupied() >> spot.slot & 1 != 0
        };
        // SAFETY: a live entry.
        is_there.then(|| unsafe { self.at(spot) })
    }

    /// Whether the masks agree with the tophashes, the count of all entries with the masks, and the summary is the OR of each
    /// of them. O(buckets).
    #[cfg(feature = "gc")]
    pub(crate) fn check_masks(&self) -> Result<(), String> {
        let mut live = 0;
        for bucket in 0..self.buckets {
            let word = bucket / LANES;
            // SAFETY: an open bucket, its mask word and its summary word.
            let (heads, mask, marks) = unsafe {
                let heads = Head::load(L::Geometry::head(&self.zones, bucket)).occupied();
                (heads, self.word(word), *self.zones.summary.as_ptr().add(word / GROUP))
            };
            let lane = (mask >> (bucket % LANES * LANE_BITS)) as u16;
            if lane != heads {
                return Err(format!("mask {lane:x} and tophashes {heads:x} of bucket {bucket} disagree"));
            }
            if mask != 0 && marks >> (word % GROUP) & 1 == 0 {
                return Err(format!("mask word {word} is {mask:x}, and the summary has no mark for it"));
            }
            live += lane.count_ones() as usize;
        }
        if live == self.len {
            Ok(())
        } else {
            Err(format!("{live} bits are set, {} entries counted", self.len))
        }
    }

    fn passed(&self, bucket: usize) -> Passes {
        assert!(bucket < self.buckets);
        // SAFETY: an open bucket.
        unsafe { self.passes(bucket) }
    }

    /// Panics unless masks, tophashes, passes and `len` agree and each entry is where a lookup finds it. O(entries).
    pub(crate) fn check(&self, hash: impl Fn(&T) -> u64) {
        let mut live = 0;
        let mut passes = vec![Passes::NONE; self.buckets];
        for bucket in 0..self.buckets {
            // SAFETY: an open bucket and its mask word.
            let (heads, word) = unsafe {
                (Head::load(L::Geometry::head(&self.zones, bucket)).occupied(), self.word(bucket / LANES))
            };
            let lane = (word >> (bucket % LANES * LANE_BITS)) as u16;
            assert_eq!(lane, heads, "mask and tophashes of bucket {bucket} disagree");
            live += lane.count_ones() as usize;
        }
        assert_eq!(live, self.len, "masks and length disagree");
        self.check_summary();
        self.each_spot(|table, spot| {
            // SAFETY: the walk yields occupied spots.
            let hash = hash(unsafe { table.at(spot) });
            let home = table.home(hash);
            assert!(home <= spot.bucket, "entry in bucket {} is at home in {home}", spot.bucket);
            // SAFETY: as above. Zero-sized entries all have one address: the first is found for each.
            let found = table.find(hash, |entry| core::ptr::eq(entry, unsafe { table.at(spot) }));
            assert!(
                found == Some(spot) || found.is_some() && size_of::<T>() == 0,
                "a lookup does not find {spot:?}"
            );
            passes[home..spot.bucket].iter_mut().for_each(|passes| *passes = passes.with(tag_byte(hash)));
        });
        let exact = self.care.stale == 0 && self.care.unswept == 0;
        for (bucket, &passes) in passes.iter().enumerate() {
            let noted = self.passed(bucket);
            let right = if exact { noted == passes } else { noted.cover(passes) };
            assert!(right, "bucket {bucket} notes {noted:x?}, {passes:x?} passed it, exact: {exact}");
        }
        assert!(self.buckets == 0 || !self.passed(self.buckets - 1).any(), "the last bucket overflows");
        assert!(self.buckets == 0 || self.upper.max(self.lower) <= self.buckets);
        let held = self.care.held_until;
        assert!(self.trigger <= held || !self.is_migrating(), "a migration would stand still");
        assert!(held == 0 || self.is_migrating() && !self.care.shrinking, "nothing waits for memory");
    }
}
