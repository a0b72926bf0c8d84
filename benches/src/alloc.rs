//! The command `alloc`: every workload on every allocator, time and memory, each run in a process of its own. Owns the
//! figures and the tables. Invariant: every workload that ran is shown, won or lost, and each target stands beside its
//! figure.

use std::fmt::Write;

use crate::cli::AllocArgs;
use crate::contest::{self, Contest, Tally, over_best};
use crate::error::{Error, Outcome};
use crate::format::{bytes, judged, nanoseconds, ratio};
use crate::installed::Choice;
use crate::machine::Machine;
use crate::output::{self, Sheet};
use crate::record::{Metric, OURS, Record};
use crate::sample::{Samples, geometric_mean};
use crate::workload::Workload;

/// The suite's name in figures.
pub const SUITE: &str = "alloc";
/// The case that stands for all of them.
pub const ALL: &str = "all";

/// One operation: mostly a block's malloc and its free together; for whole programs one run.
pub const TIME: Metric = Metric::lower("time", "ns");
/// One live block visited.
pub const TIME_PER_LIVE: Metric = Metric::lower("time_per_live", "ns");
/// Most resident memory of the process.
pub const PEAK: Metric = Metric::lower("peak_resident", "B");
/// Resident memory of the process when all was freed.
const AFTER: Metric = Metric::lower("resident_after", "B");

/// Atomic read-modify-writes a block freed by another thread than its page's.
const ATOMICS: Metric = Metric::lower("atomics_per_remote_free", "operations");

/// What the geometric mean over all workloads, of time and of peak resident, may be of mimalloc's.
pub const MEAN_BOUND: f64 = 0.95;

/// What a case's time may be of mimalloc's.
pub fn time_bound(case: &str) -> f64 {
    match Workload::ALL.into_iter().find(|workload| workload.name() == case) {
        Some(Workload::Walk50) => 1.0 / 10.0,
        Some(Workload::Walk5) => 1.0 / 30.0,
        Some(_) => 1.10,
        None => MEAN_BOUND,
    }
}

/// Runs the command.
///
/// # Errors
/// `--only` names no workload, a child failed, or allocators disagree about what a workload did. Outputs that cannot be
/// written are in the outcome instead.
pub fn run(args: &AllocArgs) -> Result<Outcome, Error> {
    let mut contest = Contest::new(&args.contest, &Workload::ALL, 0)?;
    let tallies = contest.run()?;
    let record = record(&contest, &tallies);
    let sheets = [times(&contest, &tallies, &record), memory(&contest, &tallies, &record)];
    Ok(output::deliver(&sheets, &record, &args.contest.record, Machine::here))
}

/// The metric of a workload's time.
fn time_of(workload: Workload) -> Metric {
    if workload.is_walk() { TIME_PER_LIVE } else { TIME }
}

fn record(contest: &Contest, tallies: &[Tally]) -> Record {
    let mut record = Record::new();
    for tally in tallies {
        let (case, name, n) = (tally.workload.name(), tally.allocator.name(), tally.operations);
        record.measure(SUITE, case, name, time_of(tally.workload), n, &tally.time);
        record.measure(SUITE, case, name, PEAK, n, &tally.peak);
        record.measure(SUITE, case, name, AFTER, n, &tally.steady);
        // Empty but for ours.
        record.measure(SUITE, case, name, ATOMICS, n, &tally.atomics);
    }
    for &allocator in &contest.allocators {
        let count = contest.workloads.len() as u64;
        let walkless = || tallies.iter().filter(move |t| t.allocator == allocator && !t.workload.is_walk());
        for (metric, mean) in [
            (TIME, geometric_mean(walkless().map(|tally| tally.time.median()))),
            (PEAK, geometric_mean(walkless().map(|tally| tally.peak.median()))),
        ] {
            record.measure(SUITE, ALL, allocator.name(), metric, count, &mean.into_iter().collect());
        }
    }
    let cases = contest.workloads.iter().map(|&workload| (workload.name(), time_of(workload)));
    for (case, time) in cases.chain([(ALL, TIME)]) {
        for metric in [time, PEAK, AFTER] {
            for peer in contest.peers() {
                record.compare(SUITE, case, OURS, peer.name(), metric);
            }
        }
    }
    record
}

fn head(contest: &Contest, first: &str, last: &[&str]) -> Vec<String> {
    let names = contest.allocators.iter().map(|allocator| allocator.name());
    [first].into_iter().chain(names).chain(last.iter().copied()).map(String::from).collect()
}

