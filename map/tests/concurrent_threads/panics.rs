//! User code that panics, or writes to the map, where the map calls it: hashes and comparisons, drops, gaps of a migration, hooks.
//!
//! Owned by `concurrent_threads.rs`. Invariant: whatever panics, the map is whole afterwards, and nothing is counted or dropped twice.

use super::Checked;
use super::common::{By, MIXED, Seeded};
use bucketmask_map::ConcurrentMap;
use bucketmask_map::concurrent::rules::{Gap, Rules};
use bucketmask_map::concurrent::{Change, OldGuard, warn_of_old_guards};
use std::cell::Cell;
use std::hash::{Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

thread_local! {
    static PANICS: Cell<u32> = const { Cell::new(0) };
}

/// Panics where it is told to, as it is hashed or compared.
#[derive(Clone, Debug)]
struct Touchy(u64);

fn touched() {
    let left = PANICS.get();
    if left > 0 {
        PANICS.set(left - 1);
        assert!(left != 1, "told to");
    }
}

impl Hash for Touchy {
    fn hash<H: Hasher>(&self, state: &mut H) {
        touched();
        self.0.hash(state);
    }
}

impl PartialEq for Touchy {
    fn eq(&self, other: &Self) -> bool {
        touched();
        self.0 == other.0
    }
}

impl Eq for Touchy {}

/// Whatever panics when, the map is whole afterwards, no bucket stays locked, and an operation is done or is not.
pub(crate) fn panics_leave_the_map_whole(by: By) {
    let alive = Arc::default();
    let map = ConcurrentMap::<Touchy, Checked, By>::with_hasher(by);
    let (mut random, mut caught) = (Seeded(3), 0);
    for step in 0..3000u64 {
        let key = random.below(150);
        PANICS.set(if random.below(3) == 0 { 1 + random.below(20) as u32 } else { 0 });
        let before = PANICS.get();
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let guard = map.pin();
            match random.below(4) {
                0 | 1 => drop(guard.insert(Touchy(key), Checked::new(key, step, &alive)).is_some()),
                2 => drop(guard.remove(&Touchy(key)).is_some()),
                _ => {
                    guard.compute(Touchy(key), |_| {
                        assert!(before % 5 != 4, "the closure panics, too");
                        Change::Put(Checked::new(key, step, &alive))
                    });
                }
            }
        }));
        PANICS.set(0);
        caught += u32::from(outcome.is_err());
        if step % 16 == 0 {
            map.begin_migration(random.below(300) as usize);
        }
        if let Some(found) = map.pin().get(&Touchy(key)) {
            found.check(key);
        }
    }
    assert!(caught > 300, "{caught} panics say little");
    let guard = map.pin();
    let shown = guard.iter().inspect(|(key, value)| value.check(key.0)).count();
    assert_eq!(map.len(), shown);
    drop(guard);
    for key in 0..150 {
        map.remove(&Touchy(key));
    }
    assert!(map.is_empty());
    drop(map);
    assert_eq!(alive.load(Ordering::Relaxed), 0);
}

/// A value whose drop panics, in the garbage and in the map's own end.
pub(crate) fn a_panicking_drop_is_the_droppers() {
    struct Bomb(bool);
    impl Drop for Bomb {
        fn drop(&mut self) {
            assert!(!self.0 || thread::panicking(), "told to");
        }
    }
    let map = ConcurrentMap::<u64, Bomb, By>::with_hasher(MIXED);
    map.insert(1, Bomb(true));
    map.remove(&1);
    map.insert(2, Bomb(false));
    let outcome = catch_unwind(AssertUnwindSafe(|| while map.collect_garbage() > 0 {}));
    assert!(outcome.is_err());
    assert!(map.contains_key(&2));
    map.insert(3, Bomb(true));
    assert!(catch_unwind(AssertUnwindSafe(|| drop(map))).is_err());
}

thread_local! {
    /// Whether the next fuse that is dropped panics.
    static LIT: Cell<bool> = const { Cell::new(false) };
}

/// Panics as it is dropped, once, where it is told to.
struct Fuse;

impl Drop for Fuse {
    fn drop(&mut self) {
        assert!(!LIT.replace(false), "told to");
    }
}

/// Whether `work` dropped a fuse that was lit for it.
fn blows(work: impl FnOnce()) -> bool {
    LIT.set(true);
    let outcome = catch_unwind(AssertUnwindSafe(work));
    LIT.set(false);
    outcome.is_err()
}

/// `count` keys whose home is the last of the map's first table.
fn keys_of_the_last_home<V, R: Rules>(map: &ConcurrentMap<u64, V, By, R>, count: usize) -> Vec<u64> {
    let (_, homes, _) = map.mark_of(&0);
    (0..).filter(|key| map.mark_of(key).0 == homes - 1).take(count).collect()
}

