//! What each figure is to reach. Pure functions over a record. Invariant: a target is judged on the figures of the record at
//! hand, and every one whose figures are there is judged.

use super::growing::{SHUFFLED_OURS, STEADY};
use super::memory::{BYTES, PEAK, SWING};
use super::plan::Plan;
use super::size::Size;
use super::soak::DRIFT;
use super::speed::{SINGLE, TIME};
use super::worst::{P999, P9999, WORST};
use super::{ALL, STRINGS, YARDSTICK};
use crate::format::small_ratio;
use crate::output::Sheet;
use crate::record::{Figure, OURS, Record};
use crate::targets::{self, Against, Judged, Target, itself, over};

/// What our time may be of the yardstick's in a case; none where it is only shown.
pub(crate) fn time_bound(case: &str) -> Option<f64> {
    let mut parts = case.split('/');
    let (workload, kind) = (parts.next()?, parts.next());
    let size = parts.next();
    if let Some(part) = parts.next() {
        return Some(if part.ends_with("=1") { 0.3 } else { 0.05 });
    }
    let entries = size.and_then(|size| size.parse::<Size>().ok());
    let bound = match (workload, entries) {
        (ALL, _) | ("hit", Some(Size::One(10_000_000))) => 0.95,
        ("hit", Some(Size::One(..32_000))) => 1.1,
        ("hit", Some(Size::One(_))) => return strings_bound(kind),
        ("miss", Some(Size::One(10_000_000))) | ("hit" | "insert-reserved" | "iterate", _) => 1.0,
        ("miss" | "insert", _) => 1.2,
        ("churn", _) => 0.9,
        _ => return None,
    };
    Some(if workload == "hit" {
        strings_bound(kind).map_or(bound, |strings| bound.min(strings))
    } else {
        bound
    })
}

/// What our figure may be of the one that it is compared with in the same case.
pub(super) fn pair_bound(figure: &Figure) -> Option<f64> {
    let (workload, rest) = figure.case.split_once('/')?;
    match workload {
        _ if figure.implementation != OURS => None,
        "get_many" if rest.ends_with("/10M") => Some(0.6),
        "hit-while-growing" => Some(1.05),
        "copy" => Some(2.0),
        _ => None,
    }
}

/// What a hit on string keys may take, whatever the size.
fn strings_bound(kind: Option<&str>) -> Option<f64> {
    (kind == Some("str16-u64")).then_some(0.95)
}

/// All targets of one of our figures.
fn targets_of(figure: &Figure) -> Vec<Target> {
    let (case, metric) = (figure.case.as_str(), figure.metric.as_str());
    let workload = case.split('/').next().unwrap_or_default();
    if figure.implementation == STRINGS {
        let wanted = workload == "hit" && metric == TIME.name;
        return if wanted { vec![over(YARDSTICK, 0.7)] } else { Vec::new() };
    }
    if figure.implementation != OURS {
        return Vec::new();
    }
    let tails = [over("griddle", 1.0), Target { against: Against::Family(super::go::FAMILY), bound: 1.0 }];
    match (workload, metric) {
        ("get_many", _) => pair_bound(figure).map(|bound| over(SINGLE, bound)).into_iter().collect(),
        ("hit-while-growing", _) => pair_bound(figure).map(|bound| over(STEADY, bound)).into_iter().collect(),
        ("copy", _) => pair_bound(figure).map(|bound| over(SHUFFLED_OURS, bound)).into_iter().collect(),
        (_, name) if name == TIME.name => {
            time_bound(case).map(|bound| over(YARDSTICK, bound)).into_iter().collect()
        }
        (_, name) if name == DRIFT.name => vec![itself(1.05)],
        (_, name) if name == WORST.name => vec![over(YARDSTICK, 0.005), over("griddle", 0.1)],
        (_, name) if name == P999.name || name == P9999.name => tails.to_vec(),
        (_, name) if name == SWING.name => vec![itself(1.2)],
        (_, name) if name == BYTES.name && case.ends_with("/octave") => vec![over(YARDSTICK, 0.8)],
        (_, name) if name == PEAK.name && case.ends_with("/octave") => vec![over(YARDSTICK, 0.6)],
        (_, name) if name == PEAK.name => vec![over(YARDSTICK, 0.8)],
        _ => Vec::new(),
    }
}

