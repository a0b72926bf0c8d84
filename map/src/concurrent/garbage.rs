//! What was unlinked and may still be seen: a map's own list, freed as epochs pass, or with the map.
//!
//! Writers put garbage into one of a few shards, entries by way of their lanes where they have one; a shard that has collected [`BAG`] pieces, or [`BAG_BYTES`], closes the bag with a tag and is
//! **due**. The operation that finds its shard due tries, as the last thing it does, to move the epoch on, and frees what is over.
//! So pending garbage is bounded by the shards and the bags of three epochs, while no guard is held long and no thread sleeps
//! while it moves the epoch on; how much it is, and which guard holds it, can be asked.
//! Invariant: [`Garbage::retire`] runs no user code and does not panic. Drops, and hooks of old guards, run in [`Garbage::relieve`] and
//! [`Garbage::collect`] only: with no lock held, no right to copy claimed, all bookkeeping done, and never within each other.

#![allow(unsafe_code)]

use super::block::Block;
use super::bucket::{Bucket, Entry};
use super::lane::{Lane, ROOM};
use super::rules::Rules;
use super::table::Table;
use crate::epoch;
use crate::sync::{AtomicBool, AtomicUsize, Mutex, Ordering};
use bucketmask_alloc::sync::Padded;
use core::cell::Cell;
use core::mem::{ManuallyDrop, MaybeUninit};
use std::collections::VecDeque;
use std::sync::Arc;

/// Shards of a map's lists and counters.
pub(crate) const SHARDS: usize = 16;
/// Pieces, or bytes, that a shard collects before it looks for what may be freed: that takes a barrier on all threads, which
/// interrupts each of them. A thousand, in whole lanes.
pub(crate) const BAG: usize = 39 * ROOM;
const BAG_BYTES: usize = 256 << 10;

