//! The command `visibility`: what readers see while a bucket's truth goes from the old table to the new one.
//!
//! The real map on real threads: histories of every key that was touched while its table moved, each checked for
//! linearizability; then the same with each of eight faults switched on in the map's own code, until a history shows it. What no
//! history on this processor can show (it reorders no loads), loom shows on a model with the map's own clock.
//! Owns the cases and the counts. Invariant: a mutant is rejected only by a history without an order, or by loom.

use bucketmask_map::concurrent::rules::{FAULTS, Fault, Gap, Rules};

use crate::cli::VisibilityArgs;
use crate::error::{Error, Outcome};
use crate::interrupt;
use crate::output::{self, Sheet};
use crate::progress::Progress;
use crate::record::{Figure, Metric, OURS, Record};

mod checker;
mod history;
mod hook;
mod model;
mod round;

use checker::{is_linearizable, shortest};
use history::{Held, History, Op, Side};
use hook::Probe;
use round::Sights;

/// The suite's name in figures.
pub const SUITE: &str = "visibility";

const HISTORIES: Metric = Metric::higher("histories_checked", "histories");
const VIOLATIONS: Metric = Metric::lower("violations", "histories");
const SEEDED: Metric = Metric::higher("mutants_seeded", "mutants");
const REJECTED: Metric = Metric::higher("mutants_rejected", "mutants");
const EXECUTIONS: Metric = Metric::higher("loom_executions", "executions");

/// Histories that a mutant may take until it shows.
const PATIENCE: u64 = 400_000;

/// What came of the rounds of one map.
#[derive(Default)]
struct Tally {
    histories: u64,
    operations: u64,
    violations: u64,
    sights: Sights,
    counterexample: Option<History>,
}

/// Runs migrations until `wanted` histories of two operations or more are checked, or, if `stops`, one has no order.
fn check<R: Rules>(seed: u64, wanted: u64, stops: bool, progress: &Progress) -> Tally {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut tally = Tally::default();
    while tally.histories < wanted && !(stops && tally.violations > 0) && !interrupt::asked() {
        let (histories, sights) = round::run::<R>(&mut random);
        tally.sights.add(&sights);
        for history in histories.into_iter().filter(|history| history.ops.len() > 1) {
            tally.histories += 1;
            tally.operations += history.ops.len() as u64;
            if !is_linearizable(&history) {
                tally.violations += 1;
                tally.counterexample.get_or_insert(history);
            }
        }
        progress.advance(1);
    }
    tally
}

/// Runs mutant number `number` of [`FAULTS`]: its tally, and whether loom rejects it too.
fn mutant(number: usize, seed: u64, progress: &Progress) -> (Tally, Option<bool>) {
    let fails = |loom: (bool, u64)| Some(!loom.0);
    match FAULTS[number] {
        Fault::CachedReadTs => (check::<Probe<1, false>>(seed, PATIENCE, true, progress), None),
        Fault::OldFirst => (check::<Probe<2, true>>(seed, PATIENCE, true, progress), None),
        Fault::NoExclusion => (check::<Probe<3, false>>(seed, PATIENCE, true, progress), None),
        Fault::EarlyFlip => (check::<Probe<4, false>>(seed, PATIENCE, true, progress), None),
        Fault::Overwrite => (check::<Probe<5, false>>(seed, PATIENCE, true, progress), None),
        Fault::OffByOne => (
            check::<Probe<6, false>>(seed, PATIENCE, true, progress),
            fails(model::passes::<Probe<6, false>>()),
        ),
        // A processor that orders loads and stores as x86-64 does shows none of it: few histories, and loom.
        Fault::RelaxedMark => {
            let tally = check::<Probe<7, false>>(seed, PATIENCE / 40, true, progress);
            (tally, fails(model::passes::<Probe<7, false>>()))
        }
        Fault::NaiveRead => (check::<Probe<8, false>>(seed, PATIENCE, true, progress), None),
        Fault::None | Fault::RelaxedTable => unreachable!("not a mutant of the experiment"),
    }
}

