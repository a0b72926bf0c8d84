//! A program over two `HashSet`s.
//!
//! Owned by the program. Invariant: each step's answers are those of std's sets.

use super::{Bytes, sorted};
use crate::common::By;
use bucketmask_map::{Allocator, HashSet, Layout};
use std::collections::HashSet as Model;

type Set<A, L> = HashSet<u64, By, A, L>;

/// Runs the program.
pub(super) fn run<A: Allocator + Clone + Default, L: Layout>(program: &mut Bytes, hasher: By, alloc: &A) {
    let empty =
        || (Set::<A, L>::from(bucketmask_map::HashMap::in_layout_in(hasher, alloc.clone())), Model::new());
    let ((mut set, mut model), (mut other, mut other_model)) = (empty(), empty());
    while !program.is_empty() {
        step(&mut set, &mut model, program);
        if program.byte() % 4 == 0 {
            together((&set, &other), (&model, &other_model));
            std::mem::swap(&mut set, &mut other);
            std::mem::swap(&mut model, &mut other_model);
        }
        assert_eq!(set.len(), model.len());
    }
    assert_eq!(sorted(&set), sorted(&model));
    assert_eq!(sorted(other), sorted(other_model));
}

fn step<A: Allocator + Clone, L: Layout>(set: &mut Set<A, L>, model: &mut Model<u64>, program: &mut Bytes) {
    let (what, key) = (program.byte() % 16, program.key());
    match what {
        0..=3 => assert_eq!(set.insert(key), model.insert(key)),
        4 | 5 => assert_eq!(set.remove(&key), model.remove(&key)),
        6 => assert_eq!(set.take(&key), model.take(&key)),
        7 => assert_eq!(set.replace(key), model.replace(key)),
        8 => {
            assert_eq!(*set.get_or_insert_with(&key, |key| *key), key);
            model.insert(key);
        }
        9 => {
            assert_eq!(*set.entry(key).insert().get(), key);
            model.insert(key);
        }
        10 => assert_eq!(set.get(&key), model.get(&key)),
        11 => {
            set.retain(|value| value % 3 != key % 3);
            model.retain(|value| value % 3 != key % 3);
        }
        12 => {
            let (count, mut taken) = (program.count(), 0);
            for value in set.extract_if(|value| value % 2 == key % 2).take(count) {
                assert!(value % 2 == key % 2 && model.remove(&value));
                taken += 1;
            }
            assert!(taken == count || set.iter().all(|value| value % 2 != key % 2), "it ended early");
        }
        13 => {
            let fresh = key..key + program.count() as u64;
            set.extend(fresh.clone());
            model.extend(fresh);
        }
        14 => set.shrink_to(program.count()),
        _ => {
            assert!(set.drain().take(program.count()).all(|value| model.contains(&value)));
            model.clear();
        }
    }
}

/// What two sets make together.
fn together<A: Allocator + Clone + Default, L: Layout>(
    (one, other): (&Set<A, L>, &Set<A, L>),
    (model, other_model): (&Model<u64>, &Model<u64>),
) {
    assert_eq!(sorted(&(one | other)), sorted(&(model | other_model)));
    assert_eq!(sorted(&(one & other)), sorted(&(model & other_model)));
    assert_eq!(sorted(&(one ^ other)), sorted(&(model ^ other_model)));
    assert_eq!(sorted(&(one - other)), sorted(&(model - other_model)));
    assert_eq!(one.is_subset(other), model.is_subset(other_model));
    assert_eq!(one.is_superset(other), model.is_superset(other_model));
    assert_eq!(one.is_disjoint(other), model.is_disjoint(other_model));
    assert_eq!(one == other, model == other_model);
}
