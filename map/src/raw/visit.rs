//! Visiting every entry for the collector, a segment of mask words at a time.
//!
//! Owned by `gc_collect` and `gc_body`. One loop over words, whatever says which slots are occupied:
//!
//! ```text
//! in a table that is half full: for each marked word: visit its slots where they lie, in order
//! else: for some marked words: list their slots
//!       for each of the list: prefetch the slot 32 places on; visit it
//! ```
//!
//! A full word costs what a dense array costs, a sparse one costs its live slots, overlapped. How many entries a word has is
//! chance, so the list is made without asking. A walk that tests slots goes over all words instead.
//! Invariant: each occupied slot is visited once; the order is not specified.

#![allow(unsafe_code)]

use super::flat;
#[cfg(all(target_arch = "x86_64", not(bucketmask_portable)))]
use super::layout::FULL_WORD;
use super::layout::{Geometry, LANES, Layout, SLOTS, ranks};
use super::table::Bare;
use bucketmask_alloc::{BucketMask, prefetch};
use core::mem::{self, MaybeUninit};
use core::ops::Range;

/// Slots that are on their way from memory at a time.
const AHEAD: usize = 32;
/// Slots that are listed before any is visited, at least.
const LIST: usize = 256;
/// Entries of a mask word.
const WORD: usize = LANES * SLOTS;
/// What may be written behind the list: a word's entries, and a step or the last slot over and over.
const MORE: usize = WORD + AHEAD;
/// Tables with so many slots an entry or fewer are walked without the list: nearly all lines of slots are read anyway, in order.
const DENSE: usize = 2;
/// Tables with more than so many slots an entry seldom have more than two entries a word.
const SPARSE: usize = 32;

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

/// Slots to visit.
struct List<T> {
    slots: [MaybeUninit<*const T>; LIST + MORE],
    len: usize,
}

impl<T> List<T> {
    /// Visits what is listed.
    ///
    /// # Safety
    /// The slots are those of live entries.
    #[inline(always)]
    unsafe fn take(&mut self, visit: &mut impl FnMut(&T)) {
        let len = mem::take(&mut self.len);
        // SAFETY: the first `len` were written, and lie among `LIST + WORD`; so many more are written, of which there are enough.
        unsafe {
            let Some(last) = len.checked_sub(1) else { return };
            let last = self.slots.get_unchecked(last).assume_init();
            self.slots.get_unchecked_mut(len..len + AHEAD).fill(MaybeUninit::new(last));
            for slot in self.slots.get_unchecked(..AHEAD.min(len)) {
                ask_for(slot.assume_init());
            }
            for at in 0..len {
                ask_for(self.slots.get_unchecked(at + AHEAD).assume_init());
                visit(&*self.slots.get_unchecked(at).assume_init());
            }
        }
    }
}

/// Asks for the lines of a slot.
#[inline(always)]
fn ask_for<T>(slot: *const T) {
    prefetch(slot);
    // A slot may straddle two lines.
    if size_of::<T>() > 1 && 64 % size_of::<T>().max(1) != 0 {
        prefetch(slot.wrapping_byte_add(size_of::<T>() - 1));
    }
}

