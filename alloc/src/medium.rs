//! Medium blocks: over 32 KiB and up to 2 MiB, each a run of granules of its own under its chunk's mask.
//!
//! A block's page metadata says how much of it was asked for (`slot_size`) and how much of the run may be
//! dirty (`used`, in OS pages); behind what was asked for, memory is the purge's. A heap keeps the runs
//! that its thread freed last: they are not live, and their memory is the purge's too. Invariant: who
//! moves a block's state from `Live` by compare-and-swap, and nobody else, may move or free it; so a
//! second free is always noticed, unless the address was handed out again by then.
//!
//! ```text
//!             malloc                 free                 too many, another node, thread exit
//!   (span) -- Held -->  Live  ------ Held ------> Cached ------ Held ------> (span)
//!                       | ^ |                      | ^ |
//!               resize  | | | purge         purge  | | +------- Held ------> Live, by malloc
//!                       v | v                      v |
//!                     Held Trimming              Purging
//!                           | free
//!                           v
//!                         Dropped ---> (span), by the purge
//! ```
#![allow(unsafe_code)]

use core::sync::atomic::{AtomicPtr, AtomicU8, AtomicUsize, Ordering};

use crate::class::{self, GRANULE};
use crate::fault::{Fault, fatal};
use crate::granule::Kind;
use crate::node::current_node;
use crate::page::{PageMeta, PageSpec};
use crate::region::REGION;
use crate::sys::{self, OS_PAGE};

/// Largest medium block.
pub(crate) const LARGEST: usize = 2 << 20;
/// Largest alignment: a run begins at a granule.
pub(crate) const LARGEST_ALIGN: usize = GRANULE;

/// Bytes of runs that a heap keeps at most.
const KEPT_BYTES: usize = 2 << 20;
/// Granules of the largest run that is kept: above, filling a block costs far more than the span's lock.
const KEPT_GRANULES: usize = 16;

/// Where a medium block stands. See the module. No number is a slab page's state: a purge that comes late
/// to metadata that serves a slab page by now finds nothing to claim.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum State {
    /// In use.
    Live = 16,
    /// In the hands of a thread that makes it, resizes it or frees it.
    Held = 17,
    /// In use, and the purge is at the memory behind what was asked for.
    Trimming = 18,
    /// Freed while the purge was at it.
    Dropped = 19,
    /// Free, kept by a heap.
    Cached = 20,
    /// Free, kept by a heap, and the purge is at it.
    Purging = 21,
}

/// Whether blocks of that layout, which no size class serves, are medium ones.
pub(crate) fn serves(size: usize, align: usize) -> bool {
    size <= LARGEST && align <= LARGEST_ALIGN && size > 0
}

/// Moves a block's state on, if it is `from`.
pub(crate) fn step(page: &PageMeta, from: State, to: State) -> bool {
    // Acquire pairs with the release of who moved it to `from`: lengths and memory are seen as left.
    // Release pairs with that of who moves it on.
    let state = &page.header.state;
    state.compare_exchange(from as u8, to as u8, Ordering::AcqRel, Ordering::Relaxed).is_ok()
}

/// Moves the state of a run on that is the caller's.
pub(crate) fn set_state(page: &PageMeta, to: State) {
    // Release pairs with the acquires in `step` and `is_live`.
    page.header.state.store(to as u8, Ordering::Release);
}

/// Whether the block is in use, as far as can be told from outside.
pub(crate) fn is_live(page: &PageMeta) -> bool {
    // Acquire pairs with the releases of `step` and `set_state`.
    let state = page.header.state.load(Ordering::Acquire);
    [State::Live, State::Held, State::Trimming].iter().any(|&live| live as u8 == state)
}

/// Bytes from the block's start that its user may write: what was asked for, rounded up to OS pages.
pub(crate) fn usable(page: &PageMeta) -> usize {
    page.slot_size().next_multiple_of(OS_PAGE)
}

/// Leading bytes of the run that may be dirty.
pub(crate) fn dirty(page: &PageMeta) -> usize {
    usize::from(page.header.used.load(Ordering::Relaxed)) * OS_PAGE
}

