//! Frees of other threads' slots, gathered so that all of a page's cost one flush.
//!
//! Owned by a heap; only its thread writes, reports read. Invariant: a bit set here is set in no
//! other mask, and is flushed when its place is needed, when [`DUE`], and at thread exit; a place without slots
//! has no page.

use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

use crate::class::ClassIdx;
use crate::mask::BucketMask;
use crate::page::{MaskLine, PageMeta, WORDS};

/// Pages gathered for at a time.
const PLACES: usize = 128;
/// Places of a class: its pages' metadata lies side by side, or wherever there was room.
const OF_CLASS: usize = 4;
/// Buckets gathered for at a time at most.
pub(crate) const BUCKETS: usize = PLACES * WORDS;
/// What slots gathered weigh together when all are due, so that little-used places do not hold slots back: a slot weighs
/// its bytes and [`WEIGHT`] more, so these are at most 2000 slots, or 512 KiB.
const DUE: u32 = 512 * 1024;
const WEIGHT: u32 = 256;

/// See the module.
pub(crate) struct Pending {
    /// The slots gathered of each place's page.
    bits: [MaskLine; PLACES],
    pages: [AtomicPtr<PageMeta>; PLACES],
    /// Places with a page; for the owner alone.
    busy: [AtomicU64; PLACES / 64],
    /// What is gathered weighs so much.
    weight: AtomicU32,
}

/// Pending slots of a bucket of a page, as a reader sees them.
#[derive(Clone, Copy)]
pub(crate) struct View {
    pub page: *const PageMeta,
    pub bucket: usize,
    pub free: u64,
}

/// A place's content on its way to the page.
pub(crate) struct Flush {
    pub page: *mut PageMeta,
    /// By bucket.
    pub bits: [u64; WORDS],
}

/// What became of a slot.
pub(crate) enum Added {
    Gathered,
    /// Gathered, and everything has to be sent on its way.
    Due,
    /// Nothing: the place is another page's, or nobody's. [`Pending::make_place`] has to come first.
    NoPlace,
    /// Nothing: the slot was pending already, a double free.
    Twice,
}

impl Pending {
    /// The place of a page of `class`. Blocks freed in the order they were made are of one page of each class at a time.
    #[inline(always)]
    fn place(page: *mut PageMeta, class: ClassIdx) -> usize {
        (class.get() * OF_CLASS + (page as usize / size_of::<PageMeta>()) % OF_CLASS) % PLACES
    }

    /// Adds a slot of `slot_size` bytes of a page of `class`.
    #[must_use]
    #[inline(always)]
    pub(crate) fn add(&self, page: *mut PageMeta, class: ClassIdx, slot: usize, slot_size: usize) -> Added {
        let at = Self::place(page, class);
        if self.pages[at].load(Ordering::Relaxed) != page {
            return Added::NoPlace;
        }
        let (word, bit) = (&self.bits[at].0[slot / 64 % WORDS], 1u64 << (slot % 64));
        let bits = word.load(Ordering::Relaxed);
        if bits & bit != 0 {
            return Added::Twice;
        }
        // Release pairs with a report's acquire.
        word.store(bits | bit, Ordering::Release);
        let weight = self.weight.load(Ordering::Relaxed) + slot_size as u32 + WEIGHT;
        self.weight.store(weight, Ordering::Relaxed);
        if weight >= DUE { Added::Due } else { Added::Gathered }
    }

    /// Gives the page its place; what was gathered there goes to `flush`.
    pub(crate) fn make_place(&self, page: *mut PageMeta, class: ClassIdx, flush: impl Fn(&Flush)) {
        let at = Self::place(page, class);
        self.flush(at, &flush);
        // Release pairs with the acquires in `view`.
        self.pages[at].store(page, Ordering::Release);
        let busy = &self.busy[at / 64];
        busy.store(busy.load(Ordering::Relaxed) | 1 << (at % 64), Ordering::Relaxed);
    }

    /// Sends everything on its way.
    pub(crate) fn flush_all(&self, flush: impl Fn(&Flush)) {
        self.weight.store(0, Ordering::Relaxed);
        for (idx, busy) in self.busy.iter().enumerate() {
            for at in BucketMask::from_word(busy.load(Ordering::Relaxed)).occupied() {
                self.flush(idx * 64 + at as usize, &flush);
            }
        }
    }

    /// Sends on its way what is gathered in a place.
    fn flush(&self, at: usize, flush: &impl Fn(&Flush)) {
        let busy = &self.busy[at / 64];
        let was = busy.load(Ordering::Relaxed);
        if was >> (at % 64) & 1 == 0 {
            return;
        }
        busy.store(was ^ 1 << (at % 64), Ordering::Relaxed);
        let bits = &self.bits[at].0;
        let words = core::array::from_fn(|bucket| bits[bucket].load(Ordering::Relaxed));
        flush(&Flush { page: self.pages[at].load(Ordering::Relaxed), bits: words });
        for word in bits {
            // Release pairs with a report's acquire: who misses the bits here sees them in the page.
            word.store(0, Ordering::Release);
        }
        // Release pairs with the acquires in `view`.
        self.pages[at].store(core::ptr::null_mut(), Ordering::Release);
    }

