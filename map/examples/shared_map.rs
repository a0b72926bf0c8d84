//! What the detector of `SharedMap` costs, and how often it finds overlaps that nobody forces. The tables of docs/shared-map.md.
//!
//! `costs` times a plain map and a shared one in turns; `count plain|shared OPERATION` does operations for an instruction counter;
//! `race [TRIALS]` starts each scenario that many times, in a process of its own, since a race that is not found may end in anything.
//! Invariant: the plain and the shared side do the same operations on the same keys.

#![allow(unsafe_code)]

use bucketmask_map::HashMap;
use bucketmask_map::raw::SharedMap;
use std::hash::BuildHasherDefault;
use std::hint::black_box;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A hasher that costs next to nothing, so that the detector's part shows most.
#[derive(Default)]
struct Quick(u64);

impl std::hash::Hasher for Quick {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    #[inline(always)]
    fn write_u64(&mut self, word: u64) {
        self.0 = (word ^ word >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    }

    #[inline(always)]
    fn finish(&self) -> u64 {
        self.0
    }
}

type Build = BuildHasherDefault<Quick>;
type Plain = HashMap<u64, u64, Build>;
type Shared = SharedMap<u64, u64, Build>;

/// What is timed: the operation, on `step` of a run over a map of the keys below `len`.
const OPERATIONS: [&str; 6] = ["hit", "miss", "update", "overwrite", "churn", "iterate"];

/// A key of the map, all over it.
fn key(step: u64, len: u64) -> u64 {
    step.wrapping_mul(0x9e37_79b9) % len
}

#[inline(never)]
fn plain(map: &mut Plain, operation: &str, len: u64, steps: u64) -> u64 {
    let mut sum = 0;
    let each = 0..steps;
    match operation {
        "hit" => each.for_each(|step| sum += map.get(&key(step, len)).copied().unwrap_or(0)),
        "miss" => each.for_each(|step| sum += u64::from(map.contains_key(&(len + key(step, len))))),
        "update" => each.for_each(|step| sum += map.get_mut(&key(step, len)).map_or(0, |value| *value)),
        "overwrite" => each.for_each(|step| sum += map.insert(key(step, len), step).unwrap_or(0)),
        "churn" => each.for_each(|step| {
            sum += map.remove(&key(step, len)).unwrap_or(0);
            map.insert(key(step, len), step);
        }),
        _ => (0..steps / len).for_each(|_| map.iter().for_each(|(_, value)| sum += value)),
    }
    sum
}

#[inline(never)]
fn shared(map: &Shared, operation: &str, len: u64, steps: u64) -> u64 {
    let mut sum = 0;
    let each = 0..steps;
    // SAFETY: one thread, one operation after the other.
    unsafe {
        match operation {
            "hit" => each.for_each(|step| sum += map.get(&key(step, len)).copied().unwrap_or(0)),
            "miss" => each.for_each(|step| sum += u64::from(map.contains_key(&(len + key(step, len))))),
            "update" => {
                each.for_each(|step| sum += map.update(&key(step, len), |value| *value).unwrap_or(0));
            }
            "overwrite" => each.for_each(|step| sum += map.insert(key(step, len), step).unwrap_or(0)),
            "churn" => each.for_each(|step| {
                sum += map.remove(&key(step, len)).unwrap_or(0);
                map.insert(key(step, len), step);
            }),
            _ => (0..steps / len).for_each(|_| map.iter().for_each(|(_, value)| sum += value)),
        }
    }
    sum
}

fn filled(len: u64) -> Plain {
    (0..len).map(|key| (key, key)).collect()
}

/// Medians of many short rounds, sides in turns.
fn costs() {
    println!("| operation | entries | plain, ns | shared, ns | ratio |\n|---|---|---|---|---|");
    for operation in OPERATIONS {
        for len in [1000, 100_000, 1_000_000] {
            let (mut one, other) = (Box::new(filled(len)), Box::new(Shared::from(filled(len))));
            let steps = if operation == "iterate" { len.max(100_000) } else { 100_000 };
            let mut rounds: Vec<(f64, f64)> = Vec::new();
            for _ in 0..21 {
                let begin = Instant::now();
                black_box(plain(&mut one, black_box(operation), len, steps));
                let between = Instant::now();
                black_box(shared(&other, black_box(operation), len, steps));
                let nanoseconds = |time: Duration| time.as_secs_f64() * 1e9 / steps as f64;
                rounds.push((nanoseconds(between - begin), nanoseconds(between.elapsed())));
            }
            let median = |mut values: Vec<f64>| {
                values.sort_unstable_by(f64::total_cmp);
                values[values.len() / 2]
            };
            let ratio = median(rounds.iter().map(|(one, other)| other / one).collect());
            let (one, other) = rounds.into_iter().unzip();
            println!("| {operation} | {len} | {:.1} | {:.1} | {ratio:.2} |", median(one), median(other));
        }
    }
}

/// A scenario of two threads that nothing orders, and what each side does in its turn.
struct Scenario {
    name: &'static str,
    one: fn(&Shared, u64),
    other: fn(&Shared, u64),
    /// Entries before the threads start.
    len: u64,
}

fn read(map: &Shared, key: u64) {
    // SAFETY: on purpose, the contract is broken. What that does is what the program is about, hence a process of its own for each trial.
    black_box(unsafe { map.with(&key, |value| *value) });
}

fn write(map: &Shared, key: u64, value: u64) {
    // SAFETY: as above.
    unsafe { map.insert(key, value) };
}

fn walk(map: &Shared) {
    // SAFETY: as above.
    black_box(unsafe { map.iter() }.map(|(_, value)| *value).fold(0, u64::wrapping_add));
}

/// Entries of the maps of scenarios, but those that grow.
const LEN: u64 = 1000;

/// Whether the writer of the scenario of luck has written.
static WROTE: AtomicBool = AtomicBool::new(false);

const SCENARIOS: [Scenario; 8] = [
    Scenario {
        name: "read + write of different keys, no growth",
        one: |map, turn| read(map, 2 * (turn % (LEN / 2))),
        other: |map, turn| write(map, 2 * (turn % (LEN / 2)) + 1, turn),
        len: LEN,
    },
    Scenario {
        name: "read + write of different keys, growing",
        one: |map, turn| read(map, turn % LEN),
        other: |map, turn| write(map, LEN + turn, turn),
        len: LEN,
    },
    Scenario {
        name: "read + write of the same key",
        one: |map, _| read(map, 7),
        other: |map, turn| write(map, 7, turn),
        len: LEN,
    },
    Scenario {
        name: "write + write of different keys, no growth",
        one: |map, turn| write(map, 2 * (turn % (LEN / 2)), turn),
        other: |map, turn| write(map, 2 * (turn % (LEN / 2)) + 1, turn),
        len: LEN,
    },
    Scenario {
        name: "write + write, growing",
        one: |map, turn| write(map, 2 * turn, turn),
        other: |map, turn| write(map, 2 * turn + 1, turn),
        len: 0,
    },
    Scenario {
        name: "iterate + write",
        one: |map, _| walk(map),
        other: |map, turn| write(map, turn % LEN, turn),
        len: LEN,
    },
    Scenario {
        name: "write, and later a read, ordered by luck",
        one: |map, turn| {
            if turn == 0 {
                write(map, 7, turn);
                // Relaxed, on purpose: it comes first, and orders nothing.
                WROTE.store(true, Ordering::Relaxed);
            }
        },
        other: |map, turn| {
            if turn == 0 {
                while !WROTE.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
                read(map, 7);
            }
        },
        len: LEN,
    },
    Scenario {
        name: "read + read, iterate + read",
        one: |map, turn| read(map, turn % LEN),
        other: |map, _| walk(map),
        len: LEN,
    },
];

/// What a program ends with in which `ThreadSanitizer` found a race.
const SANITIZER: i32 = 66;
/// How long the threads of a trial run, unless one of them panics.
const TRIAL: Duration = Duration::from_millis(50);

/// One trial, in a process of its own: prints after how many operations of the side that found it an overlap was found.
fn trial(number: usize) {
    std::panic::set_hook(Box::new(|panic| {
        let report = panic.payload().downcast_ref::<String>().map_or("", String::as_str);
        eprintln!("{}", report.lines().next().unwrap_or_default());
    }));
    let scenario = &SCENARIOS[number];
    let (map, started) = (Shared::from(filled(scenario.len)), AtomicU64::new(0));
    let turns: [AtomicU64; 2] = Default::default();
    let side = |work: fn(&Shared, u64), at: &AtomicU64| {
        started.fetch_add(1, Ordering::Relaxed);
        while started.load(Ordering::Relaxed) < 2 {
            std::hint::spin_loop();
        }
        let begin = Instant::now();
        for turn in 0.. {
            at.store(turn, Ordering::Relaxed);
            work(&map, turn);
            if turn % 64 == 0 && begin.elapsed() > TRIAL {
                break;
            }
        }
    };
    let reported = std::thread::scope(|threads| {
        let running = [
            threads.spawn(|| side(scenario.one, &turns[0])),
            threads.spawn(|| side(scenario.other, &turns[1])),
        ];
        running.map(|thread| thread.join().is_err())
    });
    let after = reported.iter().zip(&turns).filter(|(reported, _)| **reported);
    if let Some(first) = after.map(|(_, turn)| turn.load(Ordering::Relaxed)).min() {
        println!("{first}");
    }
    std::mem::forget(map);
}

/// Trials of all scenarios, and how they end.
fn race(trials: usize) {
    println!("| scenario | found | median operation | said | by ThreadSanitizer | silent | died, or hung |");
    println!("|---|---|---|---|---|---|---|");
    let program = std::env::current_exe().expect("this program has a path");
    for (number, scenario) in SCENARIOS.iter().enumerate() {
        let (mut after, mut said, [mut sanitizer, mut silent, mut died]) = (Vec::new(), Vec::new(), [0; 3]);
        for _ in 0..trials {
            // Coreutils' `timeout`: a table that two writers broke may be walked for ever, which counts as died.
            let mut child = Command::new("timeout");
            child.arg("20").arg(&program).args(["trial", &number.to_string()]).stdin(Stdio::null());
            let output = child.output().expect("it starts");
            match String::from_utf8_lossy(&output.stdout).trim().parse::<u64>() {
                Ok(turn) => after.push(turn),
                Err(_) if output.status.success() => silent += 1,
                Err(_) if output.status.code() == Some(SANITIZER) => sanitizer += 1,
                Err(_) => died += 1,
            }
            let lines = String::from_utf8_lossy(&output.stderr).into_owned();
            let titles = lines.lines().filter_map(|line| line.split_once(" (map at"));
            said.extend(titles.map(|(title, _)| title.to_owned()));
        }
        after.sort_unstable();
        said.sort_unstable();
        said.dedup();
        let median = after.get(after.len() / 2).map_or("-".to_owned(), u64::to_string);
        let said = if said.is_empty() { "-".to_owned() } else { said.join("; ") };
        println!(
            "| {} | {} of {trials} | {median} | {said} | {sanitizer} | {silent} | {died} |",
            scenario.name,
            after.len()
        );
    }
}

/// Operations of one side, for an instruction counter. No operations at all is the base that is taken off.
fn count(side: &str, operation: &str, steps: u64) {
    let len = 1000;
    let sum = if side == "plain" {
        plain(&mut filled(len), operation, len, steps)
    } else {
        shared(&Shared::from(filled(len)), operation, len, steps)
    };
    black_box(sum);
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["costs"] => costs(),
        ["race"] => race(100),
        ["race", trials] => race(trials.parse().expect("a number of trials")),
        ["trial", number] => trial(number.parse().expect("a scenario")),
        ["count", side, operation, steps] => {
            count(side, operation, steps.parse().expect("a number of steps"));
        }
        _ => eprintln!("costs | race [TRIALS] | count plain|shared {} STEPS", OPERATIONS.join("|")),
    }
}
