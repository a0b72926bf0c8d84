//! When a table looks after itself: growth, shrinking, early growth, repair of passes, a bounded piece with each call.
//!
//! Owned by `RawTable`; runs before an insert's or a removal's probe, where the hasher is at hand. Invariant: user code
//! (hashing) runs only while the table is whole; what it computed is written down afterwards in one go.
//!
//! ```text
//! insert  len >= trigger ?  look_after: one step of what is under way; at the limit: begin to grow
//! remove  len <  low     ?  ebb:        one step of what is under way; below the low water: begin to shrink
//! ```

#![allow(unsafe_code)]

use super::group::Head;
use super::layout::{Geometry, Layout};
use super::policy::{held, homes_for, homes_shrunk, limit, low_water, next_in_block, next_in_range, spill};
use super::storage::{Purpose, Storage, TryReserveError, is_elastic};
use super::table::{Bare, RawTable};
use crate::probes;
use allocator_api2::alloc::Allocator;
use core::alloc::Layout as Block;
use core::mem;

/// What a table has to remember to look after itself.
pub(crate) struct Care {
    /// Home buckets that the migration under way leads to; 0 while there is none.
    pub(crate) target: usize,
    /// Whether it leads to fewer.
    pub(crate) shrinking: bool,
    /// Old homes that have not been moved: growing all below this one, shrinking all from this one on.
    pub(crate) frontier: usize,
    /// While growing: heads and slots of buckets from these on have been touched, so that there is memory behind them.
    pub(crate) touched: [usize; 2],
    /// Length from which on inserts move entries: until then another thread has a start with the memory that they will go to.
    pub(crate) held_until: usize,
    /// Whether there are empty buckets at the end to give back, after shrinking.
    pub(crate) closing: bool,
    /// Buckets whose passes a repair has still to make exact: all below this one.
    pub(crate) unswept: usize,
    /// Removals that may have left marks of what they had passed.
    pub(crate) stale: usize,
    /// Home of an entry that was placed far away, under the present size.
    pub(crate) crowded: Option<usize>,
    /// Length below which early growth is not considered: it could not help the last time.
    pub(crate) calm_until: usize,
    /// Length from which on the table does not shrink: it grew early, and in fewer homes the trails would be long again.
    pub(crate) sparse_from: usize,
    /// Entries that the user has reserved room for: the table shrinks no further by itself.
    pub(crate) promised: usize,
    /// Entries that a migration step is about to move, kept for its capacity.
    pub(crate) moves: Vec<super::migrate::Move>,
    /// What passed the buckets that it moves them from and is not moved, kept likewise.
    pub(crate) stays: Vec<super::passes::Passes>,
    /// Buckets below this one were traced in the collection that is going on. A table that is rebuilt forgets it.
    pub(crate) traced: usize,
    /// Where entries have come to lie since among these.
    pub(crate) fallen: Vec<super::table::Spot>,
}

impl Care {
    /// Nothing to remember.
    pub(crate) const fn new() -> Self {
        Self {
            target: 0,
            shrinking: false,
            frontier: 0,
            touched: [0; 2],
            held_until: 0,
            closing: false,
            unswept: 0,
            stale: 0,
            crowded: None,
            calm_until: 0,
            sparse_from: usize::MAX,
            promised: 0,
            moves: Vec::new(),
            stays: Vec::new(),
            traced: 0,
            fallen: Vec::new(),
        }
    }

    /// The same for a copy of the table, to which nothing was promised.
    pub(crate) fn twin(&self) -> Self {
        let (moves, stays, fallen) = (Vec::new(), Vec::new(), Vec::new());
        Self { moves, stays, fallen, traced: 0, closing: false, promised: 0, ..*self }
    }
}

impl<T, A: Allocator, L: Layout> RawTable<T, A, L> {
    /// An empty table for `len` entries, which stay promised.
    pub(crate) fn with_capacity_in(len: usize, alloc: A) -> Result<Self, TryReserveError> {
        let mut table = Self::new_in(alloc);
        if len > 0 {
            table.first_memory(len)?;
            table.promise(len);
        }
        Ok(table)
    }

    /// Gets a table without memory its first: for `len` entries.
    fn first_memory(&mut self, len: usize) -> Result<(), TryReserveError> {
        let homes = homes_for(len);
        self.bare.settle_in(homes, spill(homes), &self.alloc)
    }