/// A piece of garbage, whose drop frees it.
pub(crate) enum Retired<K, V> {
    Entry(Owned<Entry<K, V>>),
    Overflow(#[expect(dead_code, reason = "kept for its drop")] Owned<Bucket<K, V>>),
    /// The segment of the block that begins at this bucket.
    Segment(Arc<Block<K, V>>, usize),
    Table(#[expect(dead_code, reason = "kept for its drop")] Owned<Table<K, V>>),
}

/// A box that readers may still look into.
pub(crate) struct Owned<T>(*mut T);

impl<T> Owned<T> {
    /// # Safety
    /// `pointer` came from a box, is unlinked, and is given to one `Owned` only.
    pub(crate) unsafe fn new(pointer: *mut T) -> Self {
        Self(pointer)
    }
}

impl<T> Owned<T> {
    /// Drops what is in the box: its memory. If the drop panics, that is freed.
    #[expect(clippy::unnecessary_box_returns, reason = "the box's memory is what is wanted")]
    fn drop_in_place(self) -> Box<MaybeUninit<T>> {
        let pointer = ManuallyDrop::new(self).0;
        // SAFETY: from a box, and the only owner; a box of what may be anything drops nothing.
        let mut room = unsafe { Box::from_raw(pointer.cast::<MaybeUninit<T>>()) };
        // SAFETY: it holds a value, which nobody can see any more, as who drops garbage vouches, and which is not dropped again.
        unsafe { room.assume_init_drop() };
        room
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: from a box, and the only owner; who drops garbage vouches that its grace period is over.
        drop(unsafe { Box::from_raw(self.0) });
    }
}

impl<K, V> Retired<K, V> {
    fn bytes(&self) -> usize {
        match self {
            Self::Entry(_) => size_of::<Entry<K, V>>(),
            Self::Overflow(_) => size_of::<Bucket<K, V>>(),
            Self::Segment(..) => super::block::SEGMENT * size_of::<Bucket<K, V>>(),
            Self::Table(_) => size_of::<Table<K, V>>(),
        }
    }

    /// Frees it, and leaves the memory of an entry to `lane`, which is the caller's alone. Not in a drop: the list of a map that is
    /// dropped must not close segments of a block that goes as a whole.
    fn free(self, lane: Option<&Lane<K, V>>) {
        match (self, lane) {
            (Self::Segment(block, first), _) => block.close(first),
            (Self::Entry(entry), Some(lane)) => lane.keep(entry.drop_in_place()),
            (other, _) => drop(other),
        }
    }
}

thread_local! {
    /// Whether this thread is freeing garbage, of whichever map: a drop that writes only queues, lest drops nest one level a bag.
    static FREEING: Cell<bool> = const { Cell::new(false) };
}

/// The one freeing of this thread; ends on unwinding too.
struct Freeing;

impl Freeing {
    /// `None`: this thread is at it already, and a drop that it runs asks.
    fn begin() -> Option<Self> {
        (!FREEING.replace(true)).then(|| Self)
    }
}

impl Drop for Freeing {
    fn drop(&mut self) {
        FREEING.set(false);
    }
}

struct Bags<K, V> {
    open: Vec<Retired<K, V>>,
    open_bytes: usize,
    closed: VecDeque<(u64, Vec<Retired<K, V>>)>,
}

struct Shard<K, V> {
    bags: Mutex<Bags<K, V>>,
    /// Bytes in the bags. A figure: it orders nothing.
    bytes: AtomicUsize,
    /// Whether a bag was closed since somebody last looked for what is over. A hint: the lock orders the bags.
    due: AtomicBool,
}

pub(crate) struct Garbage<K, V> {
    shards: [Padded<Shard<K, V>>; SHARDS],
}

// SAFETY: garbage is owned, and given from thread to thread under the shards' locks; drops need `Send`.
unsafe impl<K: Send, V: Send> Send for Garbage<K, V> {}
// SAFETY: as above.
unsafe impl<K: Send, V: Send> Sync for Garbage<K, V> {}

impl<K, V> Garbage<K, V> {
    pub(crate) fn new() -> Self {
        Self {
            shards: core::array::from_fn(|_| {
                let bags = Bags { open: Vec::new(), open_bytes: 0, closed: VecDeque::new() };
                Padded(Shard {
                    bags: Mutex::new(bags),
                    bytes: AtomicUsize::new(0),
                    due: AtomicBool::new(false),
                })
            }),
        }
    }

    /// Empties the lane of a shard into its bags. Runs no user code, and does not panic.
    #[cold]
    #[inline(never)]
    pub(crate) fn empty(&self, shard: usize, lane: &Lane<K, V>) {
        let shard = &self.shards[shard].0;
        let mut bags = shard.bags.lock();
        shard.bytes.fetch_add(bags.empty(lane), Ordering::Relaxed);
        shard.close_if_full(&mut bags);
    }

    /// Takes `piece`, which is unlinked. Runs no user code, and does not panic.
    pub(crate) fn retire(&self, shard: usize, piece: Retired<K, V>) {
        let shard = &self.shards[shard % SHARDS].0;
        let bytes = piece.bytes();
        shard.bytes.fetch_add(bytes, Ordering::Relaxed);
        let mut bags = shard.bags.lock();
        bags.open.push(piece);
        bags.open_bytes += bytes;
        shard.close_if_full(&mut bags);
    }

    /// Frees what is over of a shard that is due: the last that an operation does, since drops, and hooks of old guards, may do
    /// anything, and panic. No lock of the map may be held, nor the right to copy. The memory of entries is left to `lane`, which is the
    /// caller's alone.
    #[inline]
    pub(crate) fn relieve<R: Rules>(&self, shard: usize, lane: Option<&Lane<K, V>>) {
        let shard = &self.shards[shard % SHARDS].0;
        if shard.due.load(Ordering::Relaxed) {
            shard.relieve::<R>(lane);
        }
    }

    /// Frees all that is over, of all shards, moving the epoch on as far as guards allow. Returns the bytes that are left. Asked by
    /// a drop that garbage runs, it frees nothing.
    pub(crate) fn collect<R: Rules>(&self, lanes: &[Lane<K, V>; SHARDS]) -> usize {
        let Some(_freeing) = Freeing::begin() else { return self.bytes(lanes) };
        for (shard, lane) in self.shards.iter().zip(lanes) {
            let mut bags = shard.0.bags.lock();
            shard.0.bytes.fetch_add(bags.empty(lane), Ordering::Relaxed);
            bags.close();
        }
        for _ in 0..=epoch::GRACE {
            epoch::advance();
        }
        for shard in &self.shards {
            shard.0.free_what_is_over::<R>(None);
        }
        self.bytes(lanes)
    }

    /// Bytes that wait, without what entries own elsewhere.
    pub(crate) fn bytes(&self, lanes: &[Lane<K, V>; SHARDS]) -> usize {
        let recent = lanes.iter().map(Lane::len).sum::<usize>() * size_of::<Entry<K, V>>();
        recent + self.shards.iter().map(|shard| shard.0.bytes.load(Ordering::Relaxed)).sum::<usize>()
    }
}

impl<K, V> Bags<K, V> {
    /// Moves what lies in the shard's lane into the open bag: its bytes.
    fn empty(&mut self, lane: &Lane<K, V>) -> usize {
        let before = self.open.len();
        // SAFETY: who put it in unlinked it, and it is taken out once.
        lane.take(|entry| self.open.push(Retired::Entry(unsafe { Owned::new(entry) })));
        let bytes = (self.open.len() - before) * size_of::<Entry<K, V>>();
        self.open_bytes += bytes;
        bytes
    }

    /// Closes the open bag with the present tag.
    fn close(&mut self) {
        if !self.open.is_empty() {
            // The next one will need as much room: grown by doubling, it would be copied twice.
            let next = Vec::with_capacity(self.open.len());
            let bag = core::mem::replace(&mut self.open, next);
            self.open_bytes = 0;
            self.closed.push_back((epoch::tag(), bag));
        }
    }
}

/// A bag that is being freed. If a drop panics, the rest goes back to its shard, for a later call.
struct Rest<'s, K, V> {
    shard: &'s Shard<K, V>,
    tag: u64,
    bag: std::vec::IntoIter<Retired<K, V>>,
}

impl<K, V> Drop for Rest<'_, K, V> {
    fn drop(&mut self) {
        let rest: Vec<_> = self.bag.by_ref().collect();
        if !rest.is_empty() {
            let bytes = rest.iter().map(Retired::bytes).sum();
            self.shard.bytes.fetch_add(bytes, Ordering::Relaxed);
            self.shard.bags.lock().closed.push_front((self.tag, rest));
            self.shard.due.store(true, Ordering::Relaxed);
        }
    }
}

