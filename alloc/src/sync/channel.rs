//! A bounded channel from several producers to one consumer, in the order of the producers' tickets.
//!
//! Each slot has a **turn** that says whose it is: with `first` the first ticket of a lap, `first` is the sender's of that
//! lap, `first + 1` the receiver's. A sender takes a ticket by one compare-and-swap, writes its slot, and stores the turn
//! with release; the receiver looks for the turn of the next ticket with acquire. After Vyukov's bounded queue, whose
//! sequence numbers the turns are, less the slot's own index, so that a channel of zeros is an empty one.
//!
//! ```text
//! send:     ticket = tail;  turn[ticket % N] == first?  no: full, or another was faster
//!           tail: ticket -> ticket + 1 (compare-and-swap);  slot = value;  turn = first + 1 (release)
//! receive:  turn[head % N] == first + 1 (acquire)?  no: empty
//!           value = slot;  turn = first + N (release);  head += 1
//! ```
//!
//! Invariant: a slot is touched only by whom its turn names. A sender that sleeps between ticket and turn holds up what comes
//! behind it, for the receiver and, a lap later, for senders: the price of order.

#![allow(unsafe_code)]

use crate::sync::ordered::{Orders, Published, ReleaseAcquire};
use crate::sync::{AtomicBool, AtomicUsize, Ordering, Padded, Place, const_fn, filled};
use core::fmt;
use core::mem::MaybeUninit;

/// A bounded channel of `N` values (a power of two, and more than one).
///
/// ```
/// use bucketmask_alloc::sync::channel::Channel;
///
/// static CHANNEL: Channel<(u32, &str), 4> = Channel::new();
/// let mut receive = CHANNEL.receiver().unwrap();
/// let send = CHANNEL.sender();
/// std::thread::scope(|threads| {
///     threads.spawn(|| send.send((1, "from one")).unwrap());
///     threads.spawn(|| send.send((2, "from another")).unwrap());
/// });
/// let both = [receive.receive().unwrap().0, receive.receive().unwrap().0];
/// assert!(both == [1, 2] || both == [2, 1]);
/// assert_eq!(receive.receive(), None);
/// ```
pub struct Channel<T, const N: usize, O: Orders = ReleaseAcquire> {
    /// The next ticket. Only ever swapped upwards; it publishes nothing, the turns do.
    tail: Padded<AtomicUsize>,
    /// Where the last receiver stopped. Written when a receiver is dropped, before its claim is.
    head: Padded<AtomicUsize>,
    /// Whether there is a receiver. Claimed with acquire, which pairs with the release in the drop of the last one.
    receiving: AtomicBool,
    slots: [Slot<T, O>; N],
}

struct Slot<T, O> {
    turn: Published<AtomicUsize, O>,
    value: Place<MaybeUninit<T>>,
}

// SAFETY: values go from one thread to another, never are they shared; turns say whose a slot is.
unsafe impl<T: Send, const N: usize, O: Orders> Sync for Channel<T, N, O> {}
// SAFETY: as for `Sync`.
unsafe impl<T: Send, const N: usize, O: Orders> Send for Channel<T, N, O> {}

impl<T, const N: usize, O: Orders> Channel<T, N, O> {
    const MASK: usize = {
        assert!(N.is_power_of_two() && N > 1, "a channel has a power of two of slots, and more than one");
        N - 1
    };

    const_fn! {
        /// An empty channel.
        pub fn new() -> Self {
            let _ = Self::MASK;
            Self {
                tail: Padded(AtomicUsize::new(0)),
                head: Padded(AtomicUsize::new(0)),
                receiving: AtomicBool::new(false),
                slots: filled!(N, Slot {
                    turn: Published::new(AtomicUsize::new(0)),
                    value: Place::new(MaybeUninit::uninit()),
                }),
            }
        }
    }

    /// An end that sends: as many as are wanted.
    pub fn sender(&self) -> Rel<'_, T, N, O> {
        Rel { channel: self }
    }

    /// The end that receives; `None` while there is one.
    pub fn receiver(&self) -> Option<Acq<'_, T, N, O>> {
        // Acquire: pairs with the release in the last receiver's drop, so that its head is seen.
        let free = !self.receiving.swap(true, Ordering::Acquire);
        free.then(|| Acq { channel: self, head: self.head.0.load(Ordering::Relaxed) })
    }

    #[inline(always)]
    fn slot(&self, ticket: usize) -> &Slot<T, O> {
        &self.slots[ticket & Self::MASK]
    }

    /// The turn of who sends under this ticket; the receiver's is one more.
    #[inline(always)]
    fn sender_turn(ticket: usize) -> usize {
        ticket & !Self::MASK
    }
}

