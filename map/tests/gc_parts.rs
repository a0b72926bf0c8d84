//! Maps in an arena between the steps of a collection: traced in parts, changed meanwhile, shrunk, and dropped in parts.
//!
//! Invariant: no step does much more than its budget; however a map is changed and its entries are moved while it is traced, what
//! it holds lives, and `verify` finds nothing wrong at any step.

#![cfg(feature = "gc")]

mod common;

use bucketmask_gc::{Arena, Budget, Gc, RefLock, Rootable};
use bucketmask_map::GcMap;
use common::{ALL_HASHERS, By, MIXED, Seeded};
use std::cell::Cell;
use std::collections::HashMap as Model;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

type Map<'gc> = GcMap<'gc, u64, Gc<'gc, u64>, By>;
type MapArena = Arena<Rootable![Map<'_>]>;

/// What a step may do beyond its budget: a piece, and what a group of full mask words holds beyond a part.
const PIECE: usize = (16 << 10) + 3584 * 16 + (16 << 10);

fn filled(count: u64) -> MapArena {
    MapArena::new(|mc| {
        let map = GcMap::with_hasher(mc, MIXED);
        (0..count).for_each(|key| assert!(map.insert(mc, key, Gc::new(mc, key)).is_none()));
        map
    })
}

#[test]
fn a_large_map_is_traced_within_the_budget() {
    const COUNT: u64 = 200_000;
    let mut arena = filled(COUNT);
    for budget in [1, 64 << 10] {
        while !arena.step(Budget::work(budget)) {}
        let cycle = arena.last_cycle();
        assert!(cycle.most_work <= budget + PIECE, "{cycle:?}");
        assert!(cycle.steps >= COUNT as usize * 16 / (budget + PIECE), "{cycle:?}");
        assert_eq!(cycle.marked as u64, COUNT + 1);
    }
}

/// Changes a map and its model alike, `count` times.
fn change(
    arena: &MapArena,
    model: &mut Model<u64, u64>,
    seeded: &mut Seeded,
    count: u64,
    keys: u64,
    grow: bool,
) {
    arena.mutate(|mc, map| {
        for _ in 0..count {
            let key = seeded.below(keys);
            match seeded.below(200) {
                0 => map.shrink_to_fit(mc),
                1 => map.try_reserve(mc, seeded.below(keys) as usize).expect("memory"),
                2 if !grow => {
                    map.retain(mc, |key, value| {
                        if key % 7 == 1 {
                            *value = Gc::new(mc, **value + 1);
                        }
                        key % 5 != 2
                    });
                    model.retain(|key, value| {
                        *value += u64::from(key % 7 == 1);
                        key % 5 != 2
                    });
                }
                3 if !grow && seeded.below(4) == 0 => {
                    map.clear(mc);
                    model.clear();
                }
                4..20 => {
                    let value = *map.get_or_insert_with(mc, key, || Gc::new(mc, key + 5));
                    assert_eq!(*model.entry(key).or_insert(key + 5), value);
                }
                20..60 => {
                    // An entry goes to another key: its value is only reachable from where the tracer may have been.
                    if let Some(value) = map.remove(mc, &key) {
                        assert_eq!(model.remove(&key), Some(*value));
                        let other = seeded.below(keys);
                        map.insert(mc, other, value);
                        model.insert(other, *value);
                    }
                }
                kind => {
                    if (kind < 150) == grow {
                        map.insert(mc, key, Gc::new(mc, key * 3));
                        model.insert(key, key * 3);
                    } else {
                        assert_eq!(map.remove(mc, &key).map(|old| *old), model.remove(&key));
                    }
                }
            }
        }
    });
}

fn compare(arena: &MapArena, model: &Model<u64, u64>) {
    arena.mutate(|_, map| {
        map.check();
        assert_eq!(map.len(), model.len());
        map.for_each(|key, value| assert_eq!(model.get(key), Some(&**value)));
    });
}

/// Runs cycles in small steps, with some changes between any two.
fn run(hasher: By, seed: u64, rounds: usize, keys: u64) {
    let mut seeded = Seeded(seed);
    let mut arena = MapArena::new(|mc| GcMap::with_hasher(mc, hasher));
    let mut model = Model::new();
    for round in 0..rounds {
        let grow = round % 4 < 2;
        change(&arena, &mut model, &mut seeded, keys / 4, keys, grow);
        let mut steps = 0;
        while !arena.step(Budget::work([1, 200, 3000][seeded.below(3) as usize])) {
            let count = seeded.below(keys / 100 + 2);
            if steps % 4 == 0 {
                let verified = arena.verify();
                assert!(verified.is_ok(), "step {steps} of round {round}: {verified:?}");
            }
            if steps < 100 {
                change(&arena, &mut model, &mut seeded, count, keys, grow);
            }
            steps += 1;
        }
        compare(&arena, &model);
        arena.finish_cycle();
        assert_eq!(arena.metrics().total_gc_count(), 1 + model.len());
    }
}

#[test]
fn maps_may_change_while_they_are_traced() {
    for hasher in ALL_HASHERS {
        run(hasher, 7, 4, 1_000);
    }
    // Large enough to grow and to shrink in place.
    run(MIXED, 11, 8, 20_000);
}

#[test]
fn entries_that_move_behind_the_tracer_are_found() {
    const COUNT: u64 = 60_000;
    for traced in [1, 2, 5, 10] {
        let mut arena = filled(COUNT);
        arena.mutate(|mc, map| {
            (0..COUNT / 2).for_each(|key| {
                assert!(map.remove(mc, &key).is_some());
            });
        });
        arena.finish_cycle();
        let buckets = arena.mutate(|_, map| map.stats().buckets);
        // A little of the table is traced; then it shrinks, in place, and entries of what was not traced come down there.
        while !arena.step(Budget::work(1)) && arena.last_cycle().cycle == 1 {
            let traced_so_far = arena.mutate(|_, map| map.traced_words());
            if traced_so_far * 4 >= buckets * traced / 100 {
                break;
            }
        }
        arena.mutate(|mc, map| {
            for key in COUNT / 2..COUNT * 7 / 8 {
                assert!(map.remove(mc, &key).is_some());
            }
            assert!(map.traced_words() > 0, "the table was not rebuilt");
            assert!(map.stats().homes * 10 < buckets * 8, "the table has shrunk, or is about to");
        });
        while !arena.step(Budget::work(1 << 10)) {
            assert!(arena.verify().is_ok(), "{:?}", arena.verify());
        }
        arena.mutate(|_, map| {
            map.check();
            map.for_each(|key, value| assert_eq!(*key, **value));
        });
        arena.finish_cycle();
        assert_eq!(arena.metrics().total_gc_count() as u64, 1 + COUNT / 8);
    }
}

#[test]
fn a_sparse_map_gives_its_memory_back_within_a_cycle() {
    const COUNT: u64 = 300_000;
    for (shrinks, by_retain) in [(true, true), (true, false), (false, true)] {
        let mut arena = filled(COUNT);
        arena.finish_cycle();
        let full = arena.mutate(|_, map| map.stats().bytes);
        arena.mutate(|mc, map| {
            map.set_shrinking(mc, shrinks);
            if by_retain {
                map.retain(mc, |key, _| key % 100 == 0);
            } else {
                // By range of keys, and never more than a few removals after the map has become sparse: most is left to do.
                map.retain(mc, |key, _| *key < COUNT / 100 + 1);
                map.remove(mc, &0);
            }
        });
        let before = arena.mutate(|_, map| map.stats().bytes);
        while !arena.step(Budget::work(16 << 10)) {}
        assert!(arena.verify().is_ok());
        let after = arena.mutate(|_, map| {
            map.check();
            assert_eq!(map.len() as u64, COUNT / 100);
            map.for_each(|key, value| assert_eq!(*key, **value));
            map.stats().bytes
        });
        assert!(before * 10 >= full * 9, "{before} of {full}: there was something left to do");
        assert!(arena.metrics().external_bytes() == after, "the pacing knows what the table takes");
        if shrinks {
            assert!(after * 20 <= full, "{after} of {full} bytes are left");
            assert!(arena.last_cycle().most_work <= (16 << 10) + PIECE, "{:?}", arena.last_cycle());
        } else {
            assert_eq!(after, before);
        }
        // It grows again, and nothing was lost on the way.
        arena.mutate(|mc, map| {
            (0..COUNT).for_each(|key| {
                map.insert(mc, key, Gc::new(mc, key));
            });
        });
        arena.finish_cycle();
        assert_eq!(arena.metrics().total_gc_count() as u64, COUNT + 1);
    }
}

struct Counted(Rc<Cell<usize>>, bool);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
        assert!(!self.1, "a destructor panics");
    }
}

