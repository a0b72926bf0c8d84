//! Races on purpose, and uses that look like races and are none: what `ThreadSanitizer` is asked about by `ci/tsan.sh`.
//!
//! `races` lists the scenarios, a line each: name, and `race`, `sound`, `unseen` or `std`. `races NAME` runs one, says when it begins, and repeats
//! it until the sanitizer ends the process or 600 ms are over. Invariant: a scenario of the first kind has a data race in every
//! repetition. The others have none, but one of the third kind is taken for a race where nobody tells the sanitizer what orders it, and one of
//! the fourth where the standard library that orders it is not instrumented.

#![allow(unsafe_code)]

mod carried;
mod concurrent;
mod tables;
mod waits;

use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bucketmask_alloc::BucketAlloc;
use bucketmask_alloc::sync::ordered::ReleaseAcquire;
use bucketmask_map::concurrent::rules::Fresh;

use carried::Careless;
use concurrent::Loose;

#[global_allocator]
static ALLOC: BucketAlloc = BucketAlloc;

/// How long a scenario is repeated.
const TIME: Duration = Duration::from_millis(600);

/// What is shared without anything that orders its uses.
struct Unguarded<T>(UnsafeCell<T>);

// SAFETY: none; that is what is to be found. What the threads make of it stays in this process.
unsafe impl<T> Sync for Unguarded<T> {}
// SAFETY: as above.
unsafe impl<T> Send for Unguarded<T> {}

impl<T> Unguarded<T> {
    fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    #[expect(clippy::mut_from_ref, reason = "the race")]
    fn get(&self) -> &mut T {
        // SAFETY: none, see the type.
        unsafe { &mut *self.0.get() }
    }
}

/// Runs both at once, begun together.
fn together(first: impl FnOnce() + Send, second: impl FnOnce() + Send) {
    let ready = AtomicUsize::new(0);
    let begin = || {
        ready.fetch_add(1, Ordering::Relaxed);
        while ready.load(Ordering::Relaxed) < 2 {
            thread::yield_now();
        }
    };
    thread::scope(|scope| {
        let other = scope.spawn(|| {
            begin();
            first();
        });
        begin();
        second();
        // A join is seen; what a scope waits for at its end is not.
        other.join().expect("no panic");
    });
}

/// Name, what there is to find, and what to do.
const SCENARIOS: &[(&str, &str, fn())] = &[
    ("map-write-and-write", "race", tables::map_write_and_write),
    ("map-read-and-write", "race", tables::map_read_and_write),
    ("map-iterate-and-write", "race", tables::map_iterate_and_write),
    ("published-relaxed", "race", carried::published_relaxed),
    ("ring-relaxed", "race", carried::over_a_ring::<Careless>),
    ("channel-relaxed", "race", carried::over_a_channel::<Careless>),
    ("block-used-by-two", "race", carried::block_used_by_two),
    ("arena-used-by-two", "race", tables::arena_used_by_two),
    ("concurrent-map-table-relaxed", "race", concurrent::churn::<Loose>),
    ("concurrent-map-freed-early", "race", concurrent::freed_before_its_time),
    ("map-read-and-read", "sound", tables::read_and_read),
    ("iterate-while-collecting", "sound", tables::iterate_while_collecting),
    ("published-release", "sound", carried::published_release),
    ("ring", "sound", carried::over_a_ring::<ReleaseAcquire>),
    ("channel", "sound", carried::over_a_channel::<ReleaseAcquire>),
    ("freed-by-another", "sound", carried::freed_by_another),
    ("concurrent-map-growing", "sound", concurrent::churn::<Fresh>),
    ("wait-and-notify-told", "sound", waits::wait_told),
    ("park-and-unpark", "sound", waits::park_and_unpark),
    ("fences-told", "sound", waits::fences_told),
    ("fences-untold", "unseen", waits::fences_untold),
    ("wait-and-notify-untold", "std", waits::wait_untold),
    ("mpsc", "std", carried::over_mpsc),
];

fn main() {
    let Some(name) = std::env::args().nth(1) else {
        for (name, kind, _) in SCENARIOS {
            println!("{name} {kind}");
        }
        return;
    };
    let Some((_, _, scenario)) = SCENARIOS.iter().find(|scenario| scenario.0 == name) else {
        eprintln!("no scenario is called {name}; without a name they are listed");
        std::process::exit(2);
    };
    eprintln!("begins");
    let begun = Instant::now();
    let mut repetitions = 0;
    while begun.elapsed() < TIME {
        scenario();
        repetitions += 1;
    }
    println!("{name}: {repetitions} times");
}
