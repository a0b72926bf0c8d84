//! The concurrent map under threads that churn: values that check themselves, drops that are counted, panics, and guards held long.
//!
//! Invariant: every value tells what key it is of and whether it is whole; each is dropped once; threads are joined before a test ends.

mod common;
#[path = "concurrent_threads/panics.rs"]
mod panics;

use bucketmask_map::ConcurrentMap;
use bucketmask_map::concurrent::rules::{Fresh, Mirrored, Rules};
use bucketmask_map::concurrent::{Change, OldGuard, warn_of_old_guards};
use common::{By, CONSTANT, EIGHT, HIGH_ONLY, MIXED, Seeded};
use libtest_mimic::{Arguments, Trial};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// Operations of a thread in a test of churn; the sanitizers' lanes take fewer.
fn steps() -> u64 {
    std::env::var("BUCKETMASK_STEPS").map_or(40_000, |steps| steps.parse::<u64>().expect("a number") / 20)
}

/// A value of a key that says so, with a checksum that its drop destroys.
struct Checked {
    key: u64,
    number: u64,
    sum: u64,
    alive: Arc<AtomicUsize>,
}

impl Checked {
    fn new(key: u64, number: u64, alive: &Arc<AtomicUsize>) -> Self {
        alive.fetch_add(1, Ordering::Relaxed);
        Self { key, number, sum: sum(key, number), alive: Arc::clone(alive) }
    }

    #[track_caller]
    fn check(&self, key: u64) {
        assert_eq!(
            (self.key, self.sum),
            (key, sum(key, self.number)),
            "a value of another key, or a dead one"
        );
    }
}

impl Drop for Checked {
    fn drop(&mut self) {
        self.sum = 0;
        self.alive.fetch_sub(1, Ordering::Relaxed);
    }
}

