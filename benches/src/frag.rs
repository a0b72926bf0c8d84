//! The command `frag`: what stays resident when few blocks survive, on every allocator. Owns the figures and the tables.
//! Invariant: memory is read before anything that judges it allocates, and each target stands beside its figure.

use crate::alloc::{PEAK, TIME};
use crate::cli::FragArgs;
use crate::contest::{Contest, Tally, over_best};
use crate::error::{Error, Outcome};
use crate::format::{bytes, judged, nanoseconds, percent, ratio};
use crate::installed::Choice;
use crate::machine::Machine;
use crate::output::{self, Sheet};
use crate::record::{Metric, OURS, Record};
use crate::replay;
use crate::sample::Samples;
use crate::workload::{Settled, Workload};

/// The suite's name in figures.
pub const SUITE: &str = "frag";

/// Resident memory of the process after the idle time, the survivors live.
pub const STEADY: Metric = Metric::lower("steady_resident", "B");
/// Resident memory of the process before the idle time.
const BUSY: Metric = Metric::lower("resident_before_idle", "B");
/// Bytes of live blocks.
const LIVE: Metric = Metric::lower("live", "B");
/// Bytes of the distinct 4 KiB pages on which live blocks lie.
const FLOOR: Metric = Metric::lower("floor", "B");
/// What became resident with the blocks and still is, over the bytes of live blocks.
pub const PER_LIVE: Metric = Metric::lower("resident_per_live", "1");
/// The same over the floor.
pub const PER_FLOOR: Metric = Metric::lower("resident_per_floor", "1");
/// Part of the live slots that nobody asked for.
const INTERNAL: Metric = Metric::lower("internal_fragmentation", "1");
/// Part of the committed pages that is no live slot.
const EXTERNAL: Metric = Metric::lower("external_fragmentation", "1");

/// Idle time of a record, in seconds, and in a hurry.
const IDLE: [f64; 2] = [10.0, 2.0];

/// Runs the command.
///
/// # Errors
/// `--only` names no workload, a child failed, or allocators disagree about what a workload did. Outputs that cannot be
/// written are in the outcome instead.
pub fn run(args: &FragArgs) -> Result<Outcome, Error> {
    let idle = args.idle.unwrap_or(IDLE[usize::from(args.contest.quick)]);
    #[expect(clippy::cast_sign_loss, reason = "checked when the options were read")]
    let idle_ms = (idle * 1000.0) as u64;
    if let Some(trace) = &args.replay {
        return replay::run(args, trace, idle_ms);
    }
    let workloads = [Workload::Survivors, Workload::Redis, Workload::FreeOnly];
    let mut contest = Contest::new(&args.contest, &workloads, idle_ms)?;
    let tallies = contest.run()?;
    let record = record(&contest, &tallies);
    let sheets = [memory(&contest, &tallies, idle), targets(&contest, &record)];
    Ok(output::deliver(&sheets, &record, &args.contest.record, Machine::here))
}

