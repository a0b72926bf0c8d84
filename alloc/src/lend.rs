//! Bucket pages lent to a collector: the same region, the same masks, another user.
//!
//! Owned by whoever asked; the collector reads and writes the three mask lines and its own words.
//! Invariant: while a page is lent, its granule map entry says `Lent`, so `locate` finds page and
//! slot of any of its slots with one load of the map.
#![allow(unsafe_code)]

use core::ptr::NonNull;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::class::GRANULE;
use crate::granule::{Entry, Kind, META_BYTES};
use crate::node::NodeId;
use crate::page::{Header, PageMeta, PageSpec, WORDS};
use crate::region::REGION;
use crate::side::CHUNK;

/// What a collector asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// Bytes wanted: 1 to 32 KiB, a power of two, or a multiple of 64 KiB up to 4 MiB. Pages of slots over
    /// 1 KiB are 64 KiB at least, so the page may be larger than asked.
    pub bytes: usize,
    /// Bytes a slot: a multiple of 8, at least 16, at most `bytes`. Pages over 512 KiB have one slot.
    pub slot_size: usize,
    /// Whether the slots hold no pointers, so that a marked one need not be traced.
    pub leaf: bool,
}

/// A page lent to a collector. A handle: copies name the same page.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(transparent)]
pub struct LentPage(NonNull<PageMeta>);

/// Lends a page of `node`, or of another node if that one has none left.
///
/// The memory's content is whatever the page before left there; masks and user words are zero.
/// `None` if the request is out of range or no memory is to be had. Takes the span's lock: off the
/// fast path.
pub fn lend(node: NodeId, request: PageRequest) -> Option<LentPage> {
    let PageRequest { bytes, slot_size, leaf } = request;
    let small = bytes.is_power_of_two() && (1024..GRANULE).contains(&bytes);
    let whole = bytes % GRANULE == 0 && (GRANULE..=CHUNK).contains(&bytes);
    let slots_fit = slot_size >= 16 && slot_size % 8 == 0 && slot_size <= bytes;
    if !(small || whole) || !slots_fit || (bytes > 8 * GRANULE && slot_size * 2 <= bytes) {
        return None;
    }
    let spec = PageSpec {
        kind: Kind::Lent,
        tag: Entry::lent_tag(slot_size as u32, leaf),
        slot_size: slot_size as u32,
        bytes: bytes as u32,
    };
    let region = REGION.get();
    let first = usize::from(node.0);
    let spans = region.spans();
    (0..spans.len())
        .find_map(|step| spans[(first + step) % spans.len()].take_page(spec))
        .map(|page| LentPage(NonNull::from(page)))
}

/// Takes a lent page back.
///
/// # Safety
/// `page` came from [`lend`] and was not given back since; nothing points into it any more.
pub unsafe fn give_back(page: LentPage) {
    let span = REGION.span(page.node());
    // SAFETY: by this function's contract.
    unsafe { span.give_page(page.meta()) };
}

impl LentPage {
    #[inline(always)]
    fn meta(self) -> &'static PageMeta {
        // SAFETY: metadata is never unmapped and all its fields are atomics.
        unsafe { self.0.as_ref() }
    }

    /// Address of slot 0; aligned to 1 KiB at least, and to the page's size if that is a power of two up to 64 KiB.
    #[inline]
    pub fn base(self) -> NonNull<u8> {
        // SAFETY: a page's base is never 0.
        unsafe { NonNull::new_unchecked(self.meta().base() as *mut u8) }
    }

    /// Slots of the page, 1 to 512.
    #[inline]
    pub fn slots(self) -> usize {
        self.meta().slots()
    }

    /// Bytes a slot.
    #[inline]
    pub fn slot_size(self) -> usize {
        self.meta().slot_size()
    }

    /// Bytes of the page.
    pub fn bytes(self) -> usize {
        self.meta().bytes()
    }

    /// The node whose span holds the page.
    pub fn node(self) -> NodeId {
        self.meta().node()
    }

    /// Which slots hold an object. One writer; relaxed loads and stores are plain moves.
    #[inline(always)]
    pub fn occupied(self) -> &'static [AtomicU64; WORDS] {
        &self.meta().taken.0
    }

    /// Which slots were reached in this cycle. As [`occupied`](Self::occupied).
    #[inline(always)]
    pub fn marked(self) -> &'static [AtomicU64; WORDS] {
        &self.meta().local_free.0
    }

    /// Which slots were traced in this cycle. As [`occupied`](Self::occupied).
    #[inline(always)]
    pub fn scanned(self) -> &'static [AtomicU64; WORDS] {
        &self.meta().remote.0
    }

    /// Three words for the collector's own use.
    #[inline(always)]
    pub fn user(self) -> &'static [AtomicUsize; 3] {
        let first: *const AtomicUsize = &raw const self.meta().header.owner;
        // SAFETY: the layout asserted below puts three word-sized atomics side by side, and while
        // the page is lent nobody but the collector touches them.
        unsafe { &*first.cast::<[AtomicUsize; 3]>() }
    }
}

static_assertions::const_assert_eq!(
    memoffset::offset_of!(Header, previous),
    memoffset::offset_of!(Header, owner) + size_of::<usize>()
);
static_assertions::const_assert_eq!(
    memoffset::offset_of!(Header, next),
    memoffset::offset_of!(Header, owner) + 2 * size_of::<usize>()
);

static_assertions::const_assert_eq!(size_of::<PageMeta>(), META_BYTES);

/// A snapshot of where the region's side arrays lie, for loops that look up many addresses: it lives
/// in registers, where the region's own words would be loaded again each time.
#[derive(Clone, Copy, Debug)]
pub struct Locator {
    /// The granule map, displaced so that the granules of addresses, not of offsets into the region, are its indices.
    entries: *const AtomicU64,
    metas: *const PageMeta,
    /// Bits of an entry in which shapes are compared.
    compared: u32,
}

