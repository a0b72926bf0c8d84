//! A thread's window: the free slots it hands out next, the one freed last first; one window a size class.
//!
//! Owned by a heap; only its thread writes, reports and the purge read. A slot in a window stays in its
//! page's `local_free`, so the masks tell the truth without asking any window; it counts as used, so that
//! its page is not given back. Invariant: the slots of a window are free slots of the heap's own pages,
//! each once; a window gets slots of masks only while it is empty.
#![allow(unsafe_code)]

use core::cell::Cell;
use core::sync::atomic::{AtomicPtr, AtomicU16, AtomicU64, Ordering};

use crate::class::ClassIdx;
use crate::page::{PageMeta, WORDS};
use crate::sample;

/// Most slots that a window takes from a page at a time; frees may fill it further.
const FILL: usize = 32;

/// Whether requested bytes are counted, and whether a free looks whether its slot is free already. Not so only in the builds
/// by which `ci/costs.sh` tells what the one and the other cost.
const COUNTED: bool = !cfg!(bucketmask_uncounted);
pub(crate) const CHECKED: bool = !cfg!(bucketmask_unchecked);

/// One cache line: where the free slots are, and what a free has to know of the class.
#[repr(C, align(64))]
pub(crate) struct Window {
    /// Behind the last free slot of the stack. There lies the slot that malloc took last, unless it was
    /// freed, or its page given back.
    top: AtomicPtr<FreeSlot>,
    /// Where the stack ends: it never moves. Below its first place lies one whose address is 0.
    limit: *const FreeSlot,
    /// Bytes requested less bytes freed by this thread, modulo 2^64: the sum over heaps is right.
    requested: AtomicU64,
    /// The class's [`Class::inverse`](crate::class::Class::inverse), slots a page and `twos`.
    inverse: u64,
    slots: usize,
    /// The class's number from bit [`TAG`] on: what tells its pages from those of others.
    tag: usize,
    twos: u8,
    /// Places of the stack.
    depth: u16,
    /// Requests without a layout to let pass until one is measured.
    until_sample: AtomicU16,
}

// SAFETY: the pointers name memory of the window's heap, which lives for ever; what they name is atomics. Other threads
// use no method that touches the cells.
unsafe impl Sync for Window {}

/// A free slot: its address, and in one word which of its page it is, in bit [`FRESH`] whether its memory reads as zero, and
/// from bit [`WORD`] on its word of `local_free`. The number lies lowest, since the processor takes a bit's modulo 64.
#[repr(C)]
pub(crate) struct FreeSlot {
    /// For the heap's thread alone; 0 of a place that was never set, or forgotten.
    address: Cell<usize>,
    place: AtomicU64,
}

/// Addresses have 48 bits at most: longer ones the kernel gives only to who asks for one.
const WORD: u32 = 16;
const FRESH: u32 = 15;

/// Above the bits of addresses.
const TAG: u32 = 48;

static_assertions::const_assert_eq!(size_of::<Window>(), 64);
static_assertions::const_assert_eq!(size_of::<FreeSlot>(), 16);

/// The stack of who has no heap: a place below it and one behind it.
struct NoPlaces([FreeSlot; 2]);

// SAFETY: nobody writes to it: windows with this stack neither get slots nor give them.
unsafe impl Sync for NoPlaces {}

static NO_PLACES: NoPlaces = NoPlaces([const { FreeSlot::unset() }; 2]);

impl FreeSlot {
    const fn unset() -> Self {
        Self { address: Cell::new(0), place: AtomicU64::new(0) }
    }

    /// `slot` is the slot's number in its page, perhaps with the bit [`FRESH`].
    #[inline(always)]
    fn set(&self, word: &AtomicU64, slot: u64, address: usize) {
        self.address.set(address);
        let word = core::ptr::from_ref(word) as usize as u64;
        // Release pairs with the acquire in `place`: who sees it sees that the slot here before was taken.
        self.place.store(word << WORD | slot, Ordering::Release);
    }