    /// Whether the table can take one more entry as it is, and has nothing to do.
    #[inline(always)]
    pub(crate) fn is_ready(&self) -> bool {
        self.len < self.trigger
    }

    /// Makes the table ready for one more entry. Amortised O(1); while there is upkeep to do, bounded by a few buckets and
    /// the trails they lie on.
    #[inline(always)]
    pub(crate) fn ready(&mut self, hash: impl Fn(&T) -> u64) -> Result<(), TryReserveError> {
        if self.is_ready() { Ok(()) } else { self.look_after(&hash) }
    }

    /// Lets the table shrink, a bounded piece, before a removal. Shrinking is a favour: where it fails, nothing changes.
    #[inline(always)]
    pub(crate) fn ebb(&mut self, hash: impl Fn(&T) -> u64) {
        if self.len < self.low {
            self.ebb_by_a_piece(&hash);
        }
    }

    #[cold]
    #[inline(never)]
    fn look_after(&mut self, hash: &impl Fn(&T) -> u64) -> Result<(), TryReserveError> {
        if self.buckets == 0 {
            return self.first_memory(1);
        }
        self.work(hash)?;
        if self.len >= limit(self.homes()) {
            self.grow_to(self.next_homes_up(), Purpose::Growth, hash)?;
            self.care.sparse_from = usize::MAX;
        } else if let Some(home) = self.care.crowded.take() {
            if let Some(homes) = self.early_homes(home, hash) {
                self.grow_to(homes, Purpose::Growth, hash)?;
                self.care.sparse_from = self.len / 2;
            }
        }
        self.set_trigger();
        Ok(())
    }

    #[cold]
    #[inline(never)]
    fn ebb_by_a_piece(&mut self, hash: &impl Fn(&T) -> u64) {
        if self.is_resting() {
            // What `clear` kept is for who fills it anew; who removes one by one began to shrink before.
            if self.len > 0 {
                self.begin_ebb(hash);
            }
        } else {
            // Want of memory for the list of moves: the next call tries again.
            let _ = self.work(hash);
        }
        self.set_trigger();
    }

    /// Does a bounded piece of the work that is due or under way, and says whether there is more.
    pub(crate) fn migrate_step(&mut self, hash: impl Fn(&T) -> u64) -> bool {
        if self.buckets == 0 {
            return false;
        }
        if !self.is_resting() {
            let _ = self.work(&hash);
        } else if self.len < self.low {
            self.begin_ebb(&hash);
        }
        self.set_trigger();
        !self.is_resting()
    }

    /// One step of what is under way: first a migration, then giving memory back, then a repair.
    fn work(&mut self, hash: &impl Fn(&T) -> u64) -> Result<(), TryReserveError> {
        if self.is_migrating() {
            self.step(hash)?;
        } else if self.care.closing {
            self.close_a_piece();
        } else {
            self.repair_a_piece(hash);
        }
        Ok(())
    }

    /// Makes room for `additional` more entries.
    pub(crate) fn reserve(
        &mut self,
        additional: usize,
        hash: impl Fn(&T) -> u64,
    ) -> Result<(), TryReserveError> {
        let len = self.len.checked_add(additional).ok_or(TryReserveError::CapacityOverflow)?;
        if len <= self.capacity() {
            return Ok(());
        }
        if self.buckets == 0 {
            return self.first_memory(len);
        }
        let grown = self.grow_to(homes_for(len).max(self.next_homes_up()), Purpose::Start, &hash);
        self.set_trigger();
        grown
    }

    /// Rebuilds the table in as little memory as `len` entries (at least as many as it has) need.
    pub(crate) fn shrink_to(&mut self, len: usize, hash: impl Fn(&T) -> u64) -> Result<(), TryReserveError> {
        self.care.promised = self.care.promised.min(len);
        let len = len.max(self.len);
        if len == 0 {
            let promised = self.care.promised;
            self.become_bare(Bare::new());
            self.care.promised = promised;
            return Ok(());
        }
        let homes = homes_for(len);
        if homes < self.homes() || self.buckets > homes + spill(homes) {
            self.rebuild(homes, &hash)?;
        }
        // Less is promised, so removals may begin to shrink.
        self.set_trigger();
        Ok(())
    }

