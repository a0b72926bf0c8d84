//! The command `scan`: what it costs to collect one big map, by live entry, as deletes thin it out and nothing shrinks.
//! Owns the maps and the rounds. Invariant: all sides hold the same keys, every round times every side once, in an order
//! that turns, what is timed is a whole collection of a heap that has no garbage, and no side has more than one processor.

use crate::cli::ScanArgs;
use crate::error::{Error, Outcome};
use crate::format::{count, judged, nanoseconds};
use crate::go;
use crate::interrupt;
use crate::machine::Machine;
use crate::output::{self, Sheet};
use crate::progress::Progress;
use crate::record::{Metric, OURS, Record};
use crate::rounds::order;
use crate::sample::Samples;
use crate::targets::{self, Against, Judged};
use crate::timer::{self, Taken};

mod bound;
pub(crate) mod heap;
mod layout;

use bound::Bound;
use heap::{Heap, Ours, Peer, Remote, Talker, Wave};
pub use layout::Layout;
use layout::{KEEPS, LARGE, MIDDLE, Pattern, QUICK_KEEPS, SMALL};

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
/// The processor time of that, all threads together.
const CPU_PER_LIVE: Metric = Metric::lower("cpu_per_live", "ns");
/// The first collection after the deletes, divided by the entries that are left.
const FIRST: Metric = Metric::lower("first_cycle", "ns");

/// How fast [`STREAM`] is: what no walk over all of the table can pass.
const BANDWIDTH: Metric = Metric::higher("bandwidth", "GB/s");

/// What a run measures.
struct Plan {
    sizes: Vec<u64>,
    keeps: &'static [u32],
    rounds: u32,
    only: Vec<String>,
}

impl Plan {
    fn new(args: &ScanArgs) -> Self {
        Self {
            sizes: if args.quick { vec![MIDDLE, SMALL] } else { vec![LARGE, MIDDLE, SMALL] },
            keeps: if args.quick { &QUICK_KEEPS } else { &KEEPS },
            rounds: args.rounds.unwrap_or(if args.quick { 3 } else { 9 }),
            only: args.only.clone(),
        }
    }

    /// The cases of one map, in the order of its deletes.
    fn layouts(&self, entries: u64, pattern: Pattern) -> Vec<Layout> {
        let all = self.keeps.iter().map(|&keep| Layout { entries, keep, pattern });
        let wanted = |layout: &Layout| {
            let case = layout.case();
            self.only.is_empty() || self.only.iter().any(|part| case.contains(part))
        };
        all.filter(wanted).collect()
    }

    /// The maps that are to be built.
    fn maps(&self) -> Vec<(u64, Vec<Layout>)> {
        let each = self.sizes.iter().flat_map(|&entries| Pattern::ALL.map(|pattern| (entries, pattern)));
        let maps = each.map(|(entries, pattern)| (entries, self.layouts(entries, pattern)));
        maps.filter(|(_, layouts)| !layouts.is_empty()).collect()
    }
}

/// Runs the scan.
///
/// # Errors
/// The sides do not hold the same entries, `--only` fits no case, or a program that was named fails. Outputs that cannot be
/// written are in the outcome instead.
pub fn run(args: &ScanArgs) -> Result<Outcome, Error> {
    let plan = Plan::new(args);
    let (go, note) = go::toolchains(&args.go)?;
    if let Some(note) = &note {
        eprintln!("{note}");
    }
    let maps = plan.maps();
    if maps.is_empty() {
        let names = "gcmap/2M/keep=1/uniform and others".into();
        return Err(Error::NoSuchWorkload { asked: args.only.join(","), names });
    }
    let talkers = heap::remotes(&go)?;
    let mut record = Record::new();
    let mut shown = Vec::new();
    interrupt::finished(measure(maps, &talkers, plan.rounds, &mut record, &mut shown))?;
    let judged: Vec<Judged> = shown.iter().flat_map(|(layout, _)| judge(&record, *layout)).collect();
    let sheets = [sheet(&record, &shown, plan.rounds), targets::sheet(&judged)];
    let peers = go.iter().map(|toolchain| (toolchain.name().to_owned(), toolchain.version().to_owned()));
    let machine = || Machine::here().beside(peers);
    Ok(output::deliver(&sheets, &record, &args.record, machine))
}

/// Measures map by map; `shown` gets the layouts that have all their figures, with their live entries.
fn measure(
    maps: Vec<(u64, Vec<Layout>)>,
    talkers: &[Talker],
    rounds: u32,
    record: &mut Record,
    shown: &mut Vec<(Layout, u64)>,
) -> Result<(), Error> {
    let cases: usize = maps.iter().map(|(_, layouts)| layouts.len()).sum();
    let progress = Progress::new(cases as u64 * u64::from(rounds) + maps.len() as u64);
    for (entries, layouts) in maps {
        progress.stage(format!("building maps of {} entries", count(entries)));
        let mut sides = Sides::new(entries, talkers)?;
        progress.advance(1);
        for layout in layouts {
            progress.stage(layout.case());
            sides.thin_out(layout)?;
            sides.first_cycles(record, layout)?;
            let samples = sides.rounds(rounds, layout.keep, &progress)?;
            samples.add(record, layout, sides.live());
            shown.push((layout, sides.live()));
        }
    }
    Ok(())
}

