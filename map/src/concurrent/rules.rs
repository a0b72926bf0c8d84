//! What may be switched in the map's protocol: the mode of its guards, places to stop at, and faults.
//!
//! A map is compiled for its rules, so [`Fresh`] maps have no trace of the others. The faults are there for the experiment that
//! shows that each is found (`bucketmask visibility`, `tests/concurrent_*`): they are switches in the shipped code, not a copy of it.
//! Invariant: a map with a fault frees no entry and no table, so that a broken protocol shows wrong values, never wild memory.

use crate::epoch;

pub use super::clock::{Clock, Word, is_flipped};

/// A way to break the protocol. `None` is how the map works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// Nothing is broken.
    None,
    /// A guard keeps its first `read_ts` for all its reads, though nothing is mirrored.
    CachedReadTs,
    /// Where writes are mirrored, they go to the old table first.
    OldFirst,
    /// The copier does not lock the bucket that it flips.
    NoExclusion,
    /// The mark is stored before the entries are copied.
    EarlyFlip,
    /// The copier stores what it copied a second time, after the bucket is unlocked.
    Overwrite,
    /// Readers take the bucket at the mark for flipped.
    OffByOne,
    /// The mark is stored and loaded relaxed.
    RelaxedMark,
    /// Readers look in the new table and, where it has nothing, in the old one.
    NaiveRead,
    /// The pointers to tables are loaded relaxed.
    RelaxedTable,
}

/// Nothing broken, and then the faults of the visibility experiment.
pub const FAULTS: [Fault; 9] = [
    Fault::None,
    Fault::CachedReadTs,
    Fault::OldFirst,
    Fault::NoExclusion,
    Fault::EarlyFlip,
    Fault::Overwrite,
    Fault::OffByOne,
    Fault::RelaxedMark,
    Fault::NaiveRead,
];

/// A point of the copier's, a writer's or an iteration's work at which an experiment may run something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Gap {
    /// The copier has the bucket's lock, and nothing is copied.
    Locked,
    /// All entries of the bucket are copied, and the mark is not stored.
    Copied,
    /// The mark is stored, and the bucket is still locked.
    Flipped,
    /// The bucket is unlocked.
    Unlocked,
    /// A mirrored write is in one table and not yet in the other.
    HalfWritten,
    /// An iteration has loaded a bucket's head, and is about to load the slot whose number the hook is given.
    Seen,
}

/// The rules that a map works by.
pub trait Rules: 'static {
    /// What is broken.
    const FAULT: Fault = Fault::None;
    /// Whether a guard keeps one `read_ts` over all its reads, and writes go to both tables until a grace period has passed.
    const MIRRORED: bool = false;
    /// Buckets that a writer moves after its own work, at most.
    const PIECE: usize = 1;
    /// Epochs from the tag of what was removed to its end. Fewer than that is a fault: entries are freed that guards may see. A test that
    /// seeds it must not look at what it was shown.
    const GRACE: u64 = epoch::GRACE;
    /// Called at each gap, by the thread that works there.
    #[inline(always)]
    fn gap(gap: Gap, bucket: usize) {
        let _ = (gap, bucket);
    }
}

/// Each read loads its own `read_ts`: how the map is used.
#[derive(Debug, Clone, Copy)]
pub enum Fresh {}

impl Rules for Fresh {}

/// A guard keeps its `read_ts`: it goes on reading the table that it saw first, which writers keep up to date.
#[derive(Debug, Clone, Copy)]
pub enum Mirrored {}

impl Rules for Mirrored {
    const MIRRORED: bool = true;
}
