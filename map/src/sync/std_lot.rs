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
    use std::sync::{Arc, mpsc};
    use std::time::Duration;

    /// Addresses, one a test, that lead to spaces of their own: no test wakes another's threads.
    const HELD: usize = 128;
    const ASKED: usize = 256;

    #[derive(Default)]
    struct Word {
        locked: AtomicBool,
        parked: AtomicBool,
        turns: AtomicU32,
    }

    const THREADS: u32 = 4;
    const TURNS: u32 = 500;

    /// Takes the lock and leaves it, as buckets are locked, and holds it for a while now and then.
    fn take_turns(word: &Word) {
        for turn in 0..TURNS {
            while word.locked.swap(true, Ordering::SeqCst) {
                word.parked.store(true, Ordering::SeqCst);
                park(HELD, || word.locked.load(Ordering::SeqCst) && word.parked.load(Ordering::SeqCst));
            }
            // Two accesses: only the lock makes them one.
            word.turns.store(word.turns.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
            if turn % 8 == 0 {
                std::thread::sleep(Duration::from_micros(100));
            }
            word.locked.store(false, Ordering::SeqCst);
            if word.parked.swap(false, Ordering::SeqCst) {
                unpark_all(HELD);
            }
        }
    }

    #[test]
    fn nobody_sleeps_through_an_unlock() {
        let word = Arc::new(Word::default());
        let (done, ended) = mpsc::channel();
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                let (word, done) = (Arc::clone(&word), done.clone());
                std::thread::spawn(move || {
                    take_turns(&word);
                    done.send(()).expect("the test waits");
                })
            })
            .collect();
        for _ in 0..THREADS {
            ended.recv_timeout(Duration::from_secs(60)).expect("a thread sleeps though the word is unlocked");
        }
        for thread in threads {
            thread.join().expect("it does not panic");
        }
        assert_eq!(word.turns.load(Ordering::Relaxed), THREADS * TURNS);
    }

    #[test]
    fn who_is_about_to_sleep_is_woken_too() {
        let (done, ended) = mpsc::channel();
        let (asked, asking) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let still = || {
                asked.send(()).expect("the test waits");
                // Who unparks comes now, and nobody sleeps yet.
                std::thread::sleep(Duration::from_millis(50));
                true
            };
            park(ASKED, still);
            done.send(()).expect("the test waits");
        });
        asking.recv().expect("it asks");
        unpark_all(ASKED);
        ended.recv_timeout(Duration::from_secs(60)).expect("a thread sleeps though the word is unlocked");
        thread.join().expect("it does not panic");
    }

    #[test]
    fn who_has_nothing_to_wait_for_does_not_sleep() {
        park(384, || false);
    }
}
