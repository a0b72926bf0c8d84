//! Workloads on allocators, round after round, each run in a process of its own. The command owns the contest. Invariant:
//! every round runs every allocator once, in an order that turns, and all of them report the same checksum.

use std::path::Path;

use crate::cli::ContestArgs;
use crate::error::Error;
use crate::installed::Choice;
use crate::progress::Progress;
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
    /// What was resident with the survivors live, one a round; empty where the workload is not about that.
    pub settled: Vec<Settled>,
}

impl Tally {
    fn new(workload: Workload, allocator: Choice) -> Self {
        let (time, peak, steady) = Default::default();
        Self { workload, allocator, operations: 0, time, peak, steady, settled: Vec::new() }
    }

    fn add(&mut self, account: &Account) {
        self.operations = account.ran.operations;
        self.time.push(account.ran.nanoseconds / account.ran.operations.max(1) as f64);
        self.peak.push(account.peak_resident as f64);
        self.steady.push(account.steady_resident as f64);
        self.settled.extend(account.ran.settled);
    }

    /// A figure of each round's settled memory; empty where there is none.
    pub fn settled(&self, figure: impl Fn(&Settled) -> f64) -> Samples {
        self.settled.iter().map(figure).collect()
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
        let mut allocators =
            if args.allocators.is_empty() { Choice::ALL.to_vec() } else { args.allocators.clone() };
        allocators.dedup();
        Ok(Self {
            workloads: chosen,
            allocators,
            rounds: args.rounds.unwrap_or(if args.quick { QUICK_ROUNDS } else { ROUNDS }),
            scale: Scale { size, threads, idle_ms },
        })
    }

    /// Runs it all, workload by workload.
    ///
    /// # Errors
    /// A child failed, or two allocators gave different checksums.
    pub fn run(&self) -> Result<Vec<Tally>, Error> {
        let binary = std::env::current_exe()
            .map_err(|source| Error::Read { path: "/proc/self/exe".into(), source })?;
        let progress = Progress::new(self.workloads.len() as u64 * u64::from(self.rounds));
        let mut tallies = Vec::new();
        for &workload in &self.workloads {
            progress.stage(workload.name());
            tallies.extend(self.rounds_of(workload, &binary, &progress)?);
        }
        Ok(tallies)
    }

    fn rounds_of(&self, workload: Workload, binary: &Path, progress: &Progress) -> Result<Vec<Tally>, Error> {
        let suited = self.allocators.iter().copied().filter(|&allocator| workload.suits(allocator));
        let mut tallies: Vec<Tally> = suited.map(|allocator| Tally::new(workload, allocator)).collect();
        let mut checksum = None;
        for round in 0..self.rounds as usize {
            for place in 0..tallies.len() {
                // The start turns and the direction alternates, so that nobody always follows the same neighbour.
                let turned = (place + round) % tallies.len();
                let idx = if round % 2 == 0 { turned } else { tallies.len() - 1 - turned };
                let plan = Plan { workload, allocator: tallies[idx].allocator, scale: self.scale };
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