    /// What is pending now, for a report in another thread.
    pub(crate) fn views(&self) -> impl Iterator<Item = View> + '_ {
        (0..PLACES).flat_map(move |at| (0..WORDS).filter_map(move |bucket| self.view(at, bucket)))
    }

    /// What is pending of a bucket. A place that is given to another page meanwhile is read again.
    fn view(&self, at: usize, bucket: usize) -> Option<View> {
        loop {
            // Acquire pairs with the releases of the place's owner, who gives it to another page while
            // it is empty.
            let page = self.pages[at].load(Ordering::Acquire);
            let free = self.bits[at].0[bucket].load(Ordering::Acquire);
            if self.pages[at].load(Ordering::Acquire) == page {
                return (free != 0).then_some(View { page, bucket, free });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use core::cell::RefCell;

    use super::*;

    /// Addresses as of metadata: nothing here looks at what lies there.
    fn page(number: usize) -> *mut PageMeta {
        core::ptr::without_provenance_mut((1 + number) * size_of::<PageMeta>())
    }

    fn pending() -> Pending {
        Pending {
            bits: [const { MaskLine([const { AtomicU64::new(0) }; WORDS]) }; PLACES],
            pages: [const { AtomicPtr::new(core::ptr::null_mut()) }; PLACES],
            busy: [const { AtomicU64::new(0) }; PLACES / 64],
            weight: AtomicU32::new(0),
        }
    }

    fn never(_: &Flush) {
        panic!("flushed");
    }

    #[test]
    fn four_neighbouring_pages_of_each_of_32_classes_are_gathered_side_by_side() {
        let pending = pending();
        let classes: Vec<_> = ClassIdx::all().take(PLACES / OF_CLASS).collect();
        for slot in [0, 511] {
            for &class in &classes {
                for number in 0..OF_CLASS {
                    let page = page(class.get() * 10 + number);
                    if slot == 0 {
                        assert!(matches!(pending.add(page, class, slot, 16), Added::NoPlace));
                        pending.make_place(page, class, never);
                    }
                    assert!(matches!(pending.add(page, class, slot, 16), Added::Gathered), "{class:?}");
                    assert!(matches!(pending.add(page, class, slot, 16), Added::Twice), "{class:?}");
                }
            }
        }
        assert_eq!(pending.views().count(), 2 * PLACES);
        let flushed = RefCell::new(Vec::new());
        pending.flush_all(|flush| flushed.borrow_mut().push((flush.page, flush.bits)));
        let bits = [1, 0, 0, 0, 0, 0, 0, 1 << 63];
        assert_eq!(flushed.borrow().len(), PLACES);
        assert!(flushed.borrow().iter().all(|flush| flush.1 == bits));
        assert_eq!(pending.views().count(), 0);
        pending.flush_all(never);
    }

    #[test]
    fn a_page_that_needs_the_place_of_another_sends_what_was_gathered_there() {
        let (pending, class) = (pending(), ClassIdx::all().nth(3).unwrap());
        let (first, second) = (page(0), page(OF_CLASS));
        pending.make_place(first, class, never);
        assert!(matches!(pending.add(first, class, 70, 64), Added::Gathered));
        assert!(matches!(pending.add(second, class, 70, 64), Added::NoPlace));
        let flushed = RefCell::new(None);
        pending.make_place(second, class, |flush| *flushed.borrow_mut() = Some((flush.page, flush.bits[1])));
        assert_eq!(flushed.take(), Some((first, 1 << 6)));
        assert!(matches!(pending.add(second, class, 70, 64), Added::Gathered));
        assert!(matches!(pending.add(first, class, 70, 64), Added::NoPlace));
        let view = pending.views().next().unwrap();
        assert_eq!((view.page.cast_mut(), view.bucket, view.free), (second, 1, 1 << 6));
    }

    #[test]
    fn what_is_gathered_is_due_by_its_number_and_by_its_bytes() {
        let class = ClassIdx::all().next().unwrap();
        for (slot_size, most) in [(16, 2000), (32 * 1024, 16)] {
            let pending = pending();
            let due = (0..=most).find(|&at| {
                let page = page(at / 512 % OF_CLASS);
                if at % 512 == 0 {
                    pending.make_place(page, class, never);
                }
                matches!(pending.add(page, class, at % 512, slot_size), Added::Due)
            });
            assert!(due.is_some_and(|due| due > most / 2), "{due:?} of {slot_size}");
        }
    }
}
