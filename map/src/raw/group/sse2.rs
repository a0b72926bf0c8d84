//! Head matching with SSE2, which every `x86_64` has: compare 16 bytes, take their sign bits.
//!
//! Invariant: as in `group`; loads need 16-byte alignment.

use super::ALL;
use crate::hash::TAG_BYTE;
use core::arch::x86_64::{
    __m128i, _mm_cmpeq_epi8, _mm_cvtsi64_si128, _mm_load_si128, _mm_max_epu8, _mm_movemask_epi8,
    _mm_set_epi64x, _mm_shuffle_epi32, _mm_shufflelo_epi16, _mm_unpacklo_epi8,
};

const _: () = assert!(TAG_BYTE < 4, "of the lower half of a hash");

/// A vector of these bytes.
const fn bytes(bytes: [u8; 16]) -> __m128i {
    // SAFETY: both are 16 bytes, and every bit pattern is a vector.
    unsafe { core::mem::transmute(bytes) }
}

/// A tophash, broadcast.
#[derive(Clone, Copy)]
pub(crate) struct Tag(__m128i);

impl Tag {
    /// The tophash of a hash: its tag byte, which becomes 1 if it is 0, that means an empty slot; 0xff for the
    /// bytes that hold passes, which do not matter.
    #[inline(always)]
    #[expect(clippy::cast_possible_wrap, reason = "64 bits as they are")]
    pub(crate) fn of(hash: u64) -> Self {
        // One instruction for both. A constant of equal bytes would be moved before the broadcast, where it costs three.
        const LEAST: __m128i = bytes([1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0xff, 0xff]);
        const PICK: i32 = 0b01_01_01_01 * TAG_BYTE as i32;
        // SAFETY: SSE2 is part of x86_64.
        Self(unsafe {
            let hash = _mm_cvtsi64_si128(hash as i64);
            // Every byte twice, then the four copies of a pair, then the other half.
            let pairs = _mm_shufflelo_epi16::<PICK>(_mm_unpacklo_epi8(hash, hash));
            _mm_max_epu8(_mm_shuffle_epi32::<0>(pairs), LEAST)
        })
    }
}

/// A loaded head.
#[derive(Clone, Copy)]
pub(crate) struct Head(__m128i);

impl Head {
    /// # Safety
    /// `head` points to 16 readable bytes and is 16-aligned.
    #[inline(always)]
    pub(crate) unsafe fn load(head: *const u8) -> Self {
        // SAFETY: the caller's promise.
        Self(unsafe { _mm_load_si128(head.cast()) })
    }

    /// A head whose bytes are those of `words`, lowest first: for who loads them as two atomics, and must not have them pass through memory,
    /// where a load of sixteen bytes waits for two stores of eight.
    #[inline(always)]
    #[expect(clippy::cast_possible_wrap, reason = "64 bits as they are")]
    pub(crate) fn of_words(words: [u64; 2]) -> Self {
        // SAFETY: SSE2 is part of x86_64.
        Self(unsafe { _mm_set_epi64x(words[1] as i64, words[0] as i64) })
    }

    /// Slots whose tophash is `tag`.
    #[inline(always)]
    pub(crate) fn matches(self, tag: Tag) -> u16 {
        // SAFETY: SSE2 is part of x86_64.
        bits(unsafe { _mm_cmpeq_epi8(self.0, tag.0) })
    }

    /// Slots that hold nothing.
    #[inline(always)]
    pub(crate) fn empty(self) -> u16 {
        const EMPTY: __m128i = bytes([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]);
        // SAFETY: SSE2 is part of x86_64.
        bits(unsafe { _mm_cmpeq_epi8(self.0, EMPTY) })
    }

    /// Slots that hold an entry.
    #[inline(always)]
    pub(crate) fn occupied(self) -> u16 {
        self.empty() ^ ALL
    }
}

/// The sign bits of the slots' bytes; what the other two hold may look like a tophash.
#[inline(always)]
#[expect(clippy::cast_sign_loss, reason = "16 bits of a mask")]
fn bits(compared: __m128i) -> u16 {
    // SAFETY: SSE2 is part of x86_64.
    (unsafe { _mm_movemask_epi8(compared) }) as u16 & ALL
}
