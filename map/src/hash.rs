//! From a hasher's output to a place: finaliser, home bucket, tophash and watermark.
//!
//! Owned by the whole crate; pure arithmetic. Invariant: `home` is monotone in the hash, for every bucket count, so a
//! table of any size is sorted by hash.

use core::hash::{BuildHasher, Hash};

/// 2^64 divided by the golden ratio, odd: consecutive integers spread evenly over the high bits (Knuth, TAOCP 6.4).
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// A finalised hash: what homes, tophashes and watermarks are taken from.
///
/// Identity hashers fill only low bits and the home is taken from the high ones, hence one multiplication.
#[inline(always)]
pub(crate) fn finalise(hash: u64) -> u64 {
    hash.wrapping_mul(SPREAD)
}

/// The finalised hash of `key`.
#[inline(always)]
pub(crate) fn hash_of<Q: Hash + ?Sized, S: BuildHasher>(build: &S, key: &Q) -> u64 {
    finalise(build.hash_one(key))
}

/// Home bucket of `hash` among `buckets`: the high half of the product, always below `buckets`.
#[inline(always)]
pub(crate) fn home(hash: u64, buckets: usize) -> usize {
    if cfg!(target_pointer_width = "64") {
        ((u128::from(hash) * buckets as u128) >> 64) as usize
    } else {
        home_by_halves(hash, buckets as u32) as usize
    }
}

/// The same for machines on which a product of 128 bits is a call: two products of 64 bits.
#[inline(always)]
fn home_by_halves(hash: u64, buckets: u32) -> u32 {
    let (high, low, buckets) = (hash >> 32, hash & u64::from(u32::MAX), u64::from(buckets));
    // Neither product nor their sum reaches 2^64.
    ((high * buckets + ((low * buckets) >> 32)) >> 32) as u32
}

/// Which byte of the hash its tophash is made of, counted from the lowest: homes of a table below 2^32 buckets do not use
/// it, and of the lower half of a vector it can be broadcast without a shift before.
pub(crate) const TAG_BYTE: u32 = 3;

/// The byte of the hash that its tophash is made of.
#[inline(always)]
pub(crate) fn tag_byte(hash: u64) -> u8 {
    (hash >> (8 * TAG_BYTE)) as u8
}

/// What an entry of this hash leaves in its bucket's head: its tag byte, never zero.
#[inline(always)]
pub(crate) fn tophash(hash: u64) -> u8 {
    tag_byte(hash).max(1)
}

/// The smallest hash whose home among `buckets` is `bucket`.
pub(crate) fn first_hash(bucket: usize, buckets: usize) -> u64 {
    debug_assert!(bucket < buckets);
    (((bucket as u128) << 64).div_ceil(buckets as u128)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_hash_is_the_boundary_of_homes() {
        for buckets in [1usize, 2, 3, 5, 7, 12, 100, 255, 1 << 20, (1 << 20) + 1, 99_999_989] {
            for bucket in [0, 1, buckets / 3, buckets / 2, buckets.saturating_sub(2), buckets - 1] {
                if bucket >= buckets {
                    continue;
                }
                let first = first_hash(bucket, buckets);
                assert_eq!(home(first, buckets), bucket);
                if bucket > 0 {
                    assert_eq!(home(first - 1, buckets), bucket - 1);
                }
            }
            assert_eq!(home(u64::MAX, buckets), buckets - 1);
        }
    }

    #[test]
    fn halves_give_the_same_home() {
        let mut hash = 1u64;
        for round in 0..20_000u32 {
            hash = finalise(hash ^ u64::from(round));
            for buckets in [1, 2, 3, 14, 4165, 1 << 20, 99_999_989, u32::MAX, (hash >> 32) as u32 | 1] {
                for hash in [hash, hash | u64::from(u32::MAX), hash & !u64::from(u32::MAX), 0, u64::MAX] {
                    let whole = (u128::from(hash) * u128::from(buckets)) >> 64;
                    assert_eq!(u128::from(home_by_halves(hash, buckets)), whole, "{hash:x} among {buckets}");
                }
            }
        }
    }

    #[test]
    fn homes_never_fall_when_buckets_grow() {
        let mut hash = 1u64;
        for buckets in 1..500usize {
            hash = finalise(hash ^ buckets as u64);
            assert!(home(hash, buckets + 1) >= home(hash, buckets));
            assert!(home(hash, buckets) < buckets);
        }
    }

    #[test]
    fn tophash_is_never_zero_and_uses_every_other_byte() {
        let mut seen = [0u32; 256];
        for byte in 0..256u64 {
            seen[tophash(byte << (8 * TAG_BYTE)) as usize] += 1;
        }
        assert_eq!((seen[0], seen[1]), (0, 2));
        assert!(seen[2..].iter().all(|&n| n == 1));
    }
}
