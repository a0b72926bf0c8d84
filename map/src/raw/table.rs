//! The table itself: find, place, remove, forget.
//!
//! Owned by the safe faces through `cell` and `walk`. Pseudocode of a lookup, which every other operation builds on:
//!
//! ```text
//! n = hash >= watermark ? upper : lower          homes of a growing table; equal while it rests
//! b = hash * n >> 64
//! loop { for each slot of b with the tophash: compare; if none of its class passed b: miss; b += 1 }
//! ```
//!
//! Invariant: a bucket knows of every class that was placed past it (`passes`), and nothing passes the last
//! bucket; so every loop ends inside the table without a bounds check.

#![allow(unsafe_code)]

use super::group::{ALL, Head, Tag};
use super::layout::{Geometry, LANES, Layout, Zones};
use super::storage::{Purpose, Storage, TryReserveError};
use super::upkeep::Care;
use crate::checked::seeded;
use crate::hash::{home, tag_byte, tophash};
use crate::probes;
use allocator_api2::alloc::Allocator;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;
use core::{mem, ptr};

/// Entries placed this many buckets from home ask for early growth.
pub(crate) const LONG_TRAIL: usize = 8;

/// Where an entry lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spot {
    pub(crate) bucket: usize,
    pub(crate) slot: usize,
}

/// Where this is called is out of the way of tables at rest.
#[cold]
#[inline]
const fn in_motion() {}

/// A hash table in hash order, without the allocator that its block came from: whoever drops one frees that block first.
pub(crate) struct Bare<T, L: Layout> {
    /// Hashes at or above it are at home under `upper`, hashes below under `lower`.
    pub(crate) watermark: u64,
    pub(crate) upper: usize,
    pub(crate) lower: usize,
    pub(crate) zones: Zones<T>,
    pub(crate) len: usize,
    /// The length at which the next insert must look after the table first; 0 while there is something to do.
    pub(crate) trigger: usize,
    /// The length below which the next removal must look after the table first; 0 where tables do not shrink.
    pub(crate) low: usize,
    /// Open buckets: homes, then spill.
    pub(crate) buckets: usize,
    pub(crate) care: Care,
    pub(crate) storage: Storage,
    marker: PhantomData<(T, fn() -> L)>,
}

// SAFETY: the table owns its entries and its memory, like a Vec; ranges may be dropped on any thread.
unsafe impl<T: Send, L: Layout> Send for Bare<T, L> {}
// SAFETY: &Bare gives out &T only and changes nothing.
unsafe impl<T: Sync, L: Layout> Sync for Bare<T, L> {}

/// A hash table in hash order, and its allocator.
pub(crate) struct RawTable<T, A: Allocator, L: Layout> {
    pub(crate) bare: Bare<T, L>,
    pub(crate) alloc: A,
}

impl<T, A: Allocator, L: Layout> Deref for RawTable<T, A, L> {
    type Target = Bare<T, L>;

    #[inline(always)]
    fn deref(&self) -> &Bare<T, L> {
        &self.bare
    }
}

impl<T, A: Allocator, L: Layout> DerefMut for RawTable<T, A, L> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut Bare<T, L> {
        &mut self.bare
    }
}

impl<T, L: Layout> Bare<T, L> {
    /// A table without memory.
    pub(crate) const fn new() -> Self {
        let storage = Storage::empty();
        Self {
            watermark: 0,
            upper: 1,
            lower: 1,
            zones: Zones::nothing(),
            len: 0,
            trigger: 0,
            low: 0,
            buckets: 0,
            care: Care::new(),
            storage,
            marker: PhantomData,
        }
    }

    /// An empty table of `homes` home buckets and `spill` more, in memory of `alloc`.
    pub(crate) fn allocate<A: Allocator>(
        homes: usize,
        spill: usize,
        alloc: &A,
    ) -> Result<Self, TryReserveError> {
        let mut table = Self::new();
        table.settle_in(homes, spill, alloc)?;
        Ok(table)
    }

