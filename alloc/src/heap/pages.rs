//! Where a window's slots come from, and what becomes of pages with free slots.
//!
//! Part of the heap. Invariant: a page is in the list that its count of used slots called for when it was
//! last looked after, and `call_below` is the count below which it must be again; a listed page without
//! a free slot leaves its list when a refill meets it.
//!
//! ```text
//!   fresh, or an idle heap's --> listed --- a refill finds no slot left ---> unlisted
//!                                  ^                                            |
//!                                  +----- a sixteenth of the slots is free -----+
//!   used = 0: back to the span, unless it is the class's only one
//! ```
#![allow(unsafe_code)]

use core::sync::atomic::{Ordering, compiler_fence};

use super::{Heap, class_of};
use crate::class::ClassIdx;
use crate::events::mem::{self as events, Kind, of_page};
use crate::granule;
use crate::list::{Listed, Pages};
use crate::node::{NodeId, current_node};
use crate::page::{PageMeta, PageSpec};
use crate::region::REGION;
use crate::{probes, purger, registry};

/// Of so many slots of a page one has to be free before malloc looks for the page: the look is paid by
/// several slots, and the rest of the memory is lost to fragmentation at worst.
const SLOTS_PER_FREE: u16 = 16;
/// Pages tried before a refill is given up for a fresh one: those claimed in the very moment, or whose masks are not as
/// their count says.
const TRIED: usize = 8;

impl Heap {
    /// Puts a page where its count of used slots says, and notes at which count that changes; gives it back
    /// if it is empty and not the class's only one.
    #[cold]
    #[inline(never)]
    pub(super) fn look_after(&self, page: &'static PageMeta) {
        purger::stir();
        let pages = self.pages(class_of(page));
        let (used, slots) = (page.used(), page.slots() as u16);
        let few_free = slots - slots.div_ceil(SLOTS_PER_FREE) + 1;
        let (list, call_below) = if used >= few_free {
            (Listed::Not, few_free)
        } else if used > slots / 2 {
            (Listed::Fuller, slots / 2 + 1)
        } else {
            (Listed::Emptier, u16::from(used > 0))
        };
        if list != Pages::listed(page) {
            pages.relist(page, list);
        }
        page.header.call_below.store(call_below, Ordering::Relaxed);
        if used == 0 && !pages.is_only(page) {
            pages.relist(page, Listed::Not);
            self.window(class_of(page)).forget();
            self.front.known.forget(page);
            if !self.give(page) {
                // Claimed: to be looked after again when it was used and is empty once more.
                pages.relist(page, Listed::Emptier);
                page.header.call_below.store(1, Ordering::Relaxed);
            }
        }
    }

    /// Fills the empty window of `class`. `false`: no memory.
    pub(super) fn refill(&self, class: ClassIdx) -> bool {
        let window = self.window(class);
        self.take_inbox();
        let mut tried = 0;
        loop {
            let Some(page) = self.next_page(class, tried < TRIED) else { return false };
            tried += 1;
            let free = page.slots().saturating_sub(usize::from(page.used()));
            let filled = window.fill(page, free);
            page.add_used(filled as u16);
            if filled == free {
                // Nothing is left: into no list.
                self.look_after(page);
            } else if filled == 0 {
                // Its masks are not as its count says: not to be met again.
                self.pages(class).relist(page, Listed::Not);
            }
            // The slots are said to be in the window before it is asked whether the page is claimed: see
            // `Expected`.
            compiler_fence(Ordering::SeqCst);
            if page.header.expected.is_claimed() {
                window.empty(|page| _ = page.drop_used(1));
                self.look_after(page);
            } else if filled > 0 {
                return true;
            }
        }
    }

    /// The listed pages of a class.
    #[inline(always)]
    fn pages(&self, class: ClassIdx) -> &Pages {
        &self.pages[class.get()]
    }

    /// A page with a free slot: one of ours, one of an idle heap's, or a fresh one.
    fn next_page(&self, class: ClassIdx, listed: bool) -> Option<&'static PageMeta> {
        if listed {
            if let Some(page) = self.pages(class).first() {
                return Some(page);
            }
            if let Some(page) = registry::adopt(class, self) {
                self.tell(Kind::PageAdopted, || of_page(page));
                return Some(page);
            }
        }
        self.fresh_page(class)
    }

    /// A page of this thread's node, or of the next that has one.
    fn fresh_page(&self, class: ClassIdx) -> Option<&'static PageMeta> {
        let about = class.about();
        let spec = PageSpec {
            kind: granule::Kind::Slab,
            tag: class.tag(),
            slot_size: about.slot_size,
            bytes: about.page_bytes,
        };
        let here = current_node();
        self.settle(here);
        let first = usize::from(here.0);
        let spans = REGION.spans();
        let page = (0..spans.len()).find_map(|step| spans[(first + step) % spans.len()].take_page(spec))?;
        probes::page_taken(page.base(), page.slot_size());
        self.tell(Kind::PageTaken, || of_page(page));
        self.own(page);
        Some(page)
    }

    /// Makes a page this heap's, and lists it.
    fn own(&self, page: &'static PageMeta) {
        let window = self.window(class_of(page));
        // Release pairs with the acquire in `PageMeta::heap`, of reports and of freers that send slots home.
        page.header.owner.store(core::ptr::from_ref(window) as usize, Ordering::Release);
        page.header.call_below.store(1, Ordering::Relaxed);
        self.pages(class_of(page)).relist(page, Listed::Emptier);
    }

    /// Takes a page of `class` on node `here` with free slots from an idle heap, which the caller holds. Its remote frees
    /// on their way still go to the idle heap, which passes them on.
    pub(crate) fn adopt_from(&self, idle: &Heap, class: ClassIdx, here: NodeId) -> Option<&'static PageMeta> {
        idle.take_inbox();
        let pages = idle.pages(class);
        let page = pages.first().filter(|page| page.node() == here)?;
        pages.relist(page, Listed::Not);
        // So that a second free of what is pending meets it in the page's remote mask.
        self.flush();
        self.own(page);
        Some(page)
    }
}

impl Heap {
    /// Gives an empty page that is in no list back to its span; `false` if it is claimed.
    pub(super) fn give(&self, page: &'static PageMeta) -> bool {
        if !events::is_on() {
            return give(page);
        }
        // Read before the page may be another's.
        let told = of_page(page);
        let given = give(page);
        if given {
            self.tell(Kind::PageReturned, || told);
        }
        given
    }
}

/// As the method, of any heap's page.
fn give(page: &'static PageMeta) -> bool {
    let owner = page.header.owner.load(Ordering::Relaxed);
    page.header.owner.store(0, Ordering::Relaxed);
    // The page is said to be nobody's before it is asked whether it is claimed: see `Expected`.
    compiler_fence(Ordering::SeqCst);
    if page.header.expected.is_claimed() {
        page.header.owner.store(owner, Ordering::Relaxed);
        return false;
    }
    // SAFETY: empty, so that no freer touches it and no window has a slot of it; in no list, not claimed.
    unsafe { REGION.span(page.node()).give_page(page) };
    true
}
