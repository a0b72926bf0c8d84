//! The table that the aligned bucket is set against: records of 24 bytes side by side, keys in blocks of their own, probed one
//! by one. A case owns one. Invariant: a record's hash is 0 if and only if the record is free, and at least one is.

use std::mem::offset_of;

use static_assertions::const_assert_eq;

use super::trace::Trace;

/// Hash, key and value, with no regard to lines: two records of eight straddle one.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(super) struct Record<'k, const K: usize> {
    /// Never 0 in use.
    hash: u32,
    key: Option<&'k [u8; K]>,
    value: Option<&'k u64>,
}

#[cfg(target_pointer_width = "64")]
const_assert_eq!(size_of::<Record<16>>(), 24);
const_assert_eq!(offset_of!(Record<16>, hash), 0);
const_assert_eq!(offset_of!(Record<16>, key), 8);
const_assert_eq!(offset_of!(Record<16>, value), 16);

/// Open addressing over records, linear.
pub(super) struct Records<'k, const K: usize> {
    records: Vec<Record<'k, K>>,
}

/// The stored part of a hash; the table's place is taken from the other half.
#[inline(always)]
fn stored(hash: u64) -> u32 {
    hash as u32 | u32::from(hash as u32 == 0)
}

impl<'k, const K: usize> Records<'k, K> {
    /// A table of `slots` records, a power of two.
    pub(super) fn new(slots: usize) -> Self {
        assert!(slots.is_power_of_two());
        Self { records: vec![Record { hash: 0, key: None, value: None }; slots] }
    }

    #[inline(always)]
    fn home(&self, hash: u64) -> usize {
        (hash >> 32) as usize & (self.records.len() - 1)
    }

    /// Adds a key that is not in the table. At least one record must stay free.
    pub(super) fn insert(&mut self, hash: u64, key: &'k [u8; K], value: &'k u64) {
        let mut at = self.home(hash);
        while self.records[at].hash != 0 {
            at = (at + 1) & (self.records.len() - 1);
        }
        self.records[at] = Record { hash: stored(hash), key: Some(key), value: Some(value) };
    }

    /// The value of `key`.
    #[inline(always)]
    pub(super) fn find(&self, hash: u64, key: &[u8; K], trace: &mut impl Trace) -> Option<&'k u64> {
        let wanted = stored(hash);
        let mut at = self.home(hash);
        loop {
            // The mask keeps `at` below the length, which is a power of two; the compiler sees no more than an index.
            let record = &self.records[at];
            trace.read(&record.hash);
            if record.hash == wanted {
                trace.read(&record.key);
                if let Some(own) = record.key {
                    trace.read(own);
                    if own == key {
                        trace.read(&record.value);
                        return record.value;
                    }
                }
            } else if record.hash == 0 {
                return None;
            }
            at = (at + 1) & (self.records.len() - 1);
        }
    }

    /// The records, free ones too.
    pub(super) fn elements(&self) -> &[Record<'k, K>] {
        &self.records
    }
}
