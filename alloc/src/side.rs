//! A span's memory below pages: chunks and granules, and the side arrays that govern them.
//!
//! Owned by a span, under its lock. Invariant: a chunk's bit in `used` is set while it is opened for
//! pages or part of a range; a chunk opened for pages has a bit in `partial` while one of its 64
//! granules is free, and its word in `granules` says which.
#![allow(unsafe_code)]

use core::ptr::NonNull;

use crate::class::GRANULE;
use crate::mask::BucketMask;
use crate::report::GranulesReport;
use crate::sys;

/// Bytes of a chunk: 64 granules, one mask word.
pub(crate) const CHUNK: usize = 64 * GRANULE;

/// What a granule that is split into small pages needs to know; of no meaning for others.
#[repr(C)]
pub(crate) struct Split {
    /// One bit a page that is in use.
    pub taken: u64,
    /// Neighbours in the list of granules with a free page: index plus one, 0 for none.
    pub previous: u32,
    /// As `previous`.
    pub next: u32,
}

static_assertions::const_assert_eq!(size_of::<Split>(), 16);

/// A span's side arrays, zeroed at first.
pub(crate) struct Side {
    splits: &'static mut [Split],
    /// Taken granules, a word a chunk.
    granules: &'static mut [u64],
    /// Chunks in use, a bit a chunk.
    used: &'static mut [u64],
    /// Chunks opened for pages that have a free granule, a bit a chunk.
    partial: &'static mut [u64],
}

impl Side {
    /// A word for `granules`, and a bit each in `used` and `partial`, rounded up generously.
    pub(crate) const BYTES_PER_CHUNK: usize = 16;

    /// The arrays of `chunks` chunks.
    ///
    /// # Safety
    /// `splits` has a zeroed record for each of `granules` granules, `words` [`Self::BYTES_PER_CHUNK`]
    /// zeroed bytes for each chunk; nobody else uses them. `chunks` is a multiple of 16.
    pub(crate) unsafe fn new(
        splits: NonNull<Split>,
        granules: usize,
        words: NonNull<u64>,
        chunks: usize,
    ) -> Self {
        let (splits, words) = (splits.as_ptr(), words.as_ptr());
        let bit_words = chunks.div_ceil(64);
        // SAFETY: three neighbouring parts of `words`: chunks + 2 * ceil(chunks / 64) <= 2 * chunks
        // words for 2 chunks and more, which the caller gave.
        unsafe {
            Self {
                splits: core::slice::from_raw_parts_mut(splits, granules),
                granules: core::slice::from_raw_parts_mut(words, chunks),
                used: core::slice::from_raw_parts_mut(words.add(chunks), bit_words),
                partial: core::slice::from_raw_parts_mut(words.add(chunks + bit_words), bit_words),
            }
        }
    }
}

/// Chunks and granules of a span.
pub(crate) struct SpanMemory {
    base: usize,
    side: Side,
    /// Chunks from here on were never opened for pages.
    open_end: usize,
    /// Open chunks without a page; one is kept so that a page taken and given in turn costs no calls.
    empty_chunks: usize,
}

impl SpanMemory {
    pub(crate) const fn empty() -> Self {
        let side = Side { splits: &mut [], granules: &mut [], used: &mut [], partial: &mut [] };
        Self { base: 0, side, open_end: 0, empty_chunks: 0 }
    }

    pub(crate) fn new(base: usize, side: Side) -> Self {
        Self { base, side, ..Self::empty() }
    }

    pub(crate) fn open_end(&self) -> usize {
        self.open_end
    }

    pub(crate) fn splits(&mut self) -> &mut [Split] {
        self.side.splits
    }

    /// Address of a granule.
    pub(crate) fn address(&self, granule: usize) -> usize {
        self.base + granule * GRANULE
    }

    /// The granule of an address of the span.
    pub(crate) fn granule(&self, address: usize) -> usize {
        (address - self.base) / GRANULE
    }

    /// How the granules of chunks opened for pages are used.
    pub(crate) fn granules(&self) -> GranulesReport {
        let mut report = GranulesReport::default();
        for chunk in 0..self.open_end {
            let taken = BucketMask::from_word(self.side.granules[chunk]);
            let is_partial = self.side.partial[chunk / 64] >> (chunk % 64) & 1 != 0;
            if is_partial || taken.is_full() {
                report.open += 64;
                report.free += 64 - taken.count() as usize;
                let runs = taken.empty_runs().map(|run| run.len());
                report.largest_free_run = runs.fold(report.largest_free_run, usize::max);
            }
        }
        report
    }

