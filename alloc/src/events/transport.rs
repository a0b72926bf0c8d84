//! How trace events leave their threads: a ring a thread, a channel for who has none, and nothing that blocks.
//!
//! ```text
//! a thread that has something to tell:   words + crc32 --> its ring, or the shared channel;   full: dropped and counted
//! the receiver:                          takes all there are, checks each, has them written
//! ```
//!
//! The rings and the channel are `sync`'s, of fixed storage. Owned by a `static` of whoever tells. Invariant: what is written is
//! whole by its checksum, events of one ring keep their order, and every event is written, or counted as lost or broken.

use crate::sync::channel::Channel;
use crate::sync::ring::{Producer, Ring};
use core::sync::atomic::{AtomicU64, Ordering};

/// What a thread has to tell, and the checksum that its receiver verifies.
#[derive(Clone, Copy)]
pub struct Event<const WORDS: usize> {
    words: [u64; WORDS],
    crc32: u32,
}

impl<const WORDS: usize> Event<WORDS> {
    /// An event of these words.
    pub fn new(words: [u64; WORDS]) -> Self {
        Self { words, crc32: checksum(&words) }
    }

    fn is_whole(&self) -> bool {
        checksum(&self.words) == self.crc32
    }
}

fn checksum<const WORDS: usize>(words: &[u64; WORDS]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for word in words {
        hasher.update(&word.to_le_bytes());
    }
    hasher.finalize()
}

/// How many of a way's events were sent, and how many of them written.
struct Passed {
    /// The producer's, or a count of several: handed on with the ring's producing end.
    sent: AtomicU64,
    /// Stored with release by the receiver, after the event is written; the acquire load of who waits for that pairs with it.
    written: AtomicU64,
}

impl Passed {
    const fn new() -> Self {
        Self { sent: AtomicU64::new(0), written: AtomicU64::new(0) }
    }

    fn is_written(&self, due: u64) -> bool {
        self.written.load(Ordering::Acquire) >= due
    }
}

/// A ring, and what passed it.
struct Lane<const WORDS: usize, const ROOM: usize> {
    ring: Ring<Event<WORDS>, ROOM>,
    passed: Passed,
}

/// All ways from threads to the receiver: so many rings, each of so much room, and the channel.
pub struct Transport<const WORDS: usize, const ROOM: usize, const RINGS: usize> {
    lanes: [Lane<WORDS, ROOM>; RINGS],
    shared: Channel<Event<WORDS>, ROOM>,
    passed: Passed,
    /// Events that found no room. A count, as is the next.
    lost: AtomicU64,
    /// Events whose checksum was wrong.
    broken: AtomicU64,
}

/// A thread's end.
pub struct End<const WORDS: usize, const ROOM: usize> {
    lane: &'static Lane<WORDS, ROOM>,
    producer: Producer<'static, Event<WORDS>, ROOM>,
    /// What `written` is when all is written.
    due: u64,
}

impl<const WORDS: usize, const ROOM: usize, const RINGS: usize> Transport<WORDS, ROOM, RINGS> {
    /// Nothing on its way.
    #[expect(clippy::new_without_default, reason = "made as a static's value alone")]
    pub const fn new() -> Self {
        Self {
            lanes: [const { Lane { ring: Ring::new(), passed: Passed::new() } }; RINGS],
            shared: Channel::new(),
            passed: Passed::new(),
            lost: AtomicU64::new(0),
            broken: AtomicU64::new(0),
        }
    }

    /// A ring that is nobody's.
    pub fn end(&'static self) -> Option<End<WORDS, ROOM>> {
        self.lanes.iter().find_map(|lane| {
            let producer = lane.ring.producer()?;
            Some(End { lane, producer, due: lane.passed.sent.load(Ordering::Relaxed) })
        })
    }

    /// Sends an event by `end`, or by the channel. Where there is no room it is dropped and counted.
    pub fn send(&self, end: Option<&mut End<WORDS, ROOM>>, event: Event<WORDS>) {
        let sent = match end {
            Some(end) => end.producer.push(event).map(|()| {
                end.due += 1;
                end.lane.passed.sent.store(end.due, Ordering::Relaxed);
            }),
            None => self.shared.sender().send(event).map(|()| {
                self.passed.sent.fetch_add(1, Ordering::Relaxed);
            }),
        };
        if sent.is_err() {
            self.lose();
        }
    }

    /// Counts an event that there is nobody for.
    pub fn lose(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
    }

