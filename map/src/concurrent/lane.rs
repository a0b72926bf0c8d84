//! What one thread writes alone of a map: its count of entries, the last few that it took out, and memory for new ones.
//!
//! A thread's guards have a record whose number is no other's meanwhile, and threads of low numbers have a lane each: counting and
//! retiring there takes no lock and no read-modify-write. Others, and guards that may be shared, count and retire in shards. Whoever has
//! the lock of the lane's shard may take out what lies in it. Entries that this thread frees leave it their memory: an entry that
//! another thread allocated would have to go back to that one, and the next insertion would allocate again.
//!
//! Owned by `core`. Invariant: `pushed` is stored by the lane's thread alone, `taken` under the shard's lock alone, and at most
//! [`ROOM`] lie between them; `spare` is touched by the lane's thread alone, while it is pinned.

#![allow(unsafe_code)]

use super::bucket::Entry;
use super::garbage::SHARDS;
use crate::epoch;
use crate::sync::{AtomicIsize, AtomicPtr, AtomicUsize, Ordering, ZEROS_ARE_NEW};
use bucketmask_alloc::prefetch;
use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::ptr;
use static_assertions::const_assert;

/// Entries that a lane holds: the rest of its two pairs of lines. A few in a model checker, so that lanes are full now and then.
pub(crate) const ROOM: usize = if ZEROS_ARE_NEW { 26 } else { 4 };
/// Blocks of memory that a lane keeps: as many as a bag frees at once.
const SPARE: usize = super::garbage::BAG;
/// Whether memory of entries is kept. Not under `AddressSanitizer`, which would take a use of a freed entry for one of the next.
const KEEPS: bool = cfg!(not(bucketmask_unkept));

/// The memory of an entry.
pub(crate) type Room<K, V> = Box<MaybeUninit<Entry<K, V>>>;

/// Who writes: which shard, and whether its lane is this thread's alone.
#[derive(Clone, Copy, Debug)]
pub struct Writer {
    pub(crate) shard: usize,
    alone: bool,
}

impl Writer {
    /// A thread whose guard has the record of this number: no other thread has it while the guard lives.
    #[inline(always)]
    pub(crate) fn thread(index: usize) -> Self {
        Self { shard: index % SHARDS, alone: epoch::NUMBERS_ARE_UNIQUE && index < SHARDS }
    }

    /// Any thread, by a guard that may be shared.
    #[inline(always)]
    pub(crate) fn anybody(index: usize) -> Self {
        Self { shard: index % SHARDS, alone: false }
    }

    /// The lane that is this writer's alone, if one is.
    #[inline(always)]
    pub(crate) fn lane<T>(self, lanes: &[T; SHARDS]) -> Option<&T> {
        self.alone.then(|| &lanes[self.shard])
    }
}

#[repr(align(128))]
pub(crate) struct Lane<K, V> {
    /// Entries inserted less entries removed. Relaxed: a count, which publishes nothing.
    count: AtomicIsize,
    /// Entries put in so far. Stored with release by the lane's thread; the acquire load of who takes them sees that they are unlinked.
    pushed: AtomicUsize,
    /// Entries taken out so far. Stored with release, so that who sums bytes does not miss what was counted elsewhere.
    taken: AtomicUsize,
    recent: [AtomicPtr<Entry<K, V>>; ROOM],
    /// Memory for entries.
    spare: UnsafeCell<Vec<Room<K, V>>>,
}

const_assert!(!ZEROS_ARE_NEW || size_of::<Lane<u64, u64>>() <= 256);

// SAFETY: entries are owned, and given from thread to thread under the shard's lock; `spare`, memory without values, is touched by one
// thread at a time, and who has the record next sees what the last one did.
unsafe impl<K: Send, V: Send> Send for Lane<K, V> {}
// SAFETY: as above.
unsafe impl<K: Send, V: Send> Sync for Lane<K, V> {}

impl<K, V> Lane<K, V> {
    pub(crate) fn new() -> Self {
        Self {
            count: AtomicIsize::new(0),
            pushed: AtomicUsize::new(0),
            taken: AtomicUsize::new(0),
            recent: core::array::from_fn(|_| AtomicPtr::new(ptr::null_mut())),
            spare: UnsafeCell::new(Vec::new()),
        }
    }

    /// A box of `entry`, in memory that was kept if there is some. The lane is the caller's alone.
    #[inline(always)]
    pub(crate) fn boxed(&self, entry: Entry<K, V>) -> Box<Entry<K, V>> {
        // SAFETY: the lane's thread alone touches it, and nothing else runs while it does.
        let spare = unsafe { &mut *self.spare.get() };
        match spare.pop() {
            Some(mut room) => {
                // The next one was freed long ago: its line is on its way while this operation goes on.
                if let Some(next) = spare.last() {
                    prefetch(next.as_ptr());
                }
                room.write(entry);
                // SAFETY: just written.
                unsafe { room.assume_init() }
            }
            None => Box::new(entry),
        }
    }

