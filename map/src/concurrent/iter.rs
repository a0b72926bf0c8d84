//! Iteration by hash: a position that no resize moves.
//!
//! The iterator's place is a hash. Each turn it takes the trail that is the truth for that hash, in whichever table, and
//! goes on behind the hashes that the trail speaks for: to the end of its home, or to the mark, whichever comes first. So
//! tables may come and go meanwhile.
//! Owned by `guard.rs`. Invariant: the ranges of hashes that the turns show are disjoint, and together all.

use super::bucket::Entry;
use super::guard::Guard;
use super::rules::{Fresh, Rules};
use crate::epoch::Pin;
use crate::hash::{first_hash, tophash};
use core::fmt;
use core::hash::{BuildHasher, Hash};
use core::iter::FusedIterator;
use core::ptr::NonNull;
use smallvec::SmallVec;

/// One more than the largest hash.
pub(super) const END: u128 = 1 << 64;

/// Entries up to which keys are compared with each other by themselves; those of longer trails are hashed first.
const FEW: usize = 16;

type Batch<K, V> = SmallVec<[(u8, NonNull<Entry<K, V>>); FEW]>;

/// The entries of a map; see [`Guard::iter`].
pub struct Iter<'g, K, V, S, R: Rules = Fresh, P: super::Pinning = Pin> {
    guard: &'g Guard<'g, K, V, S, R, P>,
    /// Hashes that are still to be shown.
    pub(super) from: u128,
    pub(super) to: u128,
    /// Entries of one trail, to be shown from the end, with their tophashes where there are many, otherwise 0.
    batch: Batch<K, V>,
}

/// The smallest hash behind the homes below `home`, of a table of `homes`.
fn start_of(home: usize, homes: usize) -> u128 {
    if home == homes { END } else { first_hash(home, homes).into() }
}

impl<'g, K: Hash + Eq, V, S: BuildHasher, R: Rules, P: super::Pinning> Iter<'g, K, V, S, R, P> {
    pub(super) fn all(guard: &'g Guard<'_, K, V, S, R, P>) -> Self {
        Self::of_hashes(guard, 0, END)
    }

    /// Entries of hashes `from..to`.
    pub(super) fn of_hashes(guard: &'g Guard<'_, K, V, S, R, P>, from: u128, to: u128) -> Self {
        Self { guard, from, to, batch: SmallVec::new() }
    }

    /// Takes the next trail's entries, and moves behind its hashes.
    fn turn(&mut self) {
        let core = &self.guard.map.core;
        let (from, mut to) = (self.from, self.to);
        let mut table = core.first();
        let home = loop {
            let home = table.home(from as u64);
            let read_ts = table.read_ts::<R>();
            if home >= read_ts {
                break home;
            }
            // What the next table has beyond the mark is not the truth yet.
            to = to.min(start_of(read_ts, table.homes));
            table = table.behind::<R>();
        };
        let whole = (start_of(home, table.homes), start_of(home + 1, table.homes));
        to = to.min(whole.1);
        let batch = &mut self.batch;
        table.each::<R>(home, |entry| batch.push((0, entry)));
        let guard = self.guard;
        let many = batch.len() > FEW;
        if many || (from, to) != whole {
            batch.retain(|(mark, entry)| {
                let hash = guard.map.hash(&guard.show(*entry).key);
                *mark = if many { tophash(hash) } else { 0 };
                (from..to).contains(&hash.into())
            });
        }
        self.show_no_key_twice();
        self.from = to;
    }

    /// A key that was removed and inserted again during the look may have been seen in both places.
    fn show_no_key_twice(&mut self) {
        let (guard, batch) = (self.guard, &mut self.batch);
        let mut shown = 0;
        while shown < batch.len() {
            let (tophash, entry) = batch[shown];
            let again = batch[..shown].iter().any(|&(other_tophash, other)| {
                other_tophash == tophash && guard.show(other).key == guard.show(entry).key
            });
            if again {
                batch.swap_remove(shown);
            } else {
                shown += 1;
            }
        }
    }

    pub(super) fn next_entry(&mut self) -> Option<NonNull<Entry<K, V>>> {
        loop {
            if let Some((_, entry)) = self.batch.pop() {
                return Some(entry);
            }
            if self.from >= self.to {
                return None;
            }
            self.turn();
        }
    }
}

impl<'g, K: Hash + Eq, V, S: BuildHasher, R: Rules, P: super::Pinning> Iterator for Iter<'g, K, V, S, R, P> {
    type Item = (&'g K, &'g V);

    fn next(&mut self) -> Option<Self::Item> {
        let entry = self.next_entry()?;
        let entry = self.guard.show(entry);
        Some((&entry.key, &entry.value))
    }
}

impl<K: Hash + Eq, V, S: BuildHasher, R: Rules, P: super::Pinning> FusedIterator for Iter<'_, K, V, S, R, P> {}

impl<K, V, S, R: Rules, P: super::Pinning> fmt::Debug for Iter<'_, K, V, S, R, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Iter").finish_non_exhaustive()
    }
}
