//! The tests of `drop_in.rs`, held against std itself: what we take for documented behaviour is.
//! Not for sanitizers: std is not instrumented.
//!
//! Invariant: the tests name no type of ours; what differs from `drop_in.rs` is one line.

#![expect(clippy::incompatible_msrv, reason = "we offer what the newest std does")]

use std::collections as subject;

mod behaviours;
