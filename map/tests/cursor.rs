//! Cursors, ranges and batches against naive models: what stays is visited once, whatever happens in between.
//!
//! Invariant: every test runs with thresholds so small that growth is under way at most positions.

mod common;

use bucketmask_map::{Blocks, Cursor, HashMap, HashRange, HashSet, Inline, Layout, Pages, Split, Tiny};
use common::{ALL_HASHERS, By, CONSTANT, Counted, EIGHT, IDENTITY, MIXED, Seeded};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, HashMap as Model};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

type Map<L> = HashMap<u64, u64, By, Pages, L>;

fn map_of<L: Layout>(keys: impl IntoIterator<Item = u64>, hasher: By) -> Map<L> {
    let mut map = Map::<L>::in_layout(hasher);
    for key in keys {
        map.insert(key, !key);
    }
    map
}

/// What happens to the map between two steps of a cursor.
fn disturb<L: Layout>(map: &mut Map<L>, stays: &mut BTreeSet<u64>, seeded: &mut Seeded) {
    let burst = [0, 1, 3, 40][seeded.below(4) as usize];
    match seeded.below(40) {
        0 => map.shrink_to_fit(),
        1 => map.reserve(500),
        2..=14 => {
            for _ in 0..burst {
                let key = seeded.below(4000);
                map.remove(&key);
                stays.remove(&key);
            }
        }
        15 => {
            let modulus = 2 + seeded.below(9);
            map.retain(|key, _| key % modulus != 1);
            stays.retain(|key| key % modulus != 1);
        }
        _ => {
            for _ in 0..burst {
                let key = seeded.below(4000);
                map.insert(key, !key);
            }
        }
    }
}

fn visits_what_stays_once<L: Layout>(hasher: By, len: u64, seed: u64) {
    let mut seeded = Seeded(seed);
    let mut map = map_of::<L>((0..len).map(|nth| nth * 3 % 4000), hasher);
    let mut stays: BTreeSet<u64> = map.keys().copied().collect();
    let mut seen = BTreeMap::new();
    let mut cursor = map.cursor();
    while !cursor.is_at_end() {
        if seeded.below(3) == 0 {
            for (key, value) in cursor.next(&map).into_iter().flatten() {
                assert_eq!(*value, !key);
                *seen.entry(*key).or_insert(0) += 1;
            }
        } else {
            let budget =
                [0, 1, 2, 7, 100, usize::MAX][seeded.below(if seed % 2 == 0 { 6 } else { 5 }) as usize];
            let (entries, next) = map.scan(cursor, budget);
            assert!(entries.len() >= budget.min(1) || next.is_at_end() || budget == 0);
            assert!(next > cursor || budget == 0);
            entries.for_each(|(key, _)| *seen.entry(*key).or_insert(0) += 1);
            cursor = Cursor::at(next.position());
            assert_eq!(cursor, next);
        }
        disturb(&mut map, &mut stays, &mut seeded);
    }
    map.check();
    assert!(cursor.next(&map).is_none());
    for (key, times) in &seen {
        assert_eq!(*times, 1, "{key} was visited {times} times");
    }
    for key in &stays {
        assert!(seen.contains_key(key), "{key} stayed and was not visited");
    }
}

#[test]
fn cursors_visit_what_stays_exactly_once() {
    for seed in 0..12 {
        for hasher in ALL_HASHERS {
            let len = [0, 1, 30, 700, 2500][seed as usize % 5];
            visits_what_stays_once::<Tiny<Split>>(hasher, len, seed);
            visits_what_stays_once::<Tiny<Inline>>(hasher, len, seed + 100);
            visits_what_stays_once::<Tiny<Blocks<Split>>>(hasher, len, seed + 200);
            visits_what_stays_once::<Split>(hasher, len, seed + 300);
        }
    }
}

