//! The shipped files of the concurrent map on a checker's atomics and locks: what they know as parts of their crate.
//!
//! Owned by `concurrent_shuttle.rs` and `concurrent_loom.rs`, which name the checker (`crate::checker`) and take these modules up as their own.
//! Invariant: what is not the checker's, or the model's epoch, is the shipped file.

/// What the map knows as `crate::sync`.
pub(crate) mod sync {
    pub(crate) use crate::checker::sync::atomic::{
        AtomicBool, AtomicIsize, AtomicPtr, AtomicU64, AtomicUsize, Ordering,
    };

    pub(crate) const ZEROS_ARE_NEW: bool = false;

    pub(crate) struct Mutex<T>(crate::checker::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(crate::checker::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> crate::checker::sync::MutexGuard<'_, T> {
            self.0.lock().expect("nobody panics with a shard's lock")
        }
    }

    pub(crate) fn pause(_: u32) -> bool {
        crate::checker::thread::yield_now();
        true
    }

    pub(crate) fn park(_: usize, _: impl FnOnce() -> bool) {
        unreachable!("who pauses for ever does not park");
    }

    pub(crate) fn unpark_all(_: usize) {}
}

#[path = "epoch.rs"]
pub(crate) mod epoch;

#[allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    clippy::all,
    clippy::pedantic,
    reason = "linted where it is shipped"
)]
#[path = "../../src/concurrent/mod.rs"]
pub(crate) mod concurrent;
#[allow(dead_code, reason = "the model uses a part of it")]
#[path = "../../src/hash.rs"]
pub(crate) mod hash;
#[path = "raw.rs"]
pub(crate) mod raw;
