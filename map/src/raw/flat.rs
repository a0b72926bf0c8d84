//! The walk that masks save: testing every slot's own memory.
//!
//! Owned by `visit`, for measurements only: entries must have a word that is never zero, and vacated slots must be
//! zeroed (`Layout::SCRUB`). Vectorised where it can be, or the comparison would flatter the masks.
//! Invariant: answers have the form of a mask word, so that everything after the test is the same code.

#![allow(unsafe_code)]

use super::layout::{Geometry, LANE_BITS, LANES, Layout, SLOTS, Zones};

/// The mask word of the first `buckets` buckets of word `word`, read from the words at `offset` in each slot.
///
/// # Safety
/// These buckets are open, `offset` is that of an initialised, aligned `usize` in every slot.
#[inline(always)]
pub(crate) unsafe fn occupied<T, L: Layout>(
    zones: &Zones<T>,
    word: usize,
    buckets: usize,
    offset: usize,
) -> u64 {
    let mut mask = 0;
    for lane in 0..buckets {
        // SAFETY: an open bucket; its slots lie in a row.
        let lane_mask = unsafe {
            let first = L::Geometry::slot(zones, word * LANES + lane, 0).byte_add(offset);
            nonzero(first.cast(), size_of::<T>())
        };
        mask |= lane_mask << (lane * LANE_BITS);
    }
    mask
}

/// Which of the 14 words at `first`, `first + stride`, ... are not zero.
#[cfg(all(target_arch = "x86_64", not(bucketmask_portable)))]
#[inline(always)]
#[expect(clippy::cast_sign_loss, reason = "4 bits of a mask")]
unsafe fn nonzero(first: *const usize, stride: usize) -> u64 {
    use core::arch::x86_64::{
        _mm_castpd_ps, _mm_castps_si128, _mm_castsi128_ps, _mm_cmpeq_epi32, _mm_load_sd, _mm_loadh_pd,
        _mm_movemask_ps, _mm_or_si128, _mm_setzero_si128, _mm_shuffle_ps,
    };
    let mut mask = 0;
    // Four slots at a time; the last two go with the two before them.
    for group in [0, 4, 8, 10] {
        // SAFETY: the caller's promise; groups end with slot 13. SSE2 is part of x86_64.
        unsafe {
            let at = |slot: usize| first.byte_add((group + slot) * stride).cast::<f64>();
            let low = _mm_castpd_ps(_mm_loadh_pd(_mm_load_sd(at(0)), at(1)));
            let high = _mm_castpd_ps(_mm_loadh_pd(_mm_load_sd(at(2)), at(3)));
            // Both halves of a word have to be looked at: an address may be a multiple of 4 GiB.
            let halves = _mm_or_si128(
                _mm_castps_si128(_mm_shuffle_ps::<0b10_00_10_00>(low, high)),
                _mm_castps_si128(_mm_shuffle_ps::<0b11_01_11_01>(low, high)),
            );
            let zero = _mm_castsi128_ps(_mm_cmpeq_epi32(halves, _mm_setzero_si128()));
            mask |= u64::from(_mm_movemask_ps(zero) as u8 ^ 0xf) << group;
        }
    }
    mask
}

/// Which of the 14 words at `first`, `first + stride`, ... are not zero.
#[cfg(not(all(target_arch = "x86_64", not(bucketmask_portable))))]
#[inline(always)]
unsafe fn nonzero(first: *const usize, stride: usize) -> u64 {
    let mut mask = 0;
    for slot in 0..SLOTS {
        // SAFETY: the caller's promise.
        mask |= u64::from(unsafe { *first.byte_add(slot * stride) } != 0) << slot;
    }
    mask
}

#[cfg(all(target_arch = "x86_64", not(bucketmask_portable)))]
static_assertions::const_assert_eq!(SLOTS, 14);