fn sum(key: u64, number: u64) -> u64 {
    (key ^ number.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1
}

/// Runs `work` on so many threads, numbered, and joins each: a sanitizer does not see what a scope waits for.
fn on_threads(count: u64, work: impl Fn(u64) + Sync) {
    thread::scope(|threads| {
        let work = &work;
        let running: Vec<_> = (0..count).map(|number| threads.spawn(move || work(number))).collect();
        for thread in running {
            thread.join().expect("it does not panic");
        }
    });
}

/// One of a few threads that do everything to a few hundred keys.
fn churn<R: Rules>(map: &ConcurrentMap<u64, Checked, By, R>, alive: &Arc<AtomicUsize>, seed: u64) {
    let mut random = Seeded(seed);
    for step in 0..steps() {
        // Phases of growth and of decay.
        let growing = step / 2000 % 2 == 0;
        let (key, what) = (random.below(700), random.below(10));
        let guard = map.pin();
        let value = || Checked::new(key, step, alive);
        match (what, growing) {
            (0..=2, true) | (0, false) => drop(guard.insert(key, value()).map(|old| old.check(key))),
            (3, true) | (1..=3, false) => drop(guard.remove(&key).map(|old| old.check(key))),
            (4, _) => guard.get_or_insert_with(key, value).check(key),
            (5, _) => drop(
                guard.update(&key, |old| Checked::new(key, old.number + 1, alive)).map(|new| new.check(key)),
            ),
            (6, _) if step % 512 == 0 => drop(map.begin_migration(random.below(1000) as usize)),
            (6, _) => {
                guard.compute(key, |old| match old {
                    Some(old) => {
                        old.check(key);
                        Change::Remove
                    }
                    None => Change::Put(value()),
                });
            }
            _ => drop(guard.get(&key).map(|found| found.check(key))),
        }
        if step % 4096 == 0 {
            for (key, value) in &guard {
                value.check(*key);
            }
        }
    }
}

fn values_stay_whole<R: Rules>(by: By) {
    let alive = Arc::default();
    let map = ConcurrentMap::<u64, Checked, By, R>::with_rules(0, by);
    on_threads(4, |seed| churn(&map, &alive, seed));
    let guard = map.pin();
    let shown: BTreeSet<u64> = guard
        .iter()
        .map(|(key, value)| {
            value.check(*key);
            *key
        })
        .collect();
    assert_eq!(map.len(), shown.len(), "counts are exact when nobody writes");
    assert!((0..700).all(|key| map.contains_key(&key) == shown.contains(&key)));
    drop(guard);
    while map.collect_garbage() > 0 {
        thread::yield_now();
    }
    assert_eq!(alive.load(Ordering::Relaxed), shown.len(), "what was removed is dropped, and nothing else");
    drop(map);
    assert_eq!(alive.load(Ordering::Relaxed), 0);
}

/// Threads insert their own keys while the table grows from nothing: none is lost.
fn growing_from_nothing_loses_nothing() {
    let map = ConcurrentMap::<u64, u64, By>::with_hasher(MIXED);
    let each = steps();
    on_threads(3, |thread| {
        for nth in 0..each {
            let key = nth * 3 + thread;
            assert!(!map.insert(key, !key));
            assert_eq!(map.get_cloned(&key), Some(!key), "a thread's own write");
        }
    });
    assert_eq!(map.len() as u64, 3 * each);
    assert!((0..3 * each).all(|key| map.get_cloned(&key) == Some(!key)));
    on_threads(3, |thread| (0..each).for_each(|nth| assert!(map.remove(&(nth * 3 + thread)))));
    assert!(map.is_empty() && map.pin().iter().next().is_none());
}

/// Counters that all threads raise: no increment is lost, by `update` and by `compute`.
fn no_update_is_lost() {
    let map = ConcurrentMap::<u64, u64, By>::with_hasher(MIXED);
    let each = steps() / 4;
    on_threads(4, |_| {
        for nth in 0..each {
            if nth % 2 == 0 || !map.update(&(nth % 5), |count| count + 1) {
                map.pin().compute(nth % 5, |count| Change::Put(count.copied().unwrap_or(0) + 1));
            }
            if nth % 64 == 0 {
                map.begin_migration((nth % 300) as usize);
            }
            map.migrate_step(1);
        }
    });
    assert_eq!(map.pin().values().sum::<u64>(), 4 * each);
}

/// Entries that stay are shown exactly once by every iteration, whatever comes and goes beside them.
fn iteration_shows_what_stays() {
    let map = ConcurrentMap::<u64, u64, By>::with_hasher(MIXED);
    (0..300).for_each(|key| assert!(!map.insert(key, key)));
    let done = AtomicBool::new(false);
    on_threads(2, |thread| {
        if thread == 0 {
            let mut random = Seeded(1);
            while !done.load(Ordering::Relaxed) {
                let key = 300 + random.below(2000);
                if random.below(2) == 0 {
                    map.insert(key, key)
                } else {
                    map.remove(&key)
                };
                // Replaced, not gone.
                map.insert(random.below(300), 0);
                map.begin_migration(random.below(3000) as usize);
            }
            return;
        }
        for _ in 0..steps() / 200 {
            let guard = map.pin();
            let mut seen = BTreeSet::new();
            for (key, _) in &guard {
                assert!(seen.insert(*key), "{key} was shown twice");
            }
            assert!((0..300).all(|key| seen.contains(&key)), "an entry that stays was not shown");
        }
        done.store(true, Ordering::Relaxed);
    });
}

/// Replaces an entry that a guard has in view, and removes it: what was dropped of it all before the guard ended. The guard goes to
/// another thread, and ends there.
fn drops_under_a_guard<R: Rules>() -> usize {
    let alive = Arc::default();
    let map = ConcurrentMap::<u64, Checked, By, R>::with_rules(0, MIXED);
    map.insert(1, Checked::new(1, 0, &alive));
    let guard = map.pin_owned();
    let seen = guard.get(&1).expect("it was inserted");
    let removed = 2000;
    on_threads(1, |_| {
        for number in 0..removed {
            map.insert(1, Checked::new(1, number, &alive));
        }
        map.remove(&1);
        map.collect_garbage();
    });
    let dropped = removed as usize + 1 - alive.load(Ordering::Relaxed);
    // Where rules are broken, what was seen may be gone.
    if dropped == 0 {
        seen.check(1);
        assert!(map.pending_bytes() >= removed as usize * size_of::<Checked>());
        assert!(map.oldest_guard().is_some(), "the guard that holds it back is not shown");
    }
    thread::scope(|threads| threads.spawn(move || drop(guard)).join().expect("it does not panic"));
    while map.collect_garbage() > 0 {
        thread::yield_now();
    }
    assert_eq!(alive.load(Ordering::Relaxed), 0);
    dropped
}

/// Nothing that a guard may see is dropped before it ends; what it held back goes then.
fn a_guard_keeps_what_it_saw() {
    assert_eq!(drops_under_a_guard::<Fresh>(), 0, "something was dropped under a guard");
}

/// The seeded fault: entries that are freed as soon as, or one epoch after, they are tagged. With two a reader must sleep between loading
/// the epoch and announcing it for anything to show.
fn entries_freed_before_their_grace_period_are_found() {
    enum AtOnce {}
    impl Rules for AtOnce {
        const GRACE: u64 = 0;
    }
    enum AfterOne {}
    impl Rules for AfterOne {
        const GRACE: u64 = 1;
    }
    assert!(drops_under_a_guard::<AtOnce>() > 0, "no drop under a guard shows it");
    assert!(drops_under_a_guard::<AfterOne>() > 0, "no drop under a guard shows it");
}

/// Pending garbage is bounded while guards are short.
fn garbage_is_bounded() {
    let alive = Arc::default();
    let map = ConcurrentMap::<u64, Checked, By>::with_hasher(MIXED);
    let mut most = 0;
    for number in 0..2 * steps() {
        map.insert(number % 16, Checked::new(number % 16, number, &alive));
        most = most.max(map.pending_bytes());
    }
    // One shard; bags of 1024 pieces, one open and one for each epoch of the grace period.
    let entry = size_of::<(u64, Checked)>();
    assert!(most >= 1024 * entry && most <= 5 * 1024 * entry, "{most} bytes were pending");
}

/// Nor does filling a map hold anything back: neither what was replaced nor the tables that it grew out of.
fn filling_holds_nothing_back() {
    let map = ConcurrentMap::<u64, u64, By>::with_hasher(MIXED);
    let (mut most, entry) = (0, size_of::<(u64, u64)>());
    let entries = (0..100_000).map(|number| {
        most = most.max(map.pending_bytes());
        (number % 16, number)
    });
    (&map).extend(entries);
    assert!(most >= 1024 * entry && most <= 5 * 1024 * entry, "{most} bytes were pending");
}

fn an_old_guard_is_warned_of() {
    static WARNED: AtomicUsize = AtomicUsize::new(0);
    fn hook(guard: &OldGuard) {
        assert!(guard.age >= Duration::from_millis(20));
        if guard.name.as_deref() == Some("holder") {
            WARNED.fetch_add(1, Ordering::Relaxed);
        }
    }
    warn_of_old_guards(Some((Duration::from_millis(20), hook)));
    let map = ConcurrentMap::<u64, u64, By>::with_hasher(MIXED);
    let (held, done) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|threads| {
        let holder = thread::Builder::new().name("holder".to_owned());
        let holder = holder.spawn_scoped(threads, || {
            let _guard = map.pin();
            held.store(true, Ordering::Release);
            while !done.load(Ordering::Acquire) {
                thread::sleep(Duration::from_millis(1));
            }
        });
        while !held.load(Ordering::Acquire) {
            thread::yield_now();
        }
        while WARNED.load(Ordering::Relaxed) == 0 {
            map.insert(1, 1);
            map.collect_garbage();
            thread::sleep(Duration::from_millis(1));
        }
        let oldest = map.oldest_guard().expect("it is still held");
        assert!(oldest.age >= Duration::from_millis(20));
        done.store(true, Ordering::Release);
        holder.expect("a thread").join().expect("it does not panic");
    });
    warn_of_old_guards(None);
    assert_eq!(WARNED.load(Ordering::Relaxed), 1, "once a guard");
}

