//! How long single operations take: inserts into a map that grows, and gets while a table moves.
//!
//! Owned by `concurrent.rs`. Invariant: the n-th insert is the same work in every round, so its time is the least of its rounds: what
//! comes back in every round is the map's and not the machine's. Histograms (HDR) hold nanoseconds to three digits.

use std::cell::RefCell;
use std::hint::black_box;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use hdrhistogram::Histogram;

use super::case::{Case, Size, Take};
use super::cases::{filled, key};
use super::sides::{Ours, Side, Work, on_sides};
use crate::map::clock::{nanoseconds_per_tick, ticks};
use crate::record::{Metric, OURS};

pub(super) const WORST: Metric = Metric::lower("worst", "ns");
pub(super) const P99: Metric = Metric::lower("p99", "ns");
pub(super) const P9999: Metric = Metric::lower("p9999", "ns");
const P50: Metric = Metric::lower("p50", "ns");

/// The loop around nothing: what the clock and the machine take.
pub(super) const NOTHING: &str = "noop";
/// Gets of our map beside a writer, while nothing moves.
pub(super) const STEADY: &str = "bucketmask-steady";
/// First parts of the cases.
pub(super) const GROW: &str = "grow";
pub(super) const MOVING: &str = "get-while-moving";

/// The longest time that a histogram holds, in nanoseconds: over it counts as it.
const LONGEST: u64 = 10_000_000_000;

/// Times of operations.
struct Times {
    histogram: Histogram<u64>,
    scale: f64,
}

impl Times {
    fn new(scale: f64) -> Self {
        let histogram = Histogram::new_with_bounds(1, LONGEST, 3).expect("bounds in order, three digits");
        Self { histogram, scale }
    }

    #[expect(clippy::cast_sign_loss, reason = "a time is not negative")]
    fn add(&mut self, ticks: u64) {
        self.histogram.saturating_record((ticks as f64 * self.scale).round() as u64);
    }

    fn at(&self, quantile: f64) -> f64 {
        self.histogram.value_at_quantile(quantile) as f64
    }
}

/// Times `work` for each number below `least`'s length, keeping each one's least time.
#[inline(always)]
fn round(least: &mut [u32], mut work: impl FnMut(u64)) {
    for (number, least) in least.iter_mut().enumerate() {
        let start = ticks();
        work(number as u64);
        *least = (*least).min((ticks() - start).min(u64::from(u32::MAX)) as u32);
    }
}

#[inline(never)]
fn inserts<M: Side>(least: &mut [u32]) {
    let map = M::with_capacity(0);
    round(least, |number| map.insert(key(number), number));
}

#[inline(never)]
fn nothing(least: &mut [u32]) {
    round(least, |number| {
        black_box(key(number));
    });
}

/// What a side's inserts took at least, over the rounds so far.
fn growing(inserts: fn(&mut [u32]), grown: u64) -> impl FnMut(u64) -> Vec<f64> {
    let mut least = Vec::new();
    move |_| {
        least.resize(grown as usize, u32::MAX);
        inserts(&mut least);
        let mut times = Times::new(nanoseconds_per_tick());
        for &least in &least {
            times.add(u64::from(least));
        }
        vec![times.histogram.max() as f64, times.at(0.99), times.at(0.9999)]
    }
}

/// Times so many gets beside a thread that replaces values, in a map whose table moves, or does not.
fn gets_beside_a_writer(map: &Ours, keys: u64, gets: u64, moves: bool, seed: u64) -> Times {
    let done = AtomicBool::new(false);
    let mut times = Times::new(nanoseconds_per_tick());
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut larger = true;
            while !done.load(Ordering::Relaxed) {
                // The writer's own upkeep moves the buckets, one after each write.
                map.insert(key(random.u64(0..keys)), 1);
                if moves && !map.0.is_migrating() {
                    larger = !larger || !map.0.begin_migration((keys + keys / 2) as usize);
                    if larger {
                        map.0.begin_migration(keys as usize);
                    }
                }
            }
        });
        let mut random = fastrand::Rng::with_seed(!seed);
        for _ in 0..gets {
            let wanted = key(random.u64(0..keys));
            let start = ticks();
            black_box(map.get(wanted));
            times.add(ticks() - start);
        }
        done.store(true, Ordering::Relaxed);
        writer.join().expect("nothing panics");
    });
    times
}

fn moving(size: &Size) -> Case {
    let (keys, gets) = if size.quick { (50_000, 200_000) } else { (1_000_000, 2_000_000) };
    // One map for both, made when it is first asked for.
    let map: Rc<RefCell<Option<Ours>>> = Rc::default();
    let side = |name: &'static str, moves: bool| {
        let map = Rc::clone(&map);
        let work = move |seed| {
            let mut map = map.borrow_mut();
            let map = map.get_or_insert_with(|| filled(keys));
            let times = gets_beside_a_writer(map, keys, gets, moves, seed);
            while map.0.is_migrating() {
                map.0.migrate_step(64);
            }
            vec![times.at(0.5), times.at(0.99), times.at(0.9999)]
        };
        (name, Box::new(work) as Work)
    };
    Case {
        name: format!("{MOVING}/{keys}"),
        title: "A get beside a writer, while the table moves and while it does not",
        n: keys,
        metrics: vec![P50, P99, P9999],
        sides: vec![side(OURS, true), side(STEADY, false)],
        take: Take::Median,
        rounds: size.rounds,
    }
}

/// Growth from nothing, and gets in the middle of it.
pub(super) fn all(size: &Size) -> Vec<Case> {
    let grown = size.grown;
    let mut sides = on_sides!(M => growing(inserts::<M>, grown); Ours Papaya Dash Scc Locked);
    sides.push((NOTHING, Box::new(growing(nothing, grown))));
    let grow = Case {
        name: format!("{GROW}/{grown}"),
        title: "Each insert into a map that grows from nothing, the least of its rounds; noop is the same loop around nothing",
        n: grown,
        metrics: vec![WORST, P99, P9999],
        sides,
        take: Take::Last,
        rounds: size.rounds.min(5),
    };
    vec![grow, moving(size)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_of_ten_thousand_is_the_worst_but_not_the_99th() {
        let mut times = Times::new(2.0);
        (0..9_999).for_each(|_| times.add(50));
        times.add(50_000);
        let near = |value: f64, is: f64| (value / is - 1.0).abs() < 0.002;
        assert!(near(times.at(0.99), 100.0) && near(times.histogram.max() as f64, 100_000.0));
    }

    #[test]
    fn an_operation_is_as_long_as_the_least_of_its_rounds() {
        let mut work = growing(inserts::<Ours>, 1000);
        let first = work(1);
        let second = work(2);
        assert!(first.iter().zip(&second).all(|(first, second)| second <= first && *second > 0.0));
    }

    #[test]
    fn the_table_moves_while_gets_are_timed() {
        let map: Ours = filled(20_000);
        let homes = || map.0.mark_of(&key(0)).1;
        let before = homes();
        for seed in 0..50 {
            gets_beside_a_writer(&map, 20_000, 20_000, true, seed);
            if homes() != before {
                return;
            }
        }
        panic!("no migration ended while a million gets were timed");
    }
}
