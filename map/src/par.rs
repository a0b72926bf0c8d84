//! Parallel iteration over maps and sets: rayon's traits.
//!
//! Owned by the feature `rayon`. A table is split at its mask words, in hash order, until there is work for every thread;
//! each part is walked as a whole table is, at the cost of its entries and summary words. Names and traits are those that
//! rayon gives std's map and hashbrown gives its own, so a program ports by its imports.
//! Invariant: whatever the consumer does, stopping early and panicking included, every entry is given out or dropped
//! once, and a drained map is empty and keeps its memory.

mod map;
mod set;
mod str_map;

use crate::raw::part::Part;
pub use map::{ParDrain, ParIntoIter, ParIter, ParIterMut, ParKeys, ParValues, ParValuesMut};
use rayon::iter::plumbing::{Folder, UnindexedConsumer, UnindexedProducer, bridge_unindexed};
pub use set::{ParSetDrain, ParSetIntoIter};
pub use str_map::{ParStrDrain, ParStrIntoIter, ParStrIter, ParStrIterMut};

/// A part of a table, and how its entries become a consumer's items.
struct Producer<P, F> {
    part: P,
    to: F,
}

impl<P: Part, R: Send, F: Fn(P::Item) -> R + Copy + Send> UnindexedProducer for Producer<P, F> {
    type Item = R;

    fn split(mut self) -> (Self, Option<Self>) {
        let upper = self.part.split().map(|part| Self { part, to: self.to });
        (self, upper)
    }

    fn fold_with<C: Folder<R>>(self, folder: C) -> C {
        folder.consume_iter(self.part.map(self.to))
    }
}

/// Drives `consumer` with the entries of `part`.
fn drive<P, R, F, C>(part: P, to: F, consumer: C) -> C::Result
where
    P: Part,
    R: Send,
    F: Fn(P::Item) -> R + Copy + Send,
    C: UnindexedConsumer<R>,
{
    bridge_unindexed(Producer { part, to }, consumer)
}
