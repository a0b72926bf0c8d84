//! Tests of the table below its safe faces: every watermark, every layout, bad hashes.
//!
//! Invariant: each test runs over both layouts, in ranges and in blocks, with thresholds so small that growth in place
//! is ordinary.

use super::RawTable;
use super::layout::{Blocks, Inline, Layout, Split, Tiny};
use super::policy::held;
use super::table::Bare;
use crate::hash::finalise;
use crate::pages::Pages;
use std::cell::Cell;
use std::collections::BTreeSet;

type Table<L> = RawTable<u64, Pages, L>;

fn allocate<L: Layout>(homes: usize, spill: usize) -> Table<L> {
    RawTable { bare: Bare::allocate(homes, spill, &Pages).expect("memory"), alloc: Pages }
}

fn insert<L: Layout>(table: &mut Table<L>, key: u64, hash: impl Fn(&u64) -> u64) {
    table.ready(&hash).expect("memory");
    if table.find(hash(&key), |held| *held == key).is_none() {
        table.place(hash(&key), key).expect("memory");
    }
}

fn assert_holds<L: Layout>(table: &Table<L>, keys: &BTreeSet<u64>, hash: impl Fn(&u64) -> u64) {
    table.check(&hash);
    assert_eq!(table.len, keys.len());
    for key in keys {
        assert!(table.find(hash(key), |held| held == key).is_some(), "{key} is lost");
    }
    let mut seen: Vec<u64> = table.iter().copied().collect();
    seen.sort_unstable();
    assert!(seen.iter().eq(keys.iter()), "iteration differs");
    for absent in (1 << 40)..(1 << 40) + 50 {
        assert!(table.find(hash(&absent), |held| *held == absent).is_none());
    }
}

macro_rules! each_layout {
    ($($test:ident)*) => {$(
        mod $test {
            use super::*;
            #[test]
            fn split() {
                super::$test::<Tiny<Split>>();
            }
            #[test]
            fn inline() {
                super::$test::<Tiny<Inline>>();
            }
            #[test]
            fn split_in_blocks() {
                super::$test::<Tiny<Blocks<Split>>>();
            }
            #[test]
            fn inline_in_blocks() {
                super::$test::<Tiny<Blocks<Inline>>>();
            }
        }
    )*};
}

each_layout! {
    every_watermark
    growth_ends_in_time
    removals_at_every_watermark
    bad_hashes
    passes_are_exact
    the_end_of_a_shrunk_table
    copies_in_hash_order
    a_hasher_that_panics_changes_nothing
    retain_leaves_counts_that_are_repaired
    an_emptied_table_copies_exactly
    a_long_trail_is_forgotten_with_its_home
}

fn every_watermark<L: Layout>() {
    let hash = |key: &u64| finalise(*key);
    for homes in [17, 29, 64] {
        let mut table = allocate::<L>(homes, 2);
        let keys: BTreeSet<u64> = (0..homes as u64 * 12).collect();
        for key in &keys {
            table.place(hash(key), *key).expect("memory");
        }
        table.make_room(homes * 2 + 4).expect("memory");
        table.begin(homes + homes / 2);
        let mut steps = 0;
        while table.is_migrating() {
            assert_holds(&table, &keys, hash);
            table.step_of(1, &hash).expect("memory");
            steps += 1;
        }
        assert!(steps > homes / 2, "one home at a time, but for long trails");
        assert_eq!((table.upper, table.lower), (homes + homes / 2, homes + homes / 2));
        assert_holds(&table, &keys, hash);
    }
}

fn growth_ends_in_time<L: Layout>() {
    let hash = |key: &u64| finalise(*key);
    let mut table = Table::<L>::new_in(Pages);
    let (mut began, mut grown) = (None, 0);
    for key in 0..30_000 {
        insert(&mut table, key, hash);
        match (began, table.is_migrating()) {
            (None, true) => began = Some(table.len),
            (Some(len), false) => {
                assert!(
                    table.len - len <= len / 8 + held(len) + 2,
                    "growth from {len} ended at {}",
                    table.len
                );
                (began, grown) = (None, grown + 1);
            }
            _ => {}
        }
    }
    assert!(grown > 8, "growth in place must be ordinary here");
    table.check(hash);
}

#[test]
#[cfg(not(bucketmask_portable))]
fn only_what_entries_fill_is_asked_for_ahead() {
    let hash = |key: &u64| finalise(*key);
    let mut table = Table::<Split>::new_in(Pages);
    let mut asked = 0;
    for key in 0..400_000 {
        insert(&mut table, key, hash);
        asked += usize::from(table.care.held_until > 0);
    }
    assert!(asked > 0, "growth of its own asks, and waits a little");
    table.finish(&hash).expect("memory");
    table.reserve(table.capacity() - table.len + 1, hash).expect("memory");
    assert!(table.is_migrating() && table.care.held_until == 0, "it may never be filled");
    table.check(hash);
}

