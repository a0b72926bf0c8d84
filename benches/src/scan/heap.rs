//! The two maps that a scan collects: `u64` to a GC pointer, in an arena that holds nothing else. The scan owns one of
//! each. Invariant: both hold the same keys and delete the same ones, spread uniformly by a hash of the key.

mod ours;
mod peer;

pub(super) use ours::Ours;
pub(super) use peer::Peer;

use crate::engine::Hasher;

/// A map in an arena.
pub(super) trait Heap {
    /// A map of the keys `0..entries`, grown by its inserts.
    fn filled(entries: u64) -> Self;
    /// Deletes all but `percent` of the keys that there were at first; nothing is collected.
    fn thin_out(&mut self, percent: u32);
    /// One full collection; gives the number of objects that the arena holds after it.
    fn collect(&mut self) -> u64;
    /// Entries.
    fn live(&self) -> u64;
    /// Sum of the keys and of what their pointers point to.
    fn checksum(&self) -> u64;
}

/// Whether the wave that keeps `percent` keeps `key`: waves are nested.
fn keeps(key: u64, percent: u32) -> bool {
    use std::hash::BuildHasher;
    (u128::from(Hasher::with_seed(0x7363_616e).hash_one(key)) * 100) >> 64 < u128::from(percent)
}

/// What the pointer of `key` points to: no pointer in it, so that marking it needs no visit.
const fn value_of(key: u64) -> u64 {
    key.wrapping_mul(3)
}
