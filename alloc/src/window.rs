//! A thread's window: the free slots it hands out next, the one freed last first; one window a size class.
//!
//! Owned by a heap; only its thread writes, reports and the purge read. A slot in a window stays in its
//! page's `local_free`, so the masks tell the truth without asking any window; it counts as used, so that
//! its page is not given back. Invariant: the slots of a window are free slots of the heap's own pages,
//! each once; a window gets slots of masks only while it is empty.
#![allow(unsafe_code)]

use core::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering};

use crate::class::ClassIdx;
use crate::page::{MaskLine, PageMeta, WORDS};
use crate::sample;

/// Most slots of a window.
pub(crate) const DEPTH: usize = 64;

/// The counters and what a free has to know of the class in the first line, then the slots.
#[repr(C, align(128))]
pub(crate) struct Window {
    /// Slots in the window.
    count: AtomicU16,
    /// Most slots that frees may put in.
    room: AtomicU16,
    /// Requests without a layout to let pass until one is measured.
    until_sample: AtomicU32,
    /// Bytes requested less bytes freed by this thread, modulo 2^64: the sum over heaps is right.
    requested: AtomicU64,
    /// The class's [`Class::inverse`], [`Class::twos`] and slots a page; 0 before the heap has a page of it.
    inverse: AtomicU32,
    twos: AtomicU32,
    slots: AtomicU32,
    /// The free slots, the next last.
    free: [FreeSlot; DEPTH],
}

/// A free slot: its address, and where its bit is.
#[repr(C)]
struct FreeSlot {
    address: AtomicU64,
    /// Address of the word of `local_free` in the low 48 bits, the bit's number above.
    bit: AtomicU64,
}

static_assertions::const_assert_eq!(size_of::<FreeSlot>(), 16);
static_assertions::const_assert_eq!(memoffset::offset_of!(Window, free), 32);
static_assertions::const_assert_eq!(size_of::<Window>(), 9 * 128);

/// User addresses have at most 47 bits on the targets that have a region.
const BIT_AT: u32 = 48;

impl FreeSlot {
    #[inline(always)]
    fn set(&self, page: &PageMeta, slot: usize, address: usize) {
        let word = core::ptr::from_ref(&page.local_free.0[(slot / 64) & (WORDS - 1)]) as u64;
        self.address.store(address as u64, Ordering::Relaxed);
        self.bit.store(word | (slot as u64) << BIT_AT, Ordering::Relaxed);
    }
}

impl Window {
    /// Makes the window one of its class, before the heap owns a page of it.
    pub(crate) fn prepare(&self, class: ClassIdx) {
        let about = class.about();
        self.inverse.store(about.inverse, Ordering::Relaxed);
        self.twos.store(u32::from(about.twos), Ordering::Relaxed);
        self.slots.store(u32::from(about.slots), Ordering::Relaxed);
        self.room.store(u16::from(about.window), Ordering::Relaxed);
    }

    /// The slot that begins `in_page` bytes into a page of the class, if one does. A multiplication, a
    /// rotation and a comparison: the quotient of a multiple of the slot size by exact division, and more
    /// than a page has slots for anything else (see [`Class::inverse`]).
    #[inline(always)]
    pub(crate) fn slot(&self, in_page: usize) -> Option<usize> {
        let inverse = self.inverse.load(Ordering::Relaxed);
        let slot = (in_page as u32).wrapping_mul(inverse).rotate_right(self.twos.load(Ordering::Relaxed));
        (slot < self.slots.load(Ordering::Relaxed)).then_some(slot as usize)
    }

    /// The next slot's address, which is live then; `None` of an empty window. Two loads, and a bit cleared.
    #[inline(always)]
    pub(crate) fn pop(&self) -> Option<usize> {
        let count = self.count.load(Ordering::Relaxed);
        if count == 0 {
            return None;
        }
        // SAFETY: at most DEPTH slots are in the window.
        let slot = unsafe { self.free.get_unchecked(usize::from(count) - 1) };
        let (address, bit) = (slot.address.load(Ordering::Relaxed), slot.bit.load(Ordering::Relaxed));
        // SAFETY: set by `FreeSlot::set`; metadata is never unmapped.
        let word = unsafe { &*((bit & ((1 << BIT_AT) - 1)) as *const AtomicU64) };
        // Relaxed: the slot is live from here on, which no other mask says.
        word.store(word.load(Ordering::Relaxed) & !(1u64 << ((bit >> BIT_AT) & 63)), Ordering::Relaxed);
        // Release pairs with the acquire in `slots_of`: who misses the slot here sees it live.
        self.count.store(count - 1, Ordering::Release);
        Some(address as usize)
    }

