//! The bucketMask: which of the up to 64 slots of a bucket are occupied.
//!
//! The ground floor. Allocator, collector and map all read occupancy through this one type, and it
//! depends on nothing of theirs. Invariant: every question is answered by word arithmetic; no
//! method loops over single bits.

use core::fmt;
use core::ops::{BitAnd, BitOr, BitXor, Not, Range, Sub};

#[cfg(target_pointer_width = "64")]
use bitvec::{order::Lsb0, slice::BitSlice};

/// Up to 64 slots of one bucket; bit `i` set means that slot `i` is occupied.
///
/// A plain word: copying is free, all operations are a few instructions, none panics unless it
/// says so.
///
/// ```
/// use bucketmask_alloc::BucketMask;
///
/// let mask = BucketMask::from_word(0b1011_0001);
/// assert_eq!(mask.occupied().collect::<Vec<_>>(), [0, 4, 5, 7]);
/// assert_eq!(mask.runs().collect::<Vec<_>>(), [0..1, 4..6, 7..8]);
/// assert_eq!(mask.empty_runs().next(), Some(1..4));
/// assert_eq!(mask.first_fit(3), Some(1));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(transparent)]
pub struct BucketMask(u64);

impl BucketMask {
    /// No slot occupied.
    pub const EMPTY: Self = Self(0);
    /// All 64 slots occupied.
    pub const FULL: Self = Self(u64::MAX);
    /// Slots that one mask governs.
    pub const SLOTS: u32 = u64::BITS;

    /// The mask with exactly the bits of `word`.
    #[inline]
    pub const fn from_word(word: u64) -> Self {
        Self(word)
    }

    /// The bits as a word.
    #[inline]
    pub const fn word(self) -> u64 {
        self.0
    }

    /// The lowest `count` slots occupied; `count` over 64 gives [`FULL`](Self::FULL).
    #[inline]
    pub const fn first(count: u32) -> Self {
        match 1u64.checked_shl(count) {
            Some(bit) => Self(bit - 1),
            None => Self::FULL,
        }
    }

    /// The slots of `run` occupied. Ends beyond 64 are cut off.
    #[inline]
    pub const fn from_run(run: Range<u32>) -> Self {
        Self(Self::first(run.end).0 & !Self::first(run.start).0)
    }

    /// Occupied slots, 0 to 64.
    #[inline]
    pub const fn count(self) -> u32 {
        self.0.count_ones()
    }

    /// Whether no slot is occupied.
    #[inline]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether all 64 slots are occupied.
    #[inline]
    pub const fn is_full(self) -> bool {
        self.0 == u64::MAX
    }

    /// Whether `slot` is occupied. Slots from 64 up never are.
    #[inline]
    pub const fn contains(self, slot: u32) -> bool {
        slot < Self::SLOTS && self.0 >> slot & 1 != 0
    }

    /// This mask with `slot` occupied too. A slot from 64 up changes nothing.
    #[inline]
    #[must_use]
    pub const fn with(self, slot: u32) -> Self {
        Self(self.0 | Self::from_run(slot..slot.saturating_add(1)).0)
    }

    /// This mask with `slot` empty. A slot from 64 up changes nothing.
    #[inline]
    #[must_use]
    pub const fn without(self, slot: u32) -> Self {
        Self(self.0 & !Self::from_run(slot..slot.saturating_add(1)).0)
    }