/// The targets of a case.
fn judge(record: &Record, layout: Layout) -> Vec<Judged> {
    let ours = record.figure(SUITE, &layout.case(), TIME_PER_LIVE.name, OURS);
    ours.map_or_else(Vec::new, |figure| targets::judge(record, figure, &layout.targets()))
}

/// What is timed in a round, in this process.
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
struct Sides<'a> {
    ours: Ours,
    peer: Peer,
    remote: Vec<Remote<'a>>,
}

impl<'a> Sides<'a> {
    fn new(entries: u64, talkers: &'a [Talker]) -> Result<Self, Error> {
        let remote = talkers.iter().map(|talker| Remote::filled(talker, entries));
        Ok(Self {
            ours: Ours::filled(entries),
            peer: Peer::filled(entries),
            remote: remote.collect::<Result<_, _>>()?,
        })
    }

    fn live(&self) -> u64 {
        self.ours.live()
    }

    /// Deletes on all sides.
    fn thin_out(&mut self, layout: Layout) -> Result<(), Error> {
        let wave = Wave { entries: layout.entries, percent: layout.keep, pattern: layout.pattern };
        self.ours.thin_out(wave);
        self.peer.thin_out(wave);
        let ours = [self.ours.live(), self.ours.checksum()];
        let differ = |name: &str, theirs: &dyn std::fmt::Debug| {
            let why = format!("{}: bucketmask holds {ours:?} and {name} {theirs:?}", layout.case());
            Err(Error::Disagreement(why))
        };
        let theirs = [self.peer.live(), self.peer.checksum()];
        if ours != theirs {
            return differ(PEER, &theirs);
        }
        for remote in &mut self.remote {
            remote.thin_out(wave)?;
            let theirs = remote.sum()?;
            if ours.map(|number| number & EXACT) != theirs {
                return differ(remote.name(), &theirs);
            }
        }
        Ok(())
    }

    /// Collects what the deletes left over, which also settles the heaps for the rounds.
    fn first_cycles(&mut self, record: &mut Record, layout: Layout) -> Result<(), Error> {
        let live = self.live();
        let case = layout.case();
        let ours = timer::once(|| self.ours.collect());
        let peer = timer::once(|| self.peer.collect());
        let mut times = vec![(OURS.to_owned(), ours), (PEER.to_owned(), peer)];
        for remote in &mut self.remote {
            times.push((remote.name().to_owned(), remote.first()?.time));
        }
        for (name, time) in &times {
            let samples = [time / live as f64].into_iter().collect();
            record.measure(SUITE, &case, name, FIRST, live, &samples);
        }
        for (name, _) in &times[1..] {
            record.compare(SUITE, &case, OURS, name, FIRST);
        }
        Ok(())
    }

    /// Times every side `rounds` times, in turning order; nanoseconds a live entry.
    fn rounds(&mut self, rounds: u32, keep: u32, progress: &Progress) -> Result<Timings, Error> {
        let live = self.live() as f64;
        let mut bound = Bound::new(self.ours.slot_bytes(), keep);
        let local = Timed::ALL.iter().map(|timed| timed.name().to_owned());
        let names: Vec<String> = local.chain(self.remote.iter().map(|side| side.name().to_owned())).collect();
        let sides = names.into_iter().map(|name| (name, Default::default())).collect();
        let mut timings = Timings { sides, table_bytes: self.ours.slot_bytes() };
        for round in 0..rounds {
            for idx in order(round, timings.sides.len()) {
                interrupt::check()?;
                let taken = match Timed::ALL.get(idx) {
                    Some(&timed) => self.time(timed, &mut bound),
                    None => self.remote[idx - Timed::ALL.len()].collect()?,
                };
                let [time, cpu] = &mut timings.sides[idx].1;
                time.push(taken.time / live);
                cpu.push(taken.cpu / live);
            }
            progress.advance(1);
        }
        Ok(timings)
    }

    fn time(&mut self, timed: Timed, bound: &mut Bound) -> Taken {
        match timed {
            Timed::Mask | Timed::Flat => {
                self.ours.set_flat(timed == Timed::Flat);
                let time = timer::mean_taken(|| self.ours.collect());
                self.ours.set_flat(false);
                time
            }
            Timed::Peer => timer::mean_taken(|| self.peer.collect()),
            Timed::Stream => timer::mean_taken(|| bound.stream()),
            Timed::Lines => timer::mean_taken(|| bound.lines()),
        }
    }
}

