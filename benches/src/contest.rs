//! Workloads on allocators, round after round, each run in a process of its own. The command owns the contest. Invariant:
//! every round runs every allocator once, in an order that turns, and all of them report the same checksum.

use std::path::Path;

use crate::cli::ContestArgs;
use crate::error::Error;
use crate::installed::Choice;
use crate::interrupt;
use crate::progress::Progress;
use crate::record::{Metric, OURS, Record};
use crate::rounds;
use crate::sample::Samples;
use crate::workload::child::{self, Account, PATIENCE, Plan};
use crate::workload::{Scale, Settled, Size, Workload};

/// Rounds of a record.
const ROUNDS: u32 = 7;
/// Rounds in a hurry.
const QUICK_ROUNDS: u32 = 3;

/// Who meets whom, and how often.
#[derive(Debug)]
pub struct Contest {
    /// Workloads, in the order of the tables.
    pub workloads: Vec<Workload>,
    /// Allocators, in the order of the columns.
    pub allocators: Vec<Choice>,
    /// Rounds.
    pub rounds: u32,
    /// How large and on how many threads.
    pub scale: Scale,
}

/// What one workload took on one allocator.
#[derive(Clone, Debug)]
pub struct Tally {
    /// The workload.
    pub workload: Workload,
    /// The allocator.
    pub allocator: Choice,
    /// Operations a round.
    pub operations: u64,
    /// Nanoseconds an operation.
    pub time: Samples,
    /// Most resident bytes.
    pub peak: Samples,
    /// Resident bytes when all was freed.
    pub steady: Samples,
    /// Atomic read-modify-writes a remote free, where they are counted.
    pub atomics: Samples,
    /// What was resident with the survivors live, one a round; empty where the workload is not about that.
    pub settled: Vec<Settled>,
}

impl Tally {
    fn new(workload: Workload, allocator: Choice) -> Self {
        let (time, peak, steady, atomics) = Default::default();
        Self { workload, allocator, operations: 0, time, peak, steady, atomics, settled: Vec::new() }
    }

    fn add(&mut self, account: &Account) {
        self.operations = account.ran.operations;
        self.time.push(account.ran.nanoseconds / account.ran.operations.max(1) as f64);
        self.peak.push(account.peak_resident as f64);
        self.steady.push(account.steady_resident as f64);
        account.atomics.into_iter().for_each(|atomics| self.atomics.push(atomics));
        self.settled.extend(account.ran.settled);
    }

    /// A figure of each round's settled memory; empty where there is none.
    pub fn settled(&self, figure: impl Fn(&Settled) -> Option<f64>) -> Samples {
        self.settled.iter().filter_map(figure).collect()
    }
}

impl Contest {
    /// The contest that the options ask for, out of `workloads`.
    ///
    /// # Errors
    /// `--only` names none of them.
    pub fn new(args: &ContestArgs, workloads: &[Workload], idle_ms: u64) -> Result<Self, Error> {
        let asked = |workload: &Workload| {
            args.only.is_empty() || args.only.iter().any(|part| workload.name().contains(part.as_str()))
        };
        let chosen: Vec<Workload> = workloads.iter().copied().filter(asked).collect();
        if chosen.is_empty() {
            let names = workloads.iter().map(|workload| workload.name()).collect::<Vec<_>>().join(", ");
            return Err(Error::NoSuchWorkload { asked: args.only.join(","), names });
        }
        let parallel = std::thread::available_parallelism().map_or(2, usize::from);
        let threads = args.threads.unwrap_or(parallel).max(2);
        let size = if args.quick { Size::Quick } else { Size::Full };
        let asked = if args.allocators.is_empty() { Choice::ALL } else { args.allocators.as_slice() };
        let mut allocators = Vec::new();
        for &allocator in asked {
            if !allocators.contains(&allocator) {
                allocators.push(allocator);
            }
        }
        Ok(Self {
            workloads: chosen,
            allocators,
            rounds: args.rounds.unwrap_or(if args.quick { QUICK_ROUNDS } else { ROUNDS }),
            scale: Scale { size, threads, idle_ms },
        })
    }

