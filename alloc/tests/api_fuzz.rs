//! Random programs of the whole interface, against the model that `common/program.rs` keeps: for a few seconds, or
//! as many as `BUCKETMASK_FUZZ_SECONDS` says. A failure names its seed, which `BUCKETMASK_FUZZ_SEED` runs again alone.

mod common;
#[path = "common/program.rs"]
mod program;

use std::time::{Duration, Instant};

use common::Random;

/// Bytes of a program at most.
const LENGTH: usize = 6000;

fn bytes_of(seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    let len = random.below(LENGTH);
    let mut bytes: Vec<u8> = (0..len).map(|_| random.next() as u8).collect();
    // Some programs keep to few kinds of steps and operands: deep where others are broad.
    if random.below(3) == 0 {
        let kept: Vec<u8> = (0..=random.below(12)).map(|_| random.next() as u8).collect();
        bytes
            .iter_mut()
            .filter(|byte| **byte > 40)
            .for_each(|byte| *byte = kept[usize::from(*byte) % kept.len()]);
    }
    bytes
}

fn run(seed: u64) {
    println!("BUCKETMASK_FUZZ_SEED={seed}");
    program::run(&bytes_of(seed));
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect(variable))
}

fn random_programs_agree_with_the_model() {
    if let Some(seed) = number("BUCKETMASK_FUZZ_SEED") {
        return run(seed);
    }
    // The same programs each time at first, then others each time.
    (0..40).for_each(run);
    let time = Duration::from_secs(number("BUCKETMASK_FUZZ_SECONDS").unwrap_or(5));
    let (start, mut seed) = (Instant::now(), u64::from(std::process::id()) << 20);
    while start.elapsed() < time {
        run(seed);
        seed += 1;
    }
}

/// What a fuzzer tries first.
fn short_programs_are_harmless() {
    program::run(&[]);
    for byte in 0..32 {
        program::run(&[byte]);
        program::run(&[byte; 40]);
    }
}

fn main() {
    common::run(&[(
        "random_programs_agree_with_the_model",
        (|| {
            short_programs_are_harmless();
            random_programs_agree_with_the_model();
        }) as fn(),
    )]);
}
