//! The time between two points of a loop, to a few nanoseconds. Owns nothing but its scale. Invariant: what stands before
//! [`ticks`] in the program has ended when it is read, and what stands behind it has not begun.
#![allow(unsafe_code)]

use std::time::{Duration, Instant};

/// How long ticks are compared with the system's clock.
const TRIAL: Duration = Duration::from_millis(20);

/// A counter that runs evenly: the processor's time stamps.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(crate) fn ticks() -> u64 {
    use std::arch::x86_64::{_mm_lfence, _rdtsc};
    // SAFETY: both instructions are there on every x86-64.
    unsafe {
        _mm_lfence();
        let now = _rdtsc();
        _mm_lfence();
        now
    }
}

/// A counter that runs evenly: the system's clock.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub(crate) fn ticks() -> u64 {
    use std::sync::LazyLock;
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed().as_nanos() as u64
}

/// Nanoseconds of a tick, by trial.
pub(crate) fn nanoseconds_per_tick() -> f64 {
    let (start, first) = (Instant::now(), ticks());
    while start.elapsed() < TRIAL {
        std::hint::spin_loop();
    }
    let (last, time) = (ticks(), start.elapsed());
    time.as_nanos() as f64 / last.saturating_sub(first).max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_measure_what_the_clock_measures() {
        let scale = nanoseconds_per_tick();
        let (start, first) = (Instant::now(), ticks());
        std::thread::sleep(Duration::from_millis(30));
        let (ticked, passed) = ((ticks() - first) as f64 * scale, start.elapsed().as_nanos() as f64);
        assert!((0.8..1.25).contains(&(ticked / passed)), "{ticked} ticked, {passed} passed");
    }
}
