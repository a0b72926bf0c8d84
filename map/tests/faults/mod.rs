//! Faults of a map and of what a collector does for it, each with a program that runs into it.
//!
//! Owned by `checked_faults.rs`, and by the command `detect` of the benches. Invariant: a program does the same whether it is broken or
//! not; the fault is a switch in the map's or the collector's code.
#![allow(unsafe_code)]
#![allow(unreachable_pub, reason = "a module of tests here, and of a library there")]

use bucketmask_alloc::memstate::seed::plant;
use bucketmask_gc::{Arena, Gc, Rootable};
use bucketmask_map::{GcMap, HashMap, WeakMap};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A class of fault: its name as a path for figures, the switch, and the program.
pub struct Case {
    /// As a path.
    pub name: &'static str,
    /// The switch in the map's code, or the collector's.
    pub fault: &'static str,
    run: fn(),
}

impl Case {
    /// The report, if there is one.
    pub fn outcome(&self, broken: bool) -> Option<String> {
        let run = || {
            // SAFETY: the program stops at the report, before it uses what is broken.
            let _planted = broken.then(|| unsafe { plant(self.fault) });
            (self.run)();
        };
        let panic = catch_unwind(AssertUnwindSafe(run)).err()?;
        Some(panic.downcast::<String>().map_or_else(|_| "another panic".to_owned(), |text| *text))
    }
}

const fn case(name: &'static str, fault: &'static str, run: fn()) -> Case {
    Case { name, fault, run }
}

/// All of them.
pub const CASES: [Case; 8] = [
    case("map/mask-bit/not-set", "map: mask bit not set", come_and_go),
    case("map/mask-bit/not-cleared", "map: mask bit not cleared", come_and_go),
    case("map/summary-bit/not-set", "map: summary bit not set", come_and_go),
    case("map/slot/off-by-one", "map: tophash in the neighbouring slot", come_and_go),
    case("map/watermark/too-high", "map: watermark one bucket too high", grow),
    case("map/watermark/too-low", "map: watermark one bucket too low", grow),
    case("barrier/container/removed", "gc: container's entries not shaded", insert_behind_the_marker),
    case("mark/key/value-not-woken", "gc: key's value not woken", keyed_value),
];

fn come_and_go() {
    let mut map = HashMap::new();
    for key in 0..50_u64 {
        map.insert(key, key);
    }
    for key in 0..50 {
        assert_eq!(map.remove(&key), Some(key));
    }
}

fn grow() {
    let mut map = HashMap::new();
    for key in 0..300_000_u64 {
        map.insert(key, key);
    }
    for key in 0..300_000 {
        assert_eq!(map.get(&key), Some(&key));
    }
}

fn insert_behind_the_marker() {
    let mut arena = Arena::<Rootable![GcMap<'_, u64, Gc<'_, u64>>]>::new(|mc| {
        let map = GcMap::new(mc);
        for key in 0..40 {
            assert!(map.insert(mc, key, Gc::new(mc, key)).is_none());
        }
        map
    });
    assert!(arena.finish_marking().is_some());
    arena.mutate(|mc, map| assert!(map.insert(mc, 99, Gc::new(mc, 99)).is_none()));
    arena.finish_cycle();
    arena.mutate(|_, map| assert_eq!(map.get(&99).map(|value| *value), Some(99)));
}

fn keyed_value() {
    type Keyed<'gc> = (WeakMap<'gc, u64, Gc<'gc, u64>>, Gc<'gc, Gc<'gc, u64>>);
    let mut arena = Arena::<Rootable![Keyed<'_>]>::new(|mc| {
        let (map, key) = (WeakMap::new(mc), Gc::new(mc, 5));
        map.insert(mc, key, Gc::new(mc, 55));
        (map, Gc::new(mc, key))
    });
    arena.finish_cycle();
    arena.mutate(|_, (map, key)| assert_eq!(map.get(**key).map(|value| *value), Some(55)));
}
