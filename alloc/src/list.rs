//! A heap's lists of pages of one class that have free slots worth looking for, by how full they are.
//!
//! Owned by a heap and used by its thread only. Invariant: a page is in the list that its header
//! says, once, linked both ways.
#![allow(unsafe_code)]

use core::sync::atomic::{AtomicPtr, Ordering};

use crate::page::PageMeta;

/// Which list a page is in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Listed {
    /// In none: no slot was free when last looked, or too few to be worth a look.
    Not = 0,
    /// More than half of its slots are used: taken first, so that emptier pages may become empty.
    Fuller = 1,
    /// At most half of its slots are used.
    Emptier = 2,
}

/// The pages of a class. Zeroed memory is empty lists.
#[repr(C)]
pub(crate) struct Pages {
    fuller: PageList,
    emptier: PageList,
}

impl Pages {
    /// Which list a page is in.
    pub(crate) fn listed(page: &PageMeta) -> Listed {
        match page.list() {
            1 => Listed::Fuller,
            2 => Listed::Emptier,
            _ => Listed::Not,
        }
    }

    /// Moves a page to the front of another list.
    pub(crate) fn relist(&self, page: &'static PageMeta, to: Listed) {
        if let Some(list) = self.list(Self::listed(page)) {
            list.remove(page);
        }
        page.set_list(to as u8);
        if let Some(list) = self.list(to) {
            list.push(page);
        }
    }

    fn list(&self, listed: Listed) -> Option<&PageList> {
        match listed {
            Listed::Not => None,
            Listed::Fuller => Some(&self.fuller),
            Listed::Emptier => Some(&self.emptier),
        }
    }

    /// A listed page that nobody claims, of the fuller ones if there are any. It stays listed.
    pub(crate) fn first(&self) -> Option<&'static PageMeta> {
        /// Pages looked at: more are seldom claimed at a time.
        const LOOK: usize = 64;
        let pages = |list: &PageList| core::iter::successors(list.head(), |page| next_of(page));
        let mut listed = pages(&self.fuller).chain(pages(&self.emptier)).take(LOOK);
        listed.find(|page| !page.header.expected.is_claimed())
    }

    /// Whether `page`, which is one of them, is all there is.
    pub(crate) fn is_only(&self, page: &PageMeta) -> bool {
        let lists = [&self.fuller, &self.emptier];
        lists.iter().all(|list| list.head().is_none_or(|head| core::ptr::eq(head, page)))
            && next_of(page).is_none()
    }

    /// Takes all pages out that have no slot in use, and hands them to `give`.
    pub(crate) fn drain_empty(&self, give: impl Fn(&'static PageMeta) -> bool) {
        let mut page = self.emptier.head();
        while let Some(listed) = page {
            page = next_of(listed);
            if listed.header.used.load(Ordering::Relaxed) == 0 {
                self.relist(listed, Listed::Not);
                if !give(listed) {
                    // Claimed: to be looked after again when it was used and is empty once more.
                    self.relist(listed, Listed::Emptier);
                    listed.header.call_below.store(1, Ordering::Relaxed);
                }
            }
        }
    }
}

#[repr(transparent)]
struct PageList(AtomicPtr<PageMeta>);

impl PageList {
    fn head(&self) -> Option<&'static PageMeta> {
        // SAFETY: listed pages are metadata, which is never unmapped.
        unsafe { self.0.load(Ordering::Relaxed).as_ref() }
    }

    /// Puts a page in front.
    fn push(&self, page: &'static PageMeta) {
        let page_ptr = core::ptr::from_ref(page).cast_mut();
        let head = self.0.load(Ordering::Relaxed);
        page.header.previous.store(core::ptr::null_mut(), Ordering::Relaxed);
        page.header.next.store(head, Ordering::Relaxed);
        if let Some(head) = self.head() {
            head.header.previous.store(page_ptr, Ordering::Relaxed);
        }
        self.0.store(page_ptr, Ordering::Relaxed);
    }

    /// Takes a page out, wherever it is.
    fn remove(&self, page: &'static PageMeta) {
        let next = page.header.next.load(Ordering::Relaxed);
        let previous = page.header.previous.load(Ordering::Relaxed);
        if let Some(next) = next_of(page) {
            next.header.previous.store(previous, Ordering::Relaxed);
        }
        // SAFETY: as in `head`.
        match unsafe { previous.as_ref() } {
            Some(previous) => previous.header.next.store(next, Ordering::Relaxed),
            None => self.0.store(next, Ordering::Relaxed),
        }
    }
}

fn next_of(page: &PageMeta) -> Option<&'static PageMeta> {
    // SAFETY: as in `PageList::head`.
    unsafe { page.header.next.load(Ordering::Relaxed).as_ref() }
}
