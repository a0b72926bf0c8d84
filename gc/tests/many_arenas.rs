//! What arenas cost that hold little: a thousand of them with fifty types each.
//!
//! Owned by the page plan. Invariant: a type's first page is small, and so is what stands beside it.

use bucketmask_gc::{Arena, Gc, Rootable};
use std::fs::read_to_string;

/// Bytes of this process that are resident.
fn resident() -> usize {
    let statm = read_to_string("/proc/self/statm").expect("Linux");
    statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<usize>().ok()).expect("a number") * 4096
}

macro_rules! allocate {
    ($mc:expr, $($words:literal)*) => { $( std::hint::black_box(Gc::new($mc, [0_u64; $words])); )* };
}

#[test]
fn a_thousand_arenas_of_fifty_types_take_little() {
    type Small = Arena<Rootable![()]>;
    let before = resident();
    let arenas: Vec<Small> = (0..1000)
        .map(|_| {
            let arena = Small::new(|_| ());
            arena.mutate(|mc, ()| {
                allocate!(mc, 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26);
                allocate!(mc, 27 28 29 30 31 32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51);
            });
            assert_eq!(arena.metrics().total_gc_count(), 50);
            arena
        })
        .collect();
    let taken = resident().saturating_sub(before);
    println!("{} KiB for {} arenas", taken >> 10, arenas.len());
    // A checked build notes who made each object.
    let most = if cfg!(feature = "checked") { 200 << 20 } else { 100 << 20 };
    assert!(taken <= most, "{} MiB", taken >> 20);
}
