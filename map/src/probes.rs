//! Static probes of the map: lookups, inserts, and the splitting of buckets while a table grows.
//!
//! Behind the feature `probes`: each is a `nop`, and a note in the binary that says where it is and which registers hold its
//! arguments, for perf, gdb and bpftrace. Owned by the code around the probe. Invariant: without the feature nothing of it is compiled,
//! and arguments are values that are at hand anyway.
#![allow(unsafe_code)]

/// A lookup: the hash, and the home bucket.
#[inline(always)]
pub(crate) fn get(hash: u64, home: usize) {
    #[cfg(feature = "probes")]
    probe::probe!(bucketmask_map, get, hash, home);
    #[cfg(not(feature = "probes"))]
    let _ = (hash, home);
}

/// A new entry: the hash, and the bucket it goes to.
#[inline(always)]
pub(crate) fn insert(hash: u64, bucket: usize) {
    #[cfg(feature = "probes")]
    probe::probe!(bucketmask_map, insert, hash, bucket);
    #[cfg(not(feature = "probes"))]
    let _ = (hash, bucket);
}

/// A step of growing or shrinking begins, or a small table is made anew: the first home that moves, how many do, and how many homes
/// that leads to.
#[inline(always)]
pub(crate) fn split(first: usize, count: usize, homes: usize) {
    #[cfg(feature = "probes")]
    probe::probe!(bucketmask_map, split, first, count, homes);
    #[cfg(not(feature = "probes"))]
    let _ = (first, count, homes);
}
