//! The concurrent map under loom: the shipped files, given loom's atomics and locks. A reader meets a copier that replaces the table,
//! in every interleaving and with every value that the orderings let it see.
//!
//! Not for sanitizers: loom runs threads on stacks of its own, and what a failed execution leaves behind is not dropped. Epochs are the
//! model's, and nothing is freed before the map goes. Invariant: the model is so small that loom gets through all of it.

/// What the map knows as `crate::sync`.
mod sync {
    pub(crate) use loom::sync::atomic::{
        AtomicBool, AtomicIsize, AtomicPtr, AtomicU64, AtomicUsize, Ordering,
    };

    pub(crate) const ZEROS_ARE_NEW: bool = false;

    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
            self.0.lock().expect("nobody panics with a shard's lock")
        }
    }

    pub(crate) fn pause(_: u32) -> bool {
        loom::thread::yield_now();
        true
    }

    pub(crate) fn park(_: usize, _: impl FnOnce() -> bool) {
        unreachable!("who pauses for ever does not park");
    }

    pub(crate) fn unpark_all(_: usize) {}
}

#[path = "shuttle/epoch.rs"]
mod epoch;

#[allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    clippy::all,
    clippy::pedantic,
    reason = "linted where it is shipped"
)]
#[path = "../src/concurrent/mod.rs"]
mod concurrent;
#[allow(dead_code, reason = "the model uses a part of it")]
#[path = "../src/hash.rs"]
mod hash;
#[path = "shuttle/raw.rs"]
mod raw;

use std::hash::{BuildHasherDefault, DefaultHasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

use concurrent::ConcurrentMap;
use concurrent::rules::{Fault, Fresh, Rules};
use loom::thread;

type Map<R> = ConcurrentMap<u32, u32, BuildHasherDefault<DefaultHasher>, R>;

/// A copier moves the only bucket, replaces the table, and writes to the new one, which a reader that comes meanwhile, or after, finds by
/// its pointer alone.
///
/// The copier is the first thread: of a load, loom remembers only the last before a store, so it must meet the stores first.
fn replacing<R: Rules>() {
    let map: &Map<R> = Box::leak(Box::new(Map::with_rules(0, BuildHasherDefault::default())));
    assert!(!map.insert(1, 7));
    let reader = thread::spawn(move || {
        let first = map.get_cloned(&1).expect("the key is there all the time");
        let second = map.get_cloned(&1).expect("the key is there all the time");
        assert!((7..=8).contains(&first) && (first..=8).contains(&second), "a value went back");
    });
    assert!(map.begin_migration(1));
    assert!(!map.migrate_step(1), "its only bucket");
    assert!(map.insert(1, 8));
    reader.join().expect("the reader ends");
    assert_eq!(map.get_cloned(&1), Some(8));
}

/// Whether loom finds nothing wrong under the rules `R`, and how many executions it looked at.
fn passes<R: Rules>() -> (bool, u64) {
    let executions: &AtomicU64 = Box::leak(Box::new(AtomicU64::new(0)));
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        loom::model::Builder::new().check(|| {
            executions.fetch_add(1, Ordering::Relaxed);
            replacing::<R>();
        });
    }));
    (outcome.is_ok(), executions.load(Ordering::Relaxed))
}

#[test]
fn a_table_that_is_replaced_is_seen_whole() {
    let (passes, executions) = passes::<Fresh>();
    assert!(passes && executions > 10, "{executions} executions");
}

macro_rules! broken {
    ($($name:ident: $fault:ident)*) => {$(
        #[test]
        fn $name() {
            enum Broken {}
            impl Rules for Broken {
                const FAULT: Fault = Fault::$fault;
            }
            assert!(!passes::<Broken>().0, "no execution shows it");
        }
    )*};
}

broken! {
    pointers_to_tables_that_are_loaded_relaxed_are_found: RelaxedTable
    an_early_flip_is_found: EarlyFlip
}
