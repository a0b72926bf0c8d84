//! In place of `checked` where that feature is off: nothing is asked or broken, and nothing is compiled.

#![expect(clippy::unused_self, reason = "as those of `checked`")]

use crate::raw::layout::Layout;
use crate::raw::table::Bare;

/// Whether a fault is planted: never.
macro_rules! seeded {
    ($name:expr) => {
        false
    };
}
pub(crate) use seeded;

#[inline(always)]
pub(crate) fn moves<T>(_slot: *const T) {}

#[inline(always)]
pub(crate) fn is_moved<T>(_slot: *const T) {}

impl<T, L: Layout> Bare<T, L> {
    #[inline(always)]
    pub(crate) fn bucket_changed(&self, _bucket: usize) {}

    #[inline(always)]
    pub(crate) fn watermark_moved(&self) {}
}
