//! `GcMap` and `Collect` for maps: what is in a map lives, what is not dies, however the walk finds it.
//!
//! Invariant: after a collection the arena holds exactly what the model says.

#![cfg(feature = "gc")]

mod common;

use bucketmask_gc::{Arena, Collect, Gc, RefLock, Rootable, Walk};
use bucketmask_map::{GcMap, HashMap, HashSet, HashTable};
use common::{ALL_HASHERS, By, MIXED, Seeded};
use std::cell::Cell;
use std::collections::HashMap as Model;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

type Map<'gc> = GcMap<'gc, u64, Gc<'gc, u64>, By>;
type MapArena = Arena<Rootable![Map<'_>]>;

/// Objects a map of `len` entries stands for: its body and its values.
fn objects(len: usize) -> usize {
    len + 1
}

#[test]
fn a_map_keeps_its_values_alive_and_no_others() {
    for hasher in ALL_HASHERS {
        let mut arena = MapArena::new(|mc| GcMap::with_hasher(mc, hasher));
        let mut model = Model::new();
        let mut seeded = Seeded(3);
        for round in 0..12 {
            arena.mutate(|mc, map| {
                for _ in 0..400 {
                    let key = seeded.below(700);
                    if seeded.below(12) < 12 - round {
                        let value = seeded.below(1 << 40);
                        let old = map.insert(mc, key, Gc::new(mc, value)).map(|old| *old);
                        assert_eq!(old, model.insert(key, value));
                    } else {
                        assert_eq!(map.remove(mc, &key).map(|old| *old), model.remove(&key));
                    }
                }
            });
            arena.finish_cycle();
            assert_eq!(arena.metrics().total_gc_count(), objects(model.len()));
            arena.mutate(|_, map| {
                map.check();
                assert_eq!(map.len(), model.len());
                map.for_each(|key, value| assert_eq!(model.get(key), Some(&**value)));
                for key in 0..700 {
                    assert_eq!(map.get(&key).map(|value| *value), model.get(&key).copied());
                    assert_eq!(map.contains_key(&key), model.contains_key(&key));
                }
            });
        }
    }
}

#[test]
fn both_walks_keep_the_same_and_masks_look_at_less() {
    let mut arena = MapArena::new(|mc| GcMap::for_flat_walks(mc, MIXED));
    let count = 50_000u64;
    arena.mutate(|mc, map| {
        for key in 0..count {
            map.insert(mc, key, Gc::new(mc, key));
        }
        // Removals, moves and overwrites all leave slots behind that a flat walk must not take for entries.
        map.retain(mc, |key, _| key % 2 == 0);
        for key in (0..count).step_by(4) {
            map.remove(mc, &key);
        }
        for key in 0..count / 100 {
            map.insert(mc, count + key, Gc::new(mc, key));
        }
    });
    let live = arena.mutate(|_, map| map.len());
    let mut looked = Vec::new();
    for walk in [Walk::Mask, Walk::Flat, Walk::Mask] {
        arena.set_walk(walk);
        arena.finish_cycle();
        assert_eq!(arena.metrics().total_gc_count(), objects(live));
        assert_eq!(arena.last_cycle().marked, objects(live));
        looked.push((arena.last_cycle().slots_scanned, arena.last_cycle().slots_skipped));
    }
    let slots = arena.mutate(|_, map| map.stats().slots);
    assert!(looked[1].0 - looked[2].0 >= slots - live, "{looked:?} of {slots}");
    assert!(looked[2].1 >= slots - live);
    arena.mutate(|mc, map| map.clear(mc));
    arena.finish_cycle();
    assert_eq!(arena.metrics().total_gc_count(), objects(0));
}

#[test]
fn every_occupancy_of_a_word_is_walked() {
    // One word has up to 60 entries: full, dense and sparse words, each by both walks, at the edges of the ring.
    for keep in [0, 1, 2, 31, 32, 33, 39, 40, 41, 59, 60, 61, 400, 1200] {
        let mut arena = MapArena::new(|mc| GcMap::for_flat_walks(mc, MIXED));
        arena.mutate(|mc, map| {
            (0..1200).for_each(|key| {
                map.insert(mc, key, Gc::new(mc, key));
            });
            map.retain(mc, |key, _| *key < keep);
        });
        for walk in [Walk::Flat, Walk::Mask] {
            arena.set_walk(walk);
            arena.finish_cycle();
            assert_eq!(arena.metrics().total_gc_count(), objects(keep as usize), "{keep} kept, {walk:?}");
        }
    }
}

#[test]
fn using_a_map_inside_its_own_closures_panics_cleanly() {
    let arena = MapArena::new(|mc| GcMap::with_hasher(mc, MIXED));
    arena.mutate(|mc, map| {
        map.insert(mc, 1, Gc::new(mc, 10));
        let nested = |change: &dyn Fn()| catch_unwind(AssertUnwindSafe(change)).is_err();
        assert!(nested(&|| map.for_each(|_, _| assert_eq!(map.remove(mc, &1).as_deref(), None))));
        assert!(nested(&|| map.retain(mc, |_, _| map.contains_key(&1))));
        assert!(nested(&|| {
            map.with(&1, |value| map.insert(mc, 2, *value));
        }));
        assert!(nested(&|| {
            map.get_or_insert_with(mc, 3, || map.get(&1).expect("there"));
        }));
        assert_eq!(map.with(&1, |value| map.get(&1).map(|again| **value + *again)), Some(Some(20)));
        map.check();
        assert_eq!((map.len(), map.get(&1).map(|value| *value)), (1, Some(10)));
        assert_eq!(*map.get_or_insert_with(mc, 3, || Gc::new(mc, 30)), 30);
        assert!(map.same_map(&map.clone()) && !map.is_empty());
    });
}

/// A map inside a GC object, the ordinary way: a lock around it.
#[derive(Collect)]
#[collect(no_drop)]
struct Holder<'gc> {
    map: RefLock<HashMap<u64, Gc<'gc, u64>, By>>,
    set: RefLock<HashSet<u32>>,
}

