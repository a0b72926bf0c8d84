//! Taking out of a table what a predicate chooses, one entry at a time.
//!
//! Owned by the safe faces. Invariant: the table is whole between any two calls, so an extraction may be dropped or
//! leaked at any point.

#![allow(unsafe_code)]

use super::layout::Layout;
use super::table::Bare;
use super::walk::Walk;

/// The entries that are taken out, in hash order. Entries not reached stay.
pub(crate) struct Extract<'a, T, L: Layout> {
    walk: Walk<T, L>,
    table: &'a mut Bare<T, L>,
}

// SAFETY: an `Extract` is a unique borrow of the table.
unsafe impl<T: Send, L: Layout> Send for Extract<'_, T, L> {}
// SAFETY: a shared `Extract` gives out nothing but counts.
unsafe impl<T: Sync, L: Layout> Sync for Extract<'_, T, L> {}

impl<T, L: Layout> Bare<T, L> {
    /// Takes entries out; `Extract::next` says which.
    pub(crate) fn extract(&mut self) -> Extract<'_, T, L> {
        Extract { walk: Walk::over(self), table: self }
    }
}

impl<T, L: Layout> Extract<'_, T, L> {
    /// The next entry that `chosen` accepts. There is no hasher, so marks of what passed may stay: the next insert repairs
    /// them once that pays.
    #[inline]
    pub(crate) fn next(&mut self, mut chosen: impl FnMut(&mut T) -> bool) -> Option<T> {
        // SAFETY: the table is borrowed and does not move; entries are taken only after the walk has passed them.
        while let Some((mut entry, spot)) = unsafe { self.walk.advance() } {
            // SAFETY: a live entry of a table that is borrowed uniquely.
            if chosen(unsafe { entry.as_mut() }) {
                // SAFETY: the entry is still there.
                return Some(unsafe { self.table.take_unhashed(spot) });
            }
        }
        None
    }

    /// The most entries that can still be taken out.
    pub(crate) fn left(&self) -> usize {
        self.walk.left()
    }
}

impl<T, L: Layout> Drop for Extract<'_, T, L> {
    fn drop(&mut self) {
        if self.table.len == 0 {
            self.table.reset();
        }
        self.table.set_trigger();
    }
}
