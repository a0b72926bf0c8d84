//! Tables in memory that the program has locked, which the kernel does not take back.
//!
//! A process of its own, so that no other test's table takes the range that one here has left. Invariant: a table's memory reads
//! as empty where it was never used, whoever had it before.

#![allow(unsafe_code, reason = "locking memory is the system's")]
#![cfg(target_os = "linux")]

mod common;

use bucketmask_alloc::Range;
use bucketmask_map::{HashMap, Inline, Pages};
use common::{By, MIXED};

type Map = HashMap<u64, u64, By, Pages, Inline>;

/// Bytes that are locked: less than the system lets anybody lock.
const LOCKED: usize = 512 << 10;

#[test]
fn a_table_is_empty_in_memory_that_could_not_be_closed() {
    const ENTRIES: u64 = 200_000;
    // The thread that gives memory back is made by who allocates.
    drop(Map::with_capacity_in_layout(10, MIXED));
    let mut map = Map::with_capacity_in_layout(ENTRIES as usize, MIXED);
    map.extend((0..ENTRIES).map(|key| (key, key)));
    assert!(map.stats().in_range);
    // Heads and slots lie side by side in this layout, in the order of the hashes: the upper half of them.
    let middle = map.values().nth(ENTRIES as usize / 2).map(std::ptr::from_ref).expect("an entry");
    // SAFETY: memory of the table, which locking does not change.
    assert_eq!(unsafe { libc::mlock(middle.cast(), LOCKED) }, 0, "{}", std::io::Error::last_os_error());
    drop(map);
    let mut map = Map::with_capacity_in_layout(ENTRIES as usize / 3, MIXED);
    assert!(map.stats().in_range);
    // One by one, so that it grows in place.
    (ENTRIES..2 * ENTRIES).for_each(|key| _ = map.insert(key, key));
    let left = (0..ENTRIES).filter(|key| map.contains_key(key)).count();
    assert_eq!((map.len(), left), (ENTRIES as usize, 0), "entries of the last table are found");
    map.check();
    drop(map);
    assert!(Range::reserve_warm(1).is_some(), "ranges wait, or this tests nothing");
}
