//! Strings compared: length first, then both ends as whole words.
//!
//! Owned by `short`. A call of the C library's comparison costs more than
//! the comparison of a short key, so strings of 4 to 32 bytes are two overlapping loads a side.
//! Invariant: `equal` is `==` of byte slices, exactly.

#![allow(unsafe_code)]

/// Whether both are the same bytes.
#[inline(always)]
pub(crate) fn equal(left: &[u8], right: &[u8]) -> bool {
    let len = left.len();
    if len != right.len() {
        return false;
    }
    match len {
        8..=16 => ends::<8>(left, right, len),
        17..=32 => ends::<16>(left, right, len),
        4..=7 => ends::<4>(left, right, len),
        _ => left == right,
    }
}

/// Whether the first `N` bytes and the last `N` are the same: all of them, where `N <= len <= 2 * N`.
#[inline(always)]
fn ends<const N: usize>(left: &[u8], right: &[u8], len: usize) -> bool {
    debug_assert!(left.len() == len && right.len() == len && N <= len && len <= 2 * N);
    // SAFETY: both are `len` bytes long, and `len >= N`. Arrays of bytes have no alignment.
    unsafe {
        let at = |bytes: &[u8], from: usize| bytes.as_ptr().add(from).cast::<[u8; N]>().read();
        let (first, last) = (at(left, 0) == at(right, 0), at(left, len - N) == at(right, len - N));
        first & last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_is_equality_at_every_length_and_place() {
        for len in 0..=70usize {
            let left: Vec<u8> = (0..len as u8).collect();
            assert!(equal(&left, &left.clone()));
            for at in 0..len {
                let mut right = left.clone();
                right[at] ^= 0x80;
                assert!(!equal(&left, &right), "byte {at} of {len}");
            }
            let longer: Vec<u8> = (0..=len as u8).collect();
            assert!(!equal(&left, &longer) && !equal(&longer, &left));
        }
    }
}
