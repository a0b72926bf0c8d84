//! A heap: the pages one thread owns, and its windows into them.
//!
//! One thread at a time uses a heap; heaps are never destroyed, so that a page's owner can always
//! be told of remote frees. Invariants: each page in use has one owner; a page is in its class's
//! list exactly while its state is `Partial`; `used` counts the slots not known to be free.
//!
//! ```text
//!            turn window to it                     window exhausted
//!   Partial ------------------->     Current   ---------------------->  Full
//!      ^   <-------------------                                          |
//!      |      thread exit                                                |
//!      +------------------------------ a slot is freed ------------------+
//!   used = 0 and quiet: back to the span, unless it is the class's only one
//! ```
#![allow(unsafe_code)]

use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU64, Ordering};

use crate::class::{CLASSES, ClassIdx};
use crate::fault::{Fault, fatal};
use crate::granule::Kind;
use crate::large;
use crate::list::PageList;
use crate::medium;
use crate::node::{MAX_NODES, NodeId, current_node};
use crate::page::{PageMeta, PageSpec, WORDS};
use crate::pending::{Flush, Pending};
use crate::purger;
use crate::region::REGION;
use crate::registry;
use crate::remote::{self, Inbox};
use crate::window::{Place, Window};

/// Where a page stands with its heap.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum PageState {
    /// A window looks at it.
    Current = 1,
    /// In its class's list: some slot may be free.
    Partial = 2,
    /// In no list: no slot was free when last looked.
    Full = 3,
}

/// The bytes asked for, where they are not known: blocks of pages are then not counted, but sampled, and
/// those of mimalloc's count with their usable size. Medium blocks know theirs.
pub(crate) const UNKNOWN: usize = 0;

/// See the module. Zeroed memory is an empty heap.
#[repr(C)]
pub(crate) struct Heap {
    windows: [Window; CLASSES],
    lists: [PageList; CLASSES],
    pending: Pending,
    medium: medium::Cache,
    /// Bytes and blocks that mimalloc serves, counted as in a window.
    large_requested: AtomicU64,
    large_blocks: AtomicU64,
    /// Whether this thread was introduced to mimalloc.
    knows_large: AtomicBool,
    /// Goes up when a parking begins and when it ends: the one time that slots leave a window for
    /// `local_free`, against the order in which a report reads masks.
    parkings: AtomicU64,
    /// The node that the heap is idle for: that of the thread when it got the heap, or its last fresh page.
    node: AtomicU8,
    /// Blocks of each node's pages that this heap's threads freed from another node; written as a
    /// window's counters are, by one thread.
    crossed: [AtomicU64; MAX_NODES],
    /// Links of the registry.
    pub(crate) next_made: AtomicPtr<Heap>,
    pub(crate) next_idle: AtomicPtr<Heap>,
    /// Written by other threads.
    inbox: Apart<Inbox<PageMeta>>,
}

/// A cache line of its own.
#[repr(C, align(128))]
struct Apart<T>(T);

static_assertions::const_assert_eq!(memoffset::offset_of!(Heap, windows), 0);
static_assertions::const_assert!(memoffset::offset_of!(Heap, inbox) % 128 == 0);

impl Heap {
    /// A block of `class`, or null. The fast path: a window's word, and nothing shared.
    #[inline(always)]
    pub(crate) fn malloc(&self, class: ClassIdx, bytes: usize) -> *mut u8 {
        let window = self.window(class);
        let free = window.free();
        if free == 0 {
            return self.malloc_slow(class, bytes);
        }
        window.count_malloc(bytes);
        window.take(free) as *mut u8
    }

    #[cold]
    #[inline(never)]
    fn malloc_slow(&self, class: ClassIdx, bytes: usize) -> *mut u8 {
        if !self.refill(class) {
            // No page to be had: no region, or it is full. mimalloc may still find memory.
            return self.malloc_large(class.about().slot_size as usize, class.align(), bytes);
        }
        let window = self.window(class);
        window.count_malloc(bytes);
        window.take(window.free()) as *mut u8
    }

