//! The command `classic`: the aligned bucket (one entry a cache line, eight hashes compared at once) against records of 24 bytes,
//! which is what the design that gave this project its name promised a third of a line against a whole one for. Owns the cases
//! and the rounds. Invariant: both sides hold the same keys at the same load, with the same hasher and allocator; rounds time
//! every side once, in an order that turns; lines are counted by the addresses of the very lookups that are timed.

use crate::cli::ClassicArgs;
use crate::error::{Error, Outcome};
use crate::format::{nanoseconds, ratio, significant};
use crate::interrupt;
use crate::machine::Machine;
use crate::output::{self, Sheet};
use crate::progress::Progress;
use crate::record::{Metric, Record};
use crate::rounds;
use crate::sample::Samples;
use crate::timer;

mod batch;
mod bucket;
mod keys;
mod record;
mod sides;
mod trace;

use keys::Keys;
use sides::{Side, Sides};

/// The suite's name in figures.
pub const SUITE: &str = "classic";

/// One of many lookups that do not wait for one another.
const TIME: Metric = Metric::lower("time", "ns");
/// One lookup that the next one waits for.
const LATENCY: Metric = Metric::lower("latency", "ns");
/// Cache lines that a lookup reads, the key's block included.
const LINES: Metric = Metric::lower("lines", "lines");
/// Of the bytes of those lines, what is read.
const LINE_USE: Metric = Metric::higher("line_use", "%");
/// Of the bytes of the lines on which a record or bucket lies, what is its own.
const OWN_USE: Metric = Metric::higher("element_line_use", "%");
/// Table and key blocks over entries.
const BYTES: Metric = Metric::lower("bytes_per_entry", "bytes");

/// Places of the tables: buckets take 16 KiB (a first-level cache), 256 KiB (a second-level one), 4 MiB (a last-level one)
/// and 128 MiB (memory).
const SLOTS: [usize; 4] = [1 << 8, 1 << 12, 1 << 16, 1 << 21];
/// What the design's table says of a line's use, in percent, records and buckets.
const CLAIMED_USE: [f64; 2] = [33.0, 100.0];
/// What it says of a lookup's time, in nanoseconds.
const CLAIMED_TIME: [f64; 2] = [12.4, 5.7];

/// Entries in a table of so many places: three quarters.
const fn entries(slots: usize) -> usize {
    slots / 4 * 3
}

/// A case's name in figures.
fn case(what: &str, key: usize, slots: usize) -> String {
    let size = match entries(slots) {
        few if few < 1000 => few.to_string(),
        thousands if thousands < 1_000_000 => format!("{}k", thousands / 1000),
        millions => format!("{:.1}M", millions as f64 / 1e6),
    };
    format!("{what}/key{key}/{size}")
}

/// Runs the comparison.
///
/// # Errors
/// The sides give different answers. Outputs that cannot be written are in the outcome instead.
pub fn run(args: &ClassicArgs) -> Result<Outcome, Error> {
    let rounds = args.rounds.unwrap_or(if args.quick { 3 } else { 9 });
    let sizes = &SLOTS[..if args.quick { 2 } else { SLOTS.len() }];
    let progress = Progress::new(sizes.len() as u64 * 4 * u64::from(rounds));
    let mut report = Report::new(rounds);
    for &slots in sizes {
        let size = report.size::<16>(slots, &progress).and_then(|()| report.size::<48>(slots, &progress));
        if interrupt::finished(size)?.is_none() {
            break;
        }
    }
    drop(progress);
    if report.record.figures().is_empty() {
        interrupt::check()?;
    }
    let mut outcome = Outcome::default();
    outcome.note(output::print(&report.to_text()));
    if let Some(path) = &args.json {
        outcome.note(report.record.write(path));
    }
    if let Some(path) = &args.machine {
        outcome.note(Machine::here().write(path));
    }
    Ok(outcome)
}

/// What has been measured so far.
struct Report {
    rounds: u32,
    sides: Vec<Side>,
    record: Record,
    times: Sheet,
    lines: Sheet,
}

impl Report {
    fn new(rounds: u32) -> Self {
        let sides = Side::all();
        let names = sides.iter().map(|side| side.name().trim_start_matches("bucketmask-"));
        let head: Vec<_> = ["case", "metric"].into_iter().chain(names).chain(["best line/record"]).collect();
        let times = Sheet::new(
            format!(
                "A lookup in tables three quarters full, keys of 16 and 48 bytes; medians of {rounds} rounds"
            ),
            &head,
        );
        let head = ["case", "side", "lines", "used", "own", "bytes an entry"];
        let lines = Sheet::new("What a lookup fetches, by the addresses it reads", &head);
        Self { rounds, sides, record: Record::new(), times, lines }
    }

    /// Keys of one length in tables of one size.
    fn size<const K: usize>(&mut self, slots: usize, progress: &Progress) -> Result<(), Error> {
        let keys = Keys::<K>::new(entries(slots), entries(slots).clamp(1 << 12, 1 << 18));
        let sides = Sides::new(slots, &keys);
        for (what, picks) in [("hit", &keys.hits), ("miss", &keys.misses)] {
            let case = case(what, K, slots);
            progress.stage(case.clone());
            self.agree(&case, &sides, picks)?;
            for side in self.sides.clone() {
                self.shape(&case, side, &sides, picks);
            }
            self.rounds(&case, &sides, picks, progress)?;
        }
        Ok(())
    }

