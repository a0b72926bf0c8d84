//! The command `gc`: collectors against one another on trees, lists and whole programs, with their longest steps and what
//! they keep beside the objects. Owns the rounds. Invariant: every run is a fresh process on one processor, sides take turns
//! in every round, and all sides of a case make the same objects with the same sum.

use crate::cli::GcArgs;
use crate::dialogue::{Dialogue, counts};
use crate::error::{Error, Outcome};
use crate::format::{bytes, count, judged, nanoseconds, significant};
use crate::go::{self, Toolchain};
use crate::interrupt;
use crate::machine::Machine;
use crate::output::{self, Sheet};
use crate::progress::Progress;
use crate::record::{Figure, OURS, Record};
use crate::rounds::order;
use crate::sample::Samples;
use crate::targets::{self, Judged, Target};

pub mod child;
#[cfg(feature = "bdwgc")]
mod conservative;
pub(crate) mod program;
mod steps;

/// The programs on our collector.
#[path = "gc"]
mod ours {
    use bucketmask_gc as gc;
    pub(super) mod programs;
}

/// The programs on gc-arena.
#[path = "gc"]
mod theirs {
    use gc_arena as gc;
    #[expect(clippy::duplicate_mod, reason = "one source, compiled against either crate")]
    pub(super) mod programs;
}

use child::Side;
use program::{CPU, PEAK, Program};

/// The suite's name in figures.
pub const SUITE: &str = "gc";

/// Runs the command.
///
/// # Errors
/// `--only` fits no case, a side fails, or two sides do not make the same objects. Outputs that cannot be written are in the
/// outcome instead.
pub fn run(args: &GcArgs) -> Result<Outcome, Error> {
    let rounds = args.rounds.unwrap_or(if args.quick { 2 } else { 7 });
    let wanted = |program: &Program| {
        let case = program.case(program.size(args.quick));
        args.only.is_empty() || args.only.iter().any(|part| case.contains(part))
    };
    let programs: Vec<Program> = Program::ALL.into_iter().filter(wanted).collect();
    if programs.is_empty() {
        let names = Program::ALL.map(|program| program.case(program.size(args.quick))).join(", ");
        return Err(Error::NoSuchWorkload { asked: args.only.join(","), names });
    }
    let (go, note) = go::toolchains(&args.go)?;
    if let Some(note) = &note {
        eprintln!("{note}");
    }
    let progress = Progress::new(programs.len() as u64 * u64::from(rounds));
    let mut record = Record::new();
    for &program in &programs {
        let size = program.size(args.quick);
        progress.stage(program.case(size));
        let measured = measure(program, size, &contestants(program, &go), rounds, &progress);
        let Some(measured) = interrupt::finished(measured)? else { break };
        add(&mut record, program, size, &measured);
    }
    drop(progress);
    let judged: Vec<Judged> =
        programs.iter().flat_map(|&program| judge(&record, program, program.size(args.quick))).collect();
    let sheets = [sheet(&record, rounds), targets::sheet(&judged)];
    let peers = go.iter().map(|toolchain| (toolchain.name().to_owned(), toolchain.version().to_owned()));
    let machine = || Machine::here().beside(peers);
    Ok(output::deliver(&sheets, &record, &args.record, machine))
}

/// Who can run a program.
enum Contestant<'a> {
    Own(Side),
    Go(&'a Toolchain),
}

impl Contestant<'_> {
    fn name(&self) -> &str {
        match self {
            Self::Own(side) => side.name(),
            Self::Go(toolchain) => toolchain.name(),
        }
    }

    fn start(&self) -> Result<Dialogue, Error> {
        match self {
            Self::Own(side) => child::start(*side),
            Self::Go(toolchain) => toolchain.start_alone(),
        }
    }
}

