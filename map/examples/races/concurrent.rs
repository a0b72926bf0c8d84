//! The concurrent map with a rule broken, and as it is.
//!
//! Owned by `main`. Invariant: as there.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use bucketmask_map::ConcurrentMap;
use bucketmask_map::concurrent::rules::{Fault, Rules};

use crate::together;

/// The concurrent map's pointer to its table, loaded without an order.
pub(crate) struct Loose;

impl Rules for Loose {
    const FAULT: Fault = Fault::RelaxedTable;
}

pub(crate) fn churn<R: Rules>() {
    let map = ConcurrentMap::<u64, Box<u64>, _, R>::with_rules(16, std::hash::RandomState::new());
    let write = || {
        for key in 0..1500 {
            map.insert(key, Box::new(key));
            if key % 3 == 0 {
                map.remove(&(key / 2));
            }
        }
    };
    let read = || {
        for key in (0..1500).chain(0..1500) {
            map.read(&key, |value| assert_eq!(**value, key));
        }
    };
    together(write, read);
}

/// The same with entries that are freed while guards may see them.
struct Hasty;

impl Rules for Hasty {
    const GRACE: u64 = 0;
}

/// A value that is written to when it is dropped.
struct Marked(u64);

impl Drop for Marked {
    fn drop(&mut self) {
        self.0 = black_box(0);
        black_box(&self.0);
    }
}

pub(crate) fn freed_before_its_time() {
    let map = ConcurrentMap::<u64, Marked, _, Hasty>::with_rules(64, std::hash::RandomState::new());
    map.insert(0, Marked(0));
    // Relaxed: the threads meet, and nothing is ordered by it.
    let (seen, freed) = (AtomicBool::new(false), AtomicBool::new(false));
    let wait_for = |told: &AtomicBool| {
        while !told.load(Ordering::Relaxed) {
            thread::yield_now();
        }
    };
    let write = || {
        wait_for(&seen);
        // No more than that: the sanitizer forgets what a thread did thousands of steps ago, and reports no race with it then.
        map.insert(0, Marked(1));
        map.collect_garbage();
        freed.store(true, Ordering::Relaxed);
    };
    let read = || {
        let guard = map.pin();
        let value = guard.get(&0).expect("inserted above");
        seen.store(true, Ordering::Relaxed);
        wait_for(&freed);
        // SAFETY: a reference that the guard should keep alive. Volatile, so that it is read now.
        black_box(unsafe { std::ptr::from_ref(&value.0).read_volatile() });
    };
    together(write, read);
}
