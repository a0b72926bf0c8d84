//! What no operation exceeds, and what a table never costs: counted, at every operation of long runs.
//! Not for sanitizers: millions of operations on the ways that `model.rs` takes too.
//!
//! Invariant: the bounds are the documented ones of docs/decisions/0010; entries moved are counted by the hasher, since
//! an entry is hashed once for each time that it may be moved.

mod common;

use bucketmask_map::{Blocks, HashMap, HashRange, Inline, Layout, Split, StrMap, Tiny};
use common::{By, MIXED, Seeded};
use std::cell::Cell;

/// Entries that one operation hashes at most, besides its own key, where hashes are mixed: a batch and one home's more, and the
/// trails that lead on from there.
const HASHED: u64 = 1024;
/// Entries that an operation moves while a migration is under way, nearly always: a batch, one home's more, and some trail.
const NEARLY_ALWAYS: u64 = 64;
/// Bytes in a table from which on the bound holds.
const STATED: usize = 64 << 10;

thread_local! {
    static HASHES: Cell<u64> = const { Cell::new(0) };
}

const COUNTED: By = By(|word| {
    HASHES.set(HASHES.get() + 1);
    (word ^ word >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) ^ word >> 32
});

/// Runs `op` and returns how many entries it hashed.
fn hashed(op: impl FnOnce()) -> u64 {
    let before = HASHES.get();
    op();
    HASHES.get() - before
}

type Map<L> = HashMap<u64, u64, By, bucketmask_map::Pages, L>;

fn no_operation_moves_more<L: Layout>(most: u64, stated: usize) {
    let mut map = Map::<L>::in_layout(COUNTED);
    let (mut worst, mut over, mut all) = (0, 0, 0);
    let mut note = |map: &Map<L>, count: u64| {
        if map.allocation_size() >= stated {
            worst = worst.max(count);
            over += u64::from(count > NEARLY_ALWAYS);
            all += u64::from(count > 8);
        }
    };
    let mut seeded = Seeded(3);
    for round in 0..3 {
        for key in 0..60_000u64 {
            let count = hashed(|| _ = map.insert(key, round));
            note(&map, count);
            let count = hashed(|| _ = map.get(&(key / 2)));
            note(&map, count);
        }
        // Counts go stale, and are repaired while the table fills and empties.
        map.retain(|key, _| key % 7 != round);
        for key in 0..60_000u64 {
            let count = hashed(|| _ = map.remove(&seeded.below(60_000)));
            note(&map, count);
            let count = hashed(|| *map.entry(key / 9).or_insert(0) += 1);
            note(&map, count);
        }
        for key in 0..60_000u64 {
            let count = hashed(|| _ = map.remove(&key));
            note(&map, count);
        }
        assert!(map.is_empty());
        map.check();
    }
    assert!(worst > 20, "{worst}: upkeep must have happened");
    assert!(worst <= most, "an operation hashed {worst} entries");
    assert!(over <= all / 4, "{over} of {all} operations of upkeep hashed more than {NEARLY_ALWAYS} entries");
}

#[test]
fn no_operation_moves_more_than_stated() {
    no_operation_moves_more::<Split>(HASHED, STATED);
    no_operation_moves_more::<Inline>(HASHED, STATED);
    // Their range is left now and then, as bytes.
    no_operation_moves_more::<Tiny<Split>>(HASHED, 1024);
    no_operation_moves_more::<Tiny<Inline>>(HASHED, 1024);
    no_operation_moves_more::<Tiny<Blocks<Split>>>(HASHED, 2048);
}

#[test]
fn memory_follows_removals_but_not_below_what_was_reserved() {
    let mut map = HashMap::with_hasher(MIXED);
    (0..200_000u64).for_each(|key| _ = map.insert(key, key));
    while map.migrate_step() {}
    let full = map.allocation_size();
    for key in 0..190_000 {
        assert_eq!(map.remove(&key), Some(key));
        if key % 10_000 == 0 {
            map.check();
        }
    }
    while map.migrate_step() {}
    map.check();
    assert!(map.allocation_size() * 5 < full, "{} of {full}", map.allocation_size());
    assert!((190_000..200_000).all(|key| map.get(&key) == Some(&key)));

    let mut kept = HashMap::with_capacity_and_hasher(100_000, MIXED);
    (0..100_000u64).for_each(|key| _ = kept.insert(key, key));
    (0..100_000u64).for_each(|key| _ = kept.remove(&key));
    while kept.migrate_step() {}
    assert!(kept.capacity() >= 100_000);
    kept.shrink_to(1000);
    assert!((1000..2000).contains(&kept.capacity()));
}

#[test]
fn a_map_of_strings_gives_memory_back_too_but_not_what_was_reserved() {
    let mut map = StrMap::<u64>::default();
    map.extend((0..100_000u64).map(|key| (key.to_string(), key)));
    while map.migrate_step() {}
    let full = map.allocation_size();
    (0..95_000u64).for_each(|key| assert_eq!(map.remove(&key.to_string()), Some(key)));
    while map.migrate_step() {}
    map.check();
    assert!(map.allocation_size() * 5 < full, "{} of {full}", map.allocation_size());
    map.reserve(100_000);
    map.insert("one more", 1);
    while map.migrate_step() {}
    assert!(map.capacity() >= 105_000, "{}", map.capacity());
}

#[test]
fn a_cleared_map_keeps_its_memory_until_it_is_used_otherwise() {
    let mut map = HashMap::with_hasher(MIXED);
    (0..100_000u64).for_each(|key| _ = map.insert(key, key));
    let capacity = map.capacity();
    map.clear();
    (0..1000).for_each(|key| assert_eq!(map.remove(&key), None));
    assert_eq!(map.capacity(), capacity, "a miss gave it away");
}

