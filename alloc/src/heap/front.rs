//! A heap's front: its windows, and all that malloc and free of a small block need while nothing is amiss.
//!
//! Part of the heap, and its first bytes. A thread without a heap has a front as well, of windows that have nothing and
//! know nothing, so that malloc and free need not ask whether there is a heap: they end where a window can't help, and
//! there it is asked. Invariant: nothing here writes to a front that is no heap's.
#![allow(unsafe_code)]

use core::sync::atomic::{Ordering, compiler_fence};

use super::known::Known;
use super::{Heap, class_of, refuse_remotely_freed};
use crate::class::{self, CLASSES, SMALL_SIZES};
use crate::page::{PageMeta, WORDS};
use crate::purger;
use crate::window::{self, Window};

/// See the module.
#[repr(C)]
pub(crate) struct Front {
    pub(super) windows: [Window; CLASSES],
    /// The windows of small requests, by size, so that the common request costs one load and no rounding.
    pub(super) small: [*const Window; SMALL_SIZES],
    pub(super) known: Known,
    pub(super) is_heap: bool,
}

// SAFETY: one thread uses a heap's front, as the heap; what others read of it is atomics. The pointers name windows of the
// front itself, or one that never changes, and are never written once the front is shown to anybody.
unsafe impl Sync for Front {}

/// The front of threads that have no heap yet.
pub(crate) static NOBODY: Front = Front::of_none();
/// The front of threads that gave their heap back.
pub(crate) static GONE: Front = Front::of_none();
/// The front of threads that have a heap, all of whose mallocs and frees are recorded (see `trace`).
pub(crate) static RECORDED: Front = Front::of_none();

static NO_WINDOW: Window = Window::none();

impl Front {
    const fn of_none() -> Self {
        Self {
            windows: [const { Window::none() }; CLASSES],
            small: [&raw const NO_WINDOW; SMALL_SIZES],
            known: Known::none(),
            is_heap: false,
        }
    }

    /// Whether it is a heap's.
    #[inline(always)]
    pub(crate) fn is_heap(&self) -> bool {
        self.is_heap
    }

    /// The window of a request up to [`class::SMALL`] bytes, at an alignment of at most 16.
    #[inline(always)]
    pub(crate) fn small_window(&self, size: usize, align: usize) -> &Window {
        debug_assert!(size <= class::SMALL && align <= 16);
        // SAFETY: as many steps as small sizes; each names a window that lives for ever.
        unsafe { &**self.small.get_unchecked(class::small_size(size, align)) }
    }

    /// A block of a small size, if its window has one: its last slot, and nothing that other threads write.
    #[inline(always)]
    pub(crate) fn malloc(&self, size: usize, align: usize) -> Option<*mut u8> {
        let window = self.small_window(size, align);
        let address = window.pop()?;
        window.count_malloc(size);
        Some(address as *mut u8)
    }
}

/// Frees a block of the size of `window`, of the thread's own front, if its place is known: it is the block that malloc
/// took last, or lies in a page freed into lately. `false`: nothing was done.
#[inline(always)]
pub(crate) fn free(front: &Front, window: &Window, address: usize, size: usize) -> bool {
    if let Some((word, slot)) = window.push_again(address) {
        window.count_free(size);
        pushed(window::page_of(word), slot);
        return true;
    }
    match front.known.slot(window, address) {
        Some((page, slot)) => free_slot(window, page, slot, address, size),
        None => false,
    }
}

/// Frees a slot of an own page, whose slots `window` takes; `false`: it is free already, and nothing was done.
#[inline(always)]
pub(super) fn free_slot(
    window: &Window,
    page: &'static PageMeta,
    slot: usize,
    address: usize,
    bytes: usize,
) -> bool {
    // A page has at most 512 slots, so eight buckets.
    let word = &page.local_free.0[(slot / 64) & (WORDS - 1)];
    let free = word.load(Ordering::Relaxed);
    let bit = 1u64.wrapping_shl(slot as u32);
    let freed = if window::CHECKED { free ^ bit } else { free | bit };
    if window::CHECKED && freed < free {
        // It was set.
        return false;
    }
    window.count_free(bytes);
    // Release pairs with a report's acquire.
    word.store(freed, Ordering::Release);
    if window.push(word, slot, address) {
        pushed(page, slot);
    } else {
        free_to_page(page, slot);
    }
    true
}

/// Looks whether an own page has something to say about a slot just freed into the window.
#[inline(always)]
fn pushed(page: &'static PageMeta, slot: usize) {
    // The slot is said to be in the window before it is asked whether the page is claimed: see
    // `Expected`.
    compiler_fence(Ordering::SeqCst);
    if page.header.expected.is_any() {
        pushed_expecting(page, slot);
    }
}

/// Leaves a slot just freed to its own page: the window is full.
#[inline(never)]
fn free_to_page(page: &'static PageMeta, slot: usize) {
    if page.header.expected.is_any() {
        refuse_remotely_freed(page, slot);
    }
    if page.drop_used(1) {
        heap_of(page).look_after(page);
        purger::tend();
    }
}

/// Does with a slot just freed into the window what its page's remote mask or a claim ask for.
#[inline(never)]
fn pushed_expecting(page: &'static PageMeta, slot: usize) {
    refuse_remotely_freed(page, slot);
    if page.header.expected.is_claimed() {
        let heap = heap_of(page);
        heap.window(class_of(page)).unpush();
        if page.drop_used(1) {
            heap.look_after(page);
        }
    }
}

/// The heap of an own page.
fn heap_of(page: &PageMeta) -> &'static Heap {
    // SAFETY: an own page has an owner, and heaps live for ever.
    unsafe { &*(page.heap() as *const Heap) }
}
