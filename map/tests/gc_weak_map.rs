//! `WeakMap` and `GcStrMap` between the steps of a collection.
//!
//! Invariant: an entry of a weak map is there as long as its key is, for another reason than its value, and not after the collection
//! that finds the key dead; a string map holds what its model holds.

#![cfg(feature = "gc")]

mod common;

use bucketmask_gc::{Arena, Budget, Collect, Gc, GcWeak, RefLock, Rootable};
use bucketmask_map::{GcStrMap, WeakMap};
use common::{ALL_HASHERS, By, Seeded};
use std::cell::Cell;
use std::collections::HashMap as Model;
use std::rc::Rc;

#[derive(Collect)]
#[collect(no_drop)]
struct Node<'gc> {
    number: u64,
    links: RefLock<Vec<Gc<'gc, Node<'gc>>>>,
}

fn node<'gc>(mc: &bucketmask_gc::Mutation<'gc>, number: u64) -> Gc<'gc, Node<'gc>> {
    Gc::new(mc, Node { number, links: RefLock::default() })
}

/// Counts the values that were dropped.
#[derive(Collect)]
#[collect(no_drop)]
struct Value<'gc> {
    to: Option<Gc<'gc, Node<'gc>>>,
    #[collect(require_static)]
    #[expect(dead_code, reason = "its destructor counts")]
    noted: Noted,
}

struct Noted(Rc<Cell<usize>>);

impl Drop for Noted {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

#[derive(Collect)]
#[collect(no_drop)]
struct Root<'gc> {
    map: WeakMap<'gc, Node<'gc>, Value<'gc>>,
    second: WeakMap<'gc, Node<'gc>, Gc<'gc, Node<'gc>>>,
    kept: Vec<Gc<'gc, Node<'gc>>>,
    weak: Vec<GcWeak<'gc, Node<'gc>>>,
}

