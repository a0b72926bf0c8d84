//! The granule map's entry: one word that tells, for any address of the region, which page and slot
//! it lies in.
//!
//! Written by `span` under its lock, read by everybody without one. Invariant: an entry of a kind
//! other than `None` describes pages whose metadata is initialised; it is published with release
//! and read with a load that the address itself orders (who holds an address of a page got it after
//! the page was made).
//!
//! ```text
//! bit   0..5    page shift, 10 to 16; 16 = the page is whole granules
//!       5..7    kind
//!       7..13   back: granules from the page's first granule to this one
//!      13..20   tag: size class of a slab page; bit 0 of a lent page = leaf, the others its slot size / 8 if that is below 64
//!      20..36   reciprocal: ceil(65536 / (slot size / 8))
//!      36..64   index of the granule's first page metadata
//! ```
//!
//! The shift lies lowest so that a shift by the entry's low word needs no masking, the index highest
//! so that one shift gives it.

use crate::class::GRANULE;

/// log2 of [`GRANULE`].
pub(crate) const GRANULE_SHIFT: u32 = GRANULE.trailing_zeros();

/// What a granule's pages are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// No page: never used, or given back.
    None,
    /// Pages of a size class, owned by a heap.
    Slab,
    /// Pages lent to a collector.
    Lent,
    /// Medium blocks: a page of one slot each.
    Medium,
}

/// One word of the granule map.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Entry(u64);

const KIND_AT: u32 = 5;
const BACK_AT: u32 = 7;
const TAG_AT: u32 = 13;
const RECIPROCAL_AT: u32 = 20;
const META_AT: u32 = 36;
/// Bytes of a page's metadata.
pub(crate) const META_BYTES: usize = 256;

/// Page metadata that entries can name.
pub(crate) const META_LIMIT: usize = 1 << (u64::BITS - META_AT);

impl Entry {
    /// An entry of a granule without pages.
    pub(crate) const NONE: Self = Self(0);

    /// The entry of the granule `back` granules behind its page's first one. `page_shift` is at most
    /// 16, which says that the page is whole granules. `slot_size` is a multiple of 8, at least 16;
    /// `tag` is below 128.
    pub(crate) const fn new(
        meta: usize,
        page_shift: u32,
        kind: Kind,
        back: usize,
        slot_size: u32,
        tag: u8,
    ) -> Self {
        debug_assert!(meta < META_LIMIT && back < 64 && page_shift <= GRANULE_SHIFT && tag < 128);
        debug_assert!(slot_size >= 16 && slot_size % 8 == 0);
        let reciprocal = (1u64 << 16).div_ceil(slot_size as u64 / 8);
        Self(
            page_shift as u64
                | (kind as u64) << KIND_AT
                | (back as u64) << BACK_AT
                | (tag as u64) << TAG_AT
                | reciprocal << RECIPROCAL_AT
                | (meta as u64) << META_AT,
        )
    }

    /// The entry of the granule `back` granules behind the one that this entry, of a page's first
    /// granule, is of.
    pub(crate) const fn behind(self, back: usize) -> Self {
        debug_assert!(self.back() == 0 && back < 64);
        Self(self.0 | (back as u64) << BACK_AT)
    }

    pub(crate) const fn from_word(word: u64) -> Self {
        Self(word)
    }

    pub(crate) const fn word(self) -> u64 {
        self.0
    }

    #[inline(always)]
    pub(crate) const fn kind(self) -> Kind {
        match self.0 >> KIND_AT & 3 {
            1 => Kind::Slab,
            2 => Kind::Lent,
            3 => Kind::Medium,
            _ => Kind::None,
        }
    }

    #[inline(always)]
    pub(crate) const fn tag(self) -> u8 {
        (self.0 >> TAG_AT & 0x7f) as u8
    }

    /// log2 of the page's bytes, 16 for pages of whole granules.
    #[inline(always)]
    pub(crate) const fn page_shift(self) -> u32 {
        (self.0 & 31) as u32
    }

    pub(crate) const fn back(self) -> usize {
        (self.0 >> BACK_AT & 63) as usize
    }

    /// The tag of lent pages with slots of `slot_size` bytes.
    #[inline(always)]
    pub(crate) const fn lent_tag(slot_size: u32, leaf: bool) -> u8 {
        let size = if slot_size <= Self::SHAPED { slot_size / 8 } else { 0 };
        (size << 1) as u8 | leaf as u8
    }

    /// Bytes of the largest slots that a tag tells.
    pub(crate) const SHAPED: u32 = 63 * 8;

    /// What entries of lent pages have in common, each of `1 << page_shift` bytes, at most a granule, with slots of `slot_size`
    /// bytes, at most [`SHAPED`](Self::SHAPED).
    #[inline(always)]
    pub(crate) const fn shape(page_shift: u32, slot_size: u32, leaf: bool) -> Self {
        debug_assert!(slot_size <= Self::SHAPED);
        Self::new(0, page_shift, Kind::Lent, 0, slot_size, Self::lent_tag(slot_size, leaf))
    }

    /// What tells shapes apart: the low bits, since the slot size is in the tag. Never 0 for a shape.
    #[inline(always)]
    pub(crate) const fn low(self) -> u32 {
        self.0 as u32 & Self::LOW
    }

    /// The bits of [`low`](Self::low).
    pub(crate) const LOW: u32 = (1 << RECIPROCAL_AT) - 1;

