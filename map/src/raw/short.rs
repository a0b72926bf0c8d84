//! `StrKey`: a string in three words, up to 23 bytes of it in place.
//!
//! Owned by `StrMap`, whose entries begin with one. To the byte (word order of a little-endian machine):
//!
//! ```text
//! short   bytes 0..23: the text, then zeros                                  byte 23: its length, 0..=23
//! long    0..8: its hash   8..16: the block that holds it   16..23: length   byte 23: 255
//! ```
//!
//! So a short key is equal to another if three words are, without a branch and without a look at any length; a long one
//! is compared by 64 bits of hash and by its length before its block is touched.
//! Invariant: the bytes after a short text are zero, and a long key owns its block and has more than 23 bytes.

#![allow(unsafe_code)]

use super::text;
use core::mem::{ManuallyDrop, offset_of};
use core::ptr::{self, NonNull};
use core::{slice, str};
use static_assertions::const_assert;

/// Bytes of the longest text that lies in the key itself.
pub(crate) const SHORT: usize = 23;
/// The last byte of a long key.
const LONG: u8 = u8::MAX;
/// `LONG` in the last word.
const LONG_TAG: u64 = (LONG as u64) << 56;

/// A key as a [`StrMap`](crate::StrMap) holds it: texts of up to 23 bytes in place, longer ones in a block of their own.
///
/// It is a `str` in all but its place.
#[repr(C)]
pub union StrKey {
    words: [u64; 3],
    bytes: [u8; 24],
    long: LongText,
}

/// All of it is initialised, also on machines with short pointers, so that it can be read as words.
#[repr(C)]
#[derive(Clone, Copy)]
struct LongText {
    hash: u64,
    block: NonNull<u8>,
    pad: [u8; 8 - size_of::<NonNull<u8>>()],
    /// Length and `LONG_TAG`, little-endian.
    tagged: u64,
}

const_assert!(
    size_of::<StrKey>() == 24 && size_of::<LongText>() == 24 && align_of::<StrKey>() == align_of::<u64>()
);
const_assert!(offset_of!(LongText, block) == 8 && offset_of!(LongText, tagged) == 16);

// SAFETY: a key owns its text, as a Box<str> does.
unsafe impl Send for StrKey {}
// SAFETY: a shared key gives out a &str and no more.
unsafe impl Sync for StrKey {}

/// A text that is looked for, in the form in which keys are compared.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    words: [u64; 3],
    text: &'a str,
}

impl<'a> Asked<'a> {
    /// `hash` is the finalised hash of `text`.
    #[inline(always)]
    pub(crate) fn new(text: &'a str, hash: u64) -> Self {
        let words = if text.len() <= SHORT {
            packed(text.as_bytes())
        } else {
            // The block's word is never compared.
            [hash, 0, tagged(text.len())]
        };
        Self { words, text }
    }
}

impl StrKey {
    /// The key of `text`. `hash` is its finalised hash; a short text needs no block, a long one the one it comes in.
    pub(crate) fn new(text: impl AsRef<str> + Into<Box<str>>, hash: u64) -> Self {
        let short = text.as_ref();
        if short.len() <= SHORT {
            return Self { words: packed(short.as_bytes()) };
        }
        // What comes out is looked at again: a caller's type may say one thing here and another there.
        let text: Box<str> = text.into();
        if text.len() <= SHORT {
            return Self { words: packed(text.as_bytes()) };
        }
        let tagged = tagged(text.len());
        // SAFETY: a box is not null.
        let block = unsafe { NonNull::new_unchecked(Box::into_raw(text).cast::<u8>()) };
        Self { long: LongText { hash, block, pad: [0; 8 - size_of::<NonNull<u8>>()], tagged } }
    }

    /// A key of no map: a long text's hash is not known.
    pub(crate) fn of(text: impl AsRef<str> + Into<Box<str>>) -> Self {
        Self::new(text, 0)
    }

    /// The text.
    #[inline]
    pub fn as_str(&self) -> &str {
        // SAFETY: both forms hold what came as a str: in place, as many bytes as the last one says, or in our block.
        unsafe {
            let bytes = match self.long() {
                None => slice::from_raw_parts(self.bytes.as_ptr(), usize::from(self.bytes[SHORT])),
                Some(long) => long.bytes(),
            };
            str::from_utf8_unchecked(bytes)
        }
    }

    /// Whether this is the text.
    #[inline(always)]
    pub(crate) fn is(&self, asked: &Asked<'_>) -> bool {
        // SAFETY: every byte of both forms is initialised.
        let (ours, theirs) = (unsafe { self.words }, asked.words);
        if asked.text.len() <= SHORT {
            return (ours[0] ^ theirs[0]) | (ours[1] ^ theirs[1]) | (ours[2] ^ theirs[2]) == 0;
        }
        // SAFETY: a last word equal to a long text's is a long key's.
        ours[0] == theirs[0]
            && ours[2] == theirs[2]
            && text::equal(unsafe { self.long.bytes() }, asked.text.as_bytes())
    }

    /// The hash of a long text: it is not computed again.
    #[inline]
    pub(crate) fn stored_hash(&self) -> Option<u64> {
        self.long().map(|long| long.hash)
    }

    #[inline(always)]
    fn long(&self) -> Option<&LongText> {
        // SAFETY: the last byte says which form it is.
        unsafe { if self.bytes[SHORT] == LONG { Some(&self.long) } else { None } }
    }

    /// The text in a block of its own; a long key's own block.
    fn into_boxed(self) -> Box<str> {
        let key = ManuallyDrop::new(self);
        match key.long() {
            None => key.as_str().into(),
            // SAFETY: the key is not dropped, so the block is ours.
            Some(long) => unsafe { long.boxed() },
        }
    }
}

