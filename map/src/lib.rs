//! Bucketmask's hash map: sorted by hash, growing in place, walked by its masks.
//!
//! Entries lie in buckets of 14 slots. A bucket's head holds one byte of each entry's hash and the number of entries
//! that did not fit and went further; one bit a slot, packed out of band, says what is occupied. A lookup reads one
//! head, an iteration reads masks, and nobody reads empty buckets. The home of an entry is the high half of
//! `hash * buckets`, so a table of any size is sorted by hash and can grow by any factor, within one reserved range,
//! a few buckets an insert: no resize pause, no second table.
//!
//! - [`HashMap`], [`HashSet`]: std's interface, modules [`hash_map`] and [`hash_set`] as std has them.
//! - [`HashTable`]: the table with the hashes in the caller's hand.
//! - [`StrMap`]: a map from strings whose short keys lie in the table.
//! - [`ConcurrentMap`], module [`concurrent`]: a map that many threads use at once, read without locks.
//! - [`raw::SharedMap`]: a map that is shared by hand, and that finds overlapping uses where the feature `detect` is on.
//! - `GcMap` (feature `gc`): a map that lives in a collector's arena, traced by its masks.
//!
//! Invariant: unsafe code lives in `raw/`, `concurrent/` and what that stands on alone, and no user code runs while a table is between two valid states.

#![deny(unsafe_code)]

mod batch;
#[cfg(feature = "checked")]
pub mod checked;
#[cfg(not(feature = "checked"))]
#[path = "unchecked.rs"]
mod checked;
pub mod concurrent;
mod cursor;
mod disjoint;
mod entry;
mod entry_ref;
mod epoch;
#[cfg(feature = "gc")]
mod gc_body;
#[cfg(feature = "gc")]
mod gc_collect;
#[cfg(feature = "gc")]
mod gc_map;
#[cfg(feature = "gc")]
mod gc_str_map;
mod hash;
pub mod hash_table;
mod iter;
mod map;
mod pages;
#[cfg(feature = "rayon")]
pub mod par;
mod probes;
mod range;
pub mod raw;
#[cfg(feature = "serde")]
mod serde;
mod set;
mod shared_map;
pub mod str_map;
mod sync;
mod traits;
#[cfg(feature = "gc")]
mod weak_map;

/// std's module of that name: the map, its entries and its iterators.
pub mod hash_map {
    pub use crate::entry::{Entry, OccupiedEntry, OccupiedError, VacantEntry};
    pub use crate::entry_ref::{EntryRef, VacantEntryRef};
    pub use crate::iter::{
        Drain, ExtractIf, IntoIter, IntoKeys, IntoValues, Iter, IterMut, Keys, Values, ValuesMut,
    };
    pub use crate::map::HashMap;
    pub use std::collections::hash_map::{DefaultHasher, RandomState};
}

/// std's module of that name: the set, its iterators, and its entries.
pub mod hash_set {
    pub use crate::set::{
        Difference, Drain, Entry, ExtractIf, HashSet, Intersection, IntoIter, Iter, OccupiedEntry,
        SymmetricDifference, Union, VacantEntry,
    };
}

pub use allocator_api2::alloc::{AllocError, Allocator};
pub use batch::GetEach;
pub use concurrent::ConcurrentMap;
pub use cursor::{Cursor, Group, Scan, StrGroup};
pub use equivalent::Equivalent;
#[cfg(feature = "gc")]
pub use gc_map::GcMap;
#[cfg(feature = "gc")]
pub use gc_str_map::GcStrMap;
pub use hash_table::HashTable;
pub use map::HashMap;
pub use pages::Pages;
pub use range::{DrainRange, HashRange};
pub use raw::check::TableStats;
pub use raw::layout::{Auto, Inline, Layout, Split};
#[doc(hidden)]
pub use raw::layout::{Blocks, Scrubbed, Tiny};
pub use raw::storage::TryReserveError;
pub use set::HashSet;
pub use str_map::StrMap;
#[cfg(feature = "gc")]
pub use weak_map::WeakMap;

/// The README's examples, run as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// The examples of the concurrent map's page, run as tests.
#[cfg(doctest)]
#[doc = include_str!("../../docs/concurrent.md")]
struct Concurrent;
