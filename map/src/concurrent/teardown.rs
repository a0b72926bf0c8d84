//! The end of a map: every entry, every overflow bucket and every table, once.
//!
//! Owned by `core.rs`. Invariant: of a table that is being copied, buckets below the mark are not read again: their segments may
//! be closed.

#![allow(unsafe_code)]

use super::core::Core;
use super::rules::{Fault, Fresh, Rules};
use super::table::Table;
use crate::sync::Ordering;

impl<K, V> Table<K, V> {
    /// Drops the entries of the homes from `first` on. One whose drop panics leaves the rest undropped.
    fn drop_entries(&self, first: usize) {
        for home in first..self.homes {
            self.each::<Fresh>(home, |entry| {
                // SAFETY: a box, linked once in the tables' valid parts, and the map is gone.
                drop(unsafe { Box::from_raw(entry.as_ptr()) });
            });
        }
    }

    /// Drops the overflow buckets of the homes from `first` on, which are reached no more.
    fn drop_overflow(&self, first: usize) {
        for home in first..self.homes {
            self.bucket(home).unlocked().each_overflow(|bucket| {
                // SAFETY: a box, linked once; the one behind it was read before.
                drop(unsafe { Box::from_raw(bucket) });
            });
        }
    }
}

impl<K, V> Drop for Table<K, V> {
    /// A table that was mirrored keeps its overflow buckets to its end.
    fn drop(&mut self) {
        if self.ended.load(Ordering::Relaxed) != 0 {
            self.drop_overflow(0);
        }
    }
}

impl<K, V, R: Rules> Drop for Core<K, V, R> {
    fn drop(&mut self) {
        // Where rules are broken, an entry may be linked twice.
        let drops_entries = matches!(R::FAULT, Fault::None);
        let (table, oldest) = (self.table.load(Ordering::Relaxed), self.oldest.load(Ordering::Relaxed));
        if oldest != table {
            // SAFETY: a table that ended, whose entries are all in the next; a box.
            drop(unsafe { Box::from_raw(oldest) });
        }
        // SAFETY: boxes, of which the map is the only owner.
        let table = unsafe { Box::from_raw(table) };
        let next = table.next::<R>();
        // SAFETY: as above, where there is one.
        let next = (!next.is_null()).then(|| unsafe { Box::from_raw(next) });
        let flipped = table.read_ts::<R>();
        if drops_entries {
            table.drop_entries(flipped);
            if let Some(next) = &next {
                next.drop_entries(0);
            }
        }
        // A flipped bucket's trail was retired, unless it was mirrored.
        table.drop_overflow(if R::MIRRORED { 0 } else { flipped });
        if let Some(next) = &next {
            next.drop_overflow(0);
        }
    }
}
