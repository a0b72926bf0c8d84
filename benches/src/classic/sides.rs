//! The tables of a case, and the loop that looks keys up in each. A case owns one [`Sides`]. Invariant: all sides hold the same
//! keys with the same values and hash each key sought in the loop; what they answer is summed and must be the same.
#![allow(unsafe_code)]

use std::hint::black_box;

use super::batch::Scalar;
#[cfg(target_arch = "x86_64")]
use super::batch::{Avx2, Sse2};
use super::bucket::Buckets;
use super::keys::{Key, Keys, hash};
use super::record::Records;
use super::trace::{LINE, Lines, Untraced, own_share};
use crate::engine::{Hasher, table_hasher};
use crate::record::OURS;

/// Who looks up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// Records of 24 bytes, one by one.
    Record,
    /// Groups of eight buckets, compared with AVX2.
    Avx2,
    /// The same with SSE2.
    Sse2,
    /// The same, hash by hash.
    Scalar,
    /// The same table, bucket after bucket, as far as need be.
    Singly,
    /// This project's map.
    Ours,
    /// hashbrown's.
    Peer,
}

impl Side {
    /// All that this processor can run.
    pub(super) fn all() -> Vec<Self> {
        let all = [Self::Record, Self::Avx2, Self::Sse2, Self::Scalar, Self::Singly, Self::Ours, Self::Peer];
        all.into_iter().filter(|side| side.runs_here()).collect()
    }

    fn runs_here(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        let (avx2, sse2) = (std::arch::is_x86_feature_detected!("avx2"), true);
        #[cfg(not(target_arch = "x86_64"))]
        let (avx2, sse2) = (false, false);
        match self {
            Self::Avx2 => avx2,
            Self::Sse2 => sse2,
            _ => true,
        }
    }

    /// Name in figures.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Record => "record",
            Self::Avx2 => "bucketmask-line-avx2",
            Self::Sse2 => "bucketmask-line-sse2",
            Self::Scalar => "bucketmask-line-scalar",
            Self::Singly => "bucketmask-line-singly",
            Self::Ours => OURS,
            Self::Peer => "hashbrown",
        }
    }
}

/// Every table of a case.
pub(super) struct Sides<'k, const K: usize> {
    records: Records<'k, K>,
    buckets: Buckets<'k>,
    ours: bucketmask_map::HashMap<Key<K>, &'k u64, Hasher>,
    peer: hashbrown::HashMap<Key<K>, &'k u64, Hasher>,
}

/// What addresses say about one side's lookups.
pub(super) struct Shape {
    /// Lines a lookup.
    pub(super) lines: f64,
    /// Percent of those lines' bytes that were read.
    pub(super) used: f64,
    /// Percent of the lines on which an element lies that are its own.
    pub(super) own: f64,
    /// Bytes an entry: the table, free places too, and the key's block.
    pub(super) bytes: f64,
}

impl<'k, const K: usize> Sides<'k, K> {
    /// Tables of `slots` places with all of `keys` in them.
    pub(super) fn new(slots: usize, keys: &'k Keys<K>) -> Self {
        let mut sides = Self {
            records: Records::new(slots),
            buckets: Buckets::new(slots),
            ours: bucketmask_map::HashMap::with_hasher(table_hasher()),
            peer: hashbrown::HashMap::with_hasher(table_hasher()),
        };
        for (own, value) in keys.own.iter().zip(&keys.values) {
            let key = Key(**own);
            sides.records.insert(hash(&key), own, value);
            sides.buckets.insert(hash(&key), own, value);
            sides.ours.insert(key, value);
            sides.peer.insert(key, value);
        }
        sides
    }

    /// Looks every key of `picks` up on one side and sums the answers. `chained`: which key comes next waits for the
    /// answer before it.
    pub(super) fn pass(&self, side: Side, picks: &[Key<K>], chained: bool) -> usize {
        match side {
            Side::Record => walk(picks, chained, |key| self.records.find(hash(key), &key.0, &mut Untraced)),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: only sides that run here are asked for.
            Side::Avx2 => unsafe { self.pass_avx2(picks, chained) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: SSE2 is part of x86_64.
            Side::Sse2 => walk(picks, chained, |key| unsafe {
                self.buckets.find::<Sse2, K>(hash(key), &key.0, &mut Untraced)
            }),
            // SAFETY: every processor has the scalar form.
            Side::Scalar => walk(picks, chained, |key| unsafe {
                self.buckets.find::<Scalar, K>(hash(key), &key.0, &mut Untraced)
            }),
            Side::Singly => {
                walk(picks, chained, |key| self.buckets.find_singly(hash(key), &key.0, &mut Untraced))
            }
            Side::Ours => walk(picks, chained, |key| self.ours.get(key).copied()),
            Side::Peer => walk(picks, chained, |key| self.peer.get(key).copied()),
            #[cfg(not(target_arch = "x86_64"))]
            Side::Avx2 | Side::Sse2 => unreachable!("not among the sides that run here"),
        }
    }

    /// Compiled for AVX2 as a whole, so that the comparison is part of the loop.
    ///
    /// # Safety
    /// The processor has AVX2.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    unsafe fn pass_avx2(&self, picks: &[Key<K>], chained: bool) -> usize {
        // SAFETY: the caller's promise.
        walk(picks, chained, |key| unsafe { self.buckets.find::<Avx2, K>(hash(key), &key.0, &mut Untraced) })
    }

