//! Byte strings as programs over the map's whole interface, run against std's: what the fuzz target and the seeded test
//! have in common.
//!
//! The first bytes choose a hasher, a mode (allocator and layout) and what is driven: a map, two sets or a table. Then
//! each step is a byte that says what, and bytes that say how; what is missing is zero.
//! Invariant: after a program the subject's own invariants hold, and its allocator has everything back.

use crate::common::{ALL_HASHERS, By};
use bucketmask_map::{AllocError, Allocator, Auto, Blocks, Inline, Layout, Pages, Scrubbed, Split, Tiny};
use std::alloc::Layout as Block;
use std::cell::Cell;
use std::ptr::NonNull;
use std::rc::Rc;

mod maps;
mod sets;
mod tables;

/// Ways to run a program: allocators and layouts.
pub(crate) const MODES: usize = 10;

/// The rest of a program.
pub(crate) struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    /// Whether there is no step left.
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn byte(&mut self) -> usize {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        usize::from(first)
    }

    /// One of few keys, or one of many.
    fn key(&mut self) -> u64 {
        let low = self.byte() as u64;
        if low % 2 == 0 { low / 2 } else { low << 8 | self.byte() as u64 }
    }

    /// A count: small ones as likely as those of some hundreds.
    fn count(&mut self) -> usize {
        let magnitude = self.byte();
        (magnitude & 15) << (magnitude >> 4).min(6)
    }
}

/// A foreign allocator with a state: it counts the bytes that it lent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counting(Rc<Cell<usize>>);

impl Counting {
    /// Bytes that were not given back.
    pub(crate) fn lent(&self) -> usize {
        self.0.get()
    }
}

// SAFETY: blocks are those of `Pages`; clones count together.
unsafe impl Allocator for Counting {
    fn allocate(&self, block: Block) -> Result<NonNull<[u8]>, AllocError> {
        let start = Pages.allocate(block)?;
        self.0.set(self.0.get() + block.size());
        Ok(start)
    }

    unsafe fn deallocate(&self, start: NonNull<u8>, block: Block) {
        self.0.set(self.0.get().checked_sub(block.size()).expect("no block is given back twice"));
        // SAFETY: the caller's promise.
        unsafe { Pages.deallocate(start, block) }
    }
}

/// Runs a program in the mode that it chooses.
pub(crate) fn run(bytes: &[u8]) {
    let mut program = Bytes(bytes);
    let mode = program.byte();
    run_in(mode % MODES, program.0);
}

/// Runs a program in mode `mode`.
pub(crate) fn run_in(mode: usize, bytes: &[u8]) {
    // A foreign allocator has no ranges, so these are modes in blocks, too. `Auto` is `Split` for these entries.
    match mode {
        0 => drive::<Pages, Auto>(bytes, &Pages),
        1 => drive::<Pages, Inline>(bytes, &Pages),
        2 => drive::<Pages, Tiny<Split>>(bytes, &Pages),
        3 => drive::<Pages, Tiny<Inline>>(bytes, &Pages),
        4 => counted::<Auto>(bytes),
        5 => counted::<Tiny<Split>>(bytes),
        6 => counted::<Tiny<Inline>>(bytes),
        7 => drive::<Pages, Tiny<Blocks<Split>>>(bytes, &Pages),
        8 => drive::<Pages, Tiny<Blocks<Inline>>>(bytes, &Pages),
        _ => drive::<Pages, Tiny<Scrubbed<Split>>>(bytes, &Pages),
    }
}

fn counted<L: Layout>(bytes: &[u8]) {
    let counting = Counting::default();
    drive::<Counting, L>(bytes, &counting);
    assert_eq!(counting.lent(), 0, "memory was not given back");
}

fn drive<A: Allocator + Clone + Default, L: Layout>(bytes: &[u8], alloc: &A) {
    let mut program = Bytes(bytes);
    let hasher: By = ALL_HASHERS[program.byte() % ALL_HASHERS.len()];
    match program.byte() % 4 {
        0 | 1 => maps::run::<A, L>(&mut program, hasher, alloc),
        2 => sets::run::<A, L>(&mut program, hasher, alloc),
        _ => tables::run::<A, L>(&mut program, hasher, alloc),
    }
}

/// Sorted, so that sequences from tables can be compared.
fn sorted<T: Ord>(items: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut items: Vec<T> = items.into_iter().collect();
    items.sort_unstable();
    items
}
