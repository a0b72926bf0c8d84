//! Ranges of hashes: parts of a map that can be walked, thinned, moved and compared on their own.
//!
//! Owned by `map.rs` and `set.rs`. A range is a run of neighbouring buckets, so work on ranges is work on memory in order,
//! and two maps with the same hasher state have the same entries in the same range, whatever their sizes.
//! Invariant: an entry is of a range if and only if its finalised hash is; only at a range's two ends is it asked.

use crate::Allocator;
use crate::hash::hash_of;
use crate::map::HashMap;
use crate::raw::layout::Layout;
use core::hash::{BuildHasher, Hash};
use core::ops::RangeInclusive;
use std::vec;

/// A map of one range has room for so many times its entries at most: as where it grows early by itself.
const SPARSEST: usize = crate::raw::policy::EARLY_FLOOR;

/// Neighbouring finalised hashes, never none.
///
/// ```
/// use bucketmask_map::{HashMap, HashRange};
///
/// let map: HashMap<u32, u32> = (0..1000).map(|key| (key, 0)).collect();
/// let parts: usize = HashRange::ALL.split(7).map(|range| map.range(range).count()).sum();
/// assert_eq!(parts, 1000);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HashRange {
    first: u64,
    last: u64,
}

impl HashRange {
    /// All hashes.
    pub const ALL: Self = Self { first: 0, last: u64::MAX };

    /// The hashes from `first` to `last`, both included. None where there are none.
    pub const fn new(first: u64, last: u64) -> Option<Self> {
        if first <= last { Some(Self { first, last }) } else { None }
    }

    /// First and last hash.
    pub const fn bounds(self) -> RangeInclusive<u64> {
        self.first..=self.last
    }

    /// The range in `parts` disjoint ranges, of as many hashes each as can be, ascending; fewer where there are not enough
    /// hashes. A map's entries spread over them evenly, as hashes do.
    ///
    /// # Panics
    /// If `parts` is 0.
    pub fn split(self, parts: usize) -> impl DoubleEndedIterator<Item = Self> + ExactSizeIterator + Clone {
        assert!(parts > 0, "a range has at least one part");
        let hashes = u128::from(self.last - self.first) + 1;
        let parts = hashes.min(parts as u128);
        // The remainder's bound keeps the product below 2^128: a part is a count of type usize.
        let bound = move |part: usize| {
            let part = part as u128;
            hashes / parts * part + hashes % parts * part / parts
        };
        (0..parts as usize).map(move |part| Self {
            first: self.first + bound(part) as u64,
            last: self.first + (bound(part + 1) - 1) as u64,
        })
    }
}

/// Entries taken out of a range: [`HashMap::drain_range`].
pub type DrainRange<K, V> = vec::IntoIter<(K, V)>;

impl<K: Hash, V, S: BuildHasher, A: Allocator, L: Layout> HashMap<K, V, S, A, L> {
    /// The entries whose finalised hash lies in `range`, bucket by bucket in the order of the hashes. Expected O(entries of
    /// the range + summary words there); those of its first and last bucket are hashed.
    pub fn range(&self, range: HashRange) -> impl Iterator<Item = (&K, &V)> {
        let hashes = range.bounds();
        self.table.within(&hashes).filter_map(move |((key, value), _, is_sure)| {
            (is_sure || hashes.contains(&hash_of(&self.build, key))).then_some((key, value))
        })
    }

    /// Keeps, of the entries whose finalised hash lies in `range`, those for which `keep` is true; others stay. Marks of what
    /// has overflowed as for [`retain`](HashMap::retain).
    pub fn retain_range(&mut self, range: HashRange, mut keep: impl FnMut(&K, &mut V) -> bool) {
        let build = &self.build;
        let hash = |(key, _): &(K, V)| hash_of(build, key);
        self.table.retain_within(&range.bounds(), hash, |(key, value)| keep(key, value));
    }

    /// Takes out the entries whose finalised hash lies in `range`. They are out when this returns, whatever becomes of the
    /// iterator.
    pub fn drain_range(&mut self, range: HashRange) -> DrainRange<K, V> {
        let build = &self.build;
        let mut taken = Vec::new();
        self.table.take_within(&range.bounds(), |(key, _)| hash_of(build, key), &mut taken);
        taken.into_iter()
    }
}

