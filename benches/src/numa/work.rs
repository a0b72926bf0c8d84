//! The threads of the command `numa`: some on each node, that allocate, free each other's blocks and allocate again. Owns
//! their blocks. Invariant: all threads are in the same phase, and every block is freed before they end.

use std::sync::{Barrier, Mutex, PoisonError};

use bucketmask_alloc::{BucketAlloc, NodeId, Placement, Topology};

use super::blocks::Blocks;
use super::pin::Site;
use super::tally::Tally;

/// One of so many blocks is freed by a thread of the next node.
const FREED_ELSEWHERE: usize = 2;
/// One of so many bytes more is taken, to be written first by a thread of the next node.
const WRITTEN_ELSEWHERE: usize = 4;

/// What is to be done.
#[derive(Clone, Copy, Debug)]
pub(super) struct Work<'a> {
    /// The process's topology.
    pub(super) topology: &'a Topology,
    /// Where threads are.
    pub(super) sites: &'a [Site],
    /// Threads on each site.
    pub(super) threads: usize,
    /// Bytes of blocks that each takes.
    pub(super) bytes: usize,
}

/// What the threads of one site saw.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stay {
    /// Pages of the first blocks.
    pub(super) first: Tally,
    /// Pages of the blocks taken after others had freed a share of the first.
    pub(super) again: Tally,
    /// Pages of blocks that threads of the node before took and these wrote first: wanted on that node.
    pub(super) for_others: Tally,
    /// Blocks of a node that is not their own that these threads freed.
    pub(super) freed_of_others: usize,
}

/// What all of them saw.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// By site.
    pub(super) stays: Vec<Stay>,
    /// The allocator's account while the first blocks lived.
    pub(super) full: Placement,
    /// Its account at the end.
    pub(super) end: Placement,
    /// What could not be done.
    pub(super) problems: Vec<String>,
}

/// What the threads share.
struct Meeting {
    all: Barrier,
    /// What each thread is sent.
    mail: Vec<Mutex<Parcel>>,
    problems: Mutex<Vec<String>>,
}

/// Blocks for a thread of the next node.
#[derive(Debug, Default)]
struct Parcel {
    /// The node they came from.
    home: NodeId,
    /// To be written first, and freed.
    to_write: Blocks,
    /// To be freed.
    to_free: Blocks,
}

impl Work<'_> {
    /// Does it.
    pub(super) fn run(&self) -> Seen {
        let workers = self.sites.len() * self.threads;
        let meeting = Meeting {
            all: Barrier::new(workers + 1),
            mail: (0..workers).map(|_| Mutex::default()).collect(),
            problems: Mutex::default(),
        };
        let mut seen = Seen { stays: vec![Stay::default(); self.sites.len()], ..Seen::default() };
        std::thread::scope(|scope| {
            let meeting = &meeting;
            let handles: Vec<_> =
                (0..workers).map(|worker| scope.spawn(move || self.work(worker, meeting))).collect();
            meeting.all.wait();
            seen.full = BucketAlloc.placement();
            for _ in 0..2 {
                meeting.all.wait();
            }
            for (worker, handle) in handles.into_iter().enumerate() {
                match handle.join() {
                    Ok(stay) => seen.stays[worker / self.threads].add(&stay),
                    Err(_) => seen.problems.push(format!("thread {worker} broke off")),
                }
            }
        });
        seen.end = BucketAlloc.placement();
        seen.problems.append(&mut meeting.problems.lock().unwrap_or_else(PoisonError::into_inner));
        seen
    }

    /// One thread's work, in three phases.
    fn work(&self, worker: usize, meeting: &Meeting) -> Stay {
        let site = &self.sites[worker / self.threads];
        if let Err(error) = site.enter() {
            let problem = format!("a thread could not be pinned to node {}: {error}", site.kernel);
            meeting.problems.lock().unwrap_or_else(PoisonError::into_inner).push(problem);
        }
        let mut stay = Stay::default();
        let mut blocks = Blocks::take(self.bytes);
        blocks.touch();
        stay.first = Tally::of(&blocks.pages(), site.home, self.topology);
        let to_write = Blocks::take(self.bytes / WRITTEN_ELSEWHERE);
        meeting.all.wait();

        let next = (worker + self.threads) % meeting.mail.len();
        let parcel = Parcel { home: site.home, to_write, to_free: blocks.split(FREED_ELSEWHERE) };
        *meeting.mail[next].lock().unwrap_or_else(PoisonError::into_inner) = parcel;
        meeting.all.wait();

        let mut place = meeting.mail[worker].lock().unwrap_or_else(PoisonError::into_inner);
        let parcel = std::mem::take(&mut *place);
        parcel.to_write.touch();
        stay.for_others = Tally::of(&parcel.to_write.pages(), parcel.home, self.topology);
        let freed = parcel.to_write.count() + parcel.to_free.count();
        stay.freed_of_others = if parcel.home == site.home { 0 } else { freed };
        parcel.to_write.free();
        parcel.to_free.free();
        meeting.all.wait();

        let again = Blocks::take(self.bytes / FREED_ELSEWHERE);
        again.touch();
        stay.again = Tally::of(&again.pages(), site.home, self.topology);
        again.free();
        blocks.free();
        stay
    }
}

impl Stay {
    fn add(&mut self, other: &Self) {
        self.first.add(other.first);
        self.again.add(other.again);
        self.for_others.add(other.for_others);
        self.freed_of_others += other.freed_of_others;
    }
}
