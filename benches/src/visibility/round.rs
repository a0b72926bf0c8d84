//! One migration with two clients beside it, and what was done to each key meanwhile.
//!
//! A small map with a few keys a home is moved bucket by bucket. The clients read, write and remove keys of the homes around the
//! mark. The copier stops in each gap of the protocol, reads keys of the bucket at hand, and lets the clients do something.
//! Owned by `visibility.rs`. Invariant: every operation on the map is in a history, so that the checker knows all there is to know.

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use bucketmask_alloc::sync::Padded;
use bucketmask_map::ConcurrentMap;
use bucketmask_map::concurrent::Guard;
use bucketmask_map::concurrent::rules::{Fault, Gap, Rules};
use foldhash::fast::FixedState;

use super::history::{Held, History, Op, Side, after, before};
use super::hook;

/// Homes of the table that is moved.
const HOMES: usize = 64;
/// Keys: three a home, on average.
const KEYS: usize = 192;
/// Entries a home takes: the capacity of so many homes is this times as large.
const FILL: usize = 10;
const CLIENTS: usize = 2;
/// Operations of a client on one key, and of the guards that look into half-written keys.
const MOST: u8 = 12;
const MOST_LOOKS: u8 = 4;
/// Operations under one guard, where guards keep their view.
const UNDER_A_GUARD: u32 = 8;

type Map<R> = ConcurrentMap<u64, u32, FixedState, R>;
type View<'m, R> = Guard<'m, u64, u32, FixedState, R>;

/// What the rounds saw, beside histories.
#[derive(Debug, Default, Clone)]
pub(super) struct Sights {
    /// Reads of keys whose bucket was not flipped, was flipped, and was flipped meanwhile.
    pub(super) reads: [u64; 3],
    /// Reads of a key that the same thread had just written, by the same sides.
    pub(super) own: [u64; 3],
    /// Reads in each gap.
    pub(super) gaps: [u64; 5],
}

impl Sights {
    /// Adds what another round saw.
    pub(super) fn add(&mut self, other: &Self) {
        let pairs = self.reads.iter_mut().chain(&mut self.own).chain(&mut self.gaps);
        let others = other.reads.iter().chain(&other.own).chain(&other.gaps);
        pairs.zip(others).for_each(|(sum, more)| *sum += more);
    }
}

struct Round<R: Rules> {
    map: Map<R>,
    /// By home.
    keys: Vec<u64>,
    /// The first key of each home, and the end.
    first_of: Vec<usize>,
    initial: Vec<Held>,
    /// Operations done by each client; shown to the copier only.
    progress: [Padded<AtomicU64>; CLIENTS],
    done: AtomicBool,
}

/// One process's operations.
struct Log<'r, R: Rules> {
    round: &'r Round<R>,
    process: u8,
    ops: Vec<(usize, Op)>,
    /// The mark as it was last seen: it only rises.
    mark: usize,
    next_value: u32,
    sights: Sights,
}

fn keeps_views<R: Rules>() -> bool {
    R::MIRRORED || matches!(R::FAULT, Fault::CachedReadTs)
}

impl<R: Rules> Round<R> {
    /// A map of which two thirds of the keys are in, about to be moved to a table of another size.
    fn new(random: &mut fastrand::Rng) -> Self {
        let map = Map::with_rules(HOMES * FILL, FixedState::with_seed(random.u64(..)));
        let mut keys: Vec<u64> = std::iter::repeat_with(|| random.u64(..)).take(KEYS).collect();
        keys.sort_unstable_by_key(|key| (map.mark_of(key).0, *key));
        keys.dedup();
        let first_of =
            (0..=HOMES).map(|home| keys.partition_point(|key| map.mark_of(key).0 < home)).collect();
        let initial: Vec<Held> = (0..keys.len() as u32).map(|nth| (nth % 3 != 0).then_some(nth)).collect();
        for (key, held) in keys.iter().zip(&initial) {
            if let Some(value) = held {
                map.insert(*key, *value);
            }
        }
        let homes = [HOMES * 2, HOMES * 3 / 2, HOMES / 2, HOMES / 5 * 3][random.usize(0..4)];
        assert!(map.begin_migration(homes * FILL), "a fresh map is not being moved");
        Self { map, keys, first_of, initial, progress: Default::default(), done: AtomicBool::new(false) }
    }

