//! `StrMap` against std's map of strings: every length around the key's forms, good and bad hashers, drops, panics.
//!
//! Invariant: after every sequence both maps hold the same entries, and no value or block is leaked or dropped twice.

mod common;

use bucketmask_map::str_map::Entry;
use bucketmask_map::{Auto, Blocks, Cursor, HashMap, Inline, Layout, Pages, Split, StrMap, Tiny};
use common::{ALL_HASHERS, By, CONSTANT, Counted, MIXED, Seeded};
use proptest::prelude::*;
use std::borrow::Cow;
use std::cell::Cell;
use std::collections::{BTreeMap, HashMap as Model};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

static_assertions::assert_impl_all!(StrMap<u8>: std::panic::UnwindSafe, std::panic::RefUnwindSafe);
static_assertions::assert_impl_all!(bucketmask_map::HashTable<u8>: std::panic::UnwindSafe, std::panic::RefUnwindSafe);
static_assertions::assert_not_impl_any!(StrMap<&'static mut u8>: std::panic::UnwindSafe);

type Map<V, L> = StrMap<V, By, Pages, L>;

/// Lengths on both sides of every boundary: of words, of the short form, of what was tried in its place.
const LENGTHS: [usize; 17] = [0, 1, 3, 4, 7, 8, 9, 15, 16, 17, 22, 23, 24, 25, 47, 48, 60];

/// The key number `id` of a length: many share their start, their end or both, and some are not ASCII.
fn key(len: usize, id: u64) -> String {
    let filler = if id % 3 == 0 { "prefix-in-common/" } else { "\u{e9}\u{0}\u{1F5FA}~" };
    let number = id.to_string();
    let mut text = String::new();
    if id % 2 == 0 {
        text.push_str(&number);
    }
    for symbol in filler.chars().cycle() {
        if text.len() + symbol.len_utf8() > len {
            break;
        }
        text.push(symbol);
    }
    text
}

#[derive(Clone, Debug)]
enum Op {
    Insert(String),
    InsertOwned(String),
    Remove(String),
    RemoveEntry(String),
    Entry(String),
    OrInsert(String),
    GetMut(String),
    Retain(usize),
    Drain,
    Clear,
    Reserve(usize),
    ShrinkToFit,
    Clone,
    IterMut,
}

fn keys() -> impl Strategy<Value = String> {
    (prop_oneof![4 => prop::sample::select(&LENGTHS[..]), 1 => 0..=60usize], 0..40u64)
        .prop_map(|(len, id)| key(len, id))
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        20 => keys().prop_map(Op::Insert),
        20 => keys().prop_map(Op::InsertOwned),
        10 => keys().prop_map(Op::Remove),
        5 => keys().prop_map(Op::RemoveEntry),
        10 => keys().prop_map(Op::Entry),
        10 => keys().prop_map(Op::OrInsert),
        10 => keys().prop_map(Op::GetMut),
        1 => (2..5usize).prop_map(Op::Retain),
        1 => Just(Op::Drain),
        1 => Just(Op::Clear),
        2 => (0..300usize).prop_map(Op::Reserve),
        2 => Just(Op::ShrinkToFit),
        2 => Just(Op::Clone),
        1 => Just(Op::IterMut),
    ];
    prop::collection::vec(op, 1..400)
}