fn every_watermark<L: Layout>() {
    let mut map = map_of::<L>([], MIXED);
    let (mut migrating, mut most) = (0, 0);
    for key in 0..2600 {
        map.insert(key, !key);
        if key > 600 && key % 7 != 0 {
            continue;
        }
        let mut cursor = map.cursor();
        let one_by_one: Vec<u64> =
            std::iter::from_fn(|| cursor.next(&map)).flatten().map(|(key, _)| *key).collect();
        let at_once: Vec<u64> = map.scan(Cursor::START, usize::MAX).0.map(|(key, _)| *key).collect();
        assert_eq!(one_by_one, at_once, "both go by hash");
        assert!(one_by_one.iter().copied().collect::<BTreeSet<_>>().into_iter().eq(0..=key));
        assert_eq!(one_by_one.len() as u64, key + 1);

        let left = map.unmigrated();
        assert_eq!(map.iter().unmigrated(), left);
        assert_eq!(map.iter_mut().unmigrated(), left);
        assert!(left == 0 || map.stats().growing);
        assert!(left <= map.len());
        migrating += usize::from(left > 0);
        most = most.max(left * 100 / map.len());
        let mut iter = map.iter();
        let mut keys: Vec<u64> = iter.by_ref().take(map.len() / 2).map(|(key, _)| *key).collect();
        assert!(iter.unmigrated() <= left);
        keys.extend(iter.by_ref().map(|(key, _)| *key));
        assert_eq!((iter.unmigrated(), keys.len()), (0, map.len()));
        keys.sort_unstable();
        assert!(keys.into_iter().eq(0..=key));
        let mut drained: Vec<u64> = map.clone().drain().map(|(key, _)| key).collect();
        drained.sort_unstable();
        assert!(drained.into_iter().eq(0..=key));
    }
    assert!(migrating > 40 && most > 50, "{migrating} migrating, at most {most} % unmigrated");
}

#[test]
fn iterators_and_cursors_start_at_every_watermark() {
    every_watermark::<Tiny<Split>>();
    every_watermark::<Tiny<Inline>>();
    every_watermark::<Tiny<Blocks<Split>>>();
}

#[test]
fn equal_hashes_come_as_one_group() {
    let map = map_of::<Tiny<Split>>(0..800, EIGHT);
    let (mut cursor, mut groups) = (Cursor::START, Vec::new());
    while !cursor.is_at_end() {
        let (entries, next) = map.scan(cursor, 1);
        let rests: BTreeSet<u64> = entries.map(|(key, _)| key % 8).collect();
        assert!(rests.len() <= 1);
        groups.extend(rests);
        cursor = next;
    }
    groups.sort_unstable();
    assert!(groups.into_iter().eq(0..8));
    let (entries, next) = map.scan(Cursor::START, 150);
    assert_eq!((entries.len(), next.is_at_end()), (200, false));
    let constant = map_of::<Split>(0..300, CONSTANT);
    let mut cursor = constant.cursor();
    let group = cursor.next(&constant).expect("entries");
    assert_eq!(group.len(), 300);
    assert_eq!(group.map(|(key, _)| *key).collect::<BTreeSet<_>>().len(), 300);
    assert!(cursor.next(&constant).is_none());
}

#[test]
fn budgets_are_kept() {
    let map = map_of::<Tiny<Split>>(0..1000, MIXED);
    assert_eq!(map.scan(Cursor::START, 0).1, Cursor::START);
    assert_eq!(map.scan(Cursor::END, 10).0.len(), 0);
    for budget in [1, 2, 13, 64, 999, 1000, 1001] {
        let (mut cursor, mut seen) = (Cursor::START, 0);
        loop {
            let (entries, next) = map.scan(cursor, budget);
            seen += entries.len();
            assert!(entries.len() == budget || next.is_at_end());
            cursor = next;
            if cursor.is_at_end() {
                break;
            }
        }
        assert_eq!(seen, 1000);
    }
    let set: HashSet<u64> = (0..100).collect();
    assert_eq!(set.scan(set.cursor(), 60).0.len(), 60);
}

#[test]
fn an_empty_map_has_nothing_to_visit() {
    let map = Map::<Split>::in_layout(MIXED);
    assert!(map.cursor().next(&map).is_none());
    assert!(map.scan(Cursor::START, 5).1.is_at_end());
    assert_eq!((map.range(HashRange::ALL).count(), map.unmigrated()), (0, 0));
}

fn ranges_part_a_map<L: Layout>(hasher: By) {
    for len in [0, 1, 40, 333, 1500] {
        let map = map_of::<L>(0..len, hasher);
        for parts in [1, 2, 3, 16, 100] {
            let mut keys: Vec<u64> =
                HashRange::ALL.split(parts).flat_map(|range| map.range(range)).map(|(key, _)| *key).collect();
            keys.sort_unstable();
            assert!(keys.into_iter().eq(0..len), "{parts} parts of {len}");
        }
    }
}

