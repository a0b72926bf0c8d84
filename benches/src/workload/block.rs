//! Blocks as workloads hold them: allocated on one allocator, freed when dropped. The workload owns them. Invariant: a
//! block's first word is its size, written when it is made, so that a bare address is enough to free it, and a block that
//! another has overwritten gives itself away.
#![allow(unsafe_code)]

use std::alloc::{Layout, handle_alloc_error};
use std::hint::black_box;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, Ordering};

use crate::peer::Peer;

/// The alignment of all blocks, and the least size: one word.
pub const WORD: usize = 8;

/// One block.
#[derive(Debug)]
pub struct Block<A: Peer> {
    ptr: NonNull<u8>,
    size: usize,
    allocator: A,
}

// SAFETY: a block is its owner's alone, and every allocator here takes a free from any thread.
unsafe impl<A: Peer> Send for Block<A> {}

#[inline(always)]
fn layout(size: usize) -> Layout {
    // SAFETY: the alignment is a power of two and sizes are far below `isize::MAX`; `Block::new` asserts both.
    unsafe { Layout::from_size_align_unchecked(size, WORD) }
}

impl<A: Peer> Block<A> {
    /// A block of `size` bytes, its first word written.
    ///
    /// # Panics
    /// When `size` is under a word or over 1 GiB.
    #[inline(always)]
    pub fn new(allocator: A, size: usize) -> Self {
        assert!((WORD..=1 << 30).contains(&size), "a block's size");
        let layout = layout(size);
        // SAFETY: the layout is not empty.
        let ptr = unsafe { allocator.alloc(layout) };
        // Hidden from the compiler, which may leave out a malloc and its free when it sees both.
        let Some(ptr) = NonNull::new(black_box(ptr)) else { handle_alloc_error(layout) };
        // SAFETY: the block is a word long at least and aligned to one.
        unsafe { ptr.cast::<u64>().write(size as u64) };
        Self { ptr, size, allocator }
    }

    /// Bytes.
    #[inline(always)]
    pub fn size(&self) -> usize {
        self.size
    }

    /// Where it lies.
    #[inline(always)]
    pub fn address(&self) -> usize {
        self.ptr.as_ptr() as usize
    }

    /// Writes every whole word after the first.
    #[inline]
    pub fn fill(&mut self) {
        let start = self.ptr.cast::<u64>();
        for word in 1..self.size / WORD {
            // SAFETY: within the block, which is ours alone.
            unsafe { start.add(word).write((self.size ^ word) as u64) };
        }
    }

    /// Writes the word at the start again: a program at work on a small object.
    #[inline(always)]
    pub fn rewrite(&mut self) {
        // SAFETY: as in `new`. Volatile, so that writing often is what it says.
        unsafe { self.ptr.cast::<u64>().write_volatile(self.size as u64) };
    }

    /// Whether the first word still is the size.
    #[inline]
    pub fn is_labelled(&self) -> bool {
        // SAFETY: written by `new`.
        unsafe { self.ptr.cast::<u64>().read() == self.size as u64 }
    }

    /// Whether all that [`new`](Self::new) and [`fill`](Self::fill) wrote still stands there.
    #[inline]
    pub fn is_intact(&self) -> bool {
        let start = self.ptr.cast::<u64>();
        self.is_labelled()
            // SAFETY: within the block, and written by `fill`.
            && (1..self.size / WORD).all(|word| unsafe { start.add(word).read() } == (self.size ^ word) as u64)
    }

    fn into_raw(self) -> *mut u8 {
        let ptr = self.ptr.as_ptr();
        std::mem::forget(self);
        ptr
    }
}

impl<A: Peer> Drop for Block<A> {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: made by `new` with this layout, and dropped once.
        unsafe { self.allocator.dealloc(self.ptr.as_ptr(), layout(self.size)) };
    }
}

/// Places where threads leave blocks for each other.
#[derive(Debug)]
pub struct Shelf<A: Peer> {
    places: Box<[AtomicPtr<u8>]>,
    allocator: A,
}

impl<A: Peer> Shelf<A> {
    /// So many empty places.
    pub fn new(allocator: A, places: usize) -> Self {
        Self { places: (0..places).map(|_| AtomicPtr::new(ptr::null_mut())).collect(), allocator }
    }

    /// How many places there are.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there is no place.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Leaves a block, or nothing, at a place and takes what was there.
    ///
    /// # Panics
    /// When there is no such place.
    #[inline]
    pub fn exchange(&self, place: usize, block: Option<Block<A>>) -> Option<Block<A>> {
        let left = block.map_or(ptr::null_mut(), Block::into_raw);
        // AcqRel pairs with itself in other threads: who takes a block sees what its last owner wrote into it.
        let ptr = NonNull::new(self.places[place].swap(left, Ordering::AcqRel))?;
        // SAFETY: every block on the shelf came out of `into_raw`, and the exchange gave it to this thread alone; its
        // first word is its size.
        let size = unsafe { ptr.cast::<u64>().read() } as usize;
        Some(Block { ptr, size, allocator: self.allocator })
    }
}

impl<A: Peer> Drop for Shelf<A> {
    fn drop(&mut self) {
        for place in 0..self.len() {
            self.exchange(place, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::Mimalloc;

    #[test]
    fn a_block_keeps_what_is_written() {
        let mut block = Block::new(Mimalloc, 100);
        block.fill();
        block.rewrite();
        assert!(block.is_intact() && block.size() == 100);
        // SAFETY: within the block.
        unsafe { ((block.address() + 40) as *mut u8).write(0xff) };
        assert!(!block.is_intact() && block.is_labelled());
    }

    #[test]
    fn a_shelf_gives_back_what_was_left() {
        let shelf = Shelf::new(Mimalloc, 2);
        assert!(shelf.exchange(1, Some(Block::new(Mimalloc, 24))).is_none());
        assert!(shelf.exchange(0, None).is_none());
        let block = shelf.exchange(1, Some(Block::new(Mimalloc, 8))).unwrap();
        assert_eq!((block.size(), shelf.len()), (24, 2));
        assert!(block.is_intact() || block.is_labelled());
    }
}
