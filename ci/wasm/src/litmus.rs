//! Litmus tests: what one worker may see of another's stores, and what it must not, on some hundred thousand fresh places each.
//!
//! Two workers go from place to place in step, each does its few accesses, and what both saw is looked at by the first.
//! With a fault, one test runs alone, broken in a way that must show: so the others are seen to be able to fail.
//! Invariant: a place is touched by one access pattern only, and is zero before it.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use std::collections::BTreeMap;

use bucketmask_alloc::sync::Padded;

use crate::bell::sleep;
use crate::meet::Meeting;
use crate::worker::tell;
use crate::{Chance, is};

const PLACES: usize = 4096;
const ROUNDS: u32 = 200;
/// The same of a test that is broken: it ends with the first outcome that must not be.
const BROKEN_ROUNDS: u32 = 1200;
/// Turns of a loop that waits for the other before it sleeps.
const SPINS: u32 = 50_000;

struct Place {
    x: Padded<AtomicU32>,
    y: Padded<AtomicU32>,
    wide: Padded<AtomicU64>,
}

static PLACE: [Place; PLACES] = [const {
    Place { x: Padded(AtomicU32::new(0)), y: Padded(AtomicU32::new(0)), wide: Padded(AtomicU64::new(0)) }
}; PLACES];
/// What each worker saw at each place: two values.
static SEEN: [[AtomicU32; PLACES]; 2] = [const { [const { AtomicU32::new(0) }; PLACES] }; 2];
/// How far each worker is.
static STEPS: [Padded<AtomicU32>; 2] = [const { Padded(AtomicU32::new(0)) }; 2];
static MEETING: Meeting = Meeting::new();

type Saw = (u16, u16);

struct Test {
    name: &'static str,
    bodies: [fn(&Place) -> Saw; 2],
    forbidden: fn(Saw, Saw) -> bool,
}

const SEQ: Ordering = Ordering::SeqCst;

fn load(word: &Padded<AtomicU32>, order: Ordering) -> u16 {
    word.0.load(order) as u16
}

/// A store that is none of the atomic ones: no other access waits for it.
fn plain_store(word: &Padded<AtomicU32>, value: u32) {
    // SAFETY: WebAssembly gives plain accesses that race values; the compiler neither drops nor moves a volatile one.
    unsafe { word.0.as_ptr().write_volatile(value) }
}

fn plain_load(word: &Padded<AtomicU32>) -> u16 {
    // SAFETY: as above.
    unsafe { word.0.as_ptr().read_volatile() as u16 }
}

/// Which halves of the wide word were seen.
fn halves(place: &Place) -> Saw {
    let seen = place.wide.0.load(Ordering::Relaxed);
    ((seen & 1) as u16, (seen >> 63) as u16)
}

const TESTS: [Test; 6] = [
    Test {
        name: "message passing, release and acquire",
        bodies: [
            |place| {
                plain_store(&place.x, 1);
                place.y.0.store(1, Ordering::Release);
                (0, 0)
            },
            |place| (load(&place.y, Ordering::Acquire), plain_load(&place.x)),
        ],
        forbidden: |_, (flag, data)| flag == 1 && data == 0,
    },
    Test {
        name: "store buffering, SeqCst",
        bodies: [
            |place| {
                place.x.0.store(1, SEQ);
                (load(&place.y, SEQ), 0)
            },
            |place| {
                place.y.0.store(1, SEQ);
                (load(&place.x, SEQ), 0)
            },
        ],
        forbidden: |first, second| first.0 == 0 && second.0 == 0,
    },
    Test {
        name: "store buffering, relaxed and fences",
        bodies: [
            |place| {
                place.x.0.store(1, Ordering::Relaxed);
                fence(SEQ);
                (load(&place.y, Ordering::Relaxed), 0)
            },
            |place| {
                place.y.0.store(1, Ordering::Relaxed);
                fence(SEQ);
                (load(&place.x, Ordering::Relaxed), 0)
            },
        ],
        forbidden: |first, second| first.0 == 0 && second.0 == 0,
    },
    Test {
        name: "load buffering, release and acquire",
        bodies: [
            |place| {
                let seen = load(&place.x, Ordering::Acquire);
                place.y.0.store(1, Ordering::Release);
                (seen, 0)
            },
            |place| {
                let seen = load(&place.y, Ordering::Acquire);
                place.x.0.store(1, Ordering::Release);
                (seen, 0)
            },
        ],
        forbidden: |first, second| first.0 == 1 && second.0 == 1,
    },
    Test {
        name: "coherence, relaxed",
        bodies: [
            |place| {
                place.x.0.store(1, Ordering::Relaxed);
                place.x.0.store(2, Ordering::Relaxed);
                (0, 0)
            },
            |place| (load(&place.x, Ordering::Relaxed), load(&place.x, Ordering::Relaxed)),
        ],
        forbidden: |_, (first, second)| second < first,
    },
    Test {
        name: "64 bits are one word",
        bodies: [
            |place| {
                place.wide.0.store(u64::MAX, Ordering::Relaxed);
                (0, 0)
            },
            halves,
        ],
        forbidden: |_, (low, high)| low != high,
    },
];

