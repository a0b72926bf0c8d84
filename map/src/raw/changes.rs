//! Everything that changes a table, in any order, over hashes that crowd wherever they like: against a sorted set.
//!
//! Invariant: keys are their own hashes, so a seed alone says where entries lie; after each change the table is exact (`check`),
//! and holds what the set does.

use super::RawTable;
use super::cell::Occupied;
use super::layout::{Blocks, Inline, Layout, Split, Tiny};
use crate::hash::finalise;
use crate::pages::Pages;
use core::mem;
use core::ops::RangeInclusive;
use std::collections::BTreeSet;

/// Programs a layout: some, and one in which a table shrinks away under a long trail that the next insert is to look at.
const SEEDS: u64 = 30;
const SHRINKS_UNDER_A_TRAIL: u64 = 139;
/// Changes a program.
const TURNS: u64 = 600;

const HASH: fn(&u64) -> u64 = |key| *key;

struct Trial<L: Layout> {
    table: RawTable<u64, Pages, L>,
    keys: BTreeSet<u64>,
    random: u64,
    /// Where keys crowd, how closely, and how many there may be.
    centres: Vec<u64>,
    shift: u64,
    most: usize,
}

impl<L: Layout> Trial<L> {
    fn new(seed: u64) -> Self {
        let (table, keys) = (RawTable::new_in(Pages), BTreeSet::new());
        let random = finalise(seed + 1);
        let mut trial = Self { table, keys, random, centres: Vec::new(), shift: 0, most: 0 };
        trial.centres = (0..=trial.below(6)).map(|_| trial.word()).collect();
        trial.shift = 20 + trial.below(40);
        trial.most = 60 + trial.below(900) as usize;
        trial
    }

    fn word(&mut self) -> u64 {
        self.random =
            self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.random >> 33 ^ self.random << 17
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.word() % bound
    }

    /// A key that may be there or not: one of a crowd, or any.
    fn key(&mut self) -> u64 {
        let crowd = self.below(self.centres.len() as u64) as usize;
        let near = self.centres[crowd].wrapping_add(self.word() >> self.shift);
        if self.below(4) == 0 { self.word() } else { near }
    }

    /// A key that is there.
    fn held(&mut self) -> Option<u64> {
        let at = self.key();
        self.keys.range(at..).next().or_else(|| self.keys.first()).copied()
    }

    fn insert(&mut self) {
        let key = self.key();
        if self.keys.len() < self.most && self.keys.insert(key) {
            self.table.ready(HASH).expect("memory");
            self.table.place(key, key).expect("memory");
        }
    }

    fn remove(&mut self) {
        let Some(key) = self.held() else { return };
        self.table.ebb(HASH);
        assert_eq!(self.table.remove(key, |held| *held == key, HASH), Some(key));
        self.keys.remove(&key);
    }

    /// Without a hasher.
    fn take(&mut self) {
        let Some(key) = self.held() else { return };
        assert_eq!(self.table.occupied(key, |held| *held == key).map(Occupied::remove).ok(), Some(key));
        self.keys.remove(&key);
    }

    fn retain(&mut self) {
        let bits = self.word();
        self.table.retain(|key| (*key ^ bits) % 8 != 0);
        self.keys.retain(|key| (*key ^ bits) % 8 != 0);
    }

    fn range(&mut self) -> RangeInclusive<u64> {
        let (one, other) = (self.key(), self.key());
        one.min(other)..=one.max(other)
    }

    fn look_within(&mut self) {
        let range = self.range();
        let mut found = BTreeSet::new();
        for (key, _, is_sure) in self.table.within(&range) {
            assert!(!is_sure || range.contains(key));
            assert!(!range.contains(key) || found.insert(*key));
        }
        assert!(found.iter().eq(self.keys.range(range)));
    }

    fn change_within(&mut self) {
        let range = self.range();
        if self.below(2) == 0 {
            let mut taken = Vec::new();
            self.table.take_within(&range, HASH, &mut taken);
            taken.sort_unstable();
            assert!(taken.iter().eq(self.keys.range(range.clone())));
            self.keys.retain(|key| !range.contains(key));
        } else {
            self.table.retain_within(&range, HASH, |key| *key % 3 != 0);
            self.keys.retain(|key| !range.contains(key) || key % 3 != 0);
        }
    }

    /// While what is under way goes on.
    fn scan(&mut self) {
        let (mut position, mut seen) = (Some(0), Vec::new());
        while position.is_some() {
            let budget = 1 + self.below(40) as usize;
            let (found, next) = self.table.scan_from(position, budget, HASH);
            seen.extend(found.into_iter().map(|(hash, _)| hash));
            position = next;
            self.table.migrate_step(HASH);
        }
        assert!(seen.iter().eq(self.keys.iter()));
    }

    fn copy(&mut self) {
        let mut copy = self.table.clone_with(|key| *key).expect("memory");
        copy.check(HASH);
        if self.below(2) == 0 {
            mem::swap(&mut copy, &mut self.table);
            copy.clone_from_with(&self.table, |key| *key).expect("memory");
            copy.check(HASH);
        }
    }

    fn empty(&mut self) {
        self.keys.clear();
        match self.below(3) {
            0 => drop(self.table.drain().take(3)),
            1 => self.table.clear(),
            _ => self.table.retain(|_| false),
        }
    }

    fn times(&mut self, most: u64, change: fn(&mut Self)) {
        (0..self.below(most)).for_each(|_| change(self));
    }

    fn change(&mut self) {
        match self.below(120) {
            0..50 => self.times(24, Self::insert),
            50..70 => self.times(24, Self::remove),
            70..80 => self.times(16, Self::take),
            80..85 => self.retain(),
            85..88 => self.look_within(),
            88..91 => self.change_within(),
            91..96 => {
                let len = self.below(400) as usize;
                self.table.shrink_to(len, HASH).expect("memory");
            }
            96..101 => {
                let more = self.below(200) as usize;
                self.table.reserve(more, HASH).expect("memory");
            }
            101..106 => self.scan(),
            106..110 => self.copy(),
            110 => self.empty(),
            111..115 => {
                let batch = 1 + self.below(9) as usize;
                self.table.step_of(batch, &HASH).expect("memory");
            }
            _ => self.times(12, |trial| _ = trial.table.migrate_step(HASH)),
        }
    }

    fn assert_holds(&self) {
        self.table.check(HASH);
        assert_eq!(self.table.len, self.keys.len());
        assert!(self.keys.iter().all(|key| self.table.find(*key, |held| held == key).is_some()));
    }
}

fn every_change_is_exact<L: Layout>() {
    for seed in (0..SEEDS).chain([SHRINKS_UNDER_A_TRAIL]) {
        let mut trial = Trial::<L>::new(seed);
        for _ in 0..TURNS {
            trial.change();
            trial.assert_holds();
        }
    }
}

#[test]
fn every_change_is_exact_in_ranges() {
    every_change_is_exact::<Tiny<Split>>();
    every_change_is_exact::<Tiny<Inline>>();
}

#[test]
fn every_change_is_exact_in_blocks() {
    every_change_is_exact::<Tiny<Blocks<Split>>>();
    every_change_is_exact::<Tiny<Blocks<Inline>>>();
}
