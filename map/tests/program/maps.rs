//! A program over `HashMap`.
//!
//! Owned by the program. Invariant: each step's answers are those of std's map.

use super::{Bytes, sorted};
use crate::common::By;
use bucketmask_map::hash_map::Entry;
use bucketmask_map::{Allocator, HashMap, Layout};
use std::collections::HashMap as Model;
use std::collections::hash_map::Entry as ModelEntry;
use std::mem;

type Map<A, L> = HashMap<u64, u64, By, A, L>;

struct Pair<A: Allocator, L: Layout> {
    map: Map<A, L>,
    model: Model<u64, u64>,
    /// Differs with each step.
    stamp: u64,
}

/// Runs the program.
pub(super) fn run<A: Allocator + Clone, L: Layout>(program: &mut Bytes, hasher: By, alloc: &A) {
    let start = program.byte() % 3;
    let mut map = if start == 0 {
        Map::<A, L>::in_layout_in(hasher, alloc.clone())
    } else {
        Map::<A, L>::with_capacity_in_layout_in(program.count(), hasher, alloc.clone())
    };
    if start == 2 {
        map.extend((0..program.count() as u64).map(|key| (key, 0)));
    }
    let model = map.iter().map(|(key, value)| (*key, *value)).collect();
    let mut pair = Pair { map, model, stamp: 0 };
    while !program.is_empty() {
        pair.stamp += 1;
        match program.byte() % 30 {
            step @ 0..=14 => pair.one_key(step, program),
            step @ 15..=19 => pair.entry(step, program.key()),
            step => pair.whole(step, program),
        }
        assert_eq!((pair.map.len(), pair.map.is_empty()), (pair.model.len(), pair.model.is_empty()));
        assert!(pair.map.capacity() >= pair.map.len());
        if pair.stamp % 64 == 0 {
            pair.compare();
        }
    }
    pair.compare();
    let Pair { map, model, .. } = pair;
    assert_eq!(sorted(map), sorted(model));
}

impl<A: Allocator + Clone, L: Layout> Pair<A, L> {
    fn compare(&self) {
        self.map.check();
        assert_eq!(sorted(&self.map), sorted(&self.model));
        assert!(self.map.keys().zip(self.map.values()).all(|(key, value)| self.model[key] == *value));
    }

    fn one_key(&mut self, step: usize, program: &mut Bytes) {
        let Self { map, model, stamp } = self;
        let (key, stamp) = (program.key(), *stamp);
        match step {
            0..=4 => assert_eq!(map.insert(key, stamp), model.insert(key, stamp)),
            5..=7 => assert_eq!(map.remove(&key), model.remove(&key)),
            8 => assert_eq!(map.remove_entry(&key), model.remove_entry(&key)),
            9 => assert_eq!(map.get_key_value(&key), model.get_key_value(&key)),
            10 => {
                assert_eq!(map.contains_key(&key), model.contains_key(&key));
                assert_eq!(map.get_mut(&key).map(|value| mem::replace(value, stamp)), {
                    model.get_mut(&key).map(|value| mem::replace(value, stamp))
                });
            }
            11 => match map.try_insert(key, stamp) {
                Ok(value) => assert_eq!((*value, model.insert(key, stamp)), (stamp, None)),
                Err(error) => assert_eq!((error.value, Some(error.entry.get())), (stamp, model.get(&key))),
            },
            12 => {
                if model.insert(key, stamp).is_none() {
                    assert_eq!(map.insert_unique_unchecked(key, stamp), (&key, &mut stamp.clone()));
                } else {
                    map.insert(key, stamp);
                }
            }
            _ => {
                let keys = [key, program.key(), key ^ 1 << 40];
                if keys[0] != keys[1] {
                    let found = map.get_disjoint_mut(keys.each_ref()).map(|value| value.map(|value| *value));
                    assert_eq!(found, keys.map(|key| model.get(&key).copied()));
                }
            }
        }
    }

    fn entry(&mut self, step: usize, key: u64) {
        let Self { map, model, stamp } = self;
        let stamp = *stamp;
        match step {
            15 => assert_eq!(map.entry(key).or_insert(stamp), model.entry(key).or_insert(stamp)),
            16 => {
                let ours = *map.entry(key).and_modify(|value| *value ^= 1).or_default();
                assert_eq!(ours, *model.entry(key).and_modify(|value| *value ^= 1).or_default());
            }
            17 => {
                assert_eq!(map.entry(key).insert_entry(stamp).remove_entry(), (key, stamp));
                model.remove(&key);
            }
            18 => match (map.entry(key), model.entry(key)) {
                (Entry::Occupied(ours), ModelEntry::Occupied(theirs)) => {
                    assert_eq!(ours.remove(), theirs.remove());
                }
                (Entry::Vacant(ours), ModelEntry::Vacant(theirs)) => {
                    assert_eq!(ours.insert(stamp), theirs.insert(stamp));
                }
                (ours, theirs) => panic!("{ours:?} is not {theirs:?}"),
            },
            _ => {
                let stays = stamp % 2 == 0;
                let _ = map.entry(key).and_replace_entry_with(|_, value| stays.then_some(value + 1));
                match model.entry(key) {
                    ModelEntry::Occupied(mut entry) if stays => *entry.get_mut() += 1,
                    ModelEntry::Occupied(entry) => drop(entry.remove()),
                    ModelEntry::Vacant(_) => {}
                }
            }
        }
    }

    fn whole(&mut self, step: usize, program: &mut Bytes) {
        let Self { map, model, stamp } = self;
        let (count, stamp) = (program.count(), *stamp);
        let kept = |key: &u64| key % (count as u64 + 2) != 1;
        match step {
            20 => {
                map.retain(|key, value| {
                    *value += 1;
                    kept(key)
                });
                model.retain(|key, value| {
                    *value += 1;
                    kept(key)
                });
            }
            21 => {
                let mut taken = 0;
                for (key, value) in map.extract_if(|key, _| !kept(key)).take(count) {
                    assert_eq!((kept(&key), model.remove(&key)), (false, Some(value)));
                    taken += 1;
                }
                assert!(taken == count || map.keys().all(kept), "it ended early");
            }
            22 => {
                assert!(map.drain().take(count).all(|(key, value)| model[&key] == value));
                model.clear();
            }
            23 => {
                map.clear();
                model.clear();
            }
            24 => {
                map.reserve(count);
                let promised = map.capacity();
                assert!(promised >= map.len() + count);
                assert!(map.try_reserve(count).is_ok() && map.capacity() == promised);
            }
            25 => {
                map.shrink_to(count);
                assert!(map.capacity() >= map.len());
            }
            26 => {
                let clone = map.clone();
                clone.check();
                assert_eq!(clone, *map);
                *map = clone;
            }
            27 => {
                let mut other =
                    Map::with_capacity_in_layout_in(count, *map.hasher(), map.allocator().clone());
                other.extend((0..count as u64).map(|key| (key, 0)));
                other.clone_from(map);
                other.check();
                mem::swap(map, &mut other);
                assert_eq!(*map, other);
            }
            28 => {
                let from = program.key();
                let fresh = (from..).zip(stamp..).take(count);
                map.extend(fresh.clone());
                model.extend(fresh);
            }
            _ => {
                map.values_mut().for_each(|value| *value ^= stamp);
                map.iter_mut().for_each(|(key, value)| *value ^= key);
                for (key, value) in model.iter_mut() {
                    *value ^= stamp ^ key;
                }
            }
        }
    }
}
