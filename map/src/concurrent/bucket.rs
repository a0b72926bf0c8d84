//! A bucket to the byte: two cache lines, one lock, at most 13 entries, and a way to go on.
//!
//! ```text
//! byte   0..13   tophash of slot 0..13; 0: the slot is empty      words 0 and 1 are atomic words
//!       13       0
//!       14       bit 0 locked, bit 1 threads are parked, bit 2 there is an overflow bucket
//!       15       0
//!       16..120  slots: pointers to entries
//!      120..128  the overflow bucket, of the same format
//! ```
//!
//! A home and its overflow buckets are its **trail**; the home's lock governs all of it. The head is the map's (`raw/group`),
//! with the state where the other map counts what passed.
//! Invariant: an entry stays in its slot until it is removed; a slot is stored before its tophash, and an overflow bucket
//! before its bit.

#![allow(unsafe_code)]

use crate::raw::group::{Head, Tag};
use crate::sync::{AtomicPtr, AtomicU64, Ordering, ZEROS_ARE_NEW, park, pause, unpark_all};
use bucketmask_alloc::prefetch;
use core::mem::offset_of;
use static_assertions::const_assert;

/// Slots of a bucket.
pub(crate) const SLOTS: usize = 13;

const LOCKED: u64 = 1 << 48;
const PARKED: u64 = 1 << 49;
const OVERFLOW: u64 = 1 << 50;
/// The slots' bits in an answer of a head.
const ALL: u16 = (1 << SLOTS) - 1;

/// A key and its value, where they stay until a grace period after they are removed.
#[derive(Debug)]
pub(crate) struct Entry<K, V> {
    pub(crate) key: K,
    pub(crate) value: V,
}

#[repr(C, align(128))]
pub(crate) struct Bucket<K, V> {
    /// Tophashes and state. Stored with release by whoever has the lock (the lock itself is taken and left by
    /// read-modify-writes); loaded with acquire by readers, so that the slot of a tophash and the bucket of the overflow bit are seen.
    head: [AtomicU64; 2],
    /// Stored with release under the lock; loaded with acquire, so that the entry's contents are seen.
    slots: [AtomicPtr<Entry<K, V>>; SLOTS],
    /// As the slots. Stored once.
    overflow: AtomicPtr<Self>,
}

// A model checker's atomics are larger.
const_assert!(!ZEROS_ARE_NEW || size_of::<Bucket<u64, u64>>() == 128);
const_assert!(!ZEROS_ARE_NEW || offset_of!(Bucket<u64, u64>, slots) == 16);

/// A head as one reader saw it.
#[derive(Clone, Copy)]
pub(crate) struct Seen([u64; 2]);

impl Seen {
    #[inline(always)]
    fn head(self) -> Head {
        Head::of_words(self.0)
    }

    /// The slots whose tophash is `tag`'s. The bytes behind the slots match none: 13 and 15 are zero, and 14 is not compared.
    #[inline(always)]
    pub(crate) fn matches(self, tag: Tag) -> u16 {
        self.head().matches(tag)
    }

    #[inline(always)]
    pub(crate) fn occupied(self) -> u16 {
        self.head().occupied() & ALL
    }

    fn empty(self) -> u16 {
        self.head().empty() & ALL
    }

    #[inline(always)]
    pub(crate) fn has_overflow(self) -> bool {
        self.0[1] & OVERFLOW != 0
    }

    /// The tophash of `slot`.
    pub(crate) fn tophash(self, slot: usize) -> u8 {
        (self.0[slot / 8] >> (slot % 8 * 8)) as u8
    }

    fn set(&mut self, slot: usize, tophash: u8) {
        let (word, shift) = (slot / 8, slot % 8 * 8);
        self.0[word] = self.0[word] & !(0xff << shift) | u64::from(tophash) << shift;
    }
}

impl<K, V> Bucket<K, V> {
    pub(crate) fn new() -> Self {
        Self {
            head: core::array::from_fn(|_| AtomicU64::new(0)),
            slots: core::array::from_fn(|_| AtomicPtr::new(core::ptr::null_mut())),
            overflow: AtomicPtr::new(core::ptr::null_mut()),
        }
    }

    /// The head now. Acquire: pairs with the release stores under the lock.
    #[inline(always)]
    pub(crate) fn seen(&self) -> Seen {
        Seen([self.head[0].load(Ordering::Acquire), self.head[1].load(Ordering::Acquire)])
    }

