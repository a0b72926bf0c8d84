//! The map's whole interface under libFuzzer: a byte string is a program, run against std's map, sets and a list.
//!
//! Invariant: the interpreter is the one that the seeded test `programs` runs, so what is found here is run again there
//! by its bytes.
#![no_main]

#[path = "../../map/tests/common/mod.rs"]
mod common;
#[path = "../../map/tests/program/mod.rs"]
mod program;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| program::run(bytes));