    /// Puts a slot in that was just freed: it is the next to be handed out. `false`: the window is full.
    #[inline(always)]
    pub(crate) fn push(&self, page: &PageMeta, slot: usize, address: usize) -> bool {
        let count = self.count.load(Ordering::Relaxed);
        if count >= self.room.load(Ordering::Relaxed) {
            return false;
        }
        // SAFETY: there is room for at most DEPTH slots.
        unsafe { self.free.get_unchecked(usize::from(count)) }.set(page, slot, address);
        // Release pairs with the acquire in `slots_of`.
        self.count.store(count + 1, Ordering::Release);
        true
    }

    /// Takes the slot out again that was put in last.
    pub(crate) fn unpush(&self) {
        self.count.store(self.count.load(Ordering::Relaxed) - 1, Ordering::Release);
    }

    /// Fills an empty window with up to half its room of a page's free slots, which have to be `free` many;
    /// how many it got. The lowest is handed out first.
    pub(crate) fn fill(&self, page: &PageMeta, free: usize) -> usize {
        let slot_size = page.slot_size();
        let wanted = free.min(usize::from(self.room.load(Ordering::Relaxed)).div_ceil(2));
        let mut left = wanted;
        for bucket in 0..page.buckets() {
            if left == 0 {
                break;
            }
            let mut slots = page.local_free.0[bucket].load(Ordering::Relaxed);
            if slots != 0 {
                page.open(bucket);
            }
            while slots != 0 && left > 0 {
                let slot = bucket * 64 + slots.trailing_zeros() as usize;
                slots &= slots - 1;
                left -= 1;
                self.free[left % DEPTH].set(page, slot, page.base() + slot * slot_size);
            }
        }
        // Were there fewer than said, they would leave a gap below.
        let filled = if left == 0 { wanted } else { 0 };
        // Release pairs with the acquire in `slots_of`.
        self.count.store(filled as u16, Ordering::Release);
        filled
    }

    /// Takes all slots out, and calls `visit` with the page of each.
    pub(crate) fn empty(&self, mut visit: impl FnMut(&'static PageMeta)) {
        let count = usize::from(self.count.load(Ordering::Relaxed));
        self.count.store(0, Ordering::Release);
        self.free[..count.min(DEPTH)].iter().for_each(|slot| visit(slot.place().0));
    }

    /// Slots in the window, for any thread.
    pub(crate) fn count(&self) -> usize {
        // Acquire pairs with the releases of the owner.
        usize::from(self.count.load(Ordering::Acquire)).min(DEPTH)
    }

    /// The slots of `page` in the window, a word a bucket, for another thread: those that were in when the
    /// look began, and perhaps some that were handed out since or are no longer in.
    pub(crate) fn slots_of(&self, page: &PageMeta) -> [u64; WORDS] {
        let mut slots = [0; WORDS];
        for (other, slot) in self.free[..self.count()].iter().filter_map(FreeSlot::seen) {
            if core::ptr::eq(other, page) {
                slots[slot / 64 % WORDS] |= 1 << (slot % 64);
            }
        }
        slots
    }

    /// The pages of the slots in the window, one a slot, for another thread.
    pub(crate) fn pages(&self) -> impl Iterator<Item = &'static PageMeta> + '_ {
        self.free[..self.count()].iter().filter_map(|slot| slot.seen().map(|(page, _)| page))
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
}

impl FreeSlot {
    /// The page and the slot, for the window's thread.
    fn place(&self) -> (&'static PageMeta, usize) {
        let bit = self.bit.load(Ordering::Relaxed);
        let word = (bit & ((1 << BIT_AT) - 1)) as usize;
        let page = (word & !(size_of::<PageMeta>() - 1)) as *const PageMeta;
        let bucket = (word - page as usize - memoffset::offset_of!(PageMeta, local_free)) / size_of::<u64>();
        // SAFETY: set by `FreeSlot::set`: a word of a page's metadata, which lies at a multiple of its size in
        // the pool and is never unmapped.
        (unsafe { &*page }, bucket * 64 + ((bit >> BIT_AT) & 63) as usize)
    }

    /// As `place`, for another thread, which may see a place that was never set.
    fn seen(&self) -> Option<(&'static PageMeta, usize)> {
        (self.bit.load(Ordering::Relaxed) != 0).then(|| self.place())
    }
}

static_assertions::const_assert!(size_of::<PageMeta>().is_power_of_two());
static_assertions::const_assert_eq!(size_of::<MaskLine>(), WORDS * size_of::<u64>());
