//! A ring for one producer and one consumer (Lamport 1983; cached indices as in Rigtorp's queue).
//!
//! Head and tail are counters that only rise, on cache lines of their own. Each end keeps its own index and the last that
//! it saw of its peer's, and looks at the peer's line again only when the ring seems full, or empty.
//!
//! ```text
//! push: tail - head_seen == N?  head_seen = head (acquire); still?  full
//!       slots[tail % N] = value;  tail = tail + 1 (release)
//! pop:  head == tail_seen?      tail_seen = tail (acquire); still?  empty
//!       value = slots[head % N];  head = head + 1 (release)
//! ```
//!
//! Invariant: slots `head..tail` hold values and are the consumer's, the others are the producer's. The release store of an
//! index hands slots over; the acquire load of it takes them.

#![allow(unsafe_code)]

use crate::sync::ordered::{LoadAcquire, Orders, Published, ReleaseAcquire, StoreRelease};
use crate::sync::{AtomicBool, AtomicUsize, Ordering, Padded, Place, const_fn, filled};
use core::fmt;
use core::mem::MaybeUninit;

/// A bounded queue of `N` values (a power of two) between two threads.
///
/// ```
/// use bucketmask_alloc::sync::ring::Ring;
///
/// static RING: Ring<u64, 8> = Ring::new();
/// let (mut producer, mut consumer) = (RING.producer().unwrap(), RING.consumer().unwrap());
/// producer.push(7).unwrap();
/// assert_eq!((consumer.pop(), consumer.pop()), (Some(7), None));
/// assert!(RING.producer().is_none(), "there is one producer at a time");
/// ```
pub struct Ring<T, const N: usize, O: Orders = ReleaseAcquire> {
    /// Values pushed so far. Stored by the producer.
    tail: Padded<Published<AtomicUsize, O>>,
    /// Values popped so far. Stored by the consumer.
    head: Padded<Published<AtomicUsize, O>>,
    /// Whether there is a producer. Claimed with acquire, which pairs with the release of the claim before.
    producing: AtomicBool,
    /// The same of the consumer.
    consuming: AtomicBool,
    slots: [Place<MaybeUninit<T>>; N],
}

// SAFETY: values go from one thread to another, never are they shared; indices say whose a slot is.
unsafe impl<T: Send, const N: usize, O: Orders> Sync for Ring<T, N, O> {}
// SAFETY: as for `Sync`.
unsafe impl<T: Send, const N: usize, O: Orders> Send for Ring<T, N, O> {}

impl<T, const N: usize, O: Orders> Ring<T, N, O> {
    const MASK: usize = {
        assert!(N.is_power_of_two(), "a ring has a power of two of slots");
        N - 1
    };

    const_fn! {
        /// An empty ring.
        pub fn new() -> Self {
            let _ = Self::MASK;
            Self {
                tail: Padded(Published::new(AtomicUsize::new(0))),
                head: Padded(Published::new(AtomicUsize::new(0))),
                producing: AtomicBool::new(false),
                consuming: AtomicBool::new(false),
                slots: filled!(N, Place::new(MaybeUninit::uninit())),
            }
        }
    }

    /// The end that pushes; `None` while there is one.
    pub fn producer(&self) -> Option<Producer<'_, T, N, O>> {
        claim(&self.producing).then(|| {
            let (tail, head) = (self.tail.0.writer(), self.head.0.reader());
            Producer { ring: self, next: tail.own(), head_seen: head.load(), tail, head }
        })
    }

    /// The end that pops; `None` while there is one.
    pub fn consumer(&self) -> Option<Consumer<'_, T, N, O>> {
        claim(&self.consuming).then(|| {
            let (head, tail) = (self.head.0.writer(), self.tail.0.reader());
            Consumer { ring: self, next: head.own(), tail_seen: tail.load(), head, tail }
        })
    }
}

/// Whether the end was free; it is the caller's then. Acquire: pairs with the release in the last owner's drop, so that
/// the index it left is seen.
fn claim(claimed: &AtomicBool) -> bool {
    !claimed.swap(true, Ordering::Acquire)
}