    /// Grows to `homes` home buckets: large tables in place, step by step; small ones by copying.
    fn grow_to(
        &mut self,
        homes: usize,
        purpose: Purpose,
        hash: &impl Fn(&T) -> u64,
    ) -> Result<(), TryReserveError> {
        // Only `reserve` comes here in mid-migration: growth begins with more steps left to it than it needs.
        self.finish(hash)?;
        if homes <= self.upper {
            return Ok(());
        }
        let buckets = homes.checked_add(spill(homes)).ok_or(TryReserveError::CapacityOverflow)?;
        let plan =
            L::Geometry::plan(Block::new::<T>(), buckets, 64).ok_or(TryReserveError::CapacityOverflow)?;
        if self.len == 0 || !is_elastic::<L>(&plan) {
            probes::split(0, self.upper, homes);
            return self.rebuild(homes, hash);
        }
        let had = self.buckets;
        self.make_room(buckets)?;
        self.begin(homes);
        // Early growth may lead to far more homes than are soon filled.
        let is_filled_soon = purpose == Purpose::Growth && homes / 2 <= self.upper;
        if is_filled_soon && self.storage.fill_soon::<T, L>(had, buckets) {
            self.care.held_until = self.len + held(self.len);
        }
        if self.len < self.care.held_until { Ok(()) } else { self.step(hash) }
    }

    /// Begins to shrink: in place, or a small table into a block of its own.
    fn begin_ebb(&mut self, hash: &impl Fn(&T) -> u64) {
        let homes = homes_shrunk(self.len.max(self.care.promised));
        if homes >= self.upper || self.len >= self.care.sparse_from {
            return;
        }
        self.care.sparse_from = usize::MAX;
        let small = L::Geometry::plan(Block::new::<T>(), homes + spill(homes), 64)
            .is_some_and(|plan| plan.bytes < L::ELASTIC_BYTES / 2);
        if small {
            let _ = self.rebuild(homes, hash);
        } else {
            self.begin_shrink(homes);
        }
    }

    /// Opens buckets up to `buckets`; if there is no room here, the zones move as they are, O(bytes).
    pub(crate) fn make_room(&mut self, buckets: usize) -> Result<(), TryReserveError> {
        if buckets <= self.buckets {
            return Ok(());
        }
        let had = self.buckets;
        if !self.storage.open::<T, L>(had, buckets) {
            let mut storage = Storage::allocate::<T, A, L>(&self.alloc, buckets, Purpose::Growth)?;
            // SAFETY: our buckets are open in both. The old memory is given back without dropping what moved.
            unsafe { storage.copy_from::<T, L>(&self.storage, had) };
            self.zones = storage.zones();
            mem::swap(&mut self.bare.storage, &mut storage);
            storage.free(&self.alloc);
        }
        self.buckets = buckets;
        Ok(())
    }

    /// A trail has reached the last bucket: open more.
    #[cold]
    pub(crate) fn extend_spill(&mut self) -> Result<(), TryReserveError> {
        let more = if self.storage.is_range() { 4 } else { 1 + self.buckets / 16 };
        self.make_room(self.buckets + more)
    }

    /// Copies the entries, in hash order, into a fresh table of `homes` home buckets.
    fn rebuild(&mut self, homes: usize, hash: &impl Fn(&T) -> u64) -> Result<(), TryReserveError> {
        let fresh = Bare::allocate(homes, spill(homes), &self.alloc)?;
        let mut fresh = Copies(RawTable { bare: fresh, alloc: &self.alloc });
        for entry in self.bare.iter() {
            let hash = hash(entry);
            let (home, spot) = fresh.0.seek(hash)?;
            // SAFETY: a bitwise copy, made once its place is sure; one of the two tables forgets it in `Copies::drop`.
            unsafe { fresh.0.fill(hash, home, spot, core::ptr::read(entry)) };
        }
        fresh.0.care.promised = self.bare.care.promised;
        mem::swap(&mut self.bare, &mut fresh.0.bare);
        drop(fresh);
        self.set_trigger();
        Ok(())
    }
}

impl<T, L: Layout> Bare<T, L> {
    /// An entry was moved to `spot`. A collector that has passed that bucket may not have seen the entry.
    #[inline(always)]
    pub(crate) fn moved_to(&mut self, spot: super::table::Spot) {
        if spot.bucket < self.care.traced {
            self.note_fallen(spot);
        }
    }

