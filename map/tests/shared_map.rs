//! `SharedMap`: with promises kept it is a map and says nothing; with the feature `detect`, each forced overlap is found, by the right name, before
//! any harm.
//!
//! Overlaps are forced by keys and closures that park inside an operation, so who is inside is certain. Whoever finds one has not touched the table yet, so
//! that the tests of broken promises are free of races themselves, and run under `ThreadSanitizer`. Invariant: threads are joined before a test ends.

mod common;
#[cfg(feature = "detect")]
#[path = "shared_map/forced.rs"]
mod forced;
#[cfg(feature = "detect")]
#[path = "shared_map/gate.rs"]
mod gate;
#[cfg(feature = "detect")]
#[path = "shared_map/reports.rs"]
mod reports;

use bucketmask_map::raw::SharedMap;
use common::{ALL_HASHERS, Seeded};
use libtest_mimic::{Arguments, Trial};
use parking_lot::{Condvar, Mutex};
use std::collections::HashMap as Model;
use std::sync::Arc;
use std::thread;

/// Runs `work` on so many threads at once, numbered, and joins each.
fn on_threads(count: u64, work: impl Fn(u64) + Sync) {
    thread::scope(|threads| {
        let work = &work;
        let running: Vec<_> = (0..count).map(|number| threads.spawn(move || work(number))).collect();
        for thread in running {
            thread.join().expect("it does not panic");
        }
    });
}

/// Every operation does what it does to a map.
fn it_is_a_map() {
    for hasher in ALL_HASHERS {
        let (map, mut model) = (SharedMap::with_hasher(hasher), Model::new());
        let mut seeded = Seeded(11);
        for step in 0..20_000u64 {
            let key = seeded.below(300);
            // SAFETY: one thread, one operation after the other.
            unsafe {
                match seeded.below(8) {
                    0..3 => assert_eq!(map.insert(key, step), model.insert(key, step)),
                    3 => assert_eq!(map.remove(&key), model.remove(&key)),
                    4 => {
                        let old = map.update(&key, |value| std::mem::replace(value, step));
                        assert_eq!(old, model.get_mut(&key).map(|value| std::mem::replace(value, step)));
                    }
                    5 => assert_eq!(map.with(&key, |value| *value), model.get(&key).copied()),
                    6 => assert_eq!(map.contains_key(&key), model.contains_key(&key)),
                    _ => assert_eq!(map.get(&key), model.get(&key)),
                }
                assert_eq!((map.len(), map.is_empty()), (model.len(), model.is_empty()));
                if step % 5000 == 4999 {
                    map.retain(|key, _| key % 3 != 0);
                    model.retain(|key, _| key % 3 != 0);
                    map.reserve(1000);
                    assert!(map.read(bucketmask_map::HashMap::capacity) >= 1000);
                    map.write(bucketmask_map::HashMap::shrink_to_fit);
                }
            }
        }
        // SAFETY: as above.
        unsafe {
            let mut entries: Vec<(u64, u64)> = map.iter().map(|(key, value)| (*key, *value)).collect();
            assert_eq!(map.iter().len(), entries.len());
            let mut expected: Vec<(u64, u64)> = model.iter().map(|(key, value)| (*key, *value)).collect();
            entries.sort_unstable();
            expected.sort_unstable();
            assert_eq!(entries, expected);
        }
        let mut map = SharedMap::from(map.into_inner());
        assert_eq!(map.get_mut().len(), model.len());
        // SAFETY: as above.
        unsafe {
            map.clear();
            assert!(map.is_empty());
        }
    }
}

/// Entries are dropped with the map, and once.
fn what_it_holds_is_dropped_once() {
    let counted = Arc::new(());
    let map = SharedMap::new();
    for key in 0..100 {
        // SAFETY: one thread, one operation after the other.
        unsafe { map.insert(key, Arc::clone(&counted)) };
    }
    assert_eq!(Arc::strong_count(&counted), 101);
    let inner = map.into_inner();
    assert_eq!(Arc::strong_count(&counted), 101);
    drop(SharedMap::from(inner));
    assert_eq!(Arc::strong_count(&counted), 1);
}

