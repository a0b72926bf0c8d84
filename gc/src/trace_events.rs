//! How the collector's trace events leave their threads: the allocator's transport, and its aggregating thread.
//!
//! A thread gets a ring with its first event; threads beyond [`RINGS`] share the channel. What finds no room is dropped and counted. In
//! the child of a fork there is no aggregating thread, and its events are dropped and counted. A thread that ends waits for its events
//! to be written, for [`PATIENCE`] at most.
//! Owned by `trace_line.rs`. Invariant: nothing here blocks a thread that goes on, and events of one thread keep their order.

use bucketmask_alloc::events::aggregator::{self, Source};
use bucketmask_alloc::events::transport::{End, Event, Transport};
use std::cell::RefCell;
use std::sync::Once;
use std::thread;
use std::time::{Duration, Instant};

/// Words of an event.
pub(crate) const WORDS: usize = 27;
/// Threads that have a ring of their own; others share the channel.
const RINGS: usize = 8;
/// Events that a ring, or the channel, holds.
const ROOM: usize = 64;
/// How long a thread that ends waits for its events to be written.
const PATIENCE: Duration = Duration::from_millis(500);

pub(crate) static TRANSPORT: Transport<WORDS, ROOM, RINGS> = Transport::new();

/// A thread's end.
struct Own(Option<End<WORDS, ROOM>>);

impl Drop for Own {
    /// Waits for what was sent, but not for ever.
    fn drop(&mut self) {
        let Some(end) = &self.0 else { return };
        let start = Instant::now();
        while !end.is_written() && start.elapsed() < PATIENCE {
            thread::sleep(Duration::from_micros(200));
        }
    }
}

thread_local! {
    static OWN: RefCell<Option<Own>> = const { RefCell::new(None) };
}

/// Sends an event to the aggregating thread, which has it written by `source`. Does not block; allocates with the process's first
/// event only.
pub(crate) fn send(words: [u64; WORDS], source: &'static Source) {
    static SERVED: Once = Once::new();
    SERVED.call_once(|| _ = aggregator::serve(source));
    if !aggregator::is_there() {
        return TRANSPORT.lose();
    }
    let event = Event::new(words);
    let sent = OWN.try_with(|own| {
        let mut own = own.borrow_mut();
        let own = own.get_or_insert_with(|| Own(TRANSPORT.end()));
        TRANSPORT.send(own.0.as_mut(), event);
    });
    // A thread that is ending has no end any more.
    sent.unwrap_or_else(|_| TRANSPORT.send(None, event));
    aggregator::announce();
}
