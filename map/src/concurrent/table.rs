//! A table, and the path of a read.
//!
//! ```text
//! table = map.table (acquire)
//! loop: home = high half of hash * homes;  read_ts = table.flipped (acquire)
//!       home >= read_ts?   look in the home's trail: head (acquire), slot (acquire), key
//!       otherwise          table = table.next (acquire)
//! ```
//!
//! Owned by `core`. Invariant: `flipped` only rises, under the lock of the bucket that it passes; a bucket below it is never written again
//! (but mirrored), and its entries are in the next table, which was stored before.

#![allow(unsafe_code)]

use super::block::Block;
use super::bucket::{Bucket, Entry};
use super::clock::Clock;
use super::rules::{Fault, Gap, Rules};
use crate::hash;
use crate::raw::group::Tag;
use crate::sync::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use bucketmask_alloc::prefetch;
use core::ptr::NonNull;
use std::sync::Arc;

/// One table. Its first line is all that a read needs of it.
#[repr(align(64))]
pub(crate) struct Table<K, V> {
    base: NonNull<Bucket<K, V>>,
    pub(crate) homes: usize,
    /// `sync_offset`: buckets flipped to the next table, in order.
    flipped: Clock<AtomicUsize>,
    /// Where the entries go. Stored with release before the first flip; loaded with acquire.
    next: AtomicPtr<Self>,
    /// The tag of the migration's end: the mode that mirrors keeps the table until it is over. 0: not ended.
    pub(crate) ended: AtomicU64,
    pub(crate) block: Arc<Block<K, V>>,
}

// SAFETY: `base` points into the block, which is owned; buckets are atomics and locks.
unsafe impl<K: Send, V: Send> Send for Table<K, V> {}
// SAFETY: as above.
unsafe impl<K: Send + Sync, V: Send + Sync> Sync for Table<K, V> {}

impl<K, V> Table<K, V> {
    pub(crate) fn new(homes: usize) -> Self {
        let block = Arc::new(Block::new(homes));
        Self {
            base: block.base(),
            homes,
            flipped: Clock::new(AtomicUsize::new(0)),
            next: AtomicPtr::new(core::ptr::null_mut()),
            ended: AtomicU64::new(0),
            block,
        }
    }

    #[inline(always)]
    pub(crate) fn home(&self, hash: u64) -> usize {
        hash::home(hash, self.homes)
    }

    /// A home's first bucket.
    #[inline(always)]
    pub(crate) fn bucket(&self, home: usize) -> &Bucket<K, V> {
        debug_assert!(home < self.homes);
        // SAFETY: homes are below `homes`: the high half of a product with it.
        unsafe { self.base.add(home).as_ref() }
    }

    /// Asks for the memory of a home, if there is such a one.
    #[inline(always)]
    pub(crate) fn ask_for(&self, home: usize) {
        if home < self.homes {
            self.bucket(home).ask_for();
        }
    }

    /// `sync_offset`, as a reader or a writer loads it.
    #[inline(always)]
    pub(crate) fn read_ts<R: Rules>(&self) -> usize {
        self.flipped.read_ts::<R>()
    }

    /// Stores the mark behind `home`.
    pub(crate) fn flip<R: Rules>(&self, home: usize) {
        self.flipped.flip::<R>(home);
    }

    /// The table that entries go to; null: none. Pairs with `begin`.
    #[inline(always)]
    pub(crate) fn next<R: Rules>(&self) -> *mut Self {
        let relaxed = matches!(R::FAULT, Fault::RelaxedTable);
        self.next.load(if relaxed { Ordering::Relaxed } else { Ordering::Acquire })
    }

    /// The table that entries go to, where some bucket has been flipped.
    #[inline(always)]
    pub(crate) fn behind<R: Rules>(&self) -> &Self {
        // SAFETY: `next` was stored before the first flip, which the caller's acquire load saw. It outlives this table.
        unsafe { &*self.next::<R>() }
    }

    /// Entries go to `next` from now on. Pairs with `next`.
    pub(crate) fn begin(&self, next: Self) {
        self.next.store(Box::into_raw(Box::new(next)), Ordering::Release);
    }

    /// The entry of `hash` that `wanted` says yes to, in the trail of this table.
    ///
    /// A reader that finds nothing has looked at each slot after it began; an entry never moves, so a key that was there all
    /// the time is found. The null of a slot that was just emptied is passed over.
    #[inline(always)]
    pub(crate) fn look(
        &self,
        home: usize,
        hash: u64,
        mut wanted: impl FnMut(&Entry<K, V>) -> bool,
    ) -> Option<NonNull<Entry<K, V>>> {
        let tag = Tag::of(hash);
        let mut bucket = self.bucket(home);
        // Half of the slots lie in the second line: asked for beside the first, not after it.
        prefetch(bucket.last_slot());
        loop {
            let seen = bucket.seen();
            let mut matches = seen.matches(tag);
            while matches != 0 {
                let entry = bucket.entry(matches.trailing_zeros() as usize);
                matches &= matches - 1;
                // SAFETY: entries live until a grace period after they are unlinked, and the caller has been pinned since
                // before it loaded the table.
                if let Some(found) = unsafe { entry.as_ref() } {
                    if wanted(found) {
                        return Some(NonNull::from(found));
                    }
                }
            }
            if !seen.has_overflow() {
                return None;
            }
            // SAFETY: the bit says that there is one; it lives as long as its home can be reached.
            bucket = unsafe { &*bucket.overflow() };
        }
    }

    /// Calls `visit` with every entry of a home's trail that is there, without a lock. Not with its tophash: what a slot has may
    /// have been put there after the head was loaded.
    pub(crate) fn each<R: Rules>(&self, home: usize, mut visit: impl FnMut(NonNull<Entry<K, V>>)) {
        let mut next = Some(self.bucket(home));
        while let Some(bucket) = next {
            let seen = bucket.seen();
            let mut occupied = seen.occupied();
            while occupied != 0 {
                let slot = occupied.trailing_zeros() as usize;
                occupied &= occupied - 1;
                R::gap(Gap::Seen, slot);
                if let Some(entry) = NonNull::new(bucket.entry(slot)) {
                    visit(entry);
                }
            }
            // SAFETY: as in `look`.
            next = seen.has_overflow().then(|| unsafe { &*bucket.overflow() });
        }
    }
}
