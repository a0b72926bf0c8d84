//! Traces: what a program asked of the allocator, in order, in a file that can be replayed elsewhere.
//!
//! `BUCKETMASK_RECORD=file` makes a program record (see [`BucketAlloc::report_on_request`](crate::BucketAlloc::report_on_request));
//! `%p` in the name becomes the process's number. `format` says what a trace is to the byte, `recorder` writes it, and
//! [`Reader`] gives its [`Event`]s. Invariant: a trace holds events in an order in which they can have happened: a block's
//! malloc comes before its free, and the free of an address before the malloc that gives it out again.
//!
//! A trace survives its program: events are stored in mapped memory of the file, so that the kernel keeps those of a process
//! that crashed, up to the very last. What is recorded is what was asked for, not what was in the blocks.

mod bias;
mod event;
mod file;
pub(crate) mod format;
mod reader;
pub(crate) mod recorder;

pub use event::{Action, Event};
pub use reader::{Reader, TraceError, Wrong};
