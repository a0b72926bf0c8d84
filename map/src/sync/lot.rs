//! Where threads sleep: the crate `parking_lot`.
//!
//! Owned by `sync`. Invariant: a word's address is parked on by this crate alone.

#![allow(unsafe_code)]

pub(crate) use parking_lot::Mutex;

use parking_lot_core::{DEFAULT_PARK_TOKEN, DEFAULT_UNPARK_TOKEN};

/// Sleeps until the word at `address` is unlocked, unless `still` says that there is nothing to wait for any more.
pub(crate) fn park(address: usize, still: impl FnOnce() -> bool) {
    // SAFETY: the address is of a live lock word, which nobody else parks on; the callbacks neither panic nor park.
    unsafe { parking_lot_core::park(address, still, || (), |_, _| (), DEFAULT_PARK_TOKEN, None) };
}

/// Wakes all that sleep on the word at `address`.
pub(crate) fn unpark_all(address: usize) {
    // SAFETY: as in `park`.
    unsafe { parking_lot_core::unpark_all(address, DEFAULT_UNPARK_TOKEN) };
}
