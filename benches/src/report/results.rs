//! All that the runs of a report measured, and the figures made of it. The report owns it. Invariant: after
//! [`Results::agree`] every account of a part tells of the same index, step by step.

use crate::error::Error;
use crate::input::bytes_of;
use crate::picture::Bucket;
use crate::protocol::{Account, Cycle, Side, Step};
use crate::record::{Metric, OURS, Record};
use crate::sample::Samples;

/// The suite's name in figures.
pub(super) const SUITE: &str = "report";
/// Our side, walked flat.
pub(super) const FLAT: &str = "bucketmask-flat";

pub(super) const TIME_PER_LIVE: Metric = Metric::lower("time_per_live", "ns");
const MARK: Metric = Metric::lower("mark_time", "ns");
const SWEEP: Metric = Metric::lower("sweep_time", "ns");
const FIRST: Metric = Metric::lower("first_cycle", "ns");
const SCANNED: Metric = Metric::lower("slots_scanned", "slots");
const SKIPPED: Metric = Metric::higher("slots_skipped", "slots");
const TIME: Metric = Metric::lower("time", "ns");
pub(super) const RESIDENT: Metric = Metric::lower("steady_resident", "bytes");

/// One part of the input, run on both sides.
#[derive(Debug)]
pub(super) struct Part {
    /// `third`, `two-thirds` or `whole`.
    pub(super) name: &'static str,
    /// How many files: the first ones of the input.
    pub(super) files: usize,
    /// Their bytes.
    pub(super) bytes: u64,
    /// Our side, one account a round.
    pub(super) ours: Vec<Account>,
    /// The peer, one account a round.
    pub(super) peer: Vec<Account>,
}

/// A walk whose collections were timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Walked {
    /// Ours, by masks.
    Mask,
    /// Ours, slot by slot.
    Flat,
    /// The peer's.
    Peer,
}

impl Walked {
    pub(super) const ALL: [Self; 3] = [Self::Mask, Self::Flat, Self::Peer];

    /// Its name in figures.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Mask => OURS,
            Self::Flat => FLAT,
            Self::Peer => Side::Peer.name(),
        }
    }
}

impl Part {
    pub(super) fn new(name: &'static str, texts: &[String]) -> Self {
        Self { name, files: texts.len(), bytes: bytes_of(texts), ours: Vec::new(), peer: Vec::new() }
    }

    pub(super) fn accounts_mut(&mut self, side: Side) -> &mut Vec<Account> {
        match side {
            Side::Ours => &mut self.ours,
            Side::Peer => &mut self.peer,
        }
    }

    /// The steps of our first round: all that is not a time is the same in every round.
    pub(super) fn steps(&self) -> &[Step] {
        self.ours.first().map_or(&[], |account| &account.steps)
    }

    /// The steps of the peer's first round.
    pub(super) fn peer_steps(&self) -> &[Step] {
        self.peer.first().map_or(&[], |account| &account.steps)
    }

    /// One value a timed collection of step `idx`, over all rounds.
    pub(super) fn cycles(&self, idx: usize, walked: Walked, value: impl Fn(&Cycle) -> u64) -> Samples {
        let accounts = if walked == Walked::Peer { &self.peer } else { &self.ours };
        let steps = accounts.iter().filter_map(|account| account.steps.get(idx));
        let cycles = steps.flat_map(|step| if walked == Walked::Flat { &step.flat } else { &step.native });
        cycles.map(|cycle| value(cycle) as f64).collect()
    }

    /// Marking and sweeping a live object of step `idx`, in nanoseconds.
    pub(super) fn time_per_live(&self, idx: usize, walked: Walked) -> Samples {
        let live = self.steps().get(idx).map_or(1, |step| step.objects.max(1)) as f64;
        let accounts = if walked == Walked::Peer { &self.peer } else { &self.ours };
        let steps = accounts.iter().filter_map(|account| account.steps.get(idx));
        let cycles = steps.flat_map(|step| if walked == Walked::Flat { &step.flat } else { &step.native });
        cycles.map(|cycle| cycle.total_ns() as f64 / live).collect()
    }

    /// One value a round of step `idx`.
    pub(super) fn each(&self, side: Side, idx: usize, value: impl Fn(&Step) -> f64) -> Samples {
        let accounts = if side == Side::Ours { &self.ours } else { &self.peer };
        accounts.iter().filter_map(|account| account.steps.get(idx)).map(value).collect()
    }
}

