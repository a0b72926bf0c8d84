//! What a look at all pages must know beforehand: which heaps there are, and what is pending in them.
//!
//! Owned by `occupancy`; lies in a mapping of its own, so that a look takes nothing from the allocator it
//! looks at. Invariant: `heaps` is sorted, and so is `pending`, by the address of the page; so looking at
//! pages in the order of their addresses never searches.
#![allow(unsafe_code)]

use core::ptr::NonNull;

use parking_lot::Mutex;

use crate::heap::Heap;
use crate::page::PageMeta;
use crate::pending::BUCKETS;
use crate::pending::View;
use crate::registry::for_each_heap;
use crate::sys;

/// Slots of a bucket seen pending.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(C)]
struct Pending {
    /// Address of the page's slot 0. True while the slots are pending, since they keep the page in use.
    base: usize,
    /// Address of the page's metadata.
    page: usize,
    bucket: usize,
    slots: u64,
}

/// See the module.
pub(crate) struct Roster {
    memory: Option<NonNull<u8>>,
    bytes: usize,
    /// Heaps that fit in, and those listed.
    room: usize,
    heaps: usize,
    pending: usize,
}

// SAFETY: the mapping is the roster's alone; nothing in it is bound to a thread.
unsafe impl Send for Roster {}

/// The roster of the last look, kept for the next. The allocator itself never takes this lock.
static KEPT: Mutex<Roster> = Mutex::new(Roster::empty());

/// Bytes that one heap needs.
const BYTES_PER_HEAP: usize = BUCKETS * size_of::<Pending>() + size_of::<usize>();

/// Calls `look` with a roster of now.
pub(crate) fn with_roster<R>(look: impl FnOnce(&Roster) -> R) -> R {
    // Who finds it in use, by another thread or by one that a fork left behind, makes its own.
    if let Some(mut kept) = KEPT.try_lock() {
        kept.fill();
        look(&kept)
    } else {
        let mut own = Roster::empty();
        own.fill();
        look(&own)
    }
}

impl Roster {
    const fn empty() -> Self {
        Self { memory: None, bytes: 0, room: 0, heaps: 0, pending: 0 }
    }

    /// Lists the heaps, and what is pending in them. Without memory the roster stays empty, and each
    /// question walks the heaps.
    fn fill(&mut self) {
        (self.heaps, self.pending) = (0, 0);
        let mut count = 0;
        for_each_heap(|_| count += 1);
        if count > self.room {
            self.make_room(count);
        }
        // Those made since may not fit in; `owner` finds them all the same.
        for_each_heap(|heap| {
            if self.heaps < self.room {
                self.list(heap);
            }
        });
        self.heaps_mut().sort_unstable();
        self.pending_mut().sort_unstable();
    }

    fn make_room(&mut self, heaps: usize) {
        self.unmap();
        let bytes = (heaps * BYTES_PER_HEAP).next_multiple_of(sys::OS_PAGE);
        self.memory = sys::map(bytes);
        if self.memory.is_some() {
            (self.bytes, self.room) = (bytes, bytes / BYTES_PER_HEAP);
        }
    }

    fn unmap(&mut self) {
        if let Some(memory) = self.memory.take() {
            // SAFETY: mapped in `make_room`; every slice of it borrowed the roster.
            unsafe { sys::unmap(memory, self.bytes) };
        }
        (self.bytes, self.room) = (0, 0);
    }

    fn list(&mut self, heap: &Heap) {
        self.heaps += 1;
        if let Some(last) = self.heaps_mut().last_mut() {
            *last = heap.id();
        }
        for view in heap.pending().views() {
            // SAFETY: what is or was pending is a slot of a page; metadata is never unmapped.
            let base = unsafe { &*view.page }.base();
            let View { page, bucket, free } = view;
            self.pending += 1;
            if let Some(last) = self.pending_mut().last_mut() {
                *last = Pending { base, page: page as usize, bucket, slots: free };
            }
        }
    }