fn apply<L: Layout>(map: &mut Map<u64, L>, model: &mut Model<String, u64>, op: &Op, stamp: u64) {
    match op {
        Op::Insert(key) => assert_eq!(map.insert(key.as_str(), stamp), model.insert(key.clone(), stamp)),
        Op::InsertOwned(key) => assert_eq!(map.insert(key.clone(), stamp), model.insert(key.clone(), stamp)),
        Op::Remove(key) => assert_eq!(map.remove(key), model.remove(key)),
        Op::RemoveEntry(key) => {
            let ours = map.remove_entry(key).map(|(key, value)| (String::from(key), value));
            assert_eq!(ours, model.remove_entry(key));
        }
        Op::Entry(key) => match map.entry_ref(key) {
            Entry::Occupied(mut entry) => {
                assert_eq!((entry.key(), Some(entry.get())), (key.as_str(), model.get(key)));
                if stamp % 3 == 0 {
                    let (ours, value) = entry.remove_entry();
                    assert_eq!((ours.as_str(), Some(value)), (key.as_str(), model.remove(key)));
                } else {
                    assert_eq!(Some(entry.insert(stamp)), model.insert(key.clone(), stamp));
                }
            }
            Entry::Vacant(entry) => {
                assert!(!model.contains_key(key));
                assert_eq!(entry.key(), key);
            }
        },
        Op::OrInsert(key) => {
            assert_eq!(map.entry(key.clone()).or_insert(stamp), model.entry(key.clone()).or_insert(stamp));
        }
        Op::GetMut(key) => {
            let replace = |value: &mut u64| std::mem::replace(value, stamp);
            assert_eq!(map.get_mut(key).map(replace), model.get_mut(key).map(replace));
        }
        Op::Retain(modulus) => {
            map.retain(|key, value| (key.len() + *value as usize) % modulus != 0);
            model.retain(|key, value| (key.len() + *value as usize) % modulus != 0);
        }
        Op::Drain => {
            let ours: Model<String, u64> = map.drain().map(|(key, value)| (key.into(), value)).collect();
            assert_eq!(ours, std::mem::take(model));
        }
        Op::Clear => {
            map.clear();
            model.clear();
        }
        Op::Reserve(additional) => {
            map.reserve(*additional);
            assert!(map.capacity() >= map.len() + additional);
        }
        Op::ShrinkToFit => map.shrink_to_fit(),
        Op::Clone => {
            let clone = map.clone();
            clone.check();
            assert_eq!(clone, *map);
            *map = clone;
        }
        Op::IterMut => {
            for (key, value) in map.iter_mut() {
                *value ^= key.len() as u64;
            }
            for (key, value) in model.iter_mut() {
                *value ^= key.len() as u64;
            }
        }
    }
}

fn assert_same<L: Layout>(map: &Map<u64, L>, model: &Model<String, u64>) {
    map.check();
    assert_eq!((map.len(), map.is_empty()), (model.len(), model.is_empty()));
    assert!(map.capacity() >= map.len());
    let ours: Model<String, u64> = map.iter().map(|(key, value)| (key.to_owned(), *value)).collect();
    assert_eq!(ours, *model);
    for (key, value) in model {
        assert_eq!(map.get_key_value(key), Some((key.as_str(), value)));
        // A neighbour at either end, which mostly is not there.
        for near in [format!("{key}x"), format!("x{key}"), key.chars().skip(1).collect()] {
            assert_eq!(map.get(&near), model.get(&near));
        }
    }
}

fn run<L: Layout>(ops: &[Op], hasher: By) {
    let mut map = Map::<u64, L>::with_hasher_in(hasher, Pages);
    let mut model = Model::new();
    for (stamp, op) in ops.iter().enumerate() {
        apply(&mut map, &mut model, op, stamp as u64);
    }
    assert_same(&map, &model);
    let collected: Model<String, u64> = map.into_iter().map(|(key, value)| (key.into(), value)).collect();
    assert_eq!(collected, model);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence(ops in ops(), hasher in 0..ALL_HASHERS.len()) {
        run::<Tiny<Split>>(&ops, ALL_HASHERS[hasher]);
        run::<Tiny<Inline>>(&ops, ALL_HASHERS[hasher]);
        run::<Tiny<Blocks<Split>>>(&ops, ALL_HASHERS[hasher]);
        run::<Auto>(&ops, ALL_HASHERS[hasher]);
    }
}

#[test]
fn every_length_grows_with_the_table() {
    for len in 0..=60 {
        let mut map = StrMap::with_hasher(MIXED);
        let mut model = Model::new();
        for id in 0..300 {
            assert_eq!(map.insert(key(len, id), id), model.insert(key(len, id), id));
        }
        assert_same(&map, &model);
    }
}