    /// Frees a block that was requested with `bytes`, of `class` if a page serves it.
    ///
    /// # Safety
    /// The block came from this allocator and is not used any more. What is noticed of the contrary
    /// ends the process.
    #[inline(always)]
    pub(crate) unsafe fn free(&self, address: usize, class: ClassIdx, bytes: usize) {
        let window = self.window(class);
        match window.place(address) {
            Place::Slot(slot) => {
                // Slots freed remotely and not drained are free as well; those drained are in the
                // window, since the bucket is current. Relaxed: only a look.
                // SAFETY: a window with a place has a page, and a page's words are never unmapped.
                let remote = unsafe { &*window.remote() }.load(Ordering::Relaxed);
                let free = window.free();
                if (free | remote) & slot != 0 {
                    // SAFETY: as above.
                    fatal(Fault::DoubleFree, address, Some(unsafe { &*window.page() }));
                }
                window.put(slot);
                window.count_free(bytes);
            }
            Place::Outside => self.free_elsewhere(address, class, bytes),
            // SAFETY: as above.
            Place::Misaligned => fatal(Fault::Misaligned, address, Some(unsafe { &*window.page() })),
        }
    }

    /// A free outside the current bucket: in another bucket or page of ours, of another heap's, or
    /// none of the region's.
    #[inline(never)]
    fn free_elsewhere(&self, address: usize, class: ClassIdx, bytes: usize) {
        let Some(offset) = REGION.offset_of(address) else {
            // SAFETY: not the region's, so by `free`'s contract mimalloc's.
            return unsafe { self.free_large(address, bytes) };
        };
        // SAFETY: the offset is inside the region.
        let entry = unsafe { REGION.entry(offset) };
        if entry.kind() != Kind::Slab {
            fatal(Fault::Foreign, address, None);
        }
        if entry.tag() != class.tag() {
            // Freed with another layout than it was made with: the page knows better.
            let Some(class) = ClassIdx::from_tag(entry.tag()) else { fatal(Fault::Foreign, address, None) };
            // SAFETY: by `free`'s contract.
            return unsafe { self.free(address, class, bytes) };
        }
        // SAFETY: an entry of slab kind names opened metadata.
        let page: &'static PageMeta = unsafe { REGION.meta(entry.meta(offset)).as_ref() };
        let in_page = entry.in_page(offset);
        // A page has at most 512 slots' worth of bytes, so there are at most eight buckets.
        let slot = entry.slot(in_page) & (64 * WORDS - 1);
        let window = self.window(class);
        if slot * class.about().slot_size as usize != in_page {
            fatal(Fault::Misaligned, address, Some(page));
        }
        window.count_free(bytes);
        let (bucket, bit) = (slot / 64, 1u64 << (slot % 64));
        if page.header.owner.load(Ordering::Relaxed) == self.id() {
            self.free_own(page, bucket, bit, address);
        } else {
            self.free_remote(page, slot, address);
        }
    }

    /// Sends a slot of another heap's page on its way.
    fn free_remote(&self, page: &'static PageMeta, slot: usize, address: usize) {
        if page.kind() != Kind::Slab || slot >= page.slots() {
            fatal(Fault::Foreign, address, Some(page));
        }
        let page_ptr = core::ptr::from_ref(page).cast_mut();
        if !self.pending.add(page_ptr, slot / 64, 1 << (slot % 64), |flush| self.send(flush)) {
            fatal(Fault::DoubleFree, address, Some(page));
        }
    }

    /// Frees a slot of an own page outside the current bucket.
    #[inline]
    fn free_own(&self, page: &'static PageMeta, bucket: usize, bit: u64, address: usize) {
        let local_free = &page.local_free.0[bucket];
        let (free, taken) =
            (local_free.load(Ordering::Relaxed), page.taken.0[bucket].load(Ordering::Relaxed));
        if (free | page.remote.0[bucket].load(Ordering::Relaxed) | !taken) & bit != 0 {
            let never = taken & bit == 0;
            fatal(if never { Fault::Foreign } else { Fault::DoubleFree }, address, Some(page));
        }
        // Release pairs with a report's acquire.
        local_free.store(free | bit, Ordering::Release);
        self.slots_freed(page, 1);
    }

