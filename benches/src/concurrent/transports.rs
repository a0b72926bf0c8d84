//! The ring against rtrb's, the channel against crossbeam's, and both with sequentially consistent stores.
//!
//! Owned by `concurrent.rs`. Invariant: every transport carries the same numbers, which the receiver adds up.

use std::hint::black_box;
use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use bucketmask_alloc::sync::channel::Channel;
use bucketmask_alloc::sync::ordered::{Orders, ReleaseAcquire, Sequential};
use bucketmask_alloc::sync::ring::Ring;

use super::TIME;
use super::case::{Case, Size, Take};
use super::sides::Work;
use crate::record::OURS;

/// First parts of the cases.
pub(super) const RING: &str = "ring";
pub(super) const CHANNEL: &str = "channel";
pub(super) const RTRB: &str = "rtrb";
pub(super) const CROSSBEAM: &str = "crossbeam-channel";
/// The same with `SeqCst` stores: a locked instruction each on x86-64.
pub(super) const SEQUENTIAL: &str = "bucketmask-seqcst";

/// Values that a transport holds.
const ROOM: usize = 1024;

/// Tries `attempt` until it gives something; who waits lets others run now and then.
#[inline(always)]
fn until<T>(mut attempt: impl FnMut() -> Option<T>) -> T {
    let mut tries = 0_u32;
    loop {
        if let Some(done) = attempt() {
            return done;
        }
        tries += 1;
        if tries.is_multiple_of(64) {
            thread::yield_now();
        } else {
            std::hint::spin_loop();
        }
    }
}

/// Nanoseconds a value from one thread to another.
fn across(
    values: u64,
    mut push: impl FnMut(u64) -> bool + Send,
    mut pop: impl FnMut() -> Option<u64>,
) -> f64 {
    let ready = Barrier::new(2);
    thread::scope(|scope| {
        let producer = scope.spawn(|| {
            ready.wait();
            (0..values).for_each(|value| until(|| push(value).then_some(())));
        });
        ready.wait();
        let start = Instant::now();
        let sum = (0..values).fold(0_u64, |sum, _| sum.wrapping_add(until(&mut pop)));
        let time = start.elapsed().as_nanos() as f64 / values as f64;
        producer.join().expect("nothing panics");
        assert_eq!(sum, (0..values).fold(0, u64::wrapping_add), "a value was lost, or came twice");
        time
    })
}

/// Nanoseconds a value that a thread gives to itself, half of the room at a time: the instructions alone, without the lines' way
/// between processors.
fn within(values: u64, mut push: impl FnMut(u64) -> bool, mut pop: impl FnMut() -> Option<u64>) -> f64 {
    let half = ROOM as u64 / 2;
    let start = Instant::now();
    for _ in 0..values / half {
        (0..half).for_each(|value| assert!(push(black_box(value)), "there is room"));
        let sum = (0..half).fold(0_u64, |sum, _| sum.wrapping_add(pop().unwrap_or(0)));
        assert_eq!(sum, half * (half - 1) / 2, "a value was lost, or came twice");
    }
    start.elapsed().as_nanos() as f64 / (values / half * half) as f64
}

/// Runs one of the two above on the ends of a transport.
fn between(
    threads: usize,
    values: u64,
    push: impl FnMut(u64) -> bool + Send,
    pop: impl FnMut() -> Option<u64>,
) -> Vec<f64> {
    vec![if threads == 1 { within(values, push, pop) } else { across(values, push, pop) }]
}

fn ring<O: Orders>(threads: usize, values: u64) -> Vec<f64> {
    let ring: Box<Ring<u64, ROOM, O>> = Box::default();
    let mut producer = ring.producer().expect("nobody has it");
    let mut consumer = ring.consumer().expect("nobody has it");
    between(threads, values, |value| producer.push(value).is_ok(), || consumer.pop())
}

fn rtrb(threads: usize, values: u64) -> Vec<f64> {
    let (mut producer, mut consumer) = rtrb::RingBuffer::new(ROOM);
    between(threads, values, move |value| producer.push(value).is_ok(), || consumer.pop().ok())
}

fn channel<O: Orders>(threads: usize, values: u64) -> Vec<f64> {
    let channel: Box<Channel<u64, ROOM, O>> = Box::default();
    let (sender, mut receiver) = (channel.sender(), channel.receiver().expect("nobody has it"));
    between(threads, values, move |value| sender.send(value).is_ok(), || receiver.receive())
}

fn crossbeam(threads: usize, values: u64) -> Vec<f64> {
    let (sender, receiver) = crossbeam_channel::bounded(ROOM);
    between(threads, values, move |value| sender.try_send(value).is_ok(), || receiver.try_recv().ok())
}

type Transport = fn(usize, u64) -> Vec<f64>;

/// Each transport within a thread and from one to another.
pub(super) fn all(size: &Size) -> Vec<Case> {
    let values = size.ops;
    let rings: [(&'static str, Transport); 3] =
        [(OURS, ring::<ReleaseAcquire>), (RTRB, rtrb), (SEQUENTIAL, ring::<Sequential>)];
    let channels: [(&'static str, Transport); 3] =
        [(OURS, channel::<ReleaseAcquire>), (CROSSBEAM, crossbeam), (SEQUENTIAL, channel::<Sequential>)];
    let titles = [
        "A value through the ring",
        "A value through the channel of several producers, of which there is one",
    ];
    let mut all = Vec::new();
    for ((name, transports), title) in [(RING, rings), (CHANNEL, channels)].into_iter().zip(titles) {
        for threads in [1, 2] {
            let side = |(name, transport): (&'static str, Transport)| {
                (name, Box::new(move |_| transport(threads, values)) as Work)
            };
            all.push(Case {
                name: format!("{name}/threads={threads}"),
                title,
                n: values,
                metrics: vec![TIME],
                sides: transports.into_iter().map(side).collect(),
                take: Take::Median,
                rounds: size.rounds,
            });
        }
    }
    all
}
