//! The aligned bucket: one cache line with a hash, 48 bytes of key and a value pointer, eight of them a group that is compared
//! at once. A case owns one table. Invariant: a bucket's hash is 0 if and only if the bucket is free, at least one is free, and an
//! entry lies in the first group from its home on that had a free bucket, in that group's first free one from its place on.
#![allow(unsafe_code)]

use std::alloc::{Layout, alloc_zeroed, handle_alloc_error};
use std::mem::offset_of;
use std::ptr::NonNull;

use static_assertions::const_assert_eq;

use super::batch::Batch;
use super::trace::{LINE, Trace};

/// Buckets compared at once.
pub(super) const GROUP: usize = 8;
/// Key bytes that lie in the bucket itself.
pub(super) const KEY: usize = 48;

/// One entry, one line.
#[repr(C, align(64))]
#[derive(Debug)]
pub(super) struct Bucket<'k> {
    /// Never 0 in use.
    pub(super) hash: u64,
    /// The key, with zeros behind it.
    key_data: [u8; KEY],
    value: Option<&'k u64>,
}

const_assert_eq!(align_of::<Bucket>(), LINE);
const_assert_eq!(size_of::<Bucket>(), LINE);
const_assert_eq!(offset_of!(Bucket, hash), 0);
const_assert_eq!(offset_of!(Bucket, key_data), 8);
const_assert_eq!(offset_of!(Bucket, value), 56);

/// Free buckets, each on a line of its own. Not inlined: `ci/disasm-bucket.sh` looks for the alignment in its call.
#[inline(never)]
pub(super) fn allocate<'k>(count: usize) -> Box<[Bucket<'k>]> {
    let layout = Layout::array::<Bucket<'_>>(count).expect("tables are far below the address space");
    assert!(count > 0);
    // SAFETY: the layout is not empty. Zeros are a valid bucket: a free one, without a value. A box gives the memory back
    // with the layout of its slice, which is this one.
    unsafe {
        let first = NonNull::new(alloc_zeroed(layout)).unwrap_or_else(|| handle_alloc_error(layout));
        Box::from_raw(NonNull::slice_from_raw_parts(first.cast(), count).as_ptr())
    }
}

/// Open addressing over groups of buckets, linear.
pub(super) struct Buckets<'k> {
    buckets: Box<[Bucket<'k>]>,
}

/// The hash as stored; its low half tells the place within the group, its high half the group.
#[inline(always)]
fn stored(hash: u64) -> u64 {
    hash | u64::from(hash == 0)
}

/// Places of a group, from the one where an entry of this hash is at home.
#[inline(always)]
fn places(hash: u64) -> impl Iterator<Item = usize> {
    (0..GROUP).map(move |step| (hash as usize + step) % GROUP)
}

impl<'k> Buckets<'k> {
    /// A table of `slots` buckets, a power of two and at least a group.
    pub(super) fn new(slots: usize) -> Self {
        assert!(slots.is_power_of_two() && slots >= GROUP);
        Self { buckets: allocate(slots) }
    }

    #[inline(always)]
    fn home(&self, hash: u64) -> usize {
        (hash >> 32) as usize & (self.buckets.len() / GROUP - 1)
    }

    /// A group; the mask makes any number one.
    #[inline(always)]
    fn group(&self, group: usize) -> &[Bucket<'k>; GROUP] {
        let groups = self.buckets.as_chunks().0;
        &groups[group & (groups.len() - 1)]
    }

    /// Adds a key that is not in the table. At least one bucket must stay free.
    pub(super) fn insert<const K: usize>(&mut self, hash: u64, key: &[u8; K], value: &'k u64) {
        let mut group = self.home(hash);
        let place = loop {
            if let Some(place) = places(hash).find(|&place| self.group(group)[place].hash == 0) {
                break place;
            }
            group = (group + 1) & (self.buckets.len() / GROUP - 1);
        };
        let mut key_data = [0; KEY];
        key_data[..K].copy_from_slice(key);
        self.buckets[group * GROUP + place] = Bucket { hash: stored(hash), key_data, value: Some(value) };
    }

    /// Whether a bucket of the wanted hash holds `key`.
    #[inline(always)]
    fn holds<const K: usize>(bucket: &Bucket<'k>, key: &[u8; K], trace: &mut impl Trace) -> bool {
        let (own, _) = bucket.key_data.split_first_chunk::<K>().expect("keys fit a bucket");
        trace.read(own);
        let same = own == key;
        if same {
            trace.read(&bucket.value);
        }
        same
    }

    /// The value of `key`, eight buckets at a time.
    ///
    /// # Safety
    /// The processor has the form `B`.
    #[inline(always)]
    pub(super) unsafe fn find<B: Batch, const K: usize>(
        &self,
        hash: u64,
        key: &[u8; K],
        trace: &mut impl Trace,
    ) -> Option<&'k u64> {
        let mut at = self.home(hash);
        loop {
            let group = self.group(at);
            for bucket in group {
                trace.read(&bucket.hash);
            }
            // SAFETY: the caller's promise.
            let (mut matches, free) = unsafe {
                let hashes = B::load(group);
                (B::equal(hashes, stored(hash)), B::equal(hashes, 0))
            };
            while matches != 0 {
                let bucket = &group[matches.trailing_zeros() as usize % GROUP];
                if Self::holds(bucket, key, trace) {
                    return bucket.value;
                }
                matches &= matches - 1;
            }
            if free != 0 {
                return None;
            }
            at += 1;
        }
    }

    /// The value of `key`, one bucket after the other.
    #[inline(always)]
    pub(super) fn find_singly<const K: usize>(
        &self,
        hash: u64,
        key: &[u8; K],
        trace: &mut impl Trace,
    ) -> Option<&'k u64> {
        let mut at = self.home(hash);
        loop {
            let group = self.group(at);
            for place in places(hash) {
                let bucket = &group[place];
                trace.read(&bucket.hash);
                if bucket.hash == stored(hash) {
                    if Self::holds(bucket, key, trace) {
                        return bucket.value;
                    }
                } else if bucket.hash == 0 {
                    return None;
                }
            }
            at += 1;
        }
    }

    /// The buckets, free ones too.
    pub(super) fn elements(&self) -> &[Bucket<'k>] {
        &self.buckets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_lie_on_lines_of_their_own() {
        for count in [1, 7, 8, 1000] {
            let buckets = allocate(count);
            assert_eq!(buckets.as_ptr().addr() % LINE, 0);
            assert!(buckets.iter().all(|bucket| bucket.hash == 0 && bucket.value.is_none()));
        }
    }
}
