//! The summary: one bit a mask word, so that a sparse table is walked without reading its empty words.
//!
//! Owned by `table`, which marks a word with its first entry and takes the mark back with its last. A mark too many costs
//! a look at an empty word and nothing else. Invariant: where a word is not marked, its mask word and the heads of its
//! buckets (passes too) are all zero; so what is not marked needs neither a visit nor clearing.

#![allow(unsafe_code)]

use super::group::Head;
use super::layout::{GROUP, Geometry, HEAD, LANES, Layout, Zones};
use super::table::Bare;
use crate::checked::seeded;
use bucketmask_alloc::{BucketMask, prefetch};
use core::ops::Range;
use core::ptr;

/// One word in so many marked, or more: all are wiped in a row, which takes a fifth of the time a word.
const DENSE: usize = 5;
/// Marked words that a scout is ahead.
pub(crate) const AHEAD: usize = 16;

/// The marked mask words in a range, ascending.
#[derive(Clone, Copy)]
pub(crate) struct Marked {
    /// Marks of `group` that were not given out yet.
    marks: u64,
    /// Summary word under way.
    group: usize,
    /// Where the range of mask words ends.
    end: usize,
}

impl Marked {
    /// No words.
    pub(crate) const NONE: Self = Self { marks: 0, group: 0, end: 0 };

    /// The marked words of `words`.
    ///
    /// # Safety
    /// `zones` are those of a live table that has these words.
    #[inline]
    pub(crate) unsafe fn of<T>(zones: &Zones<T>, words: Range<usize>) -> Self {
        if words.is_empty() {
            return Self::NONE;
        }
        let mut marked = Self { marks: 0, group: words.start / GROUP, end: words.end };
        // SAFETY: the range is not empty, so its first word's summary is there.
        unsafe { marked.load(zones) };
        marked.marks &= u64::MAX << (words.start % GROUP);
        marked
    }

    /// Where the range of mask words ends.
    #[inline(always)]
    pub(crate) fn end(&self) -> usize {
        self.end
    }

    /// The next marked word.
    ///
    /// # Safety
    /// As for `of`, with the same table.
    #[inline(always)]
    pub(crate) unsafe fn next<T>(&mut self, zones: &Zones<T>) -> Option<usize> {
        while self.marks == 0 {
            if (self.group + 1) * GROUP >= self.end {
                return None;
            }
            self.group += 1;
            // SAFETY: words are left in this group, as was just checked.
            unsafe { self.load(zones) };
        }
        let word = self.group * GROUP + self.marks.trailing_zeros() as usize;
        self.marks &= self.marks - 1;
        Some(word)
    }

    /// Reads the marks of `group`, those within the range.
    ///
    /// # Safety
    /// As for `next`; the group has words before `end`.
    #[inline(always)]
    unsafe fn load<T>(&mut self, zones: &Zones<T>) {
        // SAFETY: the caller's promise.
        self.marks = unsafe { *zones.summary.as_ptr().add(self.group) };
        let left = self.end - self.group * GROUP;
        if left < GROUP {
            self.marks &= (1 << left) - 1;
        }
    }

    /// Where words may still come from.
    #[cfg(feature = "rayon")]
    pub(crate) fn rest(&self) -> Range<usize> {
        let first = if self.marks == 0 { GROUP } else { self.marks.trailing_zeros() as usize };
        (self.group * GROUP + first).min(self.end)..self.end
    }

    /// Leaves out the words from `end` on. Whether there were any that had not come.
    #[cfg(feature = "rayon")]
    pub(crate) fn stop_at(&mut self, end: usize) -> bool {
        let cut = self.rest().end > end;
        if end <= self.group * GROUP {
            *self = Self::NONE;
        } else if end < self.end {
            self.end = end;
            let left = end - self.group * GROUP;
            if left < GROUP {
                self.marks &= (1 << left) - 1;
            }
        }
        cut
    }
}

impl<T, L: Layout> Bare<T, L> {
    /// Marks mask word `word`, which has got its first entry.
    ///
    /// # Safety
    /// `word < self.words()`.
    #[cold]
    #[inline(never)]
    pub(crate) unsafe fn mark(&mut self, word: usize) {
        if seeded!("map: summary bit not set") {
            return;
        }
        // SAFETY: the caller's promise.
        unsafe { *self.zones.summary.as_ptr().add(word / GROUP) |= 1 << (word % GROUP) };
    }

    /// Takes the mark of `word` back if nothing is left there: neither an entry nor a class that passed.
    ///
    /// # Safety
    /// `word < self.words()`.
    #[cold]
    #[inline(never)]
    pub(crate) unsafe fn unmark(&mut self, word: usize) {
        let open = word * LANES..self.buckets.min(word * LANES + LANES);
        // SAFETY: an open word, and the open ones of its buckets.
        unsafe {
            let counted = |bucket: usize| self.passes(bucket).any();
            if self.word(word) == 0 && !open.into_iter().any(counted) {
                *self.zones.summary.as_ptr().add(word / GROUP) &= !(1 << (word % GROUP));
            }
        }
    }

