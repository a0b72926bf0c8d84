//! Hashers that tests use, good and bad, and values that count their drops.
//!
//! Owned by the integration tests. Invariant: every hasher is deterministic, so a failing seed fails again.

#![allow(dead_code, reason = "each test file uses some of it")]

use std::cell::Cell;
use std::hash::{BuildHasher, Hasher};
use std::rc::Rc;

/// A hasher made of a function of the last integer written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct By(pub(crate) fn(u64) -> u64);

pub(crate) struct ByHasher(fn(u64) -> u64, u64);

impl BuildHasher for By {
    type Hasher = ByHasher;

    fn build_hasher(&self) -> ByHasher {
        ByHasher(self.0, 0)
    }
}

impl Default for By {
    fn default() -> Self {
        MIXED
    }
}

impl Hasher for ByHasher {
    fn finish(&self) -> u64 {
        (self.0)(self.1)
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.1 = self.1.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.1 = word;
    }
}

pub(crate) const MIXED: By = By(|word| (word ^ word >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) ^ word >> 32);
pub(crate) const IDENTITY: By = By(|word| word);
pub(crate) const CONSTANT: By = By(|_| 42);
pub(crate) const HIGH_ONLY: By = By(|word| word << 56);
pub(crate) const EIGHT: By = By(|word| word % 8);
pub(crate) const ALL_HASHERS: [By; 5] = [MIXED, IDENTITY, CONSTANT, HIGH_ONLY, EIGHT];

/// A small generator: the tests' randomness, from a seed.
pub(crate) struct Seeded(pub(crate) u64);

impl Seeded {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (u128::from(mixed ^ mixed >> 27).wrapping_mul(u128::from(bound)) >> 64) as u64
    }
}

/// A value that counts how many of its kind are alive.
#[derive(Debug)]
pub(crate) struct Counted {
    pub(crate) id: u64,
    alive: Rc<Cell<usize>>,
}

impl Counted {
    pub(crate) fn new(id: u64, alive: &Rc<Cell<usize>>) -> Self {
        alive.set(alive.get() + 1);
        Self { id, alive: Rc::clone(alive) }
    }
}

impl Clone for Counted {
    fn clone(&self) -> Self {
        Self::new(self.id, &self.alive)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.alive.set(self.alive.get() - 1);
    }
}
