//! What is timed: each case makes a map, lets so many threads work, and says what an operation took.
//!
//! Owned by `concurrent.rs`. Invariant: keys and operations of a round depend on its seed alone, so all sides do the same.

use std::hint::black_box;
use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use super::sides::Side;

/// Shares of reads, inserts, removals and updates, of a hundred.
pub(super) type Mix = [u8; 4];

/// Keys spread over all numbers, the same for all sides.
fn key(nth: u64) -> u64 {
    nth.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5bd1_e995
}

fn filled<M: Side>(keys: u64) -> M {
    let map = M::with_capacity(keys as usize);
    (0..keys).for_each(|nth| map.insert(key(nth), nth));
    map
}

/// Nanoseconds that `threads` threads took an operation, all of them together, each doing `ops` by `work`.
fn together(threads: usize, ops: u64, work: impl Fn(fastrand::Rng) -> u64 + Sync, seed: u64) -> f64 {
    let ready = Barrier::new(threads + 1);
    thread::scope(|scope| {
        let running: Vec<_> = (0..threads as u64)
            .map(|thread| {
                let (ready, work) = (&ready, &work);
                scope.spawn(move || {
                    ready.wait();
                    black_box(work(fastrand::Rng::with_seed(seed * 64 + thread)));
                })
            })
            .collect();
        ready.wait();
        let start = Instant::now();
        for thread in running {
            thread.join().expect("nothing panics");
        }
        start.elapsed().as_nanos() as f64 / (ops * threads as u64) as f64
    })
}

/// Hits with a guard each.
pub(super) fn gets<M: Side>(keys: u64, threads: usize, ops: u64, seed: u64) -> f64 {
    let map = filled::<M>(keys);
    let work = |mut random: fastrand::Rng| {
        (0..ops).fold(0u64, |sum, _| sum.wrapping_add(map.get(key(random.u64(0..keys))).unwrap_or(0)))
    };
    together(threads, ops, work, seed)
}

/// Hits under guards that are held for a thousand of them.
pub(super) fn held<M: Side>(keys: u64, ops: u64, seed: u64) -> f64 {
    let map = filled::<M>(keys);
    let mut random = fastrand::Rng::with_seed(seed);
    let wanted: Vec<u64> = (0..1000).map(|_| key(random.u64(0..keys))).collect();
    let start = Instant::now();
    for _ in 0..ops / 1000 {
        black_box(map.sum(black_box(&wanted)));
    }
    start.elapsed().as_nanos() as f64 / (ops / 1000 * 1000) as f64
}

/// Everything at once. `presized`: the map begins with half the keys in it, and room for all.
pub(super) fn mixed<M: Side>(mix: Mix, presized: bool, threads: usize, ops: u64, seed: u64) -> f64 {
    let keys = ops;
    let map = if presized { filled::<M>(keys / 2) } else { M::with_capacity(0) };
    let work = |mut random: fastrand::Rng| {
        for _ in 0..ops {
            let (what, key) = (random.u8(0..100), key(random.u64(0..keys)));
            if what < mix[0] {
                black_box(map.get(key));
            } else if what < mix[0] + mix[1] {
                map.insert(key, key);
            } else if what < mix[0] + mix[1] + mix[2] {
                map.remove(key);
            } else {
                map.raise(key);
            }
        }
        0
    };
    together(threads, ops, work, seed)
}

/// The worst insert and the 99th of a hundred, in nanoseconds, of a map that grows from nothing.
pub(super) fn growing<M: Side>(keys: u64) -> [f64; 2] {
    let map = M::with_capacity(0);
    let mut times: Vec<u32> = (0..keys)
        .map(|nth| {
            let start = Instant::now();
            map.insert(key(nth), nth);
            u32::try_from(start.elapsed().as_nanos()).unwrap_or(u32::MAX)
        })
        .collect();
    times.sort_unstable();
    [times[times.len() - 1], times[times.len() / 100 * 99]].map(f64::from)
}
