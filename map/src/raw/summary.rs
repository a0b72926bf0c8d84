//! The summary: one bit a mask word, so that a sparse table is walked without reading its empty words.
//!
//! Owned by `table`, which marks a word with its first entry and takes the mark back with its last. A mark too many costs
//! a look at an empty word and nothing else. Invariant: where a word is not marked, its mask word and the heads of its
//! buckets (overflow counts too) are all zero; so what is not marked needs neither a visit nor clearing.

#![allow(unsafe_code)]

use super::group::Head;
use super::layout::{GROUP, Geometry, LANES, Layout, Zones};
use super::table::Bare;
use core::ops::Range;

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
    /// The marked words of `words`.
    ///
    /// # Safety
    /// `zones` are those of a live table that has these words.
    #[inline]
    pub(crate) unsafe fn of<T>(zones: &Zones<T>, words: Range<usize>) -> Self {
        if words.is_empty() {
            return Self { marks: 0, group: 0, end: 0 };
        }
        let mut marked = Self { marks: 0, group: words.start / GROUP, end: words.end };
        // SAFETY: the range is not empty, so its first word's summary is there.
        unsafe { marked.load(zones) };
        marked.marks &= u64::MAX << (words.start % GROUP);
        marked
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
}

impl<T, L: Layout> Bare<T, L> {
    /// Marks mask word `word`, which has got its first entry.
    ///
    /// # Safety
    /// `word < self.words()`.
    #[cold]
    #[inline(never)]
    pub(crate) unsafe fn mark(&mut self, word: usize) {
        // SAFETY: the caller's promise.
        unsafe { *self.zones.summary.as_ptr().add(word / GROUP) |= 1 << (word % GROUP) };
    }

    /// Takes the mark of `word` back if nothing is left there: neither an entry nor a count of entries that passed.
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