    /// Asks for both lines.
    #[inline(always)]
    pub(crate) fn ask_for(&self) {
        prefetch(&raw const self.head);
        prefetch(self.last_slot());
    }

    /// A place in the second line.
    #[inline(always)]
    pub(crate) fn last_slot(&self) -> *const AtomicPtr<Entry<K, V>> {
        &raw const self.slots[SLOTS - 1]
    }

    /// The entry in `slot`, or null. Acquire: pairs with the release store of `put` and `replace`.
    #[inline(always)]
    pub(crate) fn entry(&self, slot: usize) -> *mut Entry<K, V> {
        // SAFETY: callers take slots from answers of heads, which have bits below `SLOTS` alone.
        unsafe { self.slots.get_unchecked(slot) }.load(Ordering::Acquire)
    }

    /// The overflow bucket, where `has_overflow` was seen. Acquire: pairs with the release store in `Locked::extend`.
    #[inline(always)]
    pub(crate) fn overflow(&self) -> *mut Self {
        self.overflow.load(Ordering::Acquire)
    }

    /// Locks the trail that begins here.
    pub(crate) fn lock(&self) -> Locked<'_, K, V> {
        let mut round = 0;
        // The slots are wanted next.
        prefetch(self.last_slot());
        let mut word = self.head[1].load(Ordering::Relaxed);
        loop {
            if word & LOCKED == 0 {
                // Acquire: pairs with the swap of the unlock, so that this holder sees all that the last one stored.
                match self.head[1].compare_exchange_weak(
                    word,
                    word | LOCKED,
                    Ordering::Acquire,
                    Ordering::Relaxed,
                ) {
                    Ok(_) => break,
                    Err(now) => word = now,
                }
                continue;
            }
            if !pause(round) {
                self.wait(word);
            }
            round = round.saturating_add(1);
            word = self.head[1].load(Ordering::Relaxed);
        }
        let head = Seen([self.head[0].load(Ordering::Relaxed), word & !(LOCKED | PARKED)]);
        Locked { home: self, head, unlocks: true }
    }

    /// The trail without its lock, to be read only: for who has the map to itself, and for a protocol that is broken on purpose.
    pub(crate) fn unlocked(&self) -> Locked<'_, K, V> {
        let mut head = self.seen();
        head.0[1] &= !(LOCKED | PARKED);
        Locked { home: self, head, unlocks: false }
    }

    fn address(&self) -> usize {
        core::ptr::from_ref(&self.head[1]).addr()
    }

    /// Sleeps while the bucket is locked, as it was when `word` was loaded.
    #[cold]
    fn wait(&self, word: u64) {
        let marked = word & PARKED != 0
            || self.head[1]
                .compare_exchange(word, word | PARKED, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if marked {
            let both = LOCKED | PARKED;
            park(self.address(), || self.head[1].load(Ordering::Relaxed) & both == both);
        }
    }
}

/// A trail that is locked: the only way to write to it.
pub(crate) struct Locked<'t, K, V> {
    home: &'t Bucket<K, V>,
    /// The home's head as it will be when it is unlocked.
    head: Seen,
    unlocks: bool,
}

/// Where in a trail an entry lies.
pub(crate) struct Spot<'t, K, V> {
    bucket: &'t Bucket<K, V>,
    slot: usize,
    pub(crate) entry: *mut Entry<K, V>,
}

impl<'t, K, V> Locked<'t, K, V> {
    fn seen(&self, bucket: &Bucket<K, V>) -> Seen {
        if core::ptr::eq(bucket, self.home) { self.head } else { bucket.seen() }
    }

    /// The bucket behind `bucket`.
    fn behind(bucket: &'t Bucket<K, V>) -> Option<&'t Bucket<K, V>> {
        // SAFETY: null, or an overflow bucket, which lives as long as its home can be reached.
        unsafe { bucket.overflow().as_ref() }
    }

    /// The entry of this tophash that `wanted` says yes to. If `wanted` panics, the trail is unlocked as it was.
    pub(crate) fn find(
        &self,
        tag: Tag,
        mut wanted: impl FnMut(*mut Entry<K, V>) -> bool,
    ) -> Option<Spot<'t, K, V>> {
        let mut next = Some(self.home);
        while let Some(bucket) = next {
            let mut matches = self.seen(bucket).matches(tag);
            while matches != 0 {
                let slot = matches.trailing_zeros() as usize;
                matches &= matches - 1;
                let entry = bucket.entry(slot);
                if wanted(entry) {
                    return Some(Spot { bucket, slot, entry });
                }
            }
            next = Self::behind(bucket);
        }
        None
    }

