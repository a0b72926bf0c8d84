//! Times something that may be far shorter than the clock's grain. Pure functions. Invariant: a sample lasts at least
//! [`LEAST`] or is one single call.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// A sample repeats short work until about this much time has passed.
const LEAST: Duration = Duration::from_millis(3);

/// What a group of calls takes at least.
const SHORT: Duration = Duration::from_millis(1);

/// What is long enough not to be repeated.
const LONG: Duration = Duration::from_millis(8);

/// At most so many calls a sample.
const MOST_CALLS: u128 = 1_000_000;

/// One call, in nanoseconds.
pub(crate) fn once<T>(work: impl FnOnce() -> T) -> f64 {
    let start = Instant::now();
    black_box(work());
    start.elapsed().as_nanos() as f64
}

/// The mean of as many calls as it takes after a first one that warms up, in nanoseconds a call.
pub(crate) fn mean<T>(mut work: impl FnMut() -> T) -> f64 {
    let start = Instant::now();
    black_box(work());
    let first = start.elapsed().as_nanos().max(1);
    let calls = LEAST.as_nanos().div_ceil(first).clamp(1, MOST_CALLS) as u32;
    let start = Instant::now();
    for _ in 0..calls {
        black_box(work());
    }
    start.elapsed().as_nanos() as f64 / f64::from(calls)
}

/// How many means [`brief`] takes the least of.
const TRIES: u32 = 5;

/// The least of some means, each of at least [`SHORT`]: what else the machine does in between only ever adds. A first call
/// that took [`LONG`] is the sample: what it found cold is little of it.
pub(crate) fn brief<T>(mut work: impl FnMut() -> T) -> f64 {
    let start = Instant::now();
    black_box(work());
    let first = start.elapsed();
    if first >= LONG {
        return first.as_nanos() as f64;
    }
    let calls = SHORT.as_nanos().div_ceil(first.as_nanos().max(1)).clamp(1, MOST_CALLS) as u32;
    let group = |_| {
        let start = Instant::now();
        for _ in 0..calls {
            black_box(work());
        }
        start.elapsed().as_nanos() as f64 / f64::from(calls)
    };
    (0..TRIES).map(group).fold(f64::INFINITY, f64::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_work_is_repeated_and_long_work_is_not() {
        let mut calls = 0;
        let time = mean(|| calls += 1);
        assert!(calls > 100 && time < 1e6, "{calls} calls of {time} ns");
        let mut calls = 0;
        let time = mean(|| {
            calls += 1;
            std::thread::sleep(Duration::from_millis(4));
        });
        assert_eq!(calls, 2);
        assert!(time >= 4e6, "{time}");
        let mut calls = 0;
        brief(|| {
            calls += 1;
            std::thread::sleep(LONG);
        });
        assert_eq!(calls, 1);
        assert!(once(|| std::thread::sleep(Duration::from_millis(1))) >= 1e6);
    }
}