#[test]
fn ranges_are_disjoint_and_leave_nothing_out() {
    for hasher in ALL_HASHERS {
        ranges_part_a_map::<Tiny<Split>>(hasher);
        ranges_part_a_map::<Inline>(hasher);
    }
    let tiny = HashRange::new(5, 7).expect("three hashes");
    assert_eq!(tiny.split(10).map(HashRange::bounds).collect::<Vec<_>>(), [5..=5, 6..=6, 7..=7]);
    assert_eq!(HashRange::new(7, 5), None);
    for parts in [1usize, 3, 1 << 20, usize::MAX] {
        let split = HashRange::ALL.split(parts);
        assert_eq!(split.len(), parts);
        assert_eq!(split.clone().next().map(|range| *range.bounds().start()), Some(0));
        assert_eq!(split.clone().next_back().map(|range| *range.bounds().end()), Some(u64::MAX));
    }
}

fn work_by_range<L: Layout>(hasher: By) {
    let mut map = map_of::<L>(0..1200, hasher);
    let ranges: Vec<HashRange> = HashRange::ALL.split(9).collect();
    let of = |map: &Map<L>, range| map.range(range).map(|(key, _)| *key).collect::<BTreeSet<_>>();
    let before: Vec<_> = ranges.iter().map(|&range| of(&map, range)).collect();
    map.retain_range(ranges[4], |key, value| {
        *value += 1;
        key % 2 == 0
    });
    map.check();
    let drained: BTreeSet<u64> = map.drain_range(ranges[7]).map(|(key, _)| key).collect();
    map.check();
    assert_eq!(drained, before[7]);
    for (nth, &range) in ranges.iter().enumerate() {
        let kept: BTreeSet<u64> = match nth {
            4 => before[4].iter().copied().filter(|key| key % 2 == 0).collect(),
            7 => BTreeSet::new(),
            _ => before[nth].clone(),
        };
        assert_eq!(of(&map, range), kept);
    }
    assert!(map.iter().all(|(key, value)| *value == !key + u64::from(before[4].contains(key))));
    map.retain_range(HashRange::ALL, |_, _| false);
    assert!(map.is_empty());
    // With more than 254 entries on a trail the count of those that passed is not known.
    assert!(map.stats().longest_trail == 0 || before.iter().any(|keys| keys.len() > 254));
}

#[test]
fn retain_and_drain_keep_to_their_range() {
    for hasher in ALL_HASHERS {
        work_by_range::<Tiny<Split>>(hasher);
        work_by_range::<Tiny<Inline>>(hasher);
    }
}

#[test]
fn maps_merge_whatever_their_hashers() {
    for (ours, theirs) in [(MIXED, MIXED), (MIXED, IDENTITY), (EIGHT, MIXED)] {
        for (from, len) in [(0, 3000), (1500, 3000), (3000, 10), (5000, 20_000)] {
            let mut map = map_of::<Tiny<Split>>(0..3000, ours);
            let mut other = Map::<Split>::in_layout(theirs);
            other.extend((from..from + len).map(|key| (key, key)));
            let expected: Model<u64, u64> =
                (0..3000).map(|key| (key, !key)).chain((from..from + len).map(|key| (key, key))).collect();
            let rest: BTreeSet<u64> = map.difference(&other).map(|(key, _)| *key).collect();
            assert!(rest.into_iter().eq((0..3000).filter(|key| !(from..from + len).contains(key))));
            let mut parts = map.clone();
            let mut source = other.clone();
            for range in HashRange::ALL.split(5) {
                let lacking = other.difference_range(&parts, range).count();
                let had = parts.len();
                parts.merge_range(&mut source, range);
                assert_eq!(parts.len(), had + lacking);
            }
            assert!(source.is_empty());
            map.merge(other);
            for merged in [map, parts] {
                merged.check();
                assert_eq!(merged.into_iter().collect::<Model<_, _>>(), expected);
            }
        }
    }
    let mut sums = map_of::<Split>(0..10, MIXED);
    sums.merge_with(map_of::<Split>(5..15, MIXED), |key, ours, theirs| *ours = key + (*ours ^ theirs));
    assert!(sums.iter().all(|(key, value)| *value == if (5..10).contains(key) { *key } else { !key }));
    assert_eq!(sums.len(), 15);
}

