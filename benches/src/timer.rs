//! Times something that may be far shorter than the clock's grain. Pure functions. Invariant: a sample lasts at least
//! [`LEAST`] or is one single call.

use std::hint::black_box;
use std::time::{Duration, Instant};

use crate::cpu::process_time;

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

/// What something took: wall time and the process's processor time, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Taken {
    pub(crate) time: f64,
    pub(crate) cpu: f64,
}

/// One call, on both clocks, with what it gave.
pub(crate) fn taken<T>(work: impl FnOnce() -> T) -> (T, Taken) {
    let (start, busy) = (Instant::now(), process_time());
    let result = black_box(work());
    let cpu = process_time() - busy;
    (result, Taken { time: start.elapsed().as_nanos() as f64, cpu })
}

/// The mean of as many calls as it takes after a first one that warms up, on both clocks, a call.
pub(crate) fn mean_taken<T>(mut work: impl FnMut() -> T) -> Taken {
    let first = once(&mut work).max(1.0);
    #[expect(clippy::cast_sign_loss, reason = "a time is not negative")]
    let calls = (LEAST.as_nanos() as f64 / first).ceil().clamp(1.0, MOST_CALLS as f64) as u32;
    let ((), Taken { time, cpu }) = taken(|| {
        for _ in 0..calls {
            black_box(work());
        }
    });
    Taken { time: time / f64::from(calls), cpu: cpu / f64::from(calls) }
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
        let Taken { time, .. } = mean_taken(|| calls += 1);
        assert!(calls > 100 && time < 1e6, "{calls} calls of {time} ns");
        let mut calls = 0;
        // The process's processor time is that of other tests, too.
        let Taken { time, cpu: _ } = mean_taken(|| {
            calls += 1;
            std::thread::sleep(Duration::from_millis(4));
        });
        assert!(calls == 2 && time >= 4e6, "{calls} calls of {time} ns");
        let mut calls = 0;
        brief(|| {
            calls += 1;
            std::thread::sleep(LONG);
        });
        assert_eq!(calls, 1);
        assert!(once(|| std::thread::sleep(Duration::from_millis(1))) >= 1e6);
    }
}
