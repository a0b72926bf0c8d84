//! Head matching with two 64-bit words, for every machine without a vector form here.
//!
//! Invariant: exact, no false positives: a zero byte is found without carries between bytes.

use super::ALL;
use crate::hash::tophash;

const LOW7: u64 = 0x7f7f_7f7f_7f7f_7f7f;
const ONES: u64 = 0x0101_0101_0101_0101;
/// Gathers bit 0 of every byte into the top byte.
const GATHER: u64 = 0x0102_0408_1020_4080;

/// A tophash, broadcast.
#[derive(Clone, Copy)]
pub(crate) struct Tag(u64);

impl Tag {
    /// The tophash of a hash: its tag byte, which becomes 1 if it is 0, that means an empty slot.
    #[inline(always)]
    pub(crate) fn of(hash: u64) -> Self {
        Self(ONES * u64::from(tophash(hash)))
    }
}

/// A loaded head.
#[derive(Clone, Copy)]
pub(crate) struct Head([u64; 2]);

impl Head {
    /// # Safety
    /// `head` points to 16 readable bytes and is 16-aligned.
    #[inline(always)]
    #[expect(clippy::cast_ptr_alignment, reason = "the caller vouches for 16")]
    pub(crate) unsafe fn load(head: *const u8) -> Self {
        // SAFETY: the caller's promise.
        Self(unsafe { head.cast::<[u64; 2]>().read() }.map(u64::to_le))
    }

    /// A head whose bytes are those of `words`, lowest first.
    #[inline(always)]
    pub(crate) fn of_words(words: [u64; 2]) -> Self {
        Self(words)
    }

    /// Slots whose tophash is `tag`.
    #[inline(always)]
    pub(crate) fn matches(self, tag: Tag) -> u16 {
        (zero_bytes(self.0[0] ^ tag.0) | zero_bytes(self.0[1] ^ tag.0) << 8) & ALL
    }

    /// Slots that hold nothing.
    #[inline(always)]
    pub(crate) fn empty(self) -> u16 {
        self.matches(Tag(0))
    }

    /// Slots that hold an entry.
    #[inline(always)]
    pub(crate) fn occupied(self) -> u16 {
        self.empty() ^ ALL
    }
}

/// One bit for each zero byte of `word`, in its low eight bits.
#[inline(always)]
fn zero_bytes(word: u64) -> u16 {
    // The sum's top bit is set where the low seven bits of a byte are not all zero; no byte carries into the next.
    let nonzero = ((word & LOW7) + LOW7) | word;
    ((((!nonzero & !LOW7) >> 7).wrapping_mul(GATHER)) >> 56) as u16
}