/// Size and slots of lent pages of at most a granule; see [`Locator::locate_in`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageShape {
    leaf: Entry,
    traced: Entry,
}

impl PageShape {
    /// Bytes of the largest slots of a shape.
    pub const LARGEST: usize = Entry::SHAPED as usize;

    /// Pages of `1 << page_shift` bytes, 1 to 64 KiB, with slots of `slot_size` bytes: a multiple of 8, 16 to
    /// [`LARGEST`](Self::LARGEST).
    #[inline(always)]
    pub const fn new(page_shift: u32, slot_size: usize) -> Self {
        Self {
            leaf: Entry::shape(page_shift, slot_size as u32, true),
            traced: Entry::shape(page_shift, slot_size as u32, false),
        }
    }
}

/// Page and slot of an address, if the page is of the shape that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shaped {
    /// It is, and its slots hold no pointers.
    Leaf(LentPage, u32),
    /// It is, and its slots hold pointers.
    Traced(LentPage, u32),
    /// It is of another shape, or the address is in a range.
    Other,
}

/// Where an address lies: page, slot, and whether the page's slots hold no pointers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Located {
    /// The page.
    pub page: LentPage,
    /// The slot, 0 to 511.
    pub slot: u32,
    /// Whether slots of the page hold no pointers.
    pub leaf: bool,
}

impl Locator {
    /// A snapshot of the region as it is now. It stays true for the life of the process once a page
    /// was lent.
    pub fn new() -> Self {
        let region = REGION.get();
        let (entries, metas) = region.arrays();
        Self { entries: entries.wrapping_sub(region.base() / GRANULE), metas, compared: Entry::LOW }
    }

    /// The page and slot of the object at `address`. Constant time: one load of the granule map.
    ///
    /// # Safety
    /// `address` is the start of a slot of a page that is lent now.
    #[inline(always)]
    pub unsafe fn locate(&self, address: *const u8) -> Located {
        let (entry, offset) = (self.entry(address), address as usize);
        // SAFETY: an entry of a lent page names metadata of the pool.
        let page = unsafe { NonNull::new_unchecked(self.metas.add(entry.meta(offset)).cast_mut()) };
        let slot = entry.slot(entry.in_page(offset)) as u32;
        Located { page: LentPage(page), slot, leaf: entry.tag() & 1 != 0 }
    }

    /// [`locate`](Self::locate) for pages of one shape, by the arithmetic of constants if the shape is one.
    ///
    /// # Safety
    /// `address` is the start of a slot of a page that is lent now, or lies in a [`Range`](crate::Range).
    #[inline(always)]
    pub unsafe fn locate_in(&self, address: *const u8, shape: PageShape) -> Shaped {
        let entry = self.entry(address);
        let (offset, shift) = (address as usize, shape.leaf.page_shift());
        let place = |shape: Entry| {
            let meta = entry.first_meta_bytes(shape) + ((offset & (GRANULE - 1)) >> shift) * META_BYTES;
            // SAFETY: an entry of a lent page names metadata of the pool.
            let page = unsafe { NonNull::new_unchecked(self.metas.byte_add(meta).cast_mut()) };
            (LentPage(page), shape.slot(offset & ((1 << shift) - 1)) as u32)
        };
        // The entries of a range's granules are those of granules without pages.
        let low = entry.word() as u32 & self.compared;
        if low == shape.leaf.low() {
            let (page, slot) = place(shape.leaf);
            Shaped::Leaf(page, slot)
        } else if low == shape.traced.low() {
            let (page, slot) = place(shape.traced);
            Shaped::Traced(page, slot)
        } else {
            Shaped::Other
        }
    }

    /// The same, but that [`locate_in`](Self::locate_in) finds no shape, at no cost to one that does.
    #[must_use]
    pub fn without_shapes(self) -> Self {
        Self { compared: 0, ..self }
    }

    /// The granule map's word for an address. Regions begin at a granule's start, so an address lies as far into its granule as
    /// its offset into the region does.
    #[inline(always)]
    fn entry(&self, address: *const u8) -> Entry {
        // SAFETY: callers promise an address of the region, and the map has a word for each of its granules: the displacement
        // by the granules before the region and the index add up to one of them.
        let word = unsafe { &*self.entries.wrapping_add(address as usize / GRANULE) };
        // Relaxed: whoever holds an object's address got it after its page was made.
        Entry::from_word(word.load(Ordering::Relaxed))
    }
}

impl Default for Locator {
    fn default() -> Self {
        Self::new()
    }
}

/// The page and slot of the object at `address`; see [`Locator::locate`] for many addresses.
///
/// # Safety
/// As [`Locator::locate`].
#[inline(always)]
pub unsafe fn locate(address: *const u8) -> (LentPage, u32, bool) {
    // SAFETY: by this function's contract.
    let Located { page, slot, leaf } = unsafe { Locator::new().locate(address) };
    (page, slot, leaf)
}

/// Asks the processor to fetch the cache line of `address`. Only a hint: any address will do.
#[inline(always)]
pub fn prefetch<T>(address: *const T) {
    #[cfg(all(target_arch = "x86_64", not(bucketmask_portable)))]
    // SAFETY: a prefetch reads nothing and never faults; SSE is part of x86-64.
    unsafe {
        core::arch::x86_64::_mm_prefetch::<{ core::arch::x86_64::_MM_HINT_T0 }>(address.cast());
    }
    #[cfg(not(all(target_arch = "x86_64", not(bucketmask_portable))))]
    let _ = address;
}