    /// The word of `local_free` and the slot, of a slot that was set; in the slot's number only the lowest six bits say
    /// which of the word's it is.
    #[inline(always)]
    fn bit(place: u64) -> (&'static AtomicU64, u32) {
        // SAFETY: set by `set`, to a word of metadata, which is never unmapped.
        let word = unsafe { &*word_of(place) };
        (word, place as u32)
    }

    /// The page and the slot, of a slot that was set.
    #[inline(always)]
    pub(crate) fn place(&self) -> (&'static PageMeta, usize) {
        let place = self.place.load(Ordering::Acquire);
        (page_of(word_of(place)), slot_of(place))
    }

    /// As `place`, for another thread, which may see one that was never set.
    fn seen(&self) -> Option<(&'static PageMeta, usize)> {
        (self.place.load(Ordering::Relaxed) != 0).then(|| self.place())
    }
}

/// The word of `local_free` that a place names.
#[inline(always)]
fn word_of(place: u64) -> *const AtomicU64 {
    (place >> WORD) as usize as *const AtomicU64
}

/// The slot that a place names.
#[inline(always)]
fn slot_of(place: u64) -> usize {
    (place & ((1 << FRESH) - 1)) as usize
}

/// The page of a word of some page's `local_free`.
#[inline(always)]
pub(crate) fn page_of(word: *const AtomicU64) -> &'static PageMeta {
    let page = (word as usize & !(size_of::<PageMeta>() - 1)) as *const PageMeta;
    // SAFETY: a word of a page's metadata, which lies at a multiple of its size in the pool and is never unmapped:
    // so it is not null.
    unsafe {
        core::hint::assert_unchecked(!page.is_null());
        &*page
    }
}

impl Window {
    /// An empty window of a class, whose slots `stack` holds: the class's number, and one that is none.
    pub(crate) fn new(stack: *mut FreeSlot, class: ClassIdx) -> Self {
        let about = class.about();
        Self {
            top: AtomicPtr::new(stack),
            limit: stack.wrapping_add(usize::from(about.window)),
            requested: AtomicU64::new(0),
            inverse: about.inverse,
            slots: usize::from(about.slots),
            tag: (class.get() + 1) << TAG,
            twos: about.twos,
            depth: about.window,
            until_sample: AtomicU16::new(0),
        }
    }

    /// The window of who has no heap: never a slot in it, and none that it knows.
    pub(crate) const fn none() -> Self {
        let top = (&raw const NO_PLACES.0).cast::<FreeSlot>().wrapping_add(1);
        Self {
            top: AtomicPtr::new(top.cast_mut()),
            limit: top,
            requested: AtomicU64::new(0),
            inverse: 0,
            slots: 0,
            tag: 0,
            twos: 0,
            depth: 0,
            until_sample: AtomicU16::new(0),
        }
    }

    /// The slot of a page of the class that begins `in_page` bytes behind its base, if one does. A multiplication, a
    /// rotation and a comparison: the quotient of a multiple of the slot size by exact division, and more
    /// than a page has slots for anything else (see [`Class::inverse`]).
    #[inline(always)]
    pub(crate) fn slot(&self, in_page: usize) -> Option<usize> {
        let slot = (in_page as u64).wrapping_mul(self.inverse).rotate_right(u32::from(self.twos)) as usize;
        (slot < self.slots).then_some(slot)
    }

    /// A number of the class's own, far above the lengths of pages.
    #[inline(always)]
    pub(crate) fn tag(&self) -> usize {
        self.tag
    }

    /// The next slot's address, which is live then; `None` of an empty window. Four loads, and a bit cleared.
    #[inline(always)]
    pub(crate) fn pop(&self) -> Option<usize> {
        self.pop_slot().map(|(address, _)| address)
    }

