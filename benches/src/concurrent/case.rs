//! A case: what is timed, on which sides, and what comes of its rounds.
//!
//! Owned by `concurrent.rs`. Invariant: every round asks every side once, in an order that turns.

use super::SUITE;
use super::sides::Work;
use crate::error::Error;
use crate::format::{ratio, significant};
use crate::interrupt;
use crate::output::Sheet;
use crate::progress::Progress;
use crate::record::{Metric, OURS, Record};
use crate::rounds;
use crate::sample::Samples;

/// How much is done, and how often.
pub(super) struct Size {
    pub(super) quick: bool,
    /// Operations of a thread.
    pub(super) ops: u64,
    /// Entries of the map that grows.
    pub(super) grown: u64,
    pub(super) rounds: u32,
}

/// Which rounds count.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Take {
    /// The median of all.
    Median,
    /// The last, which has what all before it found.
    Last,
}

pub(super) struct Case {
    /// As in figures.
    pub(super) name: String,
    /// Above its table; cases of one title stand in one.
    pub(super) title: &'static str,
    /// Things the case is about.
    pub(super) n: u64,
    pub(super) metrics: Vec<Metric>,
    pub(super) sides: Vec<(&'static str, Work)>,
    pub(super) take: Take,
    pub(super) rounds: u32,
}

impl Case {
    /// Runs all rounds.
    ///
    /// # Errors
    /// Interrupted.
    pub(super) fn run(&mut self, progress: &Progress) -> Result<Vec<Vec<Samples>>, Error> {
        progress.stage(self.name.clone());
        let mut samples = vec![vec![Samples::default(); self.metrics.len()]; self.sides.len()];
        for round in 0..self.rounds {
            for side in rounds::order(round, self.sides.len()) {
                interrupt::check()?;
                let values = (self.sides[side].1)(u64::from(round) + 1);
                assert_eq!(values.len(), self.metrics.len(), "a value for each metric of {}", self.name);
                for (samples, value) in samples[side].iter_mut().zip(values) {
                    if self.take == Take::Last {
                        *samples = Samples::default();
                    }
                    samples.push(value);
                }
                progress.advance(1);
            }
        }
        Ok(samples)
    }

    /// Writes what came of it into the record, and a row a metric.
    pub(super) fn tell(&self, samples: &[Vec<Samples>], record: &mut Record, sheet: &mut Sheet) {
        for (nth, &metric) in self.metrics.iter().enumerate() {
            let mut row = vec![self.name.clone(), format!("{} {}", metric.name, metric.unit)];
            for ((side, _), samples) in self.sides.iter().zip(samples) {
                record.measure(SUITE, &self.name, side, metric, self.n, &samples[nth]);
                row.push(significant(samples[nth].median()));
            }
            let peers = self.sides.iter().skip(1);
            let quotients: Vec<_> = peers
                .map(|(peer, _)| record.compare(SUITE, &self.name, OURS, peer, metric))
                .map(|quotient| quotient.map_or_else(|| "-".into(), ratio))
                .collect();
            row.push(quotients.join(" "));
            sheet.row(row);
        }
    }

    /// An empty table for the case, and those like it.
    pub(super) fn sheet(&self) -> Sheet {
        let names = self.sides.iter().map(|(name, _)| *name);
        let head: Vec<_> = ["case", "metric"].into_iter().chain(names).chain(["over each"]).collect();
        Sheet::new(self.title, &head)
    }
}
