//! A span's memory below pages: chunks and granules, and the side arrays that govern them.
//!
//! Owned by a span, under its lock. Invariants: a chunk's bit in `used` is set while it is opened for
//! pages or part of a range; a chunk opened for pages has a bit in `partial` while one of its 64
//! granules is free, and its word in `granules` says which. A free granule that is not `dirty` costs no memory,
//! one that is not `written` reads as zero: what a huge page brought is dirty and not written.
#![allow(unsafe_code)]

use core::ptr::NonNull;

use crate::class::GRANULE;
use crate::mask::BucketMask;
use crate::report::GranulesReport;
use crate::sys;

/// Bytes of a chunk: 64 granules, one mask word.
pub(crate) const CHUNK: usize = 64 * GRANULE;
/// Chunks of a span that are not backed by huge pages: a small program stays small.
const SMALL_CHUNKS: usize = 1;

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
    /// Free granules that may have memory, a word a chunk.
    dirty: &'static mut [u64],
    /// Granules that were given back since their memory came from the kernel, a word a chunk: free ones that
    /// are not read as zero.
    written: &'static mut [u64],
    /// Dirty granules that nobody took since the purge looked last, a word a chunk.
    aged: &'static mut [u64],
    /// Chunks in use, a bit a chunk.
    used: &'static mut [u64],
    /// Chunks opened for pages that have a free granule, a bit a chunk.
    partial: &'static mut [u64],
    /// Chunks that have a dirty granule, a bit a chunk.
    soiled: &'static mut [u64],
    /// Chunks whose memory the kernel would not take back, a bit a chunk.
    locked: &'static mut [u64],
}

impl Side {
    /// Four words, and a bit each in the last four arrays, rounded up generously.
    pub(crate) const BYTES_PER_CHUNK: usize = 40;

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
        let bits = chunks.div_ceil(64);
        let mut at = 0;
        let mut part = |len: usize| {
            let first = at;
            at += len;
            // SAFETY: neighbouring parts of `words`: 4 * chunks + 4 * ceil(chunks / 64) <= 5 * chunks
            // words for 4 chunks and more, which the caller gave.
            unsafe { core::slice::from_raw_parts_mut(words.as_ptr().add(first), len) }
        };
        Self {
            granules: part(chunks),
            dirty: part(chunks),
            written: part(chunks),
            aged: part(chunks),
            used: part(bits),
            partial: part(bits),
            soiled: part(bits),
            locked: part(bits),
            // SAFETY: by this function's contract.
            splits: unsafe { core::slice::from_raw_parts_mut(splits.as_ptr(), granules) },
        }
    }

    const fn empty() -> Self {
        Self {
            splits: &mut [],
            granules: &mut [],
            dirty: &mut [],
            written: &mut [],
            aged: &mut [],
            used: &mut [],
            partial: &mut [],
            soiled: &mut [],
            locked: &mut [],
        }
    }

    /// Makes the bits of a chunk in `partial` and `soiled` say what its words say.
    fn settle(&mut self, chunk: usize) {
        let bit = 1u64 << (chunk % 64);
        let set = |words: &mut [u64], to: bool| {
            if to {
                words[chunk / 64] |= bit;
            } else {
                words[chunk / 64] &= !bit;
            }
        };
        set(self.partial, self.granules[chunk] != u64::MAX);
        set(self.soiled, self.dirty[chunk] != 0);
    }
}

/// Whether a chunk's bit is set.
fn has(words: &[u64], chunk: usize) -> bool {
    words[chunk / 64] >> (chunk % 64) & 1 != 0
}

/// The chunks whose bit is set in a word of both.
fn both(one: &[u64], other: &[u64], word: usize) -> impl Iterator<Item = usize> + use<> {
    BucketMask::from_word(one[word] & other[word]).occupied().map(move |bit| word * 64 + bit as usize)
}

