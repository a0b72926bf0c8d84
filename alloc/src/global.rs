//! The face: `BucketAlloc`, to be installed as the global allocator.
//!
//! Invariant: no method panics or unwinds; what can't be had is a null pointer.
#![allow(unsafe_code)]

use core::alloc::{GlobalAlloc, Layout};
use core::time::Duration;

use crate::class::{self, ClassIdx};
use crate::heap::{Front, Heap, front};
use crate::large;
use crate::occupancy::{self, PageOccupancy};
use crate::parked;
use crate::region::REGION;
use crate::registry::{own_front, own_heap, with_heap};
use crate::report::{self, PinningBlock, Report, request};
use crate::trace::recorder;
use crate::window::Window;
use crate::{purge, purger, site, sys};

/// The allocator. A value without content: all instances are the same allocator.
///
/// ```
/// use bucketmask_alloc::BucketAlloc;
///
/// #[global_allocator]
/// static ALLOCATOR: BucketAlloc = BucketAlloc::new();
///
/// let words: Vec<String> = "one mask three users".split(' ').map(String::from).collect();
/// assert!(ALLOCATOR.report().requested() > 0);
/// # drop(words);
/// ```
///
/// Requests up to 32 KiB come from bucket pages, up to 2 MiB from runs of 64 KiB, all others, and those
/// aligned to more than 64 KiB, from mimalloc. A block freed twice, or one that was never allocated, ends the process with a message
/// where it is noticed: always for a second free by the thread that owns the page before the slot is
/// handed out again; when the free is drained for one by another thread.
///
/// Malloc and free take no lock and do no atomic read-modify-write while a thread frees its own
/// blocks. A signal handler must not call them.
#[derive(Clone, Copy, Debug, Default)]
pub struct BucketAlloc;

impl BucketAlloc {
    /// The allocator.
    pub const fn new() -> Self {
        Self
    }

    /// What is where: live, requested, committed and resident bytes by node and size class, how full pages are,
    /// and what the kernel and mimalloc say.
    ///
    /// Exact when no other thread is inside the allocator; otherwise at most the operations in
    /// flight away. Takes time in proportion to the pages in use and to the mappings of the process.
    pub fn report(&self) -> Report {
        Report::take()
    }

    /// Gives memory that no block needs to the kernel, now. Returns the bytes given.
    ///
    /// It is given anyway once it was of no use for a while, see [`set_purge_delay`](Self::set_purge_delay).
    /// Takes time in proportion to the pages in use.
    pub fn purge(&self) -> usize {
        REGION.get();
        sys::keeping_errno(|| purge::look(true).given)
    }

    /// Sets how long memory is of no use before it is given to the kernel; `None`: only by
    /// [`purge`](Self::purge), and what dropped ranges have waiting for the next one goes at once. 500 ms unless set here or by `BUCKETMASK_PURGE` (milliseconds, or `off`).
    ///
    /// What is given was of no use for one to two delays, measured in milliseconds, at least one. A thread
    /// named `bucketmask-purge`, with a small stack and all signals blocked, does it; it is made when there
    /// is first something to give. A process that must have a single thread (to change its user
    /// namespace, say) turns it off by the variable.
    pub fn set_purge_delay(&self, delay: Option<Duration>) {
        REGION.get();
        let milliseconds = delay.map_or(0, |delay| delay.as_millis().clamp(1, u32::MAX.into()));
        purger::set_delay(milliseconds as u32);
        if milliseconds == 0 {
            // Nobody would come for them.
            parked::give_all_back();
        }
    }

    /// The masks themselves: which slots of which page are live. As exact as
    /// [`report`](Self::report).
    pub fn occupancy(&self) -> Vec<PageOccupancy> {
        let mut pages = Vec::new();
        self.for_each_page(|page| pages.push(page.clone()));
        pages
    }

    /// The live blocks that keep the page which `address` lies in, ascending; none if it lies in no page.
    /// `address` is any address of the page, such as [`PageOccupancy::base`]. As exact as
    /// [`report`](Self::report).
    pub fn who_pins(&self, address: usize) -> Vec<PinningBlock> {
        report::who_pins(address)
    }

