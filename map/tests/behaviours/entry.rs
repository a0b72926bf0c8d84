//! `hash_map::Entry` and its two kinds.
//!
//! Invariant: an entry is one lookup, whatever is done with it.

use super::Twin;
use crate::subject::HashMap;
use crate::subject::hash_map::{Entry, OccupiedEntry, VacantEntry};

fn occupied<K: Eq + std::hash::Hash, V>(map: &mut HashMap<K, V>, key: K) -> OccupiedEntry<'_, K, V> {
    match map.entry(key) {
        Entry::Occupied(entry) => entry,
        Entry::Vacant(_) => panic!("it is there"),
    }
}

fn vacant<K: Eq + std::hash::Hash, V>(map: &mut HashMap<K, V>, key: K) -> VacantEntry<'_, K, V> {
    match map.entry(key) {
        Entry::Occupied(_) => panic!("it is not there"),
        Entry::Vacant(entry) => entry,
    }
}

#[test]
fn the_or_family() {
    let mut map: HashMap<&str, usize> = HashMap::new();
    assert_eq!(*map.entry("a").or_insert(1), 1);
    assert_eq!(*map.entry("a").or_insert(2), 1);
    assert_eq!(*map.entry("b").or_insert_with(|| 2), 2);
    assert_eq!(*map.entry("b").or_insert_with(|| unreachable!("it is there")), 2);
    assert_eq!(*map.entry("three").or_insert_with_key(|key| key.len()), 5);
    assert_eq!(*map.entry("d").or_default(), 0);
    *map.entry("d").or_default() += 7;
    assert_eq!(*map.entry("d").and_modify(|value| *value *= 2).or_insert(1), 14);
    assert_eq!(*map.entry("e").and_modify(|value| *value *= 2).or_insert(1), 1);
    assert_eq!(map.len(), 5);
}

#[test]
fn an_occupied_entry() {
    let mut map = HashMap::from([("a", 1)]);
    let mut entry = occupied(&mut map, "a");
    assert_eq!((entry.key(), entry.get()), (&"a", &1));
    *entry.get_mut() += 1;
    assert_eq!(entry.insert(5), 2);
    *entry.into_mut() += 1;
    assert_eq!(map["a"], 6);
    assert_eq!(map.entry("a").insert_entry(9).remove(), 9);
    assert!(map.is_empty());
    map.insert("a", 1);
    assert_eq!(occupied(&mut map, "a").remove_entry(), ("a", 1));
    assert!(map.is_empty());
}

#[test]
fn a_vacant_entry() {
    let mut map = HashMap::new();
    assert_eq!(vacant(&mut map, "a".to_owned()).key(), "a");
    assert_eq!(vacant(&mut map, "a".to_owned()).into_key(), "a");
    assert!(map.is_empty(), "to look is not to insert");
    *vacant(&mut map, "a".to_owned()).insert(1) += 1;
    assert_eq!(map["a"], 2);
    let entry = vacant(&mut map, "b".to_owned()).insert_entry(3);
    assert_eq!((entry.key().as_str(), entry.get()), ("b", &3));
    assert_eq!(map.entry("c".to_owned()).insert_entry(4).get(), &4);
    assert_eq!(map.len(), 3);
}

#[test]
fn whose_key_it_is() {
    let mut map = HashMap::from([(Twin(1, "held"), 1)]);
    assert_eq!(map.entry(Twin(1, "asked")).key().1, "held");
    assert_eq!(map.entry(Twin(2, "asked")).key().1, "asked");
    assert_eq!(map.entry(Twin(1, "asked")).insert_entry(2).key().1, "held");
    assert_eq!(map.insert(Twin(1, "later"), 3), Some(2));
    assert_eq!(map.remove_entry(&Twin(1, "")).map(|(key, value)| (key.1, value)), Some(("held", 3)));
}

#[test]
fn entries_over_a_growing_map() {
    let mut map = HashMap::new();
    for round in 1..4 {
        for key in 0..20_000u32 {
            *map.entry(key % 7001).or_insert(0u32) += round;
        }
    }
    assert_eq!(map.len(), 7001);
    for (key, count) in &map {
        let visits = 20_000 / 7001 + u32::from(*key < 20_000 % 7001);
        assert_eq!(*count, visits * 6);
    }
    for key in 0..7001 {
        if let Entry::Occupied(entry) = map.entry(key) {
            entry.remove();
        }
    }
    assert!(map.is_empty());
}

#[test]
fn how_they_show() {
    let mut map = HashMap::from([(1, 2)]);
    assert_eq!(format!("{:?}", map.entry(1)), "Entry(OccupiedEntry { key: 1, value: 2, .. })");
    assert_eq!(format!("{:?}", map.entry(7)), "Entry(VacantEntry(7))");
}
