//! A thread's blocks of mixed sizes, taken from the bucket allocator directly. Owned by the thread that made them, or by the
//! one that is to free them. Invariant: each block is freed once, by whoever holds it last.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout};

use bucketmask_alloc::BucketAlloc;

/// Bytes of an OS page, as the kernel counts placement.
pub(super) const OS_PAGE: usize = 4096;

/// Sizes in turn: all small classes' ranges, and a few medium blocks among many small ones.
const SIZES: [usize; 12] = [16, 48, 24, 100, 64, 200, 512, 32, 1000, 3000, 8000, 80];
/// Every so many blocks one is of medium size.
const MEDIUM_EVERY: usize = 500;
const MEDIUM: [usize; 3] = [24 << 10, 64 << 10, 200 << 10];

/// Blocks, and the bytes of each.
#[derive(Debug, Default)]
pub(super) struct Blocks(Vec<(usize, Layout)>);

impl Blocks {
    /// Takes blocks of `bytes` together. Fewer if there is no more memory.
    pub(super) fn take(bytes: usize) -> Self {
        let mut blocks = Vec::new();
        let mut taken = 0;
        while taken < bytes {
            let count = blocks.len();
            let size = if count % MEDIUM_EVERY == MEDIUM_EVERY - 1 {
                MEDIUM[count / MEDIUM_EVERY % MEDIUM.len()]
            } else {
                SIZES[count % SIZES.len()]
            };
            let Ok(layout) = Layout::from_size_align(size, 8) else { break };
            // SAFETY: no size is 0.
            let block = unsafe { BucketAlloc.alloc(layout) };
            if block.is_null() {
                break;
            }
            blocks.push((block as usize, layout));
            taken += size;
        }
        Self(blocks)
    }

    /// Writes to each of their OS pages: the kernel finds memory for those that never were written.
    pub(super) fn touch(&self) {
        for &(block, layout) in &self.0 {
            for offset in (0..layout.size()).step_by(OS_PAGE).chain([layout.size() - 1]) {
                // SAFETY: inside the block, which is held here alone.
                unsafe { ((block + offset) as *mut u8).write_volatile(1) };
            }
        }
    }

    /// Splits off every `share`-th block.
    pub(super) fn split(&mut self, share: usize) -> Self {
        let (mut kept, mut split) = (Vec::new(), Vec::new());
        for (idx, block) in std::mem::take(&mut self.0).into_iter().enumerate() {
            if idx % share == 0 { split.push(block) } else { kept.push(block) }
        }
        self.0 = kept;
        Self(split)
    }

    /// How many blocks there are.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// The OS pages they lie on, each once, ascending.
    pub(super) fn pages(&self) -> Vec<usize> {
        let pages = |&(block, layout): &(usize, Layout)| {
            (block / OS_PAGE..=(block + layout.size() - 1) / OS_PAGE).map(|page| page * OS_PAGE)
        };
        let mut pages: Vec<usize> = self.0.iter().flat_map(pages).collect();
        pages.sort_unstable();
        pages.dedup();
        pages
    }

    /// Frees them all, on this thread.
    pub(super) fn free(self) {
        for (block, layout) in self.0 {
            // SAFETY: taken in `take` with this layout, held here alone.
            unsafe { BucketAlloc.dealloc(block as *mut u8, layout) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_those_of_the_blocks_each_once() {
        let mut blocks = Blocks::take(4 << 20);
        blocks.touch();
        let pages = blocks.pages();
        assert!(pages.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(pages.len() >= (4 << 20) / OS_PAGE, "{}", pages.len());
        let count = blocks.count();
        let split = blocks.split(2);
        assert_eq!(blocks.count() + split.count(), count);
        assert!(split.count().abs_diff(blocks.count()) <= 1);
        split.free();
        blocks.free();
    }
}