impl<T, const N: usize, O: Orders> Default for Channel<T, N, O> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T, const N: usize, O: Orders> fmt::Debug for Channel<T, N, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").field("slots", &N).finish_non_exhaustive()
    }
}

impl<T, const N: usize, O: Orders> Drop for Channel<T, N, O> {
    /// Drops what was sent and never received.
    fn drop(&mut self) {
        // A receiver that was forgotten keeps its head, and with it which slots hold values: those are leaked.
        if let Some(mut receiver) = self.receiver() {
            while receiver.receive().is_some() {}
        }
    }
}

/// The sending end of a [`Channel`]: what its thread did before it sent is visible to who received.
pub struct Rel<'c, T, const N: usize, O: Orders = ReleaseAcquire> {
    channel: &'c Channel<T, N, O>,
}

impl<T, const N: usize, O: Orders> Clone for Rel<'_, T, N, O> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T, const N: usize, O: Orders> Copy for Rel<'_, T, N, O> {}

impl<T, const N: usize, O: Orders> Rel<'_, T, N, O> {
    /// Sends `value`.
    ///
    /// # Errors
    /// Gives `value` back where the channel is full.
    #[inline]
    pub fn send(&self, value: T) -> Result<(), T> {
        let channel = self.channel;
        // Relaxed: a guess, which the compare-and-swap checks.
        let mut ticket = channel.tail.0.load(Ordering::Relaxed);
        loop {
            let slot = channel.slot(ticket);
            let turn = Channel::<T, N, O>::sender_turn(ticket);
            let ahead = slot.turn.reader().load().wrapping_sub(turn);
            if ahead == 0 {
                // Relaxed: the ticket gives the slot to this sender; that the slot is free was seen by the acquire load of
                // its turn, and what is written in it is published by the store of the turn.
                match channel.tail.0.compare_exchange_weak(
                    ticket,
                    ticket.wrapping_add(1),
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                ) {
                    Ok(_) => {
                        // SAFETY: the turn was this ticket's, so the value of the lap before was taken out, and only
                        // one sender gets the ticket.
                        slot.value.with_mut(|place| unsafe { (*place).write(value) });
                        slot.turn.writer().store(turn.wrapping_add(1));
                        return Ok(());
                    }
                    Err(now) => ticket = now,
                }
            } else if ahead > usize::MAX / 2 {
                // The slot has not been emptied since the last lap; the ticket may be an old one, though.
                let now = channel.tail.0.load(Ordering::Relaxed);
                if now == ticket {
                    return Err(value);
                }
                ticket = now;
            } else {
                ticket = channel.tail.0.load(Ordering::Relaxed);
            }
        }
    }
}

/// The receiving end of a [`Channel`]: it sees whatever the sender of a value did before it sent.
pub struct Acq<'c, T, const N: usize, O: Orders = ReleaseAcquire> {
    channel: &'c Channel<T, N, O>,
    head: usize,
}

impl<T, const N: usize, O: Orders> Acq<'_, T, N, O> {
    /// Takes the value of the next ticket. `None`: nobody has sent it yet.
    #[inline]
    pub fn receive(&mut self) -> Option<T> {
        let slot = self.channel.slot(self.head);
        let turn = Channel::<T, N, O>::sender_turn(self.head);
        if slot.turn.reader().load() != turn.wrapping_add(1) {
            return None;
        }
        // SAFETY: the turn is the receiver's, so the slot was written before; it is read once, since the turn moves on
        // and there is one receiver, whose borrow is exclusive.
        let value = slot.value.with_mut(|place| unsafe { (*place).assume_init_read() });
        slot.turn.writer().store(turn.wrapping_add(N));
        self.head = self.head.wrapping_add(1);
        Some(value)
    }
}

impl<T, const N: usize, O: Orders> Drop for Acq<'_, T, N, O> {
    fn drop(&mut self) {
        self.channel.head.0.store(self.head, Ordering::Relaxed);
        // Release: pairs with the acquire of the next claim.
        self.channel.receiving.store(false, Ordering::Release);
    }
}
