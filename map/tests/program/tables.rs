//! A program over `HashTable`, which may hold one key several times.
//!
//! Owned by the program. Invariant: each step's answers are those of a list.

use super::{Bytes, sorted};
use crate::common::By;
use bucketmask_map::hash_table::Entry;
use bucketmask_map::{Allocator, HashTable, Layout};

type Item = (u64, u64);

/// Runs the program.
pub(super) fn run<A: Allocator + Clone, L: Layout>(program: &mut Bytes, hasher: By, alloc: &A) {
    let mut table = HashTable::<Item, A, L>::in_layout_in(alloc.clone());
    let mut model: Vec<Item> = Vec::new();
    let hash = |item: &Item| (hasher.0)(item.0);
    let mut stamp = 0;
    while !program.is_empty() {
        stamp += 1;
        match program.byte() % 16 {
            what @ 0..=8 => one_key(&mut table, &mut model, what, (program.key(), stamp), hash),
            what => whole(&mut table, &mut model, what, program, hash),
        }
        assert_eq!(table.len(), model.len());
        assert!(table.capacity() >= table.len());
        if stamp % 64 == 0 {
            table.check(hash);
        }
    }
    table.check(hash);
    assert_eq!(sorted(table), sorted(model));
}

fn one_key<A: Allocator + Clone, L: Layout>(
    table: &mut HashTable<Item, A, L>,
    model: &mut Vec<Item>,
    what: usize,
    item: Item,
    hash: impl Fn(&Item) -> u64,
) {
    let of_key = |held: &Item| held.0 == item.0;
    let at = |model: &[Item], found: &Item| model.iter().position(|held| held == found).expect("it is known");
    match what {
        0..=3 => {
            assert_eq!(*table.insert_unique(hash(&item), item, hash).get(), item);
            model.push(item);
        }
        4 => match table.entry(hash(&item), of_key, hash) {
            Entry::Occupied(entry) => drop(model.swap_remove(at(model, &entry.remove().0))),
            Entry::Vacant(entry) => {
                assert!(!model.iter().any(of_key));
                model.push(*entry.insert(item).get());
            }
        },
        5 => match table.find_entry(hash(&item), of_key) {
            Ok(entry) => {
                let (old, vacant) = entry.remove();
                let place = at(model, &old);
                model[place] = item;
                vacant.insert(item);
            }
            Err(_) => assert!(!model.iter().any(of_key)),
        },
        6 => {
            assert_eq!(table.find(hash(&item), of_key).is_some(), model.iter().any(of_key));
            if let Some(found) = table.find_mut(hash(&item), of_key) {
                let place = at(model, found);
                found.1 = item.1;
                model[place] = item;
            }
        }
        7 => {
            let ours = sorted(table.iter_hash(hash(&item)).filter(|held| of_key(held)));
            assert_eq!(ours, sorted(model.iter().filter(|held| of_key(held))));
            table.iter_hash_mut(hash(&item)).filter(|held| of_key(held)).for_each(|held| held.1 ^= 1 << 32);
            model.iter_mut().filter(|held| of_key(held)).for_each(|held| held.1 ^= 1 << 32);
        }
        _ => {
            let hashes = [hash(&item), hash(&(item.0 + 1, 0))];
            let found = table.get_disjoint_mut(hashes, |at, held| held.0 == item.0 + at as u64);
            for (held, wanted) in found.iter().zip([item.0, item.0 + 1]) {
                assert_eq!(held.is_some(), model.iter().any(|(key, _)| *key == wanted));
                assert!(held.as_ref().is_none_or(|held| held.0 == wanted));
            }
        }
    }
}

fn whole<A: Allocator + Clone, L: Layout>(
    table: &mut HashTable<Item, A, L>,
    model: &mut Vec<Item>,
    what: usize,
    program: &mut Bytes,
    hash: impl Fn(&Item) -> u64,
) {
    let count = program.count();
    let kept = |item: &Item| item.1 % (count as u64 + 2) != 1;
    match what {
        9 => {
            table.retain(|item| kept(item));
            model.retain(kept);
        }
        10 => {
            let mut taken = 0;
            for gone in table.extract_if(|item| !kept(item)).take(count) {
                assert!(!kept(&gone));
                model.swap_remove(model.iter().position(|held| *held == gone).expect("it is known"));
                taken += 1;
            }
            assert!(taken == count || table.iter().all(kept), "it ended early");
        }
        11 => {
            table.reserve(count, hash);
            assert!(table.capacity() >= table.len() + count);
        }
        12 => table.shrink_to(count, hash),
        13 => {
            let mut clone = table.clone();
            clone.check(&hash);
            clone.iter_mut().for_each(|item| item.1 += 1);
            table.clone_from(&clone);
            for item in model.iter_mut() {
                item.1 += 1;
            }
        }
        14 => assert_eq!(sorted(table.iter()), sorted(&*model)),
        _ => {
            assert!(table.drain().take(count).all(|item| model.contains(&item)));
            model.clear();
        }
    }
}
