//! How trace events leave their threads: a ring a thread, one aggregating thread, nothing that blocks.
//!
//! ```text
//! a thread that collects:   words + crc32 --> its ring, or the shared channel if all rings are taken;  full: dropped and counted
//! the aggregating thread:   sleeps until an event is announced; takes all there are, checks each, has them written
//! ```
//!
//! The rings and the channel are `bucketmask_alloc::sync`'s, of fixed storage. The aggregating thread is made with the first event, lives to
//! the end of the process, and is not there in the child of a fork, whose events are dropped and counted. A thread that ends
//! waits for its events to be written, for [`PATIENCE`] at most.
//! Owned by `trace_line.rs`. Invariant: what is written is whole by its checksum, and events of one thread keep their order.

use bucketmask_alloc::sync::channel::{Acq, Channel};
use bucketmask_alloc::sync::ring::{Consumer, Producer, Ring};
use std::cell::RefCell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// Words of an event.
pub(crate) const WORDS: usize = 25;
/// Threads that have a ring of their own; others share the channel.
const RINGS: usize = 8;
/// Events that a ring, or the channel, holds.
const ROOM: usize = 64;
/// How long a thread that ends waits for its events to be written.
const PATIENCE: Duration = Duration::from_millis(500);

/// What a thread has to tell, and the checksum that its receiver verifies.
#[derive(Clone, Copy)]
struct Event {
    words: [u64; WORDS],
    crc32: u32,
}

impl Event {
    fn new(words: [u64; WORDS]) -> Self {
        Self { words, crc32: checksum(&words) }
    }

    fn is_whole(&self) -> bool {
        checksum(&self.words) == self.crc32
    }
}

fn checksum(words: &[u64; WORDS]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for word in words {
        hasher.update(&word.to_le_bytes());
    }
    hasher.finalize()
}

/// A ring, and how many of its events were written.
struct Lane {
    ring: Ring<Event, ROOM>,
    /// Stored with release by the receiver, after the event is written; the acquire load of a thread that ends pairs with it.
    written: AtomicU64,
    /// How many were pushed. The producer's: handed on with the ring's producing end.
    pushed: AtomicU64,
}

/// All ways from threads to the receiver.
struct Transport {
    lanes: [Lane; RINGS],
    shared: Channel<Event, ROOM>,
    /// Events that found no room. A count, as is the next.
    lost: AtomicU64,
    /// Events whose checksum was wrong.
    broken: AtomicU64,
}

/// A thread's end.
struct End {
    lane: &'static Lane,
    producer: Producer<'static, Event, ROOM>,
    /// What `written` is when all is written.
    due: u64,
}

/// The receiver's ends.
struct Ends {
    consumers: Vec<(&'static Lane, Consumer<'static, Event, ROOM>)>,
    receiver: Acq<'static, Event, ROOM>,
}

impl Transport {
    #[expect(clippy::large_stack_arrays, reason = "a static's value; tests' stacks are large enough")]
    const fn new() -> Self {
        Self {
            lanes: [const { Lane { ring: Ring::new(), written: AtomicU64::new(0), pushed: AtomicU64::new(0) } };
                RINGS],
            shared: Channel::new(),
            lost: AtomicU64::new(0),
            broken: AtomicU64::new(0),
        }
    }

    /// A ring that is nobody's.
    fn end(&'static self) -> Option<End> {
        self.lanes.iter().find_map(|lane| {
            let producer = lane.ring.producer()?;
            Some(End { lane, producer, due: lane.pushed.load(Ordering::Relaxed) })
        })
    }

    /// Sends an event by `end`, or by the channel. Where there is no room it is dropped and counted.
    fn send(&self, end: Option<&mut End>, event: Event) {
        let sent = match end {
            Some(end) => end.producer.push(event).map(|()| {
                end.due += 1;
                end.lane.pushed.store(end.due, Ordering::Relaxed);
            }),
            None => self.shared.sender().send(event),
        };
        if sent.is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The receiver's ends; `None` where somebody has one of them.
    fn ends(&'static self) -> Option<Ends> {
        let consumers = self.lanes.iter().map(|lane| Some((lane, lane.ring.consumer()?)));
        Some(Ends { consumers: consumers.collect::<Option<_>>()?, receiver: self.shared.receiver()? })
    }

    /// Has all events written that are there.
    fn pump(&self, ends: &mut Ends, mut write: impl FnMut(&[u64; WORDS])) {
        let mut check = |event: Event| {
            if event.is_whole() {
                write(&event.words);
            } else {
                self.broken.fetch_add(1, Ordering::Relaxed);
            }
        };
        for (lane, consumer) in &mut ends.consumers {
            while let Some(event) = consumer.pop() {
                check(event);
                lane.written.fetch_add(1, Ordering::Release);
            }
        }
        while let Some(event) = ends.receiver.receive() {
            check(event);
        }
    }
}

impl End {
    fn is_written(&self) -> bool {
        self.lane.written.load(Ordering::Acquire) >= self.due
    }
}

impl Drop for End {
    /// Waits for what was sent, but not for ever.
    fn drop(&mut self) {
        let start = Instant::now();
        while !self.is_written() && start.elapsed() < PATIENCE {
            thread::sleep(Duration::from_micros(200));
        }
    }
}

static TRANSPORT: Transport = Transport::new();

thread_local! {
    static OWN: RefCell<Option<End>> = const { RefCell::new(None) };
}

/// The aggregating thread, made when it is first asked for; `None`: there is none to be had.
fn aggregator(write: fn(&[u64; WORDS]), complain: fn(&str)) -> Option<&'static Thread> {
    static AGGREGATOR: OnceLock<Option<Thread>> = OnceLock::new();
    let make = || {
        let mut ends = TRANSPORT.ends()?;
        let work = move || {
            let mut told = [0; 2];
            loop {
                TRANSPORT.pump(&mut ends, write);
                let now = [&TRANSPORT.lost, &TRANSPORT.broken].map(|count| count.load(Ordering::Relaxed));
                if now != told {
                    complain(&format!("{} events dropped, {} with a wrong checksum", now[0], now[1]));
                    told = now;
                }
                // Whoever sends announces it afterwards: an event is never left lying.
                thread::park();
            }
        };
        let thread = thread::Builder::new().name("bucketmask-trace".to_owned()).spawn(work).ok()?;
        Some(thread.thread().clone())
    };
    AGGREGATOR.get_or_init(make).as_ref()
}

