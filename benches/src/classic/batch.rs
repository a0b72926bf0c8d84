//! The hashes of eight buckets compared at once, in three forms behind one interface. `bucket` owns the search around it.
//! Invariant: all forms give the same answer; bit i of it speaks of bucket i. A form's code may run only on a processor that has
//! it, which whoever names a form sees to.
#![allow(unsafe_code)]

use super::bucket::{Bucket, GROUP};

/// One way to compare eight hashes that lie 64 bytes apart.
pub(super) trait Batch {
    /// The hashes, out of memory.
    type Hashes: Copy;

    /// Reads the hashes of a group.
    ///
    /// # Safety
    /// The processor has this form.
    unsafe fn load(group: &[Bucket<'_>; GROUP]) -> Self::Hashes;

    /// Which of them are `wanted`.
    ///
    /// # Safety
    /// The processor has this form.
    unsafe fn equal(hashes: Self::Hashes, wanted: u64) -> u32;
}

/// Eight loads, eight comparisons.
pub(super) struct Scalar;

impl Batch for Scalar {
    type Hashes = [u64; GROUP];

    #[inline(always)]
    unsafe fn load(group: &[Bucket<'_>; GROUP]) -> Self::Hashes {
        std::array::from_fn(|idx| group[idx].hash)
    }

    #[inline(always)]
    unsafe fn equal(hashes: Self::Hashes, wanted: u64) -> u32 {
        (0..GROUP).fold(0, |mask, idx| mask | u32::from(hashes[idx] == wanted) << idx)
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) use x86::{Avx2, Sse2};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{Batch, Bucket, GROUP};
    use std::arch::x86_64::{
        __m128i, __m256i, _mm_and_si128, _mm_castsi128_pd, _mm_cmpeq_epi32, _mm_movemask_pd, _mm_set_epi64x,
        _mm_set1_epi64x, _mm_shuffle_epi32, _mm256_castsi256_pd, _mm256_cmpeq_epi64, _mm256_i64gather_epi64,
        _mm256_movemask_pd, _mm256_set1_epi64x, _mm256_setr_epi64x,
    };

    /// Four pairs of hashes. There is no comparison of 64 bits in SSE2: both halves must be equal.
    pub(in super::super) struct Sse2;

    impl Batch for Sse2 {
        type Hashes = [__m128i; GROUP / 2];

        #[inline(always)]
        unsafe fn load(group: &[Bucket<'_>; GROUP]) -> Self::Hashes {
            std::array::from_fn(|pair| {
                let (low, high) = (group[2 * pair].hash, group[2 * pair + 1].hash);
                // SAFETY: SSE2 is part of x86_64.
                unsafe { _mm_set_epi64x(high.cast_signed(), low.cast_signed()) }
            })
        }

        #[inline(always)]
        unsafe fn equal(hashes: Self::Hashes, wanted: u64) -> u32 {
            (0..GROUP / 2).fold(0, |mask, pair| {
                // SAFETY: SSE2 is part of x86_64.
                let bits = unsafe {
                    let halves = _mm_cmpeq_epi32(hashes[pair], _mm_set1_epi64x(wanted.cast_signed()));
                    let both = _mm_and_si128(halves, _mm_shuffle_epi32::<0b10_11_00_01>(halves));
                    _mm_movemask_pd(_mm_castsi128_pd(both))
                };
                mask | bits.cast_unsigned() << (2 * pair)
            })
        }
    }

    /// Two gathers of four hashes.
    pub(in super::super) struct Avx2;

    impl Batch for Avx2 {
        type Hashes = [__m256i; GROUP / 4];

        #[inline(always)]
        unsafe fn load(group: &[Bucket<'_>; GROUP]) -> Self::Hashes {
            let first = group.as_ptr().cast::<i64>();
            // SAFETY: the caller has AVX2. A bucket's hash is its first word and buckets lie eight words apart, so all
            // eight words that are read are hashes of the group.
            unsafe {
                let low = _mm256_setr_epi64x(0, 8, 16, 24);
                [_mm256_i64gather_epi64::<8>(first, low), _mm256_i64gather_epi64::<8>(first.add(32), low)]
            }
        }

        #[inline(always)]
        unsafe fn equal(hashes: Self::Hashes, wanted: u64) -> u32 {
            let bits = |four| {
                // SAFETY: the caller has AVX2.
                unsafe {
                    let equal = _mm256_cmpeq_epi64(four, _mm256_set1_epi64x(wanted.cast_signed()));
                    _mm256_movemask_pd(_mm256_castsi256_pd(equal)).cast_unsigned()
                }
            };
            bits(hashes[0]) | bits(hashes[1]) << 4
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::bucket::allocate;
    use super::*;

    /// # Safety
    /// As for the form.
    unsafe fn answers<B: Batch>(group: &[Bucket<'_>; GROUP], wanted: u64) -> u32 {
        // SAFETY: the caller's promise.
        unsafe { B::equal(B::load(group), wanted) }
    }

    #[test]
    fn all_forms_find_the_same_buckets() {
        let mut random = fastrand::Rng::with_seed(5);
        let mut buckets = allocate(GROUP);
        let group: &mut [Bucket<'_>; GROUP] = buckets.first_chunk_mut().unwrap();
        // Hashes that share one half: a comparison of halves alone would be wrong.
        let hashes = [0, 1, 1 << 32, 1 << 32 | 1, u64::MAX, u64::MAX << 32];
        for _ in 0..2000 {
            for bucket in group.iter_mut() {
                bucket.hash = hashes[random.usize(..hashes.len())];
            }
            for wanted in hashes {
                let naive =
                    (0..GROUP).filter(|&idx| group[idx].hash == wanted).fold(0, |mask, idx| mask | 1 << idx);
                // SAFETY: every processor has the scalar form, every x86_64 SSE2, and AVX2 is asked for.
                unsafe {
                    assert_eq!(answers::<Scalar>(group, wanted), naive);
                    #[cfg(target_arch = "x86_64")]
                    {
                        assert_eq!(answers::<Sse2>(group, wanted), naive);
                        if std::arch::is_x86_feature_detected!("avx2") {
                            assert_eq!(answers::<Avx2>(group, wanted), naive);
                        }
                    }
                }
            }
        }
    }
}
