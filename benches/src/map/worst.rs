//! The worst single insert while a map grows. Owns the times of every insert. Invariant: the n-th insert is the same work in
//! every round, so that what comes back in every round is the map's and not the machine's: an operation's time is the
//! least of its rounds, and the worst is the greatest of these. The same loop around nothing shows what noise is left.

use std::collections::BTreeMap;
use std::hint::black_box;

use super::clock::{nanoseconds_per_tick, ticks};
use super::go::Toolchain;
use super::keys::{Words, mix};
use super::plan::Plan;
use super::size::label;
use super::table::{Job, Table, sides};
use super::{SUITE, YARDSTICK};
use crate::error::Error;
use crate::interrupt;
use crate::picture::Bucket;
use crate::progress::Progress;
use crate::record::{Figure, Metric, OURS, Record};
use crate::rounds;
use crate::sample::Samples;

/// Rounds over which an operation's time is the least.
const ROUNDS: u32 = 5;
/// Inserts.
const INSERTS: [u64; 2] = [4_000_000, 200_000];

/// The same loop, inserting nothing.
pub(super) const NOTHING: &str = "noop";

/// The greatest of the operations' times, and what 99.9 and 99.99 of a hundred of them do not exceed.
pub(super) const WORST: Metric = Metric::lower("worst", "ns");
pub(super) const P999: Metric = Metric::lower("p999", "ns");
pub(super) const P9999: Metric = Metric::lower("p9999", "ns");
/// The greatest of one round's, in the median over the rounds.
const WORST_OF_ROUND: Metric = Metric::lower("worst_of_round", "ns");

/// The case for so many inserts.
fn case(inserts: u64) -> String {
    format!("worst-insert/{}", label(inserts))
}

/// Every insert's least time over the rounds so far, in ticks, and the worst of each round.
pub(super) struct Times {
    least: Vec<u32>,
    worst: Samples,
}

/// One round of a side: adds its times.
type Round = fn(&mut Times);

impl Times {
    fn new(inserts: u64) -> Self {
        Self { least: vec![u32::MAX; inserts as usize], worst: Samples::new() }
    }

    /// Times `work` for each number.
    #[inline(always)]
    fn round(&mut self, mut work: impl FnMut(u64)) {
        let mut worst = 0;
        for (number, least) in self.least.iter_mut().enumerate() {
            let key = mix(number as u64);
            let start = ticks();
            work(key);
            let time = (ticks() - start).min(u64::from(u32::MAX)) as u32;
            worst = worst.max(time);
            *least = time.min(*least);
        }
        self.worst.push(f64::from(worst));
    }

    /// The time that so many millionths of the operations do not exceed, in ticks.
    fn percentile(&mut self, millionths: u64) -> f64 {
        let last = self.least.len() - 1;
        let place =
            ((self.least.len() as u64 * millionths).div_ceil(1_000_000) as usize).clamp(1, last + 1) - 1;
        f64::from(*self.least.select_nth_unstable(place).1)
    }
}

#[inline(never)]
fn inserts<T: Table<u64, u64>>(times: &mut Times) {
    let mut table = T::bare();
    times.round(|key| table.put(key, key));
    black_box(table.count());
}

struct Rounds;

impl Job<u64, u64> for Rounds {
    type Given = Round;

    fn of<T: Table<u64, u64>>() -> Round {
        inserts::<T>
    }
}

#[inline(never)]
fn nothing(times: &mut Times) {
    times.round(|key| {
        black_box(key);
    });
}

/// Rounds of [`spread`].
const FEW_ROUNDS: u32 = 3;
/// Buckets of a decade of [`spread`].
const STEPS: f64 = 6.0;

/// How many inserts took how many nanoseconds, in ascending buckets: of ours, the yardstick and the loop around nothing.
pub(super) fn spread(inserts: u64) -> Vec<(&'static str, Vec<Bucket>)> {
    let wanted = |name: &str| name == OURS || name == YARDSTICK;
    let mut sides: Vec<(&str, Round)> =
        sides::<Words, Rounds>().into_iter().filter(|(name, _)| wanted(name)).collect();
    sides.push((NOTHING, nothing));
    let mut times: Vec<Times> = sides.iter().map(|_| Times::new(inserts)).collect();
    let scale = nanoseconds_per_tick();
    for round in 0..FEW_ROUNDS {
        for idx in rounds::order(round, sides.len()) {
            sides[idx].1(&mut times[idx]);
        }
    }
    let in_buckets = |times: Times| {
        let mut counts = BTreeMap::<i32, f64>::new();
        for ticks in times.least {
            let step = (f64::from(ticks.max(1)) * scale).max(1.0).log10() * STEPS;
            *counts.entry(step as i32).or_default() += 1.0;
        }
        let edge = |step: i32| 10_f64.powf(f64::from(step) / STEPS);
        let bucket = |(step, count)| Bucket { from: edge(step), to: edge(step + 1), count };
        counts.into_iter().map(bucket).collect()
    };
    sides.into_iter().zip(times).map(|((name, _), times)| (name, in_buckets(times))).collect()
}