/// Reads of all kinds, all inside at once, more threads than there are shards, and reads within reads; then a write.
fn reads_may_overlap() {
    let map: SharedMap<u64, u64> = SharedMap::new();
    // SAFETY: no other thread yet.
    unsafe { map.write(|map| map.extend((0..1000).map(|key| (key, key)))) };
    for threads in [2, 40] {
        let (inside, met) = (Mutex::new(0u64), Condvar::new());
        let meet = || {
            let mut count = inside.lock();
            *count += 1;
            met.notify_all();
            met.wait_while(&mut count, |count| *count < threads);
        };
        // SAFETY: nobody writes.
        on_threads(threads, |number| unsafe {
            if number % 2 == 0 {
                let mut rest = map.iter();
                rest.next();
                meet();
                assert_eq!(map.get(&number), Some(&number));
                assert_eq!(rest.count(), 999);
            } else {
                map.with(&number, |value| {
                    meet();
                    assert_eq!(map.len(), 1000);
                    assert_eq!(map.iter().filter(|(key, _)| *key == value).count(), 1);
                });
            }
        });
        // SAFETY: the readers are joined.
        unsafe { map.insert(threads, threads) };
    }
}

/// Operations of all kinds, of many threads, each under a lock: none says a word. Threads end and begin anew meanwhile.
fn what_a_lock_orders_is_no_overlap() {
    let map: SharedMap<u64, u64> = SharedMap::new();
    let (lock, steps) = (Mutex::new(()), if cfg!(debug_assertions) { 3000 } else { 30_000 });
    for round in 0..20 {
        on_threads(4, |number| {
            let mut seeded = Seeded(number + 4 * round);
            for step in 0..steps / 20 {
                let (key, what) = (seeded.below(5000), seeded.below(4));
                let _held = lock.lock();
                // SAFETY: the lock is held.
                unsafe {
                    match what {
                        0 => assert_eq!(map.remove(&key).unwrap_or(key), key),
                        1 => assert_eq!(map.with(&key, |value| *value).unwrap_or(key), key),
                        2 if step % 50 == 0 => assert_eq!(map.iter().count(), map.len()),
                        _ => assert_eq!(map.insert(key, key).unwrap_or(key), key),
                    }
                }
            }
        });
    }
    map.into_inner().check();
}

/// One thread iterates, and between the steps of the iteration its collector traces that very map: reads both. Not a word.
#[cfg(feature = "gc")]
fn iterating_while_collections_run_is_no_overlap() {
    use bucketmask_gc::{Arena, Gc, Rootable};

    type Shared<'gc> = SharedMap<u64, Gc<'gc, String>, common::By>;
    let mut arena = Arena::<Rootable![Gc<'_, Shared<'_>>]>::new(|mc| {
        let map = Shared::with_hasher(common::MIXED);
        for key in 0..3000 {
            // SAFETY: nobody else has it yet.
            unsafe { map.insert(key, Gc::new(mc, key.to_string())) };
        }
        Gc::new(mc, map)
    });
    // As a foreign interface would keep it: by its address, beside the arena that keeps it alive.
    let address = arena.mutate(|_, map| Gc::as_ptr(*map).cast::<Shared<'static>>());
    let (mut visited, mut freed) = (0, 0);
    // SAFETY: the arena's root keeps the map and its values alive and in place, the collector only reads it, and nobody writes.
    for (key, value) in unsafe { (*address).iter() } {
        assert_eq!(**value, key.to_string());
        arena.mutate(|mc, _| {
            for _ in 0..20 {
                Gc::new(mc, "garbage".to_owned());
            }
        });
        let before = arena.metrics().total_gc_count();
        if visited % 100 == 0 {
            arena.finish_cycle();
        } else {
            arena.collect_debt();
        }
        freed += before - arena.metrics().total_gc_count();
        visited += 1;
    }
    assert_eq!(visited, 3000);
    assert!(freed >= 50_000, "collections ran: {freed} objects freed");
    // The iteration is over: a write is none of its business.
    arena.mutate(|mc, map| {
        // SAFETY: one thread, and the barrier follows.
        unsafe { map.insert(3000, Gc::new(mc, "3000".to_owned())) };
        mc.backward_barrier(Gc::erase(*map), None);
    });
    arena.finish_cycle();
    // SAFETY: as above.
    assert_eq!(unsafe { (*address).with(&3000, |value| (**value).clone()) }.as_deref(), Some("3000"));
}

fn main() {
    let mut tests: Vec<(&str, fn())> = vec![
        ("it_is_a_map", it_is_a_map),
        ("what_it_holds_is_dropped_once", what_it_holds_is_dropped_once),
        ("reads_may_overlap", reads_may_overlap),
        ("what_a_lock_orders_is_no_overlap", what_a_lock_orders_is_no_overlap),
    ];
    #[cfg(feature = "gc")]
    tests.push((
        "iterating_while_collections_run_is_no_overlap",
        iterating_while_collections_run_is_no_overlap,
    ));
    #[cfg(feature = "detect")]
    {
        forced::keep_quiet();
        reports::part();
        tests.extend_from_slice(&forced::TESTS);
        tests.extend_from_slice(&reports::TESTS);
    }
    let trials = tests.into_iter().map(|(name, test)| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit();
}
