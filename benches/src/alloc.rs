//! The command `alloc`: every workload on every allocator, time and memory, each run in a process of its own. Owns the
//! figures and the tables. Invariant: every workload that ran is shown, won or lost, and each target stands beside its
//! figure.

use crate::cli::AllocArgs;
use crate::contest::{self, Contest, Tally};
use crate::error::{Error, Outcome};
use crate::format::{bytes, nanoseconds, ratio};
use crate::installed::Choice;
use crate::machine::Machine;
use crate::output::{self, Sheet};
use crate::record::{Metric, OURS, Record};
use crate::sample::Samples;
use crate::workload::Workload;

/// The suite's name in figures.
pub const SUITE: &str = "alloc";
/// The case that stands for all of them.
const ALL: &str = "all";

/// One operation: mostly a block's malloc and its free together; for whole programs one run.
pub const TIME: Metric = Metric::lower("time", "ns");
/// One live block visited.
const TIME_PER_LIVE: Metric = Metric::lower("time_per_live", "ns");
/// Most resident memory of the process.
pub const PEAK: Metric = Metric::lower("peak_resident", "B");
/// Resident memory of the process when all was freed.
const AFTER: Metric = Metric::lower("resident_after", "B");

/// What the geometric mean over all workloads, of time and of peak resident, may be of mimalloc's.
const MEAN_BOUND: f64 = 0.95;

/// What a workload's time may be of mimalloc's.
fn bound(workload: Workload) -> f64 {
    match workload {
        Workload::Walk50 => 1.0 / 10.0,
        Workload::Walk5 => 1.0 / 30.0,
        _ => 1.10,
    }
}

/// Runs the command.
///
/// # Errors
/// `--only` names no workload, a child failed, or allocators disagree about what a workload did. Outputs that cannot be
/// written are in the outcome instead.
pub fn run(args: &AllocArgs) -> Result<Outcome, Error> {
    let contest = Contest::new(&args.contest, &Workload::ALL, 0)?;
    let tallies = contest.run()?;
    let record = record(&contest, &tallies);
    let mut outcome = Outcome::default();
    for sheet in [times(&contest, &tallies, &record), memory(&contest, &tallies, &record)] {
        outcome.note(output::print(&sheet.to_text()));
    }
    if let Some(path) = &args.contest.json {
        outcome.note(record.write(path));
    }
    if let Some(path) = &args.contest.machine {
        outcome.note(Machine::here().write(path));
    }
    Ok(outcome)
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
    }
    for &allocator in &contest.allocators {
        let count = contest.workloads.len() as u64;
        let walkless = || tallies.iter().filter(move |t| t.allocator == allocator && !t.workload.is_walk());
        for (metric, mean) in [
            (TIME, mean(walkless().map(|tally| tally.time.median()))),
            (PEAK, mean(walkless().map(|tally| tally.peak.median()))),
        ] {
            record.measure(SUITE, ALL, allocator.name(), metric, count, &mean.into_iter().collect());
        }
    }
    let cases = contest.workloads.iter().map(|&workload| (workload.name(), time_of(workload)));
    for (case, time) in cases.chain([(ALL, TIME)]) {
        for metric in [time, PEAK, AFTER] {
            for peer in contest.allocators.iter().filter(|&&peer| peer != Choice::Bucketmask) {
                record.compare(SUITE, case, OURS, peer.name(), metric);
            }
        }
    }
    record
}

/// The geometric mean; none of nothing.
fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (count, sum) = values.fold((0_u32, 0.0), |(count, sum), value| (count + 1, sum + value.ln()));
    (count > 0).then(|| (sum / f64::from(count)).exp())
}

/// A ratio, marked where it is over its bound.
pub fn judged(quotient: Option<f64>, bound: f64) -> String {
    quotient.map_or_else(|| "-".into(), |q| format!("{}{}", if q > bound { "! " } else { "" }, ratio(q)))
}

/// Our figure over the least of the peers', with that peer's name.
pub fn over_best(
    record: &Record,
    suite: &str,
    case: &str,
    metric: Metric,
    peers: &[Choice],
) -> Option<(f64, &'static str)> {
    let ours = record.value(suite, case, metric.name, OURS)?;
    let figures = peers.iter().filter(|&&peer| peer != Choice::Bucketmask).filter_map(|peer| {
        let value = record.value(suite, case, metric.name, peer.name())?;
        (value > 0.0).then_some((value, peer.name()))
    });
    let (least, name) = figures.min_by(|(a, _), (b, _)| a.total_cmp(b))?;
    Some((ours / least, name))
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
    let best = over_best(record, SUITE, case, metric, &contest.allocators);
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
        let mut cells =
            row(contest, record, workload.name(), time_of(workload), bound(workload), nanoseconds);
        let spread = contest::of(tallies, workload).map(|tally| tally.time.spread()).fold(0.0, f64::max);
        cells.push(format!("{:.0} %", 100.0 * spread));
        sheet.row(cells);
    }
    let mut cells = row(contest, record, ALL, TIME, MEAN_BOUND, nanoseconds);
    cells.push(String::new());
    sheet.row(cells);
    sheet.note = "all: geometric means, walks left out. An operation is a block's malloc and its free, in program/ one run, in \
                  walk/ one live block. system: the C library. Ratios marked ! miss their target. spread: the widest of the \
                  allocators'."
        .into();
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
