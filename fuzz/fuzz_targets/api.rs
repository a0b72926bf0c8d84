//! The allocator's whole interface under libFuzzer: a byte string is a program, run against a model.
//!
//! Invariant: the interpreter is the one that the seeded test `api_fuzz` runs, so what is found here is run again
//! there by its bytes.
#![no_main]

#[path = "../../alloc/tests/common/program.rs"]
mod program;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| program::run(bytes));
