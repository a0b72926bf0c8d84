//! The table under the safe faces: where memory lies, how it is searched, how it grows. Published is [`SharedMap`] alone.
//!
//! Owned by `map.rs`, `set.rs` and `gc_map.rs`, which see no pointer. The files read as one chain: `layout` says where
//! heads and slots lie, `storage` gets the memory, `group` reads a head, `table` finds, places and removes, `upkeep`
//! decides when to grow and to shrink (`policy`: how far), `migrate` moves the watermark (`lift` and `haul`: the common step and
//! the long one), `crowd` looks at long trails, `repair` mends passes, `close` gives memory back, `walk` reads the masks,
//! `check` proves it all.
//! Invariant: every entry lies at or after its home bucket, and each bucket passed on its trail knows of its class.

pub(crate) mod ahead;
pub(crate) mod cell;
pub(crate) mod check;
mod close;
mod crowd;
mod disjoint;
pub(crate) mod extract;
#[cfg(feature = "gc")]
mod flat;
pub(crate) mod group;
mod haul;
pub(crate) mod layout;
mod lift;
pub(crate) mod migrate;
#[cfg(feature = "rayon")]
pub(crate) mod part;
pub(crate) mod passes;
pub(crate) mod policy;
pub(crate) mod position;
pub(crate) mod probe;
mod repair;
pub(crate) mod short;
pub(crate) mod storage;
pub(crate) mod summary;
pub(crate) mod table;
pub(crate) mod text;
pub(crate) mod upkeep;
#[cfg(feature = "gc")]
pub(crate) mod visit;
pub(crate) mod walk;

#[cfg(test)]
mod changes;
#[cfg(test)]
mod lies;
#[cfg(test)]
mod scarce;
#[cfg(test)]
mod tests;

#[cfg(feature = "detect")]
pub use crate::shared_map::{Response, respond_with};
pub use crate::shared_map::{SharedIter, SharedMap};
pub(crate) use cell::{Cell, Occupied, Vacant};
use storage::TryReserveError;
pub(crate) use table::RawTable;
