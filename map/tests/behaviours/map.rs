//! `HashMap` key by key, and its iterators.
//!
//! Invariant: each way to read a map shows the same entries.

use super::{Twin, sorted};
use crate::subject::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::rc::Rc;

fn squares(len: u32) -> HashMap<u32, u32> {
    (0..len).map(|key| (key, key * key)).collect()
}

#[test]
fn one_key() {
    let mut map = HashMap::new();
    assert_eq!(map.insert("a".to_owned(), 1), None);
    assert_eq!(map.insert("a".to_owned(), 2), Some(1));
    assert_eq!(map.get("a"), Some(&2));
    assert_eq!(map.get(&"a".to_owned()), Some(&2));
    assert_eq!(map.get_key_value("a"), Some((&"a".to_owned(), &2)));
    *map.get_mut("a").unwrap() += 1;
    assert_eq!(map["a"], 3);
    assert!(map.contains_key("a") && !map.contains_key("b"));
    assert_eq!(map.get("b"), None);
    assert_eq!(map.get_mut("b"), None);
    assert_eq!(map.remove("b"), None);
    assert_eq!(map.remove_entry("a"), Some(("a".to_owned(), 3)));
    assert_eq!((map.remove("a"), map.len()), (None, 0));
}

#[test]
fn keys_are_looked_up_as_what_they_borrow() {
    let bytes: HashMap<Vec<u8>, u32> = [(vec![1, 2], 3)].into();
    assert_eq!(bytes.get(&[1u8, 2][..]), Some(&3));
    let shared: HashMap<Rc<str>, u32> = [(Rc::from("a"), 3)].into();
    assert_eq!(shared["a"], 3);
    let unsized_keys: HashMap<Box<[u32]>, u32> = [(Box::from([1, 2]), 3)].into();
    assert!(unsized_keys.contains_key([1u32, 2].as_slice()));
}

#[test]
fn every_iterator_shows_every_entry_once() {
    for len in [0, 1, 2, 15, 16, 100, 3000] {
        let mut map = squares(len);
        let all: Vec<(u32, u32)> = (0..len).map(|key| (key, key * key)).collect();
        let (keys, values): (Vec<u32>, Vec<u32>) = all.iter().copied().unzip();
        assert_eq!(sorted(map.iter().map(|(key, value)| (*key, *value))), all);
        assert_eq!(sorted((&map).into_iter().map(|(key, value)| (*key, *value))), all);
        assert_eq!(sorted((&mut map).into_iter().map(|(key, value)| (*key, *value))), all);
        assert_eq!(sorted(map.keys().copied()), keys);
        assert_eq!(sorted(map.values().copied()), values);
        assert_eq!(sorted(map.values_mut().map(|value| *value)), values);
        assert_eq!(sorted(map.clone().into_keys()), keys);
        assert_eq!(sorted(map.clone().into_values()), values);
        assert_eq!(sorted(map.clone()), all);
        assert_eq!(sorted(map.drain()), all);
    }
}

#[test]
fn iterators_agree_in_order_and_know_their_length() {
    let map = squares(777);
    let keys: Vec<u32> = map.keys().copied().collect();
    assert!(map.iter().map(|(key, _)| *key).eq(keys.iter().copied()));
    assert!(map.values().copied().eq(keys.iter().map(|key| key * key)));
    assert!(map.clone().into_keys().eq(map.clone().into_values().map(u32::isqrt)));
    let mut iter = map.iter();
    for left in (0..777).rev() {
        assert!(iter.next().is_some());
        assert_eq!((iter.len(), iter.size_hint()), (left, (left, Some(left))));
        assert_eq!(iter.clone().count(), left);
    }
    assert_eq!((iter.next(), iter.next()), (None, None));
    let mut owned = map.clone().into_iter();
    assert_eq!(owned.by_ref().take(700).count(), 700);
    assert_eq!((owned.len(), format!("{owned:?}").matches('(').count()), (77, 77));
    assert_eq!(map.keys().copied().max(), Some(776));
    assert_eq!(
        map.values().fold(0, |sum: u64, value| sum + u64::from(*value)),
        (0..777).map(|key| key * key).sum()
    );
}

#[test]
fn changes_through_iterators_stay() {
    let mut map = squares(100);
    map.iter_mut().for_each(|(key, value)| *value -= key);
    map.values_mut().for_each(|value| *value += 1);
    for (_, value) in &mut map {
        *value *= 2;
    }
    assert!(map.iter().all(|(key, value)| *value == 2 * (key * key - key + 1)));
}

#[test]
fn choosing_what_stays() {
    let mut map = squares(1000);
    map.retain(|key, value| {
        *value = 1;
        key % 2 == 0
    });
    assert!(map.len() == 500 && map.values().all(|value| *value == 1));
    let gone = sorted(map.extract_if(|key, value| {
        *value += 1;
        key % 4 == 0
    }));
    assert!(gone.len() == 250 && gone.iter().all(|(key, value)| key % 4 == 0 && *value == 2));
    assert!(map.len() == 250 && map.values().all(|value| *value == 2));
    // An extraction that ends early leaves what it did not reach.
    let mut asked = 0;
    let few = map.extract_if(|_, _| {
        asked += 1;
        true
    });
    assert_eq!(few.take(10).count(), 10);
    assert_eq!((map.len(), asked), (240, 10));
    map.drain().next();
    assert!(map.is_empty(), "a drain empties the map, asked or not");
}