    /// Bytes from the pool's start to the granule's first page metadata, of an entry whose low bits are the shape's.
    #[inline(always)]
    pub(crate) const fn first_meta_bytes(self, shape: Self) -> usize {
        const SHIFT: u32 = META_AT - META_BYTES.trailing_zeros();
        // What lies below the index is the shape's too.
        ((self.0 >> SHIFT) - (shape.0 >> SHIFT)) as usize
    }

    /// The granule's first page metadata.
    #[inline(always)]
    pub(crate) const fn first_meta(self) -> usize {
        (self.0 >> META_AT) as usize
    }

    /// Index of the metadata of the page that holds the address `offset` bytes into the region.
    #[inline(always)]
    pub(crate) const fn meta(self, offset: usize) -> usize {
        // The processor takes a 32-bit shift modulo 32, as `wrapping_shr` does: no masking.
        self.first_meta() + ((offset & (GRANULE - 1)) as u32).wrapping_shr(self.0 as u32) as usize
    }

    /// Bytes from the page's base to the address `offset` bytes into the region.
    #[inline(always)]
    pub(crate) const fn in_page(self, offset: usize) -> usize {
        let back_bytes = (self.0 << (GRANULE_SHIFT - BACK_AT)) as u32 & 63 << GRANULE_SHIFT;
        let low_bits = 1u32.wrapping_shl(self.0 as u32).wrapping_sub(1);
        (back_bytes | offset as u32 & low_bits) as usize
    }

    /// The slot that begins `in_page` bytes into its page; for an address inside a slot, a slot at
    /// or before the right one plus one. Exact for slot starts: with d = slot size / 8 and
    /// r = ceil(2^16 / d), slot * 8d * r / 2^19 exceeds `slot` by less than one while the page
    /// offset stays below 2^19 bytes.
    #[inline(always)]
    pub(crate) const fn slot(self, in_page: usize) -> usize {
        (in_page * (self.0 >> RECIPROCAL_AT & 0xffff) as usize) >> 19
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_come_back_as_they_went_in() {
        for meta in [0, 1, META_LIMIT - 1] {
            for shift in 10..=16 {
                for back in [0, 1, 63] {
                    let entry = Entry::new(meta, shift, Kind::Lent, back, 24, 100);
                    assert_eq!(Entry::from_word(entry.word()), entry);
                    assert_eq!(entry.first_meta(), meta);
                    assert_eq!(entry.page_shift(), shift);
                    assert_eq!(entry.back(), back);
                    assert_eq!((entry.kind(), entry.tag()), (Kind::Lent, 100));
                }
            }
        }
        assert_eq!(Entry::NONE.kind(), Kind::None);
    }

    /// The promise of the reciprocal, for every slot size and every slot of the largest page.
    #[test]
    fn every_slot_start_of_every_slot_size_is_found() {
        for size in (16..=32 * 1024u32).step_by(8) {
            let entry = Entry::new(0, 16, Kind::Slab, 0, size, 0);
            for slot in 0..(8 * GRANULE / size as usize).min(512) {
                assert_eq!(entry.slot(slot * size as usize), slot, "{size}");
            }
        }
    }

    #[test]
    fn shapes_are_told_apart() {
        let shapes = [Entry::shape(13, 24, false), Entry::shape(13, 24, true)];
        assert_ne!(shapes[0].low(), shapes[1].low());
        let lent = |meta, shift, back, size, leaf| {
            Entry::new(meta, shift, Kind::Lent, back, size, Entry::lent_tag(size, leaf))
        };
        for (meta, leaf) in [(0, false), (7, true), (META_LIMIT - 1, false)] {
            let shape = shapes[usize::from(leaf)];
            assert_eq!(lent(meta, 13, 0, 24, leaf).low(), shape.low());
            assert_eq!(lent(meta, 13, 0, 24, leaf).first_meta_bytes(shape), meta * META_BYTES);
        }
        let slab = Entry::new(7, 13, Kind::Slab, 0, 24, Entry::lent_tag(24, false));
        let others = [lent(7, 12, 0, 24, false), lent(7, 13, 0, 32, false), lent(7, 13, 1, 24, true)];
        for other in others.into_iter().chain([slab, Entry::NONE]) {
            assert!(shapes.iter().all(|shape| shape.low() != other.low()), "{other:?}");
        }
        // No two slot sizes look alike, and none that is too large for the tag looks like one that is not.
        for size in (16..=2048).step_by(8) {
            for other in (16..=Entry::SHAPED).step_by(8) {
                let alike = lent(1, 16, 0, size, true).low() == Entry::shape(16, other, true).low();
                assert_eq!(alike, size == other);
            }
        }
    }

    #[test]
    fn small_pages_of_a_granule_are_told_apart() {
        let entry = Entry::new(100, 13, Kind::Slab, 0, 16, 0);
        for page in 0..8 {
            let offset = 5 * GRANULE + page * 8192 + 4711;
            assert_eq!(entry.meta(offset), 100 + page);
            assert_eq!(entry.in_page(offset), 4711);
        }
        let behind = Entry::new(100, 16, Kind::Slab, 3, 32 * 1024, 0);
        assert_eq!(behind.meta(9 * GRANULE + 17), 100);
        assert_eq!(behind.in_page(9 * GRANULE + 17), 3 * GRANULE + 17);
        assert_eq!(Entry::new(100, 16, Kind::Slab, 0, 32 * 1024, 0).behind(3), behind);
    }
}