    /// Keeps the memory of an entry that was dropped, unless there is enough. The lane is the caller's alone.
    pub(crate) fn keep(&self, room: Room<K, V>) {
        // SAFETY: as in `boxed`.
        let spare = unsafe { &mut *self.spare.get() };
        if KEEPS && spare.len() < SPARE {
            spare.push(room);
        }
    }

    /// Counts `change`. The lane is the caller's alone.
    #[inline(always)]
    pub(crate) fn count(&self, change: isize) {
        // No other thread stores it: a load and a store are enough.
        self.count.store(self.count.load(Ordering::Relaxed) + change, Ordering::Relaxed);
    }

    /// The count.
    #[inline(always)]
    pub(crate) fn counted(&self) -> isize {
        self.count.load(Ordering::Relaxed)
    }

    /// Puts `entry` in, which is unlinked. Whether the lane is full now: then it must be emptied before the next. The lane is the
    /// caller's alone.
    #[inline(always)]
    pub(crate) fn put(&self, entry: *mut Entry<K, V>) -> bool {
        let pushed = self.pushed.load(Ordering::Relaxed);
        // The slot's last entry was taken: by this thread, or under the lock that this thread took since, as the lane was full.
        self.recent[pushed % ROOM].store(entry, Ordering::Relaxed);
        // Release: pairs with the acquire in `take`.
        self.pushed.store(pushed + 1, Ordering::Release);
        (pushed + 1) % ROOM == 0
    }

    /// Takes all entries out. The caller has the shard's lock, or the map.
    pub(crate) fn take(&self, mut each: impl FnMut(*mut Entry<K, V>)) {
        let taken = self.taken.load(Ordering::Relaxed);
        // Acquire: pairs with the release in `put`.
        let pushed = self.pushed.load(Ordering::Acquire);
        (taken..pushed).for_each(|nth| each(self.recent[nth % ROOM].load(Ordering::Relaxed)));
        // Release: pairs with the acquire in `len`.
        self.taken.store(pushed, Ordering::Release);
    }

    /// How many lie in it.
    pub(crate) fn len(&self) -> usize {
        // The lower one first, with acquire, which pairs with the release in `take`: who took them had seen them put in, so what is
        // loaded next is no less and the difference not negative. What was counted elsewhere before is seen, too.
        let taken = self.taken.load(Ordering::Acquire);
        self.pushed.load(Ordering::Acquire) - taken
    }
}

impl<K, V> Drop for Lane<K, V> {
    /// Drops what was left in it. One whose drop panics leaves the rest undropped.
    fn drop(&mut self) {
        self.take(|entry| {
            // SAFETY: a box, which was unlinked as it was put in and is taken out once; the map is gone.
            drop(unsafe { Box::from_raw(entry) });
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(key: u64) -> *mut Entry<u64, String> {
        Box::into_raw(Box::new(Entry { key, value: key.to_string() }))
    }

    #[test]
    fn what_is_put_in_is_taken_out_once_and_in_order() {
        if !ZEROS_ARE_NEW {
            // A model checker's atomics live in its models only.
            return;
        }
        let lane = Lane::<u64, String>::new();
        let mut next = 0;
        for lap in 1..5 {
            for _ in 0..ROOM / lap {
                let full = lane.put(entry(next));
                next += 1;
                assert_eq!(full, next % ROOM as u64 == 0);
            }
            assert_eq!(lane.len(), ROOM / lap);
            let mut expected = next - (ROOM / lap) as u64;
            lane.take(|taken| {
                // SAFETY: put in by this test, and taken out once.
                let taken = unsafe { Box::from_raw(taken) };
                assert_eq!((taken.key, &taken.value), (expected, &expected.to_string()));
                expected += 1;
            });
            assert_eq!((expected, lane.len()), (next, 0));
        }
        // The lane's end drops what is left.
        let left = std::sync::Arc::new(());
        let lane = Lane::<u64, std::sync::Arc<()>>::new();
        lane.put(Box::into_raw(Box::new(Entry { key: 0, value: left.clone() })));
        drop(lane);
        assert_eq!(std::sync::Arc::strong_count(&left), 1);
    }

    #[test]
    fn memory_is_kept_up_to_a_bag_and_used_again() {
        if !ZEROS_ARE_NEW {
            return;
        }
        let lane = Lane::<u64, u64>::new();
        let first: Room<u64, u64> = Box::new(MaybeUninit::uninit());
        let address = first.as_ptr().addr();
        lane.keep(first);
        (0..2 * SPARE).for_each(|_| lane.keep(Box::new(MaybeUninit::uninit())));
        // SAFETY: nothing else runs.
        let kept = unsafe { &*lane.spare.get() }.len();
        assert_eq!(kept, if KEEPS { SPARE } else { 0 });
        let boxes: Vec<_> = (0..kept).map(|key| lane.boxed(Entry { key: key as u64, value: 7 })).collect();
        assert!(boxes.iter().enumerate().all(|(key, entry)| (entry.key, entry.value) == (key as u64, 7)));
        assert!(!KEEPS || boxes.iter().any(|entry| ptr::from_ref(&**entry).addr() == address));
    }
}
