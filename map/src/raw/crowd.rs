//! Long trails: whether more homes would part the entries of one, and how many.
//!
//! Owned by `upkeep`. Invariant: reads only, and no more than `CROWD` entries and a bucket's more.

#![allow(unsafe_code)]

use super::layout::{Layout, SLOTS};
use super::policy::{CROWD, EARLY_FLOOR, FILL, homes_for, limit, next_in_block};
use super::table::{Bare, LONG_TRAIL};
use crate::hash::home;

impl<T, L: Layout> Bare<T, L> {
    /// An entry was placed far from `home`.
    #[cold]
    pub(crate) fn note_long_trail(&mut self, home: usize) {
        if !self.is_migrating() && self.len >= self.care.calm_until {
            self.care.crowded = Some(home);
            self.trigger = 0;
        }
    }

    /// The size that would halve the trail at `home`, if one within reason does. Equal hashes stay together at any
    /// size; entries copied in hash order spread at the size that the source had.
    pub(crate) fn early_homes(&mut self, home: usize, hash: &impl Fn(&T) -> u64) -> Option<usize> {
        if self.is_migrating() {
            return None;
        }
        // From as far before it as is looked at, since a cluster of entries in hash order grows at its end.
        let mut first = home;
        // SAFETY: open buckets.
        while first > 0 && home - first < CROWD / SLOTS / 2 && unsafe { self.passes(first - 1) }.any() {
            first -= 1;
        }
        let mut hashes = Vec::new();
        for bucket in first..=self.trail_end(home) {
            if hashes.len() >= CROWD || hashes.try_reserve(SLOTS).is_err() {
                break;
            }
            self.each_spot_of(bucket, |table, spot| {
                // SAFETY: the walk yields occupied spots.
                hashes.push(hash(unsafe { table.at(spot) }));
            });
        }
        hashes.sort_unstable();
        let present = farthest(&hashes, self.upper);
        // By chance, and in the order of arrival, trails grow longer than their entries would need; growth for these
        // would only waste a tenth of the memory. In a table that is half empty nothing is dense by chance.
        let dense = self.len < limit(self.upper) / 2 && is_dense(&hashes, self.upper);
        if dense || present > LONG_TRAIL / 2 {
            let most = homes_for(self.len.saturating_mul(EARLY_FLOOR));
            let mut homes = next_in_block(self.upper);
            while homes <= most {
                if farthest(&hashes, homes) <= present / 2 && !is_dense(&hashes, homes) {
                    return Some(homes);
                }
                homes = next_in_block(homes);
            }
        }
        self.care.calm_until = self.len + self.len / 16 + 1;
        None
    }
}

/// Whether these sorted hashes, enough for chance to be left out, are more than their homes have room for.
fn is_dense(hashes: &[u64], homes: usize) -> bool {
    let (Some(&first), Some(&last)) = (hashes.first(), hashes.last()) else { return false };
    hashes.len() > CROWD / 4 && hashes.len() > (home(last - first, homes) + 1) * FILL
}

/// How far the last of these sorted hashes would lie from its home, alone in a table of `homes`.
fn farthest(hashes: &[u64], homes: usize) -> usize {
    let (mut bucket, mut used, mut far) = (0, 0, 0);
    for &hash in hashes {
        let at = home(hash, homes);
        if at > bucket {
            (bucket, used) = (at, 0);
        }
        if used == SLOTS {
            (bucket, used) = (bucket + 1, 0);
        }
        used += 1;
        far = far.max(bucket - at);
    }
    far
}
