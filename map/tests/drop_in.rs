//! Our maps as std's: the behaviours that std documents, with `bucketmask_map` for `std::collections`.
//! Not for sanitizers: it reaches no unsafe code that `programs.rs` does not, and takes a minute to compile.
//!
//! Invariant: the tests name no type of ours; what differs from `drop_in_std.rs` is one line.

use bucketmask_map as subject;

mod behaviours;
