//! [`MemState`]: in what state the memory at an address is; feature `checked`.
//!
//! ```text
//! the page's masks      free, window, live, marked, traced       read when asked, so true for as long as nobody works there
//! the region, the kernel   unreserved, purged                    the same
//! shadow.rs             poisoned, migrating; a line's modified, owned, invalid; who made and wrote what is there
//! ```
//!
//! Masks are never copied: what they say is asked of them. The shadow holds what no mask says, and is written by the layers above.
//! `rule.rs` decides on states, `report.rs` tells what was found, `seed.rs` plants the faults by which all of that is tested. Owned
//! by checks. Invariant: nothing here changes what it tells of, and without the feature it is not there.
#![allow(unsafe_code)]

pub mod report;
pub mod rule;
pub mod seed;
mod shadow;

use core::fmt;
use core::ops::BitOr;

use crate::granule::Kind;
use crate::mask::BucketMask;
use crate::medium;
use crate::page::PageMeta;
use crate::region::REGION;
use crate::span;
use crate::sys;
use crate::window::Window;

pub use shadow::{Deed, last_deed, made_by, mark, note, note_swept, unmark};

/// What is known of memory: a set of bits.
///
/// ```
/// use bucketmask_alloc::memstate::{MemState, state_of};
///
/// let on_the_stack = 7_u32;
/// assert_eq!(state_of(&raw const on_the_stack as usize), MemState::UNRESERVED);
/// assert_eq!((MemState::LIVE | MemState::MARKED).to_string(), "live|marked");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(transparent)]
pub struct MemState(u16);

impl MemState {
    /// Nothing is known.
    pub const EMPTY: Self = Self(0);
    /// Not in the region.
    pub const UNRESERVED: Self = Self(1);
    /// In no block, object or range.
    pub const FREE: Self = Self(1 << 1);
    /// Free, and in a thread's window: what its malloc hands out next.
    pub const WINDOW: Self = Self(1 << 2);
    /// In a block, an object or a reserved range.
    pub const LIVE: Self = Self(1 << 3);
    /// An object that the collector has reached in this cycle.
    pub const MARKED: Self = Self(1 << 4);
    /// An object that the collector has traced in this cycle; or, where it is free, one that weak pointers hold.
    pub const TRACED: Self = Self(1 << 5);
    /// A map is moving what lies here.
    pub const MIGRATING: Self = Self(1 << 6);
    /// An object that was swept, filled with a pattern.
    pub const POISONED: Self = Self(1 << 7);
    /// Free, and without memory of the kernel's.
    pub const PURGED: Self = Self(1 << 8);
    /// The line, as if program and collector had a cache each: the program wrote to it since the collector looked last.
    pub const MODIFIED: Self = Self(1 << 9);
    /// The line: the collector has seen what the program wrote.
    pub const OWNED: Self = Self(1 << 10);
    /// The line: what either remembers of it is no longer there.
    pub const INVALID: Self = Self(1 << 11);
    /// Every bit.
    pub const ALL: Self = Self((1 << 12) - 1);

    /// The bits, as above.
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// The state with these bits, as far as there are such.
    pub const fn from_bits(bits: u16) -> Self {
        Self(bits & Self::ALL.0)
    }

    /// Whether no bit is set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether all bits of `bits` are set.
    pub const fn has_all(self, bits: Self) -> bool {
        self.0 & bits.0 == bits.0
    }

    /// Whether a bit of `bits` is set.
    pub const fn has_any(self, bits: Self) -> bool {
        self.0 & bits.0 != 0
    }

    /// The bits of both.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// These bits, if `wanted`.
    const fn only_if(self, wanted: bool) -> Self {
        if wanted { self } else { Self::EMPTY }
    }
}

impl BitOr for MemState {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.with(other)
    }
}

const NAMES: [&str; 12] = [
    "unreserved",
    "free",
    "window",
    "live",
    "marked",
    "traced",
    "migrating",
    "poisoned",
    "purged",
    "modified",
    "owned",
    "invalid",
];

