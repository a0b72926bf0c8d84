//! Which of the region's memory is in memory, asked of the kernel a chunk at a time.

use crate::side::CHUNK;
use crate::sys;

const OS_PAGES: usize = CHUNK / sys::OS_PAGE;

/// The last chunk asked about: pages come by address, so each chunk is asked about about once.
pub(crate) struct Residency {
    chunk: usize,
    states: Vec<u8>,
}

impl Residency {
    pub(crate) fn new() -> Self {
        Self { chunk: 0, states: vec![0; OS_PAGES] }
    }

    /// Bytes in memory of a page, which lies in one chunk.
    pub(crate) fn of_page(&mut self, base: usize, bytes: usize) -> usize {
        let chunk = base & !(CHUNK - 1);
        if chunk != self.chunk {
            sys::residency(chunk, &mut self.states);
            self.chunk = chunk;
        }
        let first = (base - chunk) / sys::OS_PAGE;
        // A page that is given back and taken anew meanwhile may seem to run over its chunk's end.
        let pages = self.states[first..].iter().take(bytes / sys::OS_PAGE);
        pages.filter(|&state| state & 1 != 0).count() * sys::OS_PAGE
    }

    /// Bytes in memory of a range, which is whole chunks.
    pub(crate) fn of_range(&mut self, base: usize, bytes: usize) -> usize {
        (base..base + bytes).step_by(CHUNK).map(|chunk| self.of_page(chunk, CHUNK)).sum()
    }
}
