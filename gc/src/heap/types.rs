//! [`TypeHeap`]: the pages of one type, and the window from which its objects are allocated.
//!
//! Owned by the index. Invariant: `window` is the free slots of the word `word` that have not been handed out; each is
//! clear in `occupied` until it is. A window is never on an unswept page; when a sweep starts there is none, and the search
//! for one begins at the first page.
#![allow(unsafe_code)]

use super::plan::PagePlan;
use super::remains::Remains;
use super::sweep::{Destructors, Sweep};
use super::table::TypeTable;
use super::{CHUNK_BYTES, checked};
use bucketmask_alloc::{LentPage, PageRequest, current_node, give_back, lend};
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// The user words of a page's header.
pub(super) const USER_TABLE: usize = 0;
/// Whether a slot of the page may be held, or be the target of a weak pointer that was reached in this cycle.
pub(super) const USER_WEAK: usize = 1;
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
    /// All pages but those of `unswept`.
    pages: Vec<LentPage>,
    /// Pages that were there when the sweep started; those before `next_unswept` are in `pages` again, or gone.
    unswept: Vec<LentPage>,
    next_unswept: usize,
    /// Whether this sweep has kept an empty page.
    spare: bool,
    held_bytes: usize,
    /// Page and word from which the next window is looked for.
    cursor: (usize, usize),
}

/// Pages that are swept for one object, at most: 512 slots each.
const SWEPT_FOR_ONE: usize = 8;

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
            unswept: Vec::new(),
            next_unswept: 0,
            spare: false,
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
        let before = self.word.load(Relaxed);
        self.word.store(before | bit, Relaxed);
        // SAFETY: the slot is one of the bucket at `first`.
        let slot = unsafe { self.first.add(window.trailing_zeros() as usize * slot_bytes) };
        checked::handed_out(slot.as_ptr(), before & bit == 0, slot_bytes);
        Some(slot)
    }

    /// Opens the next window, on a page that is swept for it or on a new one if need be. False: no page is to be had. An object
    /// waits for the sweep of [`SWEPT_FOR_ONE`] pages at most: where they are all full it takes a new page.
    pub(super) fn refill(&mut self, sweep: &mut Sweep<'_>) -> bool {
        let mut may_sweep = if self.table.drop.is_none() { SWEPT_FOR_ONE } else { 0 };
        loop {
            while let Some(&page) = self.pages.get(self.cursor.0) {
                while self.cursor.1 < words(page) {
                    let index = self.cursor.1;
                    self.cursor.1 += 1;
                    let taken = page.occupied()[index].load(Relaxed) | page.scanned()[index].load(Relaxed);
                    let taken = if checked::seeded!("gc: window over an occupied slot") { 0 } else { taken };
                    let free = valid_slots(page, index) & !taken;
                    if free != 0 {
                        self.open(page, index, free);
                        return true;
                    }
                }
                self.cursor = (self.cursor.0 + 1, 0);
            }
            // A callback is running: destructors must not.
            if may_sweep > 0 && self.sweep_next(sweep) {
                may_sweep -= 1;
                continue;
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

    pub(super) fn pages(&self) -> impl ExactSizeIterator<Item = LentPage> + '_ {
        let unswept = self.unswept();
        let all = self.pages.len() + unswept.len();
        (0..all).map(move |at| self.pages.get(at).copied().unwrap_or_else(|| unswept[at - self.pages.len()]))
    }

    /// The pages that the sweep has not come to.
    pub(super) fn unswept(&self) -> &[LentPage] {
        &self.unswept[self.next_unswept..]
    }

    pub(super) fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Closes the window; its slots stay free.
    fn close_window(&mut self) {
        self.window = 0;
        self.word = &NO_WORD;
        self.cursor = (0, 0);
    }

    /// All pages are unswept from now on.
    pub(super) fn start_sweep(&mut self) {
        self.close_window();
        self.spare = false;
        self.unswept.clear();
        self.next_unswept = 0;
        std::mem::swap(&mut self.pages, &mut self.unswept);
    }

    /// The next page to sweep, which the caller keeps or returns.
    #[inline]
    pub(super) fn next_unswept(&mut self) -> Option<LentPage> {
        let page = *self.unswept.get(self.next_unswept)?;
        self.next_unswept += 1;
        Some(page)
    }

    /// Whether an empty page need not be kept, since one is. If not, the caller keeps it.
    pub(super) fn keeps_spare(&mut self) -> bool {
        std::mem::replace(&mut self.spare, true)
    }

    /// Takes a swept page.
    #[inline]
    pub(super) fn keep_page(&mut self, page: LentPage) {
        self.pages.push(page);
    }

    /// Gives an empty page back.
    pub(super) fn return_page(&mut self, page: LentPage) {
        self.held_bytes -= page.bytes();
        checked::returned(page);
        // SAFETY: an empty page, into which nothing points, and on which no window is.
        unsafe { give_back(page) };
    }

    /// Drops all values and gives all pages back.
    pub(super) fn drop_all(&mut self, destructors: &mut Destructors, remains: &mut Remains) {
        self.close_window();
        let unswept = self.unswept.split_off(self.next_unswept);
        for page in self.pages.split_off(0).into_iter().chain(unswept) {
            for index in 0..words(page) {
                let occupied = page.occupied()[index].swap(0, Relaxed);
                // SAFETY: the arena goes; nobody will use the values again.
                unsafe { destructors.run(self.table, bucket(page, index), occupied, remains) };
            }
            self.return_page(page);
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heap::cycle::{Effort, Until};
    use crate::heap::{Context, Home};
    use crate::{Gc, Mutation};

    #[test]
    fn one_object_waits_for_the_sweep_of_a_few_pages() {
        let mut home = Home::new();
        let unswept = |context: &mut Context| {
            context.heap.get_mut().index.heaps().map(|heap| heap.unswept().len()).sum::<usize>()
        };
        // SAFETY: nothing but the root is used after this, and the context outlives it.
        let mc = unsafe { Mutation::of(&home) };
        let root: Vec<Gc<'_, u64>> = (0..512 * 40).map(|number| Gc::new(mc, number)).collect();
        let context = &mut *home;
        // SAFETY: the root of this context.
        unsafe { context.run(&root, Effort::All, Until::Sweeping) };
        let mut before = unswept(context);
        assert!(before >= 40);
        let mut looked = 0;
        while before > 0 {
            context.allocate(7_u64);
            let now = unswept(context);
            assert!(before - now <= SWEPT_FOR_ONE, "{} pages were swept for one object", before - now);
            looked += usize::from(now != before);
            before = now;
            assert!(looked < 100);
        }
        assert!(looked >= 40 / SWEPT_FOR_ONE);
        // SAFETY: as above.
        unsafe { context.run(&root, Effort::All, Until::CycleEnd) };
        // SAFETY: as above.
        assert!(unsafe { context.verify(&root) }.is_ok());
    }
}
