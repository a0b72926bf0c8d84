//! The allocator workloads: what each does is written new from its published description, named in its file. A workload is
//! compiled for each allocator, so that none pays a dispatch and ours is inlined as it is in a Rust program; whole programs
//! run on the process's global allocator. Each runs in a child process of its own, whose memory is the workload's.
//! Invariant: what a workload does follows from its seed and its scale alone, the same on every allocator, and its
//! checksum shows it; all it allocated is freed when it returns.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::installed::Choice;
use crate::peer::{Jemalloc, Mimalloc, Peer};

pub mod block;
pub mod child;

mod cache;
mod free_only;
mod glibc;
mod larson;
mod local;
mod mstress;
mod program;
mod redis;
mod rptest;
mod shbench;
mod survivors;
mod walk;
mod xmalloc;

/// A workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "each variant's file says what it does")]
pub enum Workload {
    Pair,
    Batch,
    Replace1k,
    Replace100k,
    Larson,
    Mstress,
    Rptest,
    Xmalloc,
    Sh6,
    Sh8,
    CacheScratch,
    CacheThrash,
    GlibcSimple,
    GlibcThread,
    FreeOnly,
    Survivors,
    Redis,
    Walk50,
    Walk5,
    Json,
    Regex,
    Sort,
}

/// How large a workload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Size {
    /// As measured for a record.
    Full,
    /// About a fifth of the time.
    Quick,
    /// For tests.
    Tiny,
}

/// How a workload is to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scale {
    /// How large.
    pub size: Size,
    /// Threads of the workloads that have several; at least 2.
    pub threads: usize,
    /// How long to wait before the resident memory of what survived is read, in milliseconds.
    pub idle_ms: u64,
}

impl Scale {
    /// The value for this size.
    pub const fn pick<T: Copy>(self, full: T, quick: T, tiny: T) -> T {
        match self.size {
            Size::Full => full,
            Size::Quick => quick,
            Size::Tiny => tiny,
        }
    }

    fn idle(self) {
        std::thread::sleep(Duration::from_millis(self.idle_ms));
    }
}

/// What a workload did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ran {
    /// Operations timed: mostly a block's malloc and its free together.
    pub operations: u64,
    /// Time for all of them.
    pub nanoseconds: f64,
    /// The same on every allocator.
    pub checksum: u64,
    /// Memory with part of the blocks live, where the workload is about that.
    pub settled: Option<Settled>,
}

impl Ran {
    fn new(operations: u64, start: Instant, checksum: u64) -> Self {
        Self { operations, nanoseconds: start.elapsed().as_nanos() as f64, checksum, settled: None }
    }
}

/// Memory at a moment when no thread allocates, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Settled {
    /// Resident before the first block, the workload's own tables included.
    pub before: u64,
    /// Resident when the work was done.
    pub busy: u64,
    /// Resident after the idle time.
    pub idle: u64,
    /// Sum of the sizes of the live blocks.
    pub live: u64,
    /// The distinct 4 KiB pages on which live blocks lie: what an allocator that never moves a block cannot give back.
    pub floor: u64,
    /// Ours only: what is in the pages of size classes.
    pub slots: Option<Slots>,
}

/// The pages of our size classes, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slots {
    /// In live slots.
    pub live: u64,
    /// Asked for.
    pub requested: u64,
    /// Made readable and writable.
    pub committed: u64,
}

impl Settled {
    /// Resident for the blocks alone, after the idle time.
    pub const fn grown(&self) -> u64 {
        self.idle.saturating_sub(self.before)
    }
}

