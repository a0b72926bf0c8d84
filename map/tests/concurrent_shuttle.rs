//! The concurrent map over many schedules that shuttle draws: the shipped files, given shuttle's atomics and locks. Faults that
//! need no weak ordering to show are found.
//!
//! Not for sanitizers: shuttle runs threads on stacks of its own, which none can follow. Epochs are the model's, and nothing is freed before the map
//! goes; loom has the orderings (`bucketmask visibility`), the threads' tests the epochs.

/// What `harness` knows the checker as.
use shuttle as checker;

#[path = "checked/harness.rs"]
mod harness;
use harness::{concurrent, epoch, hash, raw, sync};

use std::hash::{BuildHasherDefault, DefaultHasher};
use std::panic::{AssertUnwindSafe, catch_unwind};

use concurrent::ConcurrentMap;
use concurrent::rules::{Fault, Fresh, Mirrored, Rules};
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::sync::Arc;
use shuttle::{Config, Runner, thread};

type Map<R> = ConcurrentMap<u32, u32, BuildHasherDefault<DefaultHasher>, R>;

/// Keys that are there all the time.
const KEYS: u32 = 4;
/// A copier, a writer that raises the values of keys and removes one, and a reader.
///
/// Values only rise, and the key that is gone stays gone: what a reader sees must too, whichever table it reads.
fn moving<R: Rules>() {
    let map = Arc::new(Map::<R>::with_rules(60, BuildHasherDefault::default()));
    (0..KEYS).for_each(|key| assert!(!map.insert(key, 0)));
    // A key of the first bucket, which is flipped long before the migration ends.
    let goes = (100..1000).find(|key| map.mark_of(key).0 == 0).expect("some key is of the first bucket");
    map.insert(goes, 0);
    assert!(map.begin_migration(90));
    let copier = {
        let map = Arc::clone(&map);
        thread::spawn(move || while map.migrate_step(1) {})
    };
    let writer = {
        let map = Arc::clone(&map);
        thread::spawn(move || {
            for value in 1..3 {
                assert_eq!(map.remove(&goes), value == 1, "what is gone is gone");
                assert!(!map.contains_key(&goes), "an own delete is not seen");
                for key in 0..KEYS {
                    let guard = map.pin();
                    assert_eq!(guard.insert(key, value), Some(&(value - 1)), "a write is lost");
                    assert_eq!(guard.get(&key), Some(&value), "an own write is not seen");
                }
            }
        })
    };
    let (mut seen, mut gone) = ([0; KEYS as usize], false);
    for _ in 0..3 {
        for key in 0..KEYS {
            let value = map.get_cloned(&key).expect("the key is there all the time");
            assert!(value >= seen[key as usize], "a value went back");
            seen[key as usize] = value;
        }
        let there = map.contains_key(&goes);
        assert!(!(gone && there), "a delete came back");
        gone = !there;
    }
    copier.join().unwrap();
    writer.join().unwrap();
    assert!((0..KEYS).all(|key| map.get_cloned(&key) == Some(2)) && !map.contains_key(&goes));
    assert_eq!((map.len(), map.pin().iter().count()), (KEYS as usize, KEYS as usize));
}

/// Two writers and upkeep as it comes: a map that grows from one home.
fn growing() {
    let map = Arc::new(Map::<Fresh>::with_rules(0, BuildHasherDefault::default()));
    let writers: Vec<_> = (0..2)
        .map(|writer| {
            let map = Arc::clone(&map);
            thread::spawn(move || {
                for nth in 0..12 {
                    let key = nth * 2 + writer;
                    assert!(!map.insert(key, key));
                    assert_eq!(map.get_cloned(&key), Some(key));
                    if nth % 3 == 0 {
                        assert!(map.remove(&key));
                    }
                }
            })
        })
        .collect();
    for writer in writers {
        writer.join().unwrap();
    }
    assert_eq!((map.len(), map.pin().iter().count()), (16, 16));
}

/// Runs a model by the scheduler's schedules. Shuttle's atomics are large, and a map is made on the stack.
fn check(scheduler: impl Scheduler + 'static, model: fn()) {
    let mut config = Config::new();
    config.stack_size = 1 << 20;
    Runner::new(scheduler, config).run(model);
}

macro_rules! broken {
    ($($name:ident: $fault:ident)*) => {$(
        enum $fault {}
        impl Rules for $fault {
            const FAULT: Fault = Fault::$fault;
        }

        #[test]
        fn $name() {
            let found = catch_unwind(AssertUnwindSafe(|| check(RandomScheduler::new(20_000), moving::<$fault>)));
            assert!(found.is_err(), "no schedule shows it");
        }
    )*};
}

broken! {
    a_flip_without_exclusion_is_found: NoExclusion
    an_early_flip_is_found: EarlyFlip
    an_overwriting_copier_is_found: Overwrite
    a_mark_off_by_one_is_found: OffByOne
    a_naive_read_is_found: NaiveRead
}

#[test]
fn no_schedule_shows_a_wrong_value() {
    check(RandomScheduler::new(3000), moving::<Fresh>);
    check(PctScheduler::new(3, 1500), moving::<Fresh>);
}

#[test]
fn nor_where_guards_keep_their_view() {
    check(RandomScheduler::new(2000), moving::<Mirrored>);
}

#[test]
fn nor_while_a_map_grows() {
    check(RandomScheduler::new(800), growing);
}