impl fmt::Display for MemState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set = NAMES.iter().enumerate().filter(|(bit, _)| self.0 >> bit & 1 != 0);
        let mut before = "";
        for (_, name) in set {
            write!(f, "{before}{name}")?;
            before = "|";
        }
        if self.is_empty() { f.write_str("unknown") } else { Ok(()) }
    }
}

impl fmt::Debug for MemState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemState({self})")
    }
}

/// What is known of an address. Takes a lock of the allocator's where no page is, and asks the kernel where nothing lives:
/// not for inside the allocator.
pub fn state_of(address: usize) -> MemState {
    let Some(offset) = REGION.get().offset_of(address) else { return MemState::UNRESERVED };
    let beside = shadow::at(address);
    let state = match span::page_at(address) {
        Some(page) => of_page(page, address),
        None => MemState::LIVE.only_if(REGION.span_at(offset).is_ranged(address)),
    };
    if state.has_any(MemState::LIVE) {
        return state | beside;
    }
    let mut resident = [0_u8];
    sys::residency(address & !(sys::OS_PAGE - 1), &mut resident);
    state | MemState::FREE | MemState::PURGED.only_if(resident[0] & 1 == 0) | beside
}

/// What a page says of an address in it: not free means live.
fn of_page(page: &PageMeta, address: usize) -> MemState {
    let slot = (address - page.base()) / page.slot_size().max(1);
    if slot >= page.slots() {
        return MemState::EMPTY;
    }
    // Acquire, in the order in which a report reads them: pairs with the release of who sets a slot's bit where it goes, before it is
    // cleared where it was, so that a slot on its way is seen in one of the two.
    let has = |line: &crate::page::MaskLine| {
        let word = line.0[slot / 64].load(core::sync::atomic::Ordering::Acquire);
        BucketMask::from_word(word).contains((slot % 64) as u32)
    };
    match page.kind() {
        Kind::Lent => {
            MemState::LIVE.only_if(has(&page.taken))
                | MemState::MARKED.only_if(has(&page.local_free))
                | MemState::TRACED.only_if(has(&page.remote))
        }
        Kind::Slab => {
            let free = !has(&page.taken) || has(&page.local_free) || has(&page.remote);
            MemState::LIVE.only_if(!free) | MemState::WINDOW.only_if(free && is_in_window(page, slot))
        }
        Kind::Medium => MemState::LIVE.only_if(medium::is_live(page)),
        Kind::None => MemState::EMPTY,
    }
}

fn is_in_window(page: &PageMeta, slot: usize) -> bool {
    // Acquire: pairs with the release in `Heap::own`, for the window that is looked into.
    let owner = page.header.owner.load(core::sync::atomic::Ordering::Acquire);
    // SAFETY: a slab page's owner word is 0 or a window's address; heaps live for ever.
    let window = unsafe { (owner as *const Window).as_ref() };
    window.is_some_and(|window| window.slots_of(page)[slot / 64] >> (slot % 64) & 1 != 0)
}

/// A slot of a page that is lent to a collector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LentSlot {
    /// What its masks and its shadow say.
    pub state: MemState,
    /// Bytes from the address to the end of its slot.
    pub room: usize,
    /// Whether the address is the slot's first.
    pub is_start: bool,
}

