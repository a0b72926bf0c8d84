//! A case of the scan: how many entries there were, how many are left and which, and what is to be reached there. Plain
//! values. Invariant: a case's name reads back as the case.

use super::{FLAT, LINES, PEER};
use crate::go;
use crate::targets::{Against, Target, over};

/// Percent of the entries kept, falling.
pub(super) const KEEPS: [u32; 7] = [100, 50, 25, 10, 5, 2, 1];
/// The same, in a hurry.
pub(super) const QUICK_KEEPS: [u32; 3] = [100, 10, 1];
/// Entries of the map that no cache holds.
pub(super) const LARGE: u64 = 2_000_000;
/// Entries of the map that a last-level cache holds and a second-level one does not: about 9 MB with its values.
pub(super) const MIDDLE: u64 = 200_000;
/// Entries of the map that fits a second-level cache: 16-byte slots at load 0.8, heads and masks, 512 KiB.
pub(super) const SMALL: u64 = 20_000;

/// Which entries go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pattern {
    /// Any, by a hash of the key: what stays is spread over the values' pages.
    Uniform,
    /// Whole runs of keys that were inserted one after the other: what stays lies together in the values' pages. In the
    /// table, which goes by the keys' hashes, it is spread all the same.
    Clustered,
}

impl Pattern {
    pub(super) const ALL: [Self; 2] = [Self::Uniform, Self::Clustered];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Clustered => "clustered",
        }
    }
}

/// A case of the scan: how many entries there were and how many percent are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    pub(super) entries: u64,
    pub(super) keep: u32,
    pub(super) pattern: Pattern,
}

impl Layout {
    /// The case's name in figures.
    pub fn case(self) -> String {
        let size = match self.entries {
            millions if millions % 1_000_000 == 0 => format!("{}M", millions / 1_000_000),
            thousands => format!("{}k", thousands / 1000),
        };
        format!("gcmap/{size}/keep={}/{}", self.keep, self.pattern.name())
    }

    /// Reads a case's name back; None for another suite's case.
    pub fn parse(case: &str) -> Option<Self> {
        let (size, rest) = case.strip_prefix("gcmap/")?.split_once("/keep=")?;
        let (keep, pattern) = rest.split_once('/')?;
        let pattern = Pattern::ALL.into_iter().find(|known| known.name() == pattern)?;
        let thousands = size.strip_suffix('k').map(|number| (number, 1000));
        let (number, unit) =
            thousands.or_else(|| size.strip_suffix('M').map(|number| (number, 1_000_000)))?;
        Some(Self { entries: number.parse::<u64>().ok()? * unit, keep: keep.parse().ok()?, pattern })
    }

    /// What mask over flat is to be at most, where a target is set.
    pub fn target(self) -> Option<f64> {
        match (self.entries <= MIDDLE, self.keep) {
            (_, 100) => Some(1.05),
            (false, 10) => Some(0.75),
            (false, 1) => Some(0.15),
            (true, 10) => Some(0.4),
            (true, 1) => Some(0.1),
            _ => None,
        }
    }

    /// What our time a live entry is to be at most.
    pub(crate) fn targets(self) -> Vec<Target> {
        let go = |bound| Target { against: Against::Family(go::FAMILY), bound };
        let mut all: Vec<Target> = self.target().map(|bound| over(FLAT, bound)).into_iter().collect();
        all.extend(match self.keep {
            100 => vec![over(PEER, 0.4), go(0.5)],
            10 => vec![over(PEER, 0.4)],
            1 => vec![over(PEER, 0.25), go(0.05)],
            _ => Vec::new(),
        });
        // Where lines come from a cache, instructions decide, and the bound says nothing.
        if self.keep == 1 && self.entries > MIDDLE {
            all.push(over(LINES, 1.3));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_names_read_back() {
        for entries in [LARGE, MIDDLE, SMALL] {
            for keep in KEEPS {
                for pattern in Pattern::ALL {
                    let layout = Layout { entries, keep, pattern };
                    assert_eq!(Layout::parse(&layout.case()), Some(layout));
                }
            }
        }
        let layout = Layout { entries: LARGE, keep: 1, pattern: Pattern::Uniform };
        assert_eq!(layout.case(), "gcmap/2M/keep=1/uniform");
        assert_eq!(Layout::parse("hit/u64-u64/1M"), None);
        assert_eq!(Layout::parse("gcmap/2M/keep=1/elsewhere"), None);
    }

    #[test]
    fn targets_are_the_projects() {
        let of = |entries, keep| {
            let targets = Layout { entries, keep, pattern: Pattern::Clustered }.targets();
            targets.into_iter().map(|target| target.bound).collect::<Vec<f64>>()
        };
        assert_eq!(of(LARGE, 1), [0.15, 0.25, 0.05, 1.3]);
        assert_eq!(of(SMALL, 1), [0.1, 0.25, 0.05]);
        assert_eq!(of(LARGE, 10), [0.75, 0.4]);
        assert_eq!(of(MIDDLE, 100), [1.05, 0.4, 0.5]);
        assert_eq!(of(LARGE, 25), [0.0; 0]);
    }
}
