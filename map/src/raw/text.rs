//! Strings compared: length first, then both ends as whole words.
//!
//! Owned by `short` and by `map.rs`, whose keys are often strings. A call of the C library's comparison costs more than
//! the comparison of a short key, so strings of 4 to 32 bytes are two overlapping loads a side.
//! Invariant: `equal` is `==` of byte slices, exactly.

#![allow(unsafe_code)]

use core::any::TypeId;
use core::mem::transmute_copy;
use equivalent::Equivalent;

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

/// The bytes of `value` if its type is a string of std's. The answer to "is it one" is a constant of the type.
///
/// Stable Rust has no specialisation; that two types are the same can be asked of any of them (`typeid`), and for std's
/// strings nobody else can say what equality is, so it is ours to compute.
#[inline(always)]
pub(crate) fn bytes_of<T: ?Sized>(value: &T) -> Option<&[u8]> {
    let id = typeid::of::<T>();
    // SAFETY: the type is the one that is named, but for lifetimes, of which the result has the shortest.
    unsafe {
        if id == TypeId::of::<str>() {
            Some(transmute_copy::<&T, &str>(&value).as_bytes())
        } else if id == TypeId::of::<String>() {
            Some(transmute_copy::<&T, &String>(&value).as_bytes())
        } else if id == TypeId::of::<&str>() {
            Some(transmute_copy::<&T, &&str>(&value).as_bytes())
        } else if id == TypeId::of::<Box<str>>() {
            Some(transmute_copy::<&T, &Box<str>>(&value).as_bytes())
        } else {
            None
        }
    }
}

/// Whether `held` is the key that is asked for: by the key's own equality, unless both are std's strings.
#[inline(always)]
pub(crate) fn is_key<K, Q: Equivalent<K> + ?Sized>(held: &K, asked: &Q) -> bool {
    match (bytes_of(held), bytes_of(asked)) {
        (Some(held), Some(asked)) => equal(held, asked),
        _ => asked.equivalent(held),
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

    #[test]
    fn strings_are_known_whatever_holds_them() {
        let owned = String::from("bucket");
        let local: &str = &owned;
        assert_eq!(bytes_of(local), Some(b"bucket".as_slice()));
        assert_eq!(bytes_of(&local), Some(b"bucket".as_slice()));
        assert_eq!(bytes_of(&owned), Some(b"bucket".as_slice()));
        assert_eq!(bytes_of(&owned.clone().into_boxed_str()), Some(b"bucket".as_slice()));
        assert_eq!(bytes_of(&7u64), None);
        assert_eq!(bytes_of(&(1, "one")), None);
        assert_eq!(bytes_of(&&owned), None);
        assert_eq!(bytes_of(owned.as_bytes()), None);
    }
}