    /// Gets this table, which has no memory, some of `alloc`: for `homes` home buckets and `spill` more.
    pub(crate) fn settle_in<A: Allocator>(
        &mut self,
        homes: usize,
        spill: usize,
        alloc: &A,
    ) -> Result<(), TryReserveError> {
        debug_assert!(self.buckets == 0 && self.len == 0);
        let buckets = homes.checked_add(spill).ok_or(TryReserveError::CapacityOverflow)?;
        self.storage = Storage::allocate::<T, A, L>(alloc, buckets, Purpose::Start)?;
        self.zones = self.storage.zones();
        (self.watermark, self.upper, self.lower, self.buckets) = (0, homes, homes, buckets);
        self.set_trigger();
        Ok(())
    }

    /// Home bucket of `hash` at present.
    #[inline(always)]
    pub(crate) fn home(&self, hash: u64) -> usize {
        // A table at rest, which most are, has one size: a branch that is always guessed is less than picking one of two.
        if self.watermark == 0 {
            return home(hash, self.upper);
        }
        in_motion();
        home(hash, if hash >= self.watermark { self.upper } else { self.lower })
    }

    /// The entry with this hash that `eq` accepts.
    #[inline(always)]
    pub(crate) fn find(&self, hash: u64, eq: impl FnMut(&T) -> bool) -> Option<Spot> {
        self.find_from(self.home(hash), hash, eq)
    }

    /// As `find`, for a `home` that is known.
    #[inline(always)]
    pub(crate) fn find_from(&self, home: usize, hash: u64, mut eq: impl FnMut(&T) -> bool) -> Option<Spot> {
        // SAFETY: a home is an open bucket, or the one empty head of a table without memory.
        unsafe {
            if let Some(slot) = self.search(home, Tag::of(hash), &mut eq) {
                return Some(Spot { bucket: home, slot });
            }
            if self.passes(home).has(tag_byte(hash)) { self.find_after(home, hash, eq) } else { None }
        }
    }

    /// The entry with this hash that `eq` accepts: the shortest way, for those who only look at it.
    #[inline(always)]
    pub(crate) fn seen(&self, hash: u64, mut eq: impl FnMut(&T) -> bool) -> Option<NonNull<T>> {
        // The home stands apart from the loop, or all that a trail needs would be computed before it; and the way along
        // the trail returns an address in a register.
        let home = self.home(hash);
        probes::get(hash, home);
        // SAFETY: as in `find_from`.
        unsafe {
            if let Some(slot) = self.search(home, Tag::of(hash), &mut eq) {
                let at = L::Geometry::slot(&self.zones, home, slot);
                // Or callers would test it.
                core::hint::assert_unchecked(!at.is_null());
                return Some(NonNull::new_unchecked(at));
            }
            if self.passes(home).has(tag_byte(hash)) { self.seen_after(home, hash, eq) } else { None }
        }
    }

    /// As `seen`, in the buckets after `bucket`.
    ///
    /// # Safety
    /// As for `find_after`.
    #[cold]
    #[inline(never)]
    unsafe fn seen_after(&self, bucket: usize, hash: u64, eq: impl FnMut(&T) -> bool) -> Option<NonNull<T>> {
        // SAFETY: the caller's promise.
        unsafe {
            let Spot { bucket, slot } = self.find_after(bucket, hash, eq)?;
            Some(NonNull::new_unchecked(L::Geometry::slot(&self.zones, bucket, slot)))
        }
    }

    /// As `find`, in the buckets after `bucket`.
    ///
    /// # Safety
    /// Entries of this hash's class may have passed `bucket`.
    #[cold]
    #[inline(never)]
    pub(super) unsafe fn find_after(
        &self,
        mut bucket: usize,
        hash: u64,
        mut eq: impl FnMut(&T) -> bool,
    ) -> Option<Spot> {
        let tag = Tag::of(hash);
        loop {
            bucket += 1;
            // SAFETY: nothing has passed the last open bucket, so the walk never leaves them.
            unsafe {
                if let Some(slot) = self.search(bucket, tag, &mut eq) {
                    return Some(Spot { bucket, slot });
                }
                if !self.passes(bucket).has(tag_byte(hash)) {
                    return None;
                }
            }
        }
    }

