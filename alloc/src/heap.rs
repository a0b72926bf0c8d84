//! A heap: the pages one thread owns, and its windows of free slots.
//!
//! One thread at a time uses a heap; heaps are never destroyed, so that a page's owner can always
//! be told of remote frees. Invariants: each page in use has one owner; `used` counts the slots not
//! known to be free, those in windows among them.
//!
//! The thread's own way is in `front`: malloc takes the window's last slot, free puts one there. Here is what comes
//! behind it, where a window is empty or does not know the block. `pages` says
//! where a window's slots come from, `mail` how those come home that other threads freed, and `elsewhere`
//! serves what no size class does.
#![allow(unsafe_code)]

mod elsewhere;
pub(crate) mod front;
mod known;
mod mail;
mod pages;

use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU64, Ordering};

use crate::class::{self, CLASSES, ClassIdx, SMALL_SIZES};
use crate::events::mem::{self as events, Teller};
use crate::fault::{Fault, fatal};
use crate::list::Pages;
use crate::medium;
use crate::node::{MAX_NODES, NodeId};
use crate::page::{PageMeta, WORDS};
use crate::pending::Pending;
use crate::probes;
use crate::purger;
use crate::region::RegionView;
use crate::remote::Inbox;
use crate::window::{FreeSlot, Window};

pub(crate) use front::{Front, GONE, NOBODY, RECORDED};
pub(crate) use mail::post_again;

/// The bytes asked for, where they are not known: blocks of pages are then not counted, but sampled, and
/// those of mimalloc's count with their usable size. Medium blocks know theirs.
pub(crate) const UNKNOWN: usize = 0;

/// See the module. Zeroed memory becomes an empty heap by [`Heap::make`].
#[repr(C, align(262144))]
pub(crate) struct Heap {
    front: Front,
    /// The region, which never changes: its first byte, its length, its granule map and its metadata.
    region: RegionView,
    pages: [Pages; CLASSES],
    pending: Pending,
    medium: medium::Cache,
    /// Bytes and blocks that mimalloc serves, counted as in a window.
    large_requested: AtomicU64,
    large_blocks: AtomicU64,
    /// Whether this thread was introduced to mimalloc.
    knows_large: AtomicBool,
    /// The node that the heap is idle for: that of the thread when it got the heap, or its last fresh page.
    node: AtomicU8,
    /// Blocks of each node's pages that this heap's threads freed from another node; written as a
    /// window's counters are, by one thread.
    crossed: [AtomicU64; MAX_NODES],
    /// Blocks of other heaps that this heap's threads freed, and what that cost in atomic
    /// read-modify-writes: those that release, to send, and those that acquire, to drain.
    remote_frees: AtomicU64,
    releases: AtomicU64,
    acquires: AtomicU64,
    /// How the heap tells what it does, where it is asked to.
    teller: Teller,
    /// Links of the registry.
    pub(crate) next_made: AtomicPtr<Heap>,
    pub(crate) next_idle: AtomicPtr<Heap>,
    /// Written by other threads.
    inbox: Apart<Inbox<PageMeta>>,
    /// The windows' slots, one class's behind the other's, and one that is none in front of each and behind the last.
    stacks: [FreeSlot; class::windows() + CLASSES + 1],
}

/// Bytes of a heap, and its alignment: the owner word of a page is the address of a window, whose heap is
/// found by rounding down.
pub(crate) const HEAP_BYTES: usize = size_of::<Heap>();

static_assertions::const_assert_eq!(HEAP_BYTES, 256 * 1024);

/// Cache lines of its own.
#[repr(C, align(128))]
struct Apart<T>(T);

static_assertions::const_assert_eq!(memoffset::offset_of!(Heap, front), 0);
static_assertions::const_assert!(memoffset::offset_of!(Heap, inbox) % 128 == 0);

// SAFETY: one thread uses the windows and the lists; what others read of a heap is atomics, or was written before
// the heap was shown to anybody. The pointers name the heap itself.
unsafe impl Sync for Heap {}

