//! Random programs over an arena with every kind of container; see `gc_program`.
//!
//! Invariant: the interpreter's. A failing program is printed, and runs again by its bytes.

#![cfg(feature = "gc")]

mod gc_program;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

#[test]
fn random_programs() {
    let mut seed = 0x9E37_79B9_7F4A_7C15_u64;
    for _ in 0..150 {
        let program: Vec<u8> = (0..600)
            .map(|_| {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                (seed.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 40) as u8
            })
            .collect();
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| gc_program::run(&program))) {
            eprintln!("program: {program:?}");
            resume_unwind(panic);
        }
    }
}
