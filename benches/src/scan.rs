//! The command `scan`: what it costs to collect one big map, by live entry, as deletes thin it out and nothing shrinks.
//! Owns the maps and the rounds. Invariant: all sides hold the same keys, every round times every side once, in an order
//! that turns, and what is timed is a whole collection of a heap that has no garbage.

use crate::cli::ScanArgs;
use crate::error::{Error, Outcome};
use crate::format::{count, nanoseconds, ratio};
use crate::machine::Machine;
use crate::output::{self, Sheet};
use crate::progress::Progress;
use crate::record::{Metric, OURS, Record};
use crate::rounds::order;
use crate::sample::Samples;
use crate::timer;

mod bound;
mod heap;

use bound::Bound;
use heap::{Heap, Ours, Peer};

/// The suite's name in figures.
pub const SUITE: &str = "scan";
/// Our side, testing every slot.
pub const FLAT: &str = "bucketmask-flat";
/// gc-arena over a hashbrown map, in this same process and on this same allocator.
pub const PEER: &str = "gc-arena+hashbrown";
/// Reading the table's bytes once, in order.
const STREAM: &str = "bound-stream";
/// Loading one word of each live entry's slot, found by packed masks.
const LINES: &str = "bound-lines";

/// One collection, divided by the entries that are live.
pub const TIME_PER_LIVE: Metric = Metric::lower("time_per_live", "ns");
/// The first collection after the deletes, divided by the entries that are left.
const FIRST: Metric = Metric::lower("first_cycle", "ns");

/// Percent of the entries kept, falling.
const KEEPS: [u32; 4] = [100, 50, 10, 1];
/// Entries of the map that no cache holds.
const LARGE: u64 = 2_000_000;
/// The same, in a hurry.
const QUICK_LARGE: u64 = 200_000;
/// Entries of the map that fits a second-level cache of 512 KiB: 16-byte slots at load 0.8, heads and masks.
const SMALL: u64 = 20_000;

/// A case of the scan: how many entries there were and how many percent are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    entries: u64,
    keep: u32,
}

impl Layout {
    /// The case's name in figures.
    pub fn case(self) -> String {
        let size = match self.entries {
            millions if millions % 1_000_000 == 0 => format!("{}M", millions / 1_000_000),
            thousands => format!("{}k", thousands / 1000),
        };
        format!("gcmap/{size}/keep={}/uniform", self.keep)
    }

    /// Reads a case's name back; None for another suite's case.
    pub fn parse(case: &str) -> Option<Self> {
        let (size, rest) = case.strip_prefix("gcmap/")?.split_once("/keep=")?;
        let keep = rest.strip_suffix("/uniform")?.parse().ok()?;
        let thousands = size.strip_suffix('k').map(|number| (number, 1000));
        let (number, unit) =
            thousands.or_else(|| size.strip_suffix('M').map(|number| (number, 1_000_000)))?;
        Some(Self { entries: number.parse::<u64>().ok()? * unit, keep })
    }

    /// What mask over flat is to be at most, where a target is set.
    pub fn target(self) -> Option<f64> {
        match (self.entries <= SMALL, self.keep) {
            (false, 100) => Some(1.05),
            (false, 10) => Some(0.75),
            (false, 1) => Some(0.15),
            (true, 10) => Some(0.4),
            (true, 1) => Some(0.1),
            _ => None,
        }
    }
}

/// Runs the scan.
///
/// # Errors
/// The sides do not hold the same entries. Outputs that cannot be written are in the outcome instead.
pub fn run(args: &ScanArgs) -> Result<Outcome, Error> {
    let rounds = args.rounds.unwrap_or(if args.quick { 3 } else { 9 });
    let large = if args.quick { QUICK_LARGE } else { LARGE };
    let mut record = Record::new();
    let mut sheet = Sheet::new(
        format!("A collection of one GcMap<u64, Gc<_>>, by live entry; medians of {rounds} rounds"),
        &[
            "case",
            "live",
            "mask",
            "flat",
            "hashbrown",
            "stream",
            "lines",
            "mask/flat",
            "target",
            "mask/hashbrown",
            "spread",
        ],
    );
    let progress = Progress::new(2 * (KEEPS.len() as u64 * u64::from(rounds) + 1));
    for entries in [large, SMALL] {
        progress.stage(format!("building maps of {} entries", count(entries)));
        let mut sides = Sides::new(entries);
        progress.advance(1);
        for keep in KEEPS {
            let layout = Layout { entries, keep };
            progress.stage(layout.case());
            sides.thin_out(keep)?;
            sides.first_cycles(&mut record, layout);
            let samples = sides.rounds(rounds, keep, &progress);
            sheet.row(add(&mut record, layout, sides.live(), &samples));
        }
    }
    sheet.note = "hashbrown: gc-arena with a hashbrown map. stream: reading the table's bytes once; lines: one load from each \
                  live slot, found by masks. Ratios marked ! miss their target or lose."
        .into();
    drop(progress);
    Ok(output::deliver(&[sheet], &record, &args.record, Machine::here))
}