/// All sides of a program, ours first.
fn contestants(program: Program, go: &[Toolchain]) -> Vec<Contestant<'_>> {
    let has = |side: &&Side| program.is_common() || matches!(side, Side::Bucketmask | Side::GcArena);
    let own = Side::ALL.iter().filter(has).map(|&side| Contestant::Own(side));
    own.chain(go.iter().filter(|_| program.is_common()).map(Contestant::Go)).collect()
}

/// What the rounds of one side gave.
struct Measured {
    name: String,
    value: Samples,
    cpu: Samples,
    peak: Samples,
    count: u64,
}

/// Runs a program on all sides, round after round.
fn measure(
    program: Program,
    size: u64,
    contestants: &[Contestant<'_>],
    rounds: u32,
    progress: &Progress,
) -> Result<Vec<Measured>, Error> {
    let empty = |contestant: &Contestant<'_>| Measured {
        name: contestant.name().to_owned(),
        value: Samples::new(),
        cpu: Samples::new(),
        peak: Samples::new(),
        count: 0,
    };
    let mut all: Vec<Measured> = contestants.iter().map(empty).collect();
    let mut first: Option<[u64; 2]> = None;
    for round in 0..rounds {
        for idx in order(round, contestants.len()) {
            interrupt::check()?;
            let talk = contestants[idx].start()?;
            let [value, cpu, count, sum] = talk.exactly(&format!("run {} {size}", program.name()))?;
            let [count, sum] = counts([count, sum]);
            let agreed = *first.get_or_insert([count, sum]);
            if agreed != [count, sum] {
                let (name, case) = (contestants[idx].name(), program.case(size));
                let why = format!("{case}: {name} made {count} objects with sum {sum}, others {agreed:?}");
                return Err(Error::Disagreement(why));
            }
            let by = if program.is_each() { count as f64 } else { 1.0 };
            let measured = &mut all[idx];
            measured.value.push(value / by);
            measured.cpu.push(cpu / by);
            if program.is_whole() {
                let [peak] = talk.exactly("peak")?;
                measured.peak.push(peak);
            }
            measured.count = count;
        }
        progress.advance(1);
    }
    Ok(all)
}

/// Puts a program's samples into the record, with ours over everybody's.
fn add(record: &mut Record, program: Program, size: u64, measured: &[Measured]) {
    let case = program.case(size);
    for side in measured {
        record.measure(SUITE, &case, &side.name, program.metric(), side.count, &side.value);
        if program.is_whole() {
            record.measure(SUITE, &case, &side.name, CPU, side.count, &side.cpu);
            record.measure(SUITE, &case, &side.name, PEAK, side.count, &side.peak);
        } else if program.is_common() {
            record.measure(SUITE, &case, &side.name, program::CPU_PER_LIVE, side.count, &side.cpu);
        }
    }
    for side in measured.iter().filter(|side| side.name != OURS) {
        for metric in [program.metric(), CPU, PEAK, program::CPU_PER_LIVE] {
            record.compare(SUITE, &case, OURS, &side.name, metric);
        }
    }
}

/// What one of our figures is to be at most; nothing where it is only shown.
pub(crate) fn targets_of(figure: &Figure) -> Vec<Target> {
    let program = figure.case.split('/').next().and_then(Program::parse);
    let judged = program.filter(|program| program.metric().name == figure.metric);
    judged.map(Program::targets).unwrap_or_default()
}

fn judge(record: &Record, program: Program, size: u64) -> Vec<Judged> {
    let ours = record.figure(SUITE, &program.case(size), program.metric().name, OURS);
    ours.map_or_else(Vec::new, |figure| targets::judge(record, figure, &targets_of(figure)))
}

/// A value with its unit.
fn show(value: f64, unit: &str) -> String {
    #[expect(clippy::cast_sign_loss, reason = "what is resident is not negative, and a cast saturates")]
    match unit {
        "ns" => nanoseconds(value),
        "bytes" => bytes(value as u64),
        other => format!("{} {other}", significant(value)),
    }
}

