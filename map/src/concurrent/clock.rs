//! The clock of flips: `sync_offset`, the number of buckets flipped so far.
//!
//! Generic over the atomic, so that a model checker's can be used. Owned by `table.rs`. Invariant: it only rises, by one, stored by one thread
//! at a time, under the lock of the bucket that it passes.

use super::rules::{Fault, Rules};
use crate::sync::{AtomicUsize, Ordering};

/// An atomic number.
pub trait Word {
    /// Loads it.
    fn load(&self, order: Ordering) -> usize;
    /// Stores it.
    fn store(&self, value: usize, order: Ordering);
}

impl Word for AtomicUsize {
    #[inline(always)]
    fn load(&self, order: Ordering) -> usize {
        self.load(order)
    }

    #[inline(always)]
    fn store(&self, value: usize, order: Ordering) {
        self.store(value, order);
    }
}

/// `sync_offset`.
#[derive(Debug)]
pub struct Clock<A>(A);

impl<A: Word> Clock<A> {
    /// A clock on `word`, which is zero.
    pub fn new(word: A) -> Self {
        Self(word)
    }

    /// `read_ts`: an acquire load, which pairs with the release store in [`flip`](Self::flip), so that the copies of all flipped buckets
    /// are seen, and the table that they are in.
    #[inline(always)]
    pub fn read_ts<R: Rules>(&self) -> usize {
        self.0.load(if matches!(R::FAULT, Fault::RelaxedMark) {
            Ordering::Relaxed
        } else {
            Ordering::Acquire
        })
    }

    /// Flips `bucket`: it is read from the new table from now on. A release store, which pairs with `read_ts`.
    pub fn flip<R: Rules>(&self, bucket: usize) {
        let order =
            if matches!(R::FAULT, Fault::RelaxedMark) { Ordering::Relaxed } else { Ordering::Release };
        self.0.store(bucket + 1, order);
    }
}

/// Whether `bucket` is read from the new table by who has this `read_ts`: rule 1.
#[inline(always)]
pub fn is_flipped<R: Rules>(bucket: usize, read_ts: usize) -> bool {
    bucket < read_ts || matches!(R::FAULT, Fault::OffByOne) && bucket == read_ts
}
