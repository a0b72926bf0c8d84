//! The command `concurrent`: the concurrent map against papaya, dashmap, scc's maps, and hashbrown's behind a lock.
//!
//! Owns the cases and the rounds. Invariant: every round times every side once, in an order that turns, and all sides do the same
//! operations with the same hasher and allocator.

use crate::cli::ConcurrentArgs;
use crate::error::{Error, Outcome};
use crate::format::{ratio, significant};
use crate::output::{self, Sheet};
use crate::progress::Progress;
use crate::record::{Metric, OURS, Record};
use crate::rounds;
use crate::sample::Samples;

mod cases;
mod sides;

use cases::Mix;
use sides::{Dash, Exclusive, Locked, Ours, Papaya, Scc, SccIndex, Side};

/// The suite's name in figures.
pub const SUITE: &str = "concurrent";

const TIME: Metric = Metric::lower("time", "ns");
const WORST: Metric = Metric::lower("worst", "ns");
const P99: Metric = Metric::lower("p99", "ns");

const NAMES: [&str; 7] =
    [Ours::NAME, Papaya::NAME, Dash::NAME, Scc::NAME, SccIndex::NAME, Locked::NAME, Exclusive::NAME];

const READ_HEAVY: Mix = [98, 1, 1, 0];
const EXCHANGE: Mix = [10, 40, 40, 10];
const RAPID_GROW: Mix = [5, 80, 5, 10];

/// A thing to time.
#[derive(Clone, Copy)]
enum Case {
    /// Hits among so many keys, a guard each, on so many threads.
    Gets(u64, usize),
    /// Hits among so many keys under one guard.
    Held(u64),
    Mixed(&'static str, Mix, bool, usize),
    /// Inserts, each timed.
    Growing,
}

impl Case {
    fn name(self, size: &Size) -> String {
        match self {
            Self::Gets(keys, threads) => format!("get/{keys}/threads={threads}"),
            Self::Held(keys) => format!("get-held/{keys}"),
            Self::Mixed(name, _, presized, threads) => {
                format!("{name}/{}/threads={threads}", if presized { "presized" } else { "empty" })
            }
            Self::Growing => format!("grow/{}", size.grown),
        }
    }

    fn metrics(self) -> &'static [Metric] {
        if matches!(self, Self::Growing) { &[WORST, P99] } else { &[TIME] }
    }

    fn run<M: Side>(self, size: &Size, seed: u64) -> Vec<f64> {
        match self {
            Self::Gets(keys, threads) => vec![cases::gets::<M>(keys, threads, size.ops, seed)],
            Self::Held(keys) => vec![cases::held::<M>(keys, size.ops, seed)],
            Self::Mixed(_, mix, presized, threads) => {
                vec![cases::mixed::<M>(mix, presized, threads, size.ops / 4, seed)]
            }
            Self::Growing => cases::growing::<M>(size.grown).to_vec(),
        }
    }

    fn run_side(self, side: usize, size: &Size, seed: u64) -> Vec<f64> {
        match side {
            0 => self.run::<Ours>(size, seed),
            1 => self.run::<Papaya>(size, seed),
            2 => self.run::<Dash>(size, seed),
            3 => self.run::<Scc>(size, seed),
            4 => self.run::<SccIndex>(size, seed),
            5 => self.run::<Locked>(size, seed),
            _ => self.run::<Exclusive>(size, seed),
        }
    }
}

/// How much is done.
struct Size {
    ops: u64,
    grown: u64,
}

fn all_cases() -> Vec<Case> {
    let mut all = vec![Case::Gets(1 << 16, 1), Case::Held(1 << 16)];
    all.extend([Case::Gets(1 << 16, 2), Case::Gets(1, 2)]);
    for (name, mix) in [("read-heavy", READ_HEAVY), ("exchange", EXCHANGE), ("rapid-grow", RAPID_GROW)] {
        all.extend([true, false].map(|presized| Case::Mixed(name, mix, presized, 2)));
    }
    all.push(Case::Growing);
    all
}

