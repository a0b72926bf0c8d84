//! A heap's list of pages of one class that may have free slots.
//!
//! Owned by a heap and used by its thread only. Invariant: exactly the pages of state `Partial`,
//! each once, linked both ways.
#![allow(unsafe_code)]

use core::sync::atomic::{AtomicPtr, Ordering};

use crate::page::PageMeta;

/// Pages looked at for the fullest.
const LOOK: usize = 8;

/// Zeroed memory is an empty list.
#[repr(transparent)]
pub(crate) struct PageList(AtomicPtr<PageMeta>);

impl PageList {
    fn head(&self) -> Option<&'static PageMeta> {
        // SAFETY: listed pages are metadata, which is never unmapped.
        unsafe { self.0.load(Ordering::Relaxed).as_ref() }
    }

    /// Puts a page in front.
    pub(crate) fn push(&self, page: &'static PageMeta) {
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
    pub(crate) fn remove(&self, page: &'static PageMeta) {
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

    /// Whether `page` is all there is.
    pub(crate) fn is_only(&self, page: &PageMeta) -> bool {
        core::ptr::eq(self.0.load(Ordering::Relaxed), page)
            && page.header.next.load(Ordering::Relaxed).is_null()
    }

    /// Takes the fullest of the first few pages out: emptier ones may become empty meanwhile.
    pub(crate) fn take_fullest(&self) -> Option<&'static PageMeta> {
        let pages = core::iter::successors(self.head(), |page| next_of(page)).take(LOOK);
        let fullest = pages.max_by_key(|page| page.header.used.load(Ordering::Relaxed))?;
        self.remove(fullest);
        Some(fullest)
    }

    /// Takes all pages out that have no slot in use and no freer at them, and hands them to `give`.
    pub(crate) fn drain_empty(&self, give: impl Fn(&'static PageMeta)) {
        let mut page = self.head();
        while let Some(listed) = page {
            page = next_of(listed);
            if listed.header.used.load(Ordering::Relaxed) == 0 && listed.header.signals.is_quiet() {
                self.remove(listed);
                give(listed);
            }
        }
    }
}

fn next_of(page: &PageMeta) -> Option<&'static PageMeta> {
    // SAFETY: as in `PageList::head`.
    unsafe { page.header.next.load(Ordering::Relaxed).as_ref() }
}
