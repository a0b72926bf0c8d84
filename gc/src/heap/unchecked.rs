//! In place of `checked` where that feature is off: nothing is asked, noted or broken, and nothing is compiled.

#![expect(clippy::unused_self, reason = "as those of `checked`")]

use super::Context;
use crate::collect::Collect;
use bucketmask_alloc::LentPage;

/// Whether a fault is planted: never.
macro_rules! seeded {
    ($name:expr) => {
        false
    };
}
pub(crate) use seeded;

pub(crate) struct Detector;

impl Detector {
    pub(super) const fn new() -> Self {
        Self
    }
}

#[inline(always)]
pub(crate) fn is_armed() -> bool {
    false
}

#[inline(always)]
pub(crate) fn read(_address: *const u8, _bytes: usize) {}

#[inline(always)]
pub(crate) fn made(_address: *const u8) {}

#[inline(always)]
pub(crate) fn opened(_lock: *const u8) {}

/// A phase that goes on.
pub(super) struct Entered;

#[inline(always)]
pub(super) fn enter(_phase: &'static str) -> Entered {
    Entered
}

#[inline(always)]
pub(super) fn touch(_operation: &'static str, _object: *const u8) {}

#[inline(always)]
pub(super) fn handed_out(_address: *const u8, _was_free: bool, _slot_bytes: usize) {}

#[inline(always)]
pub(super) fn buried(_page: LentPage, _index: usize, _dead: u64) {}

#[inline(always)]
pub(super) fn returned(_page: LentPage) {}

#[inline(always)]
pub(super) fn agree(_parent: *const u8, _is_black: bool) {}

/// A callback that runs.
pub(crate) struct Callback;

impl Context {
    #[inline(always)]
    pub(crate) fn callback(&self) -> Callback {
        Callback
    }

    #[inline(always)]
    pub(super) fn settle_callbacks(&self) {}

    #[inline(always)]
    pub(crate) fn before_overwrite(&self, _parent: *const u8) {}

    #[inline(always)]
    pub(super) fn announce(&self, _parent: Option<*const u8>, _child: Option<*const u8>) {}

    #[inline(always)]
    pub(super) fn look<'gc, R: Collect<'gc> + ?Sized>(&self, _root: &R) {}
}