/// All figures, a row each metric of a case and a column a side.
fn sheet(record: &Record, rounds: u32) -> Sheet {
    let mut names: Vec<&str> = vec![OURS];
    let mut rows: Vec<(&str, &str)> = Vec::new();
    for figure in record.figures() {
        if !names.contains(&figure.implementation.as_str()) {
            names.push(&figure.implementation);
        }
        if !rows.contains(&(&figure.case, &figure.metric)) {
            rows.push((&figure.case, &figure.metric));
        }
    }
    let mut head = vec!["case", "metric", "n"];
    head.extend(&names);
    let over: Vec<String> = names[1..].iter().map(|name| format!("/ {name}")).collect();
    head.extend(over.iter().map(String::as_str));
    head.push("spread");
    let title = format!("Collectors, each run in a process of its own; medians of {rounds} rounds");
    let mut sheet = Sheet::new(title, &head);
    for (case, metric) in rows {
        let of = |name: &str| record.figure(SUITE, case, metric, name);
        let Some(ours) = of(OURS) else { continue };
        let mut row = vec![case.to_owned(), metric.to_owned(), count(ours.n)];
        row.extend(names.iter().map(|name| of(name).map_or_else(|| "-".into(), |f| show(f.value, &f.unit))));
        row.extend(names[1..].iter().map(|name| {
            let quotient = of(name).filter(|other| other.value > 0.0).map(|other| ours.value / other.value);
            judged(quotient, 1.0)
        }));
        row.push(format!("{:.0} %", 100.0 * ours.spread));
        sheet.row(row);
    }
    sheet.note = "Quotients are ours over theirs; those marked ! lose. gc-arena runs on mimalloc. Go's time of marking is \
                  what its runtime counts; its cpu there is that of the whole collection."
        .into();
    sheet
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is checked between processes, in one: both crates make the same objects of each program.
    #[test]
    fn both_crates_make_the_same_objects() {
        for program in Program::ALL {
            let size = match program {
                Program::TreesMark | Program::BinaryTrees => 6,
                Program::GcBench => 7,
                Program::Arenas => 2,
                _ => 4096,
            };
            let made = |side: Side| {
                let answer = side.run(program, size).unwrap();
                assert!(answer.value.is_finite() && answer.count > 0, "{program:?} {answer:?}");
                (answer.count, answer.sum)
            };
            assert_eq!(made(Side::Bucketmask), made(Side::GcArena), "{program:?}");
        }
    }

    #[test]
    fn targets_are_judged_on_what_was_measured() {
        let one = |name: &str, value: f64| Measured {
            name: name.into(),
            value: [value].into_iter().collect(),
            cpu: [value].into_iter().collect(),
            peak: [100.0].into_iter().collect(),
            count: 10,
        };
        let mut record = Record::new();
        let sides = [one(OURS, 3.0), one("gc-arena", 10.0), one("go-1.27", 2.0), one("go-1.23", 2.0)];
        add(&mut record, Program::BinaryTrees, 18, &sides);
        let judged = judge(&record, Program::BinaryTrees, 18);
        let seen: Vec<(&str, bool)> = judged.iter().map(|j| (j.what.as_str(), j.is_met())).collect();
        assert_eq!(seen, [("bucketmask / gc-arena", true), ("bucketmask / go-1.27", false)]);
        assert_eq!(Record::parse(&record.to_lines()), Ok(record.clone()));
        let text = sheet(&record, 1).to_text();
        assert!(
            text.contains("peak_resident") && text.contains("100 B") && text.contains("! 1.50"),
            "{text}"
        );
        add(&mut record, Program::LongestStep, 10_000_000, &[one(OURS, 2e6), one("gc-arena", 4e8)]);
        let judged = judge(&record, Program::LongestStep, 10_000_000);
        assert_eq!(judged.iter().map(Judged::is_met).collect::<Vec<_>>(), [true, false]);
    }
}