#[test]
fn removals_shrink_what_was_reserved_once_that_is_taken_back() {
    let mut map = HashMap::with_capacity_and_hasher(100_000, MIXED);
    (0..100_000u64).for_each(|key| _ = map.insert(key, key));
    let full = map.allocation_size();
    map.shrink_to_fit();
    (0..95_000u64).for_each(|key| _ = map.remove(&key));
    while map.migrate_step() {}
    assert!(map.allocation_size() * 5 < full, "{} of {full}", map.allocation_size());
}

#[test]
fn a_table_that_grew_early_does_not_shrink_at_the_first_removal() {
    let mut source = HashMap::with_hasher(MIXED);
    (0..400_000u64).for_each(|key| _ = source.insert(key, key));
    let keys: Vec<u64> = source.keys().copied().take(20_000).collect();
    // All hashes lie in a twentieth of the range, so that only a table with room for twenty times as many has short trails.
    let mut part = HashMap::with_hasher(MIXED);
    part.extend(keys.iter().map(|&key| (key, key)));
    while part.migrate_step() {}
    let homes = part.stats().homes;
    assert!(homes > 20_000 / 4, "{homes} homes: it did not grow early");
    for key in &keys[..8000] {
        part.remove(key);
        part.insert(*key, *key);
    }
    assert!(part.stats().homes >= homes, "{:?}", part.stats());
    keys.iter().take(19_500).for_each(|key| _ = part.remove(key));
    while part.migrate_step() {}
    part.check();
    assert!(part.stats().homes < homes / 4, "{} homes for 500 entries", part.stats().homes);
}

/// A part of a map is moved without growing on the way, whether it becomes a map of its own or one of several parts.
#[test]
fn parts_of_a_map_are_moved_in_one_go() {
    let mut source = HashMap::with_hasher(COUNTED);
    (0..200_000u64).for_each(|key| _ = source.insert(key, key));
    let parts = HashRange::ALL.split(16);
    let mut most = 0;
    let mut shards: Vec<_> = parts
        .clone()
        .map(|range| {
            let mut shard = HashMap::with_hasher(COUNTED);
            // Once where it is taken out, once where it is put in, and a few for trails.
            most = most.max(hashed(|| shard.merge_range(&mut source, range)));
            shard
        })
        .collect();
    assert!(source.is_empty() && most < 3 * 200_000 / 16, "{most} hashes for a sixteenth of 200,000 entries");
    for shard in &mut shards {
        shard.check();
        assert!(shard.stats().longest_trail < 16, "{:?}", shard.stats());
        let homes = shard.stats().homes;
        let key = *shard.keys().next().unwrap();
        shard.remove(&key);
        assert_eq!(shard.stats().homes, homes, "a removal undid it");
        shard.insert(key, key);
    }
    let mut whole = HashMap::with_hasher(COUNTED);
    let count =
        hashed(|| shards.iter_mut().zip(parts).for_each(|(shard, range)| whole.merge_range(shard, range)));
    whole.check();
    assert_eq!(whole.len(), 200_000);
    assert!(count < 3 * 200_000, "{count} hashes for 200,000 entries");
}

/// Bytes an entry of 16 bytes, at sizes up to 8 million: three octaves in which a table is flat, and below, where it buys
/// speed with memory, no more than docs/map.md says.
#[test]
fn bytes_an_entry_stay_flat() {
    // A slot and its share of head and mask are 17.3 bytes; a flat table is between 12/14 and 10/14 full.
    const MOST: [(usize, f64); 3] = [(50_000, 52.0), (710_000, 31.0), (usize::MAX, 24.5)];
    // 0.80 of hashbrown's mean over an octave: 17 bytes a slot, 7/8 full when full, 1.44 times as much in the mean.
    const MEAN: f64 = 0.80 * 17.0 / 0.875 * std::f64::consts::LOG2_E;
    let mut map = HashMap::with_hasher(MIXED);
    let mut octave = Octave::NEW;
    let mut octaves = 0;
    for key in 0..8_000_000u64 {
        map.insert(key, key);
        let len = map.len();
        if len < 1000 || len % (len.next_power_of_two() / 1024) != 0 && len % 1_000_000 != 0 {
            continue;
        }
        let bytes = map.allocation_size() as f64 / len as f64;
        let most = MOST.iter().find(|(end, _)| len < *end).map_or(0.0, |&(_, most)| most);
        assert!(bytes <= most, "{bytes} bytes an entry at {len}");
        if len >= 1_000_000 {
            octave.add(bytes, len);
        }
        if [2_000_000, 4_000_000, 8_000_000].contains(&len) {
            let (mean, swing) = (octave.weighted / octave.weights, octave.most / octave.least);
            assert!(mean <= MEAN, "{mean} bytes an entry in the mean of the octave up to {len}");
            assert!(swing <= 1.2, "bytes an entry differ by {swing} in the octave up to {len}");
            (octave, octaves) = (Octave::NEW, octaves + 1);
        }
    }
    assert_eq!(octaves, 3);
}

/// Bytes an entry in one octave, in the mean over the logarithm of the size.
struct Octave {
    weighted: f64,
    weights: f64,
    least: f64,
    most: f64,
}

impl Octave {
    const NEW: Self = Self { weighted: 0.0, weights: 0.0, least: f64::MAX, most: 0.0 };

    fn add(&mut self, bytes: f64, len: usize) {
        let weight = 1.0 / len as f64;
        self.weighted += bytes * weight;
        self.weights += weight;
        (self.least, self.most) = (self.least.min(bytes), self.most.max(bytes));
    }
}
