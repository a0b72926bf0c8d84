//! Sizes: of the slot for a type, and of the pages that hold its slots. Owns no memory.
//!
//! Invariant: a page has at most 512 slots, wastes at most an eighth of itself behind the last one (a quarter up to 2 KiB; 3 % once it has
//! grown, where any page within bounds does), and its slots are aligned as the type asks, since its base is.

use super::CHUNK_BYTES;
use bucketmask_alloc::PageShape;

/// Slots that a page's masks can tell apart.
pub(super) const PAGE_SLOTS: usize = 512;
/// The granule: pages above it are whole granules.
const GRANULE_BYTES: usize = 64 << 10;
const SMALLEST_PAGE: usize = 1 << 10;
/// A page up to this may waste a quarter of itself.
const TINY_PAGE: usize = 2 << 10;
/// Objects above this get a page each.
const SHARED_MAX: usize = 32 << 10;
/// Objects above this get a reserved range each.
const PAGE_MAX: usize = CHUNK_BYTES / 2;
/// Granules of the largest page with more than one slot: 512 KiB, up to which slot numbers are computed exactly.
const SHARED_GRANULES: usize = 8;

/// Bytes from one slot to the next: the size, rounded up to 8 and to the alignment, at least 16.
#[inline(always)]
pub(crate) const fn slot_bytes(size: usize, align: usize) -> usize {
    let unit = if align > 8 { align } else { 8 };
    let bytes = size.next_multiple_of(unit);
    let least = if unit > 16 { unit } else { 16 };
    if bytes < least { least } else { bytes }
}

/// Whether a value does not fit a bucket page, by size or by alignment.
pub(super) const fn is_huge(size: usize, align: usize) -> bool {
    slot_bytes(size, align) > PAGE_MAX || align > GRANULE_BYTES
}

/// Slots up to this have a shape, and fill any page to more than 97 %.
const SHAPED_MAX: usize = PageShape::LARGEST;

/// What the large pages are of a type that has many objects. `None`: more than a granule, or it takes a search.
#[inline(always)]
pub(super) const fn grown_shape(slot: usize) -> Option<PageShape> {
    if slot > SHAPED_MAX {
        return None;
    }
    // The largest power of two that holds no more slots than the masks tell apart.
    let most = (PAGE_SLOTS * slot + slot - 1).ilog2();
    Some(PageShape::new(if most < GRANULE_BYTES.ilog2() { most } else { GRANULE_BYTES.ilog2() }, slot))
}

/// The sizes of a type's pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PagePlan {
    /// Bytes of the first page, and of the largest.
    pub(super) first: usize,
    pub(super) largest: usize,
}

impl PagePlan {
    /// The plan for slots of `slot` bytes.
    pub(super) fn new(slot: usize) -> Self {
        if slot > SHARED_MAX {
            let bytes = slot.next_multiple_of(GRANULE_BYTES);
            return Self { first: bytes, largest: bytes };
        }
        let powers = (0..7).map(|step| SMALLEST_PAGE << step);
        let granules = (2..=SHARED_GRANULES).map(|count| count * GRANULE_BYTES);
        let fits = |bytes: &usize| slot <= *bytes && bytes / slot <= PAGE_SLOTS;
        // At most the given part of the page behind the last slot.
        let wastes = |bytes: &usize, part: usize| bytes % slot * part <= *bytes;
        let first = powers
            .clone()
            .chain(granules.clone())
            .find(|bytes| fits(bytes) && wastes(bytes, if *bytes <= TINY_PAGE { 4 } else { 8 }));
        let grown = powers.rev().filter(fits).chain(granules).find(|bytes| fits(bytes) && wastes(bytes, 32));
        let first = first.unwrap_or(SMALLEST_PAGE);
        Self { first, largest: grown.unwrap_or(first).max(first) }
    }

    /// Bytes of the next page of a type whose pages hold `held` bytes: as much again, within the plan.
    pub(super) fn next(self, held: usize) -> usize {
        if held <= self.first || self.first >= GRANULE_BYTES {
            return if held == 0 { self.first } else { self.larger(self.first) };
        }
        let doubled = 1 << held.ilog2();
        if doubled >= GRANULE_BYTES { self.largest } else { doubled.clamp(self.first, self.largest) }
    }

    fn larger(self, bytes: usize) -> usize {
        if bytes >= GRANULE_BYTES { self.largest } else { bytes.clamp(self.first, self.largest) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_hold_size_and_alignment() {
        assert_eq!(slot_bytes(0, 1), 16);
        assert_eq!(slot_bytes(1, 1), 16);
        assert_eq!(slot_bytes(16, 8), 16);
        assert_eq!(slot_bytes(17, 1), 24);
        assert_eq!(slot_bytes(24, 8), 24);
        assert_eq!(slot_bytes(0, 32), 32);
        assert_eq!(slot_bytes(16, 16), 16);
        assert_eq!(slot_bytes(33, 16), 48);
        assert!(!is_huge(2 << 20, 8));
        assert!(is_huge((2 << 20) + 1, 8));
        assert!(is_huge(0, 128 << 10));
    }

    #[test]
    fn pages_stay_within_bounds() {
        for slot in (16..=SHARED_MAX).step_by(8) {
            let plan = PagePlan::new(slot);
            for bytes in [plan.first, plan.largest] {
                let valid = bytes.is_power_of_two() && (SMALLEST_PAGE..=GRANULE_BYTES).contains(&bytes)
                    || bytes % GRANULE_BYTES == 0 && bytes <= SHARED_GRANULES * GRANULE_BYTES;
                assert!(valid, "slot {slot}: {plan:?}");
                assert!((1..=PAGE_SLOTS).contains(&(bytes / slot)), "slot {slot}: {plan:?}");
                assert!(
                    bytes % slot * if bytes <= TINY_PAGE { 4 } else { 8 } <= bytes,
                    "slot {slot}: {plan:?}"
                );
            }
            let mut held = 0;
            for _ in 0..20 {
                let next = plan.next(held);
                assert!((plan.first..=plan.largest).contains(&next), "slot {slot}: {next} of {plan:?}");
                assert!([plan.first, plan.largest].contains(&next) || next.is_power_of_two());
                held += next;
            }
            assert_eq!(plan.next(held), plan.largest, "slot {slot}: a large population has large pages");
        }
    }

    #[test]
    fn shapes_are_those_of_grown_pages() {
        for slot in (16..=SHAPED_MAX).step_by(8) {
            let largest = PagePlan::new(slot).largest;
            assert!(largest.is_power_of_two(), "{slot}");
            assert_eq!(grown_shape(slot), Some(PageShape::new(largest.ilog2(), slot)), "{slot}");
        }
        assert_eq!(grown_shape(SHAPED_MAX + 8), None);
    }

    #[test]
    fn usual_pages() {
        assert_eq!(PagePlan::new(16), PagePlan { first: 1 << 10, largest: 8 << 10 });
        assert_eq!(PagePlan::new(64), PagePlan { first: 1 << 10, largest: 32 << 10 });
        assert_eq!(PagePlan::new(128), PagePlan { first: 1 << 10, largest: 64 << 10 });
        assert_eq!(PagePlan::new(40 << 10), PagePlan { first: 64 << 10, largest: 64 << 10 });
    }
}