impl Heap {
    /// Makes zeroed memory an empty heap.
    ///
    /// # Safety
    /// `memory` is zeroed, has a heap's size and alignment, is nobody else's, and stays mapped for ever.
    pub(crate) unsafe fn make(memory: NonNull<Self>) -> &'static Self {
        let heap = memory.as_ptr();
        // SAFETY: by this function's contract. Zeroes are a value of all that is not written here.
        unsafe {
            let windows = (&raw mut (*heap).front.windows).cast::<Window>();
            let mut stack = (&raw mut (*heap).stacks).cast::<FreeSlot>().add(1);
            for class in ClassIdx::all() {
                windows.add(class.get()).write(Window::new(stack, class));
                stack = stack.wrapping_add(usize::from(class.about().window) + 1);
            }
            let small = (&raw mut (*heap).front.small).cast::<*const Window>();
            for size in 0..SMALL_SIZES {
                small.add(size).write(windows.add(class::of_small(size).get()));
            }
            (&raw mut (*heap).front.is_heap).write(true);
            (&raw mut (*heap).region).write(RegionView::new());
            (&raw mut (*heap).teller).write(Teller::new());
            &*heap
        }
    }

    /// The window of a request up to [`class::SMALL`] bytes, at an alignment of at most 16.
    #[inline(always)]
    pub(crate) fn small_window(&self, size: usize, align: usize) -> &Window {
        self.front.small_window(size, align)
    }

    /// The class of one of this heap's windows.
    fn class_of_window(&self, window: &Window) -> ClassIdx {
        let at = core::ptr::from_ref(window) as usize - self.front.windows.as_ptr() as usize;
        let class = ClassIdx::from_tag((at / size_of::<Window>()) as u8);
        // SAFETY: there is a window for each class.
        unsafe { class.unwrap_unchecked() }
    }

    /// A block of a window's class, or null. The fast path: the window's last slot, and nothing that other threads
    /// write.
    #[inline(always)]
    pub(crate) fn malloc(&self, window: &Window, bytes: usize) -> *mut u8 {
        match window.pop() {
            Some(address) => {
                window.count_malloc(bytes);
                address as *mut u8
            }
            None => self.malloc_slow(window, bytes),
        }
    }

    /// As [`malloc`](Self::malloc), with the first `size` bytes zero: memory fresh from the kernel is.
    pub(crate) fn malloc_zeroed(&self, window: &Window, size: usize, bytes: usize) -> *mut u8 {
        let popped = window.pop_fresh();
        let popped = popped.or_else(|| if self.restock(window) { window.pop_fresh() } else { None });
        let (block, is_fresh) = match popped {
            Some((address, is_fresh)) => {
                window.count_malloc(bytes);
                (address as *mut u8, is_fresh)
            }
            None => (self.malloc_unpaged(window, bytes), false),
        };
        if !is_fresh && !block.is_null() {
            // SAFETY: a block of at least `size` bytes, just made.
            unsafe { block.write_bytes(0, size) };
        }
        block
    }

    #[cold]
    #[inline(never)]
    fn malloc_slow(&self, window: &Window, bytes: usize) -> *mut u8 {
        probes::malloc_slow(self.class_of_window(window).about().slot_size as usize, bytes);
        if self.restock(window) {
            if let Some(address) = window.pop() {
                window.count_malloc(bytes);
                return address as *mut u8;
            }
        }
        self.malloc_unpaged(window, bytes)
    }

    /// Gets slots into an empty window. `false`: no page is to be had.
    #[inline(never)]
    fn restock(&self, window: &Window) -> bool {
        // Before the window is filled: it may allocate, and fill it itself.
        purger::tend();
        window.count() > 0 || self.refill(self.class_of_window(window))
    }

    /// A block for which there is no page: no region, or it is full. mimalloc may still find memory.
    fn malloc_unpaged(&self, window: &Window, bytes: usize) -> *mut u8 {
        let class = self.class_of_window(window);
        self.malloc_large(class.about().slot_size as usize, class.align(), bytes)
    }

    /// Frees a block that was requested with `bytes`, of the size of `window`, of which the front does not know the place.
    ///
    /// # Safety
    /// As [`free`](Self::free).
    #[inline(always)]
    pub(crate) unsafe fn free_far(&self, address: usize, window: &Window, bytes: usize) {
        let Some(page) = self.region.slab_at(address) else {
            // SAFETY: by this function's contract.
            return unsafe { self.free_unclassed(address, bytes) };
        };
        if page.header.owner.load(Ordering::Relaxed) != core::ptr::from_ref(window) as usize {
            return self.free_elsewhere(page, address, bytes);
        }
        self.front.known.remember(window, page, address);
        Self::free_own(window, page, address, bytes);
    }

    /// Frees a block by its address, requested with `bytes`.
    ///
    /// # Safety
    /// The block came from this allocator and is not used any more. What is noticed of the contrary
    /// ends the process.
    #[inline(always)]
    pub(crate) unsafe fn free(&self, address: usize, bytes: usize) {
        let Some(page) = self.region.slab_at(address) else {
            // SAFETY: by this function's contract.
            return unsafe { self.free_unclassed(address, bytes) };
        };
        let Some(window) = self.window_at(page.header.owner.load(Ordering::Relaxed)) else {
            return self.free_elsewhere(page, address, bytes);
        };
        Self::free_own(window, page, address, bytes);
    }

    /// Frees a block of another heap's page, or of another class than its layout's.
    #[inline(never)]
    fn free_elsewhere(&self, page: &'static PageMeta, address: usize, bytes: usize) {
        match self.window_at(page.header.owner.load(Ordering::Relaxed)) {
            Some(window) => Self::free_own(window, page, address, bytes),
            None => self.free_remote(page, address, bytes),
        }
    }

    /// Frees a block of an own page, whose slots `window` takes.
    #[inline(always)]
    fn free_own(window: &Window, page: &'static PageMeta, address: usize, bytes: usize) {
        let Some(slot) = window.slot(address.wrapping_sub(page.base())) else {
            return refuse_address(page, address);
        };
        if !front::free_slot(window, page, slot, address, bytes) {
            refuse_free_slot(page, slot);
        }
    }

    /// Puts everything away for another thread to find: no slot is in a window or pending, and empty
    /// pages go back.
    pub(crate) fn park(&'static self) {
        self.flush();
        self.take_inbox();
        for window in &self.front.windows {
            window.empty(|page| {
                if page.drop_used(1) {
                    self.look_after(page);
                }
            });
            window.forget();
        }
        self.front.known.forget_all();
        for pages in &self.pages {
            pages.drain_empty(|page| self.give(page));
        }
        self.medium.flush();
        self.knows_large.store(false, Ordering::Relaxed);
        self.part();
    }

    /// Tells of a slow path, where it is asked to.
    #[inline(always)]
    fn tell(&self, kind: events::Kind, values: impl FnOnce() -> [u64; 4]) {
        if events::is_on() {
            self.teller.tell(kind, values());
        }
    }

    /// The heap's thread ends.
    pub(crate) fn part(&self) {
        self.teller.part(self.mail());
    }

    /// Says which node the heap's thread is on.
    pub(crate) fn settle(&self, node: NodeId) {
        self.node.store(node.0, Ordering::Relaxed);
    }

    /// The node that the heap was last used on, as far as it noticed.
    pub(crate) fn node(&self) -> NodeId {
        NodeId(self.node.load(Ordering::Relaxed))
    }

    /// The window of a class.
    #[inline(always)]
    pub(crate) fn window(&self, class: ClassIdx) -> &Window {
        // SAFETY: a class index is below the number of classes.
        unsafe { self.front.windows.get_unchecked(class.get()) }
    }

    /// The window that a page's owner word names, if it is one of this heap's.
    #[inline(always)]
    fn window_at(&self, owner: usize) -> Option<&Window> {
        let windows = self.front.windows.as_ptr();
        let at = owner.wrapping_sub(windows as usize);
        // SAFETY: the address of a window, set by `own`, and inside the array.
        (at < size_of::<[Window; CLASSES]>()).then(|| unsafe { &*windows.byte_add(at) })
    }

    /// All windows, by class.
    pub(crate) fn windows(&self) -> &[Window] {
        &self.front.windows
    }

    /// The heap's address, as [`PageMeta::heap`] tells it.
    pub(crate) fn id(&self) -> usize {
        core::ptr::from_ref(self) as usize
    }
}

