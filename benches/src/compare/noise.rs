//! How sure a change between two runs is. Plain values. Invariant: a peer's code is the same in both runs, so how peers' figures
//! moved is what machines and chance do: their median is the machine's part, their scatter the noise between runs.

use std::collections::HashMap;

use crate::record::{Figure, OURS, Record};
use crate::sample::Samples;

/// Smallest change that is worth a word.
pub(super) const LEAST: f64 = 0.01;
/// Half the width of a 99 % interval, in standard deviations.
const SURE: f64 = 2.576;
/// Quartiles of a bell curve lie so many standard deviations apart.
const QUARTILES: f64 = 1.349;
/// A median scatters so much more than a mean.
const OF_MEDIAN: f64 = 1.253;
/// Peers' figures that are needed to tell the machine's part.
const FEWEST: usize = 3;

/// Whether a figure is of our own code; all others are peers', bounds or losing variants, which a commit does not change.
pub(super) fn is_ours(figure: &Figure) -> bool {
    figure.implementation.starts_with(OURS)
}

/// The change of one figure: natural logarithms of after over before.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Change {
    middle: f64,
    half_width: f64,
}

impl Change {
    /// Lower bound, the change itself, upper bound, as factors.
    pub(super) fn factors(self) -> [f64; 3] {
        [self.middle - self.half_width, self.middle, self.middle + self.half_width].map(f64::exp)
    }
}

/// What the peers of one suite's metric tell.
#[derive(Clone, Copy, Debug, Default)]
struct Between {
    /// The machine's part of each change.
    drift: f64,
    /// Variance between runs.
    variance: f64,
}

/// The noise between two runs, by suite and metric.
pub(super) struct Noise {
    between: HashMap<(String, String), Between>,
}

impl Noise {
    /// What the peers that both records have tell.
    pub(super) fn between(before: &Record, after: &Record) -> Self {
        let mut moved: HashMap<(String, String), Vec<(f64, f64)>> = HashMap::new();
        for figure in before.figures().iter().filter(|figure| !is_ours(figure)) {
            let other = after.figure(&figure.suite, &figure.case, &figure.metric, &figure.implementation);
            if let Some((change, variance)) = other.and_then(|other| raw(figure, other)) {
                let key = (figure.suite.clone(), figure.metric.clone());
                moved.entry(key).or_default().push((change, variance));
            }
        }
        let enough = moved.into_iter().filter(|(_, changes)| changes.len() >= FEWEST);
        Self { between: enough.map(|(key, changes)| (key, Between::of(&changes))).collect() }
    }

    /// The change of a figure; none where a logarithm has no meaning.
    pub(super) fn judge(&self, before: &Figure, after: &Figure) -> Option<Change> {
        let (change, within) = raw(before, after)?;
        let key = (before.suite.clone(), before.metric.clone());
        let between = self.between.get(&key).copied().unwrap_or_default();
        let half_width = SURE * (within + between.variance).sqrt();
        Some(Change { middle: change - between.drift, half_width })
    }

    /// What was taken from peers, for people.
    pub(super) fn note(&self) -> String {
        if self.between.is_empty() {
            return "No peers are in both: the machine's part is not known, and intervals know only the noise within runs."
                .into();
        }
        let mut parts: Vec<String> = self
            .between
            .iter()
            .map(|((suite, metric), between)| {
                let noise = 100.0 * between.variance.sqrt();
                format!("{suite} {metric} {:.3} (+- {noise:.1} %)", between.drift.exp())
            })
            .collect();
        parts.sort_unstable();
        format!("The machine's part, by which peers moved and which is divided out: {}.", parts.join(", "))
    }
}

impl Between {
    fn of(changes: &[(f64, f64)]) -> Self {
        let all: Samples = changes.iter().map(|(change, _)| *change).collect();
        let drift = all.median();
        let distances: Samples = changes.iter().map(|(change, _)| (change - drift).abs()).collect();
        // Half of a bell curve lies within half the distance of its quartiles.
        let scatter = (2.0 * distances.median() / QUARTILES).powi(2);
        let within: Samples = changes.iter().map(|(_, variance)| *variance).collect();
        Self { drift, variance: (scatter - within.median()).max(0.0) }
    }
}

/// The logarithm of after over before, and its variance within the runs.
fn raw(before: &Figure, after: &Figure) -> Option<(f64, f64)> {
    let positive = before.value > 0.0 && after.value > 0.0;
    let variance =
        |figure: &Figure| (OF_MEDIAN * figure.spread / QUARTILES).powi(2) / f64::from(figure.rounds.max(1));
    positive.then(|| ((after.value / before.value).ln(), variance(before) + variance(after)))
}
