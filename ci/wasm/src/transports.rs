//! Ring, channel and mailbox between workers: each message arrives once, in order, whole.
//!
//! Ends wait for each other by bells: pushed, then rung. Messages carry a box that one worker allocates and another frees.
//! Invariant: a case ends only when its receiver has counted all messages and found nothing behind them.

use core::cell::UnsafeCell;

use bucketmask_alloc::sync::channel::Channel;
use bucketmask_alloc::sync::ring::{Consumer, Producer, Ring};

use crate::bell::Bell;
use crate::worker::{spin_for, tell};
use crate::{Chance, is, sum, sync};

const ROOM: usize = 64;
const MESSAGES: u64 = 200_000;
/// What a worker that is late on purpose lets pass, in nanoseconds: enough for another to wake, look, and fall asleep.
const LATE: u64 = 300_000;

struct Message {
    sender: u64,
    number: u64,
    words: [u64; 4],
    elsewhere: Box<[u64; 2]>,
    sum: u64,
}

impl Message {
    fn new(sender: u64, number: u64) -> Self {
        let words = core::array::from_fn(|place| sum(&[sender, number, place as u64]));
        let elsewhere = Box::new([number, sender]);
        let sum = sum(&[sender, number, words[0], words[1], words[2], words[3], number, sender]);
        Self { sender, number, words, elsewhere, sum }
    }

    /// Whether it is whole. Its box is looked into last: of a message that is none, its address is none.
    fn check(&self, number: u64) {
        assert_eq!(self.number, number, "a message of sender {} out of order", self.sender);
        let words = &self.words;
        let [first, second] = *self.elsewhere;
        let found = sum(&[self.sender, self.number, words[0], words[1], words[2], words[3], first, second]);
        assert_eq!(found, self.sum, "message {number} of sender {} is not whole", self.sender);
    }
}

/// A ring's end that pushes.
trait Push {
    fn push(&mut self, message: Message) -> Result<(), Message>;
}

/// A ring's end that pops.
trait Pop {
    fn pop(&mut self) -> Option<Message>;
}

macro_rules! ends {
    ($($producer:ident, $consumer:ident;)*) => {$(
        impl Push for $producer<'_, Message, ROOM> {
            fn push(&mut self, message: Message) -> Result<(), Message> {
                $producer::push(self, message)
            }
        }
        impl Pop for $consumer<'_, Message, ROOM> {
            fn pop(&mut self) -> Option<Message> {
                $consumer::pop(self)
            }
        }
    )*};
}

use sync::ring::{Consumer as FaultyConsumer, Producer as FaultyProducer, Ring as FaultyRing};
ends! {
    Producer, Consumer;
    FaultyProducer, FaultyConsumer;
}

static RING: Ring<Message, ROOM> = Ring::new();
static FAULTY: FaultyRing<Message, ROOM> = FaultyRing::new();
static FILLED: Bell = Bell::new();
static EMPTIED: Bell = Bell::new();

/// The ring of the faults that are its own.
const TOO_FAR: u32 = 1;
/// The bell is rung before there is something to see.
const EARLY_BELL: u32 = 2;

/// Worker 0 pushes, worker 1 pops.
#[unsafe(no_mangle)]
extern "C" fn ring(worker: u32, fault: u32) {
    match (worker, is(fault, TOO_FAR)) {
        (0, false) => push_all(&mut RING.producer().expect("it is free"), fault),
        (0, true) => push_all(&mut FAULTY.producer().expect("it is free"), fault),
        (_, false) => pop_all(&mut RING.consumer().expect("it is free"), fault),
        (_, true) => pop_all(&mut FAULTY.consumer().expect("it is free"), fault),
    }
}

/// Pushes in bursts, and waits after each until all is popped, so that the other worker falls asleep, and nothing more comes that could
/// wake it by chance.
fn push_all(ring: &mut impl Push, fault: u32) {
    let mut chance = Chance::new(0);
    for number in 0..MESSAGES {
        if is(fault, EARLY_BELL) {
            FILLED.ring();
            spin_for(LATE);
        }
        let mut message = Message::new(0, number);
        loop {
            let seen = EMPTIED.word();
            match ring.push(message) {
                Ok(()) => break,
                Err(back) => message = back,
            }
            EMPTIED.wait(seen, fault);
        }
        if !is(fault, EARLY_BELL) {
            FILLED.ring();
        }
        if chance.below(64) == 0 {
            empty(number + 1, fault);
        }
    }
}

/// Waits until so many messages are popped.
fn empty(messages: u64, fault: u32) {
    loop {
        let seen = EMPTIED.word();
        if u64::from(seen) == messages {
            break;
        }
        EMPTIED.wait(seen, fault);
    }
}