type Weak = Arena<Rootable![Root<'_>]>;

fn arena() -> Weak {
    Weak::new(|mc| Root {
        map: WeakMap::new(mc),
        second: WeakMap::new(mc),
        kept: Vec::new(),
        weak: Vec::new(),
    })
}

/// A cycle in steps of a size, verified.
fn cycle(arena: &mut Weak, budget: usize) {
    let mut steps = 0;
    while !arena.step(Budget::work(budget)) {
        steps += 1;
        if steps % 16 == 1 {
            let verified = arena.verify();
            assert!(verified.is_ok(), "{verified:?}");
        }
    }
}

#[test]
fn an_entry_lives_as_long_as_its_key() {
    for budget in [1, 500, usize::MAX] {
        let drops = Rc::new(Cell::new(0));
        let mut arena = arena();
        arena.mutate_root(|mc, root| {
            for number in 0..1000 {
                let key = node(mc, number);
                // The value leads to its own key, which does not keep it; and to another object, which the entry keeps.
                root.map.insert(mc, key, Value { to: Some(key), noted: Noted(Rc::clone(&drops)) });
                let other = node(mc, number + 5000);
                bucketmask_gc::barrier::unlock!(Gc::write(mc, other), Node, links).borrow_mut().push(key);
                root.second.insert(mc, key, other);
                root.kept.push(key);
                root.weak.push(Gc::downgrade(key));
            }
        });
        cycle(&mut arena, budget);
        assert_eq!((arena.metrics().total_gc_count(), drops.get()), (2002, 0));
        arena.mutate_root(|_, root| root.kept.retain(|key| key.number % 3 == 0));
        // A cycle in the midst of which nothing happens finds all of it.
        cycle(&mut arena, budget);
        assert_eq!(drops.get(), 666);
        arena.mutate(|mc, root| {
            root.map.check();
            assert_eq!((root.map.len(), root.second.len()), (334, 334));
            for (number, weak) in root.weak.iter().enumerate() {
                assert_eq!(weak.is_dropped(), number % 3 != 0);
            }
            for key in &root.kept {
                assert_eq!(root.map.with(*key, |value| value.to.expect("there").number), Some(key.number));
                assert_eq!(root.second.get(*key).map(|other| other.number), Some(key.number + 5000));
            }
            let mut count = 0;
            root.map.for_each(mc, |key, value| {
                assert_eq!(value.to.map(|to| to.number), Some(key.number));
                count += 1;
            });
            assert_eq!(count, 334);
        });
        arena.mutate_root(|_, root| root.weak.clear());
        arena.finish_cycle();
        assert_eq!(arena.metrics().total_gc_count(), 2 + 2 * 334);
    }
}

#[test]
fn chains_of_entries_take_linear_work() {
    // The value of each key leads to the next key, and the table is in another order: one pass over the map finds one link.
    let mut work = Vec::new();
    for length in [2_000, 20_000] {
        let mut arena = arena();
        arena.mutate_root(|mc, root| {
            let nodes: Vec<_> = (0..length).map(|number| node(mc, number)).collect();
            for pair in nodes.windows(2) {
                root.second.insert(mc, pair[0], pair[1]);
            }
            root.kept.push(nodes[0]);
        });
        while !arena.step(Budget::work(1 << 12)) {}
        arena.finish_cycle();
        assert_eq!(arena.last_cycle().marked as u64, length + 2);
        assert_eq!(arena.metrics().total_gc_count() as u64, length + 2);
        work.push(arena.last_cycle().most_work);
        arena.mutate_root(|_, root| root.kept.clear());
        while !arena.step(Budget::work(1 << 12)) {}
        arena.finish_cycle();
        assert_eq!(arena.metrics().total_gc_count(), 2);
    }
    assert!(work[1] < work[0] * 12, "{work:?}");
}

#[test]
fn weak_maps_may_change_while_they_are_traced() {
    for seed in 1..4 {
        let mut seeded = Seeded(seed);
        let mut arena = arena();
        let drops = Rc::new(Cell::new(0));
        let mut made = 0;
        for _ in 0..12 {
            let mut steps = 0;
            loop {
                arena.mutate_root(|mc, root| {
                    // For some steps: with small steps the program would be faster than the collector for ever.
                    for _ in 0..if steps < 40 { seeded.below(20) } else { 0 } {
                        match seeded.below(8) {
                            0..=3 => {
                                let key = node(mc, made);
                                let to = (!root.kept.is_empty())
                                    .then(|| root.kept[seeded.below(root.kept.len() as u64) as usize]);
                                root.map.insert(mc, key, Value { to, noted: Noted(Rc::clone(&drops)) });
                                // The second map leads to an object that nothing else does.
                                root.second.insert(mc, key, node(mc, made + 1_000_000));
                                root.kept.push(key);
                                made += 1;
                            }
                            4 | 5 if !root.kept.is_empty() => {
                                let at = seeded.below(root.kept.len() as u64) as usize;
                                root.kept.swap_remove(at);
                            }
                            6 if !root.kept.is_empty() => {
                                let key = root.kept[seeded.below(root.kept.len() as u64) as usize];
                                let value = node(mc, key.number + 1_000_000);
                                root.second.insert(mc, key, value);
                            }
                            7 if !root.kept.is_empty() => {
                                let key = root.kept[seeded.below(root.kept.len() as u64) as usize];
                                root.second.remove(mc, key);
                            }
                            _ => {}
                        }
                    }
                });
                let ended = arena.step(Budget::work([1, 60, 900][seeded.below(3) as usize]));
                let verified = if steps % 4 == 0 { arena.verify().err() } else { None };
                assert_eq!(verified, None, "seed {seed}, step {steps}");
                arena.mutate(|_, root| {
                    for key in &root.kept {
                        assert!(root.map.contains_key(*key));
                        if let Some(value) = root.second.get(*key) {
                            assert_eq!(value.number, key.number + 1_000_000);
                        }
                    }
                });
                steps += 1;
                if ended {
                    break;
                }
            }
        }
        // Values of the first map lead to other keys, which may keep each other no longer than they are kept.
        for _ in 0..2 {
            arena.finish_cycle();
        }
        let (live, kept) = arena.mutate(|_, root| (root.map.len(), root.kept.len()));
        assert!(live >= kept && drops.get() + live == made as usize);
        arena.mutate_root(|_, root| root.kept.clear());
        arena.finish_cycle();
        arena.finish_cycle();
        assert_eq!((drops.get(), arena.metrics().total_gc_count()), (made as usize, 2));
    }
}

#[test]
fn a_finalization_that_saves_a_key_saves_its_entries() {
    let drops = Rc::new(Cell::new(0));
    let mut arena = arena();
    arena.mutate_root(|mc, root| {
        for number in 0..10 {
            let key = node(mc, number);
            root.map.insert(mc, key, Value { to: Some(node(mc, 77)), noted: Noted(Rc::clone(&drops)) });
            root.weak.push(Gc::downgrade(key));
        }
    });
    let marked = arena.finish_marking().expect("marked");
    marked.finalize(|fc, root| {
        assert!(root.weak.iter().all(|weak| weak.is_dead(fc)));
        root.weak[3].resurrect(fc).expect("there");
    });
    arena.finish_cycle();
    assert_eq!((drops.get(), arena.last_cycle().resurrected), (9, 1));
    arena.mutate(|mc, root| {
        let key = root.weak[3].upgrade(mc).expect("resurrected");
        assert_eq!(root.map.with(key, |value| value.to.expect("there").number), Some(77));
        assert_eq!(root.map.len(), 1);
    });
}

type Strings<'gc> = GcStrMap<'gc, Gc<'gc, u64>, By>;

#[test]
fn string_maps_hold_what_their_model_holds() {
    for hasher in ALL_HASHERS {
        let mut arena = Arena::<Rootable![Strings<'_>]>::new(|mc| GcStrMap::with_hasher(mc, hasher));
        let mut model = Model::<String, u64>::new();
        let mut seeded = Seeded(5);
        let name = |key: u64| {
            if key % 3 == 0 {
                format!("a key that does not fit a slot, number {key}")
            } else {
                format!("k{key}")
            }
        };
        for round in 0..6 {
            let mut steps = 0;
            while !arena.step(Budget::work(2000)) || steps < 3 {
                steps += 1;
                arena.mutate(|mc, map| {
                    for _ in 0..60 {
                        let key = seeded.below(600);
                        if seeded.below(6) < 6 - round {
                            let old = map.insert(mc, &name(key), Gc::new(mc, key + round));
                            assert_eq!(old.map(|old| *old), model.insert(name(key), key + round));
                        } else {
                            assert_eq!(map.remove(mc, &name(key)).map(|old| *old), model.remove(&name(key)));
                        }
                    }
                    if seeded.below(20) == 0 {
                        map.retain(mc, |key, value| {
                            *value = Gc::new(mc, **value + 1);
                            key.len() % 2 == 0
                        });
                        model.retain(|key, value| {
                            *value += 1;
                            key.len() % 2 == 0
                        });
                    }
                });
                assert!(arena.verify().is_ok(), "{:?}", arena.verify());
                if steps > 50 {
                    break;
                }
            }
            arena.finish_cycle();
            arena.finish_cycle();
            assert_eq!(arena.metrics().total_gc_count(), 1 + model.len());
            arena.mutate(|_, map| {
                map.check();
                map.for_each(|key, value| assert_eq!(model.get(key), Some(&**value)));
                assert_eq!(map.len(), model.len());
                for key in 0..600 {
                    assert_eq!(map.get(&name(key)).map(|value| *value), model.get(&name(key)).copied());
                }
            });
        }
        arena.mutate(|mc, map| {
            map.clear(mc);
            assert!(map.is_empty() && !map.contains_key("k1"));
        });
    }
}
