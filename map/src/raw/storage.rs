//! Where a table's memory comes from: one block of its allocator, or a reserved range that opens in steps.
//!
//! Owned by `Bare`, one each; the allocator is handed in, and the owner calls `free`. Invariant: memory of buckets that the
//! table has opened but never used reads as zero, which is an empty head and an empty mask.

#![allow(unsafe_code)]

use super::layout::{Extent, Geometry, Layout, OS_PAGE, Plan, Zones};
use crate::pages::Pages;
use allocator_api2::alloc::Allocator;
use bucketmask_alloc::Range;
use core::alloc::Layout as Block;
use core::ptr::NonNull;
use core::{fmt, mem};
use std::alloc::handle_alloc_error;

/// Bytes of a huge page: the zones of a large range start on one.
const HUGE_PAGE: usize = 2 << 20;
/// Bytes of a range from which on it is large.
const LARGE: usize = 1 << 28;

/// Bytes of new memory of a zone that another thread is asked to put behind: waking it takes as long as the touches of a few pages.
const WORTH_ASKING: usize = 256 << 10;

/// What a table wants memory for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To start with, or since the user reserves it: some of it may never be filled.
    Start,
    /// To grow as entries come: a range is worth more then, and all of it will be filled.
    Growth,
}

/// Why a table could not grow.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TryReserveError {
    /// The table would be larger than the address space.
    CapacityOverflow,
    /// The allocator has no memory for this block.
    AllocError {
        /// Size and alignment that were asked for.
        layout: Block,
    },
}

impl fmt::Display for TryReserveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CapacityOverflow => f.write_str("the table would be larger than the address space"),
            Self::AllocError { layout } => write!(f, "no memory for a table of {} bytes", layout.size()),
        }
    }
}

impl core::error::Error for TryReserveError {}

impl TryReserveError {
    /// Tells the failure as std's collections do: capacity overflow panics, want of memory goes to the alloc error hook.
    #[cold]
    pub(crate) fn raise(&self) -> ! {
        match self {
            Self::CapacityOverflow => panic!("Hash table capacity overflow"),
            Self::AllocError { layout } => handle_alloc_error(*layout),
        }
    }
}

enum Source {
    Nothing,
    Block(Block),
    Range(Range),
}

/// Memory for up to `room` buckets of `T`.
pub(crate) struct Storage {
    source: Source,
    base: NonNull<u8>,
    plan: Plan,
    /// Buckets that fit.
    room: usize,
}

impl Storage {
    /// No memory at all.
    pub(crate) const fn empty() -> Self {
        let plan = Plan { heads: 0, summary: 0, masks: 0, slots: 0, bytes: 0, align: 1 };
        Self { source: Source::Nothing, base: NonNull::dangling(), plan, room: 0 }
    }

    /// Zeroed memory for `buckets` buckets; large tables of `Pages` get a range with room to grow, if one is to be had.
    pub(crate) fn allocate<T, A: Allocator, L: Layout>(
        alloc: &A,
        buckets: usize,
        purpose: Purpose,
    ) -> Result<Self, TryReserveError> {
        let least = if purpose == Purpose::Growth { L::RANGE_BYTES / 8 } else { L::RANGE_BYTES };
        let exact =
            L::Geometry::plan(Block::new::<T>(), buckets, 64).ok_or(TryReserveError::CapacityOverflow)?;
        if has_ranges::<A>() && exact.bytes >= least {
            if let Some(storage) = Self::reserve::<T, L>(buckets, exact.bytes, purpose) {
                return Ok(storage);
            }
        }
        let block = Block::from_size_align(exact.bytes, exact.align)
            .map_err(|_| TryReserveError::CapacityOverflow)?;
        let blank = if L::SCRUB { alloc.allocate_zeroed(block) } else { alloc.allocate(block) };
        let base = blank.map_err(|_| TryReserveError::AllocError { layout: block })?.cast();
        if !L::SCRUB {
            // SAFETY: the block was made for this plan, whose parts lie inside.
            unsafe { L::Geometry::blank(base, Block::new::<T>(), &exact, buckets) };
        }
        Ok(Self { source: Source::Block(block), base, plan: exact, room: buckets })
    }

