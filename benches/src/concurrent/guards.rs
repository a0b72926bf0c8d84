//! What keeps an entry alive while it is read: a lock, an epoch, a count; and what a guard alone costs.
//!
//! The path is the same for all, `key -> table -> slot -> entry -> value`, and nobody writes: so this is the least that each way
//! asks of a reader. Owned by `concurrent.rs`. Invariant: the ways differ only in what is done around the path.

use std::hint::black_box;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use super::TIME;
use super::case::{Case, Size, Take};
use super::cases::{KEYS, together};
use super::sides::{Ours, Side, Work};
use crate::record::OURS;

/// First parts of the cases.
pub(super) const PATH: &str = "path";
pub(super) const GUARD: &str = "guard";
/// Readers' epochs of the crate that papaya is built on, with its feature `fast-barrier`: no fence on Linux.
pub(super) const SEIZE: &str = "seize";
pub(super) const LOCK: &str = "rwlock";
pub(super) const COUNTED_TABLE: &str = "count-table";
pub(super) const COUNTED_ENTRY: &str = "count-entry";

struct Entry {
    key: u64,
    value: u64,
}

/// Slots by the low bits of the key.
type Table = Vec<Arc<Entry>>;

fn table() -> Arc<Table> {
    Arc::new((0..KEYS).map(|key| Arc::new(Entry { key, value: !key })).collect())
}

#[inline(always)]
fn slot(table: &Table, key: u64) -> &Arc<Entry> {
    &table[(key % KEYS) as usize]
}

#[inline(always)]
fn value(entry: &Entry, key: u64) -> u64 {
    if entry.key == key { entry.value } else { 0 }
}

/// Nanoseconds of a read on so many threads.
fn reads(threads: usize, ops: u64, seed: u64, read: impl Fn(u64) -> u64 + Sync) -> f64 {
    together(threads, ops, |thread| {
        let mut random = fastrand::Rng::with_seed(seed * 64 + thread as u64);
        (0..ops).fold(0, |sum: u64, _| sum.wrapping_add(read(random.u64(0..KEYS))))
    })
}

fn path(threads: usize, size: &Size) -> Case {
    let ops = size.ops;
    let shared = table();
    let (lock, gate, seize) =
        (RwLock::new(Arc::clone(&shared)), Ours::with_capacity(0), ::seize::Collector::new());
    let (counted, entries, by_epoch, by_seize) =
        (Arc::clone(&shared), Arc::clone(&shared), Arc::clone(&shared), shared);
    let sides: Vec<(&'static str, Work)> = vec![
        (
            OURS,
            Box::new(move |seed| {
                vec![reads(threads, ops, seed, |key| {
                    // A map's guard is an epoch's, and nothing else.
                    let _guard = gate.0.pin();
                    value(slot(&by_epoch, key), key)
                })]
            }),
        ),
        (
            SEIZE,
            Box::new(move |seed| {
                vec![reads(threads, ops, seed, |key| {
                    let _guard = seize.enter();
                    value(slot(&by_seize, key), key)
                })]
            }),
        ),
        (
            LOCK,
            Box::new(move |seed| {
                vec![reads(threads, ops, seed, |key| {
                    value(slot(&lock.read().unwrap_or_else(PoisonError::into_inner), key), key)
                })]
            }),
        ),
        (
            COUNTED_TABLE,
            Box::new(move |seed| {
                vec![reads(threads, ops, seed, |key| value(slot(&Arc::clone(&counted), key), key))]
            }),
        ),
        (
            COUNTED_ENTRY,
            Box::new(move |seed| {
                vec![reads(threads, ops, seed, |key| value(&Arc::clone(slot(&entries, key)), key))]
            }),
        ),
    ];
    Case {
        name: format!("{PATH}/threads={threads}"),
        title: "One path to a value, kept alive by an epoch (ours, seize), a global lock, or a count on the table or the entry",
        n: ops,
        metrics: vec![TIME],
        sides,
        take: Take::Median,
        rounds: size.rounds,
    }
}

/// Nanoseconds of `enter_and_leave`.
#[inline(always)]
fn guards(ops: u64, enter_and_leave: impl Fn()) -> Vec<f64> {
    let start = Instant::now();
    (0..ops).for_each(|_| enter_and_leave());
    vec![start.elapsed().as_nanos() as f64 / ops as f64]
}

fn guard(size: &Size) -> Case {
    let ops = size.ops;
    let (ours, seize, papaya) =
        (Ours::with_capacity(0), ::seize::Collector::new(), super::sides::Papaya::with_capacity(0));
    Case {
        name: GUARD.to_owned(),
        title: "A guard, entered and left; seize with its feature fast-barrier",
        n: ops,
        metrics: vec![TIME],
        sides: vec![
            (OURS, Box::new(move |_| guards(ops, || drop(black_box(&ours).0.pin())))),
            (SEIZE, Box::new(move |_| guards(ops, || drop(black_box(&seize).enter())))),
            ("papaya", Box::new(move |_| guards(ops, || drop(black_box(&papaya).0.pin())))),
        ],
        take: Take::Median,
        rounds: size.rounds,
    }
}

/// The ways to keep an entry alive, and a guard alone.
pub(super) fn all(size: &Size) -> Vec<Case> {
    vec![path(1, size), path(2, size), guard(size)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_reads_the_value() {
        let table = table();
        assert!((0..KEYS).step_by(1000).all(|key| value(slot(&table, key), key) == !key));
        assert_eq!(value(slot(&table, KEYS), KEYS), 0, "an entry of another key");
    }
}