/// Runs the comparison.
///
/// # Errors
/// None but those that the outcome holds: outputs that cannot be written.
pub fn run(args: &ConcurrentArgs) -> Result<Outcome, Error> {
    let rounds = args.rounds.unwrap_or(if args.quick { 3 } else { 9 });
    let size = if args.quick {
        Size { ops: 200_000, grown: 200_000 }
    } else {
        Size { ops: 2_000_000, grown: 8_000_000 }
    };
    let cases = all_cases();
    let progress = Progress::new(cases.len() as u64 * u64::from(rounds) * NAMES.len() as u64);
    let mut record = Record::new();
    let head: Vec<_> = ["case", "metric"].into_iter().chain(NAMES).chain(["to papaya"]).collect();
    let title = format!("Maps that threads share, nanoseconds an operation; medians of {rounds} rounds");
    let mut sheet = Sheet::new(title, &head);
    for case in cases {
        progress.stage(case.name(&size));
        let mut samples = vec![vec![Samples::default(); case.metrics().len()]; NAMES.len()];
        for round in 0..rounds {
            for side in rounds::order(round, NAMES.len()) {
                let values = case.run_side(side, &size, u64::from(round) + 1);
                samples[side].iter_mut().zip(values).for_each(|(samples, value)| samples.push(value));
                progress.advance(1);
            }
        }
        tell(case, &size, &samples, &mut record, &mut sheet);
    }
    drop(progress);
    let mut outcome = Outcome::default();
    outcome.note(output::print(&sheet.to_text()));
    if let Some(path) = &args.json {
        outcome.note(record.write(path));
    }
    Ok(outcome)
}

fn tell(case: Case, size: &Size, samples: &[Vec<Samples>], record: &mut Record, sheet: &mut Sheet) {
    let name = case.name(size);
    for (nth, &metric) in case.metrics().iter().enumerate() {
        let mut row = vec![name.clone(), metric.name.to_owned()];
        for (side, samples) in NAMES.iter().zip(samples) {
            record.measure(SUITE, &name, side, metric, size.ops, &samples[nth]);
            row.push(significant(samples[nth].median()));
        }
        for peer in &NAMES[1..] {
            record.compare(SUITE, &name, OURS, peer, metric);
        }
        let [ours, papaya] = [0, 1].map(|side| samples[side][nth].median());
        row.push(ratio(ours / papaya));
        sheet.row(row);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds_what_it_should<M: Side>() {
        let map = M::with_capacity(10);
        (0..100).for_each(|key| map.insert(key, key));
        map.insert(7, 70);
        map.raise(8);
        map.raise(1000);
        map.remove(9);
        let found = [7, 8, 9, 10, 1000].map(|key| map.get(key));
        assert_eq!(found, [Some(70), Some(9), None, Some(10), None], "{}", M::NAME);
        assert_eq!(map.sum(&[7, 8, 9, 10]), 89, "{}", M::NAME);
    }

    #[test]
    fn all_sides_are_maps() {
        holds_what_it_should::<Ours>();
        holds_what_it_should::<Papaya>();
        holds_what_it_should::<Dash>();
        holds_what_it_should::<Scc>();
        holds_what_it_should::<SccIndex>();
        holds_what_it_should::<Locked>();
        holds_what_it_should::<Exclusive>();
    }

    #[test]
    fn every_case_has_its_figures() {
        let size = Size { ops: 4000, grown: 1000 };
        let (mut record, mut sheet) = (Record::new(), Sheet::new("", &[]));
        let cases = all_cases();
        for case in &cases {
            let samples: Vec<Vec<Samples>> = (0..NAMES.len())
                .map(|side| {
                    let one = |value| {
                        let mut samples = Samples::default();
                        samples.push(value);
                        samples
                    };
                    case.run_side(side, &size, 1).into_iter().map(one).collect()
                })
                .collect();
            tell(*case, &size, &samples, &mut record, &mut sheet);
        }
        let metrics: usize = cases.iter().map(|case| case.metrics().len()).sum();
        assert_eq!((record.figures().len(), record.ratios().len()), (metrics * 7, metrics * 6));
        assert!(record.figures().iter().all(|figure| figure.value > 0.0));
    }
}
