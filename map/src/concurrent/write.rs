//! What a writer does with the trail that it holds: find, store, unlock, and leave to the garbage what it took out.
//!
//! Comparisons of keys are the only user code that runs under a lock; if one panics, nothing has changed.
//! Owned by `core.rs`. Invariant: an entry is retired once, after it is unlinked wherever it was linked, and no lock is held then.

#![allow(unsafe_code)]

use super::bucket::{Entry, Locked, Spot};
use super::core::{Core, Held};
use super::garbage::{Owned, Retired, SHARDS};
use super::lane::{Lane, Writer};
use super::migrate::Effect;
use super::rules::{Fault, Gap, Rules};
use crate::epoch;
use crate::hash::tophash;
use crate::raw::group::Tag;
use crate::sync::Ordering;
use core::ptr::{self, NonNull};

/// What an insertion may find.
pub(crate) enum Expect<K, V> {
    /// Whatever there is: it is replaced.
    Any,
    /// Nothing: an entry that is there stays.
    Absent,
    /// This very entry.
    Present(NonNull<Entry<K, V>>),
}

/// What came of an insertion.
pub(crate) enum Put<K, V> {
    Inserted(NonNull<Entry<K, V>>),
    /// What was there before, and what is there now.
    Replaced(NonNull<Entry<K, V>>, NonNull<Entry<K, V>>),
    /// Something else was there than was expected: that, and the entry that was to go in.
    Refused(Option<NonNull<Entry<K, V>>>, Box<Entry<K, V>>),
}

impl<K, V> Put<K, V> {
    /// What it did to the number of entries.
    pub(crate) fn effect(&self) -> Effect {
        if matches!(self, Self::Inserted(_)) { Effect::Inserted } else { Effect::SameLen }
    }
}

impl<K, V, R: Rules> Core<K, V, R> {
    /// Puts `entry` in, if what is there is what is expected. The caller is pinned, and `writer`.
    pub(crate) fn put(
        &self,
        writer: Writer,
        hash: u64,
        entry: Box<Entry<K, V>>,
        expect: &Expect<K, V>,
        same: impl Fn(&K, &K) -> bool,
    ) -> Put<K, V> {
        let held = self.hold(hash);
        let spot = held.find(hash, |found| match expect {
            Expect::Present(wanted) => ptr::eq(wanted.as_ptr(), found),
            _ => same(&found.key, &entry.key),
        });
        let found = spot.as_ref().and_then(|spot| NonNull::new(spot.entry));
        match (expect, found) {
            (Expect::Absent, Some(_)) | (Expect::Present(_), None) => return Put::Refused(found, entry),
            _ => {}
        }
        let entry = NonNull::from(Box::leak(entry));
        Self::commit(held, hash, spot.as_ref(), entry.as_ptr());
        if let Some(old) = found {
            self.retire_entry(writer, old);
            return Put::Replaced(old, entry);
        }
        self.count(writer, 1);
        Put::Inserted(entry)
    }

    /// Takes the entry out that `wanted` says yes to. It lives while the caller is pinned.
    pub(crate) fn take(
        &self,
        writer: Writer,
        hash: u64,
        wanted: impl FnMut(&Entry<K, V>) -> bool,
    ) -> Option<NonNull<Entry<K, V>>> {
        let held = self.hold(hash);
        let spot = held.find(hash, wanted)?;
        let found = NonNull::new(spot.entry)?;
        Self::commit(held, hash, Some(&spot), ptr::null_mut());
        self.count(writer, -1);
        self.retire_entry(writer, found);
        Some(found)
    }