    fn keys_of(&self, home: usize) -> std::ops::Range<usize> {
        self.first_of[home]..self.first_of[home + 1]
    }

    /// Flipped buckets; all of them once another table is the first.
    fn mark(&self, nth: usize) -> (usize, usize) {
        let (_, homes, flipped) = self.map.mark_of(&self.keys[nth]);
        let home = self.first_of.partition_point(|&first| first <= nth) - 1;
        // The next table has another number of homes, and is never moved.
        (home, if homes == HOMES { flipped } else { HOMES })
    }

    /// Waits until the clients have done `ops` operations more, or a while.
    fn let_clients_work(&self, ops: u64) {
        let sum = || self.progress.iter().map(|done| done.0.load(Ordering::Relaxed)).sum::<u64>();
        let wanted = sum() + ops;
        for turn in 0..200 {
            if sum() >= wanted {
                return;
            }
            if turn % 32 == 31 { thread::yield_now() } else { std::hint::spin_loop() }
        }
    }
}

impl<'r, R: Rules> Log<'r, R> {
    fn new(round: &'r Round<R>, process: u8) -> Self {
        let next_value = (u32::from(process) + 1) << 24;
        Self { round, process, ops: Vec::new(), mark: 0, next_value, sights: Sights::default() }
    }

    fn note(&mut self, nth: usize, saw: Held, wrote: Option<Held>, times: [u64; 3]) -> Side {
        let [called, start, end] = times;
        let (home, mark) = self.round.mark(nth);
        let side = match home {
            home if home >= mark => Side::Old,
            home if home < self.mark => Side::New,
            _ => Side::Across,
        };
        self.mark = mark;
        self.ops.push((nth, Op { process: self.process, wrote, saw, called, start, end, side }));
        side
    }

    /// Reads. Where the guard keeps its view, the read took effect at some time since the guard began (`since`), but not
    /// before this process's own last write to the key.
    fn read(&mut self, guard: &View<'_, R>, nth: usize, since: Option<u64>) -> Side {
        let called = before();
        let saw = guard.get(&self.round.keys[nth]).copied();
        let end = after();
        let start = since.map_or(called, |since| {
            let own = self.ops.iter().rev().find(|(other, op)| *other == nth && op.wrote.is_some());
            since.max(own.map_or(0, |(_, op)| op.start))
        });
        let side = self.note(nth, saw, None, [called, start, end]);
        self.sights.reads[side as usize] += 1;
        side
    }

    fn write(&mut self, guard: &View<'_, R>, nth: usize, removes: bool) {
        let key = self.round.keys[nth];
        self.next_value += 1;
        let value = self.next_value;
        let start = before();
        let saw = if removes { guard.remove(&key) } else { guard.insert(key, value) }.copied();
        let end = after();
        self.note(nth, saw, Some((!removes).then_some(value)), [start, start, end]);
    }
}

