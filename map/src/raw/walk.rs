//! Going over a table by its summary and its masks: iteration, retain, clear, drop, clone.
//!
//! Owned by the safe faces. A walk takes marked words one by one, and the entries of a word by `trailing_zeros`. Where
//! entries are far apart a scout goes sixteen marked words ahead and asks for their slots, so that the walk finds them in
//! the cache; where they are close together the processor sees to that itself.
//! Invariant: empty buckets are never looked at, and words without an entry only where a mark is too many.

#![allow(unsafe_code)]

use super::layout::{FULL_RANKS, Geometry, LANES, Layout, SLOTS, Zones, ranks};
use super::summary::{AHEAD, Marked};
use super::table::{Bare, RawTable, Spot};
use allocator_api2::alloc::Allocator;
use bucketmask_alloc::{BucketMask, prefetch};
use core::iter::FusedIterator;
use core::marker::PhantomData;
use core::mem;
use core::ops::Range;
use core::ptr::NonNull;

/// One slot in this many, or more, occupied: no scout.
const SPARSE: usize = 3;
/// Bytes of slots that the nearer caches hold: no scout either.
const NEAR: usize = 128 << 10;

/// The occupied slots of a table, in hash order, as pointers.
pub(crate) struct Walk<T, L: Layout> {
    zones: Zones<T>,
    /// Entries of `word` that are still to come, a bit for each slot of its buckets, counted through.
    mask: BucketMask,
    word: usize,
    /// The first slot of the buckets of `word`.
    row: NonNull<T>,
    /// The words after `word`.
    ahead: Marked,
    /// The words after those whose slots were asked for; none left where nobody asks.
    scout: Marked,
    /// Entries that are still to come; meaningless in a part of a table.
    left: usize,
    /// Buckets that a migration under way has not reached.
    unreached: Range<usize>,
    marker: PhantomData<fn() -> L>,
}

impl<T, L: Layout> Clone for Walk<T, L> {
    fn clone(&self) -> Self {
        Self { unreached: self.unreached.clone(), ..*self }
    }
}

impl<T, L: Layout> Walk<T, L> {
    /// No entries.
    fn nothing() -> Self {
        Self {
            zones: Zones::nothing(),
            mask: BucketMask::EMPTY,
            word: 0,
            row: NonNull::dangling(),
            ahead: Marked::NONE,
            scout: Marked::NONE,
            left: 0,
            unreached: 0..0,
            marker: PhantomData,
        }
    }

    /// Entries not yet visited.
    pub(super) fn left(&self) -> usize {
        self.left
    }

    #[inline]
    pub(super) fn over(table: &Bare<T, L>) -> Self {
        Self::part(table, 0..table.words())
    }

    /// The entries that lie in these mask words.
    #[inline]
    pub(crate) fn part(table: &Bare<T, L>, words: Range<usize>) -> Self {
        let ahead = table.marked(words);
        let mut walk = Self {
            zones: table.zones,
            mask: BucketMask::EMPTY,
            word: 0,
            row: NonNull::dangling(),
            ahead,
            scout: Marked::NONE,
            left: table.len,
            unreached: table.unreached(),
            marker: PhantomData,
        };
        let slots = table.buckets * SLOTS;
        if slots * size_of::<T>() > NEAR && table.len < slots / SPARSE {
            walk.send_scout();
        }
        walk
    }

    /// Sends the scout ahead.
    #[cold]
    fn send_scout(&mut self) {
        self.scout = self.ahead;
        for _ in 0..AHEAD {
            // SAFETY: a walk is made of, and ends before, a live table.
            unsafe { self.look_ahead() };
        }
    }

    /// Asks for the slots of the scout's next word.
    ///
    /// # Safety
    /// The table is alive and has not moved.
    #[inline(always)]
    unsafe fn look_ahead(&mut self) {
        // SAFETY: the caller's promise; set bits speak of slots of open buckets.
        unsafe {
            let Some(word) = self.scout.next(&self.zones) else {
                // Behind the end of an OS page the processor does not look ahead by itself. Behind the table's end there may
                // be no memory, and a look there costs more than it gives.
                let page = const {
                    4096 / (LANES * SLOTS * if size_of::<T>() == 0 { 4096 } else { size_of::<T>() })
                };
                if page > 0 && self.word + page < self.ahead.end() {
                    let here = self.zones.slots.as_ptr().wrapping_add(self.word * LANES * SLOTS);
                    prefetch(here.wrapping_byte_add(4096));
                }
                return;
            };
            for bit in BucketMask::from_word(*self.zones.masks.as_ptr().add(word)).occupied() {
                prefetch(L::Geometry::slot_of_bit(&self.zones, word, bit as usize));
            }
        }
    }

