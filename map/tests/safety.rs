//! What must hold whatever the user's types do: drops exactly once, panics, odd sizes and alignments, leaks.
//!
//! Invariant: counts of living values are exact after every test.

mod common;

use bucketmask_map::hash_map::Entry;
use bucketmask_map::{HashMap, HashSet, Inline, Layout, Pages, Split, Tiny};
use common::{By, CONSTANT, Counted, MIXED, Seeded};
use std::cell::{Cell, RefCell};
use std::hash::{Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};

fn drops_are_exact<L: Layout>() {
    let alive = Rc::new(Cell::new(0));
    let mut map = HashMap::<u64, Counted, By, Pages, L>::in_layout(MIXED);
    let mut seeded = Seeded(11);
    for id in 0..6000 {
        map.insert(seeded.below(3000), Counted::new(id, &alive));
        map.remove(&seeded.below(3000));
        assert_eq!(alive.get(), map.len());
    }
    let clone = map.clone();
    assert_eq!(alive.get(), 2 * map.len());
    let mut owned = clone.into_iter();
    owned.by_ref().take(10).for_each(drop);
    drop(owned);
    assert_eq!(alive.get(), map.len());
    map.retain(|key, _| key % 3 == 0);
    assert_eq!(alive.get(), map.len());
    let half = map.len() / 2;
    map.drain().take(half).for_each(drop);
    assert_eq!((alive.get(), map.len()), (0, 0));
    map.insert(1, Counted::new(1, &alive));
    map.check();
    map.clear();
    assert_eq!(alive.get(), 0);
    map.extend((0..500).map(|id| (id, Counted::new(id, &alive))));
    map.shrink_to_fit();
    assert_eq!(alive.get(), 500);
    drop(map);
    assert_eq!(alive.get(), 0);
}

#[test]
fn every_value_is_dropped_once() {
    drops_are_exact::<Tiny<Split>>();
    drops_are_exact::<Tiny<Inline>>();
    drops_are_exact::<Split>();
}

#[test]
fn a_leaked_drain_leaves_an_empty_map() {
    const CHILD: &str = "BUCKETMASK_TEST_LEAKS";
    // In a process of its own, at whose end a leak detector does not look: it leaks by intent.
    if std::env::var_os(CHILD).is_none() {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "a_leaked_drain_leaves_an_empty_map"]).env(CHILD, "1");
        let output = child.env("ASAN_OPTIONS", "detect_leaks=0").output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "{output:?}");
        return;
    }
    let mut map: HashMap<u64, String> = (0..100).map(|key| (key, key.to_string())).collect();
    std::mem::forget(map.drain());
    assert!(map.is_empty());
    map.insert(1, "one".into());
    assert_eq!(map.len(), 1);
}

#[test]
fn a_drained_map_keeps_its_memory() {
    let mut map: HashMap<u64, u64> = (0..1000).map(|key| (key, key)).collect();
    let bytes = map.allocation_size();
    assert_eq!(map.drain().len(), 1000);
    assert_eq!((map.len(), map.allocation_size()), (0, bytes));
    assert!(map.capacity() >= 1000);
}

/// A key that panics when the fuse burns down, in hashing or in comparing.
#[derive(Clone, Debug)]
struct Fused {
    id: u64,
    fuse: Rc<Cell<u64>>,
}

impl Fused {
    fn burn(&self) {
        let left = self.fuse.get();
        if left > 0 {
            self.fuse.set(left - 1);
            assert!(left > 1, "a fuse burnt down");
        }
    }
}

impl Hash for Fused {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.burn();
        state.write_u64(self.id);
    }
}

impl PartialEq for Fused {
    fn eq(&self, other: &Self) -> bool {
        self.burn();
        self.id == other.id
    }
}

impl Eq for Fused {}

fn panics_leave_a_whole_map<L: Layout>() {
    let (alive, fuse) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let key = |id| Fused { id, fuse: Rc::clone(&fuse) };
    let mut map = HashMap::<Fused, Counted, By, Pages, L>::in_layout(MIXED);
    let mut model = std::collections::HashSet::new();
    let mut seeded = Seeded(5);
    let mut caught = 0;
    for round in 0..4000u64 {
        fuse.set(seeded.below(60));
        let id = seeded.below(2500);
        let done = catch_unwind(AssertUnwindSafe(|| match seeded.below(5) {
            0 => {
                if map.remove(&key(id)).is_some() {
                    model.remove(&id);
                }
            }
            1 => map.shrink_to_fit(),
            2 => {
                map.entry(key(id)).or_insert_with(|| Counted::new(round, &alive));
                model.insert(id);
            }
            _ => {
                map.insert(key(id), Counted::new(round, &alive));
                model.insert(id);
            }
        }));
        fuse.set(0);
        caught += usize::from(done.is_err());
        if done.is_err() {
            map.check();
            assert_eq!(map.len(), model.len());
        }
        assert_eq!(alive.get(), map.len());
    }
    assert!(caught > 100);
    assert!(model.iter().all(|id| map.contains_key(&key(*id))));
    drop(map);
    assert_eq!(alive.get(), 0);
}

