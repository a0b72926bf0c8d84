//! Hashers that lie and panic, against everything that changes a table: whatever they say, each operation ends, and each entry is
//! dropped once.
//!
//! Invariant: a seed says all that a program does, lies included. What a table holds after a lie is unspecified, so nobody asks.

use super::RawTable;
use super::cell::Occupied;
use super::layout::{Blocks, Inline, Layout, Split, Tiny};
use crate::hash::finalise;
use crate::pages::Pages;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Programs a layout, unless `BUCKETMASK_SEEDS` says how many.
const SEEDS: u64 = 150;
/// Changes a program.
const TURNS: u64 = 400;
/// A program takes milliseconds; one that takes so long does not end.
const PATIENCE: Duration = Duration::from_secs(30);

thread_local! {
    /// What the next answer follows from.
    static ANSWERS: Cell<u64> = const { Cell::new(0) };
    /// How many answers are true, of 256; and whether none is a panic.
    static HONEST: Cell<(u64, bool)> = const { Cell::new((0, false)) };
}

fn answer() -> u64 {
    let next = ANSWERS.get().wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    ANSWERS.set(next);
    next >> 33 ^ next << 17
}

/// An entry that knows how many are alive, and whether it was dropped before.
struct Entry {
    key: u64,
    alive: Rc<Cell<isize>>,
    whole: bool,
}

impl Entry {
    fn new(key: u64, alive: &Rc<Cell<isize>>) -> Self {
        alive.set(alive.get() + 1);
        Self { key, alive: alive.clone(), whole: true }
    }
}

impl Clone for Entry {
    fn clone(&self) -> Self {
        Self::new(self.key, &self.alive)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        assert!(std::mem::replace(&mut self.whole, false), "dropped twice");
        self.alive.set(self.alive.get() - 1);
    }
}

/// A lie, a panic, or the truth.
fn hash(entry: &Entry) -> u64 {
    let (honest, calm) = HONEST.get();
    let answer = answer();
    match answer % 256 {
        said if said < honest => entry.key,
        said => {
            if !calm && said % 4 == 0 {
                // No message: there are many.
                resume_unwind(Box::new(()));
            }
            // Far off, near, or with all others.
            [answer, entry.key ^ answer >> 40, 0, u64::MAX][(said % 4) as usize]
        }
    }
}

struct Liar<L: Layout> {
    table: RawTable<Entry, Pages, L>,
    alive: Rc<Cell<isize>>,
    shift: u64,
}

impl<L: Layout> Liar<L> {
    fn key() -> u64 {
        answer()
    }

    fn near(&self) -> u64 {
        Self::key() >> self.shift
    }

    fn change(&mut self) {
        let times = answer() % 24;
        match answer() % 20 {
            0..8 => {
                for _ in 0..times {
                    let key = if answer() % 3 == 0 { Self::key() } else { self.near() };
                    self.table.ready(hash).expect("memory");
                    self.table.place(key, Entry::new(key, &self.alive)).expect("memory");
                }
            }
            8..11 => {
                for _ in 0..times {
                    let key = self.near();
                    self.table.ebb(hash);
                    drop(self.table.remove(key, |held| held.key % 8 == key % 8, hash));
                }
            }
            11 => drop(self.table.occupied(self.near(), |held| held.key % 4 == 0).map(Occupied::remove)),
            12 => {
                let bits = answer();
                self.table.retain(|held| (held.key ^ bits) % 8 != 0);
            }
            13 => {
                let (one, other) = (self.near(), Self::key());
                let mut taken = Vec::new();
                self.table.take_within(&(one.min(other)..=one.max(other)), hash, &mut taken);
            }
            14 => {
                let (one, other) = (self.near(), Self::key());
                self.table.retain_within(&(one.min(other)..=one.max(other)), hash, |held| held.key % 3 != 0);
            }
            15 => self.table.shrink_to((answer() % 400) as usize, hash).expect("memory"),
            16 => self.table.reserve((answer() % 200) as usize, hash).expect("memory"),
            17 => {
                let mut position = Some(0);
                for _ in 0..2000 {
                    if position.is_none() {
                        break;
                    }
                    position = self.table.scan_from(position, 1 + (answer() % 40) as usize, hash).1;
                    self.table.migrate_step(hash);
                }
            }
            18 => {
                let mut copy = self.table.clone_with(Entry::clone).expect("memory");
                copy.clone_from_with(&self.table, Entry::clone).expect("memory");
                self.table = copy;
            }
            _ => (0..times).for_each(|_| _ = self.table.migrate_step(hash)),
        }
    }
}

fn every_lie_ends<L: Layout>() {
    let seeds = std::env::var("BUCKETMASK_SEEDS").map_or(SEEDS, |seeds| seeds.parse().expect("a number"));
    for seed in 0..seeds {
        ANSWERS.set(finalise(seed + 1));
        let alive = Rc::new(Cell::new(0));
        let shift = 4 + answer() % 56;
        HONEST.set((answer() % 256, answer() % 2 == 0));
        let mut liar = Liar::<L> { table: RawTable::new_in(Pages), alive: alive.clone(), shift };
        let start = Instant::now();
        for _ in 0..TURNS {
            let outcome = catch_unwind(AssertUnwindSafe(|| liar.change()));
            // The hasher's own panics; any other is a table that lost its mind.
            if let Err(payload) = outcome {
                assert!(payload.is::<()>(), "a change panics by itself, seed {seed}");
            }
            if liar.table.len > 4000 {
                break;
            }
        }
        let took = start.elapsed();
        drop(liar);
        assert!(took < PATIENCE, "seed {seed} took {took:?}");
        assert_eq!(alive.get(), 0, "entries of seed {seed} are alive at the end");
    }
}

#[test]
fn every_lie_ends_in_split_tables() {
    every_lie_ends::<Tiny<Split>>();
    every_lie_ends::<Tiny<Blocks<Split>>>();
}

#[test]
fn every_lie_ends_in_inline_tables() {
    every_lie_ends::<Tiny<Inline>>();
    every_lie_ends::<Tiny<Blocks<Inline>>>();
}