impl Workload {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 22] = [
        Self::Pair,
        Self::Batch,
        Self::Replace1k,
        Self::Replace100k,
        Self::Larson,
        Self::Mstress,
        Self::Rptest,
        Self::Xmalloc,
        Self::Sh6,
        Self::Sh8,
        Self::CacheScratch,
        Self::CacheThrash,
        Self::GlibcSimple,
        Self::GlibcThread,
        Self::FreeOnly,
        Self::Survivors,
        Self::Redis,
        Self::Walk50,
        Self::Walk5,
        Self::Json,
        Self::Regex,
        Self::Sort,
    ];

    /// The case's name in figures.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pair => "pair",
            Self::Batch => "batch/1k",
            Self::Replace1k => "replace/1k",
            Self::Replace100k => "replace/100k",
            Self::Larson => "larson",
            Self::Mstress => "mstress",
            Self::Rptest => "rptest",
            Self::Xmalloc => "xmalloc",
            Self::Sh6 => "sh6",
            Self::Sh8 => "sh8",
            Self::CacheScratch => "cache-scratch",
            Self::CacheThrash => "cache-thrash",
            Self::GlibcSimple => "glibc/simple",
            Self::GlibcThread => "glibc/thread",
            Self::FreeOnly => "free-only",
            Self::Survivors => "survivors",
            Self::Redis => "redis",
            Self::Walk50 => "walk/live=50",
            Self::Walk5 => "walk/live=5",
            Self::Json => "program/json",
            Self::Regex => "program/regex",
            Self::Sort => "program/sort",
        }
    }

    /// Whether it times a walk over live blocks, which is no allocating.
    pub const fn is_walk(self) -> bool {
        matches!(self, Self::Walk50 | Self::Walk5)
    }

    /// Whether the allocator can do it at all: only two can walk their blocks.
    pub fn suits(self, choice: Choice) -> bool {
        !self.is_walk() || matches!(choice, Choice::Bucketmask | Choice::Mimalloc)
    }

    /// Runs it on the allocator of this name.
    pub fn run_on(self, choice: Choice, scale: Scale) -> Ran {
        match choice {
            Choice::Bucketmask => self.run(bucketmask_alloc::BucketAlloc::new(), scale),
            Choice::Mimalloc => self.run(Mimalloc, scale),
            Choice::Jemalloc => self.run(Jemalloc, scale),
            Choice::System => self.run(std::alloc::System, scale),
            #[cfg(feature = "snmalloc")]
            Choice::Snmalloc => self.run(crate::peer::SnMalloc, scale),
        }
    }

    fn run<A: Peer>(self, allocator: A, scale: Scale) -> Ran {
        match self {
            Self::Pair => local::pair(allocator, scale),
            Self::Batch => local::batch(allocator, scale),
            Self::Replace1k => local::replace(allocator, scale, scale.pick(1000, 1000, 100)),
            Self::Replace100k => local::replace(allocator, scale, scale.pick(100_000, 100_000, 1000)),
            Self::Larson => larson::run(allocator, scale),
            Self::Mstress => mstress::run(allocator, scale),
            Self::Rptest => rptest::run(allocator, scale),
            Self::Xmalloc => xmalloc::run(allocator, scale),
            Self::Sh6 => shbench::sh6(allocator, scale),
            Self::Sh8 => shbench::sh8(allocator, scale),
            Self::CacheScratch => cache::scratch(allocator, scale),
            Self::CacheThrash => cache::thrash(allocator, scale),
            Self::GlibcSimple => glibc::simple(allocator, scale),
            Self::GlibcThread => glibc::thread(allocator, scale),
            Self::FreeOnly => free_only::run(allocator, scale),
            Self::Survivors => survivors::run(allocator, scale),
            Self::Redis => redis::run(allocator, scale),
            Self::Walk50 => walk::run(allocator, scale, 50),
            Self::Walk5 => walk::run(allocator, scale, 5),
            Self::Json => program::json(scale),
            Self::Regex => program::regex(scale),
            Self::Sort => program::sort(scale),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The walks belong to whole processes: other tests allocate meanwhile.
    fn threadless() -> impl Iterator<Item = Workload> {
        Workload::ALL.into_iter().filter(|workload| !workload.is_walk())
    }

    #[test]
    fn workloads_do_the_same_on_every_allocator() {
        let scale = Scale { size: Size::Tiny, threads: 3, idle_ms: 0 };
        for workload in threadless() {
            let [first, others @ ..] = Choice::ALL else { unreachable!("bucketmask is there") };
            let ours = workload.run_on(*first, scale);
            assert!(ours.operations > 0 && ours.checksum > 0, "{workload:?}: {ours:?}");
            assert!(ours.nanoseconds > 0.0);
            for &other in others {
                let theirs = workload.run_on(other, scale);
                assert_eq!(
                    (ours.operations, ours.checksum, ours.settled.map(|settled| settled.live)),
                    (theirs.operations, theirs.checksum, theirs.settled.map(|settled| settled.live)),
                    "{workload:?} on {other:?}"
                );
            }
        }
    }

    #[test]
    fn survivors_stay_and_their_pages_are_the_floor() {
        let scale = Scale { size: Size::Tiny, threads: 2, idle_ms: 0 };
        for workload in [Workload::Survivors, Workload::Redis, Workload::FreeOnly] {
            for &choice in Choice::ALL {
                let settled = workload.run_on(choice, scale).settled.unwrap();
                assert!(settled.live > 0 && settled.floor >= settled.live / 2, "{workload:?}: {settled:?}");
                assert!(settled.floor % 4096 == 0 && settled.busy > 0 && settled.idle > 0, "{settled:?}");
                assert_eq!(settled.slots.is_some(), choice == Choice::Bucketmask);
            }
        }
    }

    #[test]
    fn names_are_distinct() {
        let mut names: Vec<_> = Workload::ALL.iter().map(|workload| workload.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Workload::ALL.len());
    }
}