    /// The marked words of `words`.
    #[inline]
    pub(crate) fn marked(&self, words: Range<usize>) -> Marked {
        let words = words.start..words.end.min(self.words());
        // SAFETY: these words are there.
        unsafe { Marked::of(&self.zones, words) }
    }

    /// Forgets all entries without dropping them. O(marked words + summary words).
    pub(crate) fn reset(&mut self) {
        if !L::SCRUB && self.is_mostly_marked() {
            // SAFETY: open buckets, whose heads lie in a row.
            unsafe {
                ptr::write_bytes(L::Geometry::head(&self.zones, 0), 0, self.buckets * HEAD);
                ptr::write_bytes(self.zones.masks.as_ptr(), 0, self.words());
            }
        } else {
            self.wipe_marked();
        }
        // SAFETY: the summary of all words.
        unsafe { ptr::write_bytes(self.zones.summary.as_ptr(), 0, self.words().div_ceil(GROUP)) };
        self.len = 0;
        self.rest();
    }

    /// Whether heads lie in a row and so many words are marked that it is quicker to wipe all of them in one go.
    fn is_mostly_marked(&self) -> bool {
        if self.buckets < 2 {
            return false;
        }
        // SAFETY: addresses in the table's memory, and the summary of all words.
        unsafe {
            let stride = L::Geometry::head(&self.zones, 1).addr() - L::Geometry::head(&self.zones, 0).addr();
            let mut summary =
                (0..self.words().div_ceil(GROUP)).map(|group| *self.zones.summary.as_ptr().add(group));
            // Entries cannot be in fewer words than this, which saves most tables the look.
            let many = self.words() / DENSE;
            let mut marked = 0;
            stride == HEAD
                && self.len >= many
                && summary.any(|marks| {
                    marked += marks.count_ones() as usize;
                    marked > many
                })
        }
    }

    /// Wipes the marked words and their heads.
    fn wipe_marked(&mut self) {
        let mut marked = self.marked(0..self.words());
        let mut scout = marked;
        // SAFETY: marked words are open.
        unsafe {
            for _ in 0..AHEAD {
                self.ask_for_heads(&mut scout);
            }
            while let Some(word) = marked.next(&self.zones) {
                self.ask_for_heads(&mut scout);
                self.wipe(word);
            }
        }
    }

    /// Asks for the heads of the scout's next word.
    ///
    /// # Safety
    /// `scout` goes over this table.
    #[inline(always)]
    unsafe fn ask_for_heads(&self, scout: &mut Marked) {
        // SAFETY: the caller's promise; marked words are open.
        unsafe {
            if let Some(word) = scout.next(&self.zones) {
                prefetch(L::Geometry::head(&self.zones, word * LANES));
            }
        }
    }

    /// Zeroes a mask word and the heads of its buckets, and where the layout asks for it the entries.
    ///
    /// # Safety
    /// `word < self.words()`; the entries are forgotten by the caller.
    #[inline(always)]
    unsafe fn wipe(&mut self, word: usize) {
        let first = word * LANES;
        // Where this is known to be four, the heads of a word are cleared in as many stores.
        let open = if self.buckets - first >= LANES { LANES } else { self.buckets - first };
        // SAFETY: the caller's promise. A zeroed head and mask word is an empty one.
        unsafe {
            if L::SCRUB {
                for bit in BucketMask::from_word(self.word(word)).occupied() {
                    ptr::write_bytes(L::Geometry::slot_of_bit(&self.zones, word, bit as usize), 0, 1);
                }
            }
            for bucket in first..first + open {
                ptr::write_bytes(L::Geometry::head(&self.zones, bucket), 0, HEAD);
            }
            *self.zones.masks.as_ptr().add(word) = 0;
        }
    }

    /// Panics unless everything outside the marked words is zero.
    pub(crate) fn check_summary(&self) {
        for bucket in 0..self.buckets {
            let word = bucket / LANES;
            // SAFETY: an open bucket and its words.
            let (marks, mask, head) = unsafe {
                let head = L::Geometry::head(&self.zones, bucket);
                let marks = *self.zones.summary.as_ptr().add(word / GROUP);
                (marks, self.word(word), (Head::load(head).occupied(), self.passes(bucket).any()))
            };
            let marked = marks >> (word % GROUP) & 1 != 0;
            assert!(marked || (mask, head) == (0, (0, false)), "word {word} is in use and not marked");
        }
    }
}