#[test]
fn plain_maps_are_traced_by_their_masks() {
    let mut arena = Arena::<Rootable![Gc<'_, Holder<'_>>]>::new(|mc| {
        Gc::new(mc, Holder { map: RefLock::new(HashMap::with_hasher(MIXED)), set: RefLock::default() })
    });
    arena.mutate(|mc, holder| {
        let map = bucketmask_gc::barrier::unlock!(Gc::write(mc, *holder), Holder, map);
        map.borrow_mut().extend((0..5000).map(|key| (key, Gc::new(mc, key))));
        map.borrow_mut().retain(|key, _| key % 50 == 0);
        bucketmask_gc::barrier::unlock!(Gc::write(mc, *holder), Holder, set).borrow_mut().insert(7);
    });
    arena.finish_cycle();
    assert_eq!(arena.metrics().total_gc_count(), objects(100));
    assert!(arena.last_cycle().slots_skipped > 5000);
    arena.mutate(|_, holder| {
        assert!(holder.map.borrow().iter().all(|(key, value)| *key == **value));
        assert!(holder.set.borrow().contains(&7));
    });
}

#[test]
fn a_dead_map_gives_back_its_table_and_its_values() {
    #[derive(Collect)]
    #[collect(require_static)]
    struct Noted(Rc<Cell<u32>>);
    impl Drop for Noted {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }
    type Held<'gc> = Gc<'gc, RefLock<Option<GcMap<'gc, u64, Noted, By>>>>;
    let drops = Rc::new(Cell::new(0));
    let mut arena = Arena::<Rootable![Held<'_>]>::new(|mc| Gc::new(mc, RefLock::new(None)));
    arena.mutate(|mc, held| {
        let map = GcMap::with_hasher(mc, MIXED);
        (0..300).for_each(|key| {
            map.insert(mc, key, Noted(Rc::clone(&drops)));
        });
        map.remove(mc, &0);
        *held.unlock(mc).borrow_mut() = Some(map);
    });
    arena.finish_cycle();
    assert_eq!(drops.get(), 1);
    arena.mutate(|mc, held| *held.unlock(mc).borrow_mut() = None);
    arena.finish_cycle();
    assert_eq!(drops.get(), 300);
}

#[test]
fn a_table_of_pointers_is_traced() {
    let hash = |number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut arena = Arena::<Rootable![RefLock<HashTable<Gc<'_, u64>>>]>::new(|mc| {
        let mut table = HashTable::new();
        for number in 0..3000 {
            table.insert_unique(hash(number), Gc::new(mc, number), |held| hash(**held));
        }
        RefLock::new(table)
    });
    arena.finish_cycle();
    assert_eq!(arena.metrics().total_gc_count(), 3000);
    arena.mutate(|_, table| assert!(table.borrow().find(hash(7), |held| **held == 7).is_some()));
}