    #[cold]
    fn note_fallen(&mut self, spot: super::table::Spot) {
        if self.care.fallen.len() > self.len {
            // Tracing it all again is less. (Or nobody traces any more: a collection was given up.)
            (self.care.traced, self.care.fallen) = (0, Vec::new());
        } else {
            self.care.fallen.push(spot);
        }
    }

    /// Whether the table is larger than it need be, or on its way to less.
    #[cfg(feature = "gc")]
    pub(crate) fn is_ebbing(&self) -> bool {
        let idle = self.storage.is_range() && self.len < low_water(self.upper);
        self.care.closing
            || self.is_migrating() && self.care.shrinking
            || idle && !self.is_migrating() && homes_shrunk(self.len.max(self.care.promised)) < self.upper
    }

    /// Entries the table holds without growing again.
    pub(crate) fn capacity(&self) -> usize {
        if self.buckets == 0 { 0 } else { limit(self.homes()) }
    }

    /// Home buckets once the migration under way, if any, has ended.
    pub(crate) fn homes(&self) -> usize {
        if self.is_migrating() { self.care.target } else { self.upper }
    }

    /// The size after the present one.
    fn next_homes_up(&self) -> usize {
        let homes = self.homes();
        if self.storage.is_range() { next_in_range(homes) } else { next_in_block(homes) }
    }

    /// The table is larger than its entries, about `len`, need for the sake of short trails: it does not shrink before half of them
    /// have gone.
    pub(crate) fn stay_sparse(&mut self, len: usize) {
        self.care.sparse_from = len / 2;
        self.set_trigger();
    }

    /// The table holds `len` entries without growing, and keeps room for them when it shrinks by itself.
    pub(crate) fn promise(&mut self, len: usize) {
        self.care.promised = self.care.promised.max(len);
        self.set_trigger();
    }

    /// Whether no work is under way or due, but for growth at the limit and shrinking below the low water.
    pub(crate) fn is_resting(&self) -> bool {
        !(self.is_migrating() || self.care.closing || self.care.unswept > 0 || self.repair_pays())
    }

    /// Asks for attention at the next call if there is anything to do, at the limits of the load otherwise.
    pub(crate) fn set_trigger(&mut self) {
        let rests = self.buckets > 0 && self.is_resting();
        let is_calm = rests && self.care.crowded.is_none();
        self.trigger = if is_calm { limit(self.upper) } else { self.care.held_until };
        self.low = if !self.storage.is_range() {
            0
        } else if !rests {
            usize::MAX
        } else if homes_shrunk(self.care.promised) < self.upper {
            low_water(self.upper).min(self.care.sparse_from)
        } else {
            0
        };
    }

    /// The table has no entries: nothing is growing, nothing is owed.
    pub(crate) fn rest(&mut self) {
        let homes = self.homes();
        (self.upper, self.lower, self.watermark) = (homes, homes, 0);
        let Care { promised, shrinking, closing, .. } = self.care;
        let closing = closing || self.is_migrating() && shrinking;
        self.care = Care { closing, promised, ..Care::new() };
        self.set_trigger();
    }

    /// The last bucket of the trails that pass `bucket`.
    pub(crate) fn trail_end(&self, mut bucket: usize) -> usize {
        // SAFETY: open buckets; nothing has passed the last one.
        while unsafe { self.passes(bucket) }.any() {
            bucket += 1;
        }
        bucket
    }

    /// Visits the occupied spots of `bucket`.
    pub(crate) fn each_spot_of(&self, bucket: usize, mut visit: impl FnMut(&Self, super::table::Spot)) {
        debug_assert!(bucket < self.buckets);
        // SAFETY: an open bucket.
        let mut occupied = unsafe { Head::load(L::Geometry::head(&self.zones, bucket)) }.occupied();
        while occupied != 0 {
            visit(self, super::table::Spot { bucket, slot: occupied.trailing_zeros() as usize });
            occupied &= occupied - 1;
        }
    }

    /// Visits all occupied spots in hash order.
    pub(crate) fn each_spot(&self, mut visit: impl FnMut(&Self, super::table::Spot)) {
        for bucket in 0..self.buckets {
            self.each_spot_of(bucket, &mut visit);
        }
    }
}

/// A table whose entries belong to another: it forgets them, also when a hasher panics in mid-copy.
struct Copies<T, A: Allocator, L: Layout>(RawTable<T, A, L>);

impl<T, A: Allocator, L: Layout> Drop for Copies<T, A, L> {
    fn drop(&mut self) {
        self.0.len = 0;
    }
}