    /// Has all events written that are there; how many there were. Nothing while another thread does so.
    pub fn pump(&self, mut write: impl FnMut(&[u64; WORDS])) -> usize {
        let mut count = 0;
        let mut check = |event: Event<WORDS>, passed: &Passed| {
            count += 1;
            if event.is_whole() {
                write(&event.words);
            } else {
                self.broken.fetch_add(1, Ordering::Relaxed);
            }
            passed.written.fetch_add(1, Ordering::Release);
        };
        for lane in &self.lanes {
            let Some(mut consumer) = lane.ring.consumer() else { continue };
            // As many as there are now: one busy thread must not keep the others' events waiting.
            for _ in 0..consumer.len() {
                consumer.pop().into_iter().for_each(|event| check(event, &lane.passed));
            }
        }
        if let Some(mut receiver) = self.shared.receiver() {
            while let Some(event) = receiver.receive() {
                check(event, &self.passed);
            }
        }
        count
    }

    /// Events that were dropped, and those with a wrong checksum, so far.
    pub fn missing(&self) -> [u64; 2] {
        [&self.lost, &self.broken].map(|count| count.load(Ordering::Relaxed))
    }

    /// Whether all that was sent is written.
    pub fn is_written(&self) -> bool {
        let mut ways = self.lanes.iter().map(|lane| &lane.passed).chain([&self.passed]);
        ways.all(|passed| passed.is_written(passed.sent.load(Ordering::Relaxed)))
    }
}

impl<const WORDS: usize, const ROOM: usize> End<WORDS, ROOM> {
    /// Whether all that was sent by this end is written.
    pub fn is_written(&self) -> bool {
        self.lane.passed.is_written(self.due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    const RINGS: usize = 8;
    const ROOM: usize = 64;
    const WORDS: usize = 25;

    fn transport() -> &'static Transport<WORDS, ROOM, RINGS> {
        crate::kept::kept(Box::new(Transport::new()))
    }

    fn words(first: u64) -> [u64; WORDS] {
        core::array::from_fn(|nth| first + nth as u64)
    }

    #[test]
    fn rings_and_the_channel_carry_every_event_in_each_threads_order() {
        let transport = transport();
        let threads = RINGS as u64 + 3;
        let each = 300;
        // All have their ends before one gives its ring back.
        let ready = std::sync::Barrier::new(threads as usize);
        let mut seen = vec![0; threads as usize];
        let mut rings = 0;
        let mut written = 0;
        thread::scope(|scope| {
            let running: Vec<_> = (0..threads)
                .map(|number| {
                    let ready = &ready;
                    scope.spawn(move || {
                        let mut end = transport.end();
                        ready.wait();
                        for nth in 0..each {
                            let [lost, _] = transport.missing();
                            transport.send(end.as_mut(), Event::new(words(number * 1_000_000 + nth)));
                            if transport.missing()[0] > lost {
                                thread::yield_now();
                            }
                        }
                        u32::from(end.is_some())
                    })
                })
                .collect();
            let mut pump = || {
                written += transport.pump(|words| {
                    let (thread, nth) = ((words[0] / 1_000_000) as usize, words[0] % 1_000_000 + 1);
                    assert!(nth > seen[thread], "an event came out of order, or twice");
                    seen[thread] = nth;
                });
            };
            while !running.iter().all(thread::ScopedJoinHandle::is_finished) {
                pump();
            }
            pump();
            rings = running.into_iter().map(|thread| thread.join().expect("it does not panic")).sum();
        });
        assert_eq!(rings, RINGS as u32, "each ring has one thread at a time");
        assert!(seen.iter().all(|&last| last > 0), "{seen:?}");
        let [lost, broken] = transport.missing();
        assert_eq!((written as u64 + lost, broken), (threads * each, 0));
        assert!(transport.is_written());
    }

    #[test]
    fn what_finds_no_room_is_dropped_and_counted() {
        let transport = transport();
        let mut end = transport.end().expect("a ring");
        (0..ROOM as u64 + 5).for_each(|nth| transport.send(Some(&mut end), Event::new(words(nth))));
        (0..ROOM as u64 + 2).for_each(|nth| transport.send(None, Event::new(words(1000 + nth))));
        assert_eq!(transport.missing(), [7, 0]);
        assert!(!end.is_written() && !transport.is_written());
        let mut seen = Vec::new();
        transport.pump(|words| seen.push(words[0]));
        let room = ROOM as u64;
        assert!(
            seen.into_iter().eq((0..room).chain(1000..1000 + room)),
            "the first stay, the rest is dropped"
        );
        assert!(end.is_written() && transport.is_written(), "what was dropped is not waited for");
        // The ring's next thread waits for its own events only.
        drop(end);
        assert!(transport.end().expect("a ring").is_written());
    }

    #[test]
    fn an_event_with_a_wrong_checksum_is_not_written() {
        let transport = transport();
        for word in 0..WORDS {
            let mut event = Event::new(words(7));
            event.words[word] ^= 1 << word;
            transport.send(None, event);
        }
        transport.send(None, Event::new(words(8)));
        let mut seen = Vec::new();
        transport.pump(|words| seen.push(words[0]));
        assert_eq!((seen, transport.missing()), (vec![8], [0, WORDS as u64]));
        assert!(transport.is_written());
    }
}
