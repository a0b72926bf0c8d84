//! The metadata of a bucket page: four cache lines, one concern a line.
//!
//! Made by `span`; used by the heap that owns a slab page, or by the collector a page is lent to.
//! Invariant: metadata is never unmapped, so that a reader may look at that of a page given back;
//! and masks have no bit at or above the page's slot count.

use core::sync::atomic::{AtomicPtr, AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use crate::class::PAGE_SLOTS;
use crate::granule::Kind;
use crate::heap::HEAP_BYTES;
use crate::mask::BucketMask;
use crate::node::NodeId;
use crate::remote::{Expected, Posted};

/// Mask words of a page.
pub(crate) const WORDS: usize = 8;

/// What kind of page is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PageSpec {
    pub kind: Kind,
    /// Size class of a slab page; bit 0 of a lent page says leaf.
    pub tag: u8,
    /// A multiple of 8, 16 to a page's size.
    pub slot_size: u32,
    /// 8, 16 or 32 KiB, lent pages also 1, 2 or 4; or a multiple of 64 KiB up to a chunk.
    pub bytes: u32,
}

impl PageSpec {
    /// Slots of such a page.
    pub(crate) fn slots(self) -> u16 {
        (self.bytes / self.slot_size).min(PAGE_SLOTS as u32) as u16
    }
}

/// One bit a slot, for every slot of a page: exactly one cache line.
#[repr(C, align(64))]
pub(crate) struct MaskLine(pub(crate) [AtomicU64; WORDS]);

impl MaskLine {
    fn clear(&self) {
        for word in &self.0 {
            // Release: a reader that sees this sees the new life as well.
            word.store(0, Ordering::Release);
        }
    }
}

/// What a page is. Fields of a page in use are written by its owner alone unless they say so.
#[repr(C, align(64))]
pub(crate) struct Header {
    /// Address of slot 0.
    pub base: AtomicUsize,
    pub slot_size: AtomicU32,
    /// Slots of the page, at most 512.
    pub slots: AtomicU16,
    /// Size class of a slab page.
    pub class: AtomicU8,
    /// The node whose span holds the page.
    pub node: AtomicU8,
    /// Address of the window that a slab page's slots go to, which tells the heap; a collector's own word.
    pub owner: AtomicUsize,
    /// The neighbour towards the front in its heap's list; a collector's own word.
    pub previous: AtomicPtr<PageMeta>,
    /// The neighbour towards the back in its heap's list; a collector's own word.
    pub next: AtomicPtr<PageMeta>,
    /// The next page in its owner's inbox. Written by the thread that posts the page.
    pub posted_next: AtomicPtr<PageMeta>,
    /// Slots freed by other threads and not yet drained, and claims. Written by any thread.
    pub expected: Expected,
    /// Slots not known to be free: handed out, in a window, or freed remotely and not yet drained.
    pub used: AtomicU16,
    /// The heap has to look after the page while fewer slots are used; 0: never.
    pub call_below: AtomicU16,
    /// A slab page's `list::Listed` and [`FRESH`], a medium block's state.
    pub state: AtomicU8,
    /// Whose hands the page is in: the span's (0), or what `Kind` says.
    pub kind: AtomicU8,
    /// How often this metadata was given to a page, modulo 2^16: tells a reader that what it reads is no
    /// longer the page it began with.
    pub life: AtomicU16,
    /// KiB of the page.
    pub kibibytes: AtomicU16,
    /// What the purge saw when it looked last: see `purge`. Zeroed when memory of the page is handed out.
    pub looked: AtomicU16,
}

/// In the state of a slab page: its slots read as zero until they are taken.
const FRESH: u8 = 1 << 7;

/// Metadata of one page.
#[repr(C, align(64))]
pub(crate) struct PageMeta {
    pub header: Header,
    /// Slab: slots that a window got at least once. Lent: occupied.
    pub taken: MaskLine,
    /// Slab: freed by the owner, or never taken. Lent: marked.
    pub local_free: MaskLine,
    /// Slab: freed by other threads. Lent: scanned.
    pub remote: MaskLine,
}

impl PageMeta {
    /// Prepares the metadata of a page just taken from its span.
    pub(crate) fn reset(&self, base: usize, spec: PageSpec, node: NodeId) {
        let header = &self.header;
        // One writer: the span's lock is held. Pairs with the acquires in `occupancy`.
        header.life.store(header.life.load(Ordering::Relaxed).wrapping_add(1), Ordering::Release);
        // Release: whoever sees one of these sees the new life.
        header.base.store(base, Ordering::Release);
        self.set_bytes(spec.bytes as usize);
        header.slot_size.store(spec.slot_size, Ordering::Release);
        header.slots.store(spec.slots(), Ordering::Release);
        header.class.store(spec.tag, Ordering::Release);
        header.node.store(node.0, Ordering::Release);
        header.owner.store(0, Ordering::Release);
        header.previous.store(core::ptr::null_mut(), Ordering::Relaxed);
        header.next.store(core::ptr::null_mut(), Ordering::Relaxed);
        header.posted_next.store(core::ptr::null_mut(), Ordering::Relaxed);
        header.expected.reset();
        header.used.store(0, Ordering::Relaxed);
        header.call_below.store(0, Ordering::Relaxed);
        header.state.store(0, Ordering::Relaxed);
        header.looked.store(0, Ordering::Relaxed);
        self.taken.clear();
        for (bucket, word) in self.local_free.0.iter().enumerate() {
            // A slab page's slots begin as freed by the owner. Release: as in `clear`.
            let free = if spec.kind == Kind::Slab { self.bucket_slots(bucket).word() } else { 0 };
            word.store(free, Ordering::Release);
        }
        self.remote.clear();
        // Release pairs with the acquire in `kind`.
        header.kind.store(spec.kind as u8, Ordering::Release);
    }

