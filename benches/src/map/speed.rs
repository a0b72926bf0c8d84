//! The speed of the operations, by type of entries and by size. Owns the sides of one type at a time. Invariant: all sides
//! hold a map of the same entries while they are timed, and every round times each of them once.

use super::SUITE;
use super::keys::Entry;
use super::plan::{Plan, case};
use super::side::Side;
use super::size::{label, octave};
use super::workload::{Stage, Workload};
use crate::error::Error;
use crate::interrupt;
use crate::progress::Progress;
use crate::record::{Figure, Metric, OURS, Record};
use crate::rounds;
use crate::sample::Samples;

/// One operation.
pub(crate) const TIME: Metric = Metric::lower("time", "ns");
/// The single lookups of our map, beside its batches.
pub(super) const SINGLE: &str = "bucketmask-get";

/// The sides of one type of entries.
pub(super) type Sides<'a, E> = Vec<Box<dyn Side<E> + 'a>>;

/// What one side took for one workload at one size.
struct Tally {
    entries: u64,
    workload: Workload,
    side: String,
    samples: Samples,
}

/// Measures all that is wanted of one type.
pub(super) fn measure<E: Entry>(
    plan: &Plan,
    sides: &mut Sides<'_, E>,
    record: &mut Record,
    progress: &Progress,
) -> Result<(), Error> {
    let mut wanted: Vec<u64> = Workload::ALL.iter().flat_map(|&w| plan.entries::<E>(w)).collect();
    wanted.sort_unstable();
    wanted.dedup();
    let mut tallies = Vec::new();
    for entries in wanted {
        progress.stage(format!("{} {}", E::NAME, label(entries)));
        let here = |workload: &Workload| {
            plan.entries::<E>(*workload).contains(&entries)
                // Batches are judged against single lookups.
                || *workload == Workload::Hit && plan.entries::<E>(Workload::GetMany).contains(&entries)
        };
        let workloads: Vec<Workload> = Workload::ALL.into_iter().filter(here).collect();
        let Some(stage) = interrupt::finished(stage::<E>(plan, sides, &Stage::new(entries), &workloads))?
        else {
            break;
        };
        tallies.extend(stage);
        progress.advance(1);
    }
    for tally in &tallies {
        let case = case::<E>(tally.workload.name(), &label(tally.entries));
        record.measure(SUITE, &case, &tally.side, TIME, tally.entries, &tally.samples);
    }
    if let Some(base) = plan.octave() {
        means::<E>(&octave(base), &tallies, record);
    }
    singles(record, E::NAME);
    interrupt::check()
}

/// All workloads at one size: first those that build maps, then those that read one, then the churn.
fn stage<E: Entry>(
    plan: &Plan,
    sides: &mut Sides<'_, E>,
    stage: &Stage<E>,
    workloads: &[Workload],
) -> Result<Vec<Tally>, Error> {
    let some = |wanted: fn(Workload) -> bool| {
        workloads.iter().copied().filter(move |&w| wanted(w)).collect::<Vec<_>>()
    };
    let builds = some(|w| matches!(w, Workload::Insert | Workload::Reserved));
    let reads = some(Workload::reads);
    let churn = some(|w| w == Workload::Churn);
    let mut tallies = Vec::new();
    for group in [builds, reads, churn] {
        if group.iter().any(|w| !matches!(w, Workload::Insert | Workload::Reserved)) {
            sides.iter_mut().try_for_each(|side| side.fill(stage.entries))?;
        }
        for workload in group {
            tallies.extend(rounds_of(plan, sides, stage, workload)?);
        }
    }
    sides.iter_mut().try_for_each(|side| side.empty())?;
    Ok(tallies)
}

fn rounds_of<E: Entry>(
    plan: &Plan,
    sides: &mut Sides<'_, E>,
    stage: &Stage<E>,
    workload: Workload,
) -> Result<Vec<Tally>, Error> {
    let entries = stage.entries;
    let new = |side: String| Tally { entries, workload, side, samples: Samples::new() };
    let mut tallies: Vec<Tally> = sides.iter().map(|side| new(side.name())).collect();
    for round in 0..plan.rounds(workload, entries) {
        for idx in rounds::order(round, sides.len()) {
            interrupt::check()?;
            if let Some(nanoseconds) = sides[idx].sample(workload, stage)? {
                tallies[idx].samples.push(nanoseconds);
            }
        }
    }
    Ok(tallies)
}

/// Puts our single lookups beside the batches of the same map.
fn singles(record: &mut Record, kind: &str) {
    let (hit, many) =
        (format!("{}/{kind}/", Workload::Hit.name()), format!("{}/{kind}/", Workload::GetMany.name()));
    let beside = |figure: &Figure| {
        let case = figure.case.strip_prefix(&many).filter(|_| figure.implementation == OURS)?;
        let single = record.figure(SUITE, &format!("{hit}{case}"), TIME.name, OURS)?;
        Some(Figure { case: figure.case.clone(), implementation: SINGLE.into(), ..single.clone() })
    };
    let found: Vec<Figure> = record.figures().iter().filter_map(beside).collect();
    for figure in found {
        record.add(figure);
    }
}

/// The means over an octave, where all its sizes were measured.
fn means<E: Entry>(sizes: &[u64], tallies: &[Tally], record: &mut Record) {
    let first = tallies.iter().filter(|tally| tally.entries == sizes[0]);
    for tally in first {
        let same = |other: &&Tally| {
            sizes.contains(&other.entries) && other.workload == tally.workload && other.side == tally.side
        };
        let all: Vec<&Samples> = tallies.iter().filter(same).map(|other| &other.samples).collect();
        if all.len() == sizes.len() {
            let case = case::<E>(tally.workload.name(), "octave");
            record.measure(SUITE, &case, &tally.side, TIME, sizes.iter().sum(), &Samples::mean_of(&all));
        }
    }
}