    /// As [`pop`](Self::pop), and whether the slot's memory reads as zero.
    #[inline(always)]
    pub(crate) fn pop_fresh(&self) -> Option<(usize, bool)> {
        let (address, slot) = self.pop_slot()?;
        Some((address, slot.place.load(Ordering::Relaxed) >> FRESH & 1 != 0))
    }

    #[inline(always)]
    fn pop_slot(&self) -> Option<(usize, &FreeSlot)> {
        let last = self.top.load(Ordering::Relaxed).wrapping_sub(1);
        // SAFETY: the top is not below the stack, below whose first place lies another.
        let slot = unsafe { &*last };
        let address = slot.address.get();
        if address == 0 {
            // Below the first place: the slots of the stack have addresses.
            return None;
        }
        let (word, bit) = FreeSlot::bit(slot.place.load(Ordering::Relaxed));
        // Relaxed: the slot is live from here on, which no other mask says. The bit is set.
        word.store(word.load(Ordering::Relaxed) ^ 1u64.wrapping_shl(bit), Ordering::Relaxed);
        // Release pairs with the acquire in `free`: who misses the slot here sees it live.
        self.top.store(last, Ordering::Release);
        Some((address, slot))
    }

    /// Frees the block at `address` if it is the one that malloc took last, of which all is still known. It is
    /// the next to be handed out. Its word of `local_free`, and its slot.
    #[inline(always)]
    pub(crate) fn push_again(&self, address: usize) -> Option<(&'static AtomicU64, usize)> {
        let top = self.top.load(Ordering::Relaxed);
        // SAFETY: at most the limit, behind which the stack has one more.
        let place = unsafe { &*top };
        if place.address.get() != address {
            return None;
        }
        let known = place.place.load(Ordering::Relaxed) & !(1 << FRESH);
        let (word, bit) = FreeSlot::bit(known);
        let free = word.load(Ordering::Relaxed);
        let bit_word = 1u64.wrapping_shl(bit);
        let freed = if CHECKED { free ^ bit_word } else { free | bit_word };
        if CHECKED && freed < free {
            // It was set: a double free, which the way of all others tells.
            return None;
        }
        // No longer fresh.
        place.place.store(known, Ordering::Relaxed);
        // Release pairs with a report's acquire.
        word.store(freed, Ordering::Release);
        // Release pairs with the acquire in `free`.
        self.top.store(top.wrapping_add(1), Ordering::Release);
        Some((word, slot_of(known)))
    }

    /// Puts a slot in that was just freed, of this word of its page's mask: it is the next to be handed out.
    /// `false`: the window is full.
    #[inline(always)]
    pub(crate) fn push(&self, word: &AtomicU64, slot: usize, address: usize) -> bool {
        let top = self.top.load(Ordering::Relaxed);
        if top.cast_const() >= self.limit {
            return false;
        }
        // SAFETY: below the limit, so a slot of the stack.
        unsafe { &*top }.set(word, slot as u64, address);
        // Release pairs with the acquire in `free`.
        self.top.store(top.wrapping_add(1), Ordering::Release);
        true
    }

    /// Takes the slot out again that was put in last.
    pub(crate) fn unpush(&self) {
        self.top.store(self.top.load(Ordering::Relaxed).wrapping_sub(1), Ordering::Release);
    }

