//! The command `concurrent`: the concurrent map against papaya, dashmap, scc's maps, and hashbrown's behind a lock; its epochs, its
//! memory, and the transports of events against their peers.
//!
//! Owns the cases and the rounds. Invariant: every round times every side once, in an order that turns, and all sides do the same
//! operations with the same hasher and allocator.

use crate::cli::ConcurrentArgs;
use crate::error::{Error, Outcome};
use crate::installed::Installed;
use crate::interrupt;
use crate::machine::Machine;
use crate::output;
use crate::progress::Progress;
use crate::record::{Metric, Record};
use crate::targets as judging;

mod case;
mod cases;
mod even;
mod guards;
mod latency;
mod memory;
mod sharing;
mod sides;
mod targets;
mod transports;

use case::{Case, Size};
pub(crate) use even::EVEN;
pub(crate) use targets::{judge, targets_of};

/// The suite's name in figures.
pub const SUITE: &str = "concurrent";

const TIME: Metric = Metric::lower("time", "ns");

/// How much is done by a command line.
fn size(args: &ConcurrentArgs) -> Size {
    let rounds = args.rounds.unwrap_or(if args.quick { 3 } else { 9 });
    if args.quick {
        Size { quick: true, ops: 200_000, grown: 200_000, rounds }
    } else {
        Size { quick: false, ops: 2_000_000, grown: 8_000_000, rounds }
    }
}

fn all_cases(size: &Size, installed: &'static Installed) -> Vec<Case> {
    let mut all = cases::all(size);
    all.extend(even::all(size));
    all.extend(latency::all(size));
    all.extend(guards::all(size));
    all.extend(sharing::all(size));
    all.extend(memory::all(size, installed));
    all.extend(transports::all(size));
    all
}

/// Runs the comparison.
///
/// # Errors
/// No case has one of the parts that are wanted. What cannot be written is in the outcome.
pub fn run(args: &ConcurrentArgs, installed: &'static Installed) -> Result<Outcome, Error> {
    let size = size(args);
    let wanted =
        |case: &Case| args.only.is_empty() || args.only.iter().any(|part| case.name.contains(part.as_str()));
    let (cases, others): (Vec<Case>, Vec<Case>) = all_cases(&size, installed).into_iter().partition(wanted);
    if cases.is_empty() {
        let names: Vec<_> = others.iter().map(|case| case.name.as_str()).collect();
        return Err(Error::NoSuchWorkload { asked: args.only.join(", "), names: names.join(", ") });
    }
    let steps = cases.iter().map(|case| case.sides.len() as u64 * u64::from(case.rounds)).sum();
    let progress = Progress::new(steps);
    let (mut record, mut sheets) = (Record::new(), Vec::<output::Sheet>::new());
    for mut case in cases {
        let Some(samples) = interrupt::finished(case.run(&progress))? else { break };
        if sheets.last().is_none_or(|sheet| sheet.title != case.title) {
            sheets.push(case.sheet());
        }
        if let Some(sheet) = sheets.last_mut() {
            case.tell(&samples, &mut record, sheet);
        }
    }
    drop(progress);
    sheets.push(judging::sheet(&judge(&record)));
    Ok(output::deliver(&sheets, &record, &args.record, Machine::here))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Samples;

    #[test]
    fn every_case_has_its_figures() {
        static INSTALLED: Installed = Installed::new();
        let size = Size { quick: true, ops: 4000, grown: 1000, rounds: 1 };
        let mut record = Record::new();
        let (mut figures, mut ratios) = (0, 0);
        // Not those of memory: the tests' binary does not run on the installed allocator.
        for mut case in all_cases(&size, &INSTALLED) {
            if case.name.starts_with(memory::MEMORY) {
                continue;
            }
            let samples: Vec<Vec<Samples>> = case.run(&Progress::new(1)).unwrap();
            let mut sheet = case.sheet();
            case.tell(&samples, &mut record, &mut sheet);
            assert_eq!(sheet.rows.len(), case.metrics.len());
            figures += case.metrics.len() * case.sides.len();
            ratios += case.metrics.len() * (case.sides.len() - 1);
        }
        assert_eq!((record.figures().len(), record.ratios().len()), (figures, ratios));
        assert!(
            record
                .figures()
                .iter()
                .all(|figure| figure.value > 0.0 || figure.case.starts_with(memory::GARBAGE))
        );
        let judged = judge(&record);
        let has = |case: &str| judged.iter().any(|judged| judged.case.starts_with(case));
        for case in [
            "get/",
            "get-held",
            "guard",
            "grow",
            "get-while-moving",
            "exchange",
            "garbage",
            "ring",
            "channel",
        ] {
            assert!(has(case), "no target of {case} was judged");
        }
    }
}
