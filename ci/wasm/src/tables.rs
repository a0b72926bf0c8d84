//! Maps of one worker against std's: where pointers have 32 bits, tables lie in blocks, and nothing can be reserved.
//!
//! Invariant: after every phase a map holds what its model holds, and its own invariants hold.

use std::collections::{BTreeMap, BTreeSet};

use bucketmask_map::{ConcurrentMap, HashMap, HashSet, Inline, Pages, Split, StrMap, Tiny, TryReserveError};
use std::alloc::{Layout, alloc};
use std::hash::RandomState;

use crate::worker::tell;
use crate::{Chance, is};

const STEPS: u64 = 150_000;
const KEYS: u64 = 40_000;
/// A removal is not told to the map.
const FORGOTTEN: u32 = 1;

/// One worker.
#[unsafe(no_mangle)]
extern "C" fn tables(_worker: u32, fault: u32) {
    numbers::<Split>("Split", fault);
    numbers::<Inline>("Inline", fault);
    numbers::<Tiny<Split>>("Tiny<Split>", fault);
    numbers::<Tiny<Inline>>("Tiny<Inline>", fault);
    texts();
    sets();
    limits();
}

/// One worker, above the first two gigabytes: the highest bit of all addresses is set.
#[unsafe(no_mangle)]
extern "C" fn high(_worker: u32, _fault: u32) {
    let gigabyte = Layout::from_size_align(1 << 30, 16).expect("a block within the memory");
    for _ in 0..2 {
        // SAFETY: not empty. Neither used nor given back.
        let block = core::hint::black_box(unsafe { alloc(gigabyte) });
        assert!(!block.is_null(), "no memory for a gigabyte");
    }
    let above = vec![1u8; 1 << 20];
    assert!(above.as_ptr().addr() > isize::MAX as usize, "{:p} is not high", above.as_ptr());
    numbers::<Split>("Split, above 2 GiB", 0);
    numbers::<Tiny<Inline>>("Tiny<Inline>, above 2 GiB", 0);
    texts();
    let map: ConcurrentMap<u64, String> = (0..50_000).map(|key| (key, key.to_string())).collect();
    for key in 0..50_000 {
        assert!(map.read(&key, |text| *text == key.to_string()).is_some_and(|same| same));
        assert!(key % 4 == 0 || map.remove(&key));
    }
    assert_eq!(map.len(), 12_500);
    tell("tables: ConcurrentMap of 50000 texts, above 2 GiB");
}

fn numbers<L: bucketmask_map::Layout>(layout: &str, fault: u32) {
    let mut map: HashMap<u64, [u32; 3], RandomState, Pages, L> = HashMap::in_layout(RandomState::new());
    let mut model = BTreeMap::new();
    let mut chance = Chance::new(7);
    let mut most = 0;
    for step in 0..STEPS {
        let growing = (step / (STEPS / 6)).is_multiple_of(2);
        let key = chance.below(KEYS);
        let value = [step as u32, key as u32, (step ^ key) as u32];
        match (chance.below(10), growing) {
            (0..3, _) => assert_eq!(map.get(&key), model.get(&key)),
            (3..5, _) => {
                let ours = *map.entry(key).and_modify(|value| value[0] += 1).or_insert(value);
                assert_eq!(
                    ours,
                    *model.entry(key).and_modify(|value: &mut [u32; 3]| value[0] += 1).or_insert(value)
                );
            }
            (_, true) => assert_eq!(map.insert(key, value), model.insert(key, value)),
            (_, false) => {
                let theirs = model.remove(&key);
                if !(is(fault, FORGOTTEN) && theirs.is_some() && step > STEPS / 2) {
                    assert_eq!(map.remove(&key), theirs);
                }
            }
        }
        most = most.max(map.len());
        if step.is_multiple_of(STEPS / 12) {
            compare(&map, &model);
        }
    }
    map.retain(|key, _| key % 3 == 0);
    model.retain(|key, _| key % 3 == 0);
    map.shrink_to_fit();
    compare(&map, &model);
    let copy = map.clone();
    let drained: BTreeMap<_, _> = map.drain().collect();
    assert_eq!(drained, model);
    compare(&copy, &model);
    tell(&format!("tables: HashMap in {layout}, {STEPS} steps, up to {most} entries, as the model"));
}

fn compare<L: bucketmask_map::Layout>(
    map: &HashMap<u64, [u32; 3], RandomState, Pages, L>,
    model: &BTreeMap<u64, [u32; 3]>,
) {
    map.check();
    assert_eq!(map.len(), model.len());
    let ours: BTreeMap<_, _> = map.iter().map(|(&key, &value)| (key, value)).collect();
    assert_eq!(ours, *model);
}

/// Texts in place and in blocks: keys are three words of 64 bits, one of which is a pointer of 32.
fn texts() {
    let mut map: StrMap<u64> = StrMap::new();
    let mut model = BTreeMap::new();
    let mut chance = Chance::new(3);
    for step in 0..STEPS / 2 {
        let number = chance.below(9000);
        let text = format!("{number:0width$}", width = 1 + number as usize % 60);
        if chance.below(3) == 0 {
            assert_eq!(map.remove(&text), model.remove(&text));
        } else {
            assert_eq!(map.insert(text.as_str(), step), model.insert(text, step));
        }
    }
    let ours: BTreeMap<String, u64> = map.iter().map(|(text, &value)| (text.to_string(), value)).collect();
    assert_eq!(ours, model);
    tell(&format!("tables: StrMap, {} texts of 1 to 60 bytes, as the model", model.len()));
}

fn sets() {
    let mut chance = Chance::new(5);
    let mut some = || -> Vec<u16> { (0..3000).map(|_| chance.below(5000) as u16).collect() };
    let (first, second) = (some(), some());
    let ours: (HashSet<u16>, HashSet<u16>) =
        (first.iter().copied().collect(), second.iter().copied().collect());
    let theirs: (BTreeSet<u16>, BTreeSet<u16>) = (first.into_iter().collect(), second.into_iter().collect());
    assert_eq!(ours.0.union(&ours.1).copied().collect::<BTreeSet<_>>(), &theirs.0 | &theirs.1);
    assert_eq!(ours.0.difference(&ours.1).copied().collect::<BTreeSet<_>>(), &theirs.0 - &theirs.1);
    tell("tables: HashSet, union and difference as the model's");
}

/// What does not fit 32 bits is refused, and never wraps around to something small.
fn limits() {
    fn refused<T: Default + Copy>(len: usize) {
        let mut map: HashMap<u32, T> = HashMap::from([(1, T::default())]);
        let answer = map.try_reserve(len);
        assert!(answer.is_err(), "room for {len} entries of {} bytes", size_of::<(u32, T)>());
        assert!(map.contains_key(&1) && map.len() == 1);
    }
    for shift in 24..32 {
        for len in [1usize << shift, (1 << shift) + 1, (1usize << shift) / 7 * 12] {
            refused::<[u64; 32]>(len);
        }
    }
    for len in
        [1 << 28, 1 << 29, 1 << 30, 1 << 31, usize::MAX / 14, usize::MAX / 12, usize::MAX - 1, usize::MAX]
    {
        refused::<u64>(len);
        refused::<[u8; 4]>(len);
    }
    refused::<()>(usize::MAX);
    let mut map: HashMap<u32, u32> = HashMap::new();
    assert_eq!(map.try_reserve(usize::MAX), Err(TryReserveError::CapacityOverflow));
    tell("tables: what does not fit 32 bits is refused");
}
