//! Operations on a shared map that overlap, on one thread, so that it happens every time.
//!
//! Owned by `detect.rs`. Invariant: without its fault a case does the same operations one after the other, or reads only.
#![allow(unsafe_code)]

use std::panic::{AssertUnwindSafe, catch_unwind};

use bucketmask_map::raw::SharedMap;

type Map = SharedMap<u64, u64>;

/// A class of overlap.
pub(super) struct Case {
    pub(super) name: &'static str,
    run: fn(&Map, broken: bool),
}

impl Case {
    /// The report, if there is one.
    pub(super) fn outcome(&self, broken: bool) -> Option<String> {
        let map = Map::new();
        // SAFETY: nobody else has it.
        (0..100).for_each(|key| unsafe {
            {
                map.insert(key, key);
            }
        });
        let panic = catch_unwind(AssertUnwindSafe(|| (self.run)(&map, broken))).err()?;
        Some(panic.downcast::<String>().map_or_else(|_| "another panic".to_owned(), |text| *text))
    }
}

pub(super) const CASES: [Case; 3] = [
    Case { name: "overlap/read-in-write", run: read_in_write },
    Case { name: "overlap/write-in-write", run: write_in_write },
    Case { name: "overlap/write-in-iteration", run: write_in_iteration },
];

fn read_in_write(map: &Map, broken: bool) {
    // SAFETY: one thread; if broken, a read inside a write, which is to be found before it reads.
    unsafe {
        if broken {
            map.update(&3, |_| map.contains_key(&4));
        } else {
            map.update(&3, |value| *value += 1);
            map.with(&3, |_| map.contains_key(&4));
        }
    }
}

fn write_in_write(map: &Map, broken: bool) {
    // SAFETY: one thread; if broken, a write inside a write, which is to be found before it writes.
    unsafe {
        if broken {
            map.update(&3, |_| map.insert(1000, 1));
        } else {
            map.update(&3, |value| *value += 1);
            map.insert(1000, 1);
        }
    }
}

fn write_in_iteration(map: &Map, broken: bool) {
    // SAFETY: one thread; if broken, a write inside an iteration, which is to be found before it writes.
    unsafe {
        let sum = map.iter().map(|(_, value)| value).sum::<u64>();
        let mut entries = map.iter();
        assert!(entries.next().is_some());
        if broken {
            map.insert(1000, sum);
        } else {
            drop(entries);
            map.insert(1000, sum);
        }
    }
}
