//! The allocator's own lock: a futex word behind `lock_api`.
//!
//! Owned by spans, the region and the heap registry. A general-purpose lock's slow path may allocate,
//! and one that spins starves the holder under real-time priorities; this one does neither.
//! Invariant: it never allocates, and a thread that waits sleeps in the kernel.
#![allow(unsafe_code)]

use core::sync::atomic::{AtomicU32, Ordering};

use lock_api::{GuardNoSend, RawMutex};

use crate::sys;
use crate::thread;

/// A mutex that the allocator may take inside malloc and free.
pub(crate) type FutexMutex<T> = lock_api::Mutex<FutexLock, T>;

const FREE: u32 = 0;
const HELD: u32 = 1;
/// Held, and somebody may sleep on the word.
const AWAITED: u32 = 2;

/// Three states of one word, after Drepper, "Futexes Are Tricky", second mutex.
pub(crate) struct FutexLock(AtomicU32);

// SAFETY: the word changes from FREE to another value in one compare-and-swap or swap of a single
// thread, which holds the lock until that thread stores FREE: mutual exclusion.
unsafe impl RawMutex for FutexLock {
    const INIT: Self = Self(AtomicU32::new(FREE));
    type GuardMarker = GuardNoSend;

    #[inline]
    fn lock(&self) {
        // Acquire pairs with the release in `unlock`: what the holder before wrote is seen.
        if self.0.compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::Relaxed).is_err() {
            self.lock_contended();
        }
    }

    #[inline]
    fn try_lock(&self) -> bool {
        self.0.compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    #[inline]
    unsafe fn unlock(&self) {
        // Release pairs with the acquires in `lock`, `try_lock` and `lock_contended`.
        if self.0.swap(FREE, Ordering::Release) == AWAITED {
            wake_one(&self.0);
        }
    }
}

impl FutexLock {
    #[cold]
    fn lock_contended(&self) {
        // Acquire as in `lock`. Who gets the lock here leaves AWAITED behind: it can't know whether
        // others still sleep, and one needless wake is cheaper than a lost one.
        while self.0.swap(AWAITED, Ordering::Acquire) != FREE {
            // A wait that need not sleep is told by an error.
            sys::keeping_errno(|| wait_while(&self.0, AWAITED));
        }
    }
}

#[cfg(all(target_os = "linux", not(bucketmask_portable)))]
fn wait_while(word: &AtomicU32, value: u32) {
    wait_at_most(word, value, None);
}

/// Sleeps while the word has that value, until woken or that many milliseconds are over; may return early.
#[cfg(all(target_os = "linux", not(bucketmask_portable)))]
pub(crate) fn wait_at_most(word: &AtomicU32, value: u32, milliseconds: Option<u32>) {
    let operation = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
    let timeout = milliseconds.map(thread::timespec);
    let timeout = timeout.as_ref().map_or(core::ptr::null(), core::ptr::from_ref);
    // SAFETY: the kernel reads the word and the time, which outlive the call.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), operation, value, timeout) };
}

/// Wakes one that sleeps on the word.
#[cfg(all(target_os = "linux", not(bucketmask_portable)))]
pub(crate) fn wake_one(word: &AtomicU32) {
    // SAFETY: wakes sleepers of this address, reads nothing.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG, 1) };
}

/// Without futexes: sleep a little and look again.
#[cfg(not(all(target_os = "linux", not(bucketmask_portable))))]
fn wait_while(_word: &AtomicU32, _value: u32) {
    let nap = libc::timespec { tv_sec: 0, tv_nsec: 50_000 };
    // SAFETY: sleeps; the second argument may be null.
    unsafe { libc::nanosleep(&nap, core::ptr::null_mut()) };
}

/// As the one with futexes, but that a wake is noticed only after a while.
#[cfg(not(all(target_os = "linux", not(bucketmask_portable))))]
pub(crate) fn wait_at_most(word: &AtomicU32, value: u32, milliseconds: Option<u32>) {
    const NAP: u32 = 100;
    let mut left = milliseconds.unwrap_or(u32::MAX);
    while left > 0 && word.load(Ordering::Relaxed) == value {
        thread::sleep(NAP.min(left));
        left -= NAP.min(left);
    }
}

#[cfg(not(all(target_os = "linux", not(bucketmask_portable))))]
pub(crate) fn wake_one(_word: &AtomicU32) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_under_the_lock_loses_no_step() {
        static COUNTER: FutexMutex<u64> = FutexMutex::new(0);
        let threads = [(); 4].map(|()| {
            std::thread::spawn(|| {
                for _ in 0..20_000 {
                    *COUNTER.lock() += 1;
                }
            })
        });
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(*COUNTER.lock(), 80_000);
    }

    #[test]
    fn a_held_lock_is_not_had_twice() {
        let lock = FutexMutex::new(());
        let guard = lock.lock();
        assert!(lock.try_lock().is_none());
        drop(guard);
        assert!(lock.try_lock().is_some());
    }
}
