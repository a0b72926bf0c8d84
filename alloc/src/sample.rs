//! What requests without a layout ask for, by samples: free is not told a size, so the bytes of live
//! blocks can't be counted as they are for Rust's layouts.
//!
//! Fed by [`raw`](crate::raw), read by reports. Every so many requests of a class, at intervals that vary
//! so that no pattern of a program's falls into step with them, one is measured. Live blocks are taken
//! to be as full as the requests measured. Invariant: a class that served a request without a layout
//! has a sample; the first request of each window is one.

use core::sync::atomic::{AtomicU64, Ordering};

use crate::class::{CLASSES, ClassIdx};

/// Requests between two samples of a window on average.
const INTERVAL: u16 = 256;

/// The requests of a class that were measured.
struct Measured {
    blocks: AtomicU64,
    bytes: AtomicU64,
}

static MEASURED: [Measured; CLASSES] =
    [const { Measured { blocks: AtomicU64::new(0), bytes: AtomicU64::new(0) } }; CLASSES];

/// Measures a request of `bytes`; how many of the same window to let pass before the next.
#[cold]
#[inline(never)]
pub(crate) fn measure(class: ClassIdx, bytes: usize) -> u16 {
    let measured = &MEASURED[class.get()];
    // Relaxed: two sums, which a report may read a step apart.
    measured.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    interval(measured.blocks.fetch_add(1, Ordering::Relaxed))
}

/// The interval after sample number `sample`: 1 to twice the mean, spread by the golden ratio.
fn interval(sample: u64) -> u16 {
    let spread = sample.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    ((spread * u64::from(2 * INTERVAL)) >> 32) as u16 + 1
}

/// The bytes that `live` blocks of a class were asked for with, estimated; `None` if the class served no
/// request without a layout.
pub(crate) fn estimate(class: usize, live: usize) -> Option<usize> {
    let measured = &MEASURED[class];
    let blocks = measured.blocks.load(Ordering::Relaxed);
    let bytes = measured.bytes.load(Ordering::Relaxed);
    if blocks == 0 {
        return None;
    }
    Some((u128::from(bytes) * live as u128 / u128::from(blocks)) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_what_they_say_on_average_and_vary() {
        let intervals: Vec<u16> = (0..10_000).map(interval).collect();
        let mean = intervals.iter().map(|&interval| f64::from(interval)).sum::<f64>() / 10_000.0;
        assert!((mean / f64::from(INTERVAL) - 1.0).abs() < 0.02, "{mean}");
        assert!(intervals.iter().all(|&interval| (1..=2 * INTERVAL).contains(&interval)));
        for period in [2, 3, 4, 8] {
            let in_step = intervals.iter().filter(|&&interval| interval % period == 0).count();
            assert!(in_step * period as usize <= 12_000, "{period}: {in_step}");
        }
    }

    #[test]
    fn an_alternating_program_is_estimated_within_a_few_percent() {
        let class = crate::class::class_of(700, 16).unwrap();
        assert_eq!(estimate(class.get(), 10), None);
        let mut left = 0;
        let mut asked = 0;
        for request in 0..200_000usize {
            let bytes = if request % 2 == 0 { 641 } else { 704 };
            asked += bytes;
            if left == 0 {
                left = measure(class, bytes);
            }
            left -= 1;
        }
        let estimated = estimate(class.get(), 200_000).unwrap();
        assert!((estimated as f64 / asked as f64 - 1.0).abs() < 0.02, "{estimated} of {asked}");
    }
}