impl LongText {
    #[inline(always)]
    fn len(self) -> usize {
        (u64::from_le(self.tagged) ^ LONG_TAG) as usize
    }

    /// # Safety
    /// The block is alive for 'a.
    #[inline(always)]
    unsafe fn bytes<'a>(self) -> &'a [u8] {
        // SAFETY: the block holds that many bytes.
        unsafe { slice::from_raw_parts(self.block.as_ptr(), self.len()) }
    }

    /// # Safety
    /// The block is the caller's, once.
    unsafe fn boxed(self) -> Box<str> {
        // SAFETY: it came out of a box of a str of this length.
        unsafe { Box::from_raw(ptr::slice_from_raw_parts_mut(self.block.as_ptr(), self.len()) as *mut str) }
    }
}

impl Drop for StrKey {
    #[inline]
    fn drop(&mut self) {
        if let Some(long) = self.long() {
            // SAFETY: the key owns the block, and this is its end.
            drop(unsafe { long.boxed() });
        }
    }
}

impl Clone for StrKey {
    fn clone(&self) -> Self {
        match self.stored_hash() {
            // SAFETY: a short key owns nothing.
            None => Self { words: unsafe { self.words } },
            Some(hash) => Self::new(self.as_str(), hash),
        }
    }
}

impl From<StrKey> for Box<str> {
    fn from(key: StrKey) -> Self {
        key.into_boxed()
    }
}

impl From<StrKey> for String {
    fn from(key: StrKey) -> Self {
        key.into_boxed().into()
    }
}

/// Length and tag of a long text.
#[inline(always)]
fn tagged(len: usize) -> u64 {
    debug_assert!(len as u64 <= u64::MAX >> 8);
    (len as u64 | LONG_TAG).to_le()
}

/// A short text as the three words of its key.
#[inline(always)]
fn packed(text: &[u8]) -> [u64; 3] {
    let len = text.len();
    debug_assert!(len <= SHORT);
    // SAFETY: each load lies inside the text by the branch it stands in.
    let load = |at: usize| u64::from_le(unsafe { text.as_ptr().add(at).cast::<u64>().read_unaligned() });
    // SAFETY: as above.
    let half =
        |at: usize| u64::from(u32::from_le(unsafe { text.as_ptr().add(at).cast::<u32>().read_unaligned() }));
    // The text's last bytes at the bottom of a word, as many as go over a multiple of eight: in two steps, since all eight
    // may have to go.
    let rest = |last: u64| last >> 8 >> (56 - 8 * (len % 8));
    let tag = (len as u64) << 56;
    let words = match len {
        16.. => [load(0), load(8), rest(load(len - 8)) | tag],
        8.. => [load(0), rest(load(len - 8)), tag],
        4.. => [half(0) | half(len - 4) << (8 * (len - 4)), 0, tag],
        1.. => {
            // First, middle and last: the same ones more than once if there are fewer than three.
            let byte = |at: usize| u64::from(text[at]) << (8 * at);
            [byte(0) | byte(len / 2) | byte(len - 1), 0, tag]
        }
        0 => [0, 0, tag],
    };
    words.map(u64::to_le)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts() -> Vec<String> {
        (0..=60).map(|len| (0..len).map(|at| char::from(b'A' + at % 58)).collect()).collect()
    }

    #[test]
    fn keys_hold_their_text_at_every_length() {
        for text in texts() {
            for key in [StrKey::new(text.as_str(), 7), StrKey::new(text.clone(), 7)] {
                assert_eq!(key.as_str(), text);
                assert_eq!(key.stored_hash().is_some(), text.len() > SHORT);
                assert!(key.is(&Asked::new(&text, 7)));
                assert_eq!(key.clone().as_str(), text);
                assert_eq!(*Box::<str>::from(key.clone()), *text);
                assert_eq!(String::from(key), text);
            }
        }
    }

    #[test]
    fn short_keys_are_padded_with_zeros() {
        for text in texts().iter().filter(|text| text.len() <= SHORT) {
            let key = StrKey::new(text.as_str(), 0);
            let mut bytes = [0; 24];
            bytes[..text.len()].copy_from_slice(text.as_bytes());
            bytes[SHORT] = text.len() as u8;
            // SAFETY: every byte of a key is initialised.
            assert_eq!(unsafe { key.bytes }, bytes);
        }
    }

    #[test]
    fn no_text_is_taken_for_another() {
        let texts = texts();
        for (held, key) in texts.iter().map(|text| (text, StrKey::new(text.as_str(), 7))) {
            for other in &texts {
                assert_eq!(key.is(&Asked::new(other, 7)), held == other);
            }
            for at in 0..held.len() {
                let mut other = held.clone().into_bytes();
                other[at] = b'~';
                let other = String::from_utf8(other).expect("ASCII");
                assert!(!key.is(&Asked::new(&other, 7)), "byte {at} of {}", held.len());
            }
        }
        // Zeros that belong to the text, and zeros that pad it.
        for (left, right) in [("", "\0"), ("a", "a\0"), ("a\0", "a\0\0"), ("1234567", "1234567\0")] {
            assert!(!StrKey::new(left, 7).is(&Asked::new(right, 7)));
        }
    }

    #[test]
    fn a_text_that_changes_its_mind_does_no_harm() {
        struct Liar(&'static str, &'static str);
        impl AsRef<str> for Liar {
            fn as_ref(&self) -> &str {
                self.0
            }
        }
        impl From<Liar> for Box<str> {
            fn from(liar: Liar) -> Self {
                liar.1.into()
            }
        }
        let long = "thirty characters and a little more";
        assert_eq!(StrKey::new(Liar(long, "short"), 1).as_str(), "short");
        assert_eq!(StrKey::new(Liar("short", long), 1).as_str(), "short");
    }
}
