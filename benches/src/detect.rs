//! The command `detect`, of `checked` builds: whether the detectors find what is broken, are silent otherwise, and what they cost.
//!
//! Each class of fault is a program that is run twice: with the fault, which must be reported, and without it, where no report may
//! come. The workloads then run watched and unwatched in turns. Owns the cases, the counts and the ratios. Invariant: a fault counts
//! as caught only by a report of a detector, not by any other panic.

use std::panic::{set_hook, take_hook};

use crate::cli::DetectArgs;
use crate::error::{Error, Outcome};
use crate::output::{self, Sheet};
use crate::progress::Progress;
use crate::record::{Figure, Metric, OURS, Record};

#[path = "../../gc/tests/faults/mod.rs"]
mod faults;
#[path = "../../map/tests/faults/mod.rs"]
mod map_faults;
mod overlap;
mod workload;

use workload::Cost;

/// The suite's name in figures.
pub const SUITE: &str = "detect";

const SEEDED: Metric = Metric::higher("seeded", "faults");
const CAUGHT: Metric = Metric::higher("caught", "faults");
const FALSE_ALARMS: Metric = Metric::lower("false_alarms", "reports");
const SLOWDOWN: Metric = Metric::lower("slowdown", "times");
const TIME: Metric = Metric::lower("time", "ns");

/// The side of a comparison that nobody watches.
const UNWATCHED: &str = "bucketmask-unwatched";

/// What came of a class of fault.
struct Verdict {
    name: &'static str,
    /// The report's first line.
    headline: Option<String>,
    false_alarm: Option<String>,
}

/// Whether a panic's message is a detector's.
fn is_report(message: &str) -> bool {
    message.starts_with("bucketmask: ") || message.starts_with("concurrent map ")
}

fn try_all(progress: &Progress) -> Vec<Verdict> {
    let collector = faults::CASES.iter().map(|case| (case.name, case.outcome(true), case.outcome(false)));
    let maps = map_faults::CASES.iter().map(|case| (case.name, case.outcome(true), case.outcome(false)));
    let overlaps = overlap::CASES.iter().map(|case| (case.name, case.outcome(true), case.outcome(false)));
    let verdict = |(name, broken, whole): (&'static str, Option<String>, Option<String>)| {
        progress.advance(1);
        let report = broken.filter(|message| is_report(message));
        let headline = report.and_then(|report| report.lines().next().map(str::to_owned));
        Verdict { name, headline, false_alarm: whole }
    };
    collector.chain(maps).chain(overlaps).map(verdict).collect()
}

/// Runs the experiment.
///
/// # Errors
/// A fault was not reported, or a report came of a program without one. Outputs that cannot be written are in the outcome instead.
pub fn run(args: &DetectArgs) -> Result<Outcome, Error> {
    // The reports are counted here, not printed.
    let loud = take_hook();
    set_hook(Box::new(|_| {}));
    if let Some(name) = &args.report {
        let case = faults::CASES.iter().find(|case| case.name == name);
        let report = case.and_then(|case| case.outcome(true));
        set_hook(loud);
        let names = || faults::CASES.iter().map(|case| case.name).collect::<Vec<_>>().join(", ");
        let report = report.ok_or_else(|| Error::NoSuchWorkload { asked: name.clone(), names: names() })?;
        let mut outcome = Outcome::default();
        outcome.note(output::print(&report));
        return Ok(outcome);
    }
    let rounds = if args.quick { 3 } else { 15 };
    let progress = Progress::new(
        (faults::CASES.len() + map_faults::CASES.len()) as u64 + overlap::CASES.len() as u64 + 2,
    );
    let verdicts = try_all(&progress);
    let costs = [workload::collector(rounds), workload::map(rounds)];
    set_hook(loud);
    drop(progress);

    let mut outcome = Outcome::default();
    for sheet in [sheet_of(&verdicts), costs_of(&costs)] {
        outcome.note(output::print(&sheet.to_text()));
    }
    if let Some(path) = &args.json {
        outcome.note(record_of(&verdicts, &costs).write(path));
    }
    let missed: Vec<_> =
        verdicts.iter().filter(|verdict| verdict.headline.is_none()).map(|verdict| verdict.name).collect();
    let alarms: Vec<_> =
        verdicts.iter().filter_map(|verdict| Some((verdict.name, verdict.false_alarm.as_ref()?))).collect();
    if missed.is_empty() && alarms.is_empty() {
        Ok(outcome)
    } else {
        Err(Error::Disagreement(format!("faults not reported: {missed:?}; false alarms: {alarms:?}")))
    }
}

