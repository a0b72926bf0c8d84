//! The maps that a scan collects: `u64` to a GC pointer, in a heap that holds nothing else. The scan owns one of each.
//! Invariant: all hold the same keys and delete the same ones.

#[cfg(feature = "bdwgc")]
pub(crate) mod conservative;
mod ours;
mod peer;
mod remote;

pub(super) use ours::Ours;
pub(super) use peer::Peer;
pub(super) use remote::{Remote, Talker, remotes};

use super::layout::Pattern;
use crate::map::mix;

/// A map in an arena.
pub(super) trait Heap {
    /// A map of the keys `0..entries`, grown by its inserts.
    fn filled(entries: u64) -> Self;
    /// Deletes all but those that the wave keeps; nothing is collected.
    fn thin_out(&mut self, wave: Wave);
    /// One full collection; gives the number of objects that the arena holds after it.
    fn collect(&mut self) -> u64;
    /// Entries.
    fn live(&self) -> u64;
    /// Sum of the keys and of what their pointers point to.
    fn checksum(&self) -> u64;
}

/// Which of the keys `0..entries` are left after some deletes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wave {
    pub(super) entries: u64,
    pub(super) percent: u32,
    pub(super) pattern: Pattern,
}

/// Moves the keys' numbers away from those that the hashes of other tests use.
const SEED: u64 = 1 << 60;
/// Runs of keys that go or stay together.
const RUNS: u64 = 400;
/// Coprime to [`RUNS`]: what stays is spread over the runs.
const STRIDE: u64 = 167;

impl Wave {
    /// Whether it keeps `key`. Waves are nested: what a smaller percentage keeps, a larger one does.
    pub(crate) fn keeps(self, key: u64) -> bool {
        let percent = u64::from(self.percent);
        match self.pattern {
            Pattern::Uniform => (u128::from(mix(key.wrapping_add(SEED))) * 100) >> 64 < u128::from(percent),
            Pattern::Clustered => key * RUNS / self.entries * STRIDE % RUNS * 100 < RUNS * percent,
        }
    }
}

/// What the pointer of `key` points to: no pointer in it, so that marking it needs no visit.
pub(crate) const fn value_of(key: u64) -> u64 {
    key.wrapping_mul(3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waves_are_nested_and_keep_their_share() {
        for pattern in Pattern::ALL {
            let kept = |percent| {
                let wave = Wave { entries: 20_000, percent, pattern };
                (0..20_000).filter(|&key| wave.keeps(key)).collect::<Vec<u64>>()
            };
            let (tenth, hundredth) = (kept(10), kept(1));
            assert_eq!(kept(100).len(), 20_000);
            assert!((1800..2200).contains(&tenth.len()), "{}", tenth.len());
            assert!((150..250).contains(&hundredth.len()), "{}", hundredth.len());
            assert!(hundredth.iter().all(|key| tenth.contains(key)));
            let together = hundredth.windows(2).filter(|pair| pair[1] == pair[0] + 1).count();
            assert_eq!(together > 100, pattern == Pattern::Clustered, "{together}");
        }
    }
}
