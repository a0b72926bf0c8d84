//! One hint to the processor: this line will be read soon.
//!
//! Owned by `visit`. Invariant: a hint never faults and changes nothing.

#![allow(unsafe_code)]

/// Asks for the cache line at `at`.
#[cfg(all(target_arch = "x86_64", not(bucketmask_portable)))]
#[inline(always)]
pub(crate) fn prefetch<T>(at: *const T) {
    use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: SSE is part of x86_64, and a prefetch of any address is allowed.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) }
}

/// Asks for the cache line at `at`: nothing, where no instruction for it is known here.
#[cfg(not(all(target_arch = "x86_64", not(bucketmask_portable))))]
#[inline(always)]
pub(crate) fn prefetch<T>(_at: *const T) {}