fn describe(fault: Fault) -> &'static str {
    match fault {
        Fault::CachedReadTs => "read_ts cached in the guard",
        Fault::OldFirst => "mirrored writes go to old first",
        Fault::NoExclusion => "flip without excluding writers",
        Fault::EarlyFlip => "flip before the copy ends",
        Fault::Overwrite => "the copier overwrites",
        Fault::OffByOne => "watermark off by one",
        Fault::RelaxedMark => "watermark relaxed",
        Fault::NaiveRead => "new first, else old",
        Fault::None | Fault::RelaxedTable => "",
    }
}

/// Runs the experiment.
///
/// # Errors
/// A history of the map as it is has no order, or a mutant was not rejected. Outputs that cannot be written are in the outcome instead.
pub fn run(args: &VisibilityArgs) -> Result<Outcome, Error> {
    let wanted = args.histories.unwrap_or(if args.quick { 20_000 } else { 1_100_000 });
    let progress = Progress::new(wanted / 80);
    progress.stage("a model of it, by loom");
    let loom = model::passes::<Probe<0, false>>();
    progress.stage("histories of the map as it is");
    let fresh = check::<Probe<0, false>>(args.seed, wanted / 10 * 9, false, &progress);
    let mirrored = check::<Probe<0, true>>(args.seed, wanted / 10 + 1, false, &progress);
    let mut mutants = Vec::new();
    for (number, &fault) in FAULTS.iter().enumerate().skip(1) {
        progress.stage(describe(fault));
        let tried = mutant(number, args.seed, &progress);
        // One that was given up early says nothing.
        if interrupt::asked() {
            break;
        }
        mutants.push((fault, tried));
    }
    drop(progress);

    let mut outcome = Outcome::default();
    for sheet in [scenarios(&fresh, &mirrored, loom), rejections(&mutants)] {
        outcome.note(output::print(&sheet.to_text()));
    }
    let both = [&fresh, &mirrored];
    for (fault, (tally, _)) in &mutants {
        if let Some(history) = &tally.counterexample {
            outcome.note(output::print(&timeline(describe(*fault), &shortest(history))));
        }
    }
    for history in both.iter().filter_map(|tally| tally.counterexample.as_ref()) {
        outcome.note(output::print(&timeline("THE MAP AS IT IS", &shortest(history))));
    }
    let checked: u64 = both.iter().map(|tally| tally.histories).sum();
    let violations = both.iter().map(|tally| tally.violations).sum::<u64>() + u64::from(!loom.0);
    let rejected = mutants.iter().filter(|(_, result)| is_rejected(result)).count();
    let mut record = Record::new();
    for (metric, value) in [
        (HISTORIES, checked),
        (VIOLATIONS, violations),
        (SEEDED, mutants.len() as u64),
        (REJECTED, rejected as u64),
        (EXECUTIONS, loom.1),
    ] {
        record.add(Figure::new(SUITE, "migration", OURS, metric, checked, value as f64));
    }
    if let Some(path) = &args.json {
        outcome.note(record.write(path));
    }
    if violations > 0 || rejected < mutants.len() {
        return Err(Error::Visibility { violations, rejected, seeded: mutants.len() });
    }
    Ok(outcome)
}

fn is_rejected((tally, loom): &(Tally, Option<bool>)) -> bool {
    tally.violations > 0 || *loom == Some(true)
}

fn verdict(tally: &Tally) -> String {
    if tally.violations == 0 { "linearizable".into() } else { format!("{} violations", tally.violations) }
}

