//! Head matching with NEON, which every `aarch64` has: compare 16 bytes, keep one bit of each, add them up.
//!
//! Invariant: as in `group`.

use super::ALL;
use crate::hash::tag_byte;
use core::arch::aarch64::{
    uint8x16_t, vaddv_u8, vandq_u8, vceqq_u8, vceqzq_u8, vcombine_u64, vcreate_u64, vdupq_n_u8, vget_high_u8,
    vget_low_u8, vld1q_u8, vmaxq_u8, vreinterpretq_u8_u64,
};

/// A tophash, broadcast.
#[derive(Clone, Copy)]
pub(crate) struct Tag(uint8x16_t);

impl Tag {
    /// The tophash of a hash: its tag byte, which becomes 1 if it is 0, that means an empty slot.
    #[inline(always)]
    pub(crate) fn of(hash: u64) -> Self {
        // SAFETY: NEON is part of aarch64.
        Self(unsafe { vmaxq_u8(vdupq_n_u8(tag_byte(hash)), vdupq_n_u8(1)) })
    }
}

/// A loaded head.
#[derive(Clone, Copy)]
pub(crate) struct Head(uint8x16_t);

impl Head {
    /// # Safety
    /// `head` points to 16 readable bytes and is 16-aligned.
    #[inline(always)]
    pub(crate) unsafe fn load(head: *const u8) -> Self {
        // SAFETY: the caller's promise.
        Self(unsafe { vld1q_u8(head) })
    }

    /// A head whose bytes are those of `words`, lowest first.
    #[inline(always)]
    pub(crate) fn of_words(words: [u64; 2]) -> Self {
        // SAFETY: NEON is part of aarch64.
        Self(unsafe { vreinterpretq_u8_u64(vcombine_u64(vcreate_u64(words[0]), vcreate_u64(words[1]))) })
    }

    /// Slots whose tophash is `tag`.
    #[inline(always)]
    pub(crate) fn matches(self, tag: Tag) -> u16 {
        // SAFETY: NEON is part of aarch64.
        bits(unsafe { vceqq_u8(self.0, tag.0) })
    }

    /// Slots that hold nothing.
    #[inline(always)]
    pub(crate) fn empty(self) -> u16 {
        // SAFETY: NEON is part of aarch64.
        bits(unsafe { vceqzq_u8(self.0) })
    }

    /// Slots that hold an entry.
    #[inline(always)]
    pub(crate) fn occupied(self) -> u16 {
        self.empty() ^ ALL
    }
}

/// One bit for each of the slots' bytes that is all ones; the others are zero.
#[inline(always)]
fn bits(compared: uint8x16_t) -> u16 {
    const WEIGHTS: [u8; 16] = [1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128];
    // SAFETY: NEON is part of aarch64, and the weights are 16 readable bytes. Each half's sum has eight different bits.
    let (low, high) = unsafe {
        let weighed = vandq_u8(compared, vld1q_u8(WEIGHTS.as_ptr()));
        (vaddv_u8(vget_low_u8(weighed)), vaddv_u8(vget_high_u8(weighed)))
    };
    (u16::from(low) | u16::from(high) << 8) & ALL
}