#[test]
fn a_large_map_keeps_every_key_while_it_grows() {
    let mut map = StrMap::with_hasher(foldhash::fast::FixedState::default());
    let name = |id: u64| format!("{id:0width$}", width = LENGTHS[(id % 17) as usize]);
    for id in 0..60_000 {
        assert_eq!(map.insert(name(id), id), None);
        if id % 1009 == 0 {
            assert!((0..=id).step_by(97).all(|known| map.get(&name(known)) == Some(&known)));
            assert_eq!(map.get(&name(id + 1)), None);
        }
    }
    assert!(map.stats().in_range);
    map.check();
    let long = map.keys().filter(|key| key.len() > 23).count();
    assert!(long > 15_000 && long < 20_000);
    map.retain(|key, _| key.len() > 23);
    assert_eq!(map.len(), long);
    while map.migrate_step() {}
    map.check();
    map.shrink_to_fit();
    map.check();
}

/// A hasher that panics when its fuse burns down: on short keys while a table grows, and on what is asked for.
#[derive(Clone)]
struct Fused(Rc<Cell<u64>>);

impl std::hash::BuildHasher for Fused {
    type Hasher = common::ByHasher;

    fn build_hasher(&self) -> common::ByHasher {
        let left = self.0.get();
        if left > 0 {
            self.0.set(left - 1);
            assert!(left > 1, "a fuse burnt down");
        }
        MIXED.build_hasher()
    }
}

#[test]
fn panicking_hashers_lose_no_entry() {
    let (fuse, alive) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let mut map =
        StrMap::<Counted, Fused, Pages, Tiny<Split>>::with_hasher_in(Fused(Rc::clone(&fuse)), Pages);
    let mut model = std::collections::HashSet::new();
    let mut seeded = Seeded(3);
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let mut caught = 0;
    for round in 0..4000 {
        fuse.set(seeded.below(50));
        let id = seeded.below(1500);
        let text = format!("{id:0width$}", width = LENGTHS[(id % 17) as usize]);
        let done = catch_unwind(AssertUnwindSafe(|| match seeded.below(4) {
            0 => {
                if map.remove(&text).is_some() {
                    model.remove(&text);
                }
            }
            1 => map.shrink_to_fit(),
            _ => {
                map.insert(text.as_str(), Counted::new(round, &alive));
                model.insert(text.clone());
            }
        }));
        fuse.set(0);
        caught += usize::from(done.is_err());
        assert_eq!((map.len(), alive.get()), (model.len(), model.len()));
    }
    std::panic::set_hook(hook);
    assert!(caught > 100);
    map.check();
    assert!(model.iter().all(|text| map.contains_key(text)));
    drop(map);
    assert_eq!(alive.get(), 0);
}

fn drops_are_exact<L: Layout>() {
    let alive = Rc::new(Cell::new(0));
    let mut map = Map::<Counted, L>::with_hasher_in(MIXED, Pages);
    let mut seeded = Seeded(11);
    for id in 0..4000 {
        map.insert(key(LENGTHS[seeded.below(17) as usize], seeded.below(100)), Counted::new(id, &alive));
        map.remove(&key(LENGTHS[seeded.below(17) as usize], seeded.below(100)));
        assert_eq!(alive.get(), map.len());
    }
    let clone = map.clone();
    assert_eq!(alive.get(), 2 * map.len());
    let mut owned = clone.into_iter();
    owned.by_ref().take(10).for_each(drop);
    drop(owned);
    map.retain(|key, _| key.len() % 2 == 0);
    assert_eq!(alive.get(), map.len());
    let half = map.len() / 2;
    map.drain().take(half).for_each(drop);
    assert_eq!((alive.get(), map.len()), (0, 0));
    map.extend((0..500).map(|id| (id.to_string(), Counted::new(id, &alive))));
    map.clear();
    assert_eq!(alive.get(), 0);
    map.extend((0..50).map(|id| (key(60, id), Counted::new(id, &alive))));
    drop(map);
    assert_eq!(alive.get(), 0);
}

#[test]
fn every_value_is_dropped_once() {
    drops_are_exact::<Tiny<Split>>();
    drops_are_exact::<Tiny<Inline>>();
    drops_are_exact::<Auto>();
}