/// Everything.
#[derive(Debug)]
pub(super) struct Results {
    /// What was indexed.
    pub(super) input: String,
    /// How many rounds.
    pub(super) rounds: u32,
    /// The parts, growing.
    pub(super) parts: Vec<Part>,
    /// How many single inserts into a growing map took how many nanoseconds, by map.
    pub(super) inserts: Vec<(&'static str, Vec<Bucket>)>,
}

impl Results {
    /// What is left of an interrupted run: the parts and rounds in which both sides had their turn.
    pub(super) fn of_whole_rounds(input: String, mut parts: Vec<Part>) -> Self {
        let whole = |part: &Part| part.ours.len().min(part.peer.len());
        for part in &mut parts {
            let rounds = whole(part);
            part.ours.truncate(rounds);
            part.peer.truncate(rounds);
        }
        parts.retain(|part| whole(part) > 0);
        let rounds = parts.iter().map(whole).min().unwrap_or(0) as u32;
        Self { input, rounds, parts, inserts: Vec::new() }
    }

    /// The largest part.
    pub(super) fn whole(&self) -> Option<&Part> {
        self.parts.last()
    }

    /// Whether all accounts of a part tell of the same index.
    pub(super) fn agree(&self) -> Result<(), Error> {
        for part in &self.parts {
            let mut accounts = part.ours.iter().chain(&part.peer);
            let Some(first) = accounts.next() else { continue };
            for other in accounts {
                if facts(first) != facts(other) {
                    return Err(Error::Disagreement(format!(
                        "bucketmask and its peer disagree on the {} of the input:\n  {:?}\n  {:?}",
                        part.name,
                        facts(first),
                        facts(other)
                    )));
                }
            }
        }
        Ok(())
    }

