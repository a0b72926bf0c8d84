//! How heads, masks and slots lie in a table's memory: the one module that knows.
//!
//! Owned by `storage` (which asks for a plan) and `table` (which asks for addresses). Four zones, each growing at its
//! own end: heads (16 bytes a bucket), the summary (one bit a mask word), masks (one 16-bit lane a bucket, four lanes a word,
//! bits 14 and 15 never set), slots (14 entries a bucket). [`Inline`] puts head and slots into one 64-byte-aligned bucket
//! instead.
//! Invariant: a bucket's addresses depend on the zone bases and its index alone, so zones move as plain bytes.

#![allow(unsafe_code)]

use core::alloc::Layout as Block;
use core::marker::PhantomData;
use core::ptr::NonNull;
use static_assertions::const_assert;

/// Slots a bucket.
pub(crate) const SLOTS: usize = 14;
/// Bytes a head: a tophash a slot, then the classes that passed.
pub(crate) const HEAD: usize = 16;
/// Where in a head the classes lie of entries that were placed past this bucket (`passes`).
pub(crate) const PASSES: usize = 14;
/// Buckets governed by one mask word.
pub(crate) const LANES: usize = 4;
/// Bits of a mask word that belong to one bucket.
pub(crate) const LANE_BITS: usize = 16;
/// A mask word whose buckets are all full.
pub(crate) const FULL_WORD: u64 = 0x3fff_3fff_3fff_3fff;
/// The same without the bits that have no slot.
pub(crate) const FULL_RANKS: u64 = (1 << (LANES * SLOTS)) - 1;

/// A mask word without the bits that have no slot: bit i speaks of slot i of its buckets, counted through.
#[inline(always)]
pub(crate) const fn ranks(word: u64) -> u64 {
    const GAP: usize = LANE_BITS - SLOTS;
    let pairs = word & 0x0000_3fff_0000_3fff | (word & 0x3fff_0000_3fff_0000) >> GAP;
    pairs & 0x0fff_ffff | pairs >> 32 << (2 * SLOTS)
}

const_assert!(ranks(FULL_WORD) == FULL_RANKS && ranks(1 << 48) == 1 << 42 && ranks(1 << 16) == 1 << 14);

const_assert!(SLOTS <= LANE_BITS && SLOTS == PASSES && PASSES + 2 == HEAD);
const_assert!(LANES * LANE_BITS == 64);
const_assert!(FULL_WORD.count_ones() as usize == LANES * SLOTS);

/// Bytes of an OS page.
pub(super) const OS_PAGE: usize = 4096;

/// Mask words governed by one summary word.
pub(crate) const GROUP: usize = 64;

/// Where the zones lie, relative to the start of a table's memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    pub(crate) heads: usize,
    /// Start of the zone of masks, and of the summary in it.
    pub(crate) summary: usize,
    pub(crate) masks: usize,
    pub(crate) slots: usize,
    pub(crate) bytes: usize,
    pub(crate) align: usize,
}

