//! Tests of failing allocations: a table that gets no memory, for its own block or for the list of a migration's moves, says so
//! and is as it was, whatever it was in the middle of.
//!
//! Invariant: each test fails every allocation once, by counting them down, so no place where one can fail is left out.

#![allow(unsafe_code)]

use super::RawTable;
use super::layout::{Blocks, Inline, Layout, Split, Tiny};
use super::storage::TryReserveError;
use crate::hash::finalise;
use allocator_api2::alloc::{AllocError, Allocator, Global};
use core::alloc::{GlobalAlloc, Layout as Block};
use core::ptr::NonNull;
use std::alloc::System;
use std::cell::Cell;
use std::collections::BTreeSet;
use std::rc::Rc;

thread_local! {
    /// Allocations of this thread that the program's allocator still serves; a negative number: all.
    static LEFT: Cell<i64> = const { Cell::new(-1) };
}

/// The program's allocator in unit tests: fails when it is told to.
struct Flaky;

// SAFETY: memory is the system's; to fail is allowed.
unsafe impl GlobalAlloc for Flaky {
    unsafe fn alloc(&self, block: Block) -> *mut u8 {
        let left = LEFT.get();
        if left == 0 {
            return core::ptr::null_mut();
        }
        LEFT.set(left - i64::from(left > 0));
        // SAFETY: the caller's promise.
        unsafe { System.alloc(block) }
    }

    unsafe fn dealloc(&self, start: *mut u8, block: Block) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(start, block) }
    }
}

#[global_allocator]
static FLAKY: Flaky = Flaky;

/// Blocks of the global allocator while there are any left; counts those that live.
#[derive(Clone)]
struct Scarce {
    left: Rc<Cell<usize>>,
    live: Rc<Cell<usize>>,
}

// SAFETY: blocks are the global allocator's; all clones are the same allocator.
unsafe impl Allocator for Scarce {
    fn allocate(&self, block: Block) -> Result<NonNull<[u8]>, AllocError> {
        let left = self.left.get().checked_sub(1).ok_or(AllocError)?;
        self.left.set(left);
        self.live.set(self.live.get() + 1);
        Global.allocate(block)
    }

    unsafe fn deallocate(&self, start: NonNull<u8>, block: Block) {
        self.live.set(self.live.get() - 1);
        // SAFETY: the caller's promise.
        unsafe { Global.deallocate(start, block) }
    }
}

impl Scarce {
    fn new() -> Self {
        Self { left: Rc::new(Cell::new(usize::MAX)), live: Rc::default() }
    }

    /// Runs `work` with `left` allocations of this kind and of the program's to come; then there is plenty again.
    fn with<R>(&self, left: u32, work: impl FnOnce() -> R) -> R {
        self.left.set(left as usize);
        LEFT.set(i64::from(left));
        let result = work();
        LEFT.set(-1);
        self.left.set(usize::MAX);
        result
    }
}

type Table<L> = RawTable<u64, Scarce, L>;

const HASH: fn(&u64) -> u64 = |key| finalise(*key);

fn assert_holds<L: Layout>(table: &Table<L>, keys: &BTreeSet<u64>) {
    table.check(HASH);
    assert_eq!(table.len, keys.len());
    assert!(keys.iter().all(|key| table.find(HASH(key), |held| held == key).is_some()));
}

/// Runs `change` with no allocation, then one, and so on until it goes through; each time that it fails the table must be as
/// before. How often it failed.
fn until_it_goes<L: Layout>(
    table: &mut Table<L>,
    keys: &BTreeSet<u64>,
    mut change: impl FnMut(&mut Table<L>) -> Result<(), TryReserveError>,
) -> usize {
    let scarce = table.alloc.clone();
    for left in 0..64 {
        let blocks = scarce.live.get();
        match scarce.with(left, || change(table)) {
            Ok(()) => return left as usize,
            Err(error) => {
                assert!(matches!(error, TryReserveError::AllocError { .. }), "{error}");
                assert_eq!(scarce.live.get(), blocks, "a block is lost");
                assert_holds(table, keys);
            }
        }
    }
    panic!("64 allocations are not enough");
}

fn growing<L: Layout>() {
    let scarce = Scarce::new();
    let mut table = Table::<L>::new_in(scarce.clone());
    let (mut keys, mut failed) = (BTreeSet::new(), 0);
    for key in 0..1500 {
        failed += until_it_goes(&mut table, &keys, |table| table.ready(HASH));
        let placed = scarce.with(0, || table.place(HASH(&key), key));
        // A trail that reaches the end asks for more buckets.
        if placed.is_err() {
            failed += 1;
            assert_holds(&table, &keys);
            table.place(HASH(&key), key).expect("memory");
        }
        keys.insert(key);
    }
    assert!(failed > 8, "{failed} failures");
    assert_holds(&table, &keys);
    drop(table);
    assert_eq!(scarce.live.get(), 0);
}

fn shrinking<L: Layout>() {
    let scarce = Scarce::new();
    let mut table = Table::<L>::new_in(scarce.clone());
    let mut keys: BTreeSet<u64> = (0..1500).collect();
    for key in &keys {
        table.ready(HASH).expect("memory");
        table.place(HASH(key), *key).expect("memory");
    }
    table.finish(&HASH).expect("memory");
    for key in 100..1500 {
        // By itself: a favour, which fails without a word.
        scarce.with(0, || table.ebb(HASH));
        assert_eq!(scarce.with(0, || table.remove(HASH(&key), |held| *held == key, HASH)), Some(key));
        keys.remove(&key);
        if key % 100 == 0 {
            assert_holds(&table, &keys);
        }
    }
    // Migrations that want of memory holds up go on when there is some.
    let homes = table.upper / 2;
    table.begin_shrink(homes);
    let mut failed = 0;
    while table.is_migrating() {
        failed += until_it_goes(&mut table, &keys, |table| table.step(&HASH));
    }
    // When asked to.
    failed += until_it_goes(&mut table, &keys, |table| table.shrink_to(0, HASH));
    assert!(failed > 1 && table.capacity() < 200, "{failed} failures, room for {}", table.capacity());
    failed += until_it_goes(&mut table, &keys, |table| table.reserve(5000, HASH));
    assert!(failed > 2 && table.capacity() >= 5100);
    assert_holds(&table, &keys);
    drop(table);
    assert_eq!(scarce.live.get(), 0);
}

#[test]
fn growing_without_memory_changes_nothing() {
    growing::<Split>();
    growing::<Tiny<Split>>();
    growing::<Tiny<Inline>>();
    growing::<Tiny<Blocks<Split>>>();
}

#[test]
fn shrinking_without_memory_changes_nothing() {
    shrinking::<Tiny<Split>>();
    shrinking::<Tiny<Inline>>();
}