#[test]
fn a_merge_in_hash_order_leaves_no_long_trails() {
    let mut map = map_of::<Split>(0..60_000, MIXED);
    map.merge(map_of::<Split>(60_000..120_000, MIXED));
    map.check();
    assert!(map.stats().longest_trail < 40, "{:?}", map.stats());
}

#[test]
fn many_lookups_answer_as_single_ones() {
    for hasher in ALL_HASHERS {
        let map = map_of::<Tiny<Split>>((0..2000).map(|key| key * 2), hasher);
        let mut seeded = Seeded(3);
        let keys: [u64; 37] = std::array::from_fn(|_| seeded.below(5000));
        let single = keys.map(|key| map.get(&key));
        assert_eq!(map.get_many(keys.each_ref()), single);
        assert!(map.get_each(&keys).eq(single));
        for len in [0, 1, 15, 16, 17, 32] {
            let each = map.get_each(&keys[..len]);
            assert_eq!(each.size_hint(), (len, Some(len)));
            assert!(each.eq(single[..len].iter().copied()));
        }
    }
    // Beyond the size up to which a batch is done one by one.
    let large = map_of::<Split>((0..90_000).map(|key| key * 2), MIXED);
    let mut seeded = Seeded(4);
    let keys: [u64; 37] = std::array::from_fn(|_| seeded.below(180_000));
    assert_eq!(large.get_many(keys.each_ref()), keys.map(|key| large.get(&key)));
    assert!(large.get_each(&keys).eq(keys.map(|key| large.get(&key))));
    let empty = HashMap::<String, u64>::new();
    assert_eq!(empty.get_many(["a", "b"]), [None, None]);
    let set: HashSet<String> = ["a", "c"].map(String::from).into();
    assert_eq!(set.contains_many(["a", "b", "c"]), [true, false, true]);
}

#[test]
fn a_bulk_insert_is_one_insert_after_the_other() {
    for len in [0, 5, 16, 17, 200_000u64] {
        let mut seeded = Seeded(len);
        let entries: Vec<(u64, u64)> = (0..len).map(|nth| (seeded.below(150_000), nth)).collect();
        let mut map = HashMap::<u64, u64, By>::with_hasher(MIXED);
        map.extend(entries.iter().copied());
        map.check();
        let model: Model<u64, u64> = entries.into_iter().collect();
        assert_eq!(map.into_iter().collect::<Model<_, _>>(), model);
    }
}

#[test]
fn a_bulk_insert_survives_its_iterator() {
    let alive = Rc::new(Cell::new(0));
    let mut map = HashMap::<u64, Counted, By>::with_hasher(MIXED);
    let entries = (0..150_000).map(|key| {
        assert!(key < 145_003, "the source is exhausted");
        (key, Counted::new(key, &alive))
    });
    assert!(catch_unwind(AssertUnwindSafe(|| map.extend(entries))).is_err());
    map.check();
    assert!((144_987..=145_003).contains(&map.len()), "{}", map.len());
    assert_eq!(alive.get(), map.len());
    drop(map);
    assert_eq!(alive.get(), 0);
}

fn sparse_maps_stay_whole<L: Layout>() {
    let mut seeded = Seeded(8);
    let mut map = map_of::<L>(0..20_000, MIXED);
    for round in 0..4 {
        let keep = 40 + round;
        map.retain(|key, _| key % keep == 0);
        let left = map.len();
        assert_eq!((map.iter().count(), map.keys().fold(0, |count, _| count + 1)), (left, left));
        map.check();
        if round % 2 == 0 {
            map.clear();
        }
        map.check();
        for _ in 0..20_000 {
            let key = seeded.below(40_000);
            map.insert(key, !key);
        }
        map.check();
    }
}

#[test]
fn maps_that_were_sparse_fill_again() {
    sparse_maps_stay_whole::<Split>();
    sparse_maps_stay_whole::<Inline>();
    sparse_maps_stay_whole::<Tiny<Split>>();
}
