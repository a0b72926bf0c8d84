//! Frees of other threads' slots, gathered so that all of a page's cost one flush.
//!
//! Owned by a heap; only its thread writes, reports read. Invariant: a bit set here is set in no
//! other mask, and is flushed when its place is needed, when [`HELD`] bytes are gathered, and at thread exit.

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
/// Bytes of slots gathered after which everything is flushed, so that little-used places do not hold slots back.
const HELD: u32 = 256 * 1024;
/// Bytes that a slot counts for at least: so at most 1024 slots are gathered.
const LEAST: u32 = 256;

/// See the module.
pub(crate) struct Pending {
    /// The slots gathered of each place's page.
    bits: [MaskLine; PLACES],
    pages: [AtomicPtr<PageMeta>; PLACES],
    /// Places with slots; for the owner alone.
    busy: [AtomicU64; PLACES / 64],
    /// Bytes gathered.
    held: AtomicU32,
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
    /// Adds a slot of a page of `class`. What has to be flushed first goes to `flush`. `false`: the slot was pending
    /// already, a double free.
    #[must_use]
    #[inline(always)]
    pub(crate) fn add(
        &self,
        page: *mut PageMeta,
        class: ClassIdx,
        slot: usize,
        flush: impl Fn(&Flush),
    ) -> bool {
        // Blocks freed in the order they were made are of one page of each class at a time.
        let at = (class.get() * OF_CLASS + (page as usize / size_of::<PageMeta>()) % OF_CLASS) % PLACES;
        if self.pages[at].load(Ordering::Relaxed) != page {
            self.flush(at, &flush);
            // Release pairs with the acquires in `view`.
            self.pages[at].store(page, Ordering::Release);
        }
        let (word, bit) = (&self.bits[at].0[slot / 64 % WORDS], 1u64 << (slot % 64));
        let bits = word.load(Ordering::Relaxed);
        if bits & bit != 0 {
            return false;
        }
        // Release pairs with a report's acquire.
        word.store(bits | bit, Ordering::Release);
        let busy = &self.busy[at / 64];
        busy.store(busy.load(Ordering::Relaxed) | 1 << (at % 64), Ordering::Relaxed);
        let held = self.held.load(Ordering::Relaxed) + class.about().slot_size.max(LEAST);
        self.held.store(held, Ordering::Relaxed);
        if held >= HELD {
            self.flush_all(flush);
        }
        true
    }

    /// Sends everything on its way.
    #[inline(never)]
    pub(crate) fn flush_all(&self, flush: impl Fn(&Flush)) {
        self.held.store(0, Ordering::Relaxed);
        for (idx, busy) in self.busy.iter().enumerate() {
            for at in BucketMask::from_word(busy.load(Ordering::Relaxed)).occupied() {
                self.flush(idx * 64 + at as usize, &flush);
            }
        }
    }

    /// Sends on its way what is gathered in a place.
    #[inline(never)]
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
