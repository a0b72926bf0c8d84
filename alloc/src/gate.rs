//! The gate before mimalloc: it has no handler for forks, and a child would find its locks held for ever by
//! threads that it does not have. So a fork waits until nobody is inside, and nobody enters meanwhile.
//!
//! Passed by `large` alone, closed by `fork` alone. Invariant: while the gate is closed nobody is inside. Who waits
//! before it may hold the list of idle heaps, and who is inside may want a span: so a fork closes it after
//! the one and before the others.
#![allow(unsafe_code)]

use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use lock_api::RawMutex;

use crate::lock::FutexMutex;
use crate::{slot, sys, thread};

/// Counters, so that threads seldom share one.
const PLACES: usize = 16;

#[repr(align(64))]
struct Inside(AtomicU32);

/// Threads inside, by place.
static INSIDE: [Inside; PLACES] = [const { Inside(AtomicU32::new(0)) }; PLACES];
static CLOSED: AtomicBool = AtomicBool::new(false);
/// Held while the gate is closed: what those who wait sleep on.
static FORK: FutexMutex<()> = FutexMutex::new(());

/// Runs `calls` inside, and puts `errno` back after them.
pub(crate) fn pass<R>(calls: impl FnOnce() -> R) -> R {
    // Heaps are OS pages apart at least.
    let place = &INSIDE[slot::get().addr() / sys::OS_PAGE % PLACES].0;
    loop {
        // SeqCst pairs with `close`: either it sees this thread inside, or this thread sees it closed.
        place.fetch_add(1, Ordering::SeqCst);
        if !CLOSED.load(Ordering::SeqCst) {
            break;
        }
        place.fetch_sub(1, Ordering::Relaxed);
        drop(FORK.lock());
    }
    let result = sys::keeping_errno(calls);
    // Release pairs with the acquire in `close`: what was done inside is done for the child too.
    place.fetch_sub(1, Ordering::Release);
    result
}

/// Closes the gate and waits until nobody is inside. The caller is not.
pub(crate) fn close() {
    core::mem::forget(FORK.lock());
    CLOSED.store(true, Ordering::SeqCst);
    for place in &INSIDE {
        // SeqCst as in `pass`; it is an acquire too.
        while place.0.load(Ordering::SeqCst) != 0 {
            thread::sleep(1);
        }
    }
}

/// Opens it again.
///
/// # Safety
/// Closed by this thread, or, in a child, by the thread that forked.
pub(crate) unsafe fn open() {
    CLOSED.store(false, Ordering::SeqCst);
    // SAFETY: held since `close`, whose guard was forgotten.
    unsafe { FORK.raw().unlock() };
}

#[cfg(test)]
mod tests {
    use core::time::Duration;
    use std::thread;

    use super::*;

    #[test]
    fn who_closes_waits_for_those_inside_and_the_others_wait_for_it() {
        static LEFT: AtomicBool = AtomicBool::new(false);
        static ENTERED: AtomicBool = AtomicBool::new(false);
        let (left, entered) = (&LEFT, &ENTERED);
        let inside = thread::spawn(|| {
            pass(|| {
                entered.store(true, Ordering::Release);
                thread::sleep(Duration::from_millis(50));
                left.store(true, Ordering::Release);
            });
        });
        while !entered.load(Ordering::Acquire) {
            thread::yield_now();
        }
        close();
        assert!(left.load(Ordering::Acquire), "closed with a thread inside");
        let late = thread::spawn(|| pass(|| left.store(false, Ordering::Release)));
        thread::sleep(Duration::from_millis(20));
        assert!(left.load(Ordering::Acquire), "entered a closed gate");
        // SAFETY: closed above.
        unsafe { open() };
        inside.join().unwrap();
        late.join().unwrap();
        assert!(!left.load(Ordering::Acquire));
    }
}
