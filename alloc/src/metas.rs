//! The pool of page metadata of one span.
//!
//! Owned by a span, under its lock. Invariant: a block given out is opened memory, and metadata once
//! opened stays open for ever, so stale readers read old metadata and never fault.
#![allow(unsafe_code)]

use core::sync::atomic::Ordering;

use crate::page::PageMeta;
use crate::region::REGION;
use crate::sys;

/// Metadata opened at a time: 256 KiB.
const STEP: usize = 1024;
/// Blocks of 1, 2, 4 ... 64 metadata.
const SIZES: usize = 7;

pub(crate) struct MetaPool {
    /// First never given out.
    next: usize,
    /// First not opened.
    opened: usize,
    end: usize,
    /// Free blocks by log2 of their size, linked through `header.next`.
    free: [*mut PageMeta; SIZES],
}

// SAFETY: the pointers are into memory that is never unmapped; the span's lock guards the pool.
unsafe impl Send for MetaPool {}

impl MetaPool {
    pub(crate) const fn empty() -> Self {
        Self::new(0, 0)
    }

    /// The pool of `count` metadata from index `first` on.
    pub(crate) const fn new(first: usize, count: usize) -> Self {
        Self { next: first, opened: first, end: first + count, free: [core::ptr::null_mut(); SIZES] }
    }

    /// Index of the first of `count` (a power of two up to 64) neighbouring metadata, contents stale.
    pub(crate) fn take(&mut self, count: usize) -> Option<usize> {
        let head = &mut self.free[count.ilog2() as usize];
        if !head.is_null() {
            // SAFETY: what is in the list was given out once, so it is opened metadata.
            let (block, first) = unsafe { (&**head, REGION.meta(0)) };
            let idx = (*head as usize - first.as_ptr() as usize) / size_of::<PageMeta>();
            *head = block.header.next.load(Ordering::Relaxed);
            return Some(idx);
        }
        if self.next + count > self.opened && !self.open_more() {
            return None;
        }
        self.next += count;
        Some(self.next - count)
    }

    fn open_more(&mut self) -> bool {
        let step = STEP.min(self.end - self.opened);
        // SAFETY: the next part of the span's own metadata reservation; STEP metadata are whole OS pages.
        let opened = step > 0
            && unsafe { sys::open(REGION.meta(self.opened).as_ptr().cast(), step * size_of::<PageMeta>()) };
        if opened {
            self.opened += step;
        }
        opened && self.opened - self.next >= 64.min(step)
    }

    /// Takes a block of `count` back.
    pub(crate) fn give(&mut self, first: usize, count: usize) {
        let head = &mut self.free[count.ilog2() as usize];
        // SAFETY: the block was given out by `take`.
        let block = unsafe { REGION.meta(first) };
        // SAFETY: metadata is never unmapped and its fields are atomics.
        unsafe { block.as_ref() }.header.next.store(*head, Ordering::Relaxed);
        *head = block.as_ptr();
    }
}
