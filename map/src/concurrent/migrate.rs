//! The copier: from the old table to the new one, a bucket at a time, in order, after a writer's own work.
//!
//! ```text
//! lock the old bucket                          writers of its keys wait, readers don't
//! hash its entries                             user code: nothing has changed yet if it panics
//! put each into its new home, under its lock
//! sync_offset = bucket + 1 (release)           the flip: from here on new is the truth
//! unlock;  retire its overflow buckets, and the segment if it was the segment's last
//! ```
//!
//! The old bucket is not emptied: a reader whose `read_ts` is older reads it as it was at the flip, which was after that
//! reader began. Homes are in hash order, so any number of buckets goes to any other, by the same walk.
//! Owned by `core.rs`. Invariant: one thread copies at a time; it holds one old lock and one new one at most, in that order. No user
//! code but the hashing of keys, before anything has changed, runs while the right to copy is claimed.

#![allow(unsafe_code)]

use super::block::{PORTION, SEGMENT};
use super::bucket::Entry;
use super::core::Core;
use super::garbage::{Owned, Retired};
use super::lane::Writer;
use super::rules::{Fault, Gap, Rules};
use super::table::Table;
use crate::epoch;
use crate::hash::tophash;
use crate::sync::Ordering;
use bucketmask_alloc::prefetch;
use smallvec::SmallVec;
use std::sync::Arc;

/// Entries a home takes, on average, before the table grows.
pub(crate) const FILL: usize = 10;
/// Entries a home has, on average, when the table begins to shrink.
const LOW: usize = 3;
/// Entries a home gets, on average, by shrinking.
const SHRUNK: usize = 7;
/// How many times as many buckets a writer moves where the next table is full already.
const URGENT: usize = 8;
/// How many buckets before it is moved a bucket is asked for.
const AHEAD: usize = 1;
/// Tables of fewer homes grow by doubling, larger ones, of 4 MiB and more, by 7/16, so that less is spare.
const DOUBLING: usize = 1 << 15;
/// Tables of fewer homes have each writer look at the counts, and do not shrink.
const SMALL: usize = 16;

type Copied<K, V> = SmallVec<[(u64, *mut Entry<K, V>); 24]>;

/// What a writer did to the number of entries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Effect {
    Inserted,
    Removed,
    /// Replaced something, or did nothing.
    SameLen,
}

/// Gives the right to copy back, on unwinding too.
struct Copying<'c, K, V, R: Rules>(&'c Core<K, V, R>);

impl<K, V, R: Rules> Drop for Copying<'_, K, V, R> {
    fn drop(&mut self) {
        // Release: pairs with the acquire of the next claim.
        self.0.copying.0.store(false, Ordering::Release);
    }
}

/// Homes for `len` entries, so that none of them makes the table grow.
pub(crate) fn homes_for(len: usize) -> usize {
    len.div_ceil(FILL).max(1)
}

