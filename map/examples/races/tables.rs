//! A map, or an arena with one, used by two threads that nothing orders.
//!
//! Owned by `main`. Invariant: as there.

use std::hint::black_box;

use bucketmask_gc::{Arena, Gc, Rootable};
use bucketmask_map::{GcMap, HashMap};

use crate::{Unguarded, together};

/// A map with room, so that the race is about entries and lengths and not about memory that was given back.
fn roomy() -> Unguarded<HashMap<u64, u64>> {
    let mut map = HashMap::with_capacity(4000);
    map.extend((0..500).map(|key| (key, key)));
    Unguarded::new(map)
}

pub(crate) fn map_write_and_write() {
    let map = roomy();
    let fill = |from: u64| {
        let map = &map;
        move || (from..from + 300).for_each(|key| _ = map.get().insert(key, key))
    };
    together(fill(1000), fill(2000));
}

pub(crate) fn map_read_and_write() {
    let map = roomy();
    let look = || (0..500).for_each(|key| _ = black_box(map.get().get(&key)));
    together(look, || (1000..1300).for_each(|key| _ = map.get().insert(key, key)));
}

pub(crate) fn map_iterate_and_write() {
    let map = roomy();
    let walk = || _ = black_box(map.get().values().sum::<u64>());
    together(walk, || (1000..1300).for_each(|key| _ = map.get().insert(key, key)));
}
pub(crate) fn read_and_read() {
    let map = roomy();
    let look = || (0..500).for_each(|key| assert_eq!(map.get().get(&key), Some(&key)));
    together(look, look);
}
type Numbers = Arena<Rootable![GcMap<'_, u64, Gc<'_, u64>>]>;

fn numbers() -> Numbers {
    let arena = Numbers::new(|mc| GcMap::with_hasher(mc, std::hash::RandomState::new()));
    arena.mutate(|mc, map| (0..200).for_each(|key| _ = map.insert(mc, key, Gc::new(mc, key))));
    arena
}

/// An arena changed by two threads.
pub(crate) fn arena_used_by_two() {
    let arena = Unguarded::new(numbers());
    let fill = |from: u64| {
        let arena = &arena;
        move || {
            let arena = arena.get();
            arena.mutate(|mc, map| {
                (from..from + 50).for_each(|key| _ = map.insert(mc, key, Gc::new(mc, key)));
            });
        }
    };
    together(fill(1000), fill(2000));
}

/// One thread walks a map while it collects, another does the same with an arena of its own.
pub(crate) fn iterate_while_collecting() {
    let work = || {
        let mut arena = numbers();
        for _ in 0..4 {
            arena.collect_debt();
            arena.mutate(|mc, map| {
                let mut sum = 0;
                map.for_each(|key, value| sum += u64::from(*key == **value));
                assert_eq!(sum, 200);
                Gc::new(mc, 1u64);
            });
            arena.finish_cycle();
        }
    };
    together(work, work);
}