/// A run of granules just taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    /// The first.
    pub granule: usize,
    /// Leading granules up to and with the last dirty one: those behind have no memory.
    pub dirty: usize,
    /// Leading granules up to and with the last written one: those behind read as zero.
    pub written: usize,
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
        Self { base: 0, side: Side::empty(), open_end: 0, empty_chunks: 0 }
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

    /// Whether an address lies in a chunk that is part of a range.
    #[cfg(feature = "checked")]
    pub(crate) fn is_ranged(&self, address: usize) -> bool {
        let chunk = self.granule(address) / 64;
        let for_pages = has(self.side.partial, chunk) || self.side.granules[chunk] == u64::MAX;
        has(self.side.used, chunk) && !for_pages
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

    /// `count` (1 to 64) neighbouring granules of one chunk, now taken: dirty ones where there are, since
    /// their memory is there already.
    pub(crate) fn take_granules(&mut self, count: usize) -> Option<Run> {
        /// Chunks with dirty granules looked at: a bound on the time when none of them has room.
        const LOOK: usize = 16;
        let side = &self.side;
        let words = self.open_end.div_ceil(64);
        let soiled = (0..words).flat_map(|word| both(side.partial, side.soiled, word)).take(LOOK);
        let partial = (0..words).flat_map(|word| both(side.partial, side.partial, word));
        let fit = |chunk: usize, closed: u64| {
            let at = BucketMask::from_word(closed).first_fit(count as u32)?;
            Some((chunk, at as usize))
        };
        let found = { soiled }
            .find_map(|chunk| fit(chunk, side.granules[chunk] | !side.dirty[chunk]))
            .or_else(|| { partial }.find_map(|chunk| fit(chunk, side.granules[chunk])));
        let (chunk, at) = match found {
            Some(place) => place,
            None => (self.open_chunk()?, 0),
        };
        Some(self.take_run(chunk, at, count))
    }

    fn take_run(&mut self, chunk: usize, at: usize, count: usize) -> Run {
        let run = BucketMask::from_run(at as u32..(at + count) as u32).word();
        let side = &mut self.side;
        if side.granules[chunk] == 0 {
            self.empty_chunks -= 1;
        }
        let leading = |granules: u64| (u64::BITS - ((granules & run) >> at).leading_zeros()) as usize;
        let (dirty, written) = (leading(side.dirty[chunk]), leading(side.written[chunk]));
        side.granules[chunk] |= run;
        side.dirty[chunk] &= !run;
        side.aged[chunk] &= !run;
        side.settle(chunk);
        Run { granule: chunk * 64 + at, dirty, written }
    }

    /// Takes the `count` granules from `granule` on, if they are all free and of one chunk.
    pub(crate) fn take_these(&mut self, granule: usize, count: usize) -> Option<Run> {
        let (chunk, at) = (granule / 64, granule % 64);
        let run = BucketMask::from_run(at as u32..(at + count) as u32).word();
        // The granules are behind a taken one; at the chunk's end they would be the next chunk's.
        let free = at != 0 && at + count <= 64 && self.side.granules[chunk] & run == 0;
        free.then(|| self.take_run(chunk, at, count))
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
        self.side.granules[chunk] = 0;
        self.side.written[chunk] = 0;
        if chunk >= SMALL_CHUNKS {
            // SAFETY: just opened.
            unsafe { sys::advise_huge(self.address(chunk * 64) as *mut u8, CHUNK) };
            // The first touch of one may bring memory for many.
            self.side.dirty[chunk] = u64::MAX;
        }
        self.side.settle(chunk);
        self.open_end = self.open_end.max(chunk + 1);
        self.empty_chunks += 1;
        Some(chunk)
    }

    /// Gives granules back, of which the first `dirty` may have been written to.
    pub(crate) fn give_granules(&mut self, granule: usize, count: usize, dirty: usize) {
        let (chunk, at) = (granule / 64, granule % 64);
        let side = &mut self.side;
        side.granules[chunk] &= !BucketMask::from_run(at as u32..(at + count) as u32).word();
        let dirty = BucketMask::from_run(at as u32..(at + dirty.min(count)) as u32).word();
        side.dirty[chunk] |= dirty;
        side.written[chunk] |= dirty;
        side.settle(chunk);
        if side.granules[chunk] == 0 {
            self.empty_chunks += 1;
        }
    }

    /// The free granules of a chunk whose memory the kernel is to have, taken until
    /// [`give_purged`](Self::give_purged): the dirty ones that nobody took since this was asked last, or
    /// with `all` every dirty one. With `huge` whole 2 MiB only, as huge pages would have to be split.
    /// Also whether some that are not due yet may be next time.
    pub(crate) fn take_purgeable(&mut self, chunk: usize, all: bool, huge: bool) -> (u64, bool) {
        let side = &mut self.side;
        let is_open = has(side.used, chunk) && has(side.soiled, chunk);
        if !is_open || (has(side.locked, chunk) && !all) {
            return (0, false);
        }
        let (dirty, taken) = (side.dirty[chunk], side.granules[chunk]);
        let due = if all { dirty } else { dirty & side.aged[chunk] };
        let is_more = dirty & !due != 0;
        side.aged[chunk] = dirty;
        let due = if huge { whole_halves(taken, dirty, due) } else { due };
        side.aged[chunk] &= !due;
        if due != 0 && taken == 0 {
            self.empty_chunks -= 1;
        }
        side.granules[chunk] |= due;
        side.dirty[chunk] &= !due;
        side.settle(chunk);
        (due, is_more)
    }

    /// Takes purged granules back, of which `kept` stayed dirty. A chunk without a page and without
    /// memory is closed, unless it is the only such one.
    pub(crate) fn give_purged(&mut self, chunk: usize, granules: u64, kept: u64) {
        let side = &mut self.side;
        side.granules[chunk] &= !granules;
        side.dirty[chunk] |= kept;
        side.written[chunk] &= !granules | kept;
        let bit = 1 << (chunk % 64);
        side.locked[chunk / 64] = side.locked[chunk / 64] & !bit | if kept == 0 { 0 } else { bit };
        side.settle(chunk);
        if side.granules[chunk] != 0 {
            return;
        }
        self.empty_chunks += 1;
        let spare = self.empty_chunks > 1 && side.dirty[chunk] == 0;
        // SAFETY: no page is left in the chunk, so nothing in it is used.
        if spare && unsafe { sys::close((self.base + chunk * CHUNK) as *mut u8, CHUNK) } {
            side.used[chunk / 64] &= !bit;
            side.partial[chunk / 64] &= !bit;
            self.empty_chunks -= 1;
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

/// The halves of a chunk, 2 MiB each, that are wholly free, and dirty nowhere but where it is due.
fn whole_halves(taken: u64, dirty: u64, due: u64) -> u64 {
    const HALF: u64 = u64::MAX >> 32;
    let whole = |half: u64| taken & half == 0 && due & half != 0 && dirty & half == due & half;
    [HALF, HALF << 32].into_iter().filter(|&half| whole(half)).sum()
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