    /// The slot of `bucket` whose tophash is `tag` and whose entry `eq` accepts.
    ///
    /// # Safety
    /// `bucket` is open, or the one empty head of a table without memory.
    #[inline(always)]
    pub(crate) unsafe fn search(
        &self,
        bucket: usize,
        tag: Tag,
        eq: &mut impl FnMut(&T) -> bool,
    ) -> Option<usize> {
        // SAFETY: the caller's promise. A tophash that is not 0 means a live entry.
        unsafe {
            let mut matches = Head::load(L::Geometry::head(&self.zones, bucket)).matches(tag);
            while matches != 0 {
                let slot = matches.trailing_zeros() as usize;
                if eq(&*L::Geometry::slot(&self.zones, bucket, slot)) {
                    return Some(slot);
                }
                matches &= matches - 1;
            }
        }
        None
    }

    /// The entry at `spot`.
    ///
    /// # Safety
    /// `spot` holds an entry.
    #[inline(always)]
    pub(crate) unsafe fn at(&self, spot: Spot) -> &T {
        // SAFETY: the caller's promise.
        unsafe { &*L::Geometry::slot(&self.zones, spot.bucket, spot.slot) }
    }

    /// The entry at `spot`.
    ///
    /// # Safety
    /// `spot` holds an entry.
    #[inline(always)]
    pub(crate) unsafe fn at_mut(&mut self, spot: Spot) -> &mut T {
        // SAFETY: the caller's promise; the table is borrowed uniquely.
        unsafe { &mut *L::Geometry::slot(&self.zones, spot.bucket, spot.slot) }
    }

    /// Writes an entry to the free spot that `seek` found.
    ///
    /// # Safety
    /// `seek(hash)` has just returned `home` and `spot`.
    #[inline]
    pub(crate) unsafe fn fill(&mut self, hash: u64, home: usize, spot: Spot, entry: T) {
        let bucket = spot.bucket;
        // SAFETY: `bucket` is open and the slot is free; buckets home..bucket come before it.
        unsafe {
            if bucket != home {
                self.note_passes(home, bucket, tag_byte(hash));
            }
            self.settle(spot, tophash(hash), entry);
        }
    }

    /// Writes an entry to a free spot whose trail knows of it already.
    ///
    /// # Safety
    /// `spot` lies in an open bucket and is free.
    #[inline(always)]
    pub(crate) unsafe fn settle(&mut self, spot: Spot, tag: u8, entry: T) {
        // SAFETY: the caller's promise.
        unsafe {
            L::Geometry::slot(&self.zones, spot.bucket, spot.slot).write(entry);
            self.appear(spot, tag);
        }
        self.len += 1;
    }

    /// Makes an entry that was written to a free spot one of the table's, but for the count of all.
    ///
    /// # Safety
    /// `spot` lies in an open bucket and holds an entry.
    #[inline(always)]
    pub(crate) unsafe fn appear(&mut self, spot: Spot, tag: u8) {
        // SAFETY: the caller's promise.
        unsafe {
            let beside = usize::from(seeded!("map: tophash in the neighbouring slot"));
            *L::Geometry::head(&self.zones, spot.bucket).add(spot.slot ^ beside) = tag;
            let lane = self.zones.lane(spot.bucket);
            let had = *lane;
            *lane = had | 1 << spot.slot;
            if had == 0 {
                self.mark(spot.bucket / LANES);
            }
        }
        self.bucket_changed(spot.bucket);
    }