/// Bits of a sum that programs tell exactly.
pub(crate) const EXACT: u64 = (1 << 53) - 1;

/// Time and processor time of each side, by name; nanoseconds a live entry.
struct Timings {
    sides: Vec<(String, [Samples; 2])>,
    table_bytes: usize,
}

impl Timings {
    /// Puts one case's samples into the record, with ours over every other side's.
    fn add(&self, record: &mut Record, layout: Layout, live: u64) {
        let case = layout.case();
        for (name, [time, cpu]) in &self.sides {
            record.measure(SUITE, &case, name, TIME_PER_LIVE, live, time);
            record.measure(SUITE, &case, name, CPU_PER_LIVE, live, cpu);
            if name == STREAM {
                let speed = |time: &f64| self.table_bytes as f64 / (time * live as f64);
                let speeds: Samples = time.values().iter().map(speed).collect();
                record.measure(SUITE, &case, name, BANDWIDTH, live, &speeds);
            }
        }
        for (name, _) in self.sides.iter().filter(|(name, _)| name != OURS && name != STREAM) {
            for metric in [TIME_PER_LIVE, CPU_PER_LIVE] {
                record.compare(SUITE, &case, OURS, name, metric);
            }
        }
    }
}

/// All cases, a row each and a column a side.
fn sheet(record: &Record, shown: &[(Layout, u64)], rounds: u32) -> Sheet {
    let mut names: Vec<&str> = Vec::new();
    for figure in record.figures().iter().filter(|figure| figure.metric == TIME_PER_LIVE.name) {
        if !names.contains(&figure.implementation.as_str()) {
            names.push(&figure.implementation);
        }
    }
    let title = format!("A collection of one GcMap<u64, Gc<_>>, by live entry; medians of {rounds} rounds");
    let mut head = vec!["case", "live"];
    head.extend(names.iter().map(|name| match *name {
        OURS => "mask",
        FLAT => "flat",
        PEER => "hashbrown",
        STREAM => "stream",
        LINES => "lines",
        other => other,
    }));
    head.extend(["mask/flat", "mask/hashbrown", "stream, GB/s", "spread"]);
    let mut sheet = Sheet::new(title, &head);
    for (layout, live) in shown {
        let case = layout.case();
        let of = |name: &str| record.value(SUITE, &case, TIME_PER_LIVE.name, name);
        let over = |name: &str| of(OURS).zip(of(name)).map(|(ours, theirs)| ours / theirs);
        let bound = |name: &'static str| {
            let set = layout.targets().into_iter().find(|target| target.against == Against::Side(name));
            set.map_or(1.0, |target| target.bound)
        };
        let mut row = vec![case.clone(), count(*live)];
        row.extend(names.iter().map(|name| of(name).map_or_else(|| "-".into(), nanoseconds)));
        row.extend([FLAT, PEER].map(|name| judged(over(name), bound(name))));
        let gigabytes = record.value(SUITE, &case, BANDWIDTH.name, STREAM);
        row.push(gigabytes.map_or_else(|| "-".into(), crate::format::significant));
        let spread =
            record.figure(SUITE, &case, TIME_PER_LIVE.name, OURS).map_or(0.0, |figure| figure.spread);
        row.push(format!("{:.0} %", 100.0 * spread));
        sheet.row(row);
    }
    sheet.note = "hashbrown: gc-arena with a hashbrown map. stream: reading the table's bytes once; lines: one load from each \
                  live slot, found by masks. Ratios marked ! miss their target or lose."
        .into();
    sheet
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_hold_the_same_entries_at_every_wave() {
        for pattern in Pattern::ALL {
            let mut sides = Sides::new(5000, &[]).unwrap();
            for keep in KEEPS {
                sides.thin_out(Layout { entries: 5000, keep, pattern }).unwrap();
                assert_eq!(sides.ours.collect(), sides.live() + 1, "the map's entries and the map");
                assert!(sides.live() >= 5000 * u64::from(keep) / 130, "{keep} % of 5000 is {}", sides.live());
            }
        }
    }

    #[test]
    fn only_chooses_cases() {
        let args = ScanArgs { only: vec!["20k/keep=1/".into()], quick: true, ..ScanArgs::default() };
        let cases: Vec<String> =
            Plan::new(&args).maps().iter().flat_map(|(_, layouts)| layouts).map(|l| l.case()).collect();
        assert_eq!(cases, ["gcmap/20k/keep=1/uniform", "gcmap/20k/keep=1/clustered"]);
        let whole = Plan::new(&ScanArgs::default());
        assert_eq!(whole.maps().iter().map(|(_, layouts)| layouts.len()).sum::<usize>(), 3 * 2 * 7);
    }
}
