//! When a lock around a plain map does: the concurrent map against two maps behind an `RwLock`, by threads, entries and writes.
//!
//! Owned by `concurrent.rs`. Invariant: a write replaces the value of a key that is there, so every map keeps its size.

use std::hint::black_box;

use super::TIME;
use super::case::{Case, Size, Take};
use super::cases::{filled, key, random, thread_counts, together};
use super::sides::{Side, on_sides};

/// First part of the cases.
pub(crate) const EVEN: &str = "break-even";
/// Writes of a hundred operations.
const WRITES: [u8; 6] = [0, 1, 5, 10, 25, 50];
/// Entries: within the first cache, within the last, and beyond.
const ENTRIES: [u64; 3] = [1 << 8, 1 << 16, 1 << 21];

/// Nanoseconds an operation, of which `writes` of a hundred write.
fn shared<M: Side>(entries: u64, writes: u8, threads: usize, ops: u64, seed: u64) -> f64 {
    let map = filled::<M>(entries);
    together(threads, ops, |thread| {
        let mut random = random(seed, thread);
        for _ in 0..ops {
            let (what, key) = (random.u8(0..100), key(random.u64(0..entries)));
            if what < writes {
                map.insert(key, key);
            } else {
                black_box(map.get(key));
            }
        }
        0
    })
}

/// A case for each number of threads, entries and writes; with --quick the fewest entries alone.
pub(super) fn all(size: &Size) -> Vec<Case> {
    let each = size.ops / 4;
    let mut all = Vec::new();
    for threads in thread_counts(size) {
        for &entries in &ENTRIES[..if size.quick { 1 } else { ENTRIES.len() }] {
            for writes in WRITES {
                let sides = on_sides!(M => move |seed| {
                    vec![shared::<M>(entries, writes, threads, each, seed)]
                }; Ours LockedOurs Locked);
                all.push(Case {
                    name: format!("{EVEN}/{entries}/writes={writes}/threads={threads}"),
                    title: "The concurrent map against plain maps behind a lock, nanoseconds an operation",
                    n: each,
                    metrics: vec![TIME],
                    sides,
                    take: Take::Median,
                    rounds: size.rounds,
                });
            }
        }
    }
    all
}