    /// Goes to the next word that has entries.
    ///
    /// # Safety
    /// As for `look_ahead`.
    #[inline(always)]
    unsafe fn turn(&mut self) -> bool {
        loop {
            // SAFETY: the caller's promise.
            unsafe {
                let Some(word) = self.ahead.next(&self.zones) else { return false };
                self.word = word;
                self.row = NonNull::new_unchecked(L::Geometry::slot(&self.zones, word * LANES, 0));
                self.mask = BucketMask::from_word(ranks(*self.zones.masks.as_ptr().add(word)));
                self.look_ahead();
            }
            if !self.mask.is_empty() {
                return true;
            }
        }
    }

    /// The next entry, and where it lies.
    ///
    /// # Safety
    /// The table is alive, has not moved, and nobody else takes out the entries that are still to come.
    #[inline(always)]
    pub(crate) unsafe fn advance(&mut self) -> Option<(NonNull<T>, Spot)> {
        // SAFETY: the caller's promise.
        if self.mask.is_empty() && !unsafe { self.turn() } {
            return None;
        }
        self.left = self.left.wrapping_sub(1);
        let rank = self.mask.word().trailing_zeros() as usize;
        self.mask = BucketMask::from_word(self.mask.word() & (self.mask.word() - 1));
        // SAFETY: a set bit speaks of a slot of an open bucket.
        let at = unsafe { NonNull::new_unchecked(L::Geometry::slot_of_row(self.row.as_ptr(), rank)) };
        Some((at, Spot { bucket: self.word * LANES + rank / SLOTS, slot: rank % SLOTS }))
    }

    /// Folds all entries that are still to come.
    ///
    /// # Safety
    /// As for `advance`.
    #[inline(always)]
    unsafe fn fold<R>(mut self, first: R, mut fold: impl FnMut(R, NonNull<T>) -> R) -> R {
        let mut all = first;
        loop {
            let (row, mask) = (self.row.as_ptr(), self.mask);
            // SAFETY: the caller's promise; set bits speak of slots of open buckets.
            unsafe {
                if mask.word() == FULL_RANKS {
                    for rank in 0..LANES * SLOTS {
                        let at = L::Geometry::slot_of_row(row, rank);
                        all = fold(all, NonNull::new_unchecked(at));
                    }
                } else {
                    for rank in mask.occupied() {
                        let at = L::Geometry::slot_of_row(row, rank as usize);
                        all = fold(all, NonNull::new_unchecked(at));
                    }
                }
                if !self.turn() {
                    return all;
                }
            }
        }
    }

    /// Entries that are still to come in buckets that a migration under way has not reached. O(entries to come).
    ///
    /// # Safety
    /// As for `advance`.
    unsafe fn unmigrated(&self) -> usize {
        let (mut rest, mut count) = (self.clone(), 0);
        // SAFETY: the caller's promise.
        while let Some((_, spot)) = unsafe { rest.advance() } {
            count += usize::from(self.unreached.contains(&spot.bucket));
        }
        count
    }

    /// Words that are still to come, behind the one under way.
    #[cfg(feature = "rayon")]
    pub(crate) fn rest(&self) -> Range<usize> {
        self.ahead.rest()
    }

    /// Leaves out the words from `middle` on, which is one of `rest()`, and returns a walk over these.
    #[cfg(feature = "rayon")]
    pub(crate) fn split_off(&mut self, middle: usize) -> Self {
        let mut upper = self.clone();
        upper.mask = BucketMask::EMPTY;
        // SAFETY: a walk is made of, and ends before, a live table; the words lie in its range.
        upper.ahead = unsafe { Marked::of(&self.zones, middle..self.ahead.rest().end) };
        self.ahead.stop_at(middle);
        upper.scout = Marked::NONE;
        if self.scout.stop_at(middle) {
            upper.send_scout();
        }
        upper
    }
}

