//! False sharing: two writers on keys of one bucket, of neighbours and of distant ones; and the same on bare blocks of a bucket's
//! size, at the start of a line and across two.
//!
//! Owned by `concurrent.rs`. Invariant: a block's writer does what a bucket's does: a locked instruction, a store, a locked instruction.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

use super::TIME;
use super::case::{Case, Size, Take};
use super::cases::together;
use super::sides::{Ours, Side};
use crate::record::OURS;

/// First part of the cases.
pub(super) const SHARING: &str = "sharing";
/// Blocks that begin on a line.
pub(super) const ALIGNED: &str = "blocks-aligned";
/// Blocks that begin in the middle of one, so that two share it.
pub(super) const UNALIGNED: &str = "blocks-unaligned";

/// Words of a block.
const WORDS: usize = 16;
/// Blocks between the distant ones.
const FAR: usize = 64;
/// Words by which unaligned blocks are off: the last four of each lie in the line of the next one's head.
const OFF: usize = 4;

/// How far apart two writers' buckets are.
const DISTANCES: [(&str, usize); 3] = [("one", 0), ("neighbouring", 1), ("distant", FAR)];

/// Keys looked through for one with a given home, at most.
const MOST: u64 = 1 << 24;

/// Two keys whose homes are `distance` apart, in a map of a few hundred.
fn keys(map: &Ours, distance: usize) -> [u64; 2] {
    let home = |key: &u64| map.0.mark_of(key).0;
    let after = |least: u64, wanted| {
        (least..MOST).find(|key| home(key) == wanted).expect("some key is at home there")
    };
    let first = after(0, 1);
    [first, after(first + 1, 1 + distance)]
}

/// Nanoseconds of a replacement, two threads at a key each.
fn in_the_map(distance: usize, ops: u64) -> f64 {
    let map = Ours::with_capacity(4000);
    let keys = keys(&map, distance);
    for key in keys {
        map.insert(key, 0);
    }
    together(2, ops, |thread| {
        (0..ops).for_each(|value| map.insert(keys[thread], value));
        0
    })
}

#[repr(align(128))]
struct Blocks([AtomicU64; WORDS * (FAR + 3)]);

/// Nanoseconds of a write to a block's slot under its lock word. One thread writes the last slot of the first block, the other the
/// first slot of the second.
fn in_blocks(distance: usize, off: usize, ops: u64) -> f64 {
    let blocks = Box::new(Blocks([const { AtomicU64::new(0) }; WORDS * (FAR + 3)]));
    let places = [(0, WORDS - 2), (distance, 2)].map(|(block, slot)| {
        let first = off + block * WORDS;
        (&blocks.0[first + 1], &blocks.0[first + slot])
    });
    together(2, ops, |thread| {
        let (lock, slot) = places[thread];
        for value in 0..ops {
            // Acquire and the swap's release pair with each other, as a bucket's lock does.
            while lock.compare_exchange_weak(0, 1, Ordering::Acquire, Ordering::Relaxed).is_err() {
                std::hint::spin_loop();
            }
            slot.store(black_box(value), Ordering::Release);
            lock.swap(0, Ordering::SeqCst);
        }
        0
    })
}

/// One case a distance.
pub(super) fn all(size: &Size) -> Vec<Case> {
    let ops = size.ops;
    let case = |(name, distance): (&str, usize)| Case {
        name: format!("{SHARING}/{name}"),
        title: "Two writers, a key each: in the map, and in bare blocks of a bucket's size",
        n: ops,
        metrics: vec![TIME],
        sides: vec![
            (OURS, Box::new(move |_| vec![in_the_map(distance, ops)])),
            (ALIGNED, Box::new(move |_| vec![in_blocks(distance, 0, ops)])),
            (UNALIGNED, Box::new(move |_| vec![in_blocks(distance, OFF, ops)])),
        ],
        take: Take::Median,
        rounds: size.rounds,
    };
    DISTANCES.into_iter().map(case).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_lie_as_far_apart_as_is_said() {
        let map = Ours::with_capacity(4000);
        for (_, distance) in DISTANCES {
            let [first, second] = keys(&map, distance).map(|key| map.0.mark_of(&key).0);
            assert_eq!(second - first, distance);
        }
    }

    #[test]
    fn unaligned_neighbours_share_a_line_and_aligned_ones_do_not() {
        let line = |off: usize, block: usize, word: usize| (off + block * WORDS + word) * 8 / 64;
        assert_eq!(line(OFF, 0, WORDS - 2), line(OFF, 1, 1));
        assert_ne!(line(0, 0, WORDS - 2), line(0, 1, 1));
    }
}
