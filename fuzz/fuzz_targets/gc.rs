//! The collector under libFuzzer: a byte string is a program over an arena with every kind of container, collected in steps.
//!
//! Invariant: the interpreter is the one that the seeded test `gc_programs` of the map's package runs.
#![no_main]

#[path = "../../map/tests/gc_program/mod.rs"]
mod gc_program;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gc_program::run(bytes));
