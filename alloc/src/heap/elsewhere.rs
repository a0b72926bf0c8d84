//! What no size class serves: medium blocks, and those that mimalloc has.
//!
//! Part of the heap. Invariant: a block is mimalloc's exactly if its address is not the region's.
#![allow(unsafe_code)]

use core::sync::atomic::{AtomicU64, Ordering};

use super::{Heap, UNKNOWN};
use crate::events::mem::{Kind, of_block};
use crate::region::REGION;
use crate::{large, medium, purger};

impl Heap {
    /// A block from mimalloc, counted as `bytes`; null if it has none.
    pub(crate) fn malloc_large(&self, size: usize, align: usize, bytes: usize) -> *mut u8 {
        self.meet_large();
        let block = large::malloc(size, align);
        if !block.is_null() {
            // SAFETY: mimalloc just made it.
            let bytes = unsafe { requested(block, bytes) };
            self.count_large(bytes, 1);
            self.tell(Kind::LargeMade, || of_block(bytes as usize, block as usize));
        }
        block
    }

    /// A block that no size class serves, or null: a run of granules if it is a medium one.
    pub(crate) fn malloc_unclassed(&self, size: usize, align: usize, bytes: usize) -> *mut u8 {
        purger::tend();
        if medium::serves(size, align) {
            if let Some(block) = self.medium.malloc(size) {
                self.tell(Kind::MediumMade, || of_block(size, block.address as usize));
                return block.address;
            }
        }
        self.malloc_large(size, align, bytes)
    }

    /// As [`malloc_unclassed`](Self::malloc_unclassed), zeroed: memory fresh from the kernel is zero.
    pub(crate) fn malloc_unclassed_zeroed(&self, size: usize, align: usize, bytes: usize) -> *mut u8 {
        if medium::serves(size, align) {
            if let Some(block) = self.medium.malloc(size) {
                medium::zero(&block, size);
                self.tell(Kind::MediumMade, || of_block(size, block.address as usize));
                return block.address;
            }
        }
        self.meet_large();
        let block = large::malloc_zeroed(size, align);
        if !block.is_null() {
            // SAFETY: mimalloc just made it.
            let bytes = unsafe { requested(block, bytes) };
            self.count_large(bytes, 1);
            self.tell(Kind::LargeMade, || of_block(bytes as usize, block as usize));
        }
        block
    }

    /// Frees a block that no size class serves. What no block begins at ends the process.
    ///
    /// # Safety
    /// The block came from this allocator, requested with `bytes`, and is not used any more.
    #[inline(never)]
    pub(crate) unsafe fn free_unclassed(&self, address: usize, bytes: usize) {
        if let Some(offset) = REGION.offset_of(address) {
            let page = medium::page_at(offset, address);
            self.count_crossing(page.node(), 1);
            self.tell(Kind::MediumFreed, || of_block(page.bytes(), address));
            self.medium.free(page);
            purger::stir();
            return purger::tend();
        }
        // SAFETY: not the region's, so mimalloc's.
        unsafe { self.free_large(address, bytes) };
    }

    /// Frees a block of mimalloc's.
    ///
    /// # Safety
    /// mimalloc made the block, and nobody uses it any more.
    unsafe fn free_large(&self, address: usize, bytes: usize) {
        self.meet_large();
        let block = address as *mut u8;
        // SAFETY: by this function's contract.
        unsafe {
            let bytes = requested(block, bytes);
            self.count_large(bytes.wrapping_neg(), u64::MAX);
            self.tell(Kind::LargeFreed, || of_block(bytes as usize, address));
            large::free(block);
        }
    }

    /// Changes the size of a block that no size class serves, to one that none serves; null leaves it as
    /// it was, and it must then be moved.
    ///
    /// # Safety
    /// The block came from this allocator, aligned to `align`. Of mimalloc's, `old_bytes` and `bytes` count as
    /// asked for before and after.
    pub(crate) unsafe fn realloc_unclassed(
        &self,
        address: usize,
        old_bytes: usize,
        size: usize,
        bytes: usize,
        align: usize,
    ) -> *mut u8 {
        if let Some(offset) = REGION.offset_of(address) {
            let stays = medium::resize(medium::page_at(offset, address), size);
            return if stays { address as *mut u8 } else { core::ptr::null_mut() };
        }
        if medium::serves(size, align) && REGION.bytes() > 0 {
            // Where it belongs.
            return core::ptr::null_mut();
        }
        self.meet_large();
        let old = address as *mut u8;
        // SAFETY: not the region's, so mimalloc's.
        let old_bytes = unsafe { requested(old, old_bytes) };
        // SAFETY: as above.
        let block = unsafe { large::realloc(old, size, align) };
        if !block.is_null() {
            // SAFETY: mimalloc just made it.
            let bytes = unsafe { requested(block, bytes) };
            self.count_large(bytes.wrapping_sub(old_bytes), 0);
            self.tell(Kind::LargeResized, || of_block(bytes as usize, block as usize));
        }
        block
    }

    /// mimalloc wants to know each thread, those that only free as well.
    fn meet_large(&self) {
        if !self.knows_large.load(Ordering::Relaxed) {
            self.knows_large.store(true, Ordering::Relaxed);
            large::meet_thread();
        }
    }

    fn count_large(&self, bytes: u64, blocks: u64) {
        let add = |counter: &AtomicU64, value: u64| {
            counter.store(counter.load(Ordering::Relaxed).wrapping_add(value), Ordering::Relaxed);
        };
        add(&self.large_requested, bytes);
        add(&self.large_blocks, blocks);
    }

    /// Bytes and blocks that mimalloc serves, modulo 2^64.
    pub(crate) fn counted_large(&self) -> (u64, u64) {
        (self.large_requested.load(Ordering::Relaxed), self.large_blocks.load(Ordering::Relaxed))
    }
}

/// What a block of mimalloc's counts with: the bytes asked for, if they are known.
///
/// # Safety
/// mimalloc made the block.
unsafe fn requested(block: *const u8, bytes: usize) -> u64 {
    // SAFETY: by this function's contract.
    if bytes == UNKNOWN { (unsafe { large::usable_size(block) }) as u64 } else { bytes as u64 }
}
