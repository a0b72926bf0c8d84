//! What is done to a map of one size, over and over: the six workloads that make up its speed, and batches. Plain values.
//! Invariant: a workload's name is the first part of its cases.

use super::keys::{Entry, draw};

/// What is timed; a sample is the nanoseconds of one operation, in the mean over many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Workload {
    /// A lookup of a key that is there, at random.
    Hit,
    /// A lookup of a key that is not there.
    Miss,
    /// An insert into a map that starts without memory.
    Insert,
    /// An insert into a map with room for all.
    Reserved,
    /// A removal and an insert of another key.
    Churn,
    /// An entry visited.
    Iterate,
    /// A lookup of a key that is there, asked for together with others.
    GetMany,
}

impl Workload {
    /// All of them, in the order of the tables.
    pub(super) const ALL: [Self; 7] =
        [Self::Hit, Self::Miss, Self::Insert, Self::Reserved, Self::Churn, Self::Iterate, Self::GetMany];

    /// Those whose geometric mean counts.
    pub(super) const MEAN: [Self; 5] = [Self::Hit, Self::Miss, Self::Insert, Self::Churn, Self::Iterate];

    /// First part of its cases.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Insert => "insert",
            Self::Reserved => "insert-reserved",
            Self::Churn => "churn",
            Self::Iterate => "iterate",
            Self::GetMany => "get_many",
        }
    }

    /// Whether it leaves a map of `0..entries` as it was, so that all sides can share one fill.
    pub(super) const fn reads(self) -> bool {
        matches!(self, Self::Hit | Self::Miss | Self::Iterate | Self::GetMany)
    }
}

/// Fewest lookups of a sample: so many that no processor learns their order.
const FEWEST: u64 = 1 << 14;
/// Most lookups of a sample: so many that no cache holds what they touch.
const MOST: u64 = 1 << 19;

/// One size, with the keys that all sides are asked for.
pub(super) struct Stage<E: Entry> {
    /// Entries.
    pub(super) entries: u64,
    /// Keys that are there, in random order.
    pub(super) hits: Vec<E::Key>,
    /// Keys that are not.
    pub(super) misses: Vec<E::Key>,
}

impl<E: Entry> Stage<E> {
    /// The keys for maps of `entries`.
    pub(super) fn new(entries: u64) -> Self {
        let lookups = Self::lookups(entries);
        let hits = (0..lookups).map(|step| E::key(draw(step, entries))).collect();
        // Numbers that neither a fill nor a churn reaches.
        let misses = (0..lookups).map(|step| E::key((1 << 40) + step)).collect();
        Self { entries, hits, misses }
    }

    /// How many lookups a sample has.
    pub(super) fn lookups(entries: u64) -> u64 {
        entries.clamp(FEWEST, MOST)
    }

    /// How many times a churn removes and inserts.
    pub(super) fn churns(entries: u64) -> u64 {
        (entries / 4).clamp(200_000, 1_000_000)
    }
}
