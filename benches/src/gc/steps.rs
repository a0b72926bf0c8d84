//! The longest step of one cycle over one huge map: ours, and hashbrown's behind a `RefLock` in gc-arena. Owned by the child
//! that runs it. Invariant: both maps hold the same entries, and what is between two steps is the same few allocations.

use std::time::{Duration, Instant};

use super::program::Answer;
use crate::engine::{Hasher, table_hasher};
use crate::timer::Taken;

/// How long a step of ours may take. The peer has no such limit: it works off what was allocated.
const DEADLINE: Duration = Duration::from_micros(500);

/// Objects allocated between two steps.
const BETWEEN: u64 = 256;

/// A cycle that has not ended after so many times the map's entries in allocations does not end.
const PATIENCE: u64 = 50;

/// Runs steps until one whole cycle has passed; `step` tells whether the collector sleeps after it.
fn longest(entries: u64, mut allocate: impl FnMut(u64), mut step: impl FnMut() -> bool) -> Taken {
    let (mut worst, mut all, mut began) = (0.0_f64, 0.0, false);
    for _ in 0..entries * PATIENCE / BETWEEN {
        allocate(BETWEEN);
        let start = Instant::now();
        let sleeps = step();
        let time = start.elapsed().as_nanos() as f64;
        worst = worst.max(time);
        all += time;
        if began && sleeps {
            break;
        }
        began |= !sleeps;
        // A cycle that ran as one step was never seen awake.
        if !began && worst > ONE_PIECE * entries as f64 {
            break;
        }
    }
    Taken { time: worst, cpu: all }
}

/// Nanoseconds an entry that only a whole cycle in one step takes.
const ONE_PIECE: f64 = 5.0;

pub(super) fn ours(entries: u64) -> Answer {
    use bucketmask_gc::{Arena, Budget, Gc, Rootable};
    use bucketmask_map::GcMap;

    type Map<'gc> = GcMap<'gc, u64, Gc<'gc, u64>, Hasher>;
    type Held = Arena<Rootable![Map<'_>]>;

    let mut arena = Held::new(|mc| GcMap::with_hasher(mc, table_hasher()));
    arena.mutate(|mc, map| {
        for key in 0..entries {
            map.insert(mc, key, Gc::new(mc, key));
        }
    });
    arena.finish_cycle();
    let arena = std::cell::RefCell::new(arena);
    let Taken { time, cpu } = longest(
        entries,
        |objects| arena.borrow().mutate(|mc, _| (0..objects).for_each(|number| _ = Gc::new(mc, number))),
        || arena.borrow_mut().step(Budget::time(DEADLINE)),
    );
    let arena = arena.into_inner();
    let sum = arena.mutate(|_, map| {
        let mut sum = 0;
        map.for_each(|_, value| sum += **value);
        sum
    });
    Answer { value: time, cpu, count: entries, sum }
}

pub(super) fn gc_arena(entries: u64) -> Answer {
    use gc_arena::arena::{Arena, CollectionPhase};
    use gc_arena::{Gc, RefLock, Rootable};
    use hashbrown::HashMap;

    type Map<'gc> = Gc<'gc, RefLock<HashMap<u64, Gc<'gc, u64>, Hasher>>>;
    type Held = Arena<Rootable![Map<'_>]>;

    let arena = Held::new(|mc| Gc::new(mc, RefLock::new(HashMap::with_hasher(table_hasher()))));
    arena.mutate(|mc, map| {
        let mut map = map.borrow_mut(mc);
        for key in 0..entries {
            map.insert(key, Gc::new(mc, key));
        }
    });
    let arena = std::cell::RefCell::new(arena);
    arena.borrow_mut().finish_cycle();
    let Taken { time, cpu } = longest(
        entries,
        |objects| arena.borrow().mutate(|mc, _| (0..objects).for_each(|number| _ = Gc::new(mc, number))),
        || {
            let arena = &mut *arena.borrow_mut();
            arena.collect_debt();
            arena.collection_phase() == CollectionPhase::Sleeping
        },
    );
    let arena = arena.into_inner();
    let sum = arena.mutate(|_, map| map.borrow().values().map(|value| **value).sum());
    Answer { value: time, cpu, count: entries, sum }
}
