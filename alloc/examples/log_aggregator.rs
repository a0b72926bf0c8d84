//! Log lines of several threads, in one order, each checked: `cargo run --example log_aggregator`.
//!
//! Producers make events of {timestamp, data, crc32} and send them through one bounded channel of fixed storage; one
//! aggregator verifies every checksum and writes a summary. Nothing of the transport allocates.

use bucketmask_alloc::sync::channel::Channel;
use std::process::ExitCode;
use std::thread;
use std::time::Instant;

/// Producing threads.
const PRODUCERS: u8 = 4;
/// Events of each.
const EVENTS: u32 = 50_000;

/// One line of a log.
#[derive(Clone, Copy)]
struct Event {
    /// Nanoseconds since the program began.
    timestamp: u64,
    /// Who made it, its number, and something to say.
    data: [u8; 24],
    /// Of the timestamp's bytes and the data.
    crc32: u32,
}

impl Event {
    fn new(timestamp: u64, producer: u8, number: u32) -> Self {
        let mut data = *b"?####  a line of a log  ";
        data[0] = producer;
        data[1..5].copy_from_slice(&number.to_le_bytes());
        Self { timestamp, data, crc32: checksum(timestamp, &data) }
    }

    fn is_whole(&self) -> bool {
        checksum(self.timestamp, &self.data) == self.crc32
    }

    fn number(&self) -> u32 {
        u32::from_le_bytes([self.data[1], self.data[2], self.data[3], self.data[4]])
    }
}

fn checksum(timestamp: u64, data: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&timestamp.to_le_bytes());
    hasher.update(data);
    hasher.finalize()
}

static EVENTS_ON_THEIR_WAY: Channel<Event, 1024> = Channel::new();

fn produce(producer: u8, start: Instant) {
    let end = EVENTS_ON_THEIR_WAY.sender();
    for number in 0..EVENTS {
        let mut event = Event::new(start.elapsed().as_nanos() as u64, producer, number);
        while let Err(back) = end.send(event) {
            event = back;
            thread::yield_now();
        }
    }
}

/// What the aggregator saw.
#[derive(Default)]
struct Summary {
    received: [u32; PRODUCERS as usize],
    broken: u32,
    out_of_order: u32,
    last: u64,
}

fn aggregate() -> Summary {
    let mut end = EVENTS_ON_THEIR_WAY.receiver().expect("the one aggregator");
    let mut summary = Summary::default();
    while summary.received.iter().sum::<u32>() < u32::from(PRODUCERS) * EVENTS {
        let Some(event) = end.receive() else {
            thread::yield_now();
            continue;
        };
        let received = &mut summary.received[usize::from(event.data[0]) % usize::from(PRODUCERS)];
        summary.broken += u32::from(!event.is_whole());
        summary.out_of_order += u32::from(event.number() != *received);
        *received += 1;
        summary.last = summary.last.max(event.timestamp);
    }
    summary
}

fn main() -> ExitCode {
    let start = Instant::now();
    let summary = thread::scope(|threads| {
        for producer in 0..PRODUCERS {
            threads.spawn(move || produce(producer, start));
        }
        aggregate()
    });
    for (producer, received) in summary.received.iter().enumerate() {
        println!("producer {producer}: {received} events");
    }
    println!("{} with a wrong checksum, {} out of order", summary.broken, summary.out_of_order);
    println!("last event {:.3} s after the start", summary.last as f64 / 1e9);
    ExitCode::from(u8::from(summary.broken + summary.out_of_order > 0))
}