    /// `count` slots of an own page became free: lists it, or gives it back.
    #[inline(always)]
    fn slots_freed(&self, page: &'static PageMeta, count: u32) {
        let used = page.header.used.load(Ordering::Relaxed) - count as u16;
        page.header.used.store(used, Ordering::Relaxed);
        let state = page.header.state.load(Ordering::Relaxed);
        if state == PageState::Full as u8 {
            self.list(page);
        }
        if used == 0 && state != PageState::Current as u8 {
            self.retire(page);
        }
    }

    #[cold]
    fn list(&self, page: &'static PageMeta) {
        page.header.state.store(PageState::Partial as u8, Ordering::Relaxed);
        self.lists[class_of(page)].push(page);
    }

    /// Gives an empty listed page back, unless it is the class's only one or a freer is still at it
    /// (then it is posted, and retired when taken from the inbox).
    #[cold]
    fn retire(&self, page: &'static PageMeta) {
        let list = &self.lists[class_of(page)];
        if !list.is_only(page) && page.header.signals.is_quiet() {
            list.remove(page);
            give(page);
        }
    }

    /// Turns the window of `class` to free slots. `false`: no memory.
    fn refill(&self, class: ClassIdx) -> bool {
        let window = self.window(class);
        loop {
            // SAFETY: the window's page, which is ours.
            if let Some(page) = unsafe { window.page().as_ref() } {
                if turn(window, page) {
                    return true;
                }
                window.look_at(None, 0);
                page.header.state.store(PageState::Full as u8, Ordering::Relaxed);
            }
            self.take_inbox();
            let Some(page) = self.next_page(class) else {
                return false;
            };
            page.header.state.store(PageState::Current as u8, Ordering::Relaxed);
            window.look_at(Some(page), 0);
        }
    }