    /// The figures and ratios of all parts.
    pub(super) fn record(&self) -> Record {
        let mut record = Record::new();
        for part in &self.parts {
            record_build(&mut record, part);
            for idx in 0..part.steps().len() {
                record_step(&mut record, part, idx);
            }
        }
        record
    }
}

/// What must not depend on the side.
#[derive(Debug, PartialEq, Eq)]
struct Facts {
    tokens: u64,
    /// One a step: keep, removed, entries, objects, answers, checksum.
    steps: Vec<[u64; 6]>,
}

fn facts(account: &Account) -> Facts {
    let step = |s: &Step| [s.keep.into(), s.removed, s.shape.entries, s.objects, s.answers, s.checksum];
    Facts { tokens: account.built.tokens, steps: account.steps.iter().map(step).collect() }
}

fn record_build(record: &mut Record, part: &Part) {
    let case = format!("index/{}/build", part.name);
    for (side, accounts) in [(Side::Ours, &part.ours), (Side::Peer, &part.peer)] {
        let Some(tokens) = accounts.first().map(|account| account.built.tokens) else { continue };
        let times = accounts.iter().map(|account| account.built.build_ns as f64).collect();
        let resident = accounts.iter().map(|account| account.built.footprint.resident as f64).collect();
        record.measure(SUITE, &case, side.name(), TIME, tokens, &times);
        record.measure(SUITE, &case, side.name(), RESIDENT, tokens, &resident);
    }
    for metric in [TIME, RESIDENT] {
        record.compare(SUITE, &case, OURS, Side::Peer.name(), metric);
    }
}

fn record_step(record: &mut Record, part: &Part, idx: usize) {
    let step = &part.steps()[idx];
    let case = format!("index/{}/keep={}", part.name, step.keep);
    for walked in Walked::ALL {
        let name = walked.name();
        let live = step.objects;
        record.measure(SUITE, &case, name, TIME_PER_LIVE, live, &part.time_per_live(idx, walked));
        record.measure(SUITE, &case, name, MARK, live, &part.cycles(idx, walked, |cycle| cycle.mark_ns));
        record.measure(SUITE, &case, name, SWEEP, live, &part.cycles(idx, walked, |cycle| cycle.sweep_ns));
        if walked != Walked::Peer {
            let scanned = part.cycles(idx, walked, |cycle| cycle.scanned);
            let skipped = part.cycles(idx, walked, |cycle| cycle.skipped);
            record.measure(SUITE, &case, name, SCANNED, live, &scanned);
            record.measure(SUITE, &case, name, SKIPPED, live, &skipped);
        }
    }
    let query = format!("index/{}/query/keep={}", part.name, step.keep);
    let delete = format!("index/{}/delete/keep={}", part.name, step.keep);
    for side in [Side::Ours, Side::Peer] {
        let name = side.name();
        let each = |value: fn(&Step) -> f64| part.each(side, idx, value);
        record.measure(SUITE, &case, name, FIRST, step.objects, &each(|s| s.first.total_ns() as f64));
        record.measure(SUITE, &case, name, RESIDENT, step.objects, &each(|s| s.footprint.resident as f64));
        record.measure(SUITE, &query, name, TIME, step.queries, &each(|s| s.query_ns as f64));
        record.measure(SUITE, &delete, name, TIME, step.removed, &each(|s| s.delete_ns as f64));
    }
    record.compare(SUITE, &case, OURS, FLAT, TIME_PER_LIVE);
    for metric in [TIME_PER_LIVE, MARK, SWEEP, FIRST, RESIDENT] {
        record.compare(SUITE, &case, OURS, Side::Peer.name(), metric);
    }
    record.compare(SUITE, &query, OURS, Side::Peer.name(), TIME);
    record.compare(SUITE, &delete, OURS, Side::Peer.name(), TIME);
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::fragmentation::{Fragmentation, Kind, Row};
    use crate::memory::Footprint;
    use crate::protocol::{Built, Shape};

    /// Made-up results of the right shape.
    pub(in crate::report) fn made_up() -> Results {
        let row = Row {
            node: 0,
            kind: Kind::Class,
            slot_bytes: 64,
            pages: 3,
            slots: 1536,
            live: 600,
            live_bytes: 38_400,
            requested: 36_000,
            committed: 98_304,
            resident: 90_112,
        };
        let account = |side: Side, scale: u64| Account {
            allocator: side.allocator().name().into(),
            built: Built {
                tokens: 900,
                build_ns: 1000 * scale,
                footprint: Footprint::default(),
                resident_before: 1,
            },
            steps: [100_u32, 10, 1]
                .iter()
                .map(|&keep| {
                    let cycle =
                        Cycle { mark_ns: 50 * u64::from(keep) * scale, sweep_ns: 10, scanned: 5, skipped: 9 };
                    Step {
                        keep,
                        removed: 100 - u64::from(keep),
                        delete_ns: 40 * scale,
                        objects: u64::from(keep) * 3,
                        live_bytes: 9,
                        first: cycle,
                        native: vec![cycle; 2],
                        flat: if side == Side::Ours { vec![cycle; 2] } else { Vec::new() },
                        query_ns: 30,
                        queries: 7,
                        answers: 8,
                        checksum: u64::from(keep),
                        shape: Shape { entries: u64::from(keep), slots: 120, buckets: 8, pages: 4 },
                        footprint: Footprint { resident: 1 << 20, ..Footprint::default() },
                        fragmentation: (side == Side::Ours).then(|| Fragmentation { rows: vec![row] }),
                    }
                })
                .collect(),
        };
        let part = |name| Part {
            name,
            files: 2,
            bytes: 4096,
            ours: vec![account(Side::Ours, 1), account(Side::Ours, 2)],
            peer: vec![account(Side::Peer, 3), account(Side::Peer, 4)],
        };
        Results {
            input: "made <up>".into(),
            rounds: 2,
            parts: vec![part("third"), part("whole")],
            inserts: vec![(
                OURS,
                [(20.0, 897.0), (40.0, 3.0)]
                    .map(|(from, count)| Bucket { from, to: 2.0 * from, count })
                    .into(),
            )],
        }
    }

    #[test]
    fn figures_keep_the_schema() {
        let record = made_up().record();
        let again = Record::parse(&record.to_lines()).unwrap();
        assert_eq!(again, record);
        let ratio = |case: &str, peer: &str| {
            let found = record
                .ratios()
                .iter()
                .find(|r| r.case == case && r.peer == peer && r.metric == "time_per_live");
            found.map(|r| r.ratio)
        };
        assert_eq!(ratio("index/whole/keep=10", FLAT), Some(1.0));
        let peer = ratio("index/whole/keep=100", Side::Peer.name()).unwrap();
        assert!((peer - 7510.0 / 17510.0).abs() < 1e-9, "{peer}");
    }

    #[test]
    fn a_wrong_checksum_is_noticed() {
        let mut results = made_up();
        assert!(results.agree().is_ok());
        results.parts[1].peer[1].steps[2].checksum += 1;
        let error = results.agree().unwrap_err();
        assert!(error.to_string().contains("whole") && error.exit_code() == 1, "{error}");
    }
}
