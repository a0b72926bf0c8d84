//! Processor time of this process, all threads together. Owns nothing. Invariant: nanoseconds that never fall.
#![allow(unsafe_code)]

/// Processor time so far, in nanoseconds; 0 where the system does not tell.
pub fn process_time() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the place is valid for writes, and the clock is one of POSIX.
    let told = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    if told == 0 { time.tv_sec as f64 * 1e9 + time.tv_nsec as f64 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn only_work_takes_time() {
        let busy = |work: &dyn Fn()| {
            let before = process_time();
            work();
            process_time() - before
        };
        let start = Instant::now();
        let spun = busy(&|| while start.elapsed() < Duration::from_millis(20) {});
        assert!(spun > 1e6, "{spun}");
    }
}