impl<T, L: Layout> Bare<T, L> {
    /// Visits the entries of the mask words in `segment` (those that there are); of not many more than it takes for `most`
    /// entries: 320 in one go.
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
        #[cfg(all(target_arch = "x86_64", not(bucketmask_portable)))]
        if has_bit_instructions() {
            // SAFETY: the caller's promise, and the processor has the instructions.
            return unsafe { self.visit_by_bits(segment, most, by, visit) };
        }
        // SAFETY: the caller's promise.
        unsafe { self.visit_all(segment, most, by, ranks, &mut visit) }
    }

    /// The same, compiled for processors that count, find and clear bits in one instruction each. What is visited is inlined,
    /// and so compiled for them too.
    ///
    /// # Safety
    /// As for `visit`; and the processor has the instructions.
    #[cfg(all(target_arch = "x86_64", not(bucketmask_portable)))]
    #[target_feature(enable = "bmi1,bmi2,popcnt")]
    unsafe fn visit_by_bits(
        &self,
        segment: Range<usize>,
        most: usize,
        by: Occupancy,
        mut visit: impl FnMut(&T),
    ) -> Looked {
        // SAFETY: the processor has the instruction, as the caller promises.
        #[allow(unused_unsafe, reason = "safe where closures have the features of their function")]
        let ranks = |word| unsafe { core::arch::x86_64::_pext_u64(word, FULL_WORD) };
        // SAFETY: the caller's promise.
        unsafe { self.visit_all(segment, most, by, ranks, &mut visit) }
    }

    /// `ranks` takes the bits out of a mask word that have no slot.
    ///
    /// # Safety
    /// As for `visit`.
    #[inline(always)]
    unsafe fn visit_all(
        &self,
        segment: Range<usize>,
        most: usize,
        by: Occupancy,
        ranks: impl Fn(u64) -> u64,
        visit: &mut impl FnMut(&T),
    ) -> Looked {
        let segment = segment.start..segment.end.min(self.words());
        // SAFETY: the words are there; for slots, the caller's promise.
        unsafe {
            match by {
                Occupancy::Masks => {
                    let mut marked = self.marked(segment.clone());
                    let zones = self.zones;
                    let words = core::iter::from_fn(move || marked.next(&zones));
                    let occupied = |word| ranks(*zones.masks.as_ptr().add(word));
                    self.visit_words(segment, most, words, occupied, |live, _| live, visit)
                }
                Occupancy::Slots(offset) => {
                    let test = |word: usize| {
                        let buckets = (self.buckets - word * LANES).min(LANES);
                        ranks(flat::occupied::<T, L>(&self.zones, word, buckets, offset))
                    };
                    self.visit_words(segment.clone(), most, segment, test, |_, slots| slots, visit)
                }
            }
        }
    }

    /// Visits the entries of those `words` of a segment that may have some. `occupied` gives the ranks of a word's entries, `looked` how many
    /// of a segment's slots were looked at for it.
    ///
    /// # Safety
    /// The segment's words are there and `occupied` tells the truth.
    #[inline(always)]
    unsafe fn visit_words(
        &self,
        segment: Range<usize>,
        most: usize,
        words: impl Iterator<Item = usize>,
        occupied: impl Fn(usize) -> u64,
        looked: impl Fn(usize, usize) -> usize,
        visit: &mut impl FnMut(&T),
    ) -> Looked {
        let slots = self.buckets * SLOTS;
        // SAFETY: the caller's promise.
        let (live, next) = unsafe {
            if self.len >= slots / DENSE {
                self.visit_dense(most, words, occupied, visit)
            } else {
                self.visit_sparse(most, words, occupied, visit)
            }
        };
        let end = next.unwrap_or(segment.end) * LANES;
        let slots = end.min(self.buckets).saturating_sub(segment.start * LANES) * SLOTS;
        let at = looked(live, slots);
        Looked { at, past: slots - at, live, next: next.filter(|&next| next < segment.end) }
    }

    /// Visits slots where their masks are found. Gives the entries visited, and the word at which to go on.
    ///
    /// # Safety
    /// As for `visit_words`.
    #[inline(always)]
    unsafe fn visit_dense(
        &self,
        most: usize,
        words: impl Iterator<Item = usize>,
        occupied: impl Fn(usize) -> u64,
        visit: &mut impl FnMut(&T),
    ) -> (usize, Option<usize>) {
        // A copy: what is visited could write to the table's own for all the compiler knows.
        let zones = self.zones;
        let mut live = 0;
        for word in words {
            let mask = occupied(word);
            live += mask.count_ones() as usize;
            // SAFETY: set bits speak of live entries of open buckets.
            unsafe {
                let row = L::Geometry::slot(&zones, word * LANES, 0);
                for rank in BucketMask::from_word(mask).occupied() {
                    visit(&*L::Geometry::slot_of_row(row, rank as usize));
                }
            }
            if live >= most {
                return (live, Some(word + 1));
            }
        }
        (live, None)
    }

    /// Lists slots, and then visits them. As `visit_dense`.
    ///
    /// # Safety
    /// As for `visit_words`.
    #[inline(always)]
    unsafe fn visit_sparse(
        &self,
        most: usize,
        mut words: impl Iterator<Item = usize>,
        occupied: impl Fn(usize) -> u64,
        visit: &mut impl FnMut(&T),
    ) -> (usize, Option<usize>) {
        let mut list = List { slots: [const { MaybeUninit::uninit() }; LIST + MORE], len: 0 };
        let sparse = self.len < self.buckets * SLOTS / SPARSE;
        let mut live = 0;
        loop {
            // SAFETY: the caller's promise.
            let next = unsafe {
                if sparse {
                    self.list::<2>(&mut words, &occupied, &mut list)
                } else {
                    self.list::<8>(&mut words, &occupied, &mut list)
                }
            };
            live += list.len;
            // SAFETY: what is listed are slots of live entries.
            unsafe { list.take(visit) };
            if next.is_none() || live >= most {
                return (live, next);
            }
        }
    }

    /// Lists the slots of some words; gives the word at which to go on, `None` after the last. How many entries a word has is
    /// chance where tables are sparse, and a branch that goes by chance costs more than ten instructions: so `STEP` of them are
    /// listed at a time, whether there are so many or not. (The idea is simdjson's.)
    ///
    /// # Safety
    /// As for `visit_words`.
    #[inline(always)]
    unsafe fn list<const STEP: usize>(
        &self,
        words: &mut impl Iterator<Item = usize>,
        occupied: &impl Fn(usize) -> u64,
        list: &mut List<T>,
    ) -> Option<usize> {
        let zones = self.zones;
        let mut len = 0;
        for word in words {
            let mut mask = occupied(word);
            let end = len + mask.count_ones() as usize;
            // SAFETY: the word is there.
            let row = unsafe { L::Geometry::slot(&zones, word * LANES, 0) };
            let mut at = len;
            loop {
                for step in 0..STEP {
                    // Past the last entry this is no slot, and will be written over.
                    let slot = L::Geometry::place_of_row(row, mask.trailing_zeros() as usize);
                    // SAFETY: `at < end <= LIST + WORD`, or it is the first step; behind there is room for a step.
                    unsafe { list.slots.get_unchecked_mut(at + step).write(slot) };
                    mask &= mask.wrapping_sub(1);
                }
                at += STEP;
                if at >= end {
                    break;
                }
            }
            len = end;
            if len >= LIST {
                list.len = len;
                return Some(word + 1);
            }
        }
        list.len = len;
        None
    }
}