    /// All allocators but ours.
    pub fn peers(&self) -> impl Iterator<Item = Choice> + '_ {
        self.allocators.iter().copied().filter(|&allocator| allocator != Choice::Bucketmask)
    }

    /// Runs it all, workload by workload; after an interruption, the contest is one of those workloads that were finished.
    ///
    /// # Errors
    /// A child failed, or two allocators gave different checksums.
    pub fn run(&mut self) -> Result<Vec<Tally>, Error> {
        let binary = std::env::current_exe()
            .map_err(|source| Error::Read { path: "/proc/self/exe".into(), source })?;
        let progress = Progress::new(self.workloads.len() as u64 * u64::from(self.rounds));
        let (mut tallies, mut done) = (Vec::new(), 0);
        for &workload in &self.workloads {
            progress.stage(workload.name());
            let rounds = self.rounds_of(workload, &binary, &progress);
            let Some(finished) = interrupt::finished(rounds)? else { break };
            tallies.extend(finished);
            done += 1;
        }
        self.workloads.truncate(done);
        Ok(tallies)
    }

    fn rounds_of(&self, workload: Workload, binary: &Path, progress: &Progress) -> Result<Vec<Tally>, Error> {
        let suited = self.allocators.iter().copied().filter(|&allocator| workload.suits(allocator));
        let mut tallies: Vec<Tally> = suited.map(|allocator| Tally::new(workload, allocator)).collect();
        let mut checksum = None;
        for round in 0..self.rounds {
            for idx in rounds::order(round, tallies.len()) {
                let plan = Plan { workload, allocator: tallies[idx].allocator, scale: self.scale };
                interrupt::check()?;
                let account = child::run(binary, plan, PATIENCE)?;
                let expected = *checksum.get_or_insert(account.ran.checksum);
                if account.ran.checksum != expected {
                    let (case, name) = (workload.name(), plan.allocator.name());
                    let got = account.ran.checksum;
                    let why = format!("{case} on {name} gave {got:x}, another run {expected:x}");
                    return Err(Error::Disagreement(why));
                }
                tallies[idx].add(&account);
            }
            progress.advance(1);
        }
        Ok(tallies)
    }
}

/// The tallies of one workload, out of a contest's.
pub fn of(tallies: &[Tally], workload: Workload) -> impl Iterator<Item = &Tally> {
    tallies.iter().filter(move |tally| tally.workload == workload)
}

/// Our figure over the least of the peers', with that peer's name.
pub fn over_best(
    record: &Record,
    suite: &str,
    case: &str,
    metric: Metric,
    contest: &Contest,
) -> Option<(f64, &'static str)> {
    let ours = record.value(suite, case, metric.name, OURS)?;
    let figures = contest.peers().filter_map(|peer| {
        let value = record.value(suite, case, metric.name, peer.name())?;
        (value > 0.0).then_some((value, peer.name()))
    });
    let (least, name) = figures.min_by(|(a, _), (b, _)| a.total_cmp(b))?;
    Some((ours / least, name))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::workload::{Ran, Slots};

    /// A contest of bucketmask against a mimalloc that takes twice as long, and ten thirds the memory when idle.
    pub(crate) fn made_up(workloads: &[Workload]) -> (Contest, Vec<Tally>) {
        let allocators = vec![Choice::Bucketmask, Choice::Mimalloc];
        let scale = Scale { size: Size::Tiny, threads: 2, idle_ms: 0 };
        let contest = Contest { workloads: workloads.to_vec(), allocators, rounds: 1, scale };
        let tally = |workload, allocator| {
            let ours = allocator == Choice::Bucketmask;
            let slots = ours.then_some(Slots { live: 100, requested: 75, committed: 200 });
            let idle = if ours { 300 } else { 1000 };
            let settled = Settled { before: 200, busy: 2000, idle, live: 80, floor: 50, slots };
            let nanoseconds = if ours { 1000.0 } else { 2000.0 };
            let ran = Ran { operations: 100, nanoseconds, checksum: 1, settled: Some(settled) };
            let mut tally = Tally::new(workload, allocator);
            let atomics = ours.then_some(0.04);
            tally.add(&Account { allocator, ran, peak_resident: 4 << 20, steady_resident: 1 << 20, atomics });
            tally
        };
        let tallies = workloads
            .iter()
            .flat_map(|&workload| contest.allocators.iter().map(move |&allocator| (workload, allocator)))
            .map(|(workload, allocator)| tally(workload, allocator))
            .collect();
        (contest, tallies)
    }

    #[test]
    fn options_choose_workloads_and_allocators() {
        let args = ContestArgs { only: vec!["replace".into(), "pair".into()], ..ContestArgs::default() };
        let contest = Contest::new(&args, &Workload::ALL, 0).unwrap();
        assert_eq!(contest.workloads, [Workload::Pair, Workload::Replace1k, Workload::Replace100k]);
        assert_eq!((contest.rounds, contest.allocators.as_slice()), (ROUNDS, Choice::ALL));
        assert!(contest.scale.threads >= 2 && contest.peers().count() == Choice::ALL.len() - 1);
        let allocators = vec![Choice::System, Choice::Mimalloc, Choice::System];
        let args = ContestArgs { quick: true, threads: Some(1), allocators, ..ContestArgs::default() };
        let contest = Contest::new(&args, &Workload::ALL, 0).unwrap();
        assert_eq!(
            contest.allocators,
            [Choice::System, Choice::Mimalloc],
            "each once, in the order asked for"
        );
        assert_eq!((contest.rounds, contest.scale.threads), (QUICK_ROUNDS, 2));
    }

    #[test]
    fn an_unknown_workload_is_an_error_that_names_the_known() {
        let args = ContestArgs { only: vec!["sh9".into()], ..ContestArgs::default() };
        let error = Contest::new(&args, &Workload::ALL, 0).unwrap_err();
        assert!(error.to_string().contains("sh9") && error.to_string().contains("sh8"), "{error}");
        assert_eq!(error.exit_code(), 2);
    }
}