    /// All sides find the same values.
    fn agree<const K: usize>(
        &self,
        case: &str,
        sides: &Sides<'_, K>,
        picks: &[keys::Key<K>],
    ) -> Result<(), Error> {
        let wanted = sides.pass(Side::Peer, picks, false);
        match self.sides.iter().find(|&&side| sides.pass(side, picks, false) != wanted) {
            None => Ok(()),
            Some(side) => {
                Err(Error::Disagreement(format!("{case}: {} and hashbrown find other values", side.name())))
            }
        }
    }

    /// Lines and bytes, which are counted and need no rounds.
    fn shape<const K: usize>(
        &mut self,
        case: &str,
        side: Side,
        sides: &Sides<'_, K>,
        picks: &[keys::Key<K>],
    ) {
        let Some(shape) = sides.shape(side, picks) else { return };
        let figures =
            [(LINES, shape.lines), (LINE_USE, shape.used), (OWN_USE, shape.own), (BYTES, shape.bytes)];
        for (metric, value) in figures {
            let once = [value].into_iter().collect();
            self.record.measure(SUITE, case, side.name(), metric, picks.len() as u64, &once);
            if side != Side::Record {
                self.record.compare(SUITE, case, side.name(), Side::Record.name(), metric);
            }
        }
        // The three ways to compare a batch fetch the same; one row speaks for them.
        if !matches!(side, Side::Avx2 | Side::Sse2) {
            let name = if side == Side::Scalar { "line, in batches" } else { side.name() };
            self.lines.row([
                case.into(),
                name.trim_start_matches("bucketmask-").into(),
                significant(shape.lines),
                format!("{:.0} %", shape.used),
                format!("{:.0} %", shape.own),
                format!("{:.0} B", shape.bytes),
            ]);
        }
    }

    /// Times every side, in an order that turns and alternates.
    fn rounds<const K: usize>(
        &mut self,
        case: &str,
        sides: &Sides<'_, K>,
        picks: &[keys::Key<K>],
        progress: &Progress,
    ) -> Result<(), Error> {
        let count = self.sides.len();
        let mut samples = [vec![Samples::new(); count], vec![Samples::new(); count]];
        for round in 0..self.rounds {
            for idx in rounds::order(round, count) {
                interrupt::check()?;
                for (chained, samples) in [false, true].into_iter().zip(&mut samples) {
                    let time = timer::brief(|| sides.pass(self.sides[idx], picks, chained));
                    samples[idx].push(time / picks.len() as f64);
                }
            }
            progress.advance(1);
        }
        for (metric, samples) in [TIME, LATENCY].into_iter().zip(&samples) {
            self.times(case, metric, picks.len() as u64, samples);
        }
        Ok(())
    }

    /// Puts one case's times into the record and into the sheet.
    fn times(&mut self, case: &str, metric: Metric, n: u64, samples: &[Samples]) {
        let mut row = vec![case.to_owned(), metric.name.to_owned()];
        let mut best: Option<f64> = None;
        for (side, samples) in self.sides.iter().zip(samples) {
            self.record.measure(SUITE, case, side.name(), metric, n, samples);
            row.push(nanoseconds(samples.median()));
        }
        for side in self.sides.iter().filter(|side| !matches!(side, Side::Record | Side::Peer)) {
            let quotient = self.record.compare(SUITE, case, side.name(), Side::Record.name(), metric);
            if *side == Side::Ours {
                self.record.compare(SUITE, case, side.name(), Side::Peer.name(), metric);
            } else if let Some(quotient) = quotient {
                best = Some(best.map_or(quotient, |best| best.min(quotient)));
            }
        }
        row.push(best.map_or_else(
            || "-".into(),
            |best| format!("{}{}", if best > 1.0 { "! " } else { "" }, ratio(best)),
        ));
        self.times.row(row);
    }

    fn to_text(&self) -> String {
        let [record, line] = CLAIMED_USE;
        let [slow, fast] = CLAIMED_TIME;
        let verdict = format!(
            "The design's claims: {record} % of a line used by a record and {line} % by a bucket (the column own, which is \
             geometry; used is what lookups read of the lines they fetch), and {slow} ns a lookup down to {fast}, a ratio of {} \
             (the column best line/record; ! marks a loss).\n",
            ratio(fast / slow)
        );
        self.times.to_text() + &self.lines.to_text() + &verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_named_by_entries() {
        let names: Vec<_> = SLOTS.map(|slots| case("hit", 16, slots)).into();
        assert_eq!(names, ["hit/key16/192", "hit/key16/3k", "hit/key16/49k", "hit/key16/1.6M"]);
    }

    #[test]
    fn every_side_has_its_figures() {
        let mut report = Report::new(1);
        let progress = Progress::new(1);
        report.size::<16>(64, &progress).unwrap();
        for case in ["hit/key16/48", "miss/key16/48"] {
            for side in Side::all() {
                for metric in [TIME, LATENCY] {
                    let value = report.record.value(SUITE, case, metric.name, side.name());
                    assert!(value.is_some_and(|value| value > 0.0), "{case} {side:?}");
                }
            }
            let lines = |side: Side| report.record.value(SUITE, case, "lines", side.name()).unwrap();
            assert!(lines(Side::Record) < lines(Side::Scalar));
        }
        assert!(report.to_text().contains("0.46"), "{}", report.to_text());
    }
}