    /// Does what the environment asks for, unless that was done before: `BUCKETMASK_REPORT` is a list of `exit`
    /// and `SIGUSR2`, set apart by commas. With `exit` a report is printed when the process ends, by `exit` or by
    /// returning from `main`; with `SIGUSR2` whenever it gets that signal, from a thread that this starts, while
    /// the program goes on. A handler that the program sets for the signal, before or later, takes its place;
    /// a forked child prints none on the signal until it executes another program. Reports go to standard error,
    /// or to the end of the file that `BUCKETMASK_REPORT_FILE` names.
    ///
    /// `BUCKETMASK_RECORD` names a file that gets a [trace](crate::trace) of what this process asks of the allocator, from now to its
    /// end; `%p` in the name becomes the process's number. An older file is overwritten. One that another process is
    /// recording into is left alone without a word: children inherit the variable. All memory of the recorder
    /// is a mapping of 1 MiB; a forked child records only once it executes another program.
    ///
    /// An installed allocator does this by itself when a thread allocates for the first time. Who calls the allocator
    /// otherwise, from a library that is loaded before the C library is ready, calls this when it is.
    pub fn report_on_request(&self) {
        request::arm_once();
    }

    /// Calls `visit` with each page in use and its live slots, by node and address. As exact as
    /// [`report`](Self::report), and quick: a few cache lines a page, however many slots it has. Takes
    /// nothing from the allocator itself; `visit` may.
    pub fn for_each_page(&self, visit: impl FnMut(&PageOccupancy)) {
        occupancy::for_each_page(visit);
    }
}

// SAFETY: blocks are disjoint (a slot is handed out by clearing its bit, by one thread), as large and
// as aligned as asked for (`class::class_of`), and stay valid until freed; no method unwinds.
unsafe impl GlobalAlloc for BucketAlloc {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let (size, align) = (layout.size(), layout.align());
        let block = if size > class::SMALL || align > 16 {
            malloc_other(size, align)
        } else {
            own_front().0.malloc(size, align).unwrap_or_else(|| malloc_other(size, align))
        };
        site::made(block);
        block
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let (size, align) = (layout.size(), layout.align());
        // SAFETY: by the trait's contract the block is ours and no longer used.
        unsafe {
            if size > class::SMALL || align > 16 {
                free_other(block, size);
            } else {
                let (front, heap) = own_front();
                let window = front.small_window(size, align);
                if !front::free(front, window, block as usize, size) {
                    free_far(block as usize, size, window, heap);
                }
            }
        }
        site::freed(block);
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let (size, align) = (layout.size(), layout.align());
        let block = match (class::class_of(size, align), own_heap()) {
            (Some(class), Some(heap)) => heap.malloc_zeroed(heap.window(class), size, size),
            (class, _) => malloc_first_zeroed(class, size, align),
        };
        site::made(block);
        block
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        if recorder::is_on() {
            // SAFETY: by the trait's contract.
            return unsafe { resize_recorded(block, layout, new_size) };
        }
        // SAFETY: as above.
        unsafe { resize(block, layout, new_size) }
    }
}

/// [`GlobalAlloc::realloc`], recorded as one event.
///
/// # Safety
/// As there.
#[cold]
#[inline(never)]
unsafe fn resize_recorded(block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
    recorder::resizing(block, layout.size());
    // SAFETY: by this function's contract.
    let moved = recorder::quietly(|| unsafe { resize(block, layout, new_size) });
    let (now, size) = if moved.is_null() { (block, layout.size()) } else { (moved, new_size) };
    recorder::resized(now, size, layout.align());
    moved
}

/// [`GlobalAlloc::realloc`].
///
/// # Safety
/// As there.
#[inline]
unsafe fn resize(block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
    let (size, align) = (layout.size(), layout.align());
    let (old, new) = (class::class_of(size, align), class::class_of(new_size, align));
    match (old, new) {
        (Some(old), Some(new)) if old == new => {
            if let Some(heap) = own_heap() {
                heap.window(new).count_resize(size, new_size);
            } else {
                with_heap(|heap| heap.window(new).count_resize(size, new_size));
            }
            return block;
        }
        (None, None) => {
            // SAFETY: by the trait's contract.
            let resize = |heap: &Heap| unsafe {
                heap.realloc_unclassed(block as usize, size, new_size, new_size, align)
            };
            match with_heap(resize) {
                Some(moved) if !moved.is_null() => {
                    site::made(moved);
                    return moved;
                }
                _ => {}
            }
        }
        _ => {}
    }
    // SAFETY: by the trait's contract the new size fits the alignment.
    let moved = unsafe { BucketAlloc.alloc(Layout::from_size_align_unchecked(new_size, align)) };
    if !moved.is_null() {
        // SAFETY: both blocks hold the smaller size and are distinct; the old one is the caller's.
        unsafe {
            block.copy_to_nonoverlapping(moved, size.min(new_size));
            BucketAlloc.dealloc(block, layout);
        }
    }
    moved
}