#[test]
fn panicking_hash_and_eq() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let outcome = catch_unwind(|| {
        panics_leave_a_whole_map::<Tiny<Split>>();
        panics_leave_a_whole_map::<Tiny<Inline>>();
        panics_leave_a_whole_map::<Split>();
    });
    std::panic::set_hook(hook);
    outcome.expect("the map stays whole");
}

#[test]
fn a_panicking_drop_loses_no_memory_safety() {
    // What a panic leaves behind is leaked, which is safe; so a bomb owns nothing.
    static DROPPED: AtomicU32 = AtomicU32::new(0);
    struct Bomb(bool);
    impl Drop for Bomb {
        fn drop(&mut self) {
            DROPPED.fetch_add(1, Ordering::Relaxed);
            assert!(!self.0, "a bomb");
        }
    }
    let mut map = HashMap::with_hasher(MIXED);
    for key in 0..100u64 {
        map.insert(key, Bomb(key == 50));
    }
    assert!(catch_unwind(AssertUnwindSafe(|| map.clear())).is_err());
    let before = DROPPED.load(Ordering::Relaxed);
    assert!(map.is_empty() && before <= 100);
    map.check();
    map.insert(1, Bomb(false));
    drop(map);
    assert_eq!(DROPPED.load(Ordering::Relaxed), before + 1);
}

/// Never equal, not even to itself: only iteration finds it.
#[derive(Debug)]
struct Zero;
impl Hash for Zero {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}
impl PartialEq for Zero {
    fn eq(&self, _: &Self) -> bool {
        false
    }
}
impl Eq for Zero {}

#[test]
fn zero_sized_keys_and_values() {
    let mut map: HashMap<(), ()> = HashMap::new();
    assert_eq!(map.insert((), ()), None);
    assert_eq!(map.insert((), ()), Some(()));
    assert_eq!((map.len(), map.get(&()), map.iter().count()), (1, Some(&()), 1));
    assert_eq!(map.remove(&()), Some(()));
    let mut many = HashMap::<Zero, (), By, Pages, Tiny<Split>>::in_layout(CONSTANT);
    for _ in 0..300 {
        many.insert(Zero, ());
    }
    assert_eq!(many.iter().count(), 300);
    many.check();
}

fn aligned<L: Layout, T: From<u8> + PartialEq + Copy + std::fmt::Debug>() {
    let mut map = HashMap::<u64, T, By, Pages, L>::in_layout(MIXED);
    for key in 0..1500 {
        map.insert(key, T::from(key as u8));
        if key % 100 == 0 {
            for (key, value) in &map {
                assert_eq!(std::ptr::from_ref(value).addr() % align_of::<T>(), 0);
                assert_eq!(*value, T::from(*key as u8));
            }
        }
    }
    map.check();
}

#[test]
fn over_aligned_values() {
    macro_rules! wide {
        ($name:ident $align:literal) => {
            #[repr(align($align))]
            #[derive(Clone, Copy, Debug, PartialEq)]
            struct $name(u8);
            impl From<u8> for $name {
                fn from(byte: u8) -> Self {
                    Self(byte)
                }
            }
            aligned::<Split, $name>();
            aligned::<Inline, $name>();
            aligned::<Tiny<Split>, $name>();
            aligned::<Tiny<Inline>, $name>();
        };
    }
    wide!(A32 32);
    wide!(A64 64);
    wide!(A128 128);
    wide!(A8192 8192);
}

#[test]
fn capacity_beyond_the_address_space_is_an_error() {
    let mut map: HashMap<u64, u64> = HashMap::new();
    map.insert(1, 1);
    assert!(map.try_reserve(usize::MAX).is_err());
    assert!(map.try_reserve(usize::MAX / 32).is_err());
    assert_eq!((map.len(), map[&1]), (1, 1));
    map.check();
}