fn record_of(verdicts: &[Verdict], costs: &[Cost]) -> Record {
    let mut record = Record::new();
    let count = |found: bool| f64::from(u8::from(found));
    let total = verdicts.len() as f64;
    let caught: f64 = verdicts.iter().map(|verdict| count(verdict.headline.is_some())).sum();
    let alarms: f64 = verdicts.iter().map(|verdict| count(verdict.false_alarm.is_some())).sum();
    let mut add = |case: &str, metric, n, value| record.add(Figure::new(SUITE, case, OURS, metric, n, value));
    for (metric, value) in [(SEEDED, total), (CAUGHT, caught), (FALSE_ALARMS, alarms)] {
        add("all", metric, verdicts.len() as u64, value);
    }
    for verdict in verdicts {
        add(verdict.name, SEEDED, 1, 1.0);
        add(verdict.name, CAUGHT, 1, count(verdict.headline.is_some()));
        add(verdict.name, FALSE_ALARMS, 1, count(verdict.false_alarm.is_some()));
    }
    for cost in costs {
        record.measure(SUITE, cost.name, OURS, TIME, cost.steps, &cost.watched);
        record.measure(SUITE, cost.name, UNWATCHED, TIME, cost.steps, &cost.unwatched);
        record.compare(SUITE, cost.name, OURS, UNWATCHED, TIME);
        let slowdown = Figure::new(SUITE, cost.name, OURS, SLOWDOWN, cost.steps, cost.slowdown());
        record.add(slowdown.over(&cost.watched));
    }
    record
}

fn sheet_of(verdicts: &[Verdict]) -> Sheet {
    let caught = verdicts.iter().filter(|verdict| verdict.headline.is_some()).count();
    let alarms = verdicts.iter().filter(|verdict| verdict.false_alarm.is_some()).count();
    let title = format!("Faults on purpose: {caught} of {} caught, {alarms} false alarms", verdicts.len());
    let mut sheet = Sheet::new(title, &["class of fault", "reported as", "without it"]);
    for verdict in verdicts {
        let headline = verdict.headline.as_deref().unwrap_or("NOT CAUGHT");
        // Up to the address.
        let what = headline.trim_start_matches("bucketmask: ").split([':', '(']).next().unwrap_or(headline);
        sheet.row([
            verdict.name.to_owned(),
            what.trim().to_owned(),
            if verdict.false_alarm.is_some() { "FALSE ALARM" } else { "silent" }.to_owned(),
        ]);
    }
    sheet
}

fn costs_of(costs: &[Cost]) -> Sheet {
    let mut sheet = Sheet::new("What watching costs", &["workload", "steps", "slowdown", "at most", ""]);
    for cost in costs {
        sheet.row([
            cost.name.to_owned(),
            cost.steps.to_string(),
            format!("{:.2}", cost.slowdown()),
            format!("{:.0}", cost.bound),
            if cost.slowdown() <= cost.bound { "met" } else { "MISSED" }.to_owned(),
        ]);
    }
    sheet.note = "watched over unwatched, the same build; medians of rounds in turns".into();
    sheet
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_is_caught_and_nothing_else_is_reported() {
        let loud = take_hook();
        set_hook(Box::new(|_| {}));
        let verdicts = try_all(&Progress::new(1));
        let costs = [workload::collector(1), workload::map(1)];
        set_hook(loud);
        for verdict in &verdicts {
            assert!(verdict.headline.is_some(), "{}", verdict.name);
            assert_eq!(verdict.false_alarm, None, "{}", verdict.name);
        }
        let record = record_of(&verdicts, &costs);
        assert_eq!(Record::parse(&record.to_lines()), Ok(record.clone()));
        assert_eq!(record.value(SUITE, "all", "caught", OURS), record.value(SUITE, "all", "seeded", OURS));
        assert!(record.value(SUITE, "all", "seeded", OURS) >= Some(20.0));
    }
}