/// A drop that panics as the last bucket is moved: the migration ends all the same, whichever piece filled the bag.
pub(crate) fn a_panicking_drop_ends_no_migration_halfway() {
    let mut blown = 0;
    // Bags are filled by lanes; the last bucket's overflow bucket and the table itself are the pieces that fill one in a part of this range.
    for replaced in (6 * 1014 - 60..6 * 1014).step_by(6) {
        let map = ConcurrentMap::<u64, Fuse, By>::with_capacity_and_hasher(20, MIXED);
        let keys = keys_of_the_last_home(&map, 21);
        keys[..20].iter().for_each(|key| assert!(!map.insert(*key, Fuse)));
        (0..replaced).for_each(|_| assert!(map.insert(keys[0], Fuse)));
        map.insert(keys[20], Fuse);
        let homes = map.mark_of(&0).1;
        assert!(map.is_migrating());
        blown += u32::from(blows(|| assert!(!map.migrate_step(homes))));
        assert!(!map.is_migrating(), "the last bucket is moved, and the table is not replaced");
        while map.migrate_step(1) {}
        for key in 0..40 {
            map.insert(key, Fuse);
        }
        assert!(keys.iter().all(|key| map.contains_key(key)));
        assert_eq!(map.len(), map.pin().iter().count());
    }
    assert!(blown > 0, "no drop ran in the last step");
}

/// Whatever panics in a gap, the next step goes on from there: behind the last bucket, it ends the migration.
pub(crate) fn a_panicking_gap_ends_no_migration_halfway() {
    enum Gaps {}
    impl Rules for Gaps {
        fn gap(gap: Gap, bucket: usize) {
            assert!(!(gap == Gap::Unlocked && bucket == 1 && LIT.replace(false)), "told to");
        }
    }
    let map = ConcurrentMap::<u64, u64, By, Gaps>::with_rules(20, MIXED);
    (0..20).for_each(|key| assert!(!map.insert(key, key)));
    assert!(map.begin_migration(100));
    assert!(blows(|| assert!(!map.migrate_step(2))));
    let (_, homes, flipped) = map.mark_of(&0);
    assert_eq!((homes, flipped), (2, 2), "the gap is behind the last flip");
    assert!((0..20).all(|key| map.get_cloned(&key) == Some(key)), "readers find all meanwhile");
    assert!(!map.migrate_step(1) && !map.is_migrating());
    assert!((0..20).all(|key| map.get_cloned(&key) == Some(key)));
}

/// What a drop that panics came out of has been counted.
pub(crate) fn a_panicking_drop_is_counted() {
    let map = ConcurrentMap::<u64, Fuse, By>::with_hasher(MIXED);
    let keys = 10_000;
    (0..keys).for_each(|key| assert!(!map.insert(key, Fuse)));
    let blown = (0..keys - 7).filter(|key| blows(|| assert!(map.remove(key)))).count();
    assert!(blown > 0, "no drop ran in a removal");
    assert_eq!((map.len(), map.pin().iter().count()), (7, 7));
    // The bags whose drops panicked went on, piece by piece.
    while map.collect_garbage() > 0 {
        thread::yield_now();
    }
}

/// Drops that write to their own map do not nest, however much an old guard held back.
pub(crate) fn drops_that_write_do_not_nest() {
    thread_local! {
        static DEPTH: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
    }
    struct Writes(Option<std::sync::Weak<ConcurrentMap<u64, Self, By>>>);
    impl Drop for Writes {
        fn drop(&mut self) {
            let Some(map) = self.0.as_ref().and_then(std::sync::Weak::upgrade) else { return };
            let (depth, most) = DEPTH.get();
            DEPTH.set((depth + 1, most.max(depth + 1)));
            map.insert(0, Self(None));
            map.collect_garbage();
            DEPTH.set((depth, DEPTH.get().1));
        }
    }
    let map = Arc::new(ConcurrentMap::with_hasher(MIXED));
    let old = map.pin();
    for _ in 0..20_000 {
        map.insert(1, Writes(Some(Arc::downgrade(&map))));
    }
    drop(old);
    while map.collect_garbage() > 0 {
        thread::yield_now();
    }
    assert_eq!(DEPTH.get(), (0, 1), "a drop ran within a drop");
}

/// A hook that panics is the writer's; the epoch moves on afterwards.
pub(crate) fn a_panicking_hook_is_the_writers() {
    fn hook(_: &OldGuard) {
        panic!("told to");
    }
    warn_of_old_guards(Some((Duration::from_millis(1), hook)));
    let map = ConcurrentMap::<u64, u64, By>::with_hasher(MIXED);
    let old = map.pin_owned();
    map.insert(1, 1);
    let mut panics = 0;
    for _ in 0..1000 {
        thread::sleep(Duration::from_millis(1));
        map.insert(1, 2);
        panics += u32::from(catch_unwind(AssertUnwindSafe(|| map.collect_garbage())).is_err());
        if panics > 0 {
            break;
        }
    }
    warn_of_old_guards(None);
    assert_eq!(panics, 1, "the hook was not called");
    drop(old);
    for _ in 0..1000 {
        if map.collect_garbage() == 0 {
            return;
        }
        thread::sleep(Duration::from_millis(1));
    }
    panic!("no guard is held, and {} bytes are not freed", map.pending_bytes());
}
