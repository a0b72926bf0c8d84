//! Our maps as std's: the behaviours that std documents, with `bucketmask_map` for `std::collections`.
//! Not for sanitizers: it takes minutes to compile.
//!
//! Invariant: the tests name no type of ours; what differs from `drop_in_std.rs` is one line.

use bucketmask_map as subject;

mod behaviours;
