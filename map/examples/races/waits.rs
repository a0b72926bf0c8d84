//! Threads that wait for each other, and fences: what orders them may be told to the sanitizer or not.
//!
//! Owned by `main`. Invariant: as there.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use std::sync::{Condvar, Mutex};
use std::thread;
use std::time::Duration;

use crate::{Unguarded, together};

pub(crate) fn park_and_unpark() {
    let value = Unguarded::new(0u64);
    let told = AtomicBool::new(false);
    let waiter = thread::current();
    thread::scope(|scope| {
        let other = scope.spawn(|| {
            *value.get() = 7;
            told.store(true, Ordering::Release);
            waiter.unpark();
        });
        while !told.load(Ordering::Acquire) {
            thread::park_timeout(Duration::from_micros(50));
        }
        assert_eq!(*value.get(), 7);
        other.join().expect("no panic");
    });
}

#[cfg(bucketmask_told)]
unsafe extern "C" {
    fn __tsan_acquire(address: *mut core::ffi::c_void);
    fn __tsan_release(address: *mut core::ffi::c_void);
}

/// Tells the sanitizer that what came before is ordered before what follows whoever is told of the same word later: it does not model fences,
/// and does not see what happens inside a standard library that is not built for it.
fn tell(word: &AtomicUsize, releases: bool) {
    #[cfg(bucketmask_told)]
    // SAFETY: the runtime's own entry points; the address is only a name.
    unsafe {
        let name = core::ptr::from_ref(word).cast_mut().cast();
        if releases { __tsan_release(name) } else { __tsan_acquire(name) }
    }
    #[cfg(not(bucketmask_told))]
    let _ = (word, releases);
}

/// Waits with a timeout for who wakes; either may come first. What a contended lock or a wait does inside the
/// standard library is not seen.
fn wait_and_notify(tells: bool) {
    let pair = (Mutex::new((false, 0u64)), Condvar::new());
    let word = AtomicUsize::new(0);
    let tell = |releases| {
        if tells {
            tell(&word, releases);
        }
    };
    let wake = || {
        let mut state = pair.0.lock().expect("no panic");
        tell(false);
        *state = (true, 7);
        tell(true);
        drop(state);
        pair.1.notify_one();
    };
    let wait = || {
        let mut state = pair.0.lock().expect("no panic");
        tell(false);
        while !state.0 {
            tell(true);
            state = pair.1.wait_timeout(state, Duration::from_micros(50)).expect("no panic").0;
            tell(false);
        }
        assert_eq!(state.1, 7);
    };
    together(wake, wait);
}

pub(crate) fn wait_told() {
    wait_and_notify(true);
}

pub(crate) fn wait_untold() {
    wait_and_notify(false);
}
/// Data ordered by fences alone, with or without a word to the sanitizer.
fn over_fences(tells: bool) {
    let (data, word) = (Unguarded::new(0u64), AtomicUsize::new(0));
    let give = || {
        *data.get() = 7;
        if tells {
            tell(&word, true);
        }
        fence(Ordering::Release);
        word.store(1, Ordering::Relaxed);
    };
    let take = || {
        while word.load(Ordering::Relaxed) == 0 {
            thread::yield_now();
        }
        fence(Ordering::Acquire);
        if tells {
            tell(&word, false);
        }
        assert_eq!(*data.get(), 7);
    };
    together(give, take);
}

pub(crate) fn fences_told() {
    over_fences(true);
}

pub(crate) fn fences_untold() {
    over_fences(false);
}
