//! What is run watched and unwatched: a graph that changes while it is collected in steps, and a map under reads and writes.
//!
//! Owned by `detect.rs`. Invariant: both sides of a workload do the same operations on the same keys; their results are compared.
#![allow(unsafe_code)]

use bucketmask_gc::barrier::unlock;
use bucketmask_gc::{Arena, Budget, Collect, Gc, Lock, RefLock, Rootable, checked};
use bucketmask_map::HashMap;
use bucketmask_map::raw::SharedMap;

use crate::sample::Samples;
use crate::timer;

/// What watching a workload costs.
pub(super) struct Cost {
    pub(super) name: &'static str,
    /// What it may cost at most, as a factor.
    pub(super) bound: f64,
    pub(super) steps: u64,
    pub(super) watched: Samples,
    pub(super) unwatched: Samples,
}

impl Cost {
    pub(super) fn slowdown(&self) -> f64 {
        self.watched.median() / self.unwatched.median()
    }
}

/// Runs both sides in turns.
fn in_turns(
    name: &'static str,
    bound: f64,
    steps: u64,
    rounds: u32,
    mut side: impl FnMut(bool) -> u64,
) -> Cost {
    let mut cost = Cost { name, bound, steps, watched: Samples::new(), unwatched: Samples::new() };
    for _ in 0..rounds {
        let mut sums = [0; 2];
        for (watched, sum) in [true, false].into_iter().zip(&mut sums) {
            let time = timer::once(|| *sum = side(watched)) / steps as f64;
            if watched { &mut cost.watched } else { &mut cost.unwatched }.push(time);
        }
        assert_eq!(sums[0], sums[1], "watching changes nothing");
    }
    cost
}

#[derive(Collect)]
#[collect(no_drop)]
struct City<'gc> {
    number: u64,
    capital: Lock<Option<Gc<'gc, City<'gc>>>>,
    roads: RefLock<Vec<Gc<'gc, City<'gc>>>>,
}

const CITIES: usize = 4000;

/// The barrier detector: cities come and go, roads are built and walked, and every batch the collector does a step.
pub(super) fn collector(rounds: u32) -> Cost {
    const STEPS: u64 = 60_000;
    let cost = in_turns("slowdown/barrier-detector", 10.0, STEPS, rounds, |watched| {
        checked::arm(watched);
        cities(STEPS)
    });
    checked::arm(true);
    cost
}

fn cities(steps: u64) -> u64 {
    let mut random = fastrand::Rng::with_seed(5);
    let mut arena = Arena::<Rootable![Gc<'_, RefLock<Vec<Gc<'_, City<'_>>>>>]>::new(|mc| {
        let city = |number| Gc::new(mc, City { number, capital: Lock::new(None), roads: RefLock::default() });
        Gc::new(mc, RefLock::new((0..CITIES as u64).map(city).collect()))
    });
    let mut sum = 0_u64;
    for batch in 0..steps / 60 {
        arena.mutate(|mc, cities| {
            for step in 0..10 {
                let number = batch * 10 + step;
                let city = Gc::new(mc, City { number, capital: Lock::new(None), roads: RefLock::default() });
                cities.borrow_mut(mc)[random.usize(..CITIES)] = city;
            }
            let cities = cities.borrow();
            for _ in 0..10 {
                let (from, to) = (cities[random.usize(..CITIES)], cities[random.usize(..CITIES)]);
                unlock!(Gc::write(mc, from), City, capital).set(Some(to));
                let mut roads = unlock!(Gc::write(mc, to), City, roads).borrow_mut();
                if roads.len() > 6 {
                    roads.clear();
                }
                roads.push(from);
            }
            for _ in 0..40 {
                let city = cities[random.usize(..CITIES)];
                sum = sum.wrapping_add(city.number);
                sum = sum.wrapping_add(city.capital.get().map_or(0, |capital| capital.number));
                sum = sum.wrapping_add(city.roads.borrow().iter().map(|road| road.number).sum::<u64>());
            }
        });
        arena.step(Budget::work(16 << 10));
    }
    arena.finish_cycle();
    sum
}

/// The detector of overlaps: a shared map beside a plain one.
pub(super) fn map(rounds: u32) -> Cost {
    const STEPS: u64 = 1_000_000;
    const LEN: u64 = 20_000;
    let key = |step: u64| step.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
    let mut plain: HashMap<u64, u64> = (0..LEN).map(|step| (key(step) % LEN, step)).collect();
    let shared = SharedMap::of(plain.clone());
    in_turns("slowdown/map-overlap", 2.0, STEPS, rounds, |watched| {
        let mut sum = 0_u64;
        for step in 0..STEPS {
            let key = key(step) % LEN;
            let had = match (watched, step % 8 == 0) {
                (true, true) => {
                    // SAFETY: one thread, one operation after the other; here and below.
                    unsafe { shared.insert(key, step) }
                }
                (true, false) => {
                    // SAFETY: as above.
                    unsafe { shared.get(&key) }.copied()
                }
                (false, true) => plain.insert(key, step),
                (false, false) => plain.get(&key).copied(),
            };
            sum = sum.wrapping_add(had.unwrap_or(1));
        }
        sum
    })
}