    /// A range with as much of the wanted room as there is, opened for `buckets` buckets.
    fn reserve<T, L: Layout>(buckets: usize, bytes: usize, purpose: Purpose) -> Option<Self> {
        let reserve = if L::ROOM >= 16 { Range::reserve_ample } else { Range::reserve };
        let may_be_warm = !L::SCRUB && purpose == Purpose::Start;
        let mut factor = L::ROOM;
        while factor > 0 {
            let wanted = bytes.checked_mul(factor).and_then(|wanted| wanted.checked_add(4 * OS_PAGE));
            let fits = |range| Self::in_range::<T, L>(range, buckets, buckets * factor, purpose);
            let warm = wanted.filter(|_| may_be_warm).and_then(Range::reserve_warm).and_then(fits);
            let storage = warm.or_else(|| wanted.and_then(reserve).and_then(fits));
            if storage.is_some() {
                return storage;
            }
            factor /= 2;
        }
        None
    }

    /// `range`, opened for `buckets` buckets, with room for `room` of them, or in layouts with ample room for as many as fit.
    fn in_range<T, L: Layout>(range: Range, buckets: usize, room: usize, purpose: Purpose) -> Option<Self> {
        let entry = Block::new::<T>();
        let unit = if range.room() >= LARGE { HUGE_PAGE } else { OS_PAGE };
        let room = if L::ROOM >= 16 { rooms::<L>(entry, range.room(), unit) } else { room };
        let plan = L::Geometry::plan(entry, room, unit)?;
        let fits = room >= buckets && plan.bytes <= range.room();
        if !fits || (range.base().addr().get() & (plan.align - 1)) != 0 {
            return None;
        }
        if !keep_warm(&range, L::Geometry::extents(entry, &plan, buckets)) {
            return None;
        }
        let mut storage = Self { base: range.base(), source: Source::Range(range), plan, room };
        let opened = storage.open::<T, L>(0, buckets);
        if opened && purpose == Purpose::Start {
            storage.prefer_huge_pages::<T, L>(buckets);
        }
        opened.then_some(storage)
    }

    /// Asks for huge pages behind the first `buckets` buckets. Only for tables that start large: where memory is short, the
    /// kernel makes room for a huge page first, and a table that grows could pause for it.
    fn prefer_huge_pages<T, L: Layout>(&self, buckets: usize) {
        let Source::Range(range) = &self.source else { return };
        for (start, len) in L::Geometry::extents(Block::new::<T>(), &self.plan, buckets) {
            if len >= HUGE_PAGE {
                range.prefer_huge_pages(start, len);
            }
        }
    }

    /// Makes buckets `from..to` usable. False: there is no room, or the system refused; nothing is lost.
    pub(crate) fn open<T, L: Layout>(&mut self, from: usize, to: usize) -> bool {
        if to > self.room {
            return false;
        }
        let Source::Range(range) = &self.source else { return true };
        let entry = Block::new::<T>();
        let had = L::Geometry::extents(entry, &self.plan, from);
        let wants = L::Geometry::extents(entry, &self.plan, to);
        had.iter().zip(wants).all(|(&(start, had), (_, wants))| {
            // What lies on the last page that was opened is open already.
            let had = if had == 0 { 0 } else { had.next_multiple_of(OS_PAGE) };
            wants <= had || range.open(start + had, wants - had)
        })
    }

    /// Has memory put behind buckets `from..to`, which are open and about to be filled, from the last one down, while other work goes
    /// on. Where that is not to be had, or is not worth it, first touches bring it: false.
    pub(crate) fn fill_soon<T, L: Layout>(&self, from: usize, to: usize) -> bool {
        let Source::Range(range) = &self.source else { return false };
        let entry = Block::new::<T>();
        let had = L::Geometry::extents(entry, &self.plan, from);
        let wants = L::Geometry::extents(entry, &self.plan, to);
        let parts = || {
            had.iter().zip(wants).map(|(&(start, had), (_, wants))| (start + had, wants.saturating_sub(had)))
        };
        // The heads first, which are least and are read first.
        parts().any(|(_, len)| len >= WORTH_ASKING)
            && parts().fold(false, |any, (start, len)| range.populate_soon(start, len) || any)
    }

    /// Gives the memory of buckets `from..to`, the last that are open, back to the system; only a range can. They are
    /// empty, and are so when they are opened again.
    pub(crate) fn close<T, L: Layout>(&mut self, from: usize, to: usize) {
        let Source::Range(range) = &self.source else { return };
        let entry = Block::new::<T>();
        let keeps = L::Geometry::extents(entry, &self.plan, from);
        let had = L::Geometry::extents(entry, &self.plan, to);
        for (&(start, had), (_, keeps)) in had.iter().zip(keeps) {
            let (had, keeps) = (had.next_multiple_of(OS_PAGE), keeps.next_multiple_of(OS_PAGE));
            if keeps < had {
                range.close(start + keeps, had - keeps);
            }
        }
    }

