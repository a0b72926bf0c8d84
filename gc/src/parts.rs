//! What values that are too large for one step tell the collector, so that tracing and dropping them can stop and go on.
//!
//! Owned by the library's own containers: a `trace` of the program's cannot be resumed, and containers of std's inside a
//! value are traced with it, in one go. Invariant: a part does about as much as it is asked for, and always something.

/// Bytes of a value that are traced or dropped at a time, and the size from which on an array is worked on in parts.
pub const PART_BYTES: usize = 16 << 10;

/// What one part of tracing did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traced {
    /// Where to go on; `None`: all of the value has been traced.
    pub next: Option<usize>,
    /// Bytes that were looked at.
    pub bytes: usize,
}

/// What is left of a value that takes more than one step to drop.
pub trait DropInParts {
    /// Drops about `bytes` more, or gives as much memory back. True: nothing is left. After a panic of a destructor it can be
    /// called again, and goes on behind what panicked.
    fn drop_part(&mut self, bytes: usize) -> bool;
}