pub(crate) fn set_dirty(page: &PageMeta, bytes: usize) {
    page.header.used.store(bytes.div_ceil(OS_PAGE) as u16, Ordering::Relaxed);
}

/// The block at `address`, `offset` bytes into the region. What no medium block begins at ends the process.
pub(crate) fn page_at(offset: usize, address: usize) -> &'static PageMeta {
    // SAFETY: the caller's offset is inside the region.
    let entry = unsafe { REGION.entry(offset) };
    if entry.kind() != Kind::Medium {
        fatal(Fault::Foreign, address, None);
    }
    // SAFETY: an entry of a kind names opened metadata.
    let page: &'static PageMeta = unsafe { REGION.meta(entry.first_meta()).as_ref() };
    if entry.in_page(offset) != 0 {
        fatal(Fault::Misaligned, address, Some(page));
    }
    page
}

/// Gives memory of a run to the kernel: all of it if it is kept, what lies behind the part that may be
/// used if it is live. Bytes given; `None` where the kernel would not take it.
pub(crate) fn purge(page: &'static PageMeta) -> Option<usize> {
    let discard = |keep: usize| {
        let dirty = dirty(page);
        if dirty <= keep {
            return Some(0);
        }
        // SAFETY: whole OS pages of an opened run; what is behind `keep` is nobody's while it is claimed.
        let given = unsafe { sys::discard((page.base() + keep) as *mut u8, dirty - keep) };
        given.then(|| {
            set_dirty(page, keep);
            dirty - keep
        })
    };
    if step(page, State::Cached, State::Purging) {
        let given = discard(0);
        set_state(page, State::Cached);
        return given;
    }
    if !step(page, State::Live, State::Trimming) {
        return Some(0);
    }
    let given = discard(usable(page));
    if !step(page, State::Trimming, State::Live) {
        // Dropped meanwhile, and left to us.
        give(page);
    }
    given
}

/// Whether a purge would find something.
pub(crate) fn is_purgeable(page: &PageMeta) -> bool {
    let keep = if is_live(page) { usable(page) } else { 0 };
    dirty(page) > keep
}

/// A block handed out.
pub(crate) struct Block {
    pub address: *mut u8,
    /// Leading bytes that may not be zero.
    pub written: usize,
}

fn granules_of(size: usize) -> usize {
    size.div_ceil(GRANULE)
}

/// Marks a run that is the caller's as a block of `size` bytes in use.
fn hand_out(page: &PageMeta, size: usize) -> *mut u8 {
    let header = &page.header;
    set_dirty(page, dirty(page).max(size));
    header.slot_size.store(size as u32, Ordering::Relaxed);
    header.looked.store(0, Ordering::Relaxed);
    set_state(page, State::Live);
    page.base() as *mut u8
}

/// Gives a run that is the caller's, and in no list, back to its span.
pub(crate) fn give(page: &'static PageMeta) {
    // SAFETY: free, and the caller's alone.
    unsafe { REGION.span(page.node()).give_run(page, dirty(page)) };
}

/// Changes the size of a block where it is. `false`: it can't be, and is as it was.
pub(crate) fn resize(page: &'static PageMeta, size: usize) -> bool {
    if !serves(size, 1) || !step(page, State::Live, State::Held) {
        // Too large, or the purge is behind it: it has to move. One that is free is noticed when it is
        // freed after that.
        return false;
    }
    let bytes = granules_of(size) * GRANULE;
    let dirty_before = dirty(page);
    let dirty_now = if bytes == page.bytes() {
        Some(dirty_before)
    } else {
        // SAFETY: the block is its user's, who resizes it and is us; what lies behind is given up.
        unsafe { REGION.span(page.node()).resize_run(page, bytes, dirty_before) }
    };
    if let Some(dirty_now) = dirty_now {
        set_dirty(page, dirty_now);
        hand_out(page, size);
        return true;
    }
    set_state(page, State::Live);
    false
}

/// Runs a heap's thread freed last, by length. Zeroed memory is an empty one. Only the heap's thread
/// touches the lists; the purge touches the runs' memory.
pub(crate) struct Cache {
    heads: [AtomicPtr<PageMeta>; KEPT_GRANULES],
    /// Bytes of the runs.
    bytes: AtomicUsize,
    /// The node whose runs are kept, plus one: where the thread was when it last took one from a span.
    node: AtomicU8,
}