    /// Fills an empty window with some of a page's free slots, which have to be `free` many; how many it got.
    /// The lowest is handed out first.
    pub(crate) fn fill(&self, page: &PageMeta, free: usize) -> usize {
        let (base, slot_size) = (page.base(), page.slot_size());
        let room = self.room();
        let wanted = free.min(room.len().div_ceil(2)).min(FILL);
        let mut left = room.get(..wanted).unwrap_or_default();
        for bucket in 0..page.buckets() {
            if left.is_empty() {
                break;
            }
            let word = &page.local_free.0[bucket & (WORDS - 1)];
            let slots = word.load(Ordering::Relaxed);
            if slots != 0 {
                // Of a bucket in which some slots were used before and some were not, none counts as fresh.
                let fresh = u64::from(slots & !page.fresh(bucket) == 0) << FRESH;
                let rest = fill_from(
                    word,
                    slots,
                    left,
                    fresh | (bucket as u64 * 64),
                    base + bucket * 64 * slot_size,
                    slot_size,
                );
                page.take(bucket, slots ^ rest);
                let filled = (slots ^ rest).count_ones() as usize;
                left = left.get(..left.len() - filled).unwrap_or_default();
            }
        }
        // Were there fewer than said, they would leave a gap below.
        let filled = if left.is_empty() { wanted } else { 0 };
        // Release pairs with the acquire in `free`.
        self.top.store(self.bottom().wrapping_add(filled), Ordering::Release);
        filled
    }

    /// Takes all slots out, and calls `visit` with the page of each.
    pub(crate) fn empty(&self, mut visit: impl FnMut(&'static PageMeta)) {
        let count = self.count();
        self.top.store(self.bottom(), Ordering::Release);
        self.room().iter().take(count).for_each(|slot| visit(slot.place().0));
    }

    /// The stack's first place.
    fn bottom(&self) -> *mut FreeSlot {
        self.limit.wrapping_sub(usize::from(self.depth)).cast_mut()
    }

    /// Forgets which slots were taken last: their page is given back, or another's.
    pub(crate) fn forget(&self) {
        // Behind the top lie those taken since the last time, and then those forgotten or never set.
        let taken = self.room().iter().skip(self.count());
        for slot in taken.take_while(|slot| slot.address.get() != 0) {
            slot.address.set(0);
        }
    }

    /// All places of the stack.
    fn room(&self) -> &[FreeSlot] {
        // SAFETY: set when the window was made; a stack lives as long as its heap.
        unsafe { core::slice::from_raw_parts(self.bottom(), usize::from(self.depth)) }
    }

    /// The free slots, for any thread.
    fn free(&self) -> impl Iterator<Item = &FreeSlot> {
        self.room().iter().take(self.count())
    }

    /// Slots in the window, for any thread.
    pub(crate) fn count(&self) -> usize {
        // Acquire pairs with the releases of the owner.
        let top = self.top.load(Ordering::Acquire) as usize;
        (top - self.bottom() as usize) / size_of::<FreeSlot>()
    }

    /// The slots of `page` in the window, a word a bucket, for another thread: those that were in when the
    /// look began, and perhaps some that were handed out since or are no longer in.
    pub(crate) fn slots_of(&self, page: &PageMeta) -> [u64; WORDS] {
        let mut slots = [0; WORDS];
        for (other, slot) in self.free().filter_map(FreeSlot::seen) {
            if core::ptr::eq(other, page) {
                slots[slot / 64 % WORDS] |= 1 << (slot % 64);
            }
        }
        slots
    }

    /// The pages of the slots in the window, one a slot, for another thread.
    pub(crate) fn pages(&self) -> impl Iterator<Item = &'static PageMeta> + '_ {
        self.free().filter_map(|slot| slot.seen().map(|(page, _)| page))
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
        if !COUNTED {
            return;
        }
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

/// Sets places from their end, so that the lowest of the `slots` of a bucket comes last; the slots for which there was no
/// place. `number` is slot 0's, `first` its address.
#[inline(never)]
fn fill_from(
    word: &AtomicU64,
    slots: u64,
    places: &[FreeSlot],
    number: u64,
    first: usize,
    slot_size: usize,
) -> u64 {
    let mut rest = slots;
    for place in places.iter().rev() {
        if rest == 0 {
            break;
        }
        let slot = u64::from(rest.trailing_zeros());
        place.set(word, number | slot, first + slot as usize * slot_size);
        rest &= rest - 1;
    }
    rest
}

static_assertions::const_assert!(size_of::<PageMeta>().is_power_of_two());