impl<T, L: Layout> Bare<T, L> {
    /// The entries in hash order.
    pub(crate) fn iter(&self) -> Iter<'_, T, L> {
        Iter { walk: Walk::over(self), marker: PhantomData }
    }

    /// The entries in hash order.
    pub(crate) fn iter_mut(&mut self) -> IterMut<'_, T, L> {
        IterMut { walk: Walk::over(self), marker: PhantomData }
    }

    /// Keeps the entries that `keep` accepts. O(entries + summary words). Marks of what passed may stay: the next insert
    /// repairs them once that pays.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&mut T) -> bool) {
        let mut walk = Walk::<T, L>::over(self);
        // SAFETY: the table does not move; entries are taken only after the walk has passed them.
        while let Some((mut entry, spot)) = unsafe { walk.advance() } {
            // SAFETY: a live entry of a table that is borrowed uniquely.
            if !keep(unsafe { entry.as_mut() }) {
                // SAFETY: the entry is still there. It is dropped when the table is whole again.
                drop(unsafe { self.take_unhashed(spot) });
            }
        }
        if self.len == 0 {
            self.reset();
        }
        self.set_trigger();
    }

    /// Drops all entries and keeps the memory.
    pub(crate) fn clear(&mut self) {
        // Where the last entries left one by one and without a hasher, marks of what they had passed may be left.
        let is_exact = self.care.stale == 0 && self.care.unswept == 0;
        if self.len == 0 && is_exact {
            return;
        }
        drop(Emptied(self));
    }

    /// Drops the entries where they lie; the caller forgets them. A panicking destructor leaks the rest.
    pub(crate) fn drop_entries(&mut self) {
        let mut walk = Walk::<T, L>::over(self);
        // SAFETY: the table does not change while entries are dropped, each once.
        while let Some((entry, _)) = unsafe { walk.advance() } {
            // SAFETY: as above.
            unsafe { entry.drop_in_place() };
        }
    }
}

impl<T, A: Allocator, L: Layout> RawTable<T, A, L> {
    /// Takes all entries out, one by one. The memory stays, also when the iterator is dropped half way.
    pub(crate) fn drain(&mut self) -> Drain<'_, T, A, L> {
        // The table is empty while it is drained, so a leaked drain leaks entries and nothing else.
        let bare = mem::replace(&mut self.bare, Bare::new());
        let table = RawTable { bare, alloc: &self.alloc };
        Drain { all: table.into_iter(), home: NonNull::from(&mut self.bare), marker: PhantomData }
    }

    /// A copy with the same shape, each entry made by `copy`. O(buckets + entries).
    pub(crate) fn clone_with(&self, mut copy: impl FnMut(&T) -> T) -> Result<Self, super::TryReserveError>
    where
        A: Clone,
    {
        if self.len == 0 {
            return Ok(Self::new_in(self.alloc.clone()));
        }
        let alloc = self.alloc.clone();
        let mut other = Self { bare: Bare::allocate(self.buckets, 0, &alloc)?, alloc };
        other.fill_like(self, &mut copy);
        Ok(other)
    }

    /// Becomes a copy of `source`, in the memory that is there if the shapes are alike. Should `copy` panic, the table is
    /// empty.
    pub(crate) fn clone_from_with(
        &mut self,
        source: &Self,
        mut copy: impl FnMut(&T) -> T,
    ) -> Result<(), super::TryReserveError> {
        self.clear();
        if source.len > 0 {
            if self.buckets != source.buckets {
                let fresh = Bare::allocate(source.buckets, 0, &self.alloc)?;
                self.become_bare(fresh);
            }
            self.bare.fill_like(source, &mut copy);
        }
        Ok(())
    }
}

impl<T, L: Layout> Bare<T, L> {
    /// Fills this empty table with copies of what `other` holds. Both have as many buckets. Should `copy` panic, the copies
    /// are dropped and the table is empty.
    fn fill_like(&mut self, other: &Self, copy: &mut impl FnMut(&T) -> T) {
        assert!(self.len == 0 && self.buckets == other.buckets);
        let unfinished = Emptied(self);
        let mut walk = Walk::<T, L>::over(other);
        // SAFETY: `other` is borrowed and does not change.
        while let Some((entry, spot)) = unsafe { walk.advance() } {
            // SAFETY: a live entry; both tables have the same buckets, and this one was empty.
            unsafe { unfinished.0.mirror(other, spot, copy(entry.as_ref())) };
        }
        // SAFETY: as many buckets in both; the tophashes of all entries are there already.
        unsafe { unfinished.0.mirror_shape(other) };
        mem::forget(unfinished);
    }
}

