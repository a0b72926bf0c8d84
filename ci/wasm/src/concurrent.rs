//! The concurrent map between workers: what each does to keys of its own against a model, and values of keys that all write.
//!
//! Phases of growth and of decay make the table move again and again under all of it.
//! Invariant: a value says whose key it is of and whether it is whole, and each is dropped once.

use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::collections::BTreeMap;
use std::sync::OnceLock;

use bucketmask_map::ConcurrentMap;
use bucketmask_map::concurrent::rules::{Fault, Fresh, Gap, Rules};
use bucketmask_map::hash_map::RandomState;

use crate::bell::sleep;
use crate::meet::Meeting;
use crate::worker::{now, tell};
use crate::{Chance, sum};

const WORKERS: u32 = 4;
const STEPS: u64 = 400_000;
/// Steps of growth, and then of decay.
const PHASE: u64 = 40_000;
/// Keys of a worker.
const OWN: u64 = 20_000;
/// Keys that all write.
const SHARED: u64 = 64;
/// Keys from here on are everybody's.
const COMMON: u64 = 1 << 40;

struct Value {
    key: u64,
    number: u64,
    sum: u64,
}

static ALIVE: AtomicU32 = AtomicU32::new(0);

impl Value {
    fn new(key: u64, number: u64) -> Self {
        ALIVE.fetch_add(1, Ordering::Relaxed);
        Self { key, number, sum: sum(&[key, number]) }
    }