/// What is known of an address on a page that is lent to a collector, or `None` if it is on no such page: in a constant
/// time, without a lock, by loads of the granule map, of the page's masks and of the shadow.
#[inline]
pub fn lent_slot(address: usize) -> Option<LentSlot> {
    let page = span::page_at(address).filter(|page| page.kind() == Kind::Lent)?;
    let (in_page, slot_size) = (address - page.base(), page.slot_size());
    let in_slot = in_page % slot_size;
    let state = of_page(page, address);
    let free = MemState::FREE.only_if(!state.has_any(MemState::LIVE));
    Some(LentSlot {
        state: state | free | shadow::at(address),
        room: slot_size - in_slot,
        is_start: in_slot == 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BucketAlloc, PageRequest, current_node, give_back, lend};
    use std::alloc::{GlobalAlloc, Layout};

    fn alloc(bytes: usize) -> (usize, Layout) {
        let layout = Layout::from_size_align(bytes, 8).unwrap();
        // SAFETY: not of size 0, and written within its size: what was never written has no memory yet.
        let block = unsafe {
            let block = BucketAlloc.alloc(layout);
            block.write_bytes(1, bytes);
            block
        };
        (block as usize, layout)
    }

    fn free((block, layout): (usize, Layout)) {
        // SAFETY: of `alloc`, freed once.
        unsafe { BucketAlloc.dealloc(block as *mut u8, layout) };
    }

    #[test]
    fn blocks_are_live_and_then_free() {
        let others: Vec<_> = (0..40).map(|_| alloc(48)).collect();
        let (small, medium) = (alloc(48), alloc(200_000));
        assert_eq!(state_of(small.0), MemState::LIVE);
        assert_eq!(state_of(small.0 + 47), MemState::LIVE);
        assert_eq!(state_of(medium.0 + 150_000), MemState::LIVE);
        free(small);
        assert_eq!(state_of(small.0), MemState::FREE | MemState::WINDOW);
        free(medium);
        assert!(state_of(medium.0).has_all(MemState::FREE));
        assert!(!state_of(medium.0).has_any(MemState::LIVE));
        others.into_iter().for_each(free);
    }

    #[test]
    fn what_is_outside_the_region_is_unreserved_and_what_the_kernel_took_is_purged() {
        let code = main as fn() as usize;
        for address in [0, 8, usize::MAX, code] {
            assert_eq!(state_of(address), MemState::UNRESERVED, "{address:x}");
        }
        // The last bytes of the region were never given to anybody.
        let end = REGION.get().base() + REGION.get().bytes() - 8;
        assert_eq!(state_of(end), MemState::FREE | MemState::PURGED);
        let range = crate::Range::reserve(1 << 20).unwrap();
        assert_eq!(state_of(range.base().addr().get() + 5000), MemState::LIVE);
    }

    fn main() {}

    #[test]
    fn a_lent_page_is_read_by_its_masks_and_the_shadow() {
        let request = PageRequest { bytes: 4096, slot_size: 48, leaf: false };
        let page = lend(current_node(), request).unwrap();
        let slot = |number: usize| page.base().addr().get() + number * 48;
        let set = |line: &[core::sync::atomic::AtomicU64; 8], number: usize| {
            line[number / 64].fetch_or(1 << (number % 64), core::sync::atomic::Ordering::Relaxed);
        };
        set(page.occupied(), 70);
        set(page.marked(), 70);
        set(page.occupied(), 3);
        set(page.marked(), 3);
        set(page.scanned(), 3);
        let (live, marked) = (MemState::LIVE, MemState::MARKED);
        assert_eq!(state_of(slot(70)), live | marked);
        assert_eq!(state_of(slot(3) + 47), live | marked | MemState::TRACED);
        assert!(state_of(slot(4)).has_all(MemState::FREE) && !state_of(slot(4)).has_any(live));
        let seen = lent_slot(slot(70) + 8).unwrap();
        assert_eq!((seen.state, seen.room, seen.is_start), (live | marked, 40, false));
        assert!(lent_slot(slot(70)).unwrap().is_start);

        mark(slot(70), 48, MemState::POISONED);
        mark(slot(70), 48, MemState::MODIFIED);
        assert_eq!(state_of(slot(70) + 40), live | marked | MemState::POISONED | MemState::MODIFIED);
        // One coherence state a line, the last.
        mark(slot(70), 48, MemState::OWNED);
        unmark(slot(70), 48, MemState::POISONED);
        assert_eq!(state_of(slot(70)), live | marked | MemState::OWNED);
        assert!(!state_of(slot(72)).has_any(MemState::POISONED));
        unmark(page.base().addr().get(), page.bytes(), MemState::ALL);
        assert_eq!(state_of(slot(70)), live | marked);
        // SAFETY: nobody uses the page.
        unsafe { give_back(page) };
        assert_eq!(lent_slot(slot(70)), None);
        assert!(state_of(slot(70)).has_all(MemState::FREE));
    }

    #[test]
    fn states_have_names() {
        assert_eq!(MemState::EMPTY.to_string(), "unknown");
        assert_eq!(MemState::ALL.to_string().split('|').count(), 12);
        assert_eq!(format!("{:?}", MemState::POISONED | MemState::FREE), "MemState(free|poisoned)");
    }
}