#[test]
fn a_panicking_drop_leaves_a_whole_map() {
    struct Bomb(bool);
    impl Drop for Bomb {
        fn drop(&mut self) {
            assert!(!self.0, "a bomb");
        }
    }
    let mut map = StrMap::with_hasher(MIXED);
    // Short keys: what a panic leaves behind is leaked, and they own nothing.
    for id in 0..100u64 {
        map.insert(id.to_string(), Bomb(id == 50));
    }
    assert!(catch_unwind(AssertUnwindSafe(|| map.clear())).is_err());
    assert!(map.is_empty());
    map.check();
    map.insert("again", Bomb(false));
    assert_eq!(map.len(), 1);
}

#[test]
fn odd_values_fit() {
    #[repr(align(128))]
    #[derive(Debug, PartialEq)]
    struct Wide(u8);
    let mut wide = StrMap::with_hasher(MIXED);
    let mut none = StrMap::with_hasher(CONSTANT);
    for id in 0..200 {
        wide.insert(key(60, id), Wide(id as u8));
        none.insert(id.to_string(), ());
    }
    assert!(wide.values().all(|value| std::ptr::from_ref(value).addr() % 128 == 0));
    assert!((0..200).all(|id| none.get(&id.to_string()) == Some(&())));
    assert_eq!((none.len(), none.get("200")), (200, None));
    wide.check();
    none.check();
}

