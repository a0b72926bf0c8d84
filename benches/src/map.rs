//! The command `map`: our map against other hash maps, in one process, on one allocator, with one hasher. Owns the figures.
//! Invariant: sides take turns in every round, all do the same work on the same entries, and every target stands beside its
//! figure.

use crate::cli::MapArgs;
use crate::error::{Error, Outcome};
use crate::installed::Installed;
use crate::interrupt;
use crate::machine::Machine;
use crate::output;
use crate::progress::Progress;
use crate::record::{Figure, OURS, Record};
use crate::sample::geometric_mean;
use crate::targets::Judged;

pub(crate) mod clock;
mod go;
mod growing;
mod keys;
mod memory;
mod plan;
mod side;
mod size;
mod soak;
mod sparse;
mod speed;
mod table;
mod tables;
mod targets;
mod workload;
mod worst;

pub(crate) use keys::mix;
pub use size::Size;
pub(crate) use speed::TIME;
pub(crate) use targets::time_bound;

use go::{Remote, Toolchain};
use keys::{Entry, Lines, Names, Pairs, Words};
use plan::Plan;
use side::{Locals, Side};
use speed::Sides;
use workload::Workload;

/// The suite's name in figures.
pub const SUITE: &str = "map";
/// Whose figures the others are measured by.
pub const YARDSTICK: &str = "hashbrown";
/// Our map for string keys.
const STRINGS: &str = "bucketmask-str";
/// The case that stands for all operations, sizes and types.
const ALL: &str = "all";

/// Judges the figures of a whole run's record.
pub(crate) fn judge(record: &Record) -> Vec<Judged> {
    targets::judge(record, &Plan::new(&MapArgs::default()))
}

/// The sizes of a whole run, ascending, and then the octave: what is only part of a mean is left out.
pub(crate) fn shown_sizes() -> impl Iterator<Item = String> {
    Plan::new(&MapArgs::default()).sizes.into_iter().map(|size| size.to_string())
}

/// How many single inserts into a growing map took how many nanoseconds, each insert's least time of some rounds: ours, the
/// yardstick, and the loop around nothing.
pub(crate) fn insert_times(inserts: u64) -> Vec<(&'static str, Vec<crate::picture::Bucket>)> {
    worst::spread(inserts)
}

/// Whether a case's last part is one of the octave's sizes, of a whole run.
pub(crate) fn is_size_of_octave(size: &str) -> bool {
    size != "octave" && Plan::new(&MapArgs::default()).is_of_octave(size)
}

/// Whether an operation is timed at all sizes.
pub(crate) fn is_at_all_sizes(operation: &str) -> bool {
    Workload::ALL.iter().any(|workload| workload.name() == operation)
}

/// Runs the command in a process whose allocator is `installed`.
///
/// # Errors
/// `--only` fits no case, a named Go toolchain fails, or a side holds other entries than it should. Outputs that cannot be
/// written are in the outcome instead.
pub fn run(args: &MapArgs, installed: &Installed) -> Result<Outcome, Error> {
    let plan = Plan::new(args);
    let (go, note) = go::toolchains(&args.go)?;
    if let Some(note) = &note {
        eprintln!("{note}");
    }
    let record = measure(&plan, installed, &go)?;
    if record.figures().is_empty() {
        interrupt::check()?;
        let names = "hit/u64-u64/1k, worst-insert, bytes-per-entry and others".into();
        return Err(Error::NoSuchWorkload { asked: args.only.join(","), names });
    }
    let sheets = tables::sheets(&record, &plan, &targets::judge(&record, &plan));
    let peers = go.iter().map(|toolchain| (toolchain.name().to_owned(), toolchain.version().to_owned()));
    let machine = || Machine::here().beside(peers);
    Ok(output::deliver(&sheets, &record, &args.record, machine))
}

fn measure(plan: &Plan, installed: &Installed, go: &[Toolchain]) -> Result<Record, Error> {
    let mut record = Record::new();
    if interrupt::finished(sections(plan, installed, go, &mut record))?.is_some() {
        overall(plan, &mut record);
    }
    compare(&mut record);
    Ok(record)
}

/// All sections, one after another; what is finished of one that is interrupted is in the record.
fn sections(plan: &Plan, installed: &Installed, go: &[Toolchain], record: &mut Record) -> Result<(), Error> {
    let progress = Progress::new(stages(plan));
    // Memory first: nothing that other sections leave behind is in its way.
    memory::measure::<Words>(plan, installed, go, record, &progress)?;
    memory::measure::<Lines>(plan, installed, go, record, &progress)?;
    memory::measure::<Names>(plan, installed, go, record, &progress)?;
    memory::measure::<Pairs>(plan, installed, go, record, &progress)?;
    memory::texts(plan, installed, record, &progress)?;
    worst::measure(plan, go, record, &progress)?;
    growing::lookups(plan, record, &progress)?;
    growing::copies(plan, record, &progress)?;
    soak::measure(plan, record, &progress)?;
    sparse::measure::<Words>(plan, record, &progress)?;
    sparse::measure::<Pairs>(plan, record, &progress)?;
    speed::<Words>(plan, go, record, &progress)?;
    speed::<Lines>(plan, go, record, &progress)?;
    speed::<Names>(plan, go, record, &progress)?;
    speed::<Pairs>(plan, go, record, &progress)
}