impl Cache {
    /// A block of `size` bytes at a granule's start. `None`: no address space, or no memory.
    pub(crate) fn malloc(&self, size: usize) -> Option<Block> {
        let granules = granules_of(size);
        let (page, written) = match self.take(granules) {
            // What is kept has memory only where it was written to.
            Some(page) => (page, dirty(page)),
            None => self.fresh(granules)?,
        };
        Some(Block { address: hand_out(page, size), written })
    }

    fn take(&self, granules: usize) -> Option<&'static PageMeta> {
        let head = self.heads.get(granules - 1)?;
        // SAFETY: what is listed is metadata, which is never unmapped.
        let page = unsafe { head.load(Ordering::Relaxed).as_ref() }?;
        if !step(page, State::Cached, State::Held) {
            return None;
        }
        self.unlink(head, page);
        Some(page)
    }

    fn unlink(&self, head: &AtomicPtr<PageMeta>, page: &PageMeta) {
        head.store(page.header.next.load(Ordering::Relaxed), Ordering::Relaxed);
        self.bytes.store(self.bytes.load(Ordering::Relaxed) - page.bytes(), Ordering::Relaxed);
    }

    /// A run of this thread's node, or of the next that has one, and how many of its leading bytes may not be zero.
    fn fresh(&self, granules: usize) -> Option<(&'static PageMeta, usize)> {
        let bytes = (granules * GRANULE) as u32;
        let spec = PageSpec { kind: Kind::Medium, tag: 0, slot_size: bytes, bytes };
        let first = current_node().0;
        if self.node.load(Ordering::Relaxed) != first + 1 {
            self.flush();
            self.node.store(first + 1, Ordering::Relaxed);
        }
        let spans = REGION.spans();
        let (page, run) = (0..spans.len())
            .find_map(|step| spans[(usize::from(first) + step) % spans.len()].take_run(spec))?;
        set_dirty(page, run.dirty * GRANULE);
        Some((page, run.written * GRANULE))
    }

    /// Frees a block. A second free ends the process.
    pub(crate) fn free(&self, page: &'static PageMeta) {
        while !step(page, State::Live, State::Held) {
            if step(page, State::Trimming, State::Dropped) {
                return;
            }
            // The purge may have let go of it in between.
            if !is_live(page) {
                fatal(Fault::DoubleFree, page.base(), Some(page));
            }
        }
        let granules = page.bytes() / GRANULE;
        let at_home = self.node.load(Ordering::Relaxed) == page.node().0 + 1;
        match self.heads.get(granules - 1) {
            Some(head) if at_home => self.keep(head, page),
            _ => give(page),
        }
    }

    fn keep(&self, head: &AtomicPtr<PageMeta>, page: &'static PageMeta) {
        if self.bytes.load(Ordering::Relaxed) + page.bytes() > KEPT_BYTES {
            self.flush();
        }
        page.header.next.store(head.load(Ordering::Relaxed), Ordering::Relaxed);
        head.store(core::ptr::from_ref(page).cast_mut(), Ordering::Relaxed);
        self.bytes.store(self.bytes.load(Ordering::Relaxed) + page.bytes(), Ordering::Relaxed);
        page.header.looked.store(0, Ordering::Relaxed);
        set_state(page, State::Cached);
    }

    /// Gives everything back to the spans, but for what the purge is at just now.
    pub(crate) fn flush(&self) {
        for granules in 1..=KEPT_GRANULES {
            while let Some(page) = self.take(granules) {
                give(page);
            }
        }
    }
}

/// Zeroes what may not be zero of a block just handed out.
pub(crate) fn zero(block: &Block, size: usize) {
    // SAFETY: the block is at least `size` bytes, and the caller's.
    unsafe { block.address.write_bytes(0, size.min(block.written)) };
}

static_assertions::const_assert!(class::LARGEST < GRANULE && LARGEST <= crate::side::CHUNK);
static_assertions::const_assert!(
    LARGEST / OS_PAGE <= u16::MAX as usize && KEPT_BYTES >= KEPT_GRANULES * GRANULE
);
