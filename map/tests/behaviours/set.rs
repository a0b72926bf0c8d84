//! `HashSet` and what two sets make together.
//!
//! Invariant: each result is checked against the same computed on sorted lists.

use super::{Twin, sorted};
use crate::subject::HashSet;

fn set(values: impl IntoIterator<Item = u32>) -> HashSet<u32> {
    values.into_iter().collect()
}

#[test]
fn one_value() {
    let mut set = HashSet::new();
    assert!(set.insert("a".to_owned()) && !set.insert("a".to_owned()));
    assert!(set.contains("a") && !set.contains("b"));
    assert_eq!(set.get("a").map(String::as_str), Some("a"));
    assert_eq!((set.take("a"), set.take("a")), (Some("a".to_owned()), None));
    set.insert("b".to_owned());
    assert!(set.remove("b") && !set.remove("b") && set.is_empty());
}

#[test]
fn which_of_two_equal_values_stays() {
    let mut set = HashSet::from([Twin(1, "first")]);
    assert!(!set.insert(Twin(1, "second")));
    assert_eq!(set.get(&Twin(1, "")).unwrap().1, "first");
    assert_eq!(set.replace(Twin(1, "third")).map(|old| old.1), Some("first"));
    assert_eq!(set.replace(Twin(2, "new")).map(|old| old.1), None);
    assert_eq!(set.take(&Twin(1, "")).unwrap().1, "third");
    assert_eq!(set.len(), 1);
}

#[test]
fn algebra() {
    for (left, right) in [(0..0, 0..0), (0..50, 0..0), (0..50, 25..90), (0..2000, 1990..2010), (0..9, 0..9)] {
        let (one, other) = (set(left.clone()), set(right.clone()));
        let both: Vec<u32> = left.clone().filter(|value| right.contains(value)).collect();
        let first: Vec<u32> = left.clone().filter(|value| !right.contains(value)).collect();
        let second: Vec<u32> = right.clone().filter(|value| !left.contains(value)).collect();
        let unlike = sorted(first.iter().chain(&second).copied());
        let all = sorted(unlike.iter().chain(&both).copied());
        assert_eq!(sorted(one.intersection(&other).copied()), both);
        assert_eq!(sorted(one.difference(&other).copied()), first);
        assert_eq!(sorted(one.symmetric_difference(&other).copied()), unlike);
        assert_eq!(sorted(one.union(&other).copied()), all);
        assert_eq!(sorted(&one & &other), both);
        assert_eq!(sorted(&one - &other), first);
        assert_eq!(sorted(&one ^ &other), unlike);
        assert_eq!(sorted(&one | &other), all);
        assert_eq!(one.is_disjoint(&other), both.is_empty());
        assert_eq!(one.is_subset(&other), first.is_empty());
        assert_eq!(one.is_superset(&other), second.is_empty());
        assert_eq!(one == other, unlike.is_empty());
        assert_eq!(one.union(&other).fold(0, |count, _| count + 1), all.len());
        let (least, most) = one.difference(&other).size_hint();
        assert!(least <= first.len() && most.is_some_and(|most| most >= first.len()));
        assert_eq!(one.union(&other).clone().count(), all.len());
    }
}

#[test]
fn taking_out() {
    let mut set = set(0..1000);
    set.retain(|value| value % 2 == 0);
    assert_eq!(set.len(), 500);
    let gone = sorted(set.extract_if(|value| value % 3 == 0));
    assert!(gone.iter().all(|value| value % 6 == 0) && gone.len() == 167);
    assert_eq!(set.extract_if(|_| true).take(3).count(), 3);
    assert_eq!(set.len(), 330);
    assert_eq!(set.drain().len(), 330);
    assert!(set.is_empty());
}

#[test]
fn made_and_shown() {
    let mut set = HashSet::from([3, 3]);
    assert_eq!(format!("{set:?}"), "{3}");
    assert_eq!(format!("{:?} {:?}", set.iter(), set.clone().into_iter()), "[3] [3]");
    assert_eq!(format!("{:?}", set.union(&HashSet::new())), "[3]");
    assert_eq!(format!("{:?}", set.difference(&HashSet::new())), "[3]");
    assert_eq!(format!("{:?}", set.intersection(&set)), "[3]");
    assert_eq!(format!("{:?}", set.symmetric_difference(&set)), "[]");
    assert_eq!(format!("{:?}", set.drain()), "[3]");
    set.extend([1, 2]);
    set.extend(&[2, 3]);
    assert_eq!(sorted(&set), [&1, &2, &3]);
    let mut other = HashSet::from([9]);
    other.clone_from(&set);
    assert_eq!(other, set);
    assert_eq!(sorted(other), [1, 2, 3]);
}
