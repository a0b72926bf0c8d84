//! Frees of other threads' slots, gathered so that all of a page's cost one flush.
//!
//! Owned by a heap; only its thread writes, reports read. Invariant: a bit set here is set in no
//! other mask, and is flushed when its place is needed, every [`FLUSH_EVERY`] frees, and at thread exit.

use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

use crate::page::{PageMeta, WORDS};

/// Pages gathered for at a time.
const PLACES: usize = 16;
/// Buckets gathered for at a time at most.
pub(crate) const BUCKETS: usize = PLACES * WORDS;
/// Remote frees after which everything is flushed, so that little-used places do not hold slots back.
const FLUSH_EVERY: u32 = 256;

/// What is gathered for one page.
#[repr(C)]
struct Place {
    page: AtomicPtr<PageMeta>,
    bits: [AtomicU64; WORDS],
}

/// See the module.
pub(crate) struct Pending {
    places: [Place; PLACES],
    frees: AtomicU32,
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

impl Pending {
    /// Adds a slot. What has to be flushed first goes to `flush`. `false`: the slot was pending
    /// already, a double free.
    #[must_use]
    pub(crate) fn add(&self, page: *mut PageMeta, slot: usize, flush: impl Fn(&Flush)) -> bool {
        // Pages lie next to each other in the pool of metadata, 256 bytes each.
        let place = &self.places[(page as usize >> 8) % PLACES];
        if place.page.load(Ordering::Relaxed) != page {
            place.flush(&flush);
            // Release pairs with the acquires in `view`.
            place.page.store(page, Ordering::Release);
        }
        let (word, bit) = (&place.bits[slot / 64 % WORDS], 1u64 << (slot % 64));
        let bits = word.load(Ordering::Relaxed);
        if bits & bit != 0 {
            return false;
        }
        // Release pairs with a report's acquire.
        word.store(bits | bit, Ordering::Release);
        let frees = self.frees.load(Ordering::Relaxed) + 1;
        self.frees.store(frees, Ordering::Relaxed);
        if frees == FLUSH_EVERY {
            self.flush_all(flush);
        }
        true
    }

    /// Sends everything on its way.
    pub(crate) fn flush_all(&self, flush: impl Fn(&Flush)) {
        self.frees.store(0, Ordering::Relaxed);
        for place in &self.places {
            place.flush(&flush);
        }
    }

    /// What is pending now, for a report in another thread.
    pub(crate) fn views(&self) -> impl Iterator<Item = View> + '_ {
        self.places.iter().flat_map(|place| (0..WORDS).filter_map(|bucket| place.view(bucket)))
    }
}

impl Place {
    fn flush(&self, flush: impl Fn(&Flush)) {
        let bits = core::array::from_fn(|bucket| self.bits[bucket].load(Ordering::Relaxed));
        if bits == [0; WORDS] {
            return;
        }
        flush(&Flush { page: self.page.load(Ordering::Relaxed), bits });
        for word in &self.bits {
            // Release pairs with a report's acquire: who misses the bits here sees them in the page.
            word.store(0, Ordering::Release);
        }
    }

    /// What is pending of a bucket. A place that is given to another page meanwhile is read again.
    fn view(&self, bucket: usize) -> Option<View> {
        loop {
            // Acquire pairs with the releases of the place's owner, who gives it to another page while
            // it is empty.
            let page = self.page.load(Ordering::Acquire);
            let free = self.bits[bucket].load(Ordering::Acquire);
            if self.page.load(Ordering::Acquire) == page {
                return (free != 0).then_some(View { page, bucket, free });
            }
        }
    }
}