    /// The first of `count` (1 to 64) neighbouring granules of one chunk, now taken.
    pub(crate) fn take_granules(&mut self, count: usize) -> Option<usize> {
        let fit = |chunk: usize, side: &Side| {
            BucketMask::from_word(side.granules[chunk]).first_fit(count as u32).map(|at| at as usize)
        };
        let words = self.open_end.div_ceil(64);
        let found = (0..words).find_map(|word| {
            let partial = BucketMask::from_word(self.side.partial[word]);
            partial.occupied().find_map(|bit| {
                let chunk = word * 64 + bit as usize;
                fit(chunk, &self.side).map(|at| (chunk, at))
            })
        });
        let (chunk, at) = match found {
            Some(place) => place,
            None => (self.open_chunk()?, 0),
        };
        let granules = &mut self.side.granules[chunk];
        if *granules == 0 {
            self.empty_chunks -= 1;
        }
        *granules |= BucketMask::from_run(at as u32..(at + count) as u32).word();
        if *granules == u64::MAX {
            self.side.partial[chunk / 64] &= !(1 << (chunk % 64));
        }
        Some(chunk * 64 + at)
    }

    /// Opens the lowest unused chunk for pages.
    fn open_chunk(&mut self) -> Option<usize> {
        let word = self.side.used.iter().position(|&used| used != u64::MAX)?;
        let chunk = word * 64 + self.side.used[word].trailing_ones() as usize;
        if chunk >= self.side.granules.len() {
            return None;
        }
        // SAFETY: an unused chunk of this span; opening it disturbs nobody.
        if !unsafe { sys::open(self.address(chunk * 64) as *mut u8, CHUNK) } {
            return None;
        }
        self.side.used[word] |= 1 << (chunk % 64);
        self.side.partial[word] |= 1 << (chunk % 64);
        self.side.granules[chunk] = 0;
        self.open_end = self.open_end.max(chunk + 1);
        self.empty_chunks += 1;
        Some(chunk)
    }

    /// Gives granules back. A chunk that becomes empty is closed, unless it is the only empty one.
    pub(crate) fn give_granules(&mut self, granule: usize, count: usize) {
        let (chunk, at) = (granule / 64, granule % 64);
        let granules = &mut self.side.granules[chunk];
        *granules &= !BucketMask::from_run(at as u32..(at + count) as u32).word();
        self.side.partial[chunk / 64] |= 1 << (chunk % 64);
        if *granules != 0 {
            return;
        }
        // SAFETY: no page is left in the chunk, so nothing in it is used.
        let closed =
            self.empty_chunks > 0 && unsafe { sys::close(self.address(chunk * 64) as *mut u8, CHUNK) };
        if closed {
            self.side.used[chunk / 64] &= !(1 << (chunk % 64));
            self.side.partial[chunk / 64] &= !(1 << (chunk % 64));
        } else {
            self.empty_chunks += 1;
        }
    }

    /// The highest `count` neighbouring unused chunks, now used; their address. They are closed.
    pub(crate) fn take_chunks(&mut self, count: usize) -> Option<usize> {
        let first = highest_clear_run(self.side.used, self.side.granules.len(), count)?;
        for chunk in first..first + count {
            self.side.used[chunk / 64] |= 1 << (chunk % 64);
        }
        Some(self.address(first * 64))
    }

    /// Takes closed chunks back from a range.
    pub(crate) fn give_chunks(&mut self, base: usize, count: usize) {
        let first = (base - self.base) / CHUNK;
        for chunk in first..first + count {
            self.side.used[chunk / 64] &= !(1 << (chunk % 64));
        }
    }
}

/// The first bit of the highest run of `count` clear bits among the lowest `len`, a run a step.
fn highest_clear_run(words: &[u64], len: usize, count: usize) -> Option<usize> {
    // The clear run looked at is at..end; both fall.
    let (mut at, mut end) = (len, len);
    while end - at < count {
        if at == 0 {
            return None;
        }
        let top = (at - 1) % 64;
        let below = words[(at - 1) / 64] << (63 - top);
        let clear = (below.leading_zeros() as usize).min(top + 1);
        if clear > 0 {
            at -= clear;
        } else {
            at -= below.leading_ones() as usize;
            end = at;
        }
    }
    Some(end - count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_clear_run_is_found_like_a_naive_one() {
        let naive = |words: &[u64], len: usize, count: usize| {
            (0..=len.checked_sub(count)?)
                .rev()
                .find(|&at| (at..at + count).all(|bit| words[bit / 64] >> (bit % 64) & 1 == 0))
        };
        let mut seed = 1u64;
        for _ in 0..2000 {
            let words: Vec<u64> = (0..3)
                .map(|_| {
                    seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(99);
                    match seed >> 61 {
                        0 => 0,
                        1 => u64::MAX,
                        2 => u64::MAX << (seed >> 40 & 63),
                        _ => seed & seed >> 7 & seed << 3,
                    }
                })
                .collect();
            for (len, count) in [(192, 1), (192, 5), (190, 64), (130, 65), (70, 2), (64, 64), (16, 3), (5, 6)]
            {
                assert_eq!(
                    highest_clear_run(&words, len, count),
                    naive(&words, len, count),
                    "{words:x?} {len} {count}"
                );
            }
        }
    }
}