/// About how many stages a run has, for the bar.
fn stages(plan: &Plan) -> u64 {
    let sizes: usize =
        Workload::ALL.iter().map(|&workload| plan.entries::<Words>(workload).len()).max().unwrap_or(0);
    4 * sizes as u64 + 12
}

/// The speed of one type of entries, on all sides.
fn speed<E: Entry>(
    plan: &Plan,
    go: &[Toolchain],
    record: &mut Record,
    progress: &Progress,
) -> Result<(), Error> {
    let local = table::sides::<E, Locals<E>>().into_iter().map(|(_, side)| side);
    let remote = go.iter().map(|toolchain| Box::new(Remote(toolchain)) as Box<dyn Side<E> + '_>);
    let mut sides: Sides<'_, E> = Vec::new();
    sides.extend(local.map(|side| side as Box<dyn Side<E> + '_>));
    sides.extend(remote);
    speed::measure(plan, &mut sides, record, progress)
}

/// Adds the geometric means over all sizes and types of those sides that have them all.
fn overall(plan: &Plan, record: &mut Record) {
    let counts = |figure: &&Figure| {
        let mut parts = figure.case.split('/');
        let workload = parts.next().unwrap_or_default();
        let size = parts.nth(1).unwrap_or_default();
        figure.metric == TIME.name
            && parts.next().is_none()
            && Workload::MEAN.iter().any(|mean| mean.name() == workload)
            && plan.sizes.iter().any(|wanted| wanted.to_string() == size)
    };
    let of = |name: &str| {
        let all = record.figures().iter().filter(counts).filter(|f| f.implementation == name);
        all.map(|figure| figure.value).collect::<Vec<f64>>()
    };
    let cases = of(YARDSTICK).len();
    let mut names: Vec<String> = Vec::new();
    for figure in record.figures() {
        if !names.contains(&figure.implementation) {
            names.push(figure.implementation.clone());
        }
    }
    let whole = names.into_iter().map(|name| (of(&name), name)).filter(|(values, _)| values.len() == cases);
    let means: Vec<(String, f64)> =
        whole.filter_map(|(values, name)| Some((name, geometric_mean(values)?))).collect();
    for (name, mean) in means {
        record.add(Figure::new(SUITE, ALL, &name, TIME, cases as u64, mean));
    }
}

/// Adds ours over everybody's, for every case and metric.
fn compare(record: &mut Record) {
    let is_ours = |name: &str| name == OURS || name == STRINGS;
    let figures: Vec<Figure> = record.figures().to_vec();
    for ours in figures.iter().filter(|figure| is_ours(&figure.implementation)) {
        let others = figures.iter().filter(|other| {
            other.case == ours.case && other.metric == ours.metric && !is_ours(&other.implementation)
        });
        for other in others.filter(|other| other.implementation != worst::NOTHING) {
            record.quotient(ours, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Metric;

    #[test]
    fn means_are_of_what_all_sizes_and_types_have() {
        let args = MapArgs { sizes: vec![Size::One(16), Size::Octave(1000)], ..MapArgs::default() };
        let mut record = Record::new();
        let mut add = |case: &str, name: &str, metric: Metric, value: f64| {
            record.add(Figure::new(SUITE, case, name, metric, 1, value));
        };
        for (name, factor) in [(OURS, 0.5), (YARDSTICK, 1.0), ("std", 1.0)] {
            add("hit/u64-u64/16", name, TIME, 4.0 * factor);
            add("hit/u64-u64/1k", name, TIME, 1e6);
            add("insert-reserved/u64-u64/16", name, TIME, 1e6);
            add("iterate/u64-u64/16/keep=1", name, TIME, 1e6);
            if name != "std" {
                add("churn/u64-u64/octave", name, TIME, 9.0 * factor);
            }
        }
        overall(&Plan::new(&args), &mut record);
        let mean = |name: &str| record.value(SUITE, ALL, TIME.name, name);
        assert!((mean(YARDSTICK).unwrap() - 6.0).abs() < 1e-9 && (mean(OURS).unwrap() - 3.0).abs() < 1e-9);
        assert_eq!(mean("std"), None);
        compare(&mut record);
        assert_eq!(Record::parse(&record.to_lines()), Ok(record.clone()));
        let all: Vec<f64> = record.ratios().iter().filter(|r| r.case == ALL).map(|r| r.ratio).collect();
        assert!(all.len() == 1 && (all[0] - 0.5).abs() < 1e-9, "{all:?}");
    }
}
