//! What a run of `map` is to measure. The command owns it. Invariant: what `--only` leaves out is not built either.

use super::keys::Entry;
use super::size::{Size, label, octave};
use super::workload::Workload;
use crate::cli::MapArgs;

/// Rounds, and in a hurry.
const ROUNDS: [u32; 2] = [5, 2];

/// Maps of so many entries are built in at most so many rounds; the first that fits counts.
const BUILDS: [(u64, u32); 2] = [(5_000_000, 2), (1_000_000, 3)];

/// At a size that is only part of a mean, at most so many rounds; and so many that build maps.
const INNER: [u32; 2] = [3, 2];

/// Rounds, sizes, and what is left out.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// In a hurry.
    pub(super) quick: bool,
    /// Rounds.
    pub(super) rounds: u32,
    /// Sizes, in the order of the tables.
    pub(super) sizes: Vec<Size>,
    /// Churns of the soak.
    pub(super) soak: u64,
    only: Vec<String>,
}

impl Plan {
    pub(super) fn new(args: &MapArgs) -> Self {
        let usual = if args.quick {
            vec![Size::One(16), Size::One(1000), Size::Octave(20_000)]
        } else {
            let sizes = [16, 1000, 30_000, 1_000_000, 1_700_000, 10_000_000].map(Size::One);
            sizes.into_iter().chain([Size::Octave(1_000_000)]).collect()
        };
        let soak = match (args.soak, args.quick) {
            (true, _) => 100_000_000,
            (_, true) => 1_000_000,
            _ => 10_000_000,
        };
        Self {
            quick: args.quick,
            rounds: args.rounds.unwrap_or(ROUNDS[usize::from(args.quick)]),
            sizes: if args.sizes.is_empty() { usual } else { args.sizes.clone() },
            soak,
            only: args.only.clone(),
        }
    }

    /// Whether a case is to be measured.
    pub(super) fn wants(&self, case: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|part| case.contains(part.as_str()))
    }

    /// The numbers of entries that a workload on a type is wanted at, each once.
    pub(super) fn entries<E: Entry>(&self, workload: Workload) -> Vec<u64> {
        let mut all = Vec::new();
        for &size in &self.sizes {
            let wanted = |entries: &u64| self.wants(&case::<E>(workload.name(), &label(*entries)));
            match size {
                Size::One(entries) => all.extend(Some(entries).filter(wanted)),
                Size::Octave(base) if self.wants(&case::<E>(workload.name(), &size.to_string())) => {
                    all.extend(octave(base));
                }
                Size::Octave(base) => all.extend(octave(base).into_iter().filter(wanted)),
            }
        }
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Where the octave starts that figures are averaged over.
    pub(super) fn octave(&self) -> Option<u64> {
        self.sizes.iter().find_map(|size| match *size {
            Size::Octave(base) => Some(base),
            Size::One(_) => None,
        })
    }

    /// Whether a case stands for the octave or for a size of it.
    pub(super) fn is_of_octave(&self, case: &str) -> bool {
        let Some(base) = self.octave() else { return false };
        let last = case.rsplit('/').next().unwrap_or_default();
        last == Size::Octave(base).to_string()
            || octave(base).into_iter().any(|entries| label(entries) == last)
    }

    /// Whether a case stands for one size of the octave that nobody asked for by itself.
    pub(super) fn is_inner(&self, case: &str) -> bool {
        let last = case.rsplit('/').next().unwrap_or_default();
        let inner = self.is_of_octave(case) && last.parse().is_ok_and(|size| matches!(size, Size::One(_)));
        inner && !self.sizes.iter().any(|size| matches!(size, Size::One(_)) && size.to_string() == last)
    }

    /// Rounds of a workload on maps of so many entries.
    pub(super) fn rounds(&self, workload: Workload, entries: u64) -> u32 {
        let builds = !workload.reads() && workload != Workload::Churn;
        let most =
            BUILDS.iter().find(|(least, _)| builds && entries >= *least).map_or(u32::MAX, |&(_, most)| most);
        let inner = if self.is_inner(&label(entries)) { INNER[usize::from(builds)] } else { u32::MAX };
        self.rounds.min(most).min(inner)
    }
}

/// The case of a workload on a type of entries at a size.
pub(super) fn case<E: Entry>(workload: &str, size: &str) -> String {
    format!("{workload}/{}/{size}", E::NAME)
}

#[cfg(test)]
mod tests {
    use super::super::keys::{Names, Words};
    use super::*;

    fn plan(only: &[&str], sizes: &[&str]) -> Plan {
        let sizes = sizes.iter().map(|size| size.parse().unwrap()).collect();
        Plan::new(&MapArgs {
            only: only.iter().map(ToString::to_string).collect(),
            sizes,
            ..MapArgs::default()
        })
    }

    #[test]
    fn only_leaves_out_sizes_too() {
        let whole = plan(&[], &[]);
        assert_eq!(whole.entries::<Words>(Workload::Hit).len(), 6 + 7, "1M is in the octave");
        let some = plan(&["hit/u64-u64/1k", "miss"], &["16", "1k"]);
        assert_eq!(some.entries::<Words>(Workload::Hit), [1000]);
        assert_eq!(some.entries::<Words>(Workload::Miss), [16, 1000]);
        assert_eq!(some.entries::<Names>(Workload::Hit), [0; 0]);
        let mean = plan(&["hit/u64-u64/octave"], &["octave:1k"]);
        assert_eq!(mean.entries::<Words>(Workload::Hit).len(), 8);
        assert_eq!((mean.octave(), mean.entries::<Words>(Workload::Miss).len()), (Some(1000), 0));
    }

    #[test]
    fn sizes_of_the_octave_alone_are_inner() {
        let plan = plan(&[], &["1M", "octave"]);
        let inner = ["hit/u64-u64/1.09M", "hit/u64-u64/1M", "hit/u64-u64/octave", "hit/u64-u64/10M", "all"];
        assert_eq!(inner.map(|case| plan.is_inner(case)), [true, false, false, false, false]);
        assert_eq!(inner.map(|case| plan.is_of_octave(case)), [true, true, true, false, false]);
    }

    #[test]
    fn large_maps_are_built_in_fewer_rounds() {
        let plan = plan(&[], &[]);
        assert_eq!(plan.rounds(Workload::Insert, 10_000_000), 2);
        assert_eq!(plan.rounds(Workload::Reserved, 1_000_000), 3);
        assert_eq!([plan.rounds(Workload::Insert, 16), plan.rounds(Workload::Churn, 10_000_000)], [5, 5]);
        let inner = octave(1_000_000)[1];
        assert_eq!([plan.rounds(Workload::Insert, inner), plan.rounds(Workload::Churn, inner)], [2, 3]);
    }
}
