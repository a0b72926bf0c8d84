//! The concurrent map on one thread against std's map: every operation, under every hasher, while tables grow, shrink and are moved.
//!
//! Invariant: after every operation both maps would answer alike, and each value is dropped once.

mod common;

use bucketmask_map::ConcurrentMap;
use bucketmask_map::concurrent::Change;
use bucketmask_map::concurrent::rules::{Fresh, Gap, Mirrored, Rules};
use common::{ALL_HASHERS, By, IDENTITY, MIXED, Seeded};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

type Map<V, R> = ConcurrentMap<u64, V, By, R>;

/// A value that counts how many of its kind are alive.
#[derive(Debug)]
struct Counted(u64, Arc<AtomicUsize>);

impl Counted {
    fn new(value: u64, alive: &Arc<AtomicUsize>) -> Self {
        alive.fetch_add(1, Ordering::Relaxed);
        Self(value, Arc::clone(alive))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.1.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Pair<R: Rules> {
    ours: Map<Counted, R>,
    theirs: HashMap<u64, u64>,
    alive: Arc<AtomicUsize>,
}

impl<R: Rules> Pair<R> {
    fn new(by: By) -> Self {
        Self { ours: Map::with_rules(0, by), theirs: HashMap::new(), alive: Arc::default() }
    }

    fn counted(&self, value: u64) -> Counted {
        Counted::new(value, &self.alive)
    }

    fn operate(&mut self, what: u64, key: u64, value: u64) {
        let guard = self.ours.pin();
        let shown = |value: Option<&Counted>| value.map(|value| value.0);
        match what {
            0..=3 => {
                assert_eq!(shown(guard.insert(key, self.counted(value))), self.theirs.insert(key, value));
            }
            4..=5 => assert_eq!(shown(guard.remove(&key)), self.theirs.remove(&key)),
            6 => {
                let before = self.theirs.get(&key).copied();
                match guard.try_insert(key, self.counted(value)) {
                    Ok(new) => {
                        assert!(before.is_none() && new.0 == value);
                        self.theirs.insert(key, value);
                    }
                    Err((there, back)) => assert!(before == Some(there.0) && back.0 == value),
                }
            }
            7 => {
                let updated = guard.update(&key, |old| self.counted(old.0.wrapping_add(value)));
                let expected = self.theirs.get_mut(&key).map(|old| {
                    *old = old.wrapping_add(value);
                    *old
                });
                assert_eq!(shown(updated), expected);
            }
            8 => {
                let there = guard.get_or_insert_with(key, || self.counted(value));
                assert_eq!(there.0, *self.theirs.entry(key).or_insert(value));
            }
            9 => self.compute(key, value),
            _ => {
                assert_eq!(shown(guard.get(&key)), self.theirs.get(&key).copied());
                let entry = guard.get_key_value(&key).map(|(key, value)| (*key, value.0));
                assert_eq!(entry, self.theirs.get_key_value(&key).map(|(key, value)| (*key, *value)));
            }
        }
        assert_eq!(self.ours.contains_key(&key), self.theirs.contains_key(&key));
    }

    fn compute(&mut self, key: u64, value: u64) {
        let guard = self.ours.pin();
        let change = |there: Option<u64>| match (there, value % 3) {
            (_, 0) => Change::Keep,
            (_, 1) => Change::Remove,
            (there, _) => Change::Put(there.unwrap_or(0).wrapping_add(value)),
        };
        let ours = guard.compute(key, |there| match change(there.map(|there| there.0)) {
            Change::Keep => Change::Keep,
            Change::Remove => Change::Remove,
            Change::Put(value) => Change::Put(self.counted(value)),
        });
        match change(self.theirs.get(&key).copied()) {
            Change::Keep => {}
            Change::Remove => drop(self.theirs.remove(&key)),
            Change::Put(value) => drop(self.theirs.insert(key, value)),
        }
        assert_eq!(ours.map(|value| value.0), self.theirs.get(&key).copied());
    }

    fn compare(&self) {
        assert_eq!(self.ours.len(), self.theirs.len());
        let guard = self.ours.pin();
        let mut seen = BTreeMap::new();
        for (key, value) in &guard {
            assert!(seen.insert(*key, value.0).is_none(), "{key} was shown twice");
        }
        assert!(
            seen.into_iter().eq(self
                .theirs
                .iter()
                .map(|(key, value)| (*key, *value))
                .collect::<BTreeMap<_, _>>())
        );
    }
}

/// Grows to some hundreds of keys, shrinks, and grows again; migrations are begun by hand too.
fn against_std<R: Rules>(by: By, seed: u64, steps: u64) {
    let mut random = Seeded(seed);
    let mut pair = Pair::<R>::new(by);
    for step in 0..steps {
        let growing = step / (steps / 6).max(1) % 2 == 0;
        let what = if growing { random.below(12) } else { 4 + random.below(8) };
        let (key, value) = (random.below(600), random.below(1 << 40));
        pair.operate(what, key, value);
        if random.below(40) == 0 {
            pair.ours.begin_migration(random.below(900) as usize);
        }
        if random.below(4) == 0 {
            pair.ours.migrate_step(random.below(4) as usize);
        }
        if random.below(steps / 20) == 0 {
            pair.compare();
        }
        if random.below(steps / 4) == 0 {
            pair.ours.retain(|key, _| key % 3 != 0);
            pair.theirs.retain(|key, _| key % 3 != 0);
        }
    }
    pair.compare();
    let alive = Arc::clone(&pair.alive);
    let entries = pair.theirs.len();
    // Garbage may wait for other tests' guards, but not for ever.
    for _ in 0..1000 {
        if pair.ours.collect_garbage() == 0 {
            break;
        }
        std::thread::yield_now();
    }
    assert!(pair.ours.pending_bytes() > 0 || alive.load(Ordering::Relaxed) == entries);
    pair.ours.clear();
    assert!(pair.ours.is_empty() && pair.ours.pin().iter().next().is_none());
    drop(pair);
    assert_eq!(alive.load(Ordering::Relaxed), 0, "values leaked");
}

#[test]
fn every_operation_under_every_hasher() {
    for (seed, by) in ALL_HASHERS.into_iter().enumerate() {
        against_std::<Fresh>(by, seed as u64, 6000);
    }
}

#[test]
fn every_operation_where_guards_keep_their_view() {
    for (seed, by) in ALL_HASHERS.into_iter().enumerate() {
        against_std::<Mirrored>(by, seed as u64, 6000);
    }
}

#[test]
fn a_large_table_grows_and_shrinks_by_segments() {
    let map = Map::<u64, Fresh>::with_hasher(MIXED);
    let count = 120_000;
    (0..count).for_each(|key| assert!(!map.insert(key, !key)));
    assert!((0..count).all(|key| map.get_cloned(&key) == Some(!key)));
    assert_eq!(map.pin().iter().map(|(key, _)| *key).collect::<BTreeSet<_>>().len() as u64, count);
    let large = map.table_bytes();
    (100..count).for_each(|key| assert!(map.remove(&key)));
    assert!((0..count).all(|key| map.get_cloned(&key) == (key < 100).then_some(!key)));
    // Each removal moves a share; what is left moves now.
    while map.migrate_step(64) {}
    assert!(map.table_bytes() < large / 8, "{} of {large} bytes are left for 100 entries", map.table_bytes());
    assert_eq!(map.len(), 100);
}

#[test]
fn a_view_that_a_guard_keeps_is_written_to() {
    let map = Map::<u64, Mirrored>::with_rules(0, MIXED);
    (0..40).for_each(|key| assert!(!map.insert(key, key)));
    while map.migrate_step(8) {}
    while !map.begin_migration(400) {
        map.collect_garbage();
    }
    let old = map.pin();
    while map.migrate_step(1) {}
    // All buckets have been flipped, and the guard reads the old table still.
    map.insert(7, 700);
    map.insert(1000, 1);
    map.remove(&8);
    map.update(&9, |value| value + 900);
    for guard in [&old, &map.pin()] {
        assert_eq!(
            (guard.get(&7), guard.get(&1000), guard.get(&8), guard.get(&9)),
            (Some(&700), Some(&1), None, Some(&909))
        );
        assert_eq!(guard.get(&10), Some(&10));
    }
    assert!(!map.begin_migration(1000), "the old table is still in view");
    drop(old);
    let mut turns = 0;
    while !map.begin_migration(1000) {
        map.collect_garbage();
        turns += 1;
        assert!(turns < 1_000_000, "the view is gone and the table is kept");
        std::thread::yield_now();
    }
}

#[test]
fn iteration_goes_on_while_tables_come_and_go() {
    for hops in [1usize, 3, 17, 64] {
        let map = Map::<u64, Fresh>::with_hasher(MIXED);
        (0..500).for_each(|key| assert!(!map.insert(key, key)));
        let guard = map.pin();
        let mut seen = BTreeSet::new();
        for (nth, (key, _)) in guard.iter().enumerate() {
            assert!(seen.insert(*key), "{key} was shown twice");
            // Keys above 500 come and go; tables of every size follow each other.
            map.insert(500 + nth as u64, 0);
            map.remove(&(500 + nth as u64 / 2));
            map.begin_migration(200 + nth * 37 % 900);
            map.migrate_step(hops);
        }
        assert!((0..500).all(|key| seen.contains(&key)), "an entry that was there throughout was not shown");
    }
}

/// What happens while an iteration looks at the slots of a trail: at the gap before the nth of them.
type Meanwhile = Box<dyn FnMut(usize)>;

thread_local! {
    static MEANWHILE: RefCell<Option<Meanwhile>> = const { RefCell::new(None) };
}

enum Meddled {}

impl Rules for Meddled {
    fn gap(gap: Gap, slot: usize) {
        if gap != Gap::Seen {
            return;
        }
        // Taken while it runs.
        if let Some(mut meanwhile) = MEANWHILE.take() {
            meanwhile(slot);
            MEANWHILE.set(Some(meanwhile));
        }
    }
}

/// A key that comes into a slot whose tophash was another's when the head was loaded, goes, and comes again in the overflow bucket.
fn a_key_that_moves_while_it_is_looked_at(overflow: usize) {
    let map = Arc::new(Map::<u64, Meddled>::with_rules(1000, MIXED));
    // All of one home: its slots, its overflow buckets, and two that come later.
    let keys: Vec<u64> = (0..).filter(|key| map.mark_of(key).0 == 5).take(13 + overflow + 2).collect();
    let (there, later) = keys.split_at(13 + overflow);
    for key in there {
        assert!(!map.insert(*key, 0));
    }
    let (out, twice, filler) = (there[11], later[0], later[1]);
    let before = map.mark_of(&0).1;
    let guard = map.pin();
    let (mut looks, meddler) = (0, Arc::clone(&map));
    MEANWHILE.set(Some(Box::new(move |slot| {
        match looks {
            // The slot is another key's by now than the head, which was loaded, says.
            11 => assert!(slot == 11 && meddler.remove(&out) && !meddler.insert(twice, 1)),
            12 => {
                assert!(slot == 12 && meddler.remove(&twice));
                assert!(!meddler.insert(filler, 0) && !meddler.insert(twice, 2));
            }
            _ => {}
        }
        looks += 1;
    })));
    let shown: Vec<u64> = guard.iter().filter(|&(key, _)| *key == twice).map(|(_, value)| *value).collect();
    MEANWHILE.set(None);
    assert_eq!(map.mark_of(&0).1, before, "the table is as it was");
    assert_eq!(shown.len(), 1, "the key was shown with {shown:?}");
}

#[test]
fn a_key_that_moves_is_shown_once() {
    // In a trail of few entries, whose keys are compared, and of many, whose tophashes are compared first.
    for overflow in [1, 2, 3, 4, 9] {
        a_key_that_moves_while_it_is_looked_at(overflow);
    }
}

#[test]
fn equal_hashes_are_only_slow() {
    let map = Map::<u64, Fresh>::with_hasher(common::CONSTANT);
    (0..500).for_each(|key| assert!(!map.insert(key, key)));
    assert!((0..500).all(|key| map.get_cloned(&key) == Some(key)));
    (0..500).for_each(|key| assert!(map.remove(&key)));
    assert!(map.is_empty());
}

#[test]
fn std_traits_are_there() {
    let map: ConcurrentMap<String, usize> =
        ["one", "two"].into_iter().map(|word| (word.to_owned(), word.len())).collect();
    assert_eq!(map.get_cloned("one"), Some(3));
    assert_eq!(map.read("two", |len| len * 2), Some(6));
    let mut text = format!("{map:?}").into_bytes();
    text.sort_unstable();
    let mut expected = br#"{"one": 3, "two": 3}"#.to_vec();
    expected.sort_unstable();
    assert_eq!(text, expected);
    (&map).extend([("three".to_owned(), 5)]);
    assert_eq!(map.len(), 3);
    let identity = ConcurrentMap::<u64, (), _>::with_capacity_and_hasher(1000, IDENTITY);
    let bytes = identity.table_bytes();
    (0..1000).for_each(|key| assert!(!identity.insert(key, ())));
    assert_eq!(identity.table_bytes(), bytes, "a reserved table grew");
}