/// Whether the processor has the instructions that `visit_by_bits` is compiled for.
#[cfg(all(target_arch = "x86_64", not(bucketmask_portable)))]
#[inline]
fn has_bit_instructions() -> bool {
    std::arch::is_x86_feature_detected!("bmi1")
        && std::arch::is_x86_feature_detected!("bmi2")
        && std::arch::is_x86_feature_detected!("popcnt")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::HashMap;
    use crate::raw::layout::{Inline, Split};
    use allocator_api2::alloc::Global;
    use foldhash::fast::FixedState;

    /// Every way to walk a table finds each entry once, whatever share of it is filled, in parts and in one go.
    fn check<L: Layout>() {
        let mut map = HashMap::<u64, u64, FixedState, Global, L>::default();
        map.extend((0..20_000).map(|key| (key, key * 3)));
        for kept in [100, 60, 40, 12, 4, 2, 1, 0] {
            map.retain(|key, _| key * 7919 % 100 < kept);
            let mut expected: Vec<u64> = map.keys().copied().collect();
            expected.sort_unstable();
            for most in [1, 300, usize::MAX] {
                for plain in [false, true] {
                    let (mut found, mut from) = (Vec::new(), 0);
                    loop {
                        let before = found.len();
                        let mut visit = |&(key, value): &(u64, u64)| {
                            assert_eq!(value, key * 3);
                            found.push(key);
                        };
                        let part = from..usize::MAX;
                        // SAFETY: masks are always true.
                        let looked = unsafe {
                            if plain {
                                map.table.visit_all(part, most, Occupancy::Masks, ranks, &mut visit)
                            } else {
                                map.table.visit(part, most, Occupancy::Masks, visit)
                            }
                        };
                        assert_eq!(looked.live, found.len() - before);
                        assert!(looked.live < most.saturating_add(LIST + WORD), "{} of {most}", looked.live);
                        let Some(next) = looked.next else { break };
                        from = next;
                    }
                    found.sort_unstable();
                    assert_eq!(found, expected, "{kept} % kept, {most} at a time, plain: {plain}");
                }
            }
        }
    }

    #[test]
    fn every_walk_finds_every_entry_once() {
        check::<Split>();
        check::<Inline>();
    }
}
