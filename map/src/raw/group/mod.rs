//! Reading a head: 14 tophash bytes compared at once.
//!
//! One interface, three forms, chosen here and nowhere else; each is compiled and tested on every machine that can.
//! Invariant: answers have one bit a slot, bits 14 and 15 (the bytes of the passes) always clear.

#![allow(unsafe_code)]

use super::layout::SLOTS;

#[cfg(all(target_arch = "aarch64", not(bucketmask_portable)))]
mod neon;
#[cfg(all(target_arch = "x86_64", not(bucketmask_portable)))]
mod sse2;
#[cfg_attr(
    all(any(target_arch = "x86_64", target_arch = "aarch64"), not(bucketmask_portable), not(test)),
    expect(dead_code, reason = "another form is in use")
)]
mod word;

#[cfg(all(target_arch = "aarch64", not(bucketmask_portable)))]
pub(crate) use neon::{Head, Tag};
#[cfg(all(target_arch = "x86_64", not(bucketmask_portable)))]
pub(crate) use sse2::{Head, Tag};
#[cfg(not(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(bucketmask_portable))))]
pub(crate) use word::{Head, Tag};

/// The slots of a bucket, in an answer.
pub(crate) const ALL: u16 = (1 << SLOTS) - 1;

#[cfg(test)]
mod tests {
    use super::{ALL, SLOTS};
    use crate::hash::TAG_BYTE;

    #[repr(align(16))]
    struct Bytes([u8; 16]);

    fn naive(bytes: &[u8; 16], wanted: u8) -> u16 {
        (0..SLOTS).filter(|&slot| bytes[slot] == wanted).fold(0, |mask, slot| mask | 1 << slot)
    }

    macro_rules! forms {
        ($($name:ident)*) => {$(
            #[test]
            fn $name() {
                let mut seed = 7u64;
                for _ in 0..3000 {
                    let mut bytes = Bytes([0; 16]);
                    for byte in &mut bytes.0 {
                        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                        *byte = [0, 0, 1, 2, 127, 128, 129, 255][(seed >> 61) as usize];
                    }
                    // SAFETY: 16 readable, 16-aligned bytes.
                    let head = unsafe { super::$name::Head::load(bytes.0.as_ptr()) };
                    let words = [0, 8].map(|first| u64::from_le_bytes(core::array::from_fn(|byte| bytes.0[first + byte])));
                    assert_eq!(super::$name::Head::of_words(words).occupied(), head.occupied());
                    assert_eq!(head.empty(), naive(&bytes.0, 0));
                    assert_eq!(head.occupied(), ALL & !naive(&bytes.0, 0));
                    for tag in [1, 2, 127, 128, 129, 255] {
                        assert_eq!(head.matches(super::$name::Tag::of(u64::from(tag) << (8 * TAG_BYTE))), naive(&bytes.0, tag));
                    }
                }
            }
        )*};
    }

    forms!(word);
    #[cfg(all(target_arch = "x86_64", not(bucketmask_portable)))]
    forms!(sse2);
    #[cfg(all(target_arch = "aarch64", not(bucketmask_portable)))]
    forms!(neon);
}