impl<K, V, R: Rules> Core<K, V, R> {
    /// The right to copy; `None` while another thread has it.
    fn claim(&self) -> Option<Copying<'_, K, V, R>> {
        let free = !self.copying.0.load(Ordering::Relaxed) && !self.copying.0.swap(true, Ordering::Acquire);
        free.then(|| Copying(self))
    }

    /// A writer's share of upkeep: begins a migration that is due, or moves a few buckets, and frees what is over. Only who
    /// removed something makes a table shrink, so that one of a reserved size stays. The caller is pinned, holds no lock, and has
    /// done all else: what is freed may panic.
    pub(crate) fn upkeep(&self, writer: Writer, effect: Effect, hash_of: &impl Fn(&K) -> u64) {
        let table = self.first();
        // Who changed no count does not look at them: they lie in lines that other writers write.
        let looks = effect != Effect::SameLen && self.is_time_to_count(writer, table);
        if !table.next::<R>().is_null() {
            self.step(writer.shard, self.piece(looks, table), hash_of);
        } else if looks {
            let removed = effect == Effect::Removed;
            let len = self.len();
            if let Some(homes) = wanted(table.homes, len).filter(|&homes| removed || homes > table.homes) {
                self.begin(homes);
            }
        }
        self.relieve(writer);
    }

    /// Whether this writer, whose count just changed, looks at them all: each one of a small table, every sixteenth of a large one.
    fn is_time_to_count(&self, writer: Writer, table: &Table<K, V>) -> bool {
        table.homes < SMALL || self.counted_by(writer) % 16 == 0
    }

    fn piece(&self, looks: bool, table: &Table<K, V>) -> usize {
        if looks && self.len() > table.behind::<R>().homes * FILL { R::PIECE * URGENT } else { R::PIECE }
    }

    /// Begins to move to a table of `homes`, unless a migration is under way. `false`: one is, or its end is not over yet.
    pub(crate) fn begin(&self, homes: usize) -> bool {
        let Some(copying) = self.claim() else { return false };
        let table = self.first();
        if !table.next::<R>().is_null() {
            return false;
        }
        if !self.let_go_of_the_oldest(0) {
            drop(copying);
            epoch::advance();
            return false;
        }
        table.begin(Table::new(homes));
        true
    }

    /// Moves up to `buckets` buckets. `false`: there is no migration (any more), or another thread is at it.
    pub(crate) fn step(&self, shard: usize, buckets: usize, hash_of: &impl Fn(&K) -> u64) -> bool {
        let Some(_copying) = self.claim() else { return false };
        let table = self.first();
        if table.next::<R>().is_null() {
            return false;
        }
        for _ in 0..buckets {
            // This thread alone stores it now, and saw what the last copier stored when it claimed.
            let home = table.read_ts::<R>();
            // None is left where a gap panicked after the last flip: only the end is missing then.
            if home < table.homes {
                let next = table.behind::<R>();
                // Before the bucket is locked: the kernel takes some microseconds to clear a portion.
                for portion in new_portions(home, table.homes, next.homes) {
                    next.block.populate(portion * PORTION);
                }
                self.move_bucket(shard, table, home, hash_of);
            }
            if home + 1 >= table.homes {
                self.finish(shard, table);
                return false;
            }
        }
        true
    }

    fn move_bucket(&self, shard: usize, table: &Table<K, V>, home: usize, hash_of: &impl Fn(&K) -> u64) {
        let next = table.behind::<R>();
        let old = table.bucket(home);
        let locked = if matches!(R::FAULT, Fault::NoExclusion) { old.unlocked() } else { old.lock() };
        R::gap(Gap::Locked, home);
        table.ask_for(home + AHEAD);
        let mut copied = Copied::new();
        // Asked for all at once: each is a line of its own, and waiting for one after the other would be most of the work.
        locked.each(|_, entry| prefetch(entry));
        locked.each(|_, entry| {
            // SAFETY: entries of a locked trail are linked, and the caller is pinned; null only where rules are broken.
            if let Some(found) = unsafe { entry.as_ref() } {
                copied.push((hash_of(&found.key), entry));
            }
        });
        if matches!(R::FAULT, Fault::EarlyFlip) {
            table.flip::<R>(home);
            R::gap(Gap::Flipped, home);
        }
        put_all(next, &copied);
        R::gap(Gap::Copied, home);
        if !matches!(R::FAULT, Fault::EarlyFlip) {
            table.flip::<R>(home);
            R::gap(Gap::Flipped, home);
        }
        drop(locked);
        if !R::MIRRORED {
            // Flipped, so nobody writes to it any more.
            // SAFETY: who pins from now on does not reach a flipped bucket's trail; each is unlinked with it, once.
            let retire = |bucket| self.retire(shard, Retired::Overflow(unsafe { Owned::new(bucket) }));
            old.unlocked().each_overflow(retire);
            if (home + 1) % SEGMENT == 0 {
                self.retire(shard, Retired::Segment(Arc::clone(&table.block), home + 1 - SEGMENT));
            }
        }
        R::gap(Gap::Unlocked, home);
        if matches!(R::FAULT, Fault::Overwrite) {
            overwrite(next, &copied, hash_of);
        }
    }

    /// All buckets are flipped: the new table is the first from now on.
    fn finish(&self, shard: usize, table: &Table<K, V>) {
        // Release: pairs with the acquire loads in `first` and `hold`.
        self.table.store(table.next::<R>(), Ordering::Release);
        if R::MIRRORED {
            // Guards that have the old table in view are older than this.
            table.ended.store(epoch::tag(), Ordering::Relaxed);
            return;
        }
        self.oldest.store(table.next::<R>(), Ordering::Release);
        let table = core::ptr::from_ref(table).cast_mut();
        // SAFETY: tables are boxes; no pointer leads to this one any more.
        self.retire(shard, Retired::Table(unsafe { Owned::new(table) }));
    }

    /// Stops mirroring a table whose migration has ended, once no guard can have it in view. `false`: one may. The caller copies.
    fn let_go_of_the_oldest(&self, shard: usize) -> bool {
        let oldest = self.oldest.load(Ordering::Relaxed);
        let first = self.first();
        if core::ptr::eq(oldest, first) {
            return true;
        }
        // SAFETY: only who copies retires tables.
        let ended = unsafe { &*oldest }.ended.load(Ordering::Relaxed);
        if !epoch::is_over(ended) {
            return false;
        }
        // Release: pairs with the acquire load in `hold`.
        self.oldest.store(core::ptr::from_ref(first).cast_mut(), Ordering::Release);
        // SAFETY: as in `finish`. Its overflow buckets go with it: a writer that loaded it before may still mirror into it.
        self.retire(shard, Retired::Table(unsafe { Owned::new(oldest) }));
        true
    }
}

