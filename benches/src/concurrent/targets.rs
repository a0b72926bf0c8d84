//! What each figure is to reach. Pure functions over a record. Invariant: as of all targets.

use super::SUITE;
use super::cases::{KEYS, MIXES};
use super::guards::{GUARD, SEIZE};
use super::latency::{GROW, MOVING, P99, P9999, STEADY, WORST};
use super::memory::{BOUND, BYTES, GARBAGE, MOST};
use super::transports::{CHANNEL, CROSSBEAM, RING, RTRB};
use crate::record::{Figure, OURS, Record};
use crate::targets::{self, Against, Judged, Target, itself, over};

/// All targets of a figure.
pub(crate) fn targets_of(figure: &Figure) -> Vec<Target> {
    if figure.suite != SUITE || figure.implementation != OURS {
        return Vec::new();
    }
    let (first, rest) = figure.case.split_once('/').unwrap_or((&figure.case, ""));
    let many = format!("{KEYS}/");
    match (first, figure.metric.as_str()) {
        ("get", _) if rest == format!("{many}threads=1") => vec![over("papaya", 0.65)],
        // Of throughput 1.3 times papaya's, as of time the inverse.
        ("get", _) if rest == format!("{many}threads=2") => {
            vec![over("papaya", 1.0 / 1.3), over("scc-hashindex", 1.0)]
        }
        ("get", _) if rest == "1/threads=2" => vec![over("dashmap", 1.0 / 5.0)],
        ("get-held", _) => vec![over("papaya", 0.8)],
        (GUARD, _) => vec![over(SEIZE, 0.35)],
        (GROW, name) if name == WORST.name => vec![over("papaya", 0.1), over("rwlock-hashbrown", 0.02)],
        (GROW, name) if name == P99.name => vec![over("papaya", 0.2)],
        (MOVING, name) if name == P9999.name => vec![over(STEADY, 1.5)],
        (mix, _) if MIXES.iter().any(|(name, _)| *name == mix) => {
            vec![Target { against: Against::Family(""), bound: 1.0 / 0.95 }]
        }
        (_, name) if name == BYTES.name => vec![over("papaya", 0.8)],
        (GARBAGE, _) if rest == MOST => vec![itself(BOUND)],
        (RING, _) => vec![over(RTRB, 1.0)],
        (CHANNEL, _) => vec![over(CROSSBEAM, 1.0)],
        _ => Vec::new(),
    }
}

/// Judges all figures of ours. A mix is judged against the best of the others.
pub(crate) fn judge(record: &Record) -> Vec<Judged> {
    let mut all = Vec::new();
    for figure in record.figures() {
        let mut judged = targets::judge(record, figure, &targets_of(figure));
        judged.retain(|judged| judged.what != format!("{OURS} / {OURS}"));
        let is_mix = MIXES.iter().any(|(name, _)| figure.case.starts_with(name));
        if is_mix {
            judged.sort_by(|a, b| b.value.total_cmp(&a.value));
            judged.truncate(1);
        }
        all.extend(judged);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Metric;

    #[test]
    fn mixes_are_judged_against_the_best_peer() {
        let time = Metric::lower("time", "ns");
        let mut record = Record::new();
        for (name, value) in [(OURS, 100.0), ("papaya", 110.0), ("dashmap", 90.0), ("scc-hashmap", 200.0)] {
            record.add(Figure::new(SUITE, "exchange/empty/threads=2", name, time, 1, value));
        }
        let judged = judge(&record);
        assert_eq!((judged.len(), judged[0].what.as_str()), (1, "bucketmask / dashmap"));
        assert!(!judged[0].is_met());
    }

    #[test]
    fn targets_are_the_issues() {
        let bound = |case: &str, metric: Metric| {
            let figure = Figure::new(SUITE, case, OURS, metric, 1, 1.0);
            targets_of(&figure).iter().map(|target| target.bound).collect::<Vec<_>>()
        };
        let time = Metric::lower("time", "ns");
        assert_eq!(bound("get/65536/threads=1", time), [0.65]);
        assert_eq!(bound("get/65536/threads=2", time), [1.0 / 1.3, 1.0]);
        assert_eq!(bound("get/1/threads=2", time), [0.2]);
        assert_eq!(bound("get-held/65536", time), [0.8]);
        assert_eq!(bound("guard", time), [0.35]);
        assert_eq!(bound("grow/8000000", WORST), [0.1, 0.02]);
        assert_eq!(bound("grow/8000000", P99), [0.2]);
        assert_eq!(bound("get-while-moving/1000000", P9999), [1.5]);
        assert!(bound("get-while-moving/1000000", P99).is_empty());
        assert_eq!(bound("bytes-per-entry/u64-u64/1000000", BYTES), [0.8]);
        assert_eq!(bound("garbage/most", time), [BOUND]);
        assert_eq!((bound("ring/threads=1", time), bound("channel/threads=2", time)), (vec![1.0], vec![1.0]));
        assert!(bound("sharing/one", time).is_empty());
    }
}