    /// What the addresses of these lookups say; nothing for sides whose code does not tell its reads.
    pub(super) fn shape(&self, side: Side, picks: &[Key<K>]) -> Option<Shape> {
        let mut lines = Lines::default();
        for key in picks {
            match side {
                Side::Record => self.records.find(hash(key), &key.0, &mut lines),
                // Whatever compares them, the eight hashes are read.
                // SAFETY: every processor has the scalar form.
                Side::Avx2 | Side::Sse2 | Side::Scalar => unsafe {
                    self.buckets.find::<Scalar, K>(hash(key), &key.0, &mut lines)
                },
                Side::Singly => self.buckets.find_singly(hash(key), &key.0, &mut lines),
                Side::Ours | Side::Peer => return None,
            };
            lines.end_lookup();
        }
        let entries = self.peer.len() as f64;
        let records = self.records.elements();
        let (own, bytes) = if side == Side::Record {
            (own_share(records), size_of_val(records) as f64 / entries + K as f64)
        } else {
            (own_share(self.buckets.elements()), (self.buckets.elements().len() * LINE) as f64 / entries)
        };
        Some(Shape { lines: lines.a_lookup(), used: lines.used(), own, bytes })
    }
}

/// The loop that is timed.
#[inline(always)]
fn walk<'k, const K: usize>(
    picks: &[Key<K>],
    chained: bool,
    find: impl Fn(&Key<K>) -> Option<&'k u64>,
) -> usize {
    let answer = |key| find(key).map_or(0, |value| std::ptr::from_ref(value).addr());
    if !chained {
        return picks.iter().fold(0, |sum: usize, key| sum.wrapping_add(answer(key)));
    }
    // Nothing of the last answer is in the next place, which only the processor has to find out.
    let nothing = black_box(0);
    let (mut sum, mut last) = (0_usize, 0);
    for idx in 0..picks.len() {
        last = answer(&picks[idx ^ (last & nothing)]);
        sum = sum.wrapping_add(last);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    /// Every key that is in, and as many that are not, on every side against std's map.
    fn agrees<const K: usize>(slots: usize, entries: usize) {
        let keys = Keys::<K>::new(entries, 2000);
        let sides = Sides::new(slots, &keys);
        let model: HashMap<_, _> = keys.own.iter().map(|key| **key).zip(&keys.values).collect();
        assert_eq!(model.len(), entries);
        let all: Vec<_> = keys.own.iter().map(|own| Key(**own)).collect();
        for side in Side::all() {
            for pick in all.iter().chain(&keys.hits).chain(&keys.misses) {
                let expected = model.get(&pick.0).map_or(0, |value| std::ptr::from_ref(*value).addr());
                for chained in [false, true] {
                    assert_eq!(sides.pass(side, &[*pick], chained), expected, "{side:?}");
                }
            }
            let sum = |chained| sides.pass(side, &keys.hits, chained);
            assert_eq!(sum(false), sum(true));
            assert_eq!(sides.pass(side, &keys.misses, true), 0, "{side:?}");
        }
    }

    #[test]
    fn every_side_answers_as_std_does() {
        agrees::<16>(8, 7);
        agrees::<48>(16, 15);
        agrees::<16>(1024, 1023);
        agrees::<48>(4096, 3072);
    }

    #[test]
    fn addresses_say_what_a_lookup_fetches() {
        let keys = Keys::<16>::new(3072, 500);
        let sides = Sides::new(4096, &keys);
        let shape = |side| sides.shape(side, &keys.hits).unwrap();
        let record = shape(Side::Record);
        // Two places of eight straddle: 6 * 37.5 + 2 * 18.75 over 8, whatever the table's address.
        assert!((record.own - 32.8125).abs() < 0.01, "{}", record.own);
        assert!((record.bytes - (24.0 * 4096.0 / 3072.0 + 16.0)).abs() < 1e-9);
        assert!(record.lines >= 2.0, "a record and its key's block: {}", record.lines);
        let batch = shape(Side::Scalar);
        assert!((batch.own - 100.0).abs() < 1e-9);
        assert!(batch.lines >= 8.0, "a batch reads eight lines: {}", batch.lines);
        let singly = shape(Side::Singly);
        assert!((1.0..batch.lines).contains(&singly.lines), "{}", singly.lines);
        assert!(sides.shape(Side::Ours, &keys.hits).is_none());
    }
}
