//! Atomics and waiting of the concurrent map, in one place so that a model checker's can stand in for them.
//!
//! `lot` is where threads sleep, `std_lot` stands there on WebAssembly.
//! Invariant: whoever parks is woken by the unlock of the word it parked on.

#[cfg(not(target_family = "wasm"))]
mod lot;
#[cfg(any(target_family = "wasm", test))]
mod std_lot;
#[cfg(target_family = "wasm")]
use std_lot as lot;

pub(crate) use core::sync::atomic::{AtomicBool, AtomicIsize, AtomicPtr, AtomicU64, AtomicUsize, Ordering};
#[cfg(feature = "detect")]
pub(crate) use core::sync::atomic::{AtomicU32, fence};
pub(crate) use lot::{Mutex, park, unpark_all};

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
