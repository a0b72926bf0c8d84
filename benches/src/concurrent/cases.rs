//! Maps that threads share: each case makes a map, lets so many threads work, and says what an operation took.
//!
//! Owned by `concurrent.rs`. Invariant: keys and operations of a round depend on its seed alone, so all sides do the same.

use std::hint::black_box;
use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use super::TIME;
use super::case::{Case, Size, Take};
use super::sides::{Side, Work, on_each_side};

/// Shares of reads, inserts, removals and updates, of a hundred.
pub(super) type Mix = [u8; 4];

/// First parts of the cases of mixes.
pub(super) const MIXES: [(&str, Mix); 3] =
    [("read-heavy", [98, 1, 1, 0]), ("exchange", [10, 40, 40, 10]), ("rapid-grow", [5, 80, 5, 10])];
/// Keys of most cases.
pub(super) const KEYS: u64 = 1 << 16;

/// Keys spread over all numbers, the same for all sides.
pub(super) fn key(nth: u64) -> u64 {
    nth.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5bd1_e995
}

pub(super) fn filled<M: Side>(keys: u64) -> M {
    let map = M::with_capacity(keys as usize);
    (0..keys).for_each(|nth| map.insert(key(nth), nth));
    map
}

/// Nanoseconds that `threads` threads took an operation, all of them together, from the first one's start to the last one's end, each
/// doing `ops` by `work`, which is told its thread's number.
pub(super) fn together(threads: usize, ops: u64, work: impl Fn(usize) -> u64 + Sync) -> f64 {
    let ready = Barrier::new(threads);
    let times: Vec<(Instant, Instant)> = thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|thread| {
                let (ready, work) = (&ready, &work);
                scope.spawn(move || {
                    ready.wait();
                    let start = Instant::now();
                    black_box(work(thread));
                    (start, Instant::now())
                })
            })
            .collect();
        running.into_iter().map(|thread| thread.join().expect("nothing panics")).collect()
    });
    let (start, end) = times.iter().fold(times[0], |all, one| (all.0.min(one.0), all.1.max(one.1)));
    (end - start).as_nanos() as f64 / (ops * threads as u64) as f64
}

pub(super) fn random(seed: u64, thread: usize) -> fastrand::Rng {
    fastrand::Rng::with_seed(seed * 64 + thread as u64)
}

/// Hits with a guard each.
fn gets<M: Side>(keys: u64, threads: usize, ops: u64, seed: u64) -> f64 {
    let map = filled::<M>(keys);
    together(threads, ops, |thread| {
        let mut random = random(seed, thread);
        (0..ops).fold(0u64, |sum, _| sum.wrapping_add(map.get(key(random.u64(0..keys))).unwrap_or(0)))
    })
}

/// Hits under guards that are held for a thousand of them.
fn held<M: Side>(keys: u64, ops: u64, seed: u64) -> f64 {
    let map = filled::<M>(keys);
    let mut random = random(seed, 0);
    let wanted: Vec<u64> = (0..1000).map(|_| key(random.u64(0..keys))).collect();
    let start = Instant::now();
    for _ in 0..ops / 1000 {
        black_box(map.sum(black_box(&wanted)));
    }
    start.elapsed().as_nanos() as f64 / (ops / 1000 * 1000) as f64
}

/// Everything at once. `presized`: the map begins with half the keys in it, and room for all.
fn mixed<M: Side>(mix: Mix, presized: bool, threads: usize, ops: u64, seed: u64) -> f64 {
    let keys = ops;
    let map = if presized { filled::<M>(keys / 2) } else { M::with_capacity(0) };
    together(threads, ops, |thread| {
        let mut random = random(seed, thread);
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
    })
}

fn case(name: String, n: u64, sides: Vec<(&'static str, Work)>, size: &Size) -> Case {
    let title = "Maps that threads share, nanoseconds an operation";
    Case { name, title, n, metrics: vec![TIME], sides, take: Take::Median, rounds: size.rounds }
}

/// One, two and all processors; with --quick two.
pub(super) fn thread_counts(size: &Size) -> Vec<usize> {
    if size.quick {
        return vec![2];
    }
    let all = thread::available_parallelism().map_or(1, usize::from);
    let mut counts = vec![1, 2, all];
    counts.sort_unstable();
    counts.dedup();
    counts
}

/// Reads and mixes.
pub(super) fn all(size: &Size) -> Vec<Case> {
    let ops = size.ops;
    let get = |keys: u64, threads: usize| {
        let sides = on_each_side!(M => move |seed| vec![gets::<M>(keys, threads, ops, seed)]);
        case(format!("get/{keys}/threads={threads}"), ops, sides, size)
    };
    let mut all = vec![get(KEYS, 1)];
    let sides = on_each_side!(M => move |seed| vec![held::<M>(KEYS, ops, seed)]);
    all.push(case(format!("get-held/{KEYS}"), ops, sides, size));
    for threads in thread_counts(size) {
        if threads > 1 {
            all.extend([get(KEYS, threads), get(1, threads)]);
        }
        for (name, mix) in MIXES {
            for presized in [true, false] {
                let from = if presized { "presized" } else { "empty" };
                let each = ops / 4;
                let sides =
                    on_each_side!(M => move |seed| vec![mixed::<M>(mix, presized, threads, each, seed)]);
                all.push(case(format!("{name}/{from}/threads={threads}"), each, sides, size));
            }
        }
    }
    all
}
