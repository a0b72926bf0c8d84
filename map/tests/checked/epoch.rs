//! What a model's map knows as `crate::epoch`: one in which no grace period ends.
//!
//! Owned by `concurrent_shuttle.rs` and `concurrent_loom.rs`. Invariant: nothing is over, so nothing is freed before its map goes.

#![expect(unreachable_pub, clippy::unused_self, reason = "as the map's own")]

use std::time::Duration;

pub(crate) const GRACE: u64 = 3;
/// All of a model's threads have the number 0.
pub(crate) const NUMBERS_ARE_UNIQUE: bool = false;
pub type WarnHook = fn(&OldGuard);

#[derive(Debug)]
pub struct OldGuard;

pub struct Pin;
pub struct OwnedPin;

impl Pin {
    pub(crate) fn index(&self) -> usize {
        0
    }
}

impl OwnedPin {
    pub(crate) fn new() -> Self {
        Self
    }

    pub(crate) fn index(&self) -> usize {
        0
    }
}

pub(crate) fn pin() -> Pin {
    Pin
}

pub(crate) fn numbers() -> usize {
    1
}

pub(crate) fn tag() -> u64 {
    1
}

pub(crate) fn is_over(_: u64) -> bool {
    false
}

pub(crate) fn is_over_by(_: u64, _: u64) -> bool {
    false
}

pub(crate) fn advance() {}

pub(crate) fn oldest_guard() -> Option<OldGuard> {
    None
}

pub fn warn_of_old_guards(_: Option<(Duration, WarnHook)>) {}