/// Judges all figures of ours.
pub(super) fn judge(record: &Record, plan: &Plan) -> Vec<Judged> {
    // What is meant for a mean is not asked of each size in it, but peaks are, and of no other size.
    let counts = |figure: &&Figure| {
        if figure.metric == PEAK.name {
            plan.is_of_octave(&figure.case)
        } else {
            !plan.is_inner(&figure.case)
        }
    };
    record
        .figures()
        .iter()
        .filter(counts)
        .flat_map(|figure| targets::judge(record, figure, &targets_of(figure)))
        .collect()
}

/// The targets that are missed, and how many there are.
pub(super) fn sheet(all: &[Judged]) -> Sheet {
    let mut sheet = Sheet::new("Targets that are missed", &["case", "figure", "of", "is", "target"]);
    for judged in all.iter().filter(|judged| !judged.is_met()) {
        sheet.row([
            judged.case.clone(),
            judged.metric.clone(),
            judged.what.clone(),
            format!("! {}", small_ratio(judged.value)),
            format!("<= {}", small_ratio(judged.bound)),
        ]);
    }
    let met = all.iter().filter(|judged| judged.is_met()).count();
    sheet.note = format!("{met} of {} targets are met.", all.len());
    sheet
}

#[cfg(test)]
mod tests {
    use super::super::SUITE;
    use super::*;
    use crate::cli::MapArgs;
    use crate::record::Metric;

    #[test]
    fn times_have_the_bounds_of_their_sizes() {
        for (case, bound) in [
            ("hit/u64-u64/10M", Some(0.95)),
            ("hit/u64-u64/octave", Some(1.0)),
            ("hit/u64-u64/30k", Some(1.1)),
            ("hit/u64-u64/1.7M", None),
            ("hit/str16-u64/1.7M", Some(0.95)),
            ("hit/str16-u64/16", Some(0.95)),
            ("miss/u64-56B/10M", Some(1.0)),
            ("miss/u64-56B/octave", Some(1.2)),
            ("insert/u64-u64/16", Some(1.2)),
            ("insert-reserved/u64-u64/16", Some(1.0)),
            ("churn/u64-u64/1M", Some(0.9)),
            ("iterate/u64-u64/1M", Some(1.0)),
            ("iterate/u64-u64/1M/keep=1", Some(0.3)),
            ("drop/u64-u64/1M/fill=0.01", Some(0.05)),
            ("all", Some(0.95)),
            ("soak/u64-u64/1M", None),
            ("above-minimum/string-string/1M", None),
        ] {
            assert_eq!(time_bound(case), bound, "{case}");
        }
    }

    #[test]
    fn figures_are_judged_against_whom_they_are_to_beat() {
        let plan = Plan::new(&MapArgs::default());
        let mut record = Record::new();
        let mut add = |case: &str, name: &str, metric: Metric, value: f64| {
            record.add(Figure::new(SUITE, case, name, metric, 1, value));
        };
        for (name, worst, p999) in [(OURS, 50.0, 2.0), (YARDSTICK, 20_000.0, 1.0), ("griddle", 400.0, 3.0)] {
            add("worst-insert/4M", name, WORST, worst);
            add("worst-insert/4M", name, P999, p999);
        }
        add("worst-insert/4M", "go-1.24", P999, 1.5);
        add("copy/u64-u64/1M", OURS, TIME, 3.0);
        add("copy/u64-u64/1M", SHUFFLED_OURS, TIME, 2.0);
        add("bytes-per-entry/u64-u64/octave", OURS, SWING, 1.25);
        let judged: Vec<(String, f64, bool)> =
            judge(&record, &plan).into_iter().map(|j| (j.what.clone(), j.value, j.is_met())).collect();
        let expected = [
            ("bucketmask / hashbrown", 0.0025, true),
            ("bucketmask / griddle", 0.125, false),
            ("bucketmask / griddle", 2.0 / 3.0, true),
            ("bucketmask / go-1.24", 2.0 / 1.5, false),
            ("bucketmask / bucketmask-shuffled", 1.5, true),
            ("bucketmask", 1.25, false),
        ];
        assert_eq!(judged.len(), expected.len(), "{judged:?}");
        for ((what, value, met), expected) in judged.iter().zip(expected) {
            assert_eq!((what.as_str(), *met), (expected.0, expected.2));
            assert!((value - expected.1).abs() < 1e-9, "{what} {value}");
        }
        let text = sheet(&judge(&record, &plan)).to_text();
        assert!(text.contains("3 of 6") && text.contains("! 1.25") && text.contains("! 0.12"), "{text}");
    }
}