impl<K, V> Shard<K, V> {
    /// Closes the open bag if it is time to.
    fn close_if_full(&self, bags: &mut Bags<K, V>) {
        // A lane is emptied as a whole: so that no bag has more than it should.
        if bags.open.len() + ROOM > BAG || bags.open_bytes >= BAG_BYTES {
            bags.close();
            self.due.store(true, Ordering::Relaxed);
        }
    }

    #[cold]
    #[inline(never)]
    fn relieve<R: Rules>(&self, lane: Option<&Lane<K, V>>) {
        let Some(_freeing) = Freeing::begin() else { return };
        if self.due.swap(false, Ordering::Relaxed) {
            epoch::advance();
            self.free_what_is_over::<R>(lane);
        }
    }

    /// Frees the bags whose grace period has passed. The caller is [`Freeing`].
    fn free_what_is_over<R: Rules>(&self, lane: Option<&Lane<K, V>>) {
        loop {
            let bag = {
                let mut bags = self.bags.lock();
                match bags.closed.front() {
                    Some(&(tag, _)) if epoch::is_over_by(tag, R::GRACE) => bags.closed.pop_front(),
                    _ => return,
                }
            };
            if let Some((tag, bag)) = bag {
                let bytes = bag.iter().map(Retired::bytes).sum();
                self.bytes.fetch_sub(bytes, Ordering::Relaxed);
                let mut rest = Rest { shard: self, tag, bag: bag.into_iter() };
                rest.bag.by_ref().for_each(|piece| piece.free(lane));
            }
        }
    }
}