impl<K: Eq + Hash, V, S: BuildHasher, A: Allocator, L: Layout> HashMap<K, V, S, A, L> {
    /// The entries whose key is not in `other`. Where both maps have the same hasher state, both are read once, in order.
    pub fn difference<'a, W, S2: BuildHasher, A2: Allocator, L2: Layout>(
        &'a self,
        other: &'a HashMap<K, W, S2, A2, L2>,
    ) -> impl Iterator<Item = (&'a K, &'a V)> {
        self.iter().filter(|(key, _)| !other.contains_key(*key))
    }

    /// The entries whose finalised hash lies in `range` and whose key is not in `other`: [`difference`](Self::difference),
    /// a part at a time.
    pub fn difference_range<'a, W, S2: BuildHasher, A2: Allocator, L2: Layout>(
        &'a self,
        other: &'a HashMap<K, W, S2, A2, L2>,
        range: HashRange,
    ) -> impl Iterator<Item = (&'a K, &'a V)> {
        self.range(range).filter(|(key, _)| !other.contains_key(*key))
    }

    /// Moves all entries of `other` here; for keys that are in both, its values replace ours.
    ///
    /// Where both maps have the same hasher state, this is a merge of two sorted streams: both tables are gone over once,
    /// in order. Otherwise each entry goes to a random place, as an insert does. O(entries of both).
    ///
    /// # Panics
    /// If the table would be larger than the address space.
    pub fn merge<S2, A2: Allocator, L2: Layout>(&mut self, other: HashMap<K, V, S2, A2, L2>) {
        self.merge_with(other, |_, ours, theirs| *ours = theirs);
    }

    /// As [`merge`](Self::merge); for keys that are in both, `resolve` makes of our value and the other's what stays.
    ///
    /// # Panics
    /// If the table would be larger than the address space.
    pub fn merge_with<S2, A2: Allocator, L2: Layout>(
        &mut self,
        other: HashMap<K, V, S2, A2, L2>,
        mut resolve: impl FnMut(&K, &mut V, V),
    ) {
        self.make_room_for(&other);
        for (key, value) in other {
            self.put_with(key, value, &mut resolve);
        }
    }

    /// Moves those entries of `other` here whose finalised hash, under its hasher, lies in `range`: a merge in bounded
    /// parts. For keys that are in both, its values replace ours. Memory for the entries on their way is O(the part).
    ///
    /// Room is made as for a map that has as many entries in every other range of this size, 32 times the room of its entries at most: so the
    /// parts of a map that is put together this way find room after the first, and a map of one range alone has short trails.
    /// Where room is made, this takes time in proportion to the map, as `reserve` does.
    ///
    /// # Panics
    /// If the table would be larger than the address space. If `Hash` or `Eq` panics, the entries on their way are dropped, as those of a
    /// drained iterator are; what was moved is here, what is outside the range stays there.
    pub fn merge_range<S2: BuildHasher, A2: Allocator, L2: Layout>(
        &mut self,
        other: &mut HashMap<K, V, S2, A2, L2>,
        range: HashRange,
    ) {
        let moving = other.drain_range(range);
        self.make_room_in(range, moving.len());
        for (key, value) in moving {
            self.insert(key, value);
        }
    }

    /// Room for `more` entries whose hashes all lie in `range`.
    fn make_room_in(&mut self, range: HashRange, more: usize) {
        let (first, last) = range.bounds().into_inner();
        let hashes = u128::from(last - first) + 1;
        let everywhere = ((more as u128) << 64).div_ceil(hashes);
        let most = (self.len() + more).saturating_mul(SPARSEST) as u128;
        let wanted = everywhere.min(most).max((self.len() + more) as u128) as usize;
        if wanted > self.capacity() {
            self.expect_more(wanted - self.len());
            self.finish_growth();
            let len = self.len() + more;
            self.table.stay_sparse(len);
        }
    }

    /// Room for the entries of `other` that are not here, their share told from a few. Entries that come in hash order would
    /// crowd the part of the table that a growth under way reaches last, so it is ended first.
    fn make_room_for<S2, A2: Allocator, L2: Layout>(&mut self, other: &HashMap<K, V, S2, A2, L2>) {
        const ASKED: usize = 256;
        let asked = other.len().min(ASKED);
        let fresh = other.keys().take(asked).filter(|key| !self.contains_key(*key)).count();
        // One in sixteen more than chance expects; what is still lacking is growth's affair.
        let share = (fresh + asked / 16).min(asked);
        let additional = (other.len() as u128 * share as u128).div_ceil(asked.max(1) as u128) as usize;
        self.expect_more(additional);
        self.finish_growth();
    }
}
