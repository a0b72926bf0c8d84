//! When a table looks after itself: growth, early growth, repair of counts, and how large the next size is.
//!
//! Owned by `RawTable`; runs before an insert's probe, where the hasher is at hand. Invariant: user code (hashing) runs
//! only while the table is whole; what it computed is written down afterwards in one go.

#![allow(unsafe_code)]

use super::group::Head;
use super::layout::{Geometry, LANES, Layout, SLOTS};
use super::passes::Passes;
use super::storage::{Storage, TryReserveError, is_elastic};
use super::table::{Bare, LONG_TRAIL, RawTable};
use crate::hash::{home, tag_byte};
use allocator_api2::alloc::Allocator;
use core::alloc::Layout as Block;
use core::mem;

/// A table grows early, for a long trail, only while this times its load would still be its limit.
const EARLY_FLOOR: usize = 32;

/// What a table has to remember to look after itself.
pub(crate) struct Care {
    /// Home buckets the table grows to; 0 while it rests.
    pub(crate) target: usize,
    /// Homes under `lower` that have not been moved: all below this one.
    pub(crate) frontier: usize,
    /// Inserts seen while growing.
    ticks: usize,
    /// Removals that left counts too high.
    pub(crate) stale: usize,
    /// Home of an entry that was placed far away.
    crowded: Option<usize>,
    /// Length below which early growth is not considered: it could not help the last time.
    calm_until: usize,
    /// Entries that a migration step is about to move, kept for its capacity.
    pub(crate) moves: Vec<super::migrate::Move>,
}

impl Care {
    /// Nothing to remember.
    pub(crate) const fn new() -> Self {
        Self { target: 0, frontier: 0, ticks: 0, stale: 0, crowded: None, calm_until: 0, moves: Vec::new() }
    }

    /// The same for a copy of the table.
    pub(crate) fn twin(&self) -> Self {
        Self { moves: Vec::new(), ..*self }
    }
}

/// Entries that `homes` home buckets take before the table grows: 12 of 15 slots.
pub(crate) fn limit(homes: usize) -> usize {
    homes.saturating_mul(SLOTS * 4 / 5)
}

/// Home buckets for `len` entries.
pub(crate) fn homes_for(len: usize) -> usize {
    len.div_ceil(SLOTS * 4 / 5).max(1)
}

/// Buckets behind the last home, for the entries that overflow it.
fn spill(homes: usize) -> usize {
    if homes == 1 { 0 } else { 1 + (homes / 16).min(3) }
}

/// The next size: twice while tiny, half as much again later.
fn next_homes(homes: usize) -> usize {
    if homes < 8 { homes * 2 } else { homes + homes / 2 }
}

impl<T, A: Allocator, L: Layout> RawTable<T, A, L> {
    /// An empty table for `len` entries.
    pub(crate) fn with_capacity_in(len: usize, alloc: A) -> Result<Self, TryReserveError> {
        if len == 0 {
            return Ok(Self::new_in(alloc));
        }
        let homes = homes_for(len);
        Self::allocate_in(homes, spill(homes), alloc)
    }

    /// Gets a table without memory its first: for `len` entries.
    fn first_memory(&mut self, len: usize) -> Result<(), TryReserveError> {
        let mut fresh = RawTable::<T, &A, L>::with_capacity_in(len, &self.alloc)?;
        mem::swap(&mut self.bare, &mut fresh.bare);
        Ok(())
    }

    /// Whether the table can take one more entry as it is, and has nothing to do.
    #[inline(always)]
    pub(crate) fn is_ready(&self) -> bool {
        self.len < self.trigger
    }

    /// Makes the table ready for one more entry. Amortised O(1); while growing, bounded by a few buckets and the trails
    /// they lie on.
    #[inline(always)]
    pub(crate) fn ready(&mut self, hash: impl Fn(&T) -> u64) -> Result<(), TryReserveError> {
        if self.is_ready() { Ok(()) } else { self.look_after(&hash) }
    }

