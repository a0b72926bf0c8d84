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

    /// Bytes in memory of a part of a range, whole OS pages of any number of chunks.
    pub(crate) fn of_part(&mut self, base: usize, bytes: usize) -> usize {
        let (mut at, end, mut sum) = (base, base + bytes, 0);
        while at < end {
            let next = end.min((at & !(CHUNK - 1)) + CHUNK);
            sum += self.of_page(at, next - at);
            at = next;
        }
        sum
    }
}
