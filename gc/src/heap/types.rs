//! [`TypeHeap`]: the pages of one type, and the window from which its objects are allocated.
//!
//! Owned by the index. Invariant: `window` is the free slots of the word `word` that have not been handed out; each is
//! clear in `occupied` until it is. After a sweep there is no window, and the search for one starts at the first page.
#![allow(unsafe_code)]

use super::CHUNK_BYTES;
use super::plan::PagePlan;
use super::sweep::Destructors;
use super::table::TypeTable;
use bucketmask_alloc::{LentPage, PageRequest, current_node, give_back, lend};
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// The user words of a page's header.
pub(super) const USER_TABLE: usize = 0;
/// Whether, and for how much, the page is in the marker's queue: see `mark.rs`.
pub(super) const USER_QUEUED: usize = 2;

pub(super) struct TypeHeap {
    window: u64,
    /// Slot 0 of the window's bucket.
    first: NonNull<u8>,
    /// The window's word of `occupied`.
    word: &'static AtomicU64,
    table: &'static TypeTable,
    plan: PagePlan,
    pages: Vec<LentPage>,
    held_bytes: usize,
    /// Page and word from which the next window is looked for.
    cursor: (usize, usize),
}

/// What `word` refers to before there is a page. Never written: the window is empty.
static NO_WORD: AtomicU64 = AtomicU64::new(0);

impl TypeHeap {
    pub(super) fn new(table: &'static TypeTable) -> Self {
        Self {
            window: 0,
            first: NonNull::dangling(),
            word: &NO_WORD,
            table,
            plan: PagePlan::new(table.slot_bytes),
            pages: Vec::new(),
            held_bytes: 0,
            cursor: (0, 0),
        }
    }

    /// A slot of the window.
    #[inline(always)]
    pub(super) fn take(&mut self, slot_bytes: usize) -> Option<NonNull<u8>> {
        let window = self.window;
        if window == 0 {
            return None;
        }
        let bit = window & window.wrapping_neg();
        self.window = window ^ bit;
        // Relaxed: only this thread writes a lent page's masks; reports of other threads may see either value.
        self.word.store(self.word.load(Relaxed) | bit, Relaxed);
        // SAFETY: the slot is one of the bucket at `first`.
        Some(unsafe { self.first.add(window.trailing_zeros() as usize * slot_bytes) })
    }

    /// Opens the next window, on a new page if need be. False: no page is to be had.
    pub(super) fn refill(&mut self) -> bool {
        loop {
            while let Some(&page) = self.pages.get(self.cursor.0) {
                while self.cursor.1 < words(page) {
                    let index = self.cursor.1;
                    self.cursor.1 += 1;
                    let taken = page.occupied()[index].load(Relaxed) | page.scanned()[index].load(Relaxed);
                    let free = valid_slots(page, index) & !taken;
                    if free != 0 {
                        self.open(page, index, free);
                        return true;
                    }
                }
                self.cursor = (self.cursor.0 + 1, 0);
            }
            let Some(page) = self.lend_page() else { return false };
            self.held_bytes += page.bytes();
            self.pages.push(page);
        }
    }

    fn open(&mut self, page: LentPage, index: usize, free: u64) {
        self.window = free;
        self.word = &page.occupied()[index];
        self.first = bucket(page, index);
    }

    fn lend_page(&self) -> Option<LentPage> {
        let page = self.lend_anywhere()?;
        if valid_slots(page, 0) != 0 {
            return Some(page);
        }
        // The only slot lies at a chunk's start, where no object but a huge one may be.
        let elsewhere = self.lend_anywhere();
        // SAFETY: just lent, and never used.
        unsafe { give_back(page) };
        let elsewhere = elsewhere?;
        if valid_slots(elsewhere, 0) != 0 {
            return Some(elsewhere);
        }
        // SAFETY: just lent, and never used.
        unsafe { give_back(elsewhere) };
        None
    }

    fn lend_anywhere(&self) -> Option<LentPage> {
        let bytes = self.plan.next(self.held_bytes);
        let request = PageRequest { bytes, slot_size: self.table.slot_bytes, leaf: !self.table.needs_trace };
        let page = lend(current_node(), request)?;
        page.user()[USER_TABLE].store(self.table.expose(), Relaxed);
        Some(page)
    }

    /// Whether the type's pages have one slot each.
    pub(super) fn solitary(&self) -> bool {
        self.plan.first / self.table.slot_bytes == 1
    }

    pub(super) fn table(&self) -> &'static TypeTable {
        self.table
    }

    pub(super) fn pages(&self) -> &[LentPage] {
        &self.pages
    }

    pub(super) fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Closes the window; its slots stay free.
    pub(super) fn close_window(&mut self) {
        self.window = 0;
        self.word = &NO_WORD;
        self.cursor = (0, 0);
    }

    /// Gives back the pages that `keep` refuses. The window must be closed.
    pub(super) fn retain_pages(&mut self, mut keep: impl FnMut(LentPage) -> bool) {
        let held_bytes = &mut self.held_bytes;
        self.pages.retain(|&page| {
            let kept = keep(page);
            if !kept {
                *held_bytes -= page.bytes();
                // SAFETY: an empty page, into which nothing points; the window is closed.
                unsafe { give_back(page) };
            }
            kept
        });
    }

    /// Drops all values and gives all pages back.
    pub(super) fn drop_all(&mut self, destructors: &mut Destructors) {
        self.close_window();
        for &page in &self.pages {
            for index in 0..words(page) {
                let occupied = page.occupied()[index].swap(0, Relaxed);
                // SAFETY: the arena goes; nobody will use the values again.
                unsafe { destructors.run(self.table, bucket(page, index), occupied) };
            }
        }
        self.retain_pages(|_| false);
    }
}

/// Mask words that a page has.
pub(super) fn words(page: LentPage) -> usize {
    page.slots().div_ceil(64)
}

/// Slots of the bucket `index` of a page.
pub(super) fn slots_in(page: LentPage, index: usize) -> u32 {
    (page.slots() - index * 64).min(64) as u32
}

/// Slots of the bucket `index` in which an object may lie: not the one at a chunk's start.
pub(super) fn valid_slots(page: LentPage, index: usize) -> u64 {
    let all = u64::MAX >> (64 - slots_in(page, index));
    let at_chunk = index == 0 && page.base().addr().get() % CHUNK_BYTES == 0;
    all & !u64::from(at_chunk)
}

/// The address of slot 0 of the bucket `index`.
pub(super) fn bucket(page: LentPage, index: usize) -> NonNull<u8> {
    // SAFETY: `index` is below the page's number of mask words, so the bucket starts inside the page.
    unsafe { page.base().add(index * 64 * page.slot_size()) }
}