#[test]
fn it_is_used_as_stds_map_is() {
    let mut map = StrMap::from([("one", 1i64), ("two", 2)]);
    map.extend([(String::from("three"), 3)]);
    map.extend([(Cow::Borrowed("a key of more than twenty-three bytes"), 37)]);
    map.extend(&StrMap::<i64>::from([("five", 5)]));
    *map.entry("one").or_default() += 10;
    map.entry_ref("six")
        .and_modify(|_| panic!("it is not there"))
        .or_insert_with_key(|key| if key == "six" { 3 } else { 0 });
    assert_eq!((map["one"], map["six"], map.len()), (11, 3, 6));
    assert_eq!(map.entry("seven").insert_entry(7).remove(), 7);
    assert!(catch_unwind(|| map["eight"]).is_err());
    assert_eq!(map.values().sum::<i64>(), 11 + 2 + 3 + 37 + 5 + 3);
    map.values_mut().for_each(|value| *value = -*value);
    let copy: StrMap<i64> = map.clone().into_iter().collect();
    assert_eq!(copy, map);
    let mut keys: Vec<String> = copy.into_keys().map(String::from).collect();
    keys.sort();
    assert_eq!(keys[0], "a key of more than twenty-three bytes");
    assert_eq!(map.into_values().min(), Some(-37));
    let one = StrMap::from([("a\"b", 1)]);
    assert_eq!(format!("{one:?} {:?} {:?}", one.keys(), one.values()), r#"{"a\"b": 1} ["a\"b"] [1]"#);
}

#[test]
fn keys_are_strings() {
    fn crosses<T: Send + Sync>(_: &T) {}
    let mut map = StrMap::from([("b", 0), ("a long key, with a block of its own", 1), ("a", 2)]);
    let mut keys: Vec<_> = map.drain().map(|(key, _)| key).collect();
    keys.sort();
    assert_eq!(keys, ["a", "a long key, with a block of its own", "b"]);
    assert_eq!((keys[2].len(), keys[1].starts_with("a long")), (1, true));
    assert_eq!(format!("{} {:?}", keys[0], keys[0]), "a \"a\"");
    map.extend(keys.into_iter().map(|key| (key, 7)));
    assert_eq!(map.len(), 3);
    crosses(&map);
    let map = std::thread::spawn(move || map).join().expect("no panic");
    assert_eq!(map["a long key, with a block of its own"], 7);
}

/// Keys that are std's strings are compared by their ends, whatever holds them and whatever they are asked for with.
#[test]
fn a_map_of_strings_finds_its_keys_and_no_others() {
    let texts: Vec<String> = (0..=60).flat_map(|len| (0..12).map(move |id| key(len, id))).collect();
    let owned: HashMap<String, &str, By> = texts.iter().map(|text| (text.clone(), text.as_str())).collect();
    let boxed: HashMap<Box<str>, &str, By> =
        texts.iter().map(|text| (text.as_str().into(), text.as_str())).collect();
    let lent: HashMap<&str, &str, By> = texts.iter().map(|text| (text.as_str(), text.as_str())).collect();
    let model: std::collections::HashSet<&str> = texts.iter().map(String::as_str).collect();
    assert_eq!((owned.len(), boxed.len(), lent.len()), (model.len(), model.len(), model.len()));
    for text in &texts {
        let near = format!("{text}~");
        for asked in
            [text.as_str(), near.as_str(), &text[text.char_indices().nth(1).map_or(0, |(at, _)| at)..]]
        {
            let found = model.get(asked).copied();
            assert_eq!(owned.get(asked).copied(), found);
            assert_eq!(owned.get(&asked.to_owned()).copied(), found);
            assert_eq!(boxed.get(asked).copied(), found);
            assert_eq!(lent.get(asked).copied(), found);
        }
    }
    owned.check();
}

#[test]
fn cursors_visit_every_string_that_stays_once() {
    let text = |number: u32| format!("{number:0width$}", width = number as usize % 40);
    let mut map: StrMap<u32> = StrMap::new();
    let all: BTreeMap<String, u32> = (0..5000).map(|number| (text(number), number)).collect();
    for (key, number) in &all {
        map.insert(key.as_str(), *number);
    }
    let (mut cursor, mut seen) = (map.cursor(), Vec::new());
    let mut extra = 0;
    while let Some(group) = cursor.next_str(&map) {
        seen.extend(
            group.map(|(key, value)| (key.to_owned(), *value)).filter(|(key, _)| !key.starts_with('x')),
        );
        // The map grows, shrinks and loses what has been seen meanwhile.
        map.insert(format!("x{extra}"), 0);
        extra += 1;
        if let Some((key, _)) = seen.last().filter(|_| extra % 3 == 0) {
            map.remove(key);
        }
        assert!(extra < 1_000_000);
    }
    let visited: BTreeMap<String, u32> = seen.iter().cloned().collect();
    assert_eq!((seen.len(), visited), (all.len(), all));
    map.check();

    map.retain(|key, _| key.starts_with('x'));
    let (mut cursor, mut count) = (Cursor::START, 0);
    while !cursor.is_at_end() {
        let (entries, next) = map.scan(cursor, 7);
        assert!(entries.len() == 7 || next.is_at_end());
        count += entries.inspect(|(key, _)| assert!(map.contains_key(key))).count();
        cursor = next;
    }
    assert_eq!(count, map.len());
}

#[test]
fn what_is_chosen_is_taken_out_and_the_rest_stays() {
    let mut map: StrMap<u32> = (0..2000u32).map(|number| (number.to_string(), number)).collect();
    let mut taken: Vec<u32> = map
        .extract_if(|key, value| {
            assert_eq!(key, value.to_string());
            *value % 3 == 0
        })
        .inspect(|(key, value)| assert_eq!(key.as_str(), value.to_string()))
        .map(|(_, value)| value)
        .collect();
    taken.sort_unstable();
    assert!(taken.into_iter().eq((0..2000).step_by(3)));
    map.check();
    assert_eq!(map.len(), 1333);
    assert!((0..2000u32).all(|number| map.contains_key(&number.to_string()) == (number % 3 != 0)));
    // An extraction that is dropped takes out no more.
    assert_eq!(map.extract_if(|_, _| true).take(10).count(), 10);
    assert_eq!(map.len(), 1323);
}

#[test]
fn values_of_several_keys_are_lent_at_once_but_not_twice() {
    let long = "a key that does not fit into a slot of the table";
    let mut map = StrMap::from([("a", 1), ("b", 2), (long, 3)]);
    if let [Some(a), None, Some(c)] = map.get_disjoint_mut(["a", "nobody", long]) {
        std::mem::swap(a, c);
    }
    assert_eq!((map["a"], map["b"], map[long]), (3, 2, 1));
    let twice = catch_unwind(AssertUnwindSafe(|| {
        map.get_disjoint_mut([long, "b", long]);
    }));
    assert!(twice.is_err());
}