/// What an unallocated table points to.
#[repr(align(64))]
struct Nothing(#[expect(dead_code, reason = "read through pointers")] [u8; 64]);
static NOTHING: Nothing = Nothing([0; 64]);

/// The zones' addresses.
pub struct Zones<T> {
    pub(crate) heads: NonNull<u8>,
    pub(crate) summary: NonNull<u64>,
    pub(crate) masks: NonNull<u64>,
    pub(crate) slots: NonNull<T>,
}

impl<T> Clone for Zones<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Zones<T> {}

impl<T> Zones<T> {
    /// The zones of a table without memory: one empty head, never written, and nothing else.
    pub(crate) const fn nothing() -> Self {
        let head: *const Nothing = &raw const NOTHING;
        // SAFETY: the address of a static is not null.
        let head = unsafe { NonNull::new_unchecked(head.cast_mut()) };
        Self { heads: head.cast(), summary: head.cast(), masks: head.cast(), slots: NonNull::dangling() }
    }

    /// The zones of `plan` in the memory at `base`.
    ///
    /// # Safety
    /// `base` starts `plan.bytes` bytes, aligned to `plan.align`.
    pub(crate) unsafe fn at(base: NonNull<u8>, plan: &Plan) -> Self {
        // SAFETY: the offsets of a plan lie inside its bytes.
        unsafe {
            Self {
                heads: base.add(plan.heads),
                summary: base.add(plan.summary).cast(),
                masks: base.add(plan.masks).cast(),
                slots: base.add(plan.slots).cast(),
            }
        }
    }
}

impl<T> Zones<T> {
    /// The lane of `bucket` in the mask word that governs it.
    ///
    /// # Safety
    /// `bucket` lies in the table's memory.
    #[inline(always)]
    pub(crate) unsafe fn lane(&self, bucket: usize) -> *mut u16 {
        // Lanes count from the lowest bits of a word.
        let place = if cfg!(target_endian = "big") { bucket ^ (LANES - 1) } else { bucket };
        // SAFETY: the caller's promise; there are whole words.
        unsafe { self.masks.as_ptr().cast::<u16>().add(place) }
    }
}

/// A part of a zone: offset from the start of the table's memory, and length, in bytes.
pub(crate) type Extent = (usize, usize);

mod sealed {
    use super::{Block, Extent, LANE_BITS, LANES, NonNull, Plan, Zones};

    /// Address arithmetic of one way to lay out a table.
    pub trait Geometry {
        /// Where the zones of `room` buckets lie, each zone starting at a multiple of `unit` bytes (a power of two, 64
        /// or more). None: more than the address space holds.
        fn plan(entry: Block, room: usize, unit: usize) -> Option<Plan>;
        /// The bytes in use of each zone while the table has `buckets` buckets, which it also takes along when it moves to
        /// memory of another plan: heads, masks, summary, slots. None in any of them while there is no bucket.
        fn extents(entry: Block, plan: &Plan, buckets: usize) -> [Extent; 4];
        /// Zeroes heads, masks and summary of `buckets` buckets, in memory that may hold anything; slots stay as they are.
        ///
        /// # Safety
        /// `base` starts writable memory of `plan`, which is one for these buckets.
        unsafe fn blank(base: NonNull<u8>, entry: Block, plan: &Plan, buckets: usize);
        /// Head of `bucket`.
        ///
        /// # Safety
        /// `bucket` lies in the table's memory.
        unsafe fn head<T>(zones: &Zones<T>, bucket: usize) -> *mut u8;
        /// Slot `slot` of `bucket`.
        ///
        /// # Safety
        /// `bucket` lies in the table's memory and `slot < SLOTS`.
        unsafe fn slot<T>(zones: &Zones<T>, bucket: usize, slot: usize) -> *mut T;
        /// Slot `rank`, counted through, of the buckets of a mask word whose first slot is `row`.
        ///
        /// # Safety
        /// The bucket lies in the table's memory; `rank < LANES * SLOTS`.
        #[inline(always)]
        unsafe fn slot_of_row<T>(row: *mut T, rank: usize) -> *mut T {
            Self::place_of_row(row, rank)
        }
        /// The same for any `rank`: past those that there are it gives some address.
        fn place_of_row<T>(row: *mut T, rank: usize) -> *mut T;
        /// The slot that bit `bit` of mask word `word` speaks of.
        ///
        /// # Safety
        /// As for `slot`; `bit % 16 < SLOTS`.
        #[inline(always)]
        unsafe fn slot_of_bit<T>(zones: &Zones<T>, word: usize, bit: usize) -> *mut T {
            // SAFETY: the caller's promise.
            unsafe { Self::slot(zones, word * LANES + bit / LANE_BITS, bit % LANE_BITS) }
        }
    }
}
pub(crate) use sealed::Geometry;

/// How a table lies in memory, with the sizes that decide when it grows in which way.
///
/// Sealed: [`Auto`], [`Split`] and [`Inline`] are the layouts there are.
pub trait Layout: 'static {
    #[doc(hidden)]
    type Geometry: Geometry;
    /// Tables of this many bytes and more grow in place; smaller ones are copied.
    #[doc(hidden)]
    const ELASTIC_BYTES: usize = 64 << 10;
    /// Tables that start with this many bytes lie in reserved ranges, and tables that grow to an eighth of it; smaller ones in
    /// blocks, which allocators hand out warm. What a growing table takes along is copied in one go, hence the eighth.
    #[doc(hidden)]
    const RANGE_BYTES: usize = 1 << 20;
    /// Reserved room, in multiples of the size a table has when it moves in. 0: no reserved ranges at all.
    #[doc(hidden)]
    const ROOM: usize = 16;
    /// Whether vacated slots are zeroed, so that a slot's own memory tells whether it is occupied.
    #[doc(hidden)]
    const SCRUB: bool = false;
    /// Entries that a call moves during a migration, or one home's more.
    #[doc(hidden)]
    const BATCH: usize = super::policy::BATCH;
}

/// [`Split`] or [`Inline`], whichever suits the size of an entry. The default.
#[derive(Debug, Clone, Copy)]
pub enum Auto {}