    #[cold]
    #[inline(never)]
    fn look_after(&mut self, hash: &impl Fn(&T) -> u64) -> Result<(), TryReserveError> {
        if self.buckets == 0 {
            return self.first_memory(1);
        }
        if self.repair_pays() {
            self.recount(hash);
        }
        if self.is_growing() {
            self.care.ticks += 1;
            if self.care.ticks % 4 == 0 {
                // Sparse tables fill faster than they are long: keep to the same six per cent of further inserts.
                self.step(L::PACE.max(64 * self.lower / self.len.max(1)), hash);
            }
        }
        if self.len >= limit(self.homes()) {
            self.grow_to(next_homes(self.homes()), hash)?;
        } else if let Some(home) = self.care.crowded.take() {
            if let Some(homes) = self.early_homes(home, hash) {
                self.grow_to(homes, hash)?;
            }
        }
        self.set_trigger();
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
        let grown = self.grow_to(homes_for(len).max(next_homes(self.homes())), &hash);
        self.set_trigger();
        grown
    }

    /// Rebuilds the table in as little memory as `len` entries (at least as many as it has) need.
    pub(crate) fn shrink_to(&mut self, len: usize, hash: impl Fn(&T) -> u64) -> Result<(), TryReserveError> {
        let len = len.max(self.len);
        if len == 0 {
            self.become_bare(Bare::new());
            return Ok(());
        }
        let homes = homes_for(len);
        if homes < self.homes() || self.buckets > homes + spill(homes) {
            self.rebuild(homes, &hash)?;
        }
        Ok(())
    }

    /// Grows to `homes` home buckets: large tables in place, step by step; small ones by copying.
    fn grow_to(&mut self, homes: usize, hash: &impl Fn(&T) -> u64) -> Result<(), TryReserveError> {
        self.finish(hash);
        let buckets = homes.checked_add(spill(homes)).ok_or(TryReserveError::CapacityOverflow)?;
        let plan =
            L::Geometry::plan(Block::new::<T>(), buckets, 64).ok_or(TryReserveError::CapacityOverflow)?;
        if self.len == 0 || !is_elastic::<L>(&plan) {
            return self.rebuild(homes, hash);
        }
        self.make_room(buckets)?;
        self.begin(homes);
        self.step(L::PACE, hash);
        Ok(())
    }

    /// Opens buckets up to `buckets`; if there is no room here, the zones move as they are, O(bytes).
    pub(crate) fn make_room(&mut self, buckets: usize) -> Result<(), TryReserveError> {
        if buckets <= self.buckets {
            return Ok(());
        }
        let had = self.buckets;
        if !self.storage.open::<T, L>(had, buckets) {
            let mut storage = Storage::allocate::<T, A, L>(&self.alloc, buckets)?;
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
        self.make_room(self.buckets + 1 + self.buckets / 16)
    }

    /// Copies the entries, in hash order, into a fresh table of `homes` home buckets.
    fn rebuild(&mut self, homes: usize, hash: &impl Fn(&T) -> u64) -> Result<(), TryReserveError> {
        let mut fresh = Copies(RawTable::<T, &A, L>::allocate_in(homes, spill(homes), &self.alloc)?);
        for entry in self.bare.iter() {
            let hash = hash(entry);
            let (home, spot) = fresh.0.seek(hash)?;
            // SAFETY: a bitwise copy, made once its place is sure; one of the two tables forgets it in `Copies::drop`.
            unsafe { fresh.0.fill(hash, home, spot, core::ptr::read(entry)) };
        }
        mem::swap(&mut self.bare, &mut fresh.0.bare);
        Ok(())
    }
}

impl<T, L: Layout> Bare<T, L> {
    /// Entries the table holds without growing again.
    pub(crate) fn capacity(&self) -> usize {
        if self.buckets == 0 { 0 } else { limit(self.homes()) }
    }

    /// Home buckets once the migration under way, if any, has ended.
    pub(crate) fn homes(&self) -> usize {
        self.upper.max(self.care.target)
    }

    /// Asks for attention at the next insert if there is anything to do, at the load limit otherwise.
    pub(crate) fn set_trigger(&mut self) {
        let busy =
            self.is_growing() || self.care.crowded.is_some() || self.repair_pays() || self.buckets == 0;
        self.trigger = if busy { 0 } else { limit(self.upper) };
    }