/// One row: the allocators' values, then ours over mimalloc's, its target, and ours over the best peer's.
fn row(
    contest: &Contest,
    record: &Record,
    case: &str,
    metric: Metric,
    target: f64,
    show: fn(f64) -> String,
) -> Vec<String> {
    let value = |name: &str| record.value(SUITE, case, metric.name, name);
    let mut row = vec![case.to_owned()];
    row.extend(contest.allocators.iter().map(|peer| value(peer.name()).map_or_else(|| "-".into(), show)));
    let peer = value(Choice::Mimalloc.name()).filter(|&value| value > 0.0);
    row.push(judged(value(OURS).zip(peer).map(|(ours, peer)| ours / peer), target));
    row.push(format!("<= {}", ratio(target)));
    let best = over_best(record, SUITE, case, metric, contest);
    row.push(best.map_or_else(|| "-".into(), |(quotient, name)| format!("{} {name}", ratio(quotient))));
    row
}

fn times(contest: &Contest, tallies: &[Tally], record: &Record) -> Sheet {
    let rounds = contest.rounds;
    let mut sheet = Sheet::new(
        format!("Time an operation on {} threads; medians of {rounds} rounds", contest.scale.threads),
        &[],
    );
    sheet.head = head(contest, "workload", &["/mimalloc", "target", "/best peer", "spread"]);
    for &workload in &contest.workloads {
        let target = time_bound(workload.name());
        let mut cells = row(contest, record, workload.name(), time_of(workload), target, nanoseconds);
        let spread = contest::of(tallies, workload).map(|tally| tally.time.spread()).fold(0.0, f64::max);
        cells.push(format!("{:.0} %", 100.0 * spread));
        sheet.row(cells);
    }
    let mut cells = row(contest, record, ALL, TIME, time_bound(ALL), nanoseconds);
    cells.push(String::new());
    sheet.row(cells);
    sheet.note = "all: geometric means, walks left out. An operation is a block's malloc and its free, in program/ one run, in \
                  walk/ one live block. system: the C library. Ratios marked ! miss their target. spread: the widest of the \
                  allocators'."
        .into();
    for &workload in &contest.workloads {
        if let Some(atomics) = record.value(SUITE, workload.name(), ATOMICS.name, OURS) {
            // Writing to a string does not fail.
            let _ = write!(
                sheet.note,
                " {}: {:.3} atomic read-modify-writes a remote free.",
                workload.name(),
                atomics
            );
        }
    }
    sheet
}

fn memory(contest: &Contest, tallies: &[Tally], record: &Record) -> Sheet {
    let mut sheet = Sheet::new("Most resident memory of the process", &[]);
    sheet.head = head(contest, "workload", &["/mimalloc", "target", "/best peer", "spread"]);
    let show = |value: f64| bytes(Samples::median_count(&[value].into_iter().collect()));
    for &workload in &contest.workloads {
        let mut cells = row(contest, record, workload.name(), PEAK, 1.0, show);
        let spread = contest::of(tallies, workload).map(|tally| tally.peak.spread()).fold(0.0, f64::max);
        cells.push(format!("{:.0} %", 100.0 * spread));
        sheet.row(cells);
    }
    let mut cells = row(contest, record, ALL, PEAK, MEAN_BOUND, show);
    cells.push(String::new());
    sheet.row(cells);
    sheet
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contest::tests::made_up;

    #[test]
    fn figures_keep_the_schema_and_means_are_geometric() {
        let (contest, tallies) = made_up(&Workload::ALL);
        let record = record(&contest, &tallies);
        assert_eq!(Record::parse(&record.to_lines()), Ok(record.clone()));
        for workload in Workload::ALL {
            let time = time_of(workload).name;
            let ratio =
                record.ratios().iter().find(|r| r.case == workload.name() && r.metric == time).unwrap();
            assert_eq!((ratio.peer.as_str(), ratio.ratio), ("mimalloc", 0.5));
        }
        let all = record.ratios().iter().find(|r| r.case == ALL && r.metric == TIME.name).unwrap();
        assert!((all.ratio - 0.5).abs() < 1e-9, "{all:?}");
    }

    #[test]
    fn every_workload_has_a_row_and_misses_stand_out() {
        let (contest, tallies) = made_up(&Workload::ALL);
        let record = record(&contest, &tallies);
        let text = times(&contest, &tallies, &record).to_text();
        for workload in Workload::ALL {
            assert!(text.contains(workload.name()), "{text}");
        }
        let line = |name: &str| text.lines().find(|line| line.contains(name)).unwrap().to_owned();
        assert!(line("pair").contains("0.50") && !line("pair").contains('!'), "{text}");
        assert!(line("walk/live=50").contains("! 0.50"), "{text}");
        let text = memory(&contest, &tallies, &record).to_text();
        assert!(text.contains("larson") && text.contains("MiB"), "{text}");
    }
}