impl<T, const N: usize, O: Orders> Default for Ring<T, N, O> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T, const N: usize, O: Orders> fmt::Debug for Ring<T, N, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring").field("slots", &N).finish_non_exhaustive()
    }
}

impl<T, const N: usize, O: Orders> Drop for Ring<T, N, O> {
    /// Drops what was pushed and never popped.
    fn drop(&mut self) {
        // Ends that were forgotten left their mark; none can be alive, since they borrow the ring.
        self.consuming.store(false, Ordering::Relaxed);
        if let Some(mut consumer) = self.consumer() {
            while consumer.pop().is_some() {}
        }
    }
}

/// The pushing end of a [`Ring`].
pub struct Producer<'r, T, const N: usize, O: Orders = ReleaseAcquire> {
    ring: &'r Ring<T, N, O>,
    tail: StoreRelease<'r, AtomicUsize, O>,
    head: LoadAcquire<'r, AtomicUsize, O>,
    /// Where the next value goes: what `tail` holds.
    next: usize,
    /// The consumer's index as it was seen last: slots before it are free again.
    head_seen: usize,
}

impl<T, const N: usize, O: Orders> Producer<'_, T, N, O> {
    /// Puts `value` in.
    ///
    /// # Errors
    /// Gives `value` back where the ring is full.
    #[inline]
    pub fn push(&mut self, value: T) -> Result<(), T> {
        if self.next.wrapping_sub(self.head_seen) == N {
            self.head_seen = self.head.load();
            if self.next.wrapping_sub(self.head_seen) == N {
                return Err(value);
            }
        }
        let slot = &self.ring.slots[self.next & Ring::<T, N, O>::MASK];
        // SAFETY: fewer than `N` values lie between `head_seen` and `next`, so this slot's last value was popped: the
        // acquire load of the head saw it. There is one producer, and its borrow is exclusive.
        slot.with_mut(|slot| unsafe { (*slot).write(value) });
        self.next = self.next.wrapping_add(1);
        self.tail.store(self.next);
        Ok(())
    }
}

impl<T, const N: usize, O: Orders> Drop for Producer<'_, T, N, O> {
    fn drop(&mut self) {
        self.ring.producing.store(false, Ordering::Release);
    }
}

/// The popping end of a [`Ring`].
pub struct Consumer<'r, T, const N: usize, O: Orders = ReleaseAcquire> {
    ring: &'r Ring<T, N, O>,
    head: StoreRelease<'r, AtomicUsize, O>,
    tail: LoadAcquire<'r, AtomicUsize, O>,
    /// Where the next value comes from: what `head` holds.
    next: usize,
    /// The producer's index as it was seen last: slots before it hold values.
    tail_seen: usize,
}

impl<T, const N: usize, O: Orders> Consumer<'_, T, N, O> {
    /// Takes the value that was pushed first. `None`: the ring is empty.
    #[inline]
    pub fn pop(&mut self) -> Option<T> {
        if self.next == self.tail_seen {
            self.tail_seen = self.tail.load();
            if self.next == self.tail_seen {
                return None;
            }
        }
        let slot = &self.ring.slots[self.next & Ring::<T, N, O>::MASK];
        // SAFETY: the slot lies before `tail_seen`, so it was written before the tail that the acquire load saw was stored,
        // and it is read once: the index moves on. There is one consumer, and its borrow is exclusive.
        let value = slot.with_mut(|slot| unsafe { (*slot).assume_init_read() });
        self.next = self.next.wrapping_add(1);
        self.head.store(self.next);
        Some(value)
    }

    /// Values that can be popped now, at least.
    pub fn len(&self) -> usize {
        self.tail.load().wrapping_sub(self.next)
    }

    /// Whether there is nothing to pop now.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T, const N: usize, O: Orders> Drop for Consumer<'_, T, N, O> {
    fn drop(&mut self) {
        self.ring.consuming.store(false, Ordering::Release);
    }
}
