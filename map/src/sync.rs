//! Atomics and waiting of the concurrent map, in one place so that a model checker's can stand in for them.
//!
//! Invariant: whoever parks is woken by the unlock of the word it parked on.

#![allow(unsafe_code)]

pub(crate) use core::sync::atomic::{AtomicBool, AtomicIsize, AtomicPtr, AtomicU64, AtomicUsize, Ordering};
#[cfg(feature = "detect")]
pub(crate) use core::sync::atomic::{AtomicU32, fence};
pub(crate) use parking_lot::Mutex;

use parking_lot_core::{DEFAULT_PARK_TOKEN, DEFAULT_UNPARK_TOKEN};

/// Whether memory of zeros is an array of new atomics.
pub(crate) const ZEROS_ARE_NEW: bool = true;

/// Passes a moment of the `round`th turn of a loop that waits for another thread; `false`: it has waited long enough to park.
pub(crate) fn pause(round: u32) -> bool {
    const SPINS: u32 = 7;
    const YIELDS: u32 = 10;
    if round < SPINS {
        (0..1 << round).for_each(|_| core::hint::spin_loop());
    } else {
        std::thread::yield_now();
    }
    round < YIELDS
}

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