fn removals_at_every_watermark<L: Layout>() {
    let hash = |key: &u64| finalise(*key);
    let mut table = allocate::<L>(40, 2);
    let mut keys: BTreeSet<u64> = (0..500).collect();
    for key in &keys {
        table.place(hash(key), *key).expect("memory");
    }
    table.make_room(64).expect("memory");
    table.begin(60);
    let mut next = 1000;
    while table.is_migrating() {
        table.step_of(1, &hash).expect("memory");
        for key in [next % 500, next % 37] {
            assert_eq!(table.remove(hash(&key), |held| *held == key, hash), keys.take(&key));
        }
        table.place(hash(&next), next).expect("memory");
        keys.insert(next);
        next += 13;
        assert_holds(&table, &keys, hash);
    }
    for key in keys.clone() {
        assert_eq!(table.remove(hash(&key), |held| *held == key, hash), Some(key));
    }
    assert_eq!(table.stats().longest_trail, 0, "exact removals leave no count behind");
}

fn bad_hashes<L: Layout>() {
    let hashers: [fn(&u64) -> u64; 5] =
        [|_| 0, |_| u64::MAX, |key| *key, |key| key << 60, |key| finalise(*key & 7)];
    for hash in hashers {
        let mut table = Table::<L>::new_in(Pages);
        let mut keys = BTreeSet::new();
        for key in 0..1200u64 {
            insert(&mut table, key * 3, hash);
            keys.insert(key * 3);
            if key % 5 == 0 {
                let gone = key * 3 / 2;
                assert_eq!(table.remove(hash(&gone), |held| *held == gone, hash), keys.take(&gone));
            }
        }
        assert_holds(&table, &keys, hash);
        let stats = table.stats();
        assert!(stats.slots < 64 * keys.len(), "equal hashes must not grow a table for ever: {stats:?}");
    }
}

/// A removal that has the hasher leaves no mark of what nobody has passed any more; one without leaves it to a repair.
fn passes_are_exact<L: Layout>() {
    // Every seventh key has the same hash, the others crowd in few homes.
    let hash = |key: &u64| if key % 7 == 0 { 1u64 << 63 } else { finalise(*key / 40) };
    let mut table = Table::<L>::new_in(Pages);
    let mut keys: BTreeSet<u64> = (0..1400).collect();
    for key in &keys {
        insert(&mut table, *key, hash);
    }
    while table.migrate_step(hash) {}
    let repair = |table: &mut Table<L>| {
        table.care.stale = table.buckets;
        while !table.is_resting() {
            table.repair_a_piece(&hash);
        }
    };
    // Growth along long trails may have left some.
    repair(&mut table);
    assert!(table.stats().longest_trail > 10);
    for key in (0..1400).rev().step_by(3).chain((0..1400).step_by(3)) {
        let gone = keys.remove(&key).then_some(key);
        assert_eq!(table.remove(hash(&key), |held| *held == key, hash), gone);
        if key % 20 == 0 {
            // `check` asks for exact marks while nothing is stale.
            assert_holds(&table, &keys, hash);
            assert_eq!((table.care.stale, table.care.unswept), (0, 0));
        }
    }
    keys.retain(|key| *key % 7 == 0);
    table.retain(|key| *key % 7 == 0);
    for key in keys.clone().into_iter().skip(3) {
        let held = table.occupied(hash(&key), |held| *held == key);
        assert_eq!(held.map(super::cell::Occupied::remove).ok(), Some(key));
        keys.remove(&key);
    }
    assert_holds(&table, &keys, hash);
    assert!(table.care.stale > 0 && table.stats().longest_trail > 5, "marks stay where there is no hasher");
    repair(&mut table);
    assert_holds(&table, &keys, hash);
}

/// Counts that are too high end with the table when it shrinks, wherever it is cut.
fn the_end_of_a_shrunk_table<L: Layout>() {
    // Keys over 2^32 are their own hashes.
    let hash = |key: &u64| if *key >> 32 == 0 { finalise(*key) } else { *key };
    let remove = |table: &mut Table<L>, key: u64| {
        assert_eq!(table.remove(hash(&key), |held| *held == key, hash), Some(key));
        table.ebb(hash);
    };
    let mut table = Table::<L>::new_in(Pages);
    (0..20_000).for_each(|key| insert(&mut table, key, hash));
    (0..20_000).filter(|key| key % 2 != 0).for_each(|key| remove(&mut table, key));
    while table.migrate_step(hash) {}
    let homes = table.homes() as u64;
    // Forty entries of every fifth home come and go, those of twenty homes together.
    let crowd = |home: u64| {
        let first = ((u128::from(home) << 64).div_ceil(u128::from(homes))) as u64;
        (0..40).map(move |step| first + step)
    };
    let crowded: Vec<u64> = (1..homes - 8).step_by(5).collect();
    for some in crowded.chunks(20) {
        some.iter().flat_map(|&home| crowd(home)).for_each(|key| insert(&mut table, key, hash));
        some.iter().flat_map(|&home| crowd(home)).for_each(|key| remove(&mut table, key));
    }
    table.check(hash);
    let mut keys: BTreeSet<u64> = (0..20_000).step_by(2).collect();
    while keys.len() > 100 {
        for key in keys.iter().copied().take(100).collect::<Vec<u64>>() {
            remove(&mut table, key);
            keys.remove(&key);
        }
        while table.migrate_step(hash) {}
        assert_holds(&table, &keys, hash);
    }
}