/// What is wrong with an address of the page at which no block begins.
fn address_fault(page: &PageMeta, address: usize) -> Fault {
    let aligned = (address - page.base()) % page.slot_size().max(1) == 0;
    if aligned { Fault::Foreign } else { Fault::Misaligned }
}

/// Ends the process: no block begins at the address, which is one of the page's. Said to return, so that it is jumped
/// to and free needs no frame.
#[cold]
#[inline(never)]
fn refuse_address(page: &PageMeta, address: usize) {
    fatal(address_fault(page, address), address, Some(page));
}

/// Ends the process: the page holds no blocks of this allocator. Said to return, as above.
#[cold]
#[inline(never)]
fn refuse_foreign(page: &PageMeta, address: usize) {
    fatal(Fault::Foreign, address, Some(page));
}

/// Ends the process: the slot to be freed is free. Said to return, as above.
#[cold]
#[inline(never)]
fn refuse_free_slot(page: &PageMeta, slot: usize) {
    let never = page.taken.0[(slot / 64) & (WORDS - 1)].load(Ordering::Relaxed) >> (slot % 64) & 1 == 0;
    let address = page.base() + slot * page.slot_size();
    fatal(if never { Fault::Foreign } else { Fault::DoubleFree }, address, Some(page))
}

/// Ends the process if another thread freed the slot before.
fn refuse_remotely_freed(page: &PageMeta, slot: usize) {
    if page.remote.0[(slot / 64) & (WORDS - 1)].load(Ordering::Relaxed) & (1 << (slot % 64)) != 0 {
        fatal(Fault::DoubleFree, page.base() + slot * page.slot_size(), Some(page));
    }
}

/// The class of an own slab page.
#[inline(always)]
fn class_of(page: &PageMeta) -> ClassIdx {
    // SAFETY: a heap's pages are made with a class's tag.
    unsafe { ClassIdx::from_tag(page.header.class.load(Ordering::Relaxed)).unwrap_unchecked() }
}
