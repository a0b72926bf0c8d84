//! Holes: runs of OS pages inside a bucket page in which no slot is live, told by the masks.
//!
//! Invariant: no byte of a slot that is not free lies in a hole.

use core::ops::Range;

use crate::mask::BucketMask;
use crate::page::WORDS;
use crate::sys::OS_PAGE;

/// The free slots of a page, and how its slots lie.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Holes {
    pub free: [BucketMask; WORDS],
    pub slots: usize,
    pub slot_size: usize,
    /// Bytes of the page, whole OS pages.
    pub bytes: usize,
}

impl Holes {
    /// Free slots.
    pub(crate) fn count(&self) -> usize {
        self.free.iter().map(|free| free.count() as usize).sum()
    }

    /// Calls `visit` with each hole, ascending, as OS pages of the page: two bit scans a run of live slots.
    pub(crate) fn for_each(&self, mut visit: impl FnMut(Range<usize>)) {
        let mut hole = |from: usize, to: usize| {
            let run = from.div_ceil(OS_PAGE)..to / OS_PAGE;
            if !run.is_empty() {
                visit(run);
            }
        };
        let mut end_of_live = 0;
        for (bucket, free) in self.free.iter().enumerate() {
            let there = BucketMask::first(self.slots.saturating_sub(bucket * 64) as u32);
            for live in there.difference(*free).runs() {
                hole(end_of_live, (bucket * 64 + live.start as usize) * self.slot_size);
                end_of_live = (bucket * 64 + live.end as usize) * self.slot_size;
            }
        }
        hole(end_of_live, self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::class::TABLE;

    /// The OS pages that no live slot touches, one by one.
    fn naive(holes: &Holes) -> Vec<usize> {
        let is_live = |slot: usize| !holes.free[slot / 64].contains(slot as u32 % 64);
        (0..holes.bytes / OS_PAGE)
            .filter(|page| {
                let (first, last) =
                    (page * OS_PAGE / holes.slot_size, (page * OS_PAGE + OS_PAGE - 1) / holes.slot_size);
                !(first..=last).any(|slot| slot < holes.slots && is_live(slot))
            })
            .collect()
    }

    #[test]
    fn holes_are_the_pages_that_no_live_slot_touches() {
        let mut seed = 1u64;
        let mut random = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(99);
            seed ^ seed >> 29
        };
        for class in TABLE {
            for sparse in 0..7 {
                let free = core::array::from_fn(|word| {
                    let live = (0..sparse).fold(random(), |live, _| live & random().rotate_left(17));
                    let exist = BucketMask::first((class.slots as usize).saturating_sub(word * 64) as u32);
                    BucketMask::from_word(!live & exist.word())
                });
                let holes = Holes {
                    free,
                    slots: class.slots.into(),
                    slot_size: class.slot_size as usize,
                    bytes: class.page_bytes as usize,
                };
                let mut found = Vec::new();
                let mut before = None;
                holes.for_each(|run| {
                    assert!(before < Some(run.start), "runs are apart and ascend: {holes:?}");
                    before = Some(run.end);
                    found.extend(run);
                });
                assert_eq!(found, naive(&holes), "{holes:?}");
            }
        }
    }

    #[test]
    fn an_empty_page_is_one_hole_and_a_full_one_has_none() {
        let full = Holes { free: [BucketMask::EMPTY; WORDS], slots: 512, slot_size: 128, bytes: 65536 };
        full.for_each(|run| panic!("{run:?}"));
        let empty = Holes { free: [BucketMask::FULL; WORDS], ..full };
        empty.for_each(|run| assert_eq!(run, 0..16));
        assert_eq!((full.count(), empty.count()), (0, 512));
    }
}
