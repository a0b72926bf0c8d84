//! What std documents of its maps and sets, as a table of our own tests.
//!
//! Owned by `drop_in.rs` and `drop_in_std.rs`, each of which names a `subject`. Invariant: nothing here depends on whose
//! types the subject's are, nor on the order of iteration.

#![allow(
    clippy::for_kv_map,
    clippy::into_iter_on_ref,
    clippy::iter_kv_map,
    clippy::needless_for_each,
    clippy::unnecessary_get_then_check,
    clippy::unnecessary_to_owned,
    clippy::zero_sized_map_values,
    reason = "each way to do a thing is a thing to test; the lints know std's types only, so they are not expected of both"
)]

mod capacity;
mod entry;
mod map;
mod panics;
mod program;
mod set;
mod traits;

use std::hash::{Hash, Hasher};

/// Equal by its first half, so that tests see which of two equal keys a map keeps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Twin(pub(crate) u32, pub(crate) &'static str);

impl PartialEq for Twin {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Twin {}

impl Hash for Twin {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

/// Sorted, so that sequences from a map can be compared.
pub(crate) fn sorted<T: Ord>(items: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut items: Vec<T> = items.into_iter().collect();
    items.sort_unstable();
    items
}