/// What is timed in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Timed {
    Mask,
    Flat,
    Peer,
    Stream,
    Lines,
}

impl Timed {
    const ALL: [Self; 5] = [Self::Mask, Self::Flat, Self::Peer, Self::Stream, Self::Lines];

    const fn name(self) -> &'static str {
        match self {
            Self::Mask => OURS,
            Self::Flat => FLAT,
            Self::Peer => PEER,
            Self::Stream => STREAM,
            Self::Lines => LINES,
        }
    }
}

/// The maps of one size.
struct Sides {
    ours: Ours,
    peer: Peer,
}

impl Sides {
    fn new(entries: u64) -> Self {
        Self { ours: Ours::filled(entries), peer: Peer::filled(entries) }
    }

    fn live(&self) -> u64 {
        self.ours.live()
    }

    /// Deletes down to `keep` percent on both sides.
    fn thin_out(&mut self, keep: u32) -> Result<(), Error> {
        self.ours.thin_out(keep);
        self.peer.thin_out(keep);
        let (ours, peer) = (self.ours.checksum(), self.peer.checksum());
        if ours == peer && self.ours.live() == self.peer.live() {
            return Ok(());
        }
        Err(Error::Disagreement(format!("at {keep} % kept bucketmask holds {ours:x} and hashbrown {peer:x}")))
    }

    /// Collects what the deletes left over, which also settles the heaps for the rounds.
    fn first_cycles(&mut self, record: &mut Record, layout: Layout) {
        let live = self.live();
        let case = layout.case();
        let ours = timer::once(|| self.ours.collect());
        let peer = timer::once(|| self.peer.collect());
        for (name, time) in [(OURS, ours), (PEER, peer)] {
            record.measure(SUITE, &case, name, FIRST, live, &[time / live as f64].into_iter().collect());
        }
        record.compare(SUITE, &case, OURS, PEER, FIRST);
    }

    /// Times every side `rounds` times, in turning order; nanoseconds a live entry.
    fn rounds(&mut self, rounds: u32, keep: u32, progress: &Progress) -> [Samples; 5] {
        let live = self.live() as f64;
        let mut bound = Bound::new(self.ours.slot_bytes(), keep);
        let mut samples: [Samples; 5] = Default::default();
        for round in 0..rounds {
            for idx in order(round, Timed::ALL.len()) {
                let time = self.time(Timed::ALL[idx], &mut bound);
                samples[idx].push(time / live);
            }
            progress.advance(1);
        }
        samples
    }

    fn time(&mut self, timed: Timed, bound: &mut Bound) -> f64 {
        match timed {
            Timed::Mask | Timed::Flat => {
                self.ours.set_flat(timed == Timed::Flat);
                let time = timer::mean(|| self.ours.collect());
                self.ours.set_flat(false);
                time
            }
            Timed::Peer => timer::mean(|| self.peer.collect()),
            Timed::Stream => timer::mean(|| bound.stream()),
            Timed::Lines => timer::mean(|| bound.lines()),
        }
    }
}

/// Puts one case's samples into the record and gives its row.
fn add(record: &mut Record, layout: Layout, live: u64, samples: &[Samples; 5]) -> Vec<String> {
    let case = layout.case();
    for (timed, samples) in Timed::ALL.iter().zip(samples) {
        record.measure(SUITE, &case, timed.name(), TIME_PER_LIVE, live, samples);
    }
    let flat = record.compare(SUITE, &case, OURS, FLAT, TIME_PER_LIVE);
    let peer = record.compare(SUITE, &case, OURS, PEER, TIME_PER_LIVE);
    let judged = |quotient: Option<f64>, bound: f64| {
        quotient.map_or_else(|| "-".into(), |q| format!("{}{}", if q > bound { "! " } else { "" }, ratio(q)))
    };
    let mut row = vec![case, count(live)];
    row.extend(samples.iter().map(|samples| nanoseconds(samples.median())));
    row.push(judged(flat, layout.target().unwrap_or(1.0)));
    row.push(layout.target().map_or_else(|| "-".into(), |bound| format!("<= {}", ratio(bound))));
    row.push(judged(peer, 1.0));
    row.push(format!("{:.0} %", 100.0 * samples[0].spread()));
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_names_read_back() {
        for entries in [LARGE, QUICK_LARGE, SMALL] {
            for keep in KEEPS {
                let layout = Layout { entries, keep };
                assert_eq!(Layout::parse(&layout.case()), Some(layout));
            }
        }
        assert_eq!(Layout { entries: LARGE, keep: 1 }.case(), "gcmap/2M/keep=1/uniform");
        assert_eq!(Layout::parse("hit/u64-u64/1M"), None);
    }

    #[test]
    fn sides_hold_the_same_entries_at_every_wave() {
        let mut sides = Sides::new(5000);
        for keep in KEEPS {
            sides.thin_out(keep).unwrap();
            assert_eq!(sides.ours.collect(), sides.live() + 1, "the map's entries and the map");
            assert!(sides.live() >= 5000 * u64::from(keep) / 130, "{keep} % of 5000 is {}", sides.live());
        }
    }
}
