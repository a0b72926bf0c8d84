//! What a trace tells, one thing at a time. Given by the reader. Invariant: sizes and alignments are those that the program
//! asked for, as far as its interface lets it say.

use core::time::Duration;

/// One thing that a program asked of the allocator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// The thread, counted from 0 in the order of first events. A number is never used twice.
    pub thread: u32,
    /// Time since the recording began, exact to some milliseconds; never less than the event's before.
    pub time: Duration,
    /// What it did.
    pub action: Action,
}

/// What a thread did. Addresses tell blocks apart and have no other meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Got a block.
    Malloc {
        /// Where it begins.
        address: u64,
        /// Bytes asked for.
        size: u64,
        /// Alignment asked for, in bytes: a power of two.
        align: u64,
        /// Whether it was to be zero.
        zeroed: bool,
    },
    /// Gave a block back.
    Free {
        /// Where it begins.
        address: u64,
    },
    /// Is about to free or resize a large block, of which so much is in memory: most likely what the program wrote of it.
    Touched {
        /// Where it begins.
        address: u64,
        /// Bytes, in whole OS pages.
        bytes: u64,
    },
    /// Began to resize a block, which is nobody's until the same thread's [`Resized`](Self::Resized).
    Resizing {
        /// Where it begins.
        address: u64,
    },
    /// Ended it. The address may be the old one, because the block stayed or because there was no memory.
    Resized {
        /// Where the block begins now.
        address: u64,
        /// Bytes asked for.
        size: u64,
        /// Alignment, in bytes: a power of two.
        align: u64,
    },
    /// Ended. A thread that frees after its own end (other libraries' ends may) is another one in the trace.
    ThreadEnd,
}
