//! Frees of other threads' slots, gathered so that up to 64 of one bucket cost one flush.
//!
//! Owned by a heap; only its thread writes, reports read. Invariant: a bit set here is set in no
//! other mask, and is flushed when its place is needed, every 256 frees, and at thread exit.

use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

use crate::page::PageMeta;
use crate::window::View;

/// Buckets gathered for at a time.
pub(crate) const PLACES: usize = 16;
/// Remote frees after which everything is flushed, so that little-used places do not hold slots back.
const FLUSH_EVERY: u32 = 256;

/// One bucket of one page.
#[repr(C)]
struct Place {
    page: AtomicPtr<PageMeta>,
    bits: AtomicU64,
    bucket: AtomicU32,
}

/// See the module.
pub(crate) struct Pending {
    places: [Place; PLACES],
    frees: AtomicU32,
}

/// A place's content on its way to the page.
pub(crate) struct Flush {
    pub page: *mut PageMeta,
    pub bucket: usize,
    pub bits: u64,
}

impl Pending {
    /// Adds a slot (`bit` of `bucket`). What has to be flushed first goes to `flush`. `false`: the
    /// slot was pending already, a double free.
    #[must_use]
    pub(crate) fn add(&self, page: *mut PageMeta, bucket: usize, bit: u64, flush: impl Fn(&Flush)) -> bool {
        let place = &self.places[Self::place_of(page, bucket)];
        if place.page.load(Ordering::Relaxed) != page || place.bucket.load(Ordering::Relaxed) != bucket as u32
        {
            place.flush(&flush);
            // Release pairs with the acquires in `view`.
            place.page.store(page, Ordering::Release);
            place.bucket.store(bucket as u32, Ordering::Release);
        }
        let bits = place.bits.load(Ordering::Relaxed);
        if bits & bit != 0 {
            return false;
        }
        // Release pairs with a report's acquire.
        place.bits.store(bits | bit, Ordering::Release);
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

    /// Which place gathers for a bucket: neighbouring buckets and pages go to different ones.
    fn place_of(page: *mut PageMeta, bucket: usize) -> usize {
        ((page as usize >> 8) * 5 + bucket) % PLACES
    }

    /// What is pending now, for a report in another thread.
    pub(crate) fn views(&self) -> impl Iterator<Item = View> + '_ {
        self.places.iter().filter_map(Place::view)
    }
}

impl Place {
    fn flush(&self, flush: impl Fn(&Flush)) {
        let bits = self.bits.load(Ordering::Relaxed);
        if bits != 0 {
            let bucket = self.bucket.load(Ordering::Relaxed) as usize;
            flush(&Flush { page: self.page.load(Ordering::Relaxed), bucket, bits });
            // Release pairs with a report's acquire: who misses the bits here sees them in the page.
            self.bits.store(0, Ordering::Release);
        }
    }

    fn view(&self) -> Option<View> {
        let view = View::read(&self.page, &self.bucket, &self.bits);
        (view.free != 0).then_some(view)
    }
}
