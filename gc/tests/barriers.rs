//! Which barriers run, and that what they elide is not lost.
//!
//! Invariant: an unpublished object is written to without any barrier, in every phase; what is published is found.

use bucketmask_gc::barrier::unlock;
use bucketmask_gc::{Arena, Budget, Collect, Gc, Lock, Pool, RefLock, Rootable, Unpublished};
use std::collections::VecDeque;

#[derive(Collect)]
#[collect(no_drop)]
struct Message<'gc> {
    number: u64,
    payload: RefLock<Vec<Gc<'gc, u64>>>,
    next: Lock<Option<Gc<'gc, Message<'gc>>>>,
}

impl Message<'_> {
    fn numbered(number: u64) -> Self {
        Message { number, payload: RefLock::default(), next: Lock::new(None) }
    }
}

/// A channel inside an arena: what is sent waits in it, and is published by being sent.
#[derive(Collect)]
#[collect(no_drop)]
struct Channel<'gc> {
    waiting: Gc<'gc, RefLock<VecDeque<Gc<'gc, Message<'gc>>>>>,
    received: Gc<'gc, RefLock<Vec<Gc<'gc, Message<'gc>>>>>,
    ballast: Vec<Gc<'gc, u64>>,
}

type Channels = Arena<Rootable![Channel<'_>]>;

fn channels() -> Channels {
    Channels::new(|mc| Channel {
        waiting: Gc::new(mc, RefLock::default()),
        received: Gc::new(mc, RefLock::default()),
        ballast: (0..2000).map(|number| Gc::new(mc, number)).collect(),
    })
}

const BATCH: u64 = 50;
const WORDS: u64 = 8;

/// Sends a batch of messages that hang together, with a payload each: filled before they are published, or after.
fn send(arena: &Channels, first: u64, elide: bool) {
    arena.mutate(|mc, channel| {
        let mut last = None;
        for number in (first..first + BATCH).rev() {
            let words = (0..WORDS).map(|word| Gc::new(mc, number + word));
            if elide {
                let mut message = Unpublished::new(mc, Message::numbered(number));
                words.for_each(|word| message.payload.get_mut().push(word));
                message.next = Lock::new(last);
                last = Some(message.publish());
            } else {
                let message = Gc::new(mc, Message::numbered(number));
                for word in words {
                    unlock!(Gc::write(mc, message), Message, payload).borrow_mut().push(word);
                }
                unlock!(Gc::write(mc, message), Message, next).set(last);
                last = Some(message);
            }
        }
        channel.waiting.unlock(mc).borrow_mut().extend(last);
    });
}

fn receive(arena: &Channels) {
    arena.mutate(|mc, channel| {
        if let Some(message) = channel.waiting.unlock(mc).borrow_mut().pop_front() {
            channel.received.unlock(mc).borrow_mut().push(message);
        }
    });
}

/// Sends and receives batches between steps; returns the barriers of the program.
fn run(elide: bool) -> bucketmask_gc::Barriers {
    let mut arena = channels();
    arena.count_barriers(true);
    for round in 0..40 {
        send(&arena, round * BATCH, elide);
        let ended = arena.step(Budget::work(900));
        assert!(arena.verify().is_ok(), "{:?}", arena.verify());
        if round % 3 == 0 {
            receive(&arena);
        }
        assert!(!ended || arena.verify().is_ok());
    }
    let barriers = arena.barriers();
    arena.finish_cycle();
    arena.finish_cycle();
    arena.mutate(|_, channel| {
        assert_eq!(channel.ballast.len(), 2000);
        let heads = channel
            .received
            .borrow()
            .iter()
            .copied()
            .chain(channel.waiting.borrow().iter().copied())
            .collect::<Vec<_>>();
        let mut expected = 0;
        for head in heads {
            let mut message = Some(head);
            while let Some(this) = message {
                assert_eq!(this.number, expected);
                assert!(this.payload.borrow().iter().map(|word| **word).eq(expected..expected + WORDS));
                expected += 1;
                message = this.next.get();
            }
        }
        assert_eq!(expected, 40 * BATCH);
    });
    barriers
}

#[test]
fn a_batch_published_through_a_channel_needs_two_barriers() {
    let (with, without) = (run(true), run(false));
    let ran = |counts: bucketmask_gc::Barriers| counts.forward + counts.backward + counts.idle;
    // A send and a receive run one barrier or two; a message that is filled after it was published nine.
    assert!(ran(with) <= 40 + 2 * 14, "{with:?}");
    assert_eq!(ran(without) - ran(with), 40 * BATCH * (WORDS + 1), "{without:?}");
    assert_eq!((with.unpublished, without.unpublished), (40 * BATCH, 0));
    assert!(with.backward > 0 && with.idle > 0, "{with:?}: some while marking, some not");
}

#[test]
fn barriers_are_counted_by_kind_while_marking_goes_on() {
    let mut arena = channels();
    for counts in [false, true] {
        arena.count_barriers(counts);
        let before = arena.barriers();
        arena.mutate(|mc, channel| {
            mc.backward_barrier(Gc::erase(channel.waiting), None);
            mc.forward_barrier(None, Gc::erase(channel.ballast[0]));
        });
        let after = arena.barriers();
        assert_eq!((after.backward, after.forward), (before.backward, before.forward));
        assert_eq!(after.idle - before.idle, if counts { 2 } else { 0 });
    }
    assert!(arena.finish_marking().is_some());
    let before = arena.barriers();
    arena.mutate(|mc, channel| {
        mc.backward_barrier(Gc::erase(channel.waiting), None);
        mc.forward_barrier(None, Gc::erase(channel.ballast[0]));
        mc.forward_barrier_weak(None, Gc::downgrade(Gc::erase(channel.ballast[0])));
    });
    let after = arena.barriers();
    assert_eq!(
        (after.backward - before.backward, after.forward - before.forward, after.idle),
        (1, 2, before.idle)
    );
    arena.finish_cycle();
    assert_eq!(arena.last_cycle().barriers.forward, 2);
    arena.finish_cycle();
    assert_eq!(arena.last_cycle().barriers, bucketmask_gc::Barriers::default());
}

#[test]
fn what_a_pool_hands_out_is_traced_again() {
    type Pooled<'gc> = (Pool<'gc, Message<'gc>>, Gc<'gc, RefLock<Vec<Gc<'gc, Message<'gc>>>>>);
    let mut arena = Arena::<Rootable![Pooled<'_>]>::new(|mc| {
        let pool = Pool::new(mc);
        (0..10).for_each(|number| pool.put(mc, Unpublished::new(mc, Message::numbered(number))));
        (pool, Gc::new(mc, RefLock::default()))
    });
    // The pool's objects are black when they are taken; what they take up then is nowhere else.
    assert!(arena.finish_marking().is_some());
    arena.mutate(|mc, (pool, published)| {
        let mut message = pool.take(mc).expect("ten objects");
        message.payload.get_mut().push(Gc::new(mc, 77));
        published.unlock(mc).borrow_mut().push(message.publish());
        // One is taken, filled and forgotten; one goes back, filled.
        let mut forgotten = pool.take(mc).expect("nine objects");
        forgotten.payload.get_mut().push(Gc::new(mc, 78));
        let mut back = pool.take(mc).expect("eight objects");
        back.payload.get_mut().push(Gc::new(mc, 79));
        pool.put(mc, back);
    });
    assert!(arena.verify().is_ok(), "{:?}", arena.verify());
    arena.finish_cycle();
    assert!(arena.verify().is_ok(), "{:?}", arena.verify());
    arena.mutate(|mc, (pool, published)| {
        assert_eq!(pool.len(), 8);
        assert_eq!(*published.borrow()[0].payload.borrow()[0], 77);
        assert_eq!(*pool.take(mc).expect("there").payload.get_mut()[0], 79);
    });
    arena.finish_cycle();
    // The pool, what was published and its list and payload, and seven that nobody took.
    assert_eq!(arena.metrics().total_gc_count(), 1 + 1 + 2 + 7);
}