#[test]
fn several_values_at_once() {
    let mut map = squares(10);
    let [two, none, three] = map.get_disjoint_mut([&2, &99, &3]);
    assert_eq!((two.as_deref(), &none, three.as_deref()), (Some(&4), &None, Some(&9)));
    std::mem::swap(two.unwrap(), three.unwrap());
    assert_eq!((map[&2], map[&3]), (9, 4));
    assert_eq!(map.get_disjoint_mut([&77, &77]), [None, None], "keys that are not there may be equal");
    assert!(map.get_disjoint_mut::<u32, 0>([]).is_empty());
    // SAFETY: the keys differ.
    let [one, four] = unsafe { map.get_disjoint_unchecked_mut([&1, &4]) };
    assert_eq!((one, four), (Some(&mut 1), Some(&mut 16)));
}

#[test]
fn equality_is_of_the_entries() {
    let mut map = squares(300);
    let mut other = HashMap::with_capacity(10_000);
    other.extend((0..300).rev().map(|key| (key, key * key)));
    assert_eq!(map, other);
    other.insert(0, 1);
    assert_ne!(map, other);
    other.remove(&0);
    assert_ne!(map, other);
    map.remove(&0);
    assert_eq!(map, other);
    let nan = HashMap::from([(1, f64::NAN)]);
    assert!(nan != nan.clone(), "as its values are");
}

#[test]
fn made_of_entries() {
    let mut map = HashMap::from([(Twin(1, "first"), 1), (Twin(2, "second"), 2), (Twin(1, "third"), 3)]);
    assert_eq!((map.len(), map[&Twin(1, "")]), (2, 3));
    assert_eq!(map.get_key_value(&Twin(1, "")).unwrap().0.1, "first");
    map.extend([(Twin(2, ""), 20), (Twin(4, ""), 40)]);
    map.extend(&HashMap::from([(Twin(5, ""), 50)]));
    assert_eq!(
        sorted(map.into_iter().map(|(key, value)| (key.0, value))),
        [(1, 3), (2, 20), (4, 40), (5, 50)]
    );
    let from_iter = HashMap::<_, _>::from_iter([(1, 2)]);
    assert_eq!(from_iter[&1], 2);
}

#[test]
fn a_hasher_of_ones_own() {
    type Plain = BuildHasherDefault<DefaultHasher>;
    static EMPTY: HashMap<u32, u32, Plain> = HashMap::with_hasher(Plain::new());
    assert!(EMPTY.is_empty() && EMPTY.get(&1).is_none() && EMPTY.iter().next().is_none());
    let mut map = HashMap::with_capacity_and_hasher(10, Plain::new());
    map.insert(1, 1);
    let _: &Plain = map.hasher();
    let collected: HashMap<u32, u32, Plain> = map.iter().map(|(key, value)| (*key, *value)).collect();
    assert_eq!(map, collected);
}

#[test]
fn clones_are_apart() {
    let mut map = squares(500);
    let clone = map.clone();
    map.values_mut().for_each(|value| *value = 0);
    assert!(clone == squares(500) && map != clone);
    for len in [0, 3, 499, 500, 5000] {
        let mut into = squares(len);
        into.clone_from(&clone);
        assert_eq!(into, clone);
        let mut empty = HashMap::new();
        into.clone_from(&empty);
        assert_eq!(into, empty);
        empty.clone_from(&clone);
        assert_eq!(empty, clone);
    }
}

#[test]
fn how_it_shows() {
    let mut map = HashMap::from([("a", 1)]);
    assert_eq!(format!("{map:?}"), r#"{"a": 1}"#);
    assert_eq!(format!("{map:#?}"), "{\n    \"a\": 1,\n}");
    assert_eq!(format!("{:?}", HashMap::<u8, u8>::new()), "{}");
    assert_eq!(format!("{:?} {:?} {:?}", map.iter(), map.keys(), map.values()), r#"[("a", 1)] ["a"] [1]"#);
    assert_eq!(format!("{:?}", map.clone().into_iter()), r#"[("a", 1)]"#);
    assert_eq!(format!("{:?} {:?}", map.clone().into_keys(), map.clone().into_values()), r#"["a"] [1]"#);
    assert_eq!(format!("{:?}", map.iter_mut()), r#"[("a", 1)]"#);
    assert_eq!(format!("{:?}", map.values_mut()), "[1]");
    assert_eq!(format!("{:?}", map.drain()), r#"[("a", 1)]"#);
    assert_eq!(format!("{:?}", HashMap::<u8, u8>::new().extract_if(|_, _| true)), "ExtractIf { .. }");
}