    /// Slots occupied in either.
    #[inline]
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Slots occupied in both.
    #[inline]
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Slots occupied here and not in `other`.
    #[inline]
    #[must_use]
    pub const fn difference(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Empty slots as occupied ones, and the other way round.
    #[inline]
    #[must_use]
    pub const fn complement(self) -> Self {
        Self(!self.0)
    }

    /// The lowest occupied slot.
    #[inline]
    pub const fn lowest(self) -> Option<u32> {
        if self.0 == 0 { None } else { Some(self.0.trailing_zeros()) }
    }

    /// The highest occupied slot.
    #[inline]
    pub const fn highest(self) -> Option<u32> {
        if self.0 == 0 { None } else { Some(self.0.ilog2()) }
    }

    /// The occupied slots, ascending; one `trailing_zeros` a slot.
    #[inline]
    pub const fn occupied(self) -> Occupied {
        Occupied(self.0)
    }

    /// The maximal runs of occupied slots, ascending; two bit scans a run.
    #[inline]
    pub const fn runs(self) -> Runs {
        Runs { rest: self.0, base: 0 }
    }

    /// The maximal runs of empty slots, ascending; two bit scans a run.
    #[inline]
    pub const fn empty_runs(self) -> Runs {
        self.complement().runs()
    }

    /// Where the first `len` neighbouring empty slots begin, or `None`. A length of 0 fits at 0.
    ///
    /// Takes log2(`len`) steps: after the step of width `w`, a bit that is still set begins a run
    /// of that width.
    #[inline]
    pub const fn first_fit(self, len: u32) -> Option<u32> {
        if len > Self::SLOTS {
            return None;
        }
        let mut begins = !self.0;
        let mut width = 1;
        while width < len {
            let step = if width < len - width { width } else { len - width };
            begins &= begins >> step;
            width += step;
        }
        Self(begins).lowest_or_zero_len(len)
    }

    const fn lowest_or_zero_len(self, len: u32) -> Option<u32> {
        if len == 0 { Some(0) } else { self.lowest() }
    }

    /// The slots as a view of bits, bit 0 first: for tests, pictures and exports. Where pointers have 64 bits: elsewhere `bitvec`
    /// takes no words of 64.
    #[cfg(target_pointer_width = "64")]
    #[inline]
    pub fn bits(&self) -> &BitSlice<u64, Lsb0> {
        BitSlice::from_element(&self.0)
    }
}

impl From<u64> for BucketMask {
    fn from(word: u64) -> Self {
        Self(word)
    }
}

impl From<BucketMask> for u64 {
    fn from(mask: BucketMask) -> Self {
        mask.0
    }
}

impl BitOr for BucketMask {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        self.union(other)
    }
}

impl BitAnd for BucketMask {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        self.intersection(other)
    }
}

impl BitXor for BucketMask {
    type Output = Self;
    fn bitxor(self, other: Self) -> Self {
        Self(self.0 ^ other.0)
    }
}

impl Sub for BucketMask {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        self.difference(other)
    }
}

impl Not for BucketMask {
    type Output = Self;
    fn not(self) -> Self {
        self.complement()
    }
}

impl fmt::Debug for BucketMask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BucketMask({:#018x})", self.0)
    }
}

impl IntoIterator for BucketMask {
    type Item = u32;
    type IntoIter = Occupied;
    fn into_iter(self) -> Occupied {
        self.occupied()
    }
}

impl FromIterator<u32> for BucketMask {
    fn from_iter<I: IntoIterator<Item = u32>>(slots: I) -> Self {
        slots.into_iter().fold(Self::EMPTY, Self::with)
    }
}

/// The occupied slots of a mask, ascending. See [`BucketMask::occupied`].
#[derive(Clone, Debug)]
pub struct Occupied(u64);

impl Iterator for Occupied {
    type Item = u32;

    #[inline]
    fn next(&mut self) -> Option<u32> {
        let slot = BucketMask(self.0).lowest()?;
        self.0 &= self.0 - 1;
        Some(slot)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let count = self.0.count_ones() as usize;
        (count, Some(count))
    }
}

impl DoubleEndedIterator for Occupied {
    fn next_back(&mut self) -> Option<u32> {
        let slot = BucketMask(self.0).highest()?;
        self.0 &= !(1 << slot);
        Some(slot)
    }
}

impl ExactSizeIterator for Occupied {}
impl core::iter::FusedIterator for Occupied {}

/// Maximal runs of slots, ascending. See [`BucketMask::runs`] and [`BucketMask::empty_runs`].
#[derive(Clone, Debug)]
pub struct Runs {
    /// What is left, shifted down by `base`.
    rest: u64,
    base: u32,
}

impl Iterator for Runs {
    type Item = Range<u32>;

    #[inline]
    fn next(&mut self) -> Option<Range<u32>> {
        if self.rest == 0 {
            return None;
        }
        let gap = self.rest.trailing_zeros();
        let len = (self.rest >> gap).trailing_ones();
        let start = self.base + gap;
        let end = start + len;
        // A shift by 64 is what is left after a run that ends at the top: nothing.
        self.rest = self.rest.checked_shr(gap + len).unwrap_or(0);
        self.base = end;
        Some(start..end)
    }
}

impl core::iter::FusedIterator for Runs {}

static_assertions::assert_eq_size!(BucketMask, u64);
static_assertions::assert_eq_align!(BucketMask, u64);

#[cfg(test)]
mod tests {
    use super::*;

