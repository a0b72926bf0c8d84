//! Parallel iteration: every entry once, whoever takes it, at every watermark.
//!
//! Invariant: the pool's threads are joined before a test ends, so a sanitizer sees all that they did.

mod common;

use bucketmask_map::{ConcurrentMap, HashMap, HashSet, Inline, Layout, Pages, Split, StrMap, Tiny};
use common::{By, MIXED};
use libtest_mimic::{Arguments, Trial};
use rayon::iter::{
    IntoParallelIterator, IntoParallelRefIterator, IntoParallelRefMutIterator, ParallelDrainFull,
    ParallelExtend, ParallelIterator,
};
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

type Map<V, L> = HashMap<u64, V, By, Pages, L>;

/// Runs `work` on a pool of three threads, and joins them.
fn in_pool(work: impl FnOnce() + Send) {
    rayon::ThreadPoolBuilder::new()
        .num_threads(3)
        .build_scoped(rayon::ThreadBuilder::run, |pool| pool.install(work))
        .expect("three threads");
}

fn map_of<L: Layout>(len: u64) -> Map<u64, L> {
    let mut map = Map::in_layout(MIXED);
    (0..len).for_each(|key| {
        map.insert(key, !key);
    });
    map
}

fn every_entry_once<L: Layout>() {
    for len in [0, 1, 14, 100, 777, 778, 900, 1000, 1100, 1200, 5000] {
        let mut map = map_of::<L>(len);
        let keys: Vec<u64> =
            map.par_iter().inspect(|(key, value)| assert_eq!(**value, !**key)).map(|(key, _)| *key).collect();
        assert_eq!(keys.len() as u64, len);
        assert!(keys.into_iter().collect::<BTreeSet<_>>().into_iter().eq(0..len));
        assert_eq!(map.par_keys().sum::<u64>(), (0..len).sum());
        assert_eq!(map.par_values().map(|value| !value).sum::<u64>(), (0..len).sum());
        map.par_iter_mut().for_each(|(key, value)| *value = *key);
        map.par_values_mut().for_each(|value| *value += 1);
        assert!(map.iter().all(|(key, value)| *value == key + 1));
        assert!(map.par_eq(&map.clone()));
        let owned: BTreeSet<u64> = map.clone().into_par_iter().map(|(key, _)| key).collect();
        assert!(owned.into_iter().eq(0..len));
        let bytes = map.allocation_size();
        let drained: BTreeSet<u64> = map.par_drain().map(|(key, _)| key).collect();
        assert!(drained.into_iter().eq(0..len));
        assert_eq!((map.len(), map.allocation_size()), (0, bytes));
        map.check();
        map.par_extend((0..len).into_par_iter().map(|key| (key, key)));
        assert_eq!(map.len() as u64, len);
        map.check();
    }
}

/// A value that counts how many of its kind are alive, on any thread.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(alive: &Arc<AtomicUsize>) -> Self {
        alive.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(alive))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn what_is_not_taken_is_dropped<L: Layout>() {
    let alive = Arc::new(AtomicUsize::new(0));
    let filled = || {
        let mut map = Map::<Counted, L>::in_layout(MIXED);
        map.extend((0..2000).map(|key| (key, Counted::new(&alive))));
        map
    };
    let left = || alive.load(Ordering::Relaxed);
    let mut map = filled();
    let some = map.par_drain().find_any(|(key, _)| *key == 1000);
    assert!(some.is_some());
    drop(some);
    assert_eq!((left(), map.len()), (0, 0));
    map.insert(1, Counted::new(&alive));
    map.check();
    drop(ParallelDrainFull::par_drain(&mut map));
    assert_eq!((left(), map.len()), (0, 0));
    let mut map = filled();
    let caught = catch_unwind(AssertUnwindSafe(|| {
        map.par_drain().for_each(|(key, _)| assert_ne!(key, 700, "the consumer panics"));
    }));
    assert!(caught.is_err());
    assert_eq!((left(), map.len()), (0, 0));
    map.check();
    drop(filled().into_par_iter());
    assert_eq!(left(), 0);
    assert!(filled().into_par_iter().any(|(key, _)| key == 3));
    assert_eq!(left(), 0);
}