    /// Addresses of the zones.
    pub(crate) fn zones<T>(&self) -> Zones<T> {
        if matches!(self.source, Source::Nothing) {
            return Zones::nothing();
        }
        // SAFETY: `base` starts the memory that `plan` was made for.
        unsafe { Zones::at(self.base, &self.plan) }
    }

    /// Copies the zones of `buckets` buckets from `other`, bytes as they are.
    ///
    /// # Safety
    /// `buckets` are open in both; both hold `T` in layout `L`.
    pub(crate) unsafe fn copy_from<T, L: Layout>(&mut self, other: &Self, buckets: usize) {
        let entry = Block::new::<T>();
        let into: [Extent; 4] = L::Geometry::extents(entry, &self.plan, buckets);
        let from = L::Geometry::extents(entry, &other.plan, buckets);
        for ((from, len), (into, _)) in from.into_iter().zip(into) {
            // SAFETY: pieces lie in open memory of two separate storages.
            unsafe { self.base.add(into).copy_from_nonoverlapping(other.base.add(from), len) };
        }
    }

    /// Bytes in use while `buckets` buckets are open.
    pub(crate) fn bytes<T, L: Layout>(&self, buckets: usize) -> usize {
        match &self.source {
            Source::Nothing => 0,
            Source::Block(block) => block.size(),
            Source::Range(_) => L::Geometry::extents(Block::new::<T>(), &self.plan, buckets)
                .iter()
                .map(|&(_, len)| len.next_multiple_of(OS_PAGE))
                .sum(),
        }
    }

    /// Whether the memory is a reserved range.
    pub(crate) fn is_range(&self) -> bool {
        matches!(self.source, Source::Range(_))
    }

    /// Gives the memory back, to the allocator that it came from.
    pub(crate) fn free<A: Allocator>(&mut self, alloc: &A) {
        let Self { source, base, .. } = mem::replace(self, Self::empty());
        if let Source::Block(block) = source {
            // SAFETY: `base` came from this allocator with this layout; a table keeps its allocator.
            unsafe { alloc.deallocate(base, block) };
        }
    }
}

/// Of what is open of a range that another table left: closes all that is not among these zones, of which the last are slots, and
/// blanks the others, up to the end of their last OS page. False: some of it cannot be closed, as memory that the program has
/// locked, and would not read as zero when the table grows into it.
fn keep_warm(range: &Range, zones: [Extent; 4]) -> bool {
    let ends = |(start, len): Extent| (start, (start + len).next_multiple_of(OS_PAGE));
    let mut kept_bytes = 0;
    for (first, len) in range.open_parts() {
        let end = first + len;
        let mut from = first;
        let mut kept = zones.map(ends);
        kept.sort_unstable();
        for (start, stop) in kept {
            let (start, stop) = (start.max(from), stop.min(end));
            if start < stop {
                range.close(from, start - from);
                kept_bytes += stop - start;
                from = stop;
            }
        }
        range.close(from, end - from);
        for (start, stop) in zones[..3].iter().copied().map(ends) {
            let (start, stop) = (start.max(first), stop.min(end));
            if start < stop {
                // SAFETY: open memory of the range, which is ours alone.
                unsafe { range.base().add(start).write_bytes(0, stop - start) };
            }
        }
    }
    range.opened() == kept_bytes
}

/// Whether tables of this allocator may use reserved ranges: those of [`Pages`] only, whose memory ranges are of.
fn has_ranges<A: Allocator>() -> bool {
    typeid::of::<A>() == typeid::of::<Pages>()
}

/// Whether a table of this plan grows in place.
pub(crate) fn is_elastic<L: Layout>(plan: &Plan) -> bool {
    plan.bytes >= L::ELASTIC_BYTES
}

/// The most buckets whose plan, in zones that start at multiples of `unit`, fits `bytes`.
fn rooms<L: Layout>(entry: Block, bytes: usize, unit: usize) -> usize {
    let fits = |room| L::Geometry::plan(entry, room, unit).is_some_and(|plan| plan.bytes <= bytes);
    let (mut low, mut high) = (0, bytes / super::layout::HEAD + 1);
    while low + 1 < high {
        let middle = low + (high - low) / 2;
        if fits(middle) { low = middle } else { high = middle }
    }
    low
}
