//! The ring and the channel over every interleaving and every reordering that loom finds: the shipped files, given loom's
//! atomics. With relaxed stores or loads the same models fail.

/// What the transports know as `crate::sync`.
mod sync {
    pub(crate) use super::ordered;
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};

    /// loom's cell: two accesses at once, or one that is not ordered after the other, fail the model.
    pub(crate) struct Place<T>(loom::cell::UnsafeCell<T>);

    impl<T> Place<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(loom::cell::UnsafeCell::new(value))
        }

        pub(crate) fn with_mut<R>(&self, use_it: impl FnOnce(*mut T) -> R) -> R {
            self.0.with_mut(use_it)
        }
    }

    macro_rules! const_fn {
        ($(#[$attribute:meta])* pub fn $($rest:tt)*) => { $(#[$attribute])* pub fn $($rest)* };
    }
    pub(crate) use const_fn;

    macro_rules! filled {
        ($len:expr, $value:expr) => {
            core::array::from_fn::<_, { $len }, _>(|_| $value)
        };
    }
    pub(crate) use filled;

    pub(crate) struct Padded<T>(pub(crate) T);
}

#[expect(unreachable_pub, reason = "the models use a part of it")]
#[path = "../src/sync/channel.rs"]
mod channel;
#[expect(unreachable_pub, reason = "the models use a part of it")]
#[path = "../src/sync/ordered.rs"]
mod ordered;
#[expect(unreachable_pub, reason = "the models use a part of it")]
#[path = "../src/sync/ring.rs"]
mod ring;

use std::panic::{AssertUnwindSafe, catch_unwind};

use loom::thread;

use channel::Channel;
use ordered::{Orders, ReleaseAcquire, Sequential};
use ring::Ring;
use sync::Ordering;

enum RelaxedStore {}

// SAFETY: it is not; that the models find out is what is tested.
unsafe impl Orders for RelaxedStore {
    const STORE: Ordering = Ordering::Relaxed;
    const LOAD: Ordering = Ordering::Acquire;
}

enum RelaxedLoad {}

// SAFETY: it is not; that the models find out is what is tested.
unsafe impl Orders for RelaxedLoad {
    const STORE: Ordering = Ordering::Release;
    const LOAD: Ordering = Ordering::Relaxed;
}

/// Leaked: what a failed model leaves behind is not dropped while it unwinds, since loom would object to that, too.
fn leaked<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

fn model(body: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(body);
}

fn rejects(body: impl Fn() + Sync + Send + 'static) -> bool {
    catch_unwind(AssertUnwindSafe(|| model(body))).is_err()
}

/// Three values through two slots: the ring runs full, runs empty, and goes round.
fn ring_keeps_order<O: Orders + 'static>() {
    let ring = leaked(Ring::<u32, 2, O>::new());
    let producer = thread::spawn(move || {
        let mut end = ring.producer().expect("the one producer");
        for value in 0..3 {
            while end.push(value).is_err() {
                thread::yield_now();
            }
        }
    });
    let mut end = ring.consumer().expect("the one consumer");
    for expected in 0..3 {
        loop {
            if let Some(value) = end.pop() {
                assert_eq!(value, expected);
                break;
            }
            thread::yield_now();
        }
    }
    producer.join().unwrap();
    assert!(end.pop().is_none() && end.is_empty());
}

/// Two producers, `each` values of either: none is lost, none doubled, each producer's come in its order, and what a producer
/// wrote before it sent is seen.
fn channel_keeps_order<O: Orders + 'static>(each: u32) {
    let channel = leaked(Channel::<u32, 2, O>::new());
    let producers: Vec<_> = (0..2)
        .map(|producer| {
            thread::spawn(move || {
                let end = channel.sender();
                for nth in 0..each {
                    while end.send(producer * 10 + nth).is_err() {
                        thread::yield_now();
                    }
                }
            })
        })
        .collect();
    let mut end = channel.receiver().expect("the one receiver");
    let mut seen = [0; 2];
    for _ in 0..2 * each {
        loop {
            if let Some(value) = end.receive() {
                let producer = (value / 10) as usize;
                assert_eq!(value % 10, seen[producer], "a producer's values came out of order");
                seen[producer] += 1;
                break;
            }
            thread::yield_now();
        }
    }
    for producer in producers {
        producer.join().unwrap();
    }
    assert!(end.receive().is_none());
    assert_eq!(seen, [each; 2]);
}

/// The end that a thread gave up is taken over by another with all that was pushed.
fn producer_changes_hands() {
    let ring = leaked(Ring::<u32, 2>::new());
    let first = thread::spawn(move || {
        if let Some(mut end) = ring.producer() {
            end.push(1).unwrap();
        }
    });
    if let Some(mut end) = ring.producer() {
        end.push(1).unwrap();
    }
    first.join().unwrap();
    let mut end = ring.consumer().unwrap();
    let pushed = core::iter::from_fn(|| end.pop()).count();
    assert!((1..3).contains(&pushed), "one claim or both succeeded, and no value is lost");
}

#[test]
fn the_ring_hands_over_in_order() {
    model(ring_keeps_order::<ReleaseAcquire>);
    model(ring_keeps_order::<Sequential>);
}

#[test]
fn a_relaxed_ring_is_found_out() {
    assert!(rejects(ring_keeps_order::<RelaxedStore>), "relaxed stores passed");
    assert!(rejects(ring_keeps_order::<RelaxedLoad>), "relaxed loads passed");
}

#[test]
fn an_end_changes_hands() {
    model(producer_changes_hands);
}

#[test]
fn the_channel_hands_over_in_order() {
    model(|| channel_keeps_order::<ReleaseAcquire>(1));
}

#[test]
fn a_relaxed_channel_is_found_out() {
    assert!(rejects(|| channel_keeps_order::<RelaxedStore>(1)), "relaxed stores passed");
    assert!(rejects(|| channel_keeps_order::<RelaxedLoad>(1)), "relaxed loads passed");
}