fn pop_all(ring: &mut impl Pop, fault: u32) {
    let mut slept = 0;
    for number in 0..MESSAGES {
        let message = loop {
            let seen = FILLED.word();
            if let Some(message) = ring.pop() {
                break message;
            }
            slept += 1;
            FILLED.wait(seen, fault);
        };
        EMPTIED.ring();
        message.check(number);
    }
    assert!(ring.pop().is_none(), "a message that nobody sent");
    assert!(slept > 0, "the ring was never empty");
    tell(&format!("ring: {MESSAGES} messages, each once, in order, whole; it slept {slept} times"));
}

const SENDERS: u64 = 3;
/// A sender sends one message twice.
const TWICE: u32 = 1;
/// A sender writes a word of a message after it has computed the sum.
const TORN: u32 = 2;

static CHANNEL: Channel<Message, ROOM> = Channel::new();

/// Worker 0 receives, workers 1 to 3 send.
#[unsafe(no_mangle)]
extern "C" fn channel(worker: u32, fault: u32) {
    match worker {
        0 => receive_all(fault),
        sender => send_all(u64::from(sender), fault),
    }
}

fn send_all(sender: u64, fault: u32) {
    let channel = CHANNEL.sender();
    for number in 0..MESSAGES / SENDERS {
        let twice = is(fault, TWICE) && number == 1000;
        for _ in 0..=u32::from(twice) {
            let mut message = Message::new(sender, number);
            if is(fault, TORN) && number == 1000 {
                message.words[3] ^= 1 << 40;
            }
            loop {
                let seen = EMPTIED.word();
                match channel.send(message) {
                    Ok(()) => break,
                    Err(back) => message = back,
                }
                EMPTIED.wait(seen, fault);
            }
            FILLED.ring();
        }
    }
}

fn receive_all(fault: u32) {
    let mut channel = CHANNEL.receiver().expect("it is free");
    let mut next = [0; SENDERS as usize];
    for _ in 0..MESSAGES / SENDERS * SENDERS {
        let message = loop {
            let seen = FILLED.word();
            if let Some(message) = channel.receive() {
                break message;
            }
            FILLED.wait(seen, fault);
        };
        EMPTIED.ring();
        let next = &mut next[message.sender as usize - 1];
        message.check(*next);
        *next += 1;
    }
    assert_eq!(next, [MESSAGES / SENDERS; SENDERS as usize], "messages of a sender are missing");
    assert!(channel.receive().is_none(), "a message that nobody sent");
    tell(&format!("channel: {SENDERS} senders, messages of each once, in order, whole: {next:?}"));
}

/// Words that are handed to and fro by the word of a bell alone.
struct Mailbox {
    turn: Bell,
    words: UnsafeCell<[u64; 16]>,
}

// SAFETY: the words are the worker's whose turn it is.
unsafe impl Sync for Mailbox {}

static MAILBOX: Mailbox = Mailbox { turn: Bell::new(), words: UnsafeCell::new([0; 16]) };

const TURNS: u32 = 20_000;
/// The other is notified before the turn is stored.
const NOTIFY_FIRST: u32 = 1;
/// The turn is stored before the words are.
const TURN_FIRST: u32 = 2;

/// Two workers write what the other has to find: even turns are worker 0's.
#[unsafe(no_mangle)]
extern "C" fn mailbox(worker: u32, fault: u32) {
    for turn in (worker..TURNS).step_by(2) {
        loop {
            let seen = MAILBOX.turn.word();
            if seen == turn {
                break;
            }
            MAILBOX.turn.wait(seen, fault);
        }
        // SAFETY: this worker's turn.
        let found = unsafe { *MAILBOX.words.get() };
        let wanted = if turn == 0 { [0; 16] } else { contents(turn) };
        assert_eq!(found, wanted, "turn {turn} was seen before what comes with it");
        let write = || {
            // SAFETY: this worker's turn.
            unsafe { *MAILBOX.words.get() = contents(turn + 1) };
        };
        match fault {
            NOTIFY_FIRST => {
                write();
                MAILBOX.turn.wake();
                spin_for(LATE);
                MAILBOX.turn.store(turn + 1);
            }
            TURN_FIRST => {
                MAILBOX.turn.set(turn + 1);
                spin_for(LATE);
                write();
            }
            _ => {
                write();
                MAILBOX.turn.set(turn + 1);
            }
        }
    }
    if worker == 0 {
        tell(&format!(
            "mailbox: {TURNS} turns by wait and notify, what was written before each is seen after"
        ));
    }
}

fn contents(turn: u32) -> [u64; 16] {
    core::array::from_fn(|place| sum(&[u64::from(turn), place as u64]))
}