/// Tests that are broken, by the number of the fault.
const BROKEN: [Test; 3] = [
    Test {
        name: "message passing, the flag first",
        bodies: [
            |place| {
                place.y.0.store(1, Ordering::Release);
                plain_store(&place.x, 1);
                (0, 0)
            },
            |place| (load(&place.y, Ordering::Acquire), plain_load(&place.x)),
        ],
        forbidden: |_, (flag, data)| flag == 1 && data == 0,
    },
    Test {
        name: "store buffering, plain accesses",
        bodies: [
            |place| {
                plain_store(&place.x, 1);
                (plain_load(&place.y), 0)
            },
            |place| {
                plain_store(&place.y, 1);
                (plain_load(&place.x), 0)
            },
        ],
        forbidden: |first, second| first.0 == 0 && second.0 == 0,
    },
    Test {
        name: "64 bits in two stores",
        bodies: [
            |place| {
                let halves = place.wide.0.as_ptr().cast::<u32>();
                // SAFETY: the word's own halves, as `plain_store`.
                unsafe {
                    halves.write_volatile(u32::MAX);
                    linger(40);
                    halves.add(1).write_volatile(u32::MAX);
                }
                (0, 0)
            },
            halves,
        ],
        forbidden: |_, (low, high)| low != high,
    },
];

/// Two workers; with a fault, the broken test of that number.
#[unsafe(no_mangle)]
extern "C" fn litmus(worker: u32, fault: u32) {
    let broken = BROKEN.iter().enumerate().filter(|&(number, _)| is(fault, number as u32 + 1));
    let tests = TESTS.iter().enumerate().filter(|_| is(fault, 0));
    let mut chance = Chance::new(worker);
    let rounds = if is(fault, 0) { ROUNDS } else { BROKEN_ROUNDS };
    for (_, test) in tests.chain(broken) {
        let mut outcomes = BTreeMap::new();
        for round in 0..rounds {
            walk(worker as usize, test, &mut chance);
            MEETING.wait(2);
            if worker == 0 {
                look(test, round, &mut outcomes);
            }
            MEETING.wait(2);
        }
        if worker == 0 {
            let all: Vec<_> = outcomes
                .iter()
                .map(|((first, second), count)| {
                    format!("{}{}/{}{} {count}", first.0, first.1, second.0, second.1)
                })
                .collect();
            assert!(all.len() > 1, "{}: the workers never met: {}", test.name, all.join(", "));
            tell(&format!("{}: {}", test.name, all.join(", ")));
        }
    }
}

/// Lets a few nanoseconds pass. A hint to spin is no instruction on WebAssembly, and a loop of them is none.
fn linger(turns: u64) {
    for turn in 0..turns {
        core::hint::black_box(turn);
    }
}

/// Goes over the places in step with the other worker.
fn walk(worker: usize, test: &Test, chance: &mut Chance) {
    for (idx, place) in PLACE.iter().enumerate() {
        let step = idx as u32 + 1;
        STEPS[worker].0.store(step, SEQ);
        let mut turns = 0u32;
        while STEPS[1 - worker].0.load(SEQ) < step {
            turns += 1;
            if turns.is_multiple_of(SPINS) {
                sleep(20_000);
            }
            core::hint::spin_loop();
        }
        linger(chance.below(16));
        let (first, second) = (test.bodies[worker])(place);
        SEEN[worker][idx].store(u32::from(first) << 16 | u32::from(second), Ordering::Relaxed);
    }
}

/// Counts what was seen, and makes the places new. The other worker waits meanwhile.
fn look(test: &Test, round: u32, outcomes: &mut BTreeMap<(Saw, Saw), u32>) {
    for (idx, place) in PLACE.iter().enumerate() {
        let saw = |worker: usize| {
            let seen = SEEN[worker][idx].load(Ordering::Relaxed);
            ((seen >> 16) as u16, seen as u16)
        };
        let (first, second) = (saw(0), saw(1));
        assert!(
            !(test.forbidden)(first, second),
            "{}: saw what must not be seen, {first:?} and {second:?}, in round {round}",
            test.name
        );
        *outcomes.entry((first, second)).or_insert(0) += 1;
        place.x.0.store(0, SEQ);
        place.y.0.store(0, SEQ);
        place.wide.0.store(0, SEQ);
    }
    for step in &STEPS {
        step.0.store(0, SEQ);
    }
}
