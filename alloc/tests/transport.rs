//! The ring and the channel with real threads: every value arrives once, in order, and is dropped once.
//!
//! Invariant: threads are joined one by one, since a sanitizer does not see what a scope waits for.

use bucketmask_alloc::sync::channel::Channel;
use bucketmask_alloc::sync::ordered::{Orders, Published, ReleaseAcquire, Sequential};
use bucketmask_alloc::sync::ring::Ring;
use libtest_mimic::{Arguments, Trial};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;

/// Values in a test of threads.
const VALUES: u64 = 200_000;

fn ring_against_a_queue() {
    let ring = Ring::<u64, 8>::new();
    let (mut producer, mut consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
    let (mut queue, mut random, mut refused) = (VecDeque::new(), 7u64, 0);
    for value in 0..100_000 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        if random >> 63 == 0 {
            let pushed = producer.push(value);
            assert_eq!(pushed.is_ok(), queue.len() < 8);
            refused += u32::from(pushed == Err(value));
            if pushed.is_ok() {
                queue.push_back(value);
            }
        } else {
            assert_eq!(consumer.pop(), queue.pop_front());
        }
        assert_eq!((consumer.len(), consumer.is_empty()), (queue.len(), queue.is_empty()));
    }
    assert!(refused > 1000, "the ring was full too rarely to say anything: {refused}");
}

fn ring_between_threads<O: Orders>() {
    let ring = Ring::<[u64; 2], 64, O>::new();
    thread::scope(|threads| {
        let producer = threads.spawn(|| {
            let mut end = ring.producer().unwrap();
            for value in 0..VALUES {
                while end.push([value, !value]).is_err() {
                    thread::yield_now();
                }
            }
        });
        let mut end = ring.consumer().unwrap();
        for expected in 0..VALUES {
            let value = loop {
                match end.pop() {
                    Some(value) => break value,
                    None => thread::yield_now(),
                }
            };
            assert_eq!(value, [expected, !expected]);
        }
        assert_eq!(end.pop(), None);
        producer.join().unwrap();
    });
}

fn channel_between_threads() {
    const PRODUCERS: u64 = 3;
    let channel = Channel::<[u64; 2], 64>::new();
    thread::scope(|threads| {
        let producers = [0, 1, 2].map(|producer| {
            let end = channel.sender();
            threads.spawn(move || {
                for nth in 0..VALUES / PRODUCERS {
                    while end.send([producer, nth]).is_err() {
                        thread::yield_now();
                    }
                }
            })
        });
        let mut end = channel.receiver().unwrap();
        assert!(channel.receiver().is_none(), "there is one receiver at a time");
        let mut next = [0; PRODUCERS as usize];
        while next.iter().sum::<u64>() < VALUES / PRODUCERS * PRODUCERS {
            match end.receive() {
                Some([producer, nth]) => {
                    assert_eq!(nth, next[producer as usize], "values of one producer out of order");
                    next[producer as usize] += 1;
                }
                None => thread::yield_now(),
            }
        }
        assert_eq!(end.receive(), None);
        for producer in producers {
            producer.join().unwrap();
        }
    });
}

/// What one producer sent before another did, by a word between them, is received first.
fn channel_keeps_the_order_of_cause_and_effect() {
    let channel = Channel::<u64, 4>::new();
    let sent = Published::<AtomicU64>::new(AtomicU64::new(0));
    thread::scope(|threads| {
        let first = threads.spawn(|| {
            for round in 0..20_000 {
                while channel.sender().send(round * 2).is_err() {
                    thread::yield_now();
                }
                sent.writer().store(round + 1);
            }
        });
        let second = threads.spawn(|| {
            for round in 0..20_000 {
                while sent.reader().load() <= round {
                    thread::yield_now();
                }
                while channel.sender().send(round * 2 + 1).is_err() {
                    thread::yield_now();
                }
            }
        });
        let (mut end, mut seen, mut causes) = (channel.receiver().unwrap(), 0, 0);
        while seen < 40_000 {
            let Some(value) = end.receive() else {
                thread::yield_now();
                continue;
            };
            seen += 1;
            // A cause is even, its effect the next odd number.
            if value % 2 == 0 {
                assert_eq!(value, 2 * causes, "causes of one producer out of order");
                causes += 1;
            }
            assert!(value / 2 < causes, "an effect overtook its cause");
        }
        first.join().unwrap();
        second.join().unwrap();
    });
}

fn leftovers_are_dropped() {
    let alive = Arc::new(());
    let ring = Ring::<Arc<()>, 4>::new();
    {
        let (mut producer, mut consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
        for _ in 0..3 {
            producer.push(Arc::clone(&alive)).unwrap();
        }
        assert!(consumer.pop().is_some());
        assert!(ring.producer().is_none() && ring.consumer().is_none());
    }
    // Ends that were given back are there again, where they stopped.
    ring.producer().unwrap().push(Arc::clone(&alive)).unwrap();
    assert_eq!(Arc::strong_count(&alive), 4);
    drop(ring);
    assert_eq!(Arc::strong_count(&alive), 1);

    let channel = Channel::<Arc<()>, 4>::new();
    for sent in 0..4 {
        assert_eq!(Arc::strong_count(&alive), 1 + sent);
        channel.sender().send(Arc::clone(&alive)).unwrap();
    }
    assert!(channel.sender().send(Arc::clone(&alive)).is_err(), "four fit");
    assert!(channel.receiver().unwrap().receive().is_some());
    channel.sender().send(Arc::clone(&alive)).unwrap();
    drop(channel);
    assert_eq!(Arc::strong_count(&alive), 1);
}

fn published_words_carry_what_came_before() {
    static BEFORE: AtomicUsize = AtomicUsize::new(0);
    static WORD: Published<AtomicU64> = Published::new(AtomicU64::new(0));
    thread::scope(|threads| {
        let writer = threads.spawn(|| {
            let mut end = WORD.writer();
            for round in 1..=10_000 {
                BEFORE.store(round, Ordering::Relaxed);
                end.store(round as u64);
                assert_eq!(end.own(), round as u64);
            }
        });
        let end = WORD.reader();
        loop {
            let seen = end.load();
            assert!(BEFORE.load(Ordering::Relaxed) as u64 >= seen);
            if seen == 10_000 {
                break;
            }
            thread::yield_now();
        }
        writer.join().unwrap();
    });
}

fn main() {
    let tests: [(&str, fn()); 7] = [
        ("ring_against_a_queue", ring_against_a_queue),
        ("ring_between_threads", ring_between_threads::<ReleaseAcquire>),
        ("ring_with_sequential_stores", ring_between_threads::<Sequential>),
        ("channel_between_threads", channel_between_threads),
        ("channel_keeps_the_order_of_cause_and_effect", channel_keeps_the_order_of_cause_and_effect),
        ("leftovers_are_dropped", leftovers_are_dropped),
        ("published_words_carry_what_came_before", published_words_carry_what_came_before),
    ];
    let trials = tests.map(|(name, test)| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
    });
    libtest_mimic::run(&Arguments::from_args(), trials.into()).exit();
}
