//! A pair of fences of which one side pays for both.
//!
//! Used where one side runs millions of times a second (a reader announces itself) and the other rarely (somebody wants
//! to free what readers may see). The idea: `membarrier(2)`; folly's `AsymmetricMemoryBarrier`.
//! Invariant: of a thread in [`light`] and one in [`heavy`], at least one sees what the other stored before.

use crate::sync::Ordering;

/// The cheap side: keeps the compiler from moving memory accesses across, and is no instruction.
///
/// Pairs with [`heavy`], and only where that answered `true` at least once in this process: elsewhere use a real fence.
#[inline(always)]
pub fn light() {
    core::sync::atomic::compiler_fence(Ordering::SeqCst);
}

/// The dear side: a full memory barrier on every running thread of the process, a few microseconds.
///
/// `false`: the kernel has none (or the build is portable), and nothing was done.
pub fn heavy() -> bool {
    crate::thread::barrier_on_all()
}