    /// Its number, if it is whole and of this key.
    fn number(&self, key: u64) -> u64 {
        assert!(
            self.key == key && self.sum == sum(&[key, self.number]),
            "a value of another key, or a torn one"
        );
        self.number
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        self.sum = 0;
        ALIVE.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The map's protocol, broken: the mark is stored before the entries are copied.
enum Early {}

impl Rules for Early {
    const FAULT: Fault = Fault::EarlyFlip;
    fn gap(gap: Gap, _: usize) {
        linger(gap);
    }
}

/// The same: readers take the bucket at the mark for flipped.
enum OneTooFar {}

impl Rules for OneTooFar {
    const FAULT: Fault = Fault::OffByOne;
    fn gap(gap: Gap, _: usize) {
        linger(gap);
    }
}

/// Gives others time to see what is half done.
fn linger(gap: Gap) {
    if gap == Gap::Flipped {
        sleep(50_000);
    }
}

type Map<R> = ConcurrentMap<u64, Value, RandomState, R>;

static MEETING: Meeting = Meeting::new();

/// Four workers.
#[unsafe(no_mangle)]
extern "C" fn concurrent(worker: u32, fault: u32) {
    static FRESH: OnceLock<Map<Fresh>> = OnceLock::new();
    static EARLY: OnceLock<Map<Early>> = OnceLock::new();
    static ONE_TOO_FAR: OnceLock<Map<OneTooFar>> = OnceLock::new();
    match fault {
        0 => work(&FRESH, worker),
        1 => work(&EARLY, worker),
        _ => work(&ONE_TOO_FAR, worker),
    }
}

fn work<R: Rules>(map: &OnceLock<Map<R>>, worker: u32) {
    let map = map.get_or_init(|| Map::with_rules(0, RandomState::new()));
    let (model, moves) = churn(map, worker);
    MEETING.wait(WORKERS);
    for key in 0..OWN {
        let key = own(worker, key);
        let found = map.read(&key, |value| value.number(key));
        assert_eq!(found, model.get(&key).copied(), "key {key} at the end");
    }
    let held = map
        .pin()
        .iter()
        .filter(|(key, _)| **key % u64::from(WORKERS) == u64::from(worker) && **key < COMMON)
        .count();
    assert_eq!(held, model.len(), "entries of a worker's own");
    MEETING.wait(WORKERS);
    if worker == 0 {
        let mut seen = BTreeMap::new();
        for (&key, value) in &map.pin() {
            assert!(seen.insert(key, value.number(key)).is_none(), "an iteration met key {key} twice");
        }
        assert_eq!(map.len(), seen.len());
        assert!(moves > 4, "the table moved {moves} times");
        tell(&format!(
            "concurrent: {WORKERS} workers, {} steps, {} entries in the end, {moves} tables seen",
            u64::from(WORKERS) * STEPS,
            seen.len()
        ));
        if R::FAULT == Fault::None {
            map.clear();
            while map.collect_garbage() > 0 {}
            assert_eq!((map.len(), ALIVE.load(Ordering::Relaxed)), (0, 0), "values that nobody dropped");
        }
    }
}

fn own(worker: u32, key: u64) -> u64 {
    key * u64::from(WORKERS) + u64::from(worker)
}

/// What a worker did to its own keys, and how many sizes of the table it saw.
fn churn<R: Rules>(map: &Map<R>, worker: u32) -> (BTreeMap<u64, u64>, u32) {
    let mut chance = Chance::new(worker);
    let mut model = BTreeMap::new();
    let (mut moves, mut bytes) = (0, 0);
    for step in 0..STEPS {
        let growing = (step / PHASE).is_multiple_of(2);
        let key = own(worker, chance.below(OWN));
        let number = step << 8 | u64::from(worker);
        match chance.below(8) {
            0..3 => {
                assert_eq!(map.read(&key, |value| value.number(key)), model.get(&key).copied(), "key {key}");
            }
            3..7 if growing => {
                let guard = map.pin();
                let before = guard.insert(key, Value::new(key, number)).map(|value| value.number(key));
                assert_eq!(before, model.insert(key, number), "what key {key} was before");
            }
            3..7 => {
                let guard = map.pin();
                let before = guard.remove(&key).map(|value| value.number(key));
                assert_eq!(before, model.remove(&key), "what key {key} was");
            }
            _ => {
                share(map, COMMON + chance.below(SHARED), number, chance.below(4));
                let now = map.table_bytes();
                moves += u32::from(now != bytes);
                bytes = now;
            }
        }
    }
    (model, moves)
}

/// Does something to a key that all others write, too: what is found is whole, and what a guard found stays.
fn share<R: Rules>(map: &Map<R>, key: u64, number: u64, what: u64) {
    let guard = map.pin();
    match what {
        0 => {
            guard.insert(key, Value::new(key, number));
        }
        1 => {
            guard.remove(&key);
        }
        2 => {
            guard.update(&key, |value| Value::new(key, value.number(key) + (1 << 8)));
        }
        _ => {
            if let Some(value) = guard.get(&key) {
                let first = value.number(key);
                sleep(1000);
                assert_eq!(value.number(key), first, "what a guard holds has changed");
            }
        }
    }
}

/// The copier sleeps with a bucket's lock.
enum Slow {}

static COPIES: AtomicBool = AtomicBool::new(false);

impl Rules for Slow {
    fn gap(gap: Gap, _: usize) {
        if gap == Gap::Locked {
            COPIES.store(true, Ordering::SeqCst);
            sleep(4_000_000);
        }
    }
}

const TURNS: u64 = 50;

/// Worker 0 moves a map of one bucket while worker 1 wants to write to it: it has to sleep until the bucket is unlocked, and is woken then.
#[unsafe(no_mangle)]
extern "C" fn parking(worker: u32, _fault: u32) {
    static MAP: OnceLock<ConcurrentMap<u64, u64, RandomState, Slow>> = OnceLock::new();
    let map = MAP.get_or_init(|| ConcurrentMap::with_rules(1, RandomState::new()));
    let (mut long, mut waited) = (0, 0);
    for turn in 0..TURNS {
        MEETING.wait(2);
        if worker == 0 {
            assert!(map.begin_migration(1), "no other migration");
            while map.migrate_step(1) {}
            COPIES.store(false, Ordering::SeqCst);
        } else {
            while !COPIES.load(Ordering::SeqCst) {
                core::hint::spin_loop();
            }
            let start = now();
            map.insert(turn % 5, turn);
            let took = now() - start;
            waited += took;
            long += u64::from(took > 1_000_000);
            assert_eq!(map.get_cloned(&(turn % 5)), Some(turn));
        }
        MEETING.wait(2);
    }
    if worker == 1 {
        assert!(long > TURNS / 2, "only {long} of {TURNS} writers had to wait");
        tell(&format!(
            "parking: {long} of {TURNS} writers slept at a locked bucket, {} us on average",
            waited / TURNS / 1000
        ));
    }
}
