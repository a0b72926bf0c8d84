//! Visiting every entry for the collector, a segment of mask words at a time.
//!
//! Owned by `gc_collect` and `gc_map`. One loop over words, whatever says which slots are occupied:
//!
//! ```text
//! for each 64 marked words: list them
//!   for each of these:
//!     where the list is well filled: visit its slots where they lie, in order
//!     else: prefetch its slots and put them into a ring; visit what falls out of it, 32 slots later
//! ```
//!
//! A full word costs what a dense array costs, a sparse one costs its live slots, overlapped. At an occupancy of one per
//! cent chance decides whether a word is zero: the summary knows, and asking by a branch a word would cost more than the
//! list does. A walk that tests slots goes over all words instead.
//! Invariant: each occupied slot is visited once; the order is not specified.

#![allow(unsafe_code)]

use super::flat;
use super::layout::{FULL_WORD, Geometry, LANES, Layout, SLOTS, Zones};
use super::table::Bare;
use bucketmask_alloc::{BucketMask, prefetch};
use core::ops::Range;

/// Slots that are on their way from memory at a time.
const RING: usize = 32;
/// Words that are looked at together.
const GROUP: usize = 64;
/// Live slots of a group's first word from which on the group is walked without the ring: the lines of its slots are
/// all read anyway, in order.
const DENSE: u32 = 40;

/// Where the occupancy of a word is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Occupancy {
    /// In the packed masks.
    Masks,
    /// In every slot's own memory: the `usize` at this offset is zero where there is no entry.
    Slots(usize),
}

/// How many slots a walk looked at, and how many it passed over unseen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Looked {
    pub(crate) at: usize,
    pub(crate) past: usize,
    /// Entries that were visited.
    pub(crate) live: usize,
    /// The mask word at which a walk that has reached its limit goes on; none if it has reached its end.
    pub(crate) next: Option<usize>,
}

/// Slots whose lines have been asked for.
struct Ring<T> {
    slots: [*const T; RING],
    pushed: usize,
}

impl<T> Ring<T> {
    /// Takes a slot in; gives out the one that was pushed `RING` slots ago.
    #[inline(always)]
    fn push(&mut self, slot: *const T) -> Option<*const T> {
        prefetch(slot);
        // A slot may straddle two lines.
        if size_of::<T>() > 1 && 64 % size_of::<T>().max(1) != 0 {
            prefetch(slot.wrapping_byte_add(size_of::<T>() - 1));
        }
        let place = &mut self.slots[self.pushed % RING];
        let oldest = core::mem::replace(place, slot);
        self.pushed += 1;
        (self.pushed > RING).then_some(oldest)
    }

    /// What is still inside.
    fn rest(&self) -> &[*const T] {
        &self.slots[..self.pushed.min(RING)]
    }
}

impl<T, L: Layout> Bare<T, L> {
    /// Visits the entries of the mask words in `segment` (those that there are); of not many more than it takes for `most`
    /// entries: 3584 in one go.
    ///
    /// # Safety
    /// For [`Occupancy::Slots`]: the layout scrubs, the offset is that of an aligned `usize` in `T`, and that word is
    /// initialised and not zero in every entry.
    #[inline]
    pub(crate) unsafe fn visit(
        &self,
        segment: Range<usize>,
        most: usize,
        by: Occupancy,
        mut visit: impl FnMut(&T),
    ) -> Looked {
        let segment = segment.start..segment.end.min(self.words());
        // SAFETY: the words are there; for slots, the caller's promise.
        unsafe {
            match by {
                Occupancy::Masks => {
                    let mut marked = self.marked(segment.clone());
                    let words = core::iter::from_fn(move || marked.next(&self.zones));
                    self.visit_words(segment, most, words, |word| self.word(word), |live, _| live, &mut visit)
                }
                Occupancy::Slots(offset) => {
                    let test = |word: usize| {
                        let buckets = (self.buckets - word * LANES).min(LANES);
                        flat::occupied::<T, L>(&self.zones, word, buckets, offset)
                    };
                    self.visit_words(segment.clone(), most, segment, test, |_, slots| slots, &mut visit)
                }
            }
        }
    }

    /// The loop, over those `words` of a segment that may have entries. `occupied` gives a word's mask, `looked` how many of a segment's slots were looked at for it.
    ///
    /// # Safety
    /// The segment's words are there and `occupied` tells the truth.
    #[inline(always)]
    unsafe fn visit_words(
        &self,
        segment: Range<usize>,
        most: usize,
        mut words: impl Iterator<Item = usize>,
        occupied: impl Fn(usize) -> u64,
        looked: impl Fn(usize, usize) -> usize,
        visit: &mut impl FnMut(&T),
    ) -> Looked {
        let mut next = None;
        let mut ring = Ring { slots: [core::ptr::null(); RING], pushed: 0 };
        let mut live = 0;
        let mut filled = [(0, 0); GROUP];
        loop {
            let (mut len, mut seen) = (0, 0);
            for word in words.by_ref().take(GROUP) {
                let mask = occupied(word);
                filled[len] = (word, mask);
                next = Some(word + 1);
                len += usize::from(mask != 0);
                seen += 1;
            }
            let filled = &filled[..len];
            let dense = filled.first().is_some_and(|(_, mask)| mask.count_ones() >= DENSE);
            for &(word, mask) in filled {
                // SAFETY: set bits speak of live entries of open buckets; what the ring holds was put there as such.
                unsafe {
                    if dense {
                        live += visit_dense::<T, L>(&self.zones, word, mask, visit);
                    } else {
                        for bit in BucketMask::from_word(mask).occupied() {
                            if let Some(slot) =
                                ring.push(L::Geometry::slot_of_bit(&self.zones, word, bit as usize))
                            {
                                visit(&*slot);
                            }
                        }
                    }
                }
            }
            if seen < GROUP {
                next = None;
            }
            if seen < GROUP || live + ring.pushed >= most {
                break;
            }
        }
        live += ring.pushed;
        for &slot in ring.rest() {
            // SAFETY: as above.
            visit(unsafe { &*slot });
        }
        let end = next.unwrap_or(segment.end) * LANES;
        let slots = end.min(self.buckets).saturating_sub(segment.start * LANES) * SLOTS;
        let at = looked(live, slots);
        Looked { at, past: slots - at, live, next: next.filter(|&next| next < segment.end) }
    }
}

/// Visits the slots of a word where they lie, and counts them.
///
/// # Safety
/// The bits set in `mask` speak of live entries.
#[inline(always)]
unsafe fn visit_dense<T, L: Layout>(
    zones: &Zones<T>,
    word: usize,
    mask: u64,
    visit: &mut impl FnMut(&T),
) -> usize {
    // SAFETY: the caller's promise.
    unsafe {
        if mask == FULL_WORD {
            for bucket in word * LANES..word * LANES + LANES {
                for slot in 0..SLOTS {
                    visit(&*L::Geometry::slot(zones, bucket, slot));
                }
            }
        } else {
            for bit in BucketMask::from_word(mask).occupied() {
                visit(&*L::Geometry::slot_of_bit(zones, word, bit as usize));
            }
        }
    }
    mask.count_ones() as usize
}
