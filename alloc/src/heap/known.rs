//! Pages freed into lately: from a block's address to its page, without the granule map and the page's owner.
//!
//! Part of a heap's front; its thread alone looks. A place stands for 8 KiB of addresses, the least page, modulo the table: so
//! where it is follows from the address alone, and need not wait for the window. Invariant: a page that is known is its
//! heap's own and in use; so its owner need not be read.
#![allow(unsafe_code)]

use core::cell::Cell;

use crate::class::{LARGEST_PAGE, SMALLEST_PAGE};
use crate::page::PageMeta;
use crate::window::Window;

/// Places of the table: for 8 MiB.
const PLACES: usize = 1024;
/// log2 of a place's bytes.
const PLACE_SHIFT: u32 = size_of::<Place>().trailing_zeros();
/// By so much an address is shifted for its byte in the table.
const SHIFT: u32 = SMALLEST_PAGE.trailing_zeros() - PLACE_SHIFT;

/// See the module. Of zeroes, it knows nothing.
#[repr(C, align(64))]
pub(crate) struct Known([Place; PLACES]);

/// A page that a block was freed into, by the block's address.
#[repr(C)]
struct Place {
    /// The address of the page's slot 0, and the tag of its class's window on top; 0 where no page is known.
    base: Cell<usize>,
    page: Cell<*const PageMeta>,
}

// Two addresses of one place lie within one least page, or as far from each other as the longest page is long. So no page
// but that which was noted for one of them can seem to hold a slot of the other's.
static_assertions::const_assert!(PLACES * SMALLEST_PAGE >= LARGEST_PAGE);
static_assertions::const_assert!(PLACES.is_power_of_two() && size_of::<Place>().is_power_of_two());

impl Known {
    /// Knows nothing.
    pub(crate) const fn none() -> Self {
        Self([const { Place { base: Cell::new(0), page: Cell::new(core::ptr::null()) } }; PLACES])
    }

    #[inline(always)]
    fn place(&self, address: usize) -> &Place {
        let byte = address >> SHIFT & ((PLACES - 1) << PLACE_SHIFT);
        // SAFETY: the byte is a multiple of a place's size and below the places' end.
        unsafe { &*self.0.as_ptr().byte_add(byte) }
    }

    /// The page freed into lately that has a slot of the window's class which begins at `address`, and the slot, if it is
    /// known.
    #[inline(always)]
    pub(crate) fn slot(&self, window: &Window, address: usize) -> Option<(&'static PageMeta, usize)> {
        let place = self.place(address);
        // A page of another class is further away by the difference of the tags, and what is no page by the tag: there
        // no slot begins.
        let slot = window.slot(address.wrapping_add(window.tag()).wrapping_sub(place.base.get()))?;
        let page = place.page.get();
        // SAFETY: with the base the page was set, to metadata, which is never unmapped: so it is not null.
        let page = unsafe {
            core::hint::assert_unchecked(!page.is_null());
            &*page
        };
        Some((page, slot))
    }

    /// Notes that a block at `address` of an own page of the window's class is freed. The page has to be
    /// [forgotten](Self::forget) before it is another's.
    #[inline(always)]
    pub(crate) fn remember(&self, window: &Window, page: &'static PageMeta, address: usize) {
        let place = self.place(address);
        place.base.set(page.base().wrapping_add(window.tag()));
        place.page.set(page);
    }

    /// Forgets a page: it is given back, or another's.
    pub(crate) fn forget(&self, page: &PageMeta) {
        let base = page.base();
        for address in (base..base + page.bytes()).step_by(SMALLEST_PAGE) {
            let place = self.place(address);
            if core::ptr::eq(place.page.get(), page) {
                place.base.set(0);
            }
        }
    }

    /// Forgets all pages.
    pub(crate) fn forget_all(&self) {
        // What was never written to stays the kernel's page of zeroes.
        self.0.iter().filter(|place| place.base.get() != 0).for_each(|place| place.base.set(0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::class::ClassIdx;
    use crate::granule::Kind;
    use crate::kept::kept;
    use crate::node::NodeId;
    use crate::page::PageSpec;

    fn page_of(class: ClassIdx, base: usize) -> &'static PageMeta {
        // SAFETY: metadata is integers and pointers, of which zero is one.
        let page = kept(Box::<PageMeta>::new(unsafe { core::mem::zeroed() }));
        let about = class.about();
        let spec = PageSpec {
            kind: Kind::Slab,
            tag: class.tag(),
            slot_size: about.slot_size,
            bytes: about.page_bytes,
        };
        page.reset(base, spec, NodeId(0));
        page
    }

    fn window_of(class: ClassIdx) -> Window {
        Window::new(core::ptr::null_mut(), class)
    }

    fn slot(known: &Known, window: &Window, address: usize) -> Option<(*const PageMeta, usize)> {
        let (page, slot) = known.slot(window, address)?;
        Some((core::ptr::from_ref(page), slot))
    }

    #[test]
    fn a_page_is_known_where_blocks_of_it_were_freed_and_until_it_is_forgotten() {
        const BASE: usize = 1 << 40;
        for class in ClassIdx::all() {
            let (known, window, page) = (Known::none(), window_of(class), page_of(class, BASE));
            let (size, slots) = (page.slot_size(), page.slots());
            for at in 0..slots {
                assert_eq!(slot(&known, &window, BASE + at * size), None, "nothing is known in {class:?}");
            }
            (0..slots).for_each(|at| known.remember(&window, page, BASE + at * size));
            for at in 0..slots {
                let address = BASE + at * size;
                assert_eq!(slot(&known, &window, address), Some((core::ptr::from_ref(page), at)));
                assert_eq!(slot(&known, &window, address + 8), None, "no block begins there in {class:?}");
            }
            assert_eq!(slot(&known, &window, BASE + slots * size), None, "behind the last slot");
            known.forget(page);
            for at in 0..slots {
                assert_eq!(slot(&known, &window, BASE + at * size), None, "forgotten in {class:?}");
            }
        }
    }

    #[test]
    fn places_that_addresses_share_tell_their_pages_apart() {
        const BASE: usize = 1 << 40;
        const ROUND: usize = PLACES * SMALLEST_PAGE;
        for class in ClassIdx::all() {
            let (known, window, page) = (Known::none(), window_of(class), page_of(class, BASE));
            known.remember(&window, page, BASE);
            for rounds in [1, 2, 64] {
                assert_eq!(slot(&known, &window, BASE + rounds * ROUND), None, "{class:?}");
                assert_eq!(slot(&known, &window, BASE - rounds * ROUND), None, "{class:?}");
            }
            // Of another class, whose slots begin there as well.
            for other in ClassIdx::all().filter(|&other| other != class) {
                assert_eq!(slot(&known, &window_of(other), BASE), None, "{other:?} in a page of {class:?}");
            }
        }
    }
}
