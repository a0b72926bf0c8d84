//! What stands in for the detector where the feature `detect` is off: nothing.
//!
//! Owned by `shared_map`. Invariant: nothing here has a size or an instruction.

use super::operation::Operation;
use core::marker::PhantomData;

/// No marks.
pub(crate) struct Watch;

/// An iteration that is inside.
pub(crate) struct Iterating<'a>(PhantomData<&'a ()>);

/// A write that is inside.
pub(crate) struct Writing<'a>(PhantomData<&'a ()>);

#[allow(clippy::unused_self, reason = "the detector's interface")]
impl Watch {
    pub(crate) const fn new() -> Self {
        Self
    }

    #[inline(always)]
    pub(crate) fn read<R>(&self, _: Operation, _: u64, work: impl FnOnce() -> R) -> R {
        work()
    }

    #[inline(always)]
    pub(crate) fn iterate(&self) -> Iterating<'_> {
        Iterating(PhantomData)
    }

    #[inline(always)]
    pub(crate) fn write(&self, _: Operation, _: u64) -> Writing<'_> {
        Writing(PhantomData)
    }

    /// Whether the table may be moved or dropped.
    #[inline(always)]
    pub(crate) fn may_go(&self, _: Operation) -> bool {
        true
    }
}

#[allow(clippy::unused_self, reason = "the detector's interface")]
impl Iterating<'_> {
    /// Looks whether a write came in between.
    #[inline(always)]
    pub(crate) fn look(&self) {}
}