    /// Puts an entry into its home bucket, if there is a free slot; else it comes back.
    ///
    /// # Safety
    /// `home` is the home of `hash`, in a table that has memory.
    #[inline(always)]
    pub(crate) unsafe fn fill_home(&mut self, home: usize, hash: u64, entry: T) -> Result<NonNull<T>, T> {
        // SAFETY: a home is open.
        unsafe {
            let head = L::Geometry::head(&self.zones, home);
            let free = Head::load(head).empty();
            if free == 0 {
                return Err(entry);
            }
            let slot = free.trailing_zeros() as usize;
            let at = L::Geometry::slot(&self.zones, home, slot);
            at.write(entry);
            *head.add(slot ^ usize::from(seeded!("map: tophash in the neighbouring slot"))) = tophash(hash);
            if !seeded!("map: mask bit not set") {
                // Masks say what heads say, so the lane need not be read.
                *self.zones.lane(home) = ALL ^ (free & (free - 1));
            }
            if free == ALL {
                self.mark(home / LANES);
            }
            self.len += 1;
            self.bucket_changed(home);
            Ok(NonNull::new_unchecked(at))
        }
    }

    /// Takes an entry out that is at home in `home`, without a hasher: what it passed may stay marked, which `stale`
    /// remembers.
    ///
    /// # Safety
    /// `spot` holds an entry.
    #[inline]
    pub(crate) unsafe fn take(&mut self, spot: Spot, home: usize) -> T {
        if home < spot.bucket {
            self.note_stale();
        }
        // SAFETY: the caller's promise.
        unsafe { self.vacate(spot) }
    }

    /// Takes an entry out without its hash: what it passed may stay marked, which `stale` remembers.
    ///
    /// # Safety
    /// `spot` holds an entry.
    pub(crate) unsafe fn take_unhashed(&mut self, spot: Spot) -> T {
        // An entry whose bucket nobody was placed into from before is at home and passed nothing.
        // SAFETY: buckets before an open bucket are open.
        let strayed = spot.bucket > 0 && unsafe { self.passes(spot.bucket - 1) }.any();
        self.care.stale += usize::from(strayed);
        // SAFETY: the caller's promise.
        unsafe { self.vacate(spot) }
    }

    /// # Safety
    /// `spot` holds an entry.
    #[inline(always)]
    pub(crate) unsafe fn vacate(&mut self, spot: Spot) -> T {
        let Spot { bucket, slot } = spot;
        self.len -= 1;
        // SAFETY: the caller's promise; the entry is read once and its slot is free from here on.
        unsafe {
            *L::Geometry::head(&self.zones, bucket).add(slot) = 0;
            let lane = self.zones.lane(bucket);
            if !seeded!("map: mask bit not cleared") {
                *lane &= !(1 << slot);
            }
            if *lane == 0 && self.word(bucket / LANES) == 0 {
                self.unmark(bucket / LANES);
            }
            let at = L::Geometry::slot(&self.zones, bucket, slot);
            let entry = at.read();
            if L::SCRUB {
                ptr::write_bytes(at, 0, 1);
            }
            self.bucket_changed(bucket);
            entry
        }
    }

    /// Puts an entry where `other` has it.
    ///
    /// # Safety
    /// Both tables have as many buckets, and `spot` is occupied in `other` and free here.
    pub(crate) unsafe fn mirror(&mut self, other: &Self, spot: Spot, entry: T) {
        let Spot { bucket, slot } = spot;
        // SAFETY: the caller's promise.
        unsafe {
            L::Geometry::slot(&self.zones, bucket, slot).write(entry);
            self.appear(spot, *L::Geometry::head(&other.zones, bucket).add(slot));
        }
        self.len += 1;
    }

    /// Takes over sizes, passes and the state of growth from a table whose entries were mirrored.
    ///
    /// # Safety
    /// Both tables have as many buckets and the same entries at the same spots.
    pub(crate) unsafe fn mirror_shape(&mut self, other: &Self) {
        let mut marked = other.marked(0..other.words());
        // SAFETY: what is open is so in both. Where there is no mark nothing has passed, and something may have where there is
        // no entry.
        unsafe {
            while let Some(word) = marked.next(&other.zones) {
                self.mark(word);
                for bucket in word * LANES..self.buckets.min(word * LANES + LANES) {
                    self.set_passes(bucket, other.passes(bucket));
                }
            }
        }
        (self.upper, self.lower, self.watermark) = (other.upper, other.lower, other.watermark);
        self.care = other.care.twin();
        self.set_trigger();
    }