fn copies_in_hash_order<L: Layout>() {
    let hash = |key: &u64| finalise(*key);
    let mut source = Table::<L>::new_in(Pages);
    (0..60_000).for_each(|key| insert(&mut source, key, hash));
    let mut copy = Table::<L>::new_in(Pages);
    let mut far = 0;
    for (nth, key) in source.iter().enumerate() {
        insert(&mut copy, *key, hash);
        if nth % 1000 == 0 {
            far = far.max(copy.stats().longest_trail);
        }
    }
    copy.check(hash);
    assert_eq!(copy.len, source.len);
    assert!(far < 256, "trails of {far} buckets: quadratic");
    assert!(copy.stats().slots <= 2 * source.stats().slots, "{:?} of {:?}", copy.stats(), source.stats());
}

fn a_hasher_that_panics_changes_nothing<L: Layout>() {
    let hash = |key: &u64| finalise(*key);
    let mut table = Table::<L>::new_in(Pages);
    let mut keys = BTreeSet::new();
    let mut caught = 0;
    for key in 0..2000u64 {
        let fuse = Cell::new(key % 41);
        let fused = |key: &u64| {
            fuse.set(fuse.get().wrapping_sub(1));
            assert!(fuse.get() != 0, "a fuse");
            finalise(*key)
        };
        let ready = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| table.ready(fused)));
        if ready.is_err() {
            caught += 1;
            assert_holds(&table, &keys, hash);
        }
        insert(&mut table, key, hash);
        keys.insert(key);
    }
    assert!(caught > 5, "growth must have been interrupted, was {caught} times");
    assert_holds(&table, &keys, hash);
}

fn retain_leaves_counts_that_are_repaired<L: Layout>() {
    // Home buckets overflow: half of the keys share few homes.
    let hash = |key: &u64| finalise(*key / 24);
    let mut table = Table::<L>::new_in(Pages);
    (0..4000).for_each(|key| insert(&mut table, key, hash));
    let keys: BTreeSet<u64> = (0..4000).filter(|key| key % 100 == 0).collect();
    table.retain(|key| *key % 100 == 0);
    assert_holds(&table, &keys, hash);
    let passed =
        |table: &Table<L>| (0..table.buckets).filter(|&bucket| table.trail_end(bucket) != bucket).count();
    let before = passed(&table);
    assert_eq!(table.trigger, 0, "a repair is due");
    let mut pieces = 0;
    while table.migrate_step(hash) {
        assert_holds(&table, &keys, hash);
        pieces += 1;
    }
    assert!(pieces > 10, "a repair goes in pieces");
    assert!(2 * passed(&table) < before, "{} of {before} buckets still count what is gone", passed(&table));
    assert_holds(&table, &keys, hash);
    table.retain(|_| false);
    assert_eq!((table.len, table.stats().longest_trail), (0, 0));
}

/// Marks of what had passed go with the entries, though these were taken out one by one and without a hasher.
fn an_emptied_table_copies_exactly<L: Layout>() {
    let crowded = |key: &u64| finalise(*key / 40);
    let (mut emptied, mut source) = (allocate::<L>(20, 2), allocate::<L>(20, 2));
    for key in 0..200 {
        emptied.place(crowded(&key), key).expect("memory");
    }
    for key in 0..200 {
        let held = emptied.occupied(crowded(&key), |held| *held == key);
        assert_eq!(held.map(super::cell::Occupied::remove).ok(), Some(key));
    }
    assert!(emptied.len == 0 && emptied.stats().longest_trail > 0, "marks are left");
    source.place(crowded(&7), 7).expect("memory");
    assert_eq!(emptied.buckets, source.buckets);
    emptied.clone_from_with(&source, |key| *key).expect("memory");
    assert_holds(&emptied, &BTreeSet::from([7]), crowded);
}

/// The last insert met a long trail, whose home is gone when the next one comes.
fn a_long_trail_is_forgotten_with_its_home<L: Layout>() {
    // Keys over 2^32 are their own hashes.
    let hash = |key: &u64| if *key >> 32 == 0 { finalise(*key) } else { *key };
    let mut table = Table::<L>::new_in(Pages);
    let mut keys: BTreeSet<u64> = (0..20_000).collect();
    for key in &keys {
        insert(&mut table, *key, hash);
    }
    while table.migrate_step(hash) {}
    while table.care.crowded.is_none() {
        let key = u64::MAX - keys.len() as u64;
        insert(&mut table, key, hash);
        keys.insert(key);
    }
    let far = table.care.crowded.expect("a long trail");
    for key in keys.iter().skip(100).copied().collect::<Vec<u64>>() {
        assert_eq!(table.remove(hash(&key), |held| *held == key, hash), Some(key));
        keys.remove(&key);
        table.ebb(hash);
    }
    while table.migrate_step(hash) {}
    assert!(table.buckets < far || !table.storage.is_range(), "the table shrinks");
    for key in 20_000..20_200 {
        insert(&mut table, key, hash);
        keys.insert(key);
    }
    assert_holds(&table, &keys, hash);
}