#[test]
fn entries_see_what_they_should() {
    let mut map: HashMap<String, Vec<u32>> = HashMap::new();
    map.entry("a".into()).or_default().push(1);
    map.entry("a".into()).or_default().push(2);
    assert_eq!(map["a"], [1, 2]);
    assert_eq!(map.entry("b".into()).key(), "b");
    assert_eq!(map.entry("b".into()).or_insert_with_key(|key| vec![key.len() as u32]), &[1]);
    match map.entry("a".into()) {
        Entry::Occupied(mut entry) => {
            assert_eq!(entry.insert(vec![9]), [1, 2]);
            assert_eq!((entry.key().as_str(), entry.get()), ("a", &vec![9]));
            assert_eq!(entry.remove(), [9]);
        }
        Entry::Vacant(_) => panic!("it is there"),
    }
    let mut entry = map.entry("c".into()).insert_entry(vec![3]);
    entry.get_mut().push(4);
    assert_eq!(map["c"], [3, 4]);
    assert_eq!(format!("{:?}", map.entry("z".into())), "Entry(VacantEntry(\"z\"))");
    map.retain(|key, _| key == "c");
    assert_eq!(format!("{map:?} {:?} {:?}", map.keys(), map.values()), "{\"c\": [3, 4]} [\"c\"] [[3, 4]]");
}

#[test]
fn maps_and_sets_move_between_threads() {
    fn crosses<T: Send + Sync>(_: &T) {}
    let map: HashMap<u64, String> = HashMap::from([(1, "one".to_owned())]);
    crosses(&map);
    crosses(&map.iter());
    let map = std::thread::spawn(move || map).join().expect("no panic");
    assert_eq!(map[&1], "one");
    let mut set: HashSet<u32> = (0..100).collect();
    assert!(set.contains(&7) && !set.insert(7) && set.remove(&7) && set.insert(7));
    assert_eq!((set.len(), set.iter().copied().max()), (100, Some(99)));
    set.retain(|value| value % 2 == 0);
    assert_eq!(set, (0..50).map(|half| half * 2).collect());
    assert_eq!(set.drain().len(), 50);
}

#[test]
fn values_that_hold_borrows_and_cells_work() {
    let words = String::from("to be or not to be");
    let mut counts: HashMap<&str, RefCell<u32>> = HashMap::new();
    for word in words.split(' ') {
        *counts.entry(word).or_default().borrow_mut() += 1;
    }
    assert_eq!(*counts["be"].borrow(), 2);
    assert_eq!(counts.into_values().map(RefCell::into_inner).sum::<u32>(), 6);
}

#[test]
fn many_large_maps_leave_mappings_to_others() {
    let mut maps: Vec<HashMap<u64, u64>> = (0..9000).map(|_| HashMap::with_capacity(4000)).collect();
    let mappings = std::fs::read_to_string("/proc/self/maps").unwrap().lines().count();
    assert!(mappings < 45_000, "{mappings}");
    for (idx, map) in maps.iter_mut().enumerate().step_by(1000) {
        (0..6000).for_each(|key| _ = map.insert(key, idx as u64));
        assert_eq!((map.len(), map[&17]), (6000, idx as u64));
    }
}

/// Fills a table that starts in a range, and more than that; returns how much it has.
fn fill_large<K: Hash + Eq, L: Layout>(capacity: usize, key: impl Fn(u64) -> K) -> usize {
    let mut map = HashMap::<K, u64, By, Pages, L>::with_capacity_in_layout(capacity, MIXED);
    map.check();
    assert_eq!((map.len(), map.iter().count()), (0, 0));
    let bytes = map.allocation_size();
    let mut words = 0..capacity as u64 * 2;
    words.by_ref().take(capacity).for_each(|word| _ = map.insert(key(word), word));
    map.check();
    words.for_each(|word| _ = map.insert(key(word), word));
    map.check();
    assert_eq!(map.len(), 2 * capacity);
    assert!((0..1000).all(|word| map.get(&key(word)) == Some(&word)));
    bytes
}

#[test]
fn a_table_is_empty_in_the_memory_that_another_left() {
    // The thread that gives memory back is made by who allocates.
    drop(HashMap::<u64, u64>::with_capacity(10));
    let warm = || {
        let range = bucketmask_alloc::Range::reserve_warm(1).expect("a large map's range waits");
        assert!(range.opened() > 1 << 20);
    };
    for capacity in [100_000, 100_000, 60_000, 250_000, 70_001] {
        fill_large::<u64, Split>(capacity, |word| word);
        warm();
        fill_large::<[u64; 3], Split>(capacity, |word| [word, 1, 2]);
        warm();
        fill_large::<u64, Inline>(capacity, |word| word);
        warm();
        fill_large::<u64, Split>(capacity, |word| word);
        warm();
    }
}
