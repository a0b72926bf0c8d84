//! The concurrent map under loom: the shipped files, given loom's atomics and locks. A reader meets a copier that replaces the table,
//! in every interleaving and with every value that the orderings let it see.
//!
//! Not for sanitizers: loom runs threads on stacks of its own, and what a failed execution leaves behind is not dropped. Epochs are the
//! model's, and nothing is freed before the map goes. Invariant: the model is so small that loom gets through all of it.

/// What `harness` knows the checker as.
use loom as checker;

#[path = "checked/harness.rs"]
mod harness;
use harness::{concurrent, epoch, hash, raw, sync};

use std::hash::{BuildHasherDefault, DefaultHasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicU64;

use concurrent::ConcurrentMap;
use concurrent::bucket::Entry;
use concurrent::lane::Lane;
use concurrent::rules::{Fault, Fresh, Rules};
use loom::sync::atomic::AtomicUsize;
use loom::sync::atomic::Ordering::Relaxed;
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
            executions.fetch_add(1, Relaxed);
            replacing::<R>();
        });
    }));
    (outcome.is_ok(), executions.load(Relaxed))
}

#[test]
fn a_table_that_is_replaced_is_seen_whole() {
    let (passes, executions) = passes::<Fresh>();
    assert!(passes && executions > 10, "{executions} executions");
}

/// Entries go from a lane's thread to whoever has the shard's lock: each once, and unlinked as its taker sees it.
#[test]
fn a_lane_hands_over_each_entry_once_and_unlinked() {
    type Unlinked = loom::sync::Arc<AtomicUsize>;
    loom::model(|| {
        let lane = loom::sync::Arc::new((Lane::<u32, Unlinked>::new(), sync::Mutex::new(0)));
        let take = |lane: &(Lane<u32, Unlinked>, sync::Mutex<u32>)| {
            let mut seen = lane.1.lock();
            lane.0.take(|entry| {
                // SAFETY: a box, put in once and taken once.
                let entry = unsafe { Box::from_raw(entry) };
                assert_eq!(entry.value.load(Relaxed), 1, "taken before it was unlinked");
                assert_eq!(*seen & entry.key, 0, "taken twice");
                *seen |= entry.key;
            });
            *seen
        };
        let other = lane.clone();
        let taker = thread::spawn(move || take(&other));
        for key in [1, 2] {
            let unlinked = Unlinked::default();
            let entry = Box::new(Entry { key, value: unlinked.clone() });
            unlinked.store(1, Relaxed);
            assert!(!lane.0.put(Box::into_raw(entry)));
        }
        taker.join().expect("the taker ends");
        assert_eq!((take(&lane), lane.0.len()), (3, 0));
    });
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