/// Closures and drops may use the map themselves: no lock is held.
fn closures_may_use_the_map() {
    struct Last(Arc<ConcurrentMap<u64, u64, By>>);
    impl Drop for Last {
        fn drop(&mut self) {
            self.0.update(&0, |count| count + 1);
        }
    }
    let counts = Arc::new(ConcurrentMap::with_hasher(MIXED));
    counts.insert(0, 0);
    let map = ConcurrentMap::<u64, Last, By>::with_hasher(CONSTANT);
    for key in 0..50 {
        map.insert(key, Last(Arc::clone(&counts)));
        let guard = map.pin();
        guard.compute(key, |_| {
            map.insert(key + 1000, Last(Arc::clone(&counts)));
            assert!(map.contains_key(&key));
            Change::Keep
        });
        guard.get_or_insert_with(key + 2000, || {
            map.remove(&(key + 1000));
            Last(Arc::clone(&counts))
        });
    }
    map.retain(|key, _| map.contains_key(key) && key % 2 == 0);
    let two = (map.pin(), map.pin());
    assert!(two.0.get(&2).is_some() && two.1.get(&2).is_some(), "two gets at once");
    drop(two);
    drop(map);
    assert_eq!(counts.get_cloned(&0), Some(150));
}

/// A guard may be held across an await, and resumed on another thread.
fn an_owned_guard_is_sent() {
    fn sendable<T: Send + Sync>(value: T) -> T {
        value
    }
    let map = ConcurrentMap::<u64, String, By>::with_hasher(MIXED);
    map.insert(1, "one".to_owned());
    let guard = sendable(map.pin_owned());
    on_threads(1, |_| {
        assert_eq!(guard.get(&1).map(String::as_str), Some("one"));
        guard.insert(2, "two".to_owned());
    });
    assert_eq!(guard.get(&2).map(String::as_str), Some("two"));
}