/// A part of a whole; 0 when there is no whole.
fn part(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn internal(settled: &Settled) -> Option<f64> {
    settled.slots.map(|slots| 1.0 - part(slots.requested, slots.live))
}

fn external(settled: &Settled) -> Option<f64> {
    settled.slots.map(|slots| 1.0 - part(slots.live, slots.committed))
}

fn record(contest: &Contest, tallies: &[Tally]) -> Record {
    let mut record = Record::new();
    for tally in tallies {
        let (case, name, n) = (tally.workload.name(), tally.allocator.name(), tally.operations);
        let mut measure =
            |metric: Metric, samples: &Samples| record.measure(SUITE, case, name, metric, n, samples);
        measure(TIME, &tally.time);
        measure(PEAK, &tally.peak);
        measure(STEADY, &tally.settled(|settled| Some(settled.idle as f64)));
        measure(BUSY, &tally.settled(|settled| Some(settled.busy as f64)));
        measure(LIVE, &tally.settled(|settled| Some(settled.live as f64)));
        measure(FLOOR, &tally.settled(|settled| Some(settled.floor as f64)));
        measure(PER_LIVE, &tally.settled(|settled| Some(part(settled.grown(), settled.live))));
        measure(PER_FLOOR, &tally.settled(|settled| Some(part(settled.grown(), settled.floor))));
        measure(INTERNAL, &tally.settled(internal));
        measure(EXTERNAL, &tally.settled(external));
    }
    for workload in &contest.workloads {
        for metric in [TIME, PEAK, STEADY, BUSY, PER_LIVE, PER_FLOOR] {
            for peer in contest.peers() {
                record.compare(SUITE, workload.name(), OURS, peer.name(), metric);
            }
        }
    }
    record
}

fn memory(contest: &Contest, tallies: &[Tally], idle: f64) -> Sheet {
    let head = [
        "workload and allocator",
        "time",
        "peak",
        "busy",
        "idle",
        "blocks' part",
        "live",
        "/live",
        "floor",
        "/floor",
        "internal",
        "external",
    ];
    let mut sheet = Sheet::new(
        format!(
            "Resident memory with the survivors live, idle for {idle} s; medians of {} rounds",
            contest.rounds
        ),
        &head,
    );
    for tally in tallies {
        let size = |figure: fn(&Settled) -> u64| {
            bytes(tally.settled(|settled| Some(figure(settled) as f64)).median_count())
        };
        let quotient = |figure: fn(&Settled) -> u64| {
            ratio(tally.settled(|settled| Some(part(settled.grown(), figure(settled)))).median())
        };
        let share = |figure: fn(&Settled) -> Option<f64>| {
            let samples = tally.settled(figure);
            if samples.is_empty() { "-".into() } else { percent(samples.median(), 1.0) }
        };
        sheet.row([
            format!("{} {}", tally.workload.name(), tally.allocator.name()),
            nanoseconds(tally.time.median()),
            bytes(tally.peak.median_count()),
            size(|settled| settled.busy),
            size(|settled| settled.idle),
            size(Settled::grown),
            size(|settled| settled.live),
            quotient(|settled| settled.live),
            size(|settled| settled.floor),
            quotient(|settled| settled.floor),
            share(internal),
            share(external),
        ]);
    }
    sheet.note = "peak, busy (the work just done), idle: the whole process. blocks' part: idle less what was resident before the \
                  first block. floor: the distinct 4 KiB pages on which this allocator's live blocks lie, times 4 KiB; who never \
                  moves a block cannot do with less. internal: part of the live slots that nobody asked for; external: part of \
                  the committed pages that is no live slot; only bucketmask can tell."
        .into();
    sheet
}

/// What each case must show.
fn targets(contest: &Contest, record: &Record) -> Sheet {
    let mut sheet = Sheet::new("Targets", &["workload", "figure", "bucketmask", "target", ""]);
    let mut row = |workload: Workload, what: String, value: Option<f64>, target: f64| {
        if let Some(value) = value {
            let verdict = if value <= target { "met" } else { "missed" };
            let cells = [
                workload.name().into(),
                what,
                judged(Some(value), target),
                format!("<= {}", ratio(target)),
                verdict.into(),
            ];
            sheet.row(cells);
        }
    };
    let ours = |workload: Workload, metric: Metric| record.value(SUITE, workload.name(), metric.name, OURS);
    let best = over_best(record, SUITE, Workload::Survivors.name(), STEADY, contest);
    let name = best.map_or("", |(_, name)| name);
    row(Workload::Survivors, format!("idle over the best peer's, {name}"), best.map(|(q, _)| q), 0.30);
    row(Workload::Survivors, "blocks' part over floor".into(), ours(Workload::Survivors, PER_FLOOR), 1.3);
    row(Workload::Redis, "blocks' part over live".into(), ours(Workload::Redis, PER_LIVE), 1.30);
    for (metric, what) in [(TIME, "time over mimalloc's"), (PEAK, "peak over mimalloc's")] {
        let case = Workload::FreeOnly;
        let peer = record.value(SUITE, case.name(), metric.name, Choice::Mimalloc.name());
        let quotient =
            ours(case, metric).zip(peer.filter(|&peer| peer > 0.0)).map(|(ours, peer)| ours / peer);
        row(case, what.into(), quotient, 1.10);
    }
    sheet
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contest::tests::made_up;

    #[test]
    fn figures_keep_the_schema_and_targets_are_judged() {
        let (contest, tallies) = made_up(&[Workload::Survivors, Workload::Redis, Workload::FreeOnly]);
        let record = record(&contest, &tallies);
        assert_eq!(Record::parse(&record.to_lines()), Ok(record.clone()));
        // Ours: resident 300 after 200 before, live 80, floor 50.
        let value = |metric: Metric| record.value(SUITE, "survivors", metric.name, OURS).unwrap();
        assert!((value(PER_LIVE) - 1.25).abs() < 1e-9 && (value(PER_FLOOR) - 2.0).abs() < 1e-9);
        assert!((value(INTERNAL) - 0.25).abs() < 1e-9 && (value(EXTERNAL) - 0.5).abs() < 1e-9);
        let text = targets(&contest, &record).to_text();
        let line = |part: &str| text.lines().find(|line| line.contains(part)).unwrap().to_owned();
        assert!(line("over floor").contains("! 2.00") && line("over floor").contains("missed"), "{text}");
        assert!(line("over live").contains("1.25") && line("over live").contains("met"), "{text}");
        assert!(
            line("best peer's, mimalloc").contains("0.30") && text.contains("time over mimalloc's"),
            "{text}"
        );
        assert!(memory(&contest, &tallies, 2.0).to_text().contains("redis mimalloc"));
    }
}