/// Measures all sides.
pub(super) fn measure(
    plan: &Plan,
    go: &[Toolchain],
    record: &mut Record,
    progress: &Progress,
) -> Result<(), Error> {
    let inserts_wanted = INSERTS[usize::from(plan.quick)];
    let case = case(inserts_wanted);
    if !plan.wants(&case) {
        return Ok(());
    }
    progress.stage(case.clone());
    let mut sides = sides::<Words, Rounds>();
    sides.push((NOTHING, nothing));
    let mut times: Vec<Times> = sides.iter().map(|_| Times::new(inserts_wanted)).collect();
    let scale = nanoseconds_per_tick();
    for round in 0..ROUNDS {
        for idx in rounds::order(round, sides.len()) {
            interrupt::check()?;
            sides[idx].1(&mut times[idx]);
        }
    }
    for ((name, _), mut times) in sides.into_iter().zip(times) {
        let worst: Samples = times.worst.values().iter().map(|ticks| ticks * scale).collect();
        let values = [
            (WORST, times.percentile(1_000_000) * scale),
            (P9999, times.percentile(999_900) * scale),
            (P999, times.percentile(999_000) * scale),
        ];
        add(record, &case, name, inserts_wanted, values, &worst);
    }
    for toolchain in go {
        let told = toolchain.worst(inserts_wanted, ROUNDS)?;
        let [worst, p9999, p999] = told.least;
        let values = [(WORST, worst), (P9999, p9999), (P999, p999)];
        add(record, &case, toolchain.name(), inserts_wanted, values, &told.worst_of_rounds);
    }
    progress.advance(1);
    Ok(())
}

/// Puts one side's figures into the record; the spread is that of the single rounds' worst.
fn add(record: &mut Record, case: &str, name: &str, n: u64, values: [(Metric, f64); 3], worst: &Samples) {
    for (metric, value) in values {
        record.add(Figure::new(SUITE, case, name, metric, n, value).over(worst));
    }
    record.measure(SUITE, case, name, WORST_OF_ROUND, n, worst);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_take_the_least_of_the_rounds() {
        let mut times = Times { least: (1..=1000).rev().collect(), worst: Samples::new() };
        assert!((times.percentile(1_000_000) - 1000.0).abs() < 1e-9);
        assert!((times.percentile(999_000) - 999.0).abs() < 1e-9);
        assert!((times.percentile(500_000) - 500.0).abs() < 1e-9);
        assert!((times.percentile(1) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn one_slow_round_is_forgiven_and_a_slow_operation_is_not() {
        let mut times = Times::new(100);
        let wait = || {
            let start = std::time::Instant::now();
            while start.elapsed().as_micros() < 200 {}
        };
        for round in 0..3 {
            let (mut number, slow) = (0, 40 + round);
            times.round(|_| {
                number += 1;
                if number == 7 || number == slow {
                    wait();
                }
            });
        }
        let scale = nanoseconds_per_tick();
        assert!(times.percentile(1_000_000) * scale > 150_000.0, "the seventh is slow in every round");
        assert!(times.percentile(980_000) * scale < 150_000.0, "others only once");
        assert_eq!(times.worst.rounds(), 3);
    }

    #[test]
    fn every_insert_takes_some_time_and_few_take_long() {
        let found = spread(20_000);
        assert_eq!(found.iter().map(|(name, _)| *name).collect::<Vec<_>>(), [OURS, YARDSTICK, NOTHING]);
        for (name, buckets) in found {
            let all: f64 = buckets.iter().map(|bucket| bucket.count).sum();
            assert!((all - 20_000.0).abs() < 0.5, "{name}: each insert in one bucket: {buckets:?}");
            assert!(buckets.is_sorted_by(|a, b| a.to <= b.from * 1.000_001), "{name}: {buckets:?}");
            assert!(
                buckets.iter().all(|bucket| bucket.from >= 1.0 && bucket.count >= 1.0),
                "{name}: {buckets:?}"
            );
        }
    }
}
