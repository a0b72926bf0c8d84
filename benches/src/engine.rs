//! What the indexing program needs of a collector and a map, and the two that offer it: ours and the peers. The program
//! owns one engine. Invariant: both keep the same index for the same input, entry by entry and place by place.

use crate::protocol::{Cycle, Shape, Walk};

#[macro_use]
mod postings;
pub mod ours;
pub mod peer;

pub use postings::Place;

/// The hasher of both sides, with a fixed seed: the same hash for the same identifier in every process.
pub type Hasher = foldhash::fast::FixedState;

/// The hasher that the engines' tables use.
pub const fn table_hasher() -> Hasher {
    Hasher::with_seed(0x6275_636b)
}

/// What one walk over the whole index found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Identifiers.
    pub entries: u64,
    /// GC objects: one postings list an identifier, and its chunks.
    pub objects: u64,
    /// Sum of a hash over every identifier with its places; the order of the table does not matter.
    pub checksum: u64,
}

impl Census {
    /// Counts one identifier with the chunks of its postings list.
    pub const fn add(&mut self, chunks: u64, checksum: u64) {
        self.entries += 1;
        self.objects += 1 + chunks;
        self.checksum = self.checksum.wrapping_add(checksum);
    }
}

/// A collector and a map: an index from identifiers to the places where they stand.
pub trait Engine {
    /// Bytes of a postings list and of a chunk, as their types count them.
    const OBJECT_BYTES: [usize; 2];

    /// An empty index.
    fn new() -> Self;
    /// Indexes one file's text; gives the number of identifiers that stood there.
    fn add(&mut self, file: u32, text: &str) -> u64;
    /// Removes the identifiers that `keep` does not want; gives how many went.
    fn retain(&mut self, keep: impl Fn(&str) -> bool) -> u64;
    /// Calls `found` with each place of `identifier`, newest first; whether it is there.
    fn query(&self, identifier: &str, found: impl FnMut(Place)) -> bool;
    /// Identifiers for which `wanted` holds, in the table's order.
    fn identifiers(&self, wanted: impl Fn(&str) -> bool) -> Vec<String>;
    /// One full collection.
    fn collect(&mut self, walk: Walk) -> Cycle;
    /// Whether it can be made to walk flat.
    fn has_flat(&self) -> bool;
    /// Walks all that is live.
    fn census(&self) -> Census;
    /// What the index looks like from outside.
    fn shape(&self) -> Shape;
}

/// Hash of one identifier with its places, for [`Census::checksum`].
pub fn entry_checksum(identifier: &str, places: u64) -> u64 {
    use std::hash::BuildHasher;
    Hasher::with_seed(0x6d61_736b).hash_one((identifier, places))
}