bucketmask_gc::static_collect!(Counted);

type Held<'gc> = Gc<'gc, RefLock<Option<GcMap<'gc, u64, Counted, By>>>>;

#[test]
fn a_large_map_dies_within_the_budget() {
    const COUNT: usize = 100_000;
    for panics in [false, true] {
        let drops = Rc::new(Cell::new(0));
        let mut arena = Arena::<Rootable![Held<'_>]>::new(|mc| Gc::new(mc, RefLock::new(None)));
        arena.mutate(|mc, held| {
            let map = GcMap::with_hasher(mc, MIXED);
            (0..COUNT as u64).for_each(|key| {
                map.insert(mc, key, Counted(Rc::clone(&drops), panics && key % 1000 == 0));
            });
            *held.unlock(mc).borrow_mut() = Some(map);
        });
        arena.finish_cycle();
        arena.mutate(|mc, held| *held.unlock(mc).borrow_mut() = None);
        let mut panicked = 0;
        loop {
            let before = drops.get();
            let step = catch_unwind(AssertUnwindSafe(|| arena.step(Budget::work(16 << 10))));
            assert!(drops.get() - before <= PIECE / 32, "too many drops in one step");
            assert!(drops.get() % 10 > 0 || arena.verify().is_ok());
            match step {
                Ok(true) => break,
                Ok(false) => {}
                Err(_) => {
                    panicked += 1;
                    if arena.metrics().total_gc_count() == 1 && drops.get() == COUNT {
                        break;
                    }
                }
            }
        }
        arena.finish_cycle();
        assert_eq!(drops.get(), COUNT, "each was dropped, once");
        assert_eq!(panicked > 0, panics);
        assert_eq!(arena.metrics().total_gc_count(), 1);

        // Half dead when its arena goes.
        arena.mutate(|mc, _| {
            let map = GcMap::with_hasher(mc, MIXED);
            (0..COUNT as u64).for_each(|key| {
                map.insert(mc, key, Counted(Rc::clone(&drops), false));
            });
        });
        while drops.get() < COUNT * 3 / 2 {
            assert!(!arena.step(Budget::work(4 << 10)));
        }
        drop(arena);
        assert_eq!(drops.get(), 2 * COUNT);
    }
}