/// The homes that a table of `homes` with `len` entries should move to, if to any.
fn wanted(homes: usize, len: usize) -> Option<usize> {
    if len > homes.saturating_mul(FILL) {
        Some(if homes < DOUBLING { homes * 2 } else { homes + homes / 16 * 7 }.max(homes_for(len)))
    } else if homes > SMALL && len < homes * LOW {
        Some((len / SHRUNK).max(SMALL / 2))
    } else {
        None
    }
}

/// The portions of a table of `next` homes that entries come to first from bucket `home` of `homes`.
fn new_portions(home: usize, homes: usize, next: usize) -> core::ops::Range<usize> {
    // Portions up to the home where the hashes of this bucket end: those of the buckets before have been named.
    let until = |home: usize| (home as u64 * next as u64 / homes as u64) as usize / PORTION + 1;
    (if home == 0 { 0 } else { until(home) })..until(home + 1).min(next.div_ceil(PORTION))
}

/// Puts entries into their homes, each of which is locked once for all that go there. Those of one bucket go to neighbours, since homes are
/// in hash order.
fn put_all<K, V>(next: &Table<K, V>, copied: &Copied<K, V>) {
    let mut left = Copied::from_slice(copied);
    while let Some(&(hash, _)) = left.first() {
        let home = next.home(hash);
        let mut locked = next.bucket(home).lock();
        left.retain(|&mut (hash, entry)| {
            let stays = next.home(hash) != home;
            if !stays {
                locked.put(tophash(hash), entry);
            }
            stays
        });
    }
}

/// The fault: what was copied is stored again over what writers made of it since.
fn overwrite<K, V>(next: &Table<K, V>, copied: &Copied<K, V>, hash_of: &impl Fn(&K) -> u64) {
    for &(hash, entry) in copied {
        let mut locked = next.bucket(next.home(hash)).lock();
        let tag = crate::raw::group::Tag::of(hash);
        // SAFETY: entries of a locked trail are linked, and maps with a fault free none.
        let found = locked
            .find(tag, |found| unsafe { found.as_ref() }.is_some_and(|found| hash_of(&found.key) == hash));
        match found {
            Some(spot) => locked.replace(&spot, entry),
            None => locked.put(tophash(hash), entry),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_neither_grows_nor_shrinks_right_after_it_did() {
        for homes in (1..3000).chain(DOUBLING - 99..DOUBLING + 99) {
            let full = homes * FILL;
            assert_eq!(wanted(homes, full), None);
            let grown = wanted(homes, full + 1).expect("it grows");
            assert!(
                grown > homes
                    && wanted(grown, full + 1).is_none()
                    && wanted(grown, full - full / 4).is_none()
            );
            if let Some(shrunk) = wanted(homes, homes * 2) {
                assert!(shrunk < homes, "{homes} -> {shrunk}");
                assert!(
                    wanted(shrunk, homes * 2).is_none() && wanted(shrunk, homes * 2 + homes / 4).is_none()
                );
            }
            assert!(wanted(homes_for(full), full).is_none());
        }
    }

    #[test]
    fn each_portion_is_named_once_and_before_entries_come_to_it() {
        for (homes, next) in
            [(1, 2), (16, 8), (4097, 8194), (5000, 7500), (9000, 3000), (1024, 2048), (7, 70_000)]
        {
            let mut named = 0;
            for home in 0..homes {
                let portions = new_portions(home, homes, next);
                if !portions.is_empty() {
                    assert_eq!(portions.start, named, "{home} of {homes} to {next}");
                    named = portions.end;
                }
                // The last hash of the bucket.
                let last =
                    if home + 1 == homes { u64::MAX } else { crate::hash::first_hash(home + 1, homes) - 1 };
                assert!(crate::hash::home(last, next) / PORTION < named, "{home} of {homes} to {next}");
            }
            assert_eq!(named, next.div_ceil(PORTION));
        }
    }
}