    /// A page with a free slot: one of ours, or a fresh one once nothing is left in idle heaps' inboxes
    /// that might be given back first.
    fn next_page(&self, class: ClassIdx) -> Option<&'static PageMeta> {
        let listed = self.lists[class.get()].take_fullest();
        listed.or_else(|| {
            registry::drain_idle();
            self.fresh_page(class)
        })
    }

    /// A page of this thread's node, or of the next that has one.
    fn fresh_page(&self, class: ClassIdx) -> Option<&'static PageMeta> {
        let about = class.about();
        let spec = PageSpec {
            kind: Kind::Slab,
            tag: class.tag(),
            slot_size: about.slot_size,
            bytes: about.page_bytes,
        };
        let here = current_node();
        self.settle(here);
        let first = usize::from(here.0);
        let spans = REGION.spans();
        let page = (0..spans.len()).find_map(|step| spans[(first + step) % spans.len()].take_page(spec))?;
        page.header.owner.store(self.id(), Ordering::Relaxed);
        Some(page)
    }

    /// Says which node the heap's thread is on.
    pub(crate) fn settle(&self, node: NodeId) {
        self.node.store(node.0, Ordering::Relaxed);
    }

    /// The node that the heap was last used on, as far as it noticed.
    pub(crate) fn node(&self) -> NodeId {
        NodeId(self.node.load(Ordering::Relaxed))
    }

    /// Sends gathered frees on their way, and counts those that go to another node.
    fn send(&self, flush: &Flush) {
        // SAFETY: metadata is never unmapped.
        self.count_crossing(unsafe { &*flush.page }.node(), flush.bits.count_ones());
        send(flush);
    }

    fn count_crossing(&self, home: NodeId, frees: u32) {
        if home != self.node() {
            let crossed = &self.crossed[usize::from(home.0) % MAX_NODES];
            crossed.store(crossed.load(Ordering::Relaxed) + u64::from(frees), Ordering::Relaxed);
        }
    }

    /// Blocks of each node's pages that were freed from another node, for a report in another thread.
    pub(crate) fn crossed(&self) -> [u64; MAX_NODES] {
        core::array::from_fn(|node| self.crossed[node].load(Ordering::Relaxed))
    }

    /// Whether other threads freed slots of this heap's pages.
    pub(crate) fn has_mail(&self) -> bool {
        !self.inbox.0.is_empty()
    }

    /// Drains the pages that other threads freed slots of.
    pub(crate) fn take_inbox(&self) {
        if !self.has_mail() {
            return;
        }
        let mut posted = self.inbox.0.take();
        // SAFETY: what is posted is metadata, which is never unmapped.
        while let Some(page) = unsafe { posted.as_ref() } {
            // Read before the acknowledgement, after which the page may be posted again.
            posted = page.header.posted_next.load(Ordering::Relaxed);
            page.header.signals.acknowledge();
            let freed: u32 = (0..page.buckets()).map(|bucket| self.drain(page, bucket)).sum();
            self.slots_freed(page, freed);
        }
    }

    /// Moves the remote frees of a bucket to the window that looks at it, or to `local_free`; how many
    /// slots left use by that (those in a window are in use).
    fn drain(&self, page: &'static PageMeta, bucket: usize) -> u32 {
        let window = &self.windows[class_of(page)];
        let current = core::ptr::eq(window.page(), page) && window.bucket() == bucket;
        let local_free = &page.local_free.0[bucket];
        let drained = remote::drain(&page.remote.0[bucket], |bits| {
            let free = local_free.load(Ordering::Relaxed);
            let never = !page.taken.0[bucket].load(Ordering::Relaxed);
            let twice = bits & (free | never | if current { window.free() } else { 0 });
            if twice != 0 {
                let slot = bucket * 64 + twice.trailing_zeros() as usize;
                fatal(Fault::DoubleFree, page.base() + slot * page.slot_size(), Some(page));
            }
            if current {
                // So that a free into the current bucket need not look at `local_free`.
                window.put(bits);
            } else {
                // Release pairs with a report's acquire.
                local_free.store(free | bits, Ordering::Release);
            }
        });
        if current { 0 } else { drained.count_ones() }
    }

    /// Puts everything away for another thread to find: no slot stays in a window or pending, and
    /// empty pages go back.
    pub(crate) fn park(&'static self) {
        self.pending.flush_all(|flush| self.send(flush));
        self.take_inbox();
        self.count_parking();
        for window in &self.windows {
            // SAFETY: the window's page, which is ours.
            let Some(page) = (unsafe { window.page().as_ref() }) else { continue };
            let (bucket, free) = (window.bucket(), window.free());
            let local_free = &page.local_free.0[bucket];
            // Release, and in this order: who misses a slot in the window finds it here.
            local_free.store(local_free.load(Ordering::Relaxed) | free, Ordering::Release);
            window.empty();
            window.look_at(None, 0);
            self.list(page);
            self.slots_freed(page, free.count_ones());
        }
        self.count_parking();
        for list in &self.lists {
            list.drain_empty(give);
        }
        self.medium.flush();
        self.knows_large.store(false, Ordering::Relaxed);
    }

    fn count_parking(&self) {
        // Release pairs with the acquire in `parkings`; the stores to masks that follow are releases
        // too, so they are not seen before this one.
        self.parkings.store(self.parkings.load(Ordering::Relaxed) + 1, Ordering::Release);
    }

    /// How often a parking began or ended, for a report in another thread.
    pub(crate) fn parkings(&self) -> u64 {
        self.parkings.load(Ordering::Acquire)
    }

    /// The window of a class.
    #[inline(always)]
    pub(crate) fn window(&self, class: ClassIdx) -> &Window {
        // SAFETY: a class index is below the number of classes.
        unsafe { self.windows.get_unchecked(class.get()) }
    }

    /// All windows, by class.
    pub(crate) fn windows(&self) -> &[Window] {
        &self.windows
    }

    pub(crate) fn pending(&self) -> &Pending {
        &self.pending
    }

    /// The heap as a page's owner word.
    pub(crate) fn id(&self) -> usize {
        core::ptr::from_ref(self) as usize
    }

    /// A block from mimalloc, counted as `bytes`; null if it has none.
    pub(crate) fn malloc_large(&self, size: usize, align: usize, bytes: usize) -> *mut u8 {
        self.meet_large();
        let block = large::malloc(size, align);
        if !block.is_null() {
            // SAFETY: mimalloc just made it.
            self.count_large(unsafe { requested(block, bytes) }, 1);
        }
        block
    }

    /// A block that no size class serves, or null: a run of granules if it is a medium one.
    pub(crate) fn malloc_unclassed(&self, size: usize, align: usize, bytes: usize) -> *mut u8 {
        purger::tend();
        if medium::serves(size, align) {
            if let Some(block) = self.medium.malloc(size) {
                return block.address;
            }
        }
        self.malloc_large(size, align, bytes)
    }

    /// As [`malloc_unclassed`](Self::malloc_unclassed), zeroed: memory fresh from the kernel is zero.
    pub(crate) fn malloc_unclassed_zeroed(&self, size: usize, align: usize, bytes: usize) -> *mut u8 {
        if medium::serves(size, align) {
            if let Some(block) = self.medium.malloc(size) {
                medium::zero(&block, size);
                return block.address;
            }
        }
        self.meet_large();
        let block = large::malloc_zeroed(size, align);
        if !block.is_null() {
            // SAFETY: mimalloc just made it.
            self.count_large(unsafe { requested(block, bytes) }, 1);
        }
        block
    }

    /// Frees a block that no size class serves. What no block begins at ends the process.
    ///
    /// # Safety
    /// The block came from this allocator, requested with `bytes`, and is not used any more.
    pub(crate) unsafe fn free_unclassed(&self, address: usize, bytes: usize) {
        if let Some(offset) = REGION.offset_of(address) {
            let page = medium::page_at(offset, address);
            self.count_crossing(page.node(), 1);
            self.medium.free(page);
            purger::stir();
            return purger::tend();
        }
        // SAFETY: not the region's, so mimalloc's.
        unsafe { self.free_large(address, bytes) };
    }

    /// Frees a block of mimalloc's.
    ///
    /// # Safety
    /// mimalloc made the block, and nobody uses it any more.
    unsafe fn free_large(&self, address: usize, bytes: usize) {
        self.meet_large();
        let block = address as *mut u8;
        // SAFETY: by this function's contract.
        unsafe {
            self.count_large(requested(block, bytes).wrapping_neg(), u64::MAX);
            large::free(block);
        }
    }

    /// Changes the size of a block that no size class serves, to one that none serves; null leaves it as
    /// it was, and it must then be moved.
    ///
    /// # Safety
    /// The block came from this allocator, aligned to `align`. Of mimalloc's, `old_bytes` and `bytes` count as
    /// asked for before and after.
    pub(crate) unsafe fn realloc_unclassed(
        &self,
        address: usize,
        old_bytes: usize,
        size: usize,
        bytes: usize,
        align: usize,
    ) -> *mut u8 {
        if let Some(offset) = REGION.offset_of(address) {
            let stays = medium::resize(medium::page_at(offset, address), size);
            return if stays { address as *mut u8 } else { core::ptr::null_mut() };
        }
        if medium::serves(size, align) && REGION.bytes() > 0 {
            // Where it belongs.
            return core::ptr::null_mut();
        }
        self.meet_large();
        let old = address as *mut u8;
        // SAFETY: not the region's, so mimalloc's.
        let old_bytes = unsafe { requested(old, old_bytes) };
        // SAFETY: as above.
        let block = unsafe { large::realloc(old, size, align) };
        if !block.is_null() {
            // SAFETY: mimalloc just made it.
            self.count_large(unsafe { requested(block, bytes) }.wrapping_sub(old_bytes), 0);
        }
        block
    }

    /// mimalloc wants to know each thread, those that only free as well.
    fn meet_large(&self) {
        if !self.knows_large.load(Ordering::Relaxed) {
            self.knows_large.store(true, Ordering::Relaxed);
            large::meet_thread();
        }
    }

    fn count_large(&self, bytes: u64, blocks: u64) {
        let add = |counter: &AtomicU64, value: u64| {
            counter.store(counter.load(Ordering::Relaxed).wrapping_add(value), Ordering::Relaxed);
        };
        add(&self.large_requested, bytes);
        add(&self.large_blocks, blocks);
    }

    /// Bytes and blocks that mimalloc serves, modulo 2^64.
    pub(crate) fn counted_large(&self) -> (u64, u64) {
        (self.large_requested.load(Ordering::Relaxed), self.large_blocks.load(Ordering::Relaxed))
    }
}

