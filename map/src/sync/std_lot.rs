//! Where threads sleep on WebAssembly: locks and condition variables of std, which wait by `memory.atomic.wait32` there.
//!
//! `parking_lot` waits there with unstable features only, and panics without. What is compiled without threads (no target feature
//! `atomics`) never comes to wait; std panics if it does. Owned by `sync`.
//! Invariant: who parks looks whether it is still to do so, and falls asleep, in one step for who unparks.

#![cfg_attr(not(target_family = "wasm"), allow(dead_code, reason = "tested everywhere"))]

use std::sync::{Condvar, MutexGuard, PoisonError};

/// A lock that knows no poison: what it guards is whole whenever user code could panic.
pub(crate) struct Mutex<T>(std::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(std::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place to sleep, for all the words whose addresses lead to it: who is woken for another's word sleeps again.
struct Space {
    lock: Mutex<()>,
    woken: Condvar,
}

static SPACES: [Space; 64] = [const { Space { lock: Mutex::new(()), woken: Condvar::new() } }; 64];

/// Buckets lie at multiples of 128.
fn space(address: usize) -> &'static Space {
    &SPACES[(address / 128) % SPACES.len()]
}

/// Sleeps until the word at `address` is unlocked, unless `still` says that there is nothing to wait for any more. May wake before.
pub(crate) fn park(address: usize, still: impl FnOnce() -> bool) {
    let space = space(address);
    let held = space.lock.lock();
    if still() {
        drop(space.woken.wait(held));
    }
}

/// Wakes all that sleep on the word at `address`.
pub(crate) fn unpark_all(address: usize) {
    let space = space(address);
    // Who asked `still` before the word changed sleeps once the lock is to be had; who asks later sees the change.
    drop(space.lock.lock());
    space.woken.notify_all();
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
    use std::time::Duration;

    #[test]
    fn nobody_sleeps_through_an_unlock() {
        const THREADS: u32 = 4;
        const TURNS: u32 = 2000;
        let (locked, parked, turns) = (AtomicBool::new(false), AtomicBool::new(false), AtomicU32::new(0));
        let word = std::ptr::from_ref(&locked).addr();
        let take_turns = || {
            for _ in 0..TURNS {
                while locked.swap(true, Ordering::Acquire) {
                    parked.store(true, Ordering::SeqCst);
                    park(word, || locked.load(Ordering::SeqCst));
                }
                // Not atomic but for the lock.
                turns.store(turns.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
                if turns.load(Ordering::Relaxed) % 64 == 0 {
                    std::thread::sleep(Duration::from_micros(50));
                }
                locked.store(false, Ordering::SeqCst);
                if parked.load(Ordering::SeqCst) {
                    unpark_all(word);
                }
            }
        };
        std::thread::scope(|threads| {
            let running: Vec<_> = (0..THREADS).map(|_| threads.spawn(take_turns)).collect();
            for thread in running {
                thread.join().expect("it does not panic");
            }
        });
        assert_eq!(turns.load(Ordering::Relaxed), THREADS * TURNS);
        assert!(parked.load(Ordering::Relaxed), "nobody ever had to wait");
    }

    #[test]
    fn who_has_nothing_to_wait_for_does_not_sleep() {
        park(128, || false);
    }
}