/// Sends an event to the aggregating thread, which has `write` write it. Does not block; allocates with a thread's first event only.
pub(crate) fn send(words: [u64; WORDS], write: fn(&[u64; WORDS]), complain: fn(&str)) {
    let Some(aggregator) = aggregator(write, complain) else {
        // No thread: the event is not worth a process.
        TRANSPORT.lost.fetch_add(1, Ordering::Relaxed);
        return;
    };
    let event = Event::new(words);
    let sent = OWN.try_with(|own| {
        let mut own = own.borrow_mut();
        if own.is_none() {
            *own = TRANSPORT.end();
        }
        TRANSPORT.send(own.as_mut(), event);
    });
    // A thread that is ending has no end any more.
    sent.unwrap_or_else(|_| TRANSPORT.send(None, event));
    aggregator.unpark();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transport() -> &'static Transport {
        Box::leak(Box::new(Transport::new()))
    }

    fn words(first: u64) -> [u64; WORDS] {
        core::array::from_fn(|nth| first + nth as u64)
    }

    #[test]
    fn rings_and_the_channel_carry_every_event_in_each_threads_order() {
        let transport = transport();
        let threads = RINGS as u64 + 3;
        let each = 300;
        let mut ends = transport.ends().expect("nobody has them");
        assert!(transport.ends().is_none(), "there is one receiver");
        // All have their ends before one gives its ring back.
        let ready = std::sync::Barrier::new(threads as usize);
        let mut seen = vec![0; threads as usize];
        let mut rings = 0;
        thread::scope(|scope| {
            let running: Vec<_> = (0..threads)
                .map(|number| {
                    let ready = &ready;
                    scope.spawn(move || {
                        let mut end = transport.end();
                        ready.wait();
                        for nth in 0..each {
                            let lost = transport.lost.load(Ordering::Relaxed);
                            transport.send(end.as_mut(), Event::new(words(number * 1_000_000 + nth)));
                            if transport.lost.load(Ordering::Relaxed) > lost {
                                thread::yield_now();
                            }
                        }
                        u32::from(end.is_some())
                    })
                })
                .collect();
            while !running.iter().all(thread::ScopedJoinHandle::is_finished) {
                transport.pump(&mut ends, |words| {
                    let (thread, nth) = ((words[0] / 1_000_000) as usize, words[0] % 1_000_000 + 1);
                    assert!(nth > seen[thread], "an event came out of order, or twice");
                    seen[thread] = nth;
                });
            }
            rings = running.into_iter().map(|thread| thread.join().expect("it does not panic")).sum();
        });
        assert_eq!(rings, RINGS as u32, "each ring has one thread at a time");
        assert!(seen.iter().all(|&last| last > 0), "{seen:?}");
        assert_eq!(transport.broken.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn what_finds_no_room_is_dropped_and_counted() {
        let transport = transport();
        let mut end = transport.end().expect("a ring");
        (0..ROOM as u64 + 5).for_each(|nth| transport.send(Some(&mut end), Event::new(words(nth))));
        (0..ROOM as u64 + 2).for_each(|nth| transport.send(None, Event::new(words(1000 + nth))));
        assert_eq!(transport.lost.load(Ordering::Relaxed), 7);
        assert!(!end.is_written());
        let mut seen = Vec::new();
        let mut ends = transport.ends().expect("nobody has them");
        transport.pump(&mut ends, |words| seen.push(words[0]));
        let room = ROOM as u64;
        assert!(
            seen.into_iter().eq((0..room).chain(1000..1000 + room)),
            "the first stay, the rest is dropped"
        );
        assert!(end.is_written(), "what was dropped is not waited for");
        // The ring's next thread waits for its own events only.
        drop(end);
        assert!(transport.end().expect("a ring").is_written());
    }

    #[test]
    fn an_event_with_a_wrong_checksum_is_not_written() {
        let transport = transport();
        let mut ends = transport.ends().expect("nobody has them");
        for word in 0..WORDS {
            let mut event = Event::new(words(7));
            event.words[word] ^= 1 << word;
            transport.send(None, event);
        }
        transport.send(None, Event::new(words(8)));
        let mut seen = Vec::new();
        transport.pump(&mut ends, |words| seen.push(words[0]));
        assert_eq!((seen, transport.broken.load(Ordering::Relaxed)), (vec![8], WORDS as u64));
    }
}