/// Drops the entries and resets the table on the way out, by unwinding too.
struct Emptied<'a, T, L: Layout>(&'a mut Bare<T, L>);

impl<T, L: Layout> Drop for Emptied<'_, T, L> {
    fn drop(&mut self) {
        /// Resets the table also where a destructor panics.
        struct Reset<'a, T, L: Layout>(&'a mut Bare<T, L>);

        impl<T, L: Layout> Drop for Reset<'_, T, L> {
            fn drop(&mut self) {
                self.0.reset();
            }
        }

        let reset = Reset(self.0);
        if mem::needs_drop::<T>() {
            reset.0.drop_entries();
        }
    }
}

/// Shared references in hash order.
pub(crate) struct Iter<'a, T, L: Layout> {
    walk: Walk<T, L>,
    marker: PhantomData<&'a T>,
}

/// Unique references in hash order.
pub(crate) struct IterMut<'a, T, L: Layout> {
    walk: Walk<T, L>,
    marker: PhantomData<&'a mut T>,
}

/// Owned entries in hash order, with the table's memory.
pub(crate) struct IntoIter<T, A: Allocator, L: Layout> {
    walk: Walk<T, L>,
    /// Owns the memory; its `len` is 0, so it drops no entry.
    table: RawTable<T, A, L>,
}

/// Owned entries in hash order; the memory goes back to the table.
pub(crate) struct Drain<'a, T, A: Allocator, L: Layout> {
    all: IntoIter<T, &'a A, L>,
    /// The table, borrowed uniquely for 'a; a pointer, so that lifetimes in `T` may shrink: only an empty table of the
    /// same memory is ever written there.
    home: NonNull<Bare<T, L>>,
    marker: PhantomData<&'a mut ()>,
}

// SAFETY: an `Iter` is a bundle of &T.
unsafe impl<T: Sync, L: Layout> Send for Iter<'_, T, L> {}
// SAFETY: as above.
unsafe impl<T: Sync, L: Layout> Sync for Iter<'_, T, L> {}
// SAFETY: an `IterMut` is a bundle of &mut T.
unsafe impl<T: Send, L: Layout> Send for IterMut<'_, T, L> {}
// SAFETY: a shared `IterMut` gives out nothing but counts.
unsafe impl<T: Sync, L: Layout> Sync for IterMut<'_, T, L> {}
// SAFETY: an `IntoIter` owns its entries.
unsafe impl<T: Send, A: Allocator + Send, L: Layout> Send for IntoIter<T, A, L> {}
// SAFETY: a shared `IntoIter` gives out &T at most.
unsafe impl<T: Sync, A: Allocator + Sync, L: Layout> Sync for IntoIter<T, A, L> {}

// SAFETY: a `Drain` owns its entries and shares the allocator; it is the table's only user.
unsafe impl<T: Send, A: Allocator + Sync, L: Layout> Send for Drain<'_, T, A, L> {}
// SAFETY: a shared `Drain` gives out &T at most.
unsafe impl<T: Sync, A: Allocator + Sync, L: Layout> Sync for Drain<'_, T, A, L> {}

impl<T, L: Layout> Iter<'_, T, L> {
    /// Entries not yet visited in buckets that a migration under way has not reached.
    pub(crate) fn unmigrated(&self) -> usize {
        // SAFETY: the table is borrowed, or owned by the iterator that this one is the rest of.
        unsafe { self.walk.unmigrated() }
    }
}

impl<T, L: Layout> Clone for Iter<'_, T, L> {
    fn clone(&self) -> Self {
        Self { walk: self.walk.clone(), marker: PhantomData }
    }
}

impl<T, L: Layout> Default for Iter<'_, T, L> {
    fn default() -> Self {
        Self { walk: Walk::nothing(), marker: PhantomData }
    }
}

impl<T, L: Layout> Default for IterMut<'_, T, L> {
    fn default() -> Self {
        Self { walk: Walk::nothing(), marker: PhantomData }
    }
}

impl<T, A: Allocator + Default, L: Layout> Default for IntoIter<T, A, L> {
    fn default() -> Self {
        RawTable::new_in(A::default()).into_iter()
    }
}

impl<T, L: Layout> IterMut<'_, T, L> {
    /// The entries not yet visited.
    pub(crate) fn rest(&self) -> Iter<'_, T, L> {
        Iter { walk: self.walk.clone(), marker: PhantomData }
    }
}