fn sets_in_parallel() {
    let numbers: HashSet<u64> = (0..3000u64).into_par_iter().collect();
    let even: HashSet<u64> = numbers.par_iter().copied().filter(|number| number % 2 == 0).collect();
    let mut odd = HashSet::new();
    odd.par_extend(numbers.par_iter().filter(|number| *number % 2 == 1));
    assert!((even.len(), odd.len()) == (1500, 1500) && even.iter().all(|number| number % 2 == 0));
    assert!(even.par_is_disjoint(&odd) && even.par_is_subset(&numbers) && numbers.par_is_superset(&odd));
    assert!(!numbers.par_is_subset(&even) && !even.par_eq(&odd) && even.par_eq(&even.clone()));
    assert_eq!(numbers.par_difference(&even).count(), 1500);
    assert_eq!(numbers.par_intersection(&even).count(), 1500);
    assert_eq!(even.par_union(&odd).count(), 3000);
    assert_eq!(even.par_symmetric_difference(&numbers).count(), 1500);
    let mut drained = even.clone();
    assert_eq!(drained.par_drain().sum::<u64>(), even.into_par_iter().sum::<u64>());
    assert!(drained.is_empty());
}

fn strings_in_parallel() {
    let text = |number: u64| format!("{number:0width$}", width = number as usize % 40);
    let mut map: StrMap<u64> = (0..3000u64).into_par_iter().map(|number| (text(number), number)).collect();
    assert_eq!(map.len(), (0..3000).map(text).collect::<BTreeSet<_>>().len());
    assert!(map.par_iter().all(|(key, value)| *key == text(*value)));
    assert_eq!(map.par_keys().map(str::len).sum::<usize>(), map.keys().map(str::len).sum::<usize>());
    map.par_values_mut().for_each(|value| *value += 1);
    map.par_iter_mut().for_each(|(_, value)| *value -= 1);
    assert_eq!(map.par_values().sum::<u64>(), map.values().sum::<u64>());
    let (len, bytes) = (map.len(), map.allocation_size());
    assert_eq!(map.clone().into_par_iter().filter(|(key, value)| **key == *text(*value)).count(), len);
    map.par_extend((0..10u64).into_par_iter().map(|number| (format!("more {number}"), number)));
    assert_eq!(map.par_drain().map(|(_, value)| value).count(), len + 10);
    assert!(map.is_empty() && map.allocation_size() >= bytes);
    map.check();
}

/// A shared map: filled from all threads, and walked by parts while it moves to another table.
fn shared_maps() {
    let mut map = &ConcurrentMap::<u64, u64, By>::with_hasher(MIXED);
    map.par_extend((0..5000u64).into_par_iter().map(|key| (key, !key)));
    assert_eq!(map.len(), 5000);
    while map.migrate_step(1000) {}
    assert!(map.begin_migration(20_000));
    for _ in 0..6 {
        map.migrate_step(100);
        let guard = map.pin_owned();
        let keys: Vec<u64> = guard
            .into_par_iter()
            .inspect(|(key, value)| assert_eq!(**value, !**key))
            .map(|(key, _)| *key)
            .collect();
        assert_eq!(keys.len(), 5000);
        assert!(keys.into_iter().collect::<BTreeSet<_>>().into_iter().eq(0..5000));
    }
    let copy: ConcurrentMap<u64, u64, By> = (0..100u64).into_par_iter().map(|key| (key, key)).collect();
    assert!((0..100).all(|key| copy.get_cloned(&key) == Some(key)));
}

fn main() {
    let trial = |name, work: fn()| {
        Trial::test(name, move || {
            in_pool(work);
            Ok(())
        })
    };
    let trials = vec![
        trial("every_entry_once_split", every_entry_once::<Tiny<Split>>),
        trial("every_entry_once_inline", every_entry_once::<Tiny<Inline>>),
        trial("every_entry_once_large", every_entry_once::<Split>),
        trial("what_is_not_taken_is_dropped_split", what_is_not_taken_is_dropped::<Tiny<Split>>),
        trial("what_is_not_taken_is_dropped_inline", what_is_not_taken_is_dropped::<Inline>),
        trial("sets_in_parallel", sets_in_parallel),
        trial("strings_in_parallel", strings_in_parallel),
        trial("shared_maps", shared_maps),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}