fn scenarios(fresh: &Tally, mirrored: &Tally, loom: (bool, u64)) -> Sheet {
    let title = format!(
        "What readers see while a table moves: {} histories of {} operations, {} and {} where guards keep their view",
        fresh.histories, fresh.operations, mirrored.histories, mirrored.operations
    );
    let mut sheet = Sheet::new(title, &["scenario", "source", "reads", "with kept views", "histories"]);
    let mut row = |scenario: &str, source: &str, count: fn(&Sights) -> u64| {
        let both = if fresh.violations == 0 { verdict(mirrored) } else { verdict(fresh) };
        let counts = [count(&fresh.sights).to_string(), count(&mirrored.sights).to_string()];
        sheet.row([scenario.to_owned(), source.to_owned()].into_iter().chain(counts).chain([both]));
    };
    row("bucket not below the mark", "old", |sights| sights.reads[Side::Old as usize]);
    row("bucket below the mark", "new", |sights| sights.reads[Side::New as usize]);
    row("the mark passes meanwhile", "old or new", |sights| sights.reads[Side::Across as usize]);
    row("own write, not below the mark", "old", |sights| sights.own[Side::Old as usize]);
    row("own write, below the mark", "new", |sights| sights.own[Side::New as usize]);
    row("gap: locked, nothing copied", "old", |sights| sights.gaps[Gap::Locked as usize]);
    row("gap: copied, mark not stored", "old", |sights| sights.gaps[Gap::Copied as usize]);
    row("gap: mark stored, locked", "new", |sights| sights.gaps[Gap::Flipped as usize]);
    row("gap: mark stored, unlocked", "new", |sights| sights.gaps[Gap::Unlocked as usize]);
    row("gap: one of two mirrored writes", "by the guard", |sights| sights.gaps[Gap::HalfWritten as usize]);
    sheet.note = format!(
        "loom: {} executions of copier, writer and reader on one bucket, {}",
        loom.1,
        if loom.0 { "all linearizable" } else { "NOT all linearizable" }
    );
    sheet
}

fn rejections(mutants: &[(Fault, (Tally, Option<bool>))]) -> Sheet {
    let mut sheet = Sheet::new(
        "Eight broken variants",
        &["variant", "histories until it showed", "shortest", "loom", "rejected"],
    );
    for (fault, result) in mutants {
        let (tally, loom) = result;
        let shortest = tally.counterexample.as_ref().map(|history| shortest(history).ops.len());
        let loom = loom.map_or("-", |fails| if fails { "fails" } else { "passes" });
        sheet.row([
            describe(*fault).to_owned(),
            if shortest.is_some() {
                tally.histories.to_string()
            } else {
                format!("none in {}", tally.histories)
            },
            shortest.map_or("-".into(), |ops| format!("{ops} operations")),
            loom.to_owned(),
            if is_rejected(result) { "yes" } else { "NO" }.to_owned(),
        ]);
    }
    sheet
}

/// A history as lines in the order of their starts, in ticks of the time-stamp counter.
fn timeline(title: &str, history: &History) -> String {
    let shown = |held: Held| held.map_or("nothing".to_owned(), |value| format!("{value:#x}"));
    let mut ops: Vec<&Op> = history.ops.iter().collect();
    ops.sort_unstable_by_key(|op| op.start);
    let first = ops.first().map_or(0, |op| op.start);
    let lines = ops.iter().map(|op| {
        let what = match op.wrote {
            Some(wrote) => format!("wrote {} over {}", shown(wrote), shown(op.saw)),
            None => format!("read {}", shown(op.saw)),
        };
        let side = match op.side {
            Side::Old => "old",
            Side::New => "new",
            Side::Across => "old|new",
        };
        format!(
            "  {:>8} .. {:<8} process {:<3} {side:<8} {what}\n",
            op.start - first,
            op.end - first,
            op.process
        )
    });
    format!("\n{title}: no order of these, from {} on\n{}", shown(history.initial), lines.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_map_passes_and_what_is_broken_does_not() {
        let progress = Progress::new(1);
        let fresh = check::<Probe<0, false>>(1, 4000, false, &progress);
        assert_eq!((fresh.violations, fresh.histories >= 4000), (0, true));
        assert!(fresh.sights.reads.iter().all(|&count| count > 0), "{:?}", fresh.sights);
        assert!(fresh.sights.gaps[..4].iter().all(|&count| count > 0), "{:?}", fresh.sights);
        for number in [1, 4, 5, 6, 8] {
            assert!(is_rejected(&mutant(number, 1, &progress)), "{:?}", FAULTS[number]);
        }
    }

    #[test]
    fn loom_rejects_a_relaxed_mark() {
        let (passes, executions) = model::passes::<Probe<0, false>>();
        assert!(passes && executions > 100, "{executions} executions");
        assert!(!model::passes::<Probe<7, false>>().0);
    }
}
