//! Static probes of the allocator: slow paths of malloc, and memory back to the kernel.
//!
//! Behind the feature `probes`: each is a `nop`, and a note in the binary that says where it is and which registers hold its
//! arguments, for perf, gdb and bpftrace. Owned by the code around the probe. Invariant: without the feature nothing of it is compiled,
//! and arguments are values that are at hand anyway.
#![allow(unsafe_code)]

/// A window is empty: bytes of its slots, and the bytes asked for.
#[inline(always)]
pub(crate) fn malloc_slow(slot_size: usize, bytes: usize) {
    #[cfg(feature = "probes")]
    probe::probe!(bucketmask_alloc, malloc_slow, slot_size, bytes);
    #[cfg(not(feature = "probes"))]
    let _ = (slot_size, bytes);
}

/// A fresh page: its address, and bytes of its slots.
#[inline(always)]
pub(crate) fn page_taken(base: usize, slot_size: usize) {
    #[cfg(feature = "probes")]
    probe::probe!(bucketmask_alloc, page_taken, base, slot_size);
    #[cfg(not(feature = "probes"))]
    let _ = (base, slot_size);
}

/// A look at all memory begins; 1: by hand.
#[inline(always)]
pub(crate) fn purge_start(by_hand: bool) {
    #[cfg(feature = "probes")]
    probe::probe!(bucketmask_alloc, purge_start, by_hand);
    #[cfg(not(feature = "probes"))]
    let _ = by_hand;
}

/// It has ended: bytes given.
#[inline(always)]
pub(crate) fn purge_end(bytes: usize) {
    #[cfg(feature = "probes")]
    probe::probe!(bucketmask_alloc, purge_end, bytes);
    #[cfg(not(feature = "probes"))]
    let _ = bytes;
}
