//! A thread's window: its private word of free slots in one bucket, one window a size class.
//!
//! Owned by a heap; only its thread writes, reports read. Invariant: a slot whose bit is set here is
//! `taken` and set in no other mask; `page`, `bucket` and the fields derived from them change only
//! while the word is zero.

use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use crate::class::ClassIdx;
use crate::page::PageMeta;
use crate::sample;

/// One cache line: all that malloc and a free into the current bucket read and write, but for the
/// remote word that `remote` points to.
#[repr(C, align(64))]
pub(crate) struct Window {
    /// Free slots of the bucket.
    free: AtomicU64,
    /// Address of the bucket's slot 0.
    base: AtomicUsize,
    /// Bytes from `base` to the end of the bucket's last slot; 0 without a page.
    limit: AtomicU32,
    slot_size: AtomicU32,
    /// ceil(65536 / (slot size / 8)), as in the granule map.
    reciprocal: AtomicU32,
    bucket: AtomicU32,
    page: AtomicPtr<PageMeta>,
    /// Bytes requested less bytes freed by this thread, modulo 2^64: the sum over heaps is right.
    requested: AtomicU64,
    /// The page's remote word of the bucket.
    remote: AtomicPtr<AtomicU64>,
    /// Requests without a layout to let pass until one is measured.
    until_sample: AtomicU32,
}

static_assertions::const_assert_eq!(size_of::<Window>(), 64);
static_assertions::const_assert_eq!(memoffset::offset_of!(Window, requested), 40);

/// Where a window looks, as a reader sees it.
#[derive(Clone, Copy)]
pub(crate) struct View {
    pub page: *const PageMeta,
    pub bucket: usize,
    pub free: u64,
}

impl View {
    /// What the three words of a place say together, for a report in another thread. A place that turns
    /// to another bucket meanwhile is read again.
    pub(crate) fn read(page: &AtomicPtr<PageMeta>, bucket: &AtomicU32, slots: &AtomicU64) -> Self {
        // Acquire pairs with the releases of the place's owner, who turns it while it is empty.
        let place = || (page.load(Ordering::Acquire), bucket.load(Ordering::Acquire));
        loop {
            let before = place();
            let free = slots.load(Ordering::Acquire);
            if place() == before {
                return Self { page: before.0, bucket: before.1 as usize, free };
            }
        }
    }
}

/// How an address lies to a window's bucket.
pub(crate) enum Place {
    /// Elsewhere.
    Outside,
    /// Inside, but at no slot's start.
    Misaligned,
    /// This slot, as a mask of one bit.
    Slot(u64),
}

impl Window {
    /// Takes the first of the `free` slots, which are the window's and not none. A bit scan, a
    /// multiplication and a store.
    #[inline(always)]
    pub(crate) fn take(&self, free: u64) -> usize {
        // Relaxed: the slot is live from here on, which no other mask says.
        self.free.store(free & (free - 1), Ordering::Relaxed);
        let slot = free.trailing_zeros() as usize;
        self.base.load(Ordering::Relaxed) + slot * self.slot_size.load(Ordering::Relaxed) as usize
    }

    /// How `address` lies to the bucket.
    #[inline(always)]
    pub(crate) fn place(&self, address: usize) -> Place {
        let in_bucket = address.wrapping_sub(self.base.load(Ordering::Relaxed));
        if in_bucket >= self.limit.load(Ordering::Relaxed) as usize {
            return Place::Outside;
        }
        let slot = (in_bucket * self.reciprocal.load(Ordering::Relaxed) as usize) >> 19;
        if slot * self.slot_size.load(Ordering::Relaxed) as usize != in_bucket {
            return Place::Misaligned;
        }
        Place::Slot(1 << (slot & 63))
    }

    /// Free slots of the bucket.
    #[inline(always)]
    pub(crate) fn free(&self) -> u64 {
        self.free.load(Ordering::Relaxed)
    }