    /// A mask as the plainest thing that can hold it.
    fn naive(word: u64) -> Vec<bool> {
        (0..64).map(|slot| word & (1 << slot) != 0).collect()
    }

    fn naive_runs(bits: &[bool], wanted: bool) -> Vec<Range<u32>> {
        let mut runs: Vec<Range<u32>> = Vec::new();
        for (slot, &bit) in bits.iter().enumerate() {
            let slot = slot as u32;
            if bit != wanted {
                continue;
            }
            match runs.last_mut() {
                Some(run) if run.end == slot => run.end += 1,
                _ => runs.push(slot..slot + 1),
            }
        }
        runs
    }

    fn naive_first_fit(bits: &[bool], len: usize) -> Option<u32> {
        if len == 0 {
            return Some(0);
        }
        bits.windows(len).position(|window| !window.contains(&true)).map(|slot| slot as u32)
    }

    fn check(word: u64) {
        let mask = BucketMask::from_word(word);
        let bits = naive(word);
        let occupied: Vec<u32> = (0..64).filter(|&slot| bits[slot as usize]).collect();
        assert_eq!(mask.occupied().collect::<Vec<_>>(), occupied, "{mask:?}");
        assert_eq!(
            mask.occupied().rev().collect::<Vec<_>>(),
            occupied.iter().rev().copied().collect::<Vec<_>>()
        );
        assert_eq!(mask.occupied().len(), occupied.len());
        assert_eq!(mask.count() as usize, occupied.len());
        assert_eq!(mask.runs().collect::<Vec<_>>(), naive_runs(&bits, true), "{mask:?}");
        assert_eq!(mask.empty_runs().collect::<Vec<_>>(), naive_runs(&bits, false), "{mask:?}");
        assert_eq!(mask.lowest(), occupied.first().copied());
        assert_eq!(mask.highest(), occupied.last().copied());
        assert_eq!(mask.is_empty(), occupied.is_empty());
        assert_eq!(mask.is_full(), occupied.len() == 64);
        assert_eq!(mask.occupied().collect::<BucketMask>(), mask);
        #[cfg(target_pointer_width = "64")]
        assert_eq!(mask.bits().iter().by_vals().collect::<Vec<_>>(), bits);
        for len in 0..=65 {
            assert_eq!(mask.first_fit(len), naive_first_fit(&bits, len as usize), "{mask:?} {len}");
        }
    }

    /// Every 16-bit pattern, at each end and doubled: all edges of words included.
    #[test]
    fn every_pattern_of_sixteen_slots_agrees_with_the_naive_model() {
        for pattern in 0..=u64::from(u16::MAX) {
            let word = match pattern % 4 {
                0 => pattern,
                1 => pattern << 48,
                2 => pattern | pattern << 48,
                _ => !(pattern << 24),
            };
            check(word);
        }
    }

    /// Every run that a word can hold, and its complement.
    #[test]
    fn every_single_run_agrees_with_the_naive_model() {
        for start in 0..=64 {
            for end in start..=64 {
                let mask = BucketMask::from_run(start..end);
                assert_eq!(mask.count(), end - start);
                check(mask.word());
                check(mask.complement().word());
            }
        }
    }

    #[test]
    fn single_slots_are_set_cleared_and_tested() {
        for word in [0, u64::MAX, 0x5555_5555_5555_5555, 1 << 63] {
            let mask = BucketMask::from_word(word);
            for slot in 0..64 {
                assert_eq!(mask.contains(slot), naive(word)[slot as usize]);
                assert_eq!(mask.with(slot).word(), word | 1 << slot);
                assert_eq!(mask.without(slot).word(), word & !(1 << slot));
            }
            for beyond in [64, 65, u32::MAX] {
                assert!(!mask.contains(beyond));
                assert_eq!(mask.with(beyond), mask);
                assert_eq!(mask.without(beyond), mask);
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn any_word_agrees_with_the_naive_model(word: u64) {
            check(word);
        }

        #[test]
        fn set_algebra_is_that_of_sets(left: u64, right: u64) {
            let (a, b) = (BucketMask::from_word(left), BucketMask::from_word(right));
            for slot in 0..64 {
                let (x, y) = (a.contains(slot), b.contains(slot));
                assert_eq!((a | b).contains(slot), x || y);
                assert_eq!((a & b).contains(slot), x && y);
                assert_eq!((a - b).contains(slot), x && !y);
                assert_eq!((a ^ b).contains(slot), x != y);
                assert_eq!((!a).contains(slot), !x);
            }
        }
    }
}