    /// The part of the mapping behind the pending slots.
    fn heaps_at(&self) -> *mut usize {
        self.pending_at().wrapping_add(self.room * BUCKETS).cast()
    }

    fn pending_at(&self) -> *mut Pending {
        self.memory.map_or(core::ptr::dangling_mut(), |memory| memory.as_ptr().cast())
    }

    fn heaps(&self) -> &[usize] {
        // SAFETY: `room` words of the mapping, zeroed or written, of which `heaps` is at most that many; none
        // without a mapping.
        unsafe { core::slice::from_raw_parts(self.heaps_at(), self.heaps) }
    }

    fn heaps_mut(&mut self) -> &mut [usize] {
        // SAFETY: as in `heaps`; the roster is borrowed alone.
        unsafe { core::slice::from_raw_parts_mut(self.heaps_at(), self.heaps) }
    }

    fn pending(&self) -> &[Pending] {
        // SAFETY: the first `room * BUCKETS` records of the mapping; a heap has at most `BUCKETS` pending.
        unsafe { core::slice::from_raw_parts(self.pending_at(), self.pending) }
    }

    fn pending_mut(&mut self) -> &mut [Pending] {
        // SAFETY: as in `pending`; the roster is borrowed alone.
        unsafe { core::slice::from_raw_parts_mut(self.pending_at(), self.pending) }
    }

    /// The heap that owns a slab page; `None` for a page that was given back, whose owner word may be
    /// anything.
    #[inline]
    pub(crate) fn owner(&self, page: &PageMeta) -> Option<&'static Heap> {
        let owner = page.heap();
        if self.heaps().binary_search(&owner).is_ok() {
            // SAFETY: one of the heaps listed, which live for ever.
            return Some(unsafe { &*(owner as *const Heap) });
        }
        heap_at(owner)
    }

    /// What is pending of pages that are asked about in the order of their addresses.
    pub(crate) fn pending_in_order(&self) -> PendingInOrder<'_> {
        PendingInOrder { roster: self, next: 0 }
    }
}

impl Drop for Roster {
    fn drop(&mut self) {
        self.unmap();
    }
}

/// The heap at an address, if there is one: for heaps younger than the roster.
#[cold]
fn heap_at(address: usize) -> Option<&'static Heap> {
    let mut found = None;
    for_each_heap(|heap| {
        if heap.id() == address {
            found = Some(heap);
        }
    });
    found
}

/// See [`Roster::pending_in_order`].
pub(crate) struct PendingInOrder<'a> {
    roster: &'a Roster,
    next: usize,
}

impl PendingInOrder<'_> {
    /// Adds the slots pending of the page at `base` to `line`, a word a bucket. `base` never falls from call
    /// to call.
    #[inline]
    pub(crate) fn add_to(&mut self, line: &mut [u64], page: &PageMeta, base: usize) {
        let rest = &self.roster.pending()[self.next..];
        if self.roster.room == 0 {
            add_by_search(line, page);
        } else if rest.first().is_some_and(|first| first.base <= base) {
            let page = core::ptr::from_ref(page) as usize;
            let done = rest.iter().take_while(|pending| pending.base <= base);
            for pending in done {
                self.next += 1;
                if pending.page == page {
                    line[pending.bucket] |= pending.slots;
                }
            }
        }
    }
}

/// As [`PendingInOrder::add_to`], for a roster that got no memory.
#[cold]
fn add_by_search(line: &mut [u64], page: &PageMeta) {
    for_each_heap(|heap| {
        let here = heap.pending().views().filter(|view| core::ptr::eq(view.page, page));
        here.for_each(|view| line[view.bucket] |= view.free);
    });
}

static_assertions::const_assert!(align_of::<Pending>() == align_of::<usize>());
static_assertions::const_assert!(size_of::<Pending>() % align_of::<usize>() == 0);