/// Heads side by side, four to a cache line, slots apart: a miss reads heads only.
#[derive(Debug, Clone, Copy)]
pub enum Split {}

/// The head in the first 16 bytes of a 64-byte-aligned bucket, its slots behind it: a hit reads neighbouring lines.
#[derive(Debug, Clone, Copy)]
pub enum Inline {}

/// `L` with tiny thresholds, so that tests grow in place, and out of their room, with few entries.
#[doc(hidden)]
#[derive(Debug, Clone, Copy)]
pub struct Tiny<L>(PhantomData<L>);

/// `L` without reserved ranges: growing tables move from block to block of the global allocator.
#[doc(hidden)]
#[derive(Debug, Clone, Copy)]
pub struct Blocks<L>(PhantomData<L>);

/// `L` with vacated slots zeroed.
#[doc(hidden)]
#[derive(Debug, Clone, Copy)]
pub struct Scrubbed<L>(PhantomData<L>);

impl Layout for Auto {
    type Geometry = Self;
}

impl Layout for Split {
    type Geometry = Self;
}

impl Layout for Inline {
    type Geometry = Self;
}

impl<L: Layout> Layout for Tiny<L> {
    type Geometry = L::Geometry;
    const ELASTIC_BYTES: usize = 1024;
    const ROOM: usize = if L::ROOM == 0 { 0 } else { 2 };
    const SCRUB: bool = L::SCRUB;
    const BATCH: usize = 8;
    const RANGE_BYTES: usize = Self::ELASTIC_BYTES;
}

impl<L: Layout> Layout for Blocks<L> {
    type Geometry = L::Geometry;
    const ELASTIC_BYTES: usize = L::ELASTIC_BYTES;
    const RANGE_BYTES: usize = L::RANGE_BYTES;
    const ROOM: usize = 0;
    const SCRUB: bool = L::SCRUB;
}

impl<L: Layout> Layout for Scrubbed<L> {
    type Geometry = L::Geometry;
    const ELASTIC_BYTES: usize = L::ELASTIC_BYTES;
    const RANGE_BYTES: usize = L::RANGE_BYTES;
    const ROOM: usize = L::ROOM;
    const SCRUB: bool = true;
}

fn round_up(bytes: usize, unit: usize) -> Option<usize> {
    bytes.checked_next_multiple_of(unit)
}

fn mask_bytes(buckets: usize) -> usize {
    buckets.div_ceil(LANES) * 8
}

/// Bytes of the summary of `buckets` buckets.
pub(crate) fn summary_bytes(buckets: usize) -> usize {
    buckets.div_ceil(LANES * GROUP) * 8
}

/// Where masks may start behind a summary that ends at `end`: in a range they open apart.
fn after_summary(end: usize, unit: usize) -> Option<usize> {
    if unit < OS_PAGE { Some(end) } else { round_up(end, unit) }
}

/// The bytes in use of masks and summary while the table has `buckets` buckets.
fn mask_extents(plan: &Plan, buckets: usize) -> [Extent; 2] {
    [(plan.masks, mask_bytes(buckets)), (plan.summary, summary_bytes(buckets))]
}

impl Geometry for Split {
    fn plan(entry: Block, room: usize, unit: usize) -> Option<Plan> {
        let align = entry.align().max(64);
        let summary = round_up(room.checked_mul(HEAD)?, unit)?;
        let masks = after_summary(summary.checked_add(summary_bytes(room))?, unit)?;
        let slots = round_up(round_up(masks.checked_add(mask_bytes(room))?, unit)?, align)?;
        let bytes = round_up(slots.checked_add(room.checked_mul(SLOTS * entry.size())?)?, unit)?;
        Some(Plan { heads: 0, summary, masks, slots, bytes, align })
    }

    fn extents(entry: Block, plan: &Plan, buckets: usize) -> [Extent; 4] {
        let [masks, summary] = mask_extents(plan, buckets);
        [(plan.heads, buckets * HEAD), masks, summary, (plan.slots, buckets * SLOTS * entry.size())]
    }

    unsafe fn blank(base: NonNull<u8>, _entry: Block, plan: &Plan, buckets: usize) {
        // Heads, summary and masks lie in a row.
        let end = plan.masks + mask_bytes(buckets);
        // SAFETY: the caller's promise.
        unsafe { base.add(plan.heads).write_bytes(0, end - plan.heads) };
    }

