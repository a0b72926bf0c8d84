//! Random programs over the whole interface, in every mode: each allocator, each layout, small thresholds and real ones.
//! Not for sanitizers: it takes minutes to compile; the fuzzer runs the same programs.
//!
//! Invariant: a seed that fails names its bytes, which the fuzz target runs too.

mod common;
mod program;

use common::Seeded;
use program::{MODES, run, run_in};

/// The bytes of a program of `len` bytes. Every few programs favour what makes maps large.
fn bytes(seeded: &mut Seeded, len: u64) -> Vec<u8> {
    (0..len).map(|_| seeded.below(256) as u8).collect()
}

#[test]
fn random_programs_in_every_mode() {
    let mut seeded = Seeded(4);
    for seed in 0..24 {
        let len = 50 + seeded.below(if seed % 4 == 0 { 4000 } else { 900 });
        let program = bytes(&mut seeded, len);
        for mode in 0..MODES {
            run_in(mode, &program);
        }
    }
}

#[test]
fn short_programs_and_none() {
    run(&[]);
    let mut seeded = Seeded(5);
    for _ in 0..1500 {
        let len = seeded.below(24);
        run(&bytes(&mut seeded, len));
    }
}
