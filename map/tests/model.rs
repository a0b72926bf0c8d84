//! `HashMap` against std's, operation by operation, over both layouts, in ranges and blocks, with good and bad hashers.
//!
//! Invariant: after every sequence the table's own invariants hold too (`check`).

mod common;

use bucketmask_map::{Blocks, HashMap, Inline, Layout, Pages, Split, Tiny};
use common::{ALL_HASHERS, By, MIXED, Seeded};
use proptest::prelude::*;
use std::collections::HashMap as Model;

/// One thing to do to a map.
#[derive(Clone, Debug)]
enum Op {
    Insert(u64),
    Remove(u64),
    Get(u64),
    EntryOrInsert(u64),
    EntryRemove(u64),
    GetMut(u64),
    Retain(u64),
    Drain,
    Clear,
    Reserve(usize),
    ShrinkToFit,
    Clone,
    Extend(u64, u64),
    IterMut,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let key = || 0..400u64;
    let op = prop_oneof![
        40 => key().prop_map(Op::Insert),
        12 => key().prop_map(Op::Remove),
        6 => key().prop_map(Op::Get),
        8 => key().prop_map(Op::EntryOrInsert),
        6 => key().prop_map(Op::EntryRemove),
        4 => key().prop_map(Op::GetMut),
        2 => (2..9u64).prop_map(Op::Retain),
        1 => Just(Op::Drain),
        1 => Just(Op::Clear),
        2 => (0..300usize).prop_map(Op::Reserve),
        2 => Just(Op::ShrinkToFit),
        1 => Just(Op::Clone),
        6 => (key(), 0..120u64).prop_map(|(from, len)| Op::Extend(from, len)),
        1 => Just(Op::IterMut),
    ];
    prop::collection::vec(op, 0..160)
}

type Map<L> = HashMap<u64, u64, By, Pages, L>;

fn apply<L: Layout>(map: &mut Map<L>, model: &mut Model<u64, u64>, op: &Op, stamp: u64) {
    match *op {
        Op::Insert(key) => assert_eq!(map.insert(key, stamp), model.insert(key, stamp)),
        Op::Remove(key) => assert_eq!(map.remove(&key), model.remove(&key)),
        Op::Get(key) => {
            assert_eq!(map.get_key_value(&key), model.get_key_value(&key));
            assert_eq!(map.contains_key(&key), model.contains_key(&key));
        }
        Op::EntryOrInsert(key) => {
            let ours = *map.entry(key).and_modify(|value| *value += 1).or_insert(stamp);
            assert_eq!(ours, *model.entry(key).and_modify(|value| *value += 1).or_insert(stamp));
        }
        Op::EntryRemove(key) => {
            if let bucketmask_map::hash_map::Entry::Occupied(entry) = map.entry(key) {
                assert_eq!(Some(entry.remove_entry()), model.remove_entry(&key));
            } else {
                assert!(!model.contains_key(&key));
            }
        }
        Op::GetMut(key) => {
            assert_eq!(map.get_mut(&key).map(|value| std::mem::replace(value, stamp)), {
                model.get_mut(&key).map(|value| std::mem::replace(value, stamp))
            });
        }
        Op::Retain(modulus) => {
            map.retain(|key, value| {
                *value += 1;
                key % modulus != 0
            });
            model.retain(|key, value| {
                *value += 1;
                key % modulus != 0
            });
        }
        Op::Drain => {
            let mut ours: Vec<_> = map.drain().collect();
            ours.sort_unstable();
            let mut theirs: Vec<_> = model.drain().collect();
            theirs.sort_unstable();
            assert_eq!(ours, theirs);
        }
        Op::Clear => {
            map.clear();
            model.clear();
        }
        Op::Reserve(additional) => {
            map.reserve(additional);
            assert!(map.capacity() >= map.len() + additional);
        }
        Op::ShrinkToFit => map.shrink_to_fit(),
        Op::Clone => {
            let clone = map.clone();
            clone.check();
            assert_eq!(clone, *map);
            *map = clone;
        }
        Op::Extend(from, len) => {
            map.extend((from..from + len).map(|key| (key, stamp)));
            model.extend((from..from + len).map(|key| (key, stamp)));
        }
        Op::IterMut => {
            for (_, value) in map.iter_mut().chain(&mut *model) {
                *value ^= 1;
            }
        }
    }
}

fn assert_same<L: Layout>(map: &Map<L>, model: &Model<u64, u64>) {
    map.check();
    assert_eq!(map.len(), model.len());
    assert!(map.capacity() >= map.len());
    let mut ours: Vec<_> = map.iter().map(|(key, value)| (*key, *value)).collect();
    ours.sort_unstable();
    let mut theirs: Vec<_> = model.iter().map(|(key, value)| (*key, *value)).collect();
    theirs.sort_unstable();
    assert_eq!(ours, theirs);
}

fn run<L: Layout>(ops: &[Op], hasher: By) {
    let mut map = Map::<L>::in_layout(hasher);
    let mut model = Model::new();
    for (stamp, op) in ops.iter().enumerate() {
        apply(&mut map, &mut model, op, stamp as u64 * 10);
    }
    assert_same(&map, &model);
    let collected: Model<u64, u64> = map.into_iter().collect();
    assert_eq!(collected, model);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence(ops in ops(), hasher in 0..ALL_HASHERS.len()) {
        run::<Tiny<Split>>(&ops, ALL_HASHERS[hasher]);
        run::<Tiny<Inline>>(&ops, ALL_HASHERS[hasher]);
        run::<Tiny<Blocks<Split>>>(&ops, ALL_HASHERS[hasher]);
        run::<Split>(&ops, ALL_HASHERS[hasher]);
        run::<Inline>(&ops, ALL_HASHERS[hasher]);
    }
}

fn long_run<L: Layout>(seed: u64) {
    let mut seeded = Seeded(seed);
    let mut map = Map::<L>::in_layout(MIXED);
    let mut model = Model::new();
    for round in 0..6 {
        // The population swells and shrinks, so that the table grows, rests and refills.
        let inserts = if round % 2 == 0 { 80 } else { 35 };
        for step in 0..12_000u64 {
            let key = seeded.below(20_000);
            if seeded.below(100) < inserts {
                assert_eq!(map.insert(key, step), model.insert(key, step));
            } else {
                assert_eq!(map.remove(&key), model.remove(&key));
            }
            let asked = seeded.below(20_000);
            assert_eq!(map.get(&asked), model.get(&asked));
        }
        assert_same(&map, &model);
    }
}

#[test]
fn long_runs_split() {
    long_run::<Split>(1);
    long_run::<Tiny<Split>>(2);
    long_run::<Tiny<Blocks<Split>>>(3);
}

#[test]
fn long_runs_inline() {
    long_run::<Inline>(4);
    long_run::<Tiny<Inline>>(5);
}

#[test]
fn a_large_map_grows_in_place_and_keeps_every_key() {
    let mut map = HashMap::with_hasher(MIXED);
    let mut moved = 0;
    for key in 0..400_000u64 {
        map.insert(key, !key);
        if key % 1009 == 0 && map.stats().growing {
            moved += 1;
            for known in (0..=key).step_by(97) {
                assert_eq!(map.get(&known), Some(&!known));
            }
            assert_eq!(map.get(&(key + 1)), None);
        }
    }
    assert!(moved > 10);
    assert!(map.stats().in_range);
    map.check();
}