/// Malloc of more than a small block, or of one that the window does not have.
#[inline(never)]
fn malloc_other(size: usize, align: usize) -> *mut u8 {
    match (class::class_of(size, align), own_heap()) {
        (Some(class), Some(heap)) => heap.malloc(heap.window(class), size),
        (class, _) => malloc_first(class, size, align),
    }
}

/// Free of more than a small block, or of a thread without a heap.
///
/// # Safety
/// As [`GlobalAlloc::dealloc`].
#[inline(never)]
unsafe fn free_other(block: *mut u8, size: usize) {
    match own_heap() {
        // SAFETY: by this function's contract.
        Some(heap) => unsafe { heap.free(block as usize, size) },
        // SAFETY: as above.
        None => unsafe { free_slow(block, size) },
    }
}

/// Free of a small block, of the size of `window`, of which the thread's front does not know the place. `heap` is what
/// [`own_front`] told with it.
///
/// # Safety
/// As [`GlobalAlloc::dealloc`].
#[inline(never)]
unsafe fn free_far(address: usize, size: usize, window: &Window, heap: *const Heap) {
    // SAFETY: `heap` begins with a front, and is a heap, of this thread, if the front is one's.
    unsafe {
        if (*heap.cast::<Front>()).is_heap() {
            (*heap).free_far(address, window, size);
        } else {
            free_slow(address as *mut u8, size);
        }
    }
}

/// A malloc that may be the process's first. What the environment asks for is done behind it: the C library, which
/// may allocate for that, is ready where a program installed the allocator, and is not yet where `raw` serves it.
#[cold]
#[inline(never)]
fn malloc_first(class: Option<ClassIdx>, size: usize, align: usize) -> *mut u8 {
    let block = malloc_slow(class, size, align, size);
    request::arm_once();
    recorder::made(block, size, align, false);
    block
}

/// As [`malloc_first`], zeroed.
#[cold]
#[inline(never)]
fn malloc_first_zeroed(class: Option<ClassIdx>, size: usize, align: usize) -> *mut u8 {
    let block = malloc_slow_zeroed(class, size, align, size);
    request::arm_once();
    recorder::made(block, size, align, true);
    block
}

/// As [`malloc_slow`], zeroed.
#[cold]
#[inline(never)]
pub(crate) fn malloc_slow_zeroed(
    class: Option<ClassIdx>,
    size: usize,
    align: usize,
    bytes: usize,
) -> *mut u8 {
    let served = with_heap(|heap| match class {
        Some(class) => heap.malloc_zeroed(heap.window(class), size, bytes),
        None => heap.malloc_unclassed_zeroed(size, align, bytes),
    });
    served.unwrap_or_else(|| {
        let (size, align) = served_alone(class, size, align);
        large::malloc_zeroed(size, align)
    })
}

/// Malloc of a thread without a heap yet, or of what no class serves. `bytes` count as asked for.
#[cold]
#[inline(never)]
pub(crate) fn malloc_slow(class: Option<ClassIdx>, size: usize, align: usize, bytes: usize) -> *mut u8 {
    let served = with_heap(|heap| match class {
        Some(class) => heap.malloc(heap.window(class), bytes),
        None => heap.malloc_unclassed(size, align, bytes),
    });
    served.unwrap_or_else(|| {
        let (size, align) = served_alone(class, size, align);
        large::malloc(size, align)
    })
}

/// What mimalloc is asked for where there is no heap, and so no page: it may still have memory. A block of the
/// class's size, since it may be resized in place within the class.
fn served_alone(class: Option<ClassIdx>, size: usize, align: usize) -> (usize, usize) {
    class.map_or((size, align), |class| (class.about().slot_size as usize, class.align()))
}

/// Free of a thread without a heap. `bytes` count as asked for.
///
/// # Safety
/// As [`GlobalAlloc::dealloc`].
#[cold]
#[inline(never)]
unsafe fn free_slow(block: *mut u8, bytes: usize) {
    // Before: the address may be handed out again as soon as it is free.
    recorder::freed(block, bytes);
    // SAFETY: by this function's contract.
    unsafe { free_unrecorded(block, bytes) };
}

/// As [`free_slow`], but not recorded.
///
/// # Safety
/// As [`GlobalAlloc::dealloc`].
pub(crate) unsafe fn free_unrecorded(block: *mut u8, bytes: usize) {
    // SAFETY: by this function's contract.
    let served = with_heap(|heap| unsafe { heap.free(block as usize, bytes) });
    // Without memory for a heap a block of a page stays where it is: lost, but nothing breaks.
    if served.is_none() && REGION.offset_of(block as usize).is_none() {
        // SAFETY: not the region's, so mimalloc's.
        unsafe { large::free(block) };
    }
}
