//! Messages that go through the queues of a pipeline, filled at its start, noted in and passed on by each stage.
//!
//! Owned by `barriers.rs`. Invariant: a message is filled before a queue can reach it, and noted in after.

use std::collections::VecDeque;

use bucketmask_gc::barrier::unlock;
use bucketmask_gc::{Arena, Collect, Gc, Lock, Mutation, RefLock, Rootable, Unpublished};

use super::{Counted, Elision};

/// Stages, and messages that wait before each.
const STAGES: usize = 3;
const WAITING: usize = 50;
/// Pointers that a message is filled with.
pub(super) const FILLED: u64 = 5;

#[derive(Collect, Default)]
#[collect(no_drop)]
struct Message<'gc> {
    fields: RefLock<Vec<Gc<'gc, u64>>>,
    noted: Lock<Option<Gc<'gc, Note<'gc>>>>,
}

#[derive(Collect)]
#[collect(no_drop)]
struct Note<'gc> {
    stage: u64,
    before: Option<Gc<'gc, Note<'gc>>>,
}

#[derive(Collect, Default)]
#[collect(no_drop)]
struct Queue<'gc> {
    messages: RefLock<VecDeque<Gc<'gc, Message<'gc>>>>,
}

/// Each write runs its barrier.
fn fill_published<'gc>(mc: &Mutation<'gc>, number: u64) -> Gc<'gc, Message<'gc>> {
    let message = Gc::new(mc, Message::default());
    for field in 0..FILLED {
        let field = Gc::new(mc, number * FILLED + field);
        unlock!(Gc::write(mc, message), Message, fields).borrow_mut().push(field);
    }
    message
}

/// No write does.
fn fill_unpublished<'gc>(mc: &Mutation<'gc>, number: u64) -> Gc<'gc, Message<'gc>> {
    let mut message = Unpublished::new(mc, Message::default());
    for field in 0..FILLED {
        message.fields.get_mut().push(Gc::new(mc, number * FILLED + field));
    }
    message.publish()
}

fn push<'gc>(mc: &Mutation<'gc>, queue: Gc<'gc, Queue<'gc>>, message: Gc<'gc, Message<'gc>>) {
    unlock!(Gc::write(mc, queue), Queue, messages).borrow_mut().push_back(message);
}

/// Takes a message out, where enough wait; notes the stage in it.
fn work<'gc>(mc: &Mutation<'gc>, queue: Gc<'gc, Queue<'gc>>, stage: usize) -> Option<Gc<'gc, Message<'gc>>> {
    if queue.messages.borrow().len() < WAITING {
        return None;
    }
    // A pointer that goes needs no barrier; the queue's is that of a write.
    let message = unlock!(Gc::write(mc, queue), Queue, messages).borrow_mut().pop_front()?;
    let note = Gc::new(mc, Note { stage: stage as u64, before: message.noted.get() });
    unlock!(Gc::write(mc, message), Message, noted).set(Some(note));
    Some(message)
}

fn sum_of(message: &Message<'_>) -> u64 {
    let mut sum = message.fields.borrow().iter().map(|field| **field).sum::<u64>();
    let mut note = message.noted.get();
    while let Some(at) = note {
        sum = sum * 31 + at.stage;
        note = at.before;
    }
    sum
}

/// Sends so many messages.
pub(super) fn run(messages: u64, elision: Elision) -> Counted {
    let mut arena = Arena::<Rootable![Vec<Gc<'_, Queue<'_>>>]>::new(|mc| {
        (0..STAGES).map(|_| Gc::new(mc, Queue::default())).collect()
    });
    arena.count_barriers(true);
    let mut done = 0u64;
    for number in 0..messages {
        done = arena.mutate(|mc, queues| {
            let mut passed = Some(match elision {
                Elision::Off => fill_published(mc, number),
                Elision::On => fill_unpublished(mc, number),
            });
            for (stage, &queue) in queues.iter().enumerate() {
                let Some(message) = passed else { break };
                push(mc, queue, message);
                passed = work(mc, queue, stage);
            }
            passed.map_or(done, |message| done.wrapping_mul(31).wrapping_add(sum_of(&message)))
        });
        arena.collect_debt();
    }
    let waiting: u64 = arena.mutate(|_, queues| {
        queues
            .iter()
            .map(|queue| queue.messages.borrow().iter().map(|message| sum_of(message)).sum::<u64>())
            .sum()
    });
    Counted { barriers: arena.barriers(), sum: done.wrapping_add(waiting) }
}