    /// What the page serves now, if it is in use.
    pub(crate) fn kind(&self) -> Kind {
        match self.header.kind.load(Ordering::Acquire) {
            slab if slab == Kind::Slab as u8 => Kind::Slab,
            lent if lent == Kind::Lent as u8 => Kind::Lent,
            medium if medium == Kind::Medium as u8 => Kind::Medium,
            _ => Kind::None,
        }
    }

    /// Which page of those that ever had this metadata it is.
    pub(crate) fn life(&self) -> u16 {
        self.header.life.load(Ordering::Acquire)
    }

    /// Address of the heap that owns the slab page; 0 while nobody does.
    pub(crate) fn heap(&self) -> usize {
        // Acquire pairs with the release that published the page, its new life, or its new owner.
        self.header.owner.load(Ordering::Acquire) & !(HEAP_BYTES - 1)
    }

    pub(crate) fn base(&self) -> usize {
        self.header.base.load(Ordering::Relaxed)
    }

    pub(crate) fn bytes(&self) -> usize {
        usize::from(self.header.kibibytes.load(Ordering::Relaxed)) * 1024
    }

    /// Sets the page's length: whole KiB, at most a chunk.
    pub(crate) fn set_bytes(&self, bytes: usize) {
        // Release: whoever sees it sees the new life.
        self.header.kibibytes.store((bytes / 1024) as u16, Ordering::Release);
    }

    pub(crate) fn node(&self) -> NodeId {
        NodeId(self.header.node.load(Ordering::Relaxed))
    }

    pub(crate) fn slot_size(&self) -> usize {
        self.header.slot_size.load(Ordering::Relaxed) as usize
    }

    #[inline]
    pub(crate) fn slots(&self) -> usize {
        usize::from(self.header.slots.load(Ordering::Relaxed))
    }

    /// The slots that exist of bucket `bucket`.
    pub(crate) fn bucket_slots(&self, bucket: usize) -> BucketMask {
        BucketMask::first(self.slots().saturating_sub(bucket * 64).min(64) as u32)
    }

    /// Says of a page just taken from its span whether its memory reads as zero.
    pub(crate) fn set_fresh(&self, fresh: bool) {
        self.header.state.store(if fresh { FRESH } else { 0 }, Ordering::Relaxed);
    }

    /// Which of the heap's lists the page is in, as `list::Listed` numbers them.
    pub(crate) fn list(&self) -> u8 {
        self.header.state.load(Ordering::Relaxed) & !FRESH
    }

    /// Says which list the page is in.
    pub(crate) fn set_list(&self, list: u8) {
        let fresh = self.header.state.load(Ordering::Relaxed) & FRESH;
        self.header.state.store(fresh | list, Ordering::Relaxed);
    }

    /// The slots of a bucket whose memory reads as zero, none of which is taken; perhaps others that don't exist.
    #[inline]
    pub(crate) fn fresh(&self, bucket: usize) -> u64 {
        let fresh = self.header.state.load(Ordering::Relaxed) & FRESH != 0;
        if fresh { !self.taken.0[bucket & (WORDS - 1)].load(Ordering::Relaxed) } else { 0 }
    }

    /// Makes slots of a bucket ones to be handed out: from now on they are live unless another mask says no.
    #[inline]
    pub(crate) fn take(&self, bucket: usize, slots: u64) {
        let taken = &self.taken.0[bucket & (WORDS - 1)];
        // Release pairs with a report's acquire: the slots are in `local_free`. One writer.
        taken.store(taken.load(Ordering::Relaxed) | slots, Ordering::Release);
    }

    /// Counts slots that come into use, by the page's owner. At most 512 are in use.
    #[inline(always)]
    pub(crate) fn add_used(&self, slots: u16) {
        // One writer, so load and store do.
        self.header.used.store(self.used().wrapping_add(slots), Ordering::Relaxed);
    }

    /// Counts slots that are no longer in use, by the page's owner; whether the page has to be looked after.
    #[inline(always)]
    #[must_use]
    pub(crate) fn drop_used(&self, slots: u16) -> bool {
        let used = self.used().wrapping_sub(slots);
        self.header.used.store(used, Ordering::Relaxed);
        used < self.header.call_below.load(Ordering::Relaxed)
    }

    /// Slots not known to be free.
    #[inline(always)]
    pub(crate) fn used(&self) -> u16 {
        self.header.used.load(Ordering::Relaxed)
    }

    /// Buckets that have slots.
    pub(crate) fn buckets(&self) -> usize {
        self.slots().div_ceil(64)
    }
}

impl Posted for PageMeta {
    fn posted_next(&self) -> &AtomicPtr<Self> {
        &self.header.posted_next
    }
}

static_assertions::const_assert_eq!(size_of::<MaskLine>(), 64);
static_assertions::const_assert_eq!(size_of::<Header>(), 64);
static_assertions::const_assert_eq!(size_of::<PageMeta>(), 256);
static_assertions::const_assert_eq!(align_of::<PageMeta>(), 64);
static_assertions::const_assert_eq!(memoffset::offset_of!(Header, base), 0);
static_assertions::const_assert_eq!(memoffset::offset_of!(Header, owner), 16);
static_assertions::const_assert_eq!(memoffset::offset_of!(Header, expected), 48);
static_assertions::const_assert_eq!(memoffset::offset_of!(PageMeta, taken), 64);
static_assertions::const_assert_eq!(memoffset::offset_of!(PageMeta, local_free), 128);
static_assertions::const_assert_eq!(memoffset::offset_of!(PageMeta, remote), 192);
