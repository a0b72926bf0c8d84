//! A map that many threads use at once: reads without a lock, a fence or a read-modify-write.
//!
//! From the outside in: `map` and `guard` are what users see, `iter` walks by hash; `core` says which table is the truth,
//! `write` what a writer does there, `migrate` how entries go to another table, `teardown` how it ends. `table` is the path of a
//! read, `bucket` the format and the lock, `block` the memory, `garbage` what may still be seen, `lane` what a thread of the map's writes alone. `rules` are the switches of the
//! protocol. The crate's `epoch` says when garbage is free, `sync` has the atomics. docs/concurrent.md tells it as a whole.
//!
//! Invariant: a key is written in one trail at a time, under its lock: the old table's before its bucket's flip, the new one's after.

mod block;
pub(crate) mod bucket;
mod clock;
mod core;
mod garbage;
mod guard;
mod iter;
pub(crate) mod lane;
mod map;
mod migrate;
#[cfg(feature = "rayon")]
mod par;
#[doc(hidden)]
pub mod rules;
#[cfg(feature = "serde")]
mod serde;
mod table;
mod teardown;
mod write;

pub use crate::epoch::{OldGuard, WarnHook, warn_of_old_guards};
use guard::sealed::Pinning;
pub use guard::{Change, Guard, OwnedGuard};
pub use iter::Iter;
pub use map::ConcurrentMap;