impl<T, A: Allocator, L: Layout> IntoIter<T, A, L> {
    /// The entries not yet visited.
    pub(crate) fn rest(&self) -> Iter<'_, T, L> {
        Iter { walk: self.walk.clone(), marker: PhantomData }
    }
}

impl<T, A: Allocator, L: Layout> Drain<'_, T, A, L> {
    /// The entries not yet visited.
    pub(crate) fn rest(&self) -> Iter<'_, T, L> {
        self.all.rest()
    }
}

impl<'a, T, L: Layout> Iterator for Iter<'a, T, L> {
    type Item = &'a T;

    #[inline]
    fn next(&mut self) -> Option<&'a T> {
        // SAFETY: the table is borrowed for 'a.
        unsafe { self.walk.advance().map(|(entry, _)| entry.as_ref()) }
    }

    #[inline]
    fn fold<R, F: FnMut(R, &'a T) -> R>(self, first: R, mut fold: F) -> R {
        // SAFETY: as above.
        unsafe { self.walk.fold(first, |all, entry| fold(all, entry.as_ref())) }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.walk.left, Some(self.walk.left))
    }
}

impl<'a, T, L: Layout> Iterator for IterMut<'a, T, L> {
    type Item = &'a mut T;

    #[inline]
    fn next(&mut self) -> Option<&'a mut T> {
        // SAFETY: the table is borrowed uniquely for 'a, and each entry is visited once.
        unsafe { self.walk.advance().map(|(mut entry, _)| entry.as_mut()) }
    }

    #[inline]
    fn fold<R, F: FnMut(R, &'a mut T) -> R>(self, first: R, mut fold: F) -> R {
        // SAFETY: as above.
        unsafe { self.walk.fold(first, |all, mut entry| fold(all, entry.as_mut())) }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.walk.left, Some(self.walk.left))
    }
}

impl<T, A: Allocator, L: Layout> Iterator for IntoIter<T, A, L> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        // SAFETY: the memory is ours, nobody else drops the entries, and each is visited once.
        unsafe { self.walk.advance().map(|(entry, _)| entry.read()) }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.walk.left, Some(self.walk.left))
    }
}

impl<T, A: Allocator, L: Layout> Iterator for Drain<'_, T, A, L> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.all.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.all.size_hint()
    }
}

impl<T, L: Layout> ExactSizeIterator for Iter<'_, T, L> {}
impl<T, L: Layout> ExactSizeIterator for IterMut<'_, T, L> {}
impl<T, A: Allocator, L: Layout> ExactSizeIterator for IntoIter<T, A, L> {}
impl<T, A: Allocator, L: Layout> ExactSizeIterator for Drain<'_, T, A, L> {}
impl<T, L: Layout> FusedIterator for Iter<'_, T, L> {}
impl<T, L: Layout> FusedIterator for IterMut<'_, T, L> {}
impl<T, A: Allocator, L: Layout> FusedIterator for IntoIter<T, A, L> {}
impl<T, A: Allocator, L: Layout> FusedIterator for Drain<'_, T, A, L> {}

impl<T, A: Allocator, L: Layout> IntoIterator for RawTable<T, A, L> {
    type Item = T;
    type IntoIter = IntoIter<T, A, L>;

    fn into_iter(mut self) -> IntoIter<T, A, L> {
        let walk = Walk::over(&self);
        self.len = 0;
        IntoIter { walk, table: self }
    }
}

impl<T, A: Allocator, L: Layout> IntoIter<T, A, L> {
    /// Drops what was not visited.
    fn drop_rest(&mut self) {
        if mem::needs_drop::<T>() {
            for entry in self {
                drop(entry);
            }
        }
    }
}

impl<T, A: Allocator, L: Layout> Drop for IntoIter<T, A, L> {
    fn drop(&mut self) {
        self.drop_rest();
    }
}

impl<T, A: Allocator, L: Layout> Drop for Drain<'_, T, A, L> {
    fn drop(&mut self) {
        // A destructor that panics here leaves the memory to `IntoIter::drop`, and the table stays empty.
        self.all.drop_rest();
        let mut bare = mem::replace(&mut self.all.table.bare, Bare::new());
        bare.reset();
        // SAFETY: borrowed uniquely as long as the drain lives. What is overwritten is a table without memory.
        unsafe { self.home.write(bare) };
    }
}