/// A client: it does something to keys around the mark until the table is moved.
fn client<R: Rules>(round: &Round<R>, number: u8, mut random: fastrand::Rng) -> Vec<Log<'_, R>> {
    let (mut log, half) = (Log::new(round, number), Cell::new(0));
    let mut done_to = [0u8; KEYS];
    // Two more processes: a guard as old as the migration, and a fresh one, look at what this thread has half written.
    let old = (before(), round.map.pin());
    let looks = RefCell::new((Log::new(round, number + 8), [0u8; KEYS]));
    let mut look = |gap: Gap, _| {
        let (looks, counts) = &mut *looks.borrow_mut();
        let nth = half.get();
        if gap == Gap::HalfWritten && counts[nth] < MOST_LOOKS {
            counts[nth] += 1;
            looks.read(&old.1, nth, Some(old.0));
            let (since, fresh) = (before(), round.map.pin());
            looks.read(&fresh, nth, Some(since));
            looks.sights.gaps[gap as usize] += 2;
        }
    };
    hook::with(&mut look, || {
        while !round.done.load(Ordering::Relaxed) {
            let (pinned, guard) = (before(), round.map.pin());
            for _ in 0..if keeps_views::<R>() { UNDER_A_GUARD } else { 1 } {
                round.progress[usize::from(number)].0.fetch_add(1, Ordering::Relaxed);
                let home = (log.mark + random.usize(0..4)).saturating_sub(1).min(HOMES - 1);
                let keys = round.keys_of(home);
                if keys.is_empty() {
                    log.mark = log.mark.max(round.mark(0).1);
                    continue;
                }
                let nth = random.usize(keys);
                if done_to[nth] + 2 > MOST {
                    log.mark = log.mark.max(round.mark(nth).1);
                    thread::yield_now();
                    continue;
                }
                half.set(nth);
                let since = R::MIRRORED.then_some(pinned);
                let what = random.u32(0..8);
                if what > 2 {
                    log.write(&guard, nth, what == 5);
                    done_to[nth] += 1;
                }
                if !(3..=5).contains(&what) {
                    let side = log.read(&guard, nth, since);
                    log.sights.own[side as usize] += u64::from(what > 5);
                    done_to[nth] += 1;
                }
            }
        }
    });
    vec![log, looks.into_inner().0]
}

/// The copier: bucket by bucket, with reads in each gap, and a write right after the flip.
fn copy<R: Rules>(round: &Round<R>, mut random: fastrand::Rng) -> Log<'_, R> {
    let mut log = Log::new(round, 16);
    while round.progress.iter().any(|done| done.0.load(Ordering::Relaxed) == 0) {
        thread::yield_now();
    }
    let written = Cell::new(None);
    let mut stop = |gap: Gap, bucket: usize| {
        let keys = round.keys_of(bucket);
        if gap != Gap::HalfWritten && !keys.is_empty() {
            let guard = round.map.pin();
            let nth = random.usize(keys);
            let side = log.read(&guard, nth, None);
            log.sights.gaps[gap as usize] += 1;
            debug_assert!(R::FAULT != Fault::None || gap != Gap::Locked || side == Side::Old);
            if gap == Gap::Unlocked {
                log.write(&guard, nth, random.u8(0..3) == 0);
                written.set(Some(nth));
            }
        }
        round.let_clients_work(if gap == Gap::Copied { 4 } else { 2 });
        if let (Gap::Locked, Some(nth)) = (gap, written.take()) {
            log.read(&round.map.pin(), nth, None);
        }
    };
    hook::with(&mut stop, || while round.map.migrate_step(1) {});
    round.done.store(true, Ordering::Relaxed);
    log
}

/// Runs a migration with its clients: the histories of its keys, and what was seen.
pub(super) fn run<R: Rules>(random: &mut fastrand::Rng) -> (Vec<History>, Sights) {
    let round = Round::<R>::new(random);
    let mut logs = Vec::new();
    thread::scope(|threads| {
        let clients: Vec<_> = (0..CLIENTS as u8)
            .map(|number| {
                let (round, random) = (&round, random.fork());
                threads.spawn(move || client(round, number, random))
            })
            .collect();
        logs.push(copy(&round, random.fork()));
        for client in clients {
            logs.extend(client.join().expect("clients do not panic"));
        }
    });
    let mut histories: Vec<_> =
        round.initial.iter().map(|&initial| History { initial, ops: Vec::new() }).collect();
    let mut sights = Sights::default();
    for log in logs {
        sights.add(&log.sights);
        log.ops.into_iter().for_each(|(nth, op)| histories[nth].ops.push(op));
    }
    (histories, sights)
}