    /// Mask words in use.
    #[inline(always)]
    pub(crate) fn words(&self) -> usize {
        self.buckets.div_ceil(LANES)
    }

    /// Mask word `word`.
    ///
    /// # Safety
    /// `word < self.words()`.
    #[inline(always)]
    pub(crate) unsafe fn word(&self, word: usize) -> u64 {
        // SAFETY: the caller's promise.
        unsafe { *self.zones.masks.as_ptr().add(word) }
    }
}

impl<T, A: Allocator, L: Layout> RawTable<T, A, L> {
    /// A table without memory.
    pub(crate) const fn new_in(alloc: A) -> Self {
        Self { bare: Bare::new(), alloc }
    }

    /// Takes over what `fresh`, a table of the same allocator, holds, and frees our own memory, entries and all, without
    /// dropping them.
    pub(crate) fn become_bare(&mut self, fresh: Bare<T, L>) {
        let mut old = mem::replace(&mut self.bare, fresh);
        old.storage.free(&self.alloc);
    }

    /// Puts a new entry into the first bucket at or after its home that has a free slot. On error nothing has changed
    /// and `entry` is dropped. Expected O(1); linear in the trail.
    #[cfg(test)]
    #[inline]
    pub(crate) fn place(&mut self, hash: u64, entry: T) -> Result<Spot, TryReserveError> {
        self.place_from(self.home(hash), hash, entry)
    }

    /// As `place`, for a `home` that is known.
    #[inline]
    pub(crate) fn place_from(&mut self, home: usize, hash: u64, entry: T) -> Result<Spot, TryReserveError> {
        let spot = self.seek_from(home)?;
        probes::insert(hash, spot.bucket);
        // SAFETY: just found.
        unsafe { self.fill(hash, home, spot, entry) };
        Ok(spot)
    }

    /// The home of `hash` and the free spot that a new entry of that hash goes to. The table must have memory.
    #[inline]
    pub(crate) fn seek(&mut self, hash: u64) -> Result<(usize, Spot), TryReserveError> {
        let home = self.home(hash);
        Ok((home, self.seek_from(home)?))
    }

    /// The first free spot at or after `home`.
    #[inline(always)]
    fn seek_from(&mut self, home: usize) -> Result<Spot, TryReserveError> {
        assert!(self.buckets > 0, "an insert makes a table ready first");
        // SAFETY: a home is open.
        let free = unsafe { Head::load(L::Geometry::head(&self.zones, home)) }.empty();
        if free != 0 {
            return Ok(Spot { bucket: home, slot: free.trailing_zeros() as usize });
        }
        self.seek_after(home)
    }

    /// The first free spot after the full bucket `bucket`.
    #[cold]
    #[inline(never)]
    fn seek_after(&mut self, mut bucket: usize) -> Result<Spot, TryReserveError> {
        loop {
            bucket += 1;
            if bucket == self.buckets {
                self.extend_spill()?;
            }
            // SAFETY: `bucket` is open, by the check above.
            let free = unsafe { Head::load(L::Geometry::head(&self.zones, bucket)) }.empty();
            if free != 0 {
                return Ok(Spot { bucket, slot: free.trailing_zeros() as usize });
            }
        }
    }
}

impl<T, A: Allocator, L: Layout> Drop for RawTable<T, A, L> {
    fn drop(&mut self) {
        /// Gives the memory back on the way out, by unwinding too.
        struct Freed<'a, T, A: Allocator, L: Layout>(&'a mut Bare<T, L>, &'a A);

        impl<T, A: Allocator, L: Layout> Drop for Freed<'_, T, A, L> {
            fn drop(&mut self) {
                self.0.storage.free(self.1);
            }
        }

        let freed = Freed(&mut self.bare, &self.alloc);
        if mem::needs_drop::<T>() && freed.0.len > 0 {
            // Should a destructor panic, the entries not reached are leaked and the memory is still given back.
            freed.0.drop_entries();
        }
    }
}