    #[inline(always)]
    unsafe fn head<T>(zones: &Zones<T>, bucket: usize) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { zones.heads.as_ptr().add(bucket * HEAD) }
    }

    #[inline(always)]
    unsafe fn slot<T>(zones: &Zones<T>, bucket: usize, slot: usize) -> *mut T {
        // SAFETY: the caller's promise.
        unsafe { zones.slots.as_ptr().add(bucket * SLOTS + slot) }
    }

    #[inline(always)]
    unsafe fn slot_of_row<T>(row: *mut T, rank: usize) -> *mut T {
        // SAFETY: the caller's promise; the slots of all buckets lie in a row.
        unsafe { row.add(rank) }
    }

    #[inline(always)]
    fn place_of_row<T>(row: *mut T, rank: usize) -> *mut T {
        row.wrapping_add(rank)
    }

    #[inline(always)]
    unsafe fn slot_of_bit<T>(zones: &Zones<T>, word: usize, bit: usize) -> *mut T {
        // The last bits of each earlier lane have no slot: so many places less.
        // SAFETY: the caller's promise.
        unsafe {
            zones.slots.as_ptr().add(word * (LANES * SLOTS) + bit - bit / LANE_BITS * (LANE_BITS - SLOTS))
        }
    }
}

impl Inline {
    /// Offset of the first slot in a bucket.
    const fn lead(entry: Block) -> usize {
        if entry.align() > HEAD { entry.align() } else { HEAD }
    }

    /// Bytes from a bucket to the next. Blocks of a type have sizes far below the address space, so this cannot wrap.
    #[inline(always)]
    const fn stride(entry: Block) -> usize {
        let align = if entry.align() > 64 { entry.align() } else { 64 };
        (Self::lead(entry) + SLOTS * entry.size()).next_multiple_of(align)
    }
}

impl Geometry for Inline {
    fn plan(entry: Block, room: usize, unit: usize) -> Option<Plan> {
        let align = entry.align().max(64);
        let lead = Self::lead(entry);
        let stride = lead.checked_add(SLOTS.checked_mul(entry.size())?)?.checked_next_multiple_of(align)?;
        let masks = after_summary(summary_bytes(room), unit)?;
        let heads = round_up(round_up(masks + mask_bytes(room), unit)?, align)?;
        let bytes = round_up(heads.checked_add(room.checked_mul(stride)?)?, unit)?;
        Some(Plan { heads, summary: 0, masks, slots: heads + lead, bytes: bytes.max(heads + lead), align })
    }

    fn extents(entry: Block, plan: &Plan, buckets: usize) -> [Extent; 4] {
        let [masks, summary] = mask_extents(plan, buckets);
        [(plan.heads, buckets * Self::stride(entry)), masks, summary, (plan.slots, 0)]
    }

    unsafe fn blank(base: NonNull<u8>, entry: Block, plan: &Plan, buckets: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            base.add(plan.summary).write_bytes(0, plan.masks + mask_bytes(buckets) - plan.summary);
            for bucket in 0..buckets {
                base.add(plan.heads + bucket * Self::stride(entry)).write_bytes(0, HEAD);
            }
        }
    }

    #[inline(always)]
    unsafe fn head<T>(zones: &Zones<T>, bucket: usize) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { zones.heads.as_ptr().add(bucket * const { Self::stride(Block::new::<T>()) }) }
    }

    #[inline(always)]
    unsafe fn slot<T>(zones: &Zones<T>, bucket: usize, slot: usize) -> *mut T {
        // SAFETY: the caller's promise; strides are multiples of the entry's alignment.
        unsafe { zones.slots.as_ptr().byte_add(bucket * const { Self::stride(Block::new::<T>()) }).add(slot) }
    }

    #[inline(always)]
    fn place_of_row<T>(row: *mut T, rank: usize) -> *mut T {
        // Strides are multiples of the entry's alignment.
        row.wrapping_byte_add(rank / SLOTS * const { Self::stride(Block::new::<T>()) })
            .wrapping_add(rank % SLOTS)
    }
}

impl Auto {
    /// Whether tables of this entry have their heads inline.
    #[inline(always)]
    const fn is_inline(_entry: Block) -> bool {
        false
    }
}

impl Geometry for Auto {
    fn plan(entry: Block, room: usize, unit: usize) -> Option<Plan> {
        if Self::is_inline(entry) { Inline::plan(entry, room, unit) } else { Split::plan(entry, room, unit) }
    }

    fn extents(entry: Block, plan: &Plan, buckets: usize) -> [Extent; 4] {
        if Self::is_inline(entry) {
            Inline::extents(entry, plan, buckets)
        } else {
            Split::extents(entry, plan, buckets)
        }
    }

