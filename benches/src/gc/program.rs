//! What the command `gc` runs, by name and size, and what a run answers. Plain values. Invariant: a program does the same
//! on all sides, and its answer's count and sum prove it.

use crate::record::Metric;
use crate::targets::{Target, itself, over};

/// One program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    /// Marking a complete binary tree of a depth.
    TreesMark,
    /// Marking a linked list of a length.
    ListMark,
    /// Sweeping objects without destructors of which none lives.
    SweepDead,
    /// The same, every second alive.
    SweepHalf,
    /// The same, all alive.
    SweepLive,
    /// Trees of all depths up to one, made from the leaves up, that come and go beside one that stays.
    BinaryTrees,
    /// The benchmark of John Ellis, Pete Kovac and Hans Boehm, with trees up to a depth.
    GcBench,
    /// The longest step of one cycle over a map of so many entries.
    LongestStep,
    /// What so many bytes of 16-byte objects keep beside themselves.
    Overhead16,
    /// The same for 64-byte objects.
    Overhead64,
    /// What so many arenas take with an object of each of 50 types.
    Arenas,
}

pub(super) const TIME: Metric = Metric::lower("time", "ns");
pub(super) const CPU: Metric = Metric::lower("cpu", "ns");
pub(super) const PEAK: Metric = Metric::lower("peak_resident", "bytes");
pub(super) const CPU_PER_LIVE: Metric = Metric::lower("cpu_per_live", "ns");
const PER_LIVE: Metric = Metric::lower("time_per_live", "ns");
const PER_SLOT: Metric = Metric::lower("time_per_slot", "ns");
const STEP: Metric = Metric::lower("longest_step", "ns");
const SHARE: Metric = Metric::lower("overhead_share", "%");
const RESIDENT: Metric = Metric::lower("resident", "bytes");

impl Program {
    pub(super) const ALL: [Self; 11] = [
        Self::TreesMark,
        Self::ListMark,
        Self::SweepDead,
        Self::SweepHalf,
        Self::SweepLive,
        Self::BinaryTrees,
        Self::GcBench,
        Self::LongestStep,
        Self::Overhead16,
        Self::Overhead64,
        Self::Arenas,
    ];

    /// Its name in requests, and its case up to the size.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::TreesMark => "trees-mark",
            Self::ListMark => "list-mark",
            Self::SweepDead => "sweep-dead",
            Self::SweepHalf => "sweep-half",
            Self::SweepLive => "sweep-live",
            Self::BinaryTrees => "binary-trees",
            Self::GcBench => "gcbench",
            Self::LongestStep => "longest-step",
            Self::Overhead16 => "overhead-16",
            Self::Overhead64 => "overhead-64",
            Self::Arenas => "arenas",
        }
    }

    pub(super) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|program| program.name() == name)
    }

    /// The size of a run: a depth, objects, entries, bytes or arenas.
    pub(super) const fn size(self, quick: bool) -> u64 {
        let (whole, short) = match self {
            Self::TreesMark => (20, 12),
            Self::ListMark => (5_000_000, 50_000),
            Self::SweepDead | Self::SweepHalf | Self::SweepLive => (4_000_000, 100_000),
            Self::BinaryTrees => (18, 12),
            Self::GcBench => (16, 8),
            Self::LongestStep => (10_000_000, 100_000),
            Self::Overhead16 | Self::Overhead64 => (256 << 20, 16 << 20),
            Self::Arenas => (1000, 20),
        };
        if quick { short } else { whole }
    }

    /// The case of a run of a size.
    pub(super) fn case(self, size: u64) -> String {
        let size = match (self, size) {
            (Self::TreesMark | Self::BinaryTrees | Self::GcBench, depth) => format!("depth={depth}"),
            (Self::Overhead16 | Self::Overhead64, bytes) => format!("{}MiB", bytes >> 20),
            (_, number) if number % 1_000_000 == 0 => format!("{}M", number / 1_000_000),
            (_, number) if number % 1000 == 0 => format!("{}k", number / 1000),
            (_, number) => number.to_string(),
        };
        format!("{}/{size}", self.name())
    }

    /// What its value is.
    pub(super) const fn metric(self) -> Metric {
        match self {
            Self::TreesMark | Self::ListMark => PER_LIVE,
            Self::SweepDead | Self::SweepHalf | Self::SweepLive => PER_SLOT,
            Self::BinaryTrees | Self::GcBench => TIME,
            Self::LongestStep => STEP,
            Self::Overhead16 | Self::Overhead64 => SHARE,
            Self::Arenas => RESIDENT,
        }
    }

    /// Whether the value is divided by the count: a time for each of many things.
    pub(super) const fn is_each(self) -> bool {
        matches!(self, Self::TreesMark | Self::ListMark | Self::SweepDead | Self::SweepHalf | Self::SweepLive)
    }

    /// Whether it is a whole program, whose processor time and peak of resident memory count too.
    pub(super) const fn is_whole(self) -> bool {
        matches!(self, Self::BinaryTrees | Self::GcBench)
    }

    /// What our value is to be at most.
    pub(super) fn targets(self) -> Vec<Target> {
        const ARENA: &str = "gc-arena";
        const GO: &str = "go-1.27";
        match self {
            Self::TreesMark => vec![over(GO, 0.8), over(ARENA, 0.6)],
            Self::ListMark => vec![over(ARENA, 1.0)],
            Self::SweepDead | Self::SweepHalf | Self::SweepLive => vec![over(ARENA, 0.02)],
            Self::BinaryTrees | Self::GcBench => vec![over(ARENA, 0.5), over(GO, 1.0)],
            Self::LongestStep => vec![over(ARENA, 0.02), itself(1e6)],
            Self::Overhead16 => vec![itself(6.0)],
            Self::Overhead64 => vec![itself(2.0)],
            Self::Arenas => vec![itself(100.0 * 1024.0 * 1024.0)],
        }
    }

    /// Whether programs in other languages have it: those whose collector hands out no steps, no sweep and no arenas don't.
    pub(super) const fn is_common(self) -> bool {
        matches!(self, Self::TreesMark | Self::ListMark | Self::BinaryTrees | Self::GcBench)
    }
}

/// What a run found.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Answer {
    /// Nanoseconds, percent or bytes, as the program's metric says.
    pub(crate) value: f64,
    /// The processor time of what was timed, in nanoseconds.
    pub(crate) cpu: f64,
    /// Objects that were made, kept or swept.
    pub(crate) count: u64,
    /// A sum over what the objects hold.
    pub(crate) sum: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_and_cases_are_paths() {
        for program in Program::ALL {
            assert_eq!(Program::parse(program.name()), Some(program));
        }
        assert_eq!(Program::TreesMark.case(20), "trees-mark/depth=20");
        assert_eq!(Program::ListMark.case(5_000_000), "list-mark/5M");
        assert_eq!(Program::Arenas.case(20), "arenas/20");
        assert_eq!(Program::Overhead16.case(16 << 20), "overhead-16/16MiB");
    }
}