    /// Puts slots back: they are the next to be taken.
    #[inline(always)]
    pub(crate) fn put(&self, slots: u64) {
        // Release pairs with a report's acquire: a slot that came from another mask is still there
        // or already here.
        self.free.store(self.free() | slots, Ordering::Release);
    }

    /// Takes all slots out: the caller has put them elsewhere.
    pub(crate) fn empty(&self) {
        // Release pairs with a report's acquire: whoever misses the slots here sees them there.
        self.free.store(0, Ordering::Release);
    }

    /// Turns an empty window to a bucket of `page`, or to nothing.
    pub(crate) fn look_at(&self, page: Option<&PageMeta>, bucket: usize) {
        let slot_size = page.map_or(16, PageMeta::slot_size);
        let base = page.map_or(0, |page| page.base() + bucket * 64 * slot_size);
        let slots = page.map_or(0, |page| page.bucket_slots(bucket).count());
        self.limit.store(slots * slot_size as u32, Ordering::Relaxed);
        self.base.store(base, Ordering::Relaxed);
        self.slot_size.store(slot_size as u32, Ordering::Relaxed);
        self.reciprocal.store((1u32 << 16).div_ceil(slot_size as u32 / 8), Ordering::Relaxed);
        let null = core::ptr::null_mut();
        let remote = page.map_or(null, |page| core::ptr::from_ref(&page.remote.0[bucket]).cast_mut());
        self.remote.store(remote, Ordering::Relaxed);
        // Release pairs with the acquires in `view`: a reader that sees the slots put in later sees
        // where they are.
        self.bucket.store(bucket as u32, Ordering::Release);
        let page = page.map_or(core::ptr::null_mut(), |page| core::ptr::from_ref(page).cast_mut());
        self.page.store(page, Ordering::Release);
    }

    /// The page looked at, or null.
    #[inline(always)]
    pub(crate) fn page(&self) -> *mut PageMeta {
        self.page.load(Ordering::Relaxed)
    }

    /// The remote word of the bucket; null without a page.
    #[inline(always)]
    pub(crate) fn remote(&self) -> *mut AtomicU64 {
        self.remote.load(Ordering::Relaxed)
    }

    /// The bucket looked at.
    #[inline(always)]
    pub(crate) fn bucket(&self) -> usize {
        self.bucket.load(Ordering::Relaxed) as usize
    }

    /// Counts a block of `bytes` handed out.
    #[inline(always)]
    pub(crate) fn count_malloc(&self, bytes: usize) {
        self.add(bytes as u64);
    }

    /// Counts a block of `bytes` freed.
    #[inline(always)]
    pub(crate) fn count_free(&self, bytes: usize) {
        self.add((bytes as u64).wrapping_neg());
    }

    /// Counts a block that stays where it is but was requested anew.
    #[inline(always)]
    pub(crate) fn count_resize(&self, old: usize, new: usize) {
        self.add((new as u64).wrapping_sub(old as u64));
    }

    #[inline(always)]
    fn add(&self, bytes: u64) {
        // One writer, so load and store do: no read-modify-write.
        self.requested.store(self.requested.load(Ordering::Relaxed).wrapping_add(bytes), Ordering::Relaxed);
    }

    /// Counts a request without a layout. `true`: it is to be measured.
    #[inline(always)]
    pub(crate) fn is_sample_due(&self) -> bool {
        let left = self.until_sample.load(Ordering::Relaxed);
        self.until_sample.store(left.wrapping_sub(1), Ordering::Relaxed);
        left == 0
    }

    /// Measures a request of `bytes`.
    pub(crate) fn measure(&self, class: ClassIdx, bytes: usize) {
        self.until_sample.store(sample::measure(class, bytes), Ordering::Relaxed);
    }

    /// Bytes requested less bytes freed, modulo 2^64.
    pub(crate) fn counted(&self) -> u64 {
        self.requested.load(Ordering::Relaxed)
    }

    /// Where the window looks now, for a report in another thread.
    pub(crate) fn view(&self) -> View {
        View::read(&self.page, &self.bucket, &self.free)
    }
}