    /// Stores `new` (null: nothing) in the place of `spot`, or somewhere if there is none, wherever the trail is kept, and unlocks.
    fn commit(held: Held<'_, K, V>, hash: u64, spot: Option<&Spot<'_, K, V>>, new: *mut Entry<K, V>) {
        let Held { mut truth, mirror } = held;
        let Some(mut mirror) = mirror else {
            edit(&mut truth, hash, spot, new);
            return;
        };
        let twin = spot.and_then(|spot| mirror.find(tag(hash), |found| ptr::eq(found, spot.entry)));
        // The new table first: who reads the old one by a kept view never sees what a later guard does not.
        if matches!(R::FAULT, Fault::OldFirst) {
            edit(&mut mirror, hash, twin.as_ref(), new);
            drop(mirror);
            R::gap(Gap::HalfWritten, 0);
            edit(&mut truth, hash, spot, new);
        } else {
            edit(&mut truth, hash, spot, new);
            drop(truth);
            R::gap(Gap::HalfWritten, 0);
            edit(&mut mirror, hash, twin.as_ref(), new);
        }
    }

    #[inline]
    fn retire_entry(&self, writer: Writer, entry: NonNull<Entry<K, V>>) {
        if let (Some(lane), Fault::None) = (writer.lane(&self.lanes), R::FAULT) {
            if lane.put(entry.as_ptr()) {
                self.garbage.empty(writer.shard, lane);
            }
            return;
        }
        // SAFETY: entries are boxes; this one was unlinked under its trail's lock, by this thread.
        self.retire(writer.shard, Retired::Entry(unsafe { Owned::new(entry.as_ptr()) }));
    }

    /// Leaves `piece` to the garbage, or for ever, where the rules are broken on purpose.
    pub(crate) fn retire(&self, shard: usize, piece: Retired<K, V>) {
        if matches!(R::FAULT, Fault::None) {
            self.garbage.retire(shard, piece);
        } else {
            core::mem::forget(piece);
        }
    }

    /// Frees what is over of the shard, if it is due.
    #[inline]
    pub(crate) fn relieve(&self, writer: Writer) {
        self.garbage.relieve::<R>(writer.shard, writer.lane(&self.lanes));
    }

    /// A box of an entry. The caller is pinned, and `writer`.
    #[inline(always)]
    pub(crate) fn boxed(&self, writer: Writer, key: K, value: V) -> Box<Entry<K, V>> {
        let entry = Entry { key, value };
        match writer.lane(&self.lanes) {
            Some(lane) => lane.boxed(entry),
            None => Box::new(entry),
        }
    }

    #[inline(always)]
    fn count(&self, writer: Writer, change: isize) {
        match writer.lane(&self.lanes) {
            Some(lane) => lane.count(change),
            // Relaxed: a count, which publishes nothing.
            None => _ = self.counts[writer.shard].0.fetch_add(change, Ordering::Relaxed),
        }
    }

    /// What this writer, and who shares its counter, inserted less what they removed.
    #[inline(always)]
    pub(crate) fn counted_by(&self, writer: Writer) -> isize {
        let shared = || self.counts[writer.shard].0.load(Ordering::Relaxed);
        writer.lane(&self.lanes).map_or_else(shared, Lane::counted)
    }

    /// Entries: exact while nobody writes.
    pub(crate) fn len(&self) -> usize {
        // Who wrote had a number, so lanes and counters beyond all numbers are zero.
        let used = epoch::numbers().min(SHARDS);
        let shared: isize = self.counts[..used].iter().map(|count| count.0.load(Ordering::Relaxed)).sum();
        let sum = shared + self.lanes[..used].iter().map(Lane::counted).sum::<isize>();
        sum.max(0).unsigned_abs()
    }
}

impl<'t, K, V> Held<'t, K, V> {
    fn find(&self, hash: u64, mut wanted: impl FnMut(&Entry<K, V>) -> bool) -> Option<Spot<'t, K, V>> {
        // SAFETY: entries of a locked trail are linked, and the caller is pinned; null only where rules are broken.
        self.truth.find(tag(hash), |found| unsafe { found.as_ref() }.is_some_and(&mut wanted))
    }
}

fn tag(hash: u64) -> Tag {
    Tag::of(hash)
}

fn edit<K, V>(trail: &mut Locked<'_, K, V>, hash: u64, spot: Option<&Spot<'_, K, V>>, new: *mut Entry<K, V>) {
    match spot {
        Some(spot) if new.is_null() => trail.remove(spot),
        Some(spot) => trail.replace(spot, new),
        None if new.is_null() => {}
        None => trail.put(tophash(hash), new),
    }
}