/// What a block of mimalloc's counts with: the bytes asked for, if they are known.
///
/// # Safety
/// mimalloc made the block.
unsafe fn requested(block: *const u8, bytes: usize) -> u64 {
    // SAFETY: by this function's contract.
    if bytes == UNKNOWN { (unsafe { large::usable_size(block) }) as u64 } else { bytes as u64 }
}

fn class_of(page: &PageMeta) -> usize {
    usize::from(page.header.class.load(Ordering::Relaxed))
}

/// Turns an empty window to a bucket of its page that has a free slot: the first with a few slots freed
/// before any that was never used, so that live slots stay together, in as few lines as they need.
fn turn(window: &Window, page: &PageMeta) -> bool {
    let buckets = page.buckets();
    let freed = |&bucket: &usize| page.local_free.0[bucket].load(Ordering::Relaxed);
    let unused = |&bucket: &usize| {
        !page.taken.0[bucket].load(Ordering::Relaxed) & page.bucket_slots(bucket).word() != 0
    };
    let worth_it = |bucket: &usize| {
        // Three slots taken away, is there a fourth?
        let three_less = (0..3).fold(freed(bucket), |left, _| left & left.wrapping_sub(1));
        three_less != 0
    };
    let found = (0..buckets).find(worth_it).or_else(|| (0..buckets).find(unused));
    let Some(bucket) = found.or_else(|| (0..buckets).find(|bucket| freed(bucket) != 0)) else {
        return false;
    };
    let (taken, local_free) = (&page.taken.0[bucket], &page.local_free.0[bucket]);
    let before = taken.load(Ordering::Relaxed);
    let free = (local_free.load(Ordering::Relaxed) | !before) & page.bucket_slots(bucket).word();
    window.look_at(Some(page), bucket);
    // First where they go, then where they come from; a slot never taken becomes taken only when the
    // window hides it.
    window.put(free);
    taken.store(before | free, Ordering::Release);
    local_free.store(0, Ordering::Release);
    let used = page.header.used.load(Ordering::Relaxed) + free.count_ones() as u16;
    page.header.used.store(used, Ordering::Relaxed);
    true
}

/// Sends gathered frees to their page, and tells its owner.
pub(crate) fn send(flush: &Flush) {
    // SAFETY: metadata is never unmapped; the slots on their way keep the page in use.
    let page = unsafe { &*flush.page };
    // SAFETY: heaps are never destroyed, and the owner can't change while slots are on their way.
    let owner = unsafe { &*(page.header.owner.load(Ordering::Relaxed) as *const Heap) };
    page.header.signals.announce();
    let twice = remote::set_bits(&page.remote.0[flush.bucket], flush.bits);
    if twice != 0 {
        let slot = flush.bucket * 64 + twice.trailing_zeros() as usize;
        fatal(Fault::DoubleFree, page.base() + slot * page.slot_size(), Some(page));
    }
    if page.header.signals.deliver() {
        owner.inbox.0.post(page);
    }
}

/// Gives a page that is in no list back to its span.
fn give(page: &'static PageMeta) {
    page.header.owner.store(0, Ordering::Relaxed);
    // SAFETY: empty, quiet, in no list: callers checked.
    unsafe { REGION.span(page.node()).give_page(page) };
}
