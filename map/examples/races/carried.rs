//! Values that go from one thread to another: behind a pointer, over the shipped transports, over the standard library's.
//!
//! Owned by `main`. Invariant: as there.

use std::hint::black_box;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::thread;

use bucketmask_alloc::sync::channel::Channel;
use bucketmask_alloc::sync::ordered::Orders;
use bucketmask_alloc::sync::ring::Ring;

use crate::together;

/// A value behind a pointer that is published without an order.
pub(crate) fn published_relaxed() {
    publish(Ordering::Relaxed, Ordering::Relaxed);
}

pub(crate) fn published_release() {
    publish(Ordering::Release, Ordering::Acquire);
}

fn publish(store: Ordering, load: Ordering) {
    let place = AtomicPtr::new(std::ptr::null_mut::<u64>());
    let give = || place.store(Box::into_raw(Box::new(7)), store);
    let take = || loop {
        let found = place.load(load);
        if !found.is_null() {
            // SAFETY: made by a box, taken once; with relaxed orders the race that is looked for.
            assert_eq!(*unsafe { Box::from_raw(found) }, 7);
            break;
        }
    };
    together(give, take);
}

/// Loads and stores that order nothing else.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Careless {}

// SAFETY: none; that is what is to be found.
unsafe impl Orders for Careless {
    const STORE: Ordering = Ordering::Relaxed;
    const LOAD: Ordering = Ordering::Relaxed;
}

/// Sends what `make` makes of so many numbers, in order, and looks at it at the other end. Either end may be full or empty for a while.
fn carry<T: Send>(
    numbers: u64,
    make: impl Fn(u64) -> T + Send,
    mut push: impl FnMut(T) -> Result<(), T> + Send,
    mut pop: impl FnMut() -> Option<T> + Send,
    look: impl Fn(u64, T) + Send,
) {
    let send = move || {
        for number in 0..numbers {
            let mut unsent = make(number);
            while let Err(back) = push(unsent) {
                unsent = back;
                thread::yield_now();
            }
        }
    };
    let receive = move || {
        for number in 0..numbers {
            let received = loop {
                match pop() {
                    Some(received) => break received,
                    None => thread::yield_now(),
                }
            };
            look(number, received);
        }
    };
    together(send, receive);
}

/// Two words that tell whether they belong together.
fn pair(number: u64) -> [u64; 2] {
    [number, !number]
}

/// A pair is what was sent; where nothing orders its words it may be anything.
fn look_at_pair<O: Orders>(number: u64, found: [u64; 2]) {
    let found = black_box(found);
    assert!(O::LOAD == Ordering::Relaxed || found == pair(number), "{found:?} for {number}");
}

/// The shipped ring, with orders of choice.
pub(crate) fn over_a_ring<O: Orders>() {
    let ring = Ring::<[u64; 2], 8, O>::new();
    let (mut producer, mut consumer) = (ring.producer().expect("one"), ring.consumer().expect("one"));
    carry(200, pair, move |pair| producer.push(pair), move || consumer.pop(), look_at_pair::<O>);
}

/// The shipped channel likewise.
pub(crate) fn over_a_channel<O: Orders>() {
    let channel = Channel::<[u64; 2], 8, O>::new();
    let (sender, mut receiver) = (channel.sender(), channel.receiver().expect("one"));
    carry(200, pair, move |pair| sender.send(pair), move || receiver.receive(), look_at_pair::<O>);
}

/// A block is given away, and written to afterwards.
pub(crate) fn block_used_by_two() {
    let place = AtomicPtr::new(std::ptr::null_mut::<[u64; 4]>());
    let give = || {
        let block = Box::into_raw(Box::new([1; 4]));
        place.store(block, Ordering::Release);
        // SAFETY: none: it is another's by now.
        unsafe { (*block)[3] = 2 };
    };
    let take = || loop {
        let found = place.load(Ordering::Acquire);
        if !found.is_null() {
            // SAFETY: made by a box; leaked, so that what races is a live block.
            unsafe { (*found)[3] = 3 };
            break;
        }
    };
    together(give, take);
}

/// Blocks made on one thread and freed on another: the allocator's own way back.
pub(crate) fn freed_by_another() {
    let ring = Ring::<Box<[u8; 48]>, 64>::new();
    let (mut producer, mut consumer) = (ring.producer().expect("one"), ring.consumer().expect("one"));
    let make = |number| Box::new([number as u8; 48]);
    let free = |number, block: Box<[u8; 48]>| assert_eq!(block[47], number as u8);
    carry(2000, make, move |block| producer.push(block), move || consumer.pop(), free);
}
/// Boxes sent over the standard library's own channel.
pub(crate) fn over_mpsc() {
    let (sender, receiver) = std::sync::mpsc::sync_channel::<Box<[u64; 2]>>(4);
    let send = move || (0..200).for_each(|number| sender.send(Box::new(pair(number))).expect("a receiver"));
    let receive =
        move || (0..200).for_each(|number| assert_eq!(*receiver.recv().expect("a sender"), pair(number)));
    together(send, receive);
}
