//! Times something that may be far shorter than the clock's grain. Owned by the scan. Invariant: a sample lasts at least
//! [`LEAST`] or is one single call.

use std::time::{Duration, Instant};

/// A sample repeats short work until this much time has passed.
const LEAST: Duration = Duration::from_millis(3);

/// Measures repeated calls.
pub(super) struct Timer {
    least: Duration,
}

impl Timer {
    pub(super) const fn new() -> Self {
        Self { least: LEAST }
    }

    /// One call, in nanoseconds.
    pub(super) fn once<T>(&self, work: impl FnOnce() -> T) -> f64 {
        let start = Instant::now();
        std::hint::black_box(work());
        start.elapsed().as_nanos() as f64
    }

    /// The mean of one warm-up call and then as many as it takes, in nanoseconds a call.
    pub(super) fn time<T>(&self, mut work: impl FnMut() -> T) -> f64 {
        let first = self.once(&mut work);
        let calls = (self.least.as_nanos() as f64 / first.max(1.0)).ceil().clamp(1.0, 1e6) as u32;
        let start = Instant::now();
        for _ in 0..calls {
            std::hint::black_box(work());
        }
        start.elapsed().as_nanos() as f64 / f64::from(calls)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_work_is_repeated_and_long_work_is_not() {
        let mut calls = 0;
        let time = Timer::new().time(|| calls += 1);
        assert!(calls > 100 && time < 1e6, "{calls} calls of {time} ns");
        let mut calls = 0;
        let time = Timer::new().time(|| {
            calls += 1;
            std::thread::sleep(Duration::from_millis(4));
        });
        assert_eq!(calls, 2);
        assert!(time >= 4e6, "{time}");
    }
}