fn main() {
    // What tests make panic is not worth a word; what fails is told by its trial.
    std::panic::set_hook(Box::new(|panic| {
        let text = panic.to_string();
        if !text.contains("told to") && !text.contains("panics, too") {
            eprintln!("{text}");
        }
    }));
    let tests: Vec<(&str, fn())> = vec![
        ("values_stay_whole", || values_stay_whole::<Fresh>(MIXED)),
        ("values_stay_whole_in_one_trail", || values_stay_whole::<Fresh>(HIGH_ONLY)),
        ("values_stay_whole_in_eight_trails", || values_stay_whole::<Fresh>(EIGHT)),
        ("values_stay_whole_where_views_are_kept", || values_stay_whole::<Mirrored>(MIXED)),
        ("growing_from_nothing_loses_nothing", growing_from_nothing_loses_nothing),
        ("no_update_is_lost", no_update_is_lost),
        ("iteration_shows_what_stays", iteration_shows_what_stays),
        ("a_guard_keeps_what_it_saw", a_guard_keeps_what_it_saw),
        (
            "entries_freed_before_their_grace_period_are_found",
            entries_freed_before_their_grace_period_are_found,
        ),
        ("garbage_is_bounded", garbage_is_bounded),
        ("filling_holds_nothing_back", filling_holds_nothing_back),
        ("an_old_guard_is_warned_of", an_old_guard_is_warned_of),
        ("panics_leave_the_map_whole", || panics::panics_leave_the_map_whole(MIXED)),
        ("panics_leave_a_trail_whole", || panics::panics_leave_the_map_whole(CONSTANT)),
        ("a_panicking_drop_is_the_droppers", panics::a_panicking_drop_is_the_droppers),
        ("a_panicking_drop_ends_no_migration_halfway", panics::a_panicking_drop_ends_no_migration_halfway),
        ("a_panicking_gap_ends_no_migration_halfway", panics::a_panicking_gap_ends_no_migration_halfway),
        ("a_panicking_drop_is_counted", panics::a_panicking_drop_is_counted),
        ("a_panicking_hook_is_the_writers", panics::a_panicking_hook_is_the_writers),
        ("drops_that_write_do_not_nest", panics::drops_that_write_do_not_nest),
        ("closures_may_use_the_map", closures_may_use_the_map),
        ("an_owned_guard_is_sent", an_owned_guard_is_sent),
    ];
    let trials = tests.into_iter().map(|(name, test)| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
    });
    // One after the other: the epoch is the process's, and some tests hold guards, or measure what waits for them.
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    libtest_mimic::run(&arguments, trials.collect()).exit();
}