    /// Calls `visit` with every entry of the trail and its tophash.
    pub(crate) fn each(&self, mut visit: impl FnMut(u8, *mut Entry<K, V>)) {
        let mut next = Some(self.home);
        while let Some(bucket) = next {
            let seen = self.seen(bucket);
            let mut occupied = seen.occupied();
            while occupied != 0 {
                let slot = occupied.trailing_zeros() as usize;
                occupied &= occupied - 1;
                visit(seen.tophash(slot), bucket.entry(slot));
            }
            next = Self::behind(bucket);
        }
    }

    /// Calls `visit` with every overflow bucket.
    pub(crate) fn each_overflow(&self, mut visit: impl FnMut(*mut Bucket<K, V>)) {
        let mut bucket = self.home.overflow();
        // SAFETY: as in `behind`; the next is read before the bucket is given away.
        while let Some(found) = unsafe { bucket.as_ref() } {
            let next = found.overflow();
            visit(bucket);
            bucket = next;
        }
    }

    /// Puts `entry`, whose key is not in the trail, into a free slot, of a new overflow bucket if there is no other.
    pub(crate) fn put(&mut self, tophash: u8, entry: *mut Entry<K, V>) {
        let mut bucket = self.home;
        loop {
            let empty = self.seen(bucket).empty();
            if empty != 0 {
                let slot = empty.trailing_zeros() as usize;
                bucket.slots[slot].store(entry, Ordering::Release);
                self.set(bucket, slot, tophash);
                return;
            }
            match Self::behind(bucket) {
                Some(behind) => bucket = behind,
                None => break,
            }
        }
        let fresh = Box::new(Bucket::new());
        fresh.slots[0].store(entry, Ordering::Relaxed);
        fresh.head[0].store(u64::from(tophash), Ordering::Relaxed);
        self.extend(bucket, Box::into_raw(fresh));
    }

    /// Appends a bucket: its contents are published by the pointer, and the pointer by the bit.
    fn extend(&mut self, bucket: &Bucket<K, V>, fresh: *mut Bucket<K, V>) {
        bucket.overflow.store(fresh, Ordering::Release);
        if core::ptr::eq(bucket, self.home) {
            self.head.0[1] |= OVERFLOW;
        } else {
            let word = bucket.seen().0[1] | OVERFLOW;
            bucket.head[1].store(word, Ordering::Release);
        }
    }

    /// Puts `entry` in the place of the one at `spot`: one store, which readers see at once.
    #[expect(clippy::unused_self, reason = "having the lock is what allows the store")]
    pub(crate) fn replace(&mut self, spot: &Spot<'_, K, V>, entry: *mut Entry<K, V>) {
        spot.bucket.slots[spot.slot].store(entry, Ordering::Release);
    }

    /// Takes the entry at `spot` out: for readers it is gone with the first store.
    pub(crate) fn remove(&mut self, spot: &Spot<'_, K, V>) {
        spot.bucket.slots[spot.slot].store(core::ptr::null_mut(), Ordering::Release);
        self.set(spot.bucket, spot.slot, 0);
    }

    /// Stores a tophash; that of a slot in the home's second word waits for the unlock, which stores that word.
    fn set(&mut self, bucket: &Bucket<K, V>, slot: usize, tophash: u8) {
        let mut seen = self.seen(bucket);
        seen.set(slot, tophash);
        let word = slot / 8;
        if core::ptr::eq(bucket, self.home) {
            self.head = seen;
            if word == 1 {
                return;
            }
        }
        bucket.head[word].store(seen.0[word], Ordering::Release);
    }
}

impl<K, V> Drop for Locked<'_, K, V> {
    /// Publishes the head and unlocks by one locked instruction, so that all stores are out before a writer returns.
    fn drop(&mut self) {
        if !self.unlocks {
            return;
        }
        let before = self.home.head[1].swap(self.head.0[1], Ordering::SeqCst);
        debug_assert!(before & LOCKED != 0, "unlocked a bucket that was not locked");
        if before & PARKED != 0 {
            unpark_all(self.home.address());
        }
    }
}