    /// The table has no entries: nothing is growing, nothing is owed.
    pub(crate) fn rest(&mut self) {
        let homes = self.homes();
        (self.upper, self.lower, self.watermark) = (homes, homes, 0);
        self.care = Care { moves: mem::take(&mut self.care.moves), ..Care::new() };
        self.set_trigger();
    }

    /// An entry was placed far from `home`.
    #[cold]
    pub(crate) fn note_long_trail(&mut self, home: usize) {
        if !self.is_growing() && self.len >= self.care.calm_until {
            self.care.crowded = Some(home);
            self.trigger = 0;
        }
    }

    fn repair_pays(&self) -> bool {
        self.care.stale.saturating_mul(8) > self.buckets
    }

    /// Rebuilds every overflow count from the entries. O(buckets + entries), hashes every entry once.
    pub(crate) fn recount(&mut self, hash: &impl Fn(&T) -> u64) {
        let mut counts = vec![Passes::NONE; self.buckets];
        self.each_spot(|table, spot| {
            // SAFETY: the walk yields occupied spots.
            let hash = hash(unsafe { table.at(spot) });
            for count in counts.get_mut(table.home(hash)..spot.bucket).unwrap_or_default() {
                *count = count.more(tag_byte(hash));
            }
        });
        for (bucket, count) in counts.into_iter().enumerate() {
            // SAFETY: one count an open bucket.
            unsafe {
                self.set_passes(bucket, count);
                if count.any() {
                    self.mark(bucket / LANES);
                }
            }
        }
        self.care.stale = 0;
    }

    /// The size that would halve the trail at `home`, if one within reason does. Equal hashes stay together at any
    /// size; entries copied in hash order spread at the size that the source had. O(trail).
    fn early_homes(&mut self, home: usize, hash: &impl Fn(&T) -> u64) -> Option<usize> {
        if self.is_growing() {
            return None;
        }
        let mut hashes = Vec::new();
        for bucket in self.trail_start(home)..=self.trail_end(home) {
            self.each_spot_of(bucket, |table, spot| {
                // SAFETY: the walk yields occupied spots.
                hashes.push(hash(unsafe { table.at(spot) }));
            });
        }
        hashes.sort_unstable();
        let present = farthest(&hashes, self.upper);
        // By chance, and in the order of arrival, trails grow longer than their entries would need; growth for these
        // would only waste a tenth of the memory.
        if present > LONG_TRAIL / 2 {
            let most = homes_for(self.len.saturating_mul(EARLY_FLOOR));
            let mut homes = next_homes(self.upper);
            while homes <= most {
                if farthest(&hashes, homes) <= present / 2 {
                    return Some(homes);
                }
                homes = next_homes(homes);
            }
        }
        self.care.calm_until = self.len + self.len / 16 + 1;
        None
    }

    /// The last bucket of the trails that pass `bucket`.
    pub(crate) fn trail_end(&self, mut bucket: usize) -> usize {
        // SAFETY: open buckets; the last one's count is 0.
        while unsafe { self.passes(bucket) }.any() {
            bucket += 1;
        }
        bucket
    }

    /// The first bucket from which trails lead, one into the next, to `bucket`.
    fn trail_start(&self, mut bucket: usize) -> usize {
        // SAFETY: buckets before an open bucket are open.
        while bucket > 0 && unsafe { self.passes(bucket - 1) }.any() {
            bucket -= 1;
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

/// How far the last of these sorted hashes would lie from its home, alone in a table of `homes`.
fn farthest(hashes: &[u64], homes: usize) -> usize {
    let (mut bucket, mut used, mut far) = (0, 0, 0);
    for &hash in hashes {
        let at = home(hash, homes);
        if at > bucket {
            (bucket, used) = (at, 0);
        }
        if used == SLOTS {
            (bucket, used) = (bucket + 1, 0);
        }
        used += 1;
        far = far.max(bucket - at);
    }
    far
}

/// A table whose entries belong to another: it forgets them, also when a hasher panics in mid-copy.
struct Copies<T, A: Allocator, L: Layout>(RawTable<T, A, L>);

impl<T, A: Allocator, L: Layout> Drop for Copies<T, A, L> {
    fn drop(&mut self) {
        self.0.len = 0;
    }
}