    unsafe fn blank(base: NonNull<u8>, entry: Block, plan: &Plan, buckets: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            if Self::is_inline(entry) {
                Inline::blank(base, entry, plan, buckets);
            } else {
                Split::blank(base, entry, plan, buckets);
            }
        }
    }

    #[inline(always)]
    unsafe fn head<T>(zones: &Zones<T>, bucket: usize) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe {
            if const { Self::is_inline(Block::new::<T>()) } {
                Inline::head(zones, bucket)
            } else {
                Split::head(zones, bucket)
            }
        }
    }

    #[inline(always)]
    unsafe fn slot<T>(zones: &Zones<T>, bucket: usize, slot: usize) -> *mut T {
        // SAFETY: the caller's promise.
        unsafe {
            if const { Self::is_inline(Block::new::<T>()) } {
                Inline::slot(zones, bucket, slot)
            } else {
                Split::slot(zones, bucket, slot)
            }
        }
    }

    #[inline(always)]
    fn place_of_row<T>(row: *mut T, rank: usize) -> *mut T {
        if Self::is_inline(Block::new::<T>()) {
            Inline::place_of_row(row, rank)
        } else {
            Split::place_of_row(row, rank)
        }
    }

    #[inline(always)]
    unsafe fn slot_of_bit<T>(zones: &Zones<T>, word: usize, bit: usize) -> *mut T {
        // SAFETY: the caller's promise.
        unsafe {
            if const { Self::is_inline(Block::new::<T>()) } {
                Inline::slot_of_bit(zones, word, bit)
            } else {
                Split::slot_of_bit(zones, word, bit)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every head, slot and mask of a plan, as (name, address, length, alignment); addresses count from the start.
    fn pieces<L: Layout, T>(room: usize, plan: &Plan) -> Vec<(&'static str, usize, usize, usize)> {
        let block = Block::from_size_align(plan.bytes, plan.align).expect("small");
        // SAFETY: not empty; given back below. All addresses lie inside, which is what the caller asserts.
        unsafe {
            let base = NonNull::new(std::alloc::alloc(block)).expect("memory");
            let zones = Zones::<T>::at(base, plan);
            let from = |at: usize| at - base.as_ptr() as usize;
            let mut pieces = vec![
                ("summary", from(zones.summary.as_ptr() as usize), summary_bytes(room), 8),
                ("mask", from(zones.masks.as_ptr() as usize), mask_bytes(room), 8),
            ];
            for bucket in 0..room {
                pieces.push(("head", from(L::Geometry::head(&zones, bucket) as usize), HEAD, HEAD));
                for slot in 0..SLOTS {
                    let at = L::Geometry::slot(&zones, bucket, slot);
                    let bit = bucket % LANES * LANE_BITS + slot;
                    assert_eq!(at, L::Geometry::slot_of_bit(&zones, bucket / LANES, bit));
                    pieces.push(("slot", from(at as usize), size_of::<T>(), align_of::<T>()));
                }
            }
            std::alloc::dealloc(base.as_ptr(), block);
            pieces
        }
    }

    fn bytes_never_overlap<L: Layout, T>() {
        for room in [1usize, 2, 4, 5, 31] {
            let plan = L::Geometry::plan(Block::new::<T>(), room, 64).expect("small");
            let mut owned = vec![false; plan.bytes];
            for (what, at, len, align) in pieces::<L, T>(room, &plan) {
                assert_eq!(at % align, 0, "{what} is not aligned");
                for byte in &mut owned[at..at + len] {
                    assert!(!std::mem::replace(byte, true), "{what} overlaps");
                }
            }
        }
    }

    #[repr(align(128))]
    struct Wide(#[expect(dead_code, reason = "size only")] u8);

    #[test]
    fn zones_are_disjoint_and_aligned() {
        bytes_never_overlap::<Split, (u64, u64)>();
        bytes_never_overlap::<Inline, (u64, u64)>();
        bytes_never_overlap::<Split, (u8, u16)>();
        bytes_never_overlap::<Inline, (u8, u16)>();
        bytes_never_overlap::<Split, Wide>();
        bytes_never_overlap::<Inline, Wide>();
        bytes_never_overlap::<Split, ()>();
        bytes_never_overlap::<Inline, ()>();
    }

    #[test]
    fn a_plan_beyond_the_address_space_is_refused() {
        assert_eq!(Split::plan(Block::new::<u64>(), usize::MAX / 64, 64), None);
        assert_eq!(Inline::plan(Block::new::<u64>(), usize::MAX / 64, 64), None);
    }
}
