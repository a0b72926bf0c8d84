//! [`Place`]: the three bits of one object, wherever it lies; and what they mean.
//!
//! ```text
//! occupied marked scanned
//!    1       0      0     white: not reached in this cycle
//!    1       0      1     white, and a reached weak pointer leads to it
//!    1       1      0     grey: reached, to be traced (of a type without pointers: black)
//!    1       1      1     black: reached and traced
//!    0       0      0     free
//!    0       0      1     held: dropped in an earlier cycle, and a weak pointer led to it then
//!    0       1      1     held, and a weak pointer that was reached in this cycle leads to it
//! ```
//!
//! Invariant: no other combination exists. So after marking the slots to hold are `scanned & (occupied ^ marked)`, those
//! that stay `occupied & marked`, and a slot may be handed out if it is neither occupied nor scanned.
#![allow(unsafe_code)]

use super::checked;
use super::huge::{self, HugeHeader};
use super::table::TypeTable;
use super::types::{USER_TABLE, USER_WEAK};
use super::{is_huge, locate};
use bucketmask_alloc::LentPage;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// Where an object's bits are. For paths that are taken rarely.
pub(super) enum Place {
    Slot { page: LentPage, slot: usize, leaf: bool },
    Huge(&'static HugeHeader),
}

impl Place {
    /// The place of an object.
    ///
    /// # Safety
    ///
    /// `address` is that of an object of an arena, live or held.
    #[inline]
    pub(super) unsafe fn of(address: *const u8) -> Self {
        if is_huge(address) {
            // SAFETY: as the caller promises. The header outlives every use of the place: none is kept over a sweep.
            return Self::Huge(unsafe { huge::header(address) });
        }
        // SAFETY: as the caller promises.
        let (page, slot, leaf) = unsafe { locate(address) };
        Self::Slot { page, slot, leaf }
    }

    #[inline]
    pub(super) fn occupied(&self) -> bool {
        match self {
            Self::Slot { page, slot, .. } => test(page.occupied(), *slot),
            Self::Huge(header) => header.live.get(),
        }
    }

    #[inline]
    pub(super) fn marked(&self) -> bool {
        match self {
            Self::Slot { page, slot, .. } => test(page.marked(), *slot),
            Self::Huge(header) => header.marked.get(),
        }
    }

    #[inline]
    pub(super) fn scanned(&self) -> bool {
        match self {
            Self::Slot { page, slot, .. } => test(page.scanned(), *slot),
            Self::Huge(header) => header.scanned.get(),
        }
    }

    /// The address of the slot behind the object's, or before it if that is the last: for a fault on purpose.
    pub(super) fn neighbour(&self, object: *const u8) -> *const u8 {
        match self {
            Self::Slot { page, slot, .. } if slot + 1 < page.slots() => object.wrapping_add(page.slot_size()),
            Self::Slot { page, .. } => object.wrapping_sub(page.slot_size()),
            Self::Huge(_) => object,
        }
    }

    /// The table of the object's type.
    pub(super) fn table(&self) -> &'static TypeTable {
        match self {
            // SAFETY: every page of an arena names its table.
            Self::Slot { page, .. } => unsafe {
                TypeTable::from_exposed(page.user()[USER_TABLE].load(Relaxed))
            },
            Self::Huge(header) => header.table,
        }
    }

    /// Reached, and never to be traced again in this cycle.
    pub(super) fn is_black(&self) -> bool {
        let leaf = match self {
            Self::Slot { leaf, .. } => *leaf,
            Self::Huge(header) => !header.table.needs_trace,
        };
        self.marked() && (leaf || self.scanned())
    }

    /// While the sweep runs: whether it will drop the value, or has. Only objects that weak pointers lead to can be asked
    /// about, so a white one is either white and held, or new.
    pub(super) fn is_doomed(&self) -> bool {
        !self.occupied() || (self.scanned() && !self.marked())
    }

    /// Whether no strong pointer that was reached leads to it.
    pub(super) fn is_dead(&self) -> bool {
        !(self.occupied() && self.marked())
    }

    /// A reached weak pointer leads here.
    pub(super) fn hold(&self) {
        if self.marked() || checked::seeded!("gc: weakly reached slot not held") {
            return;
        }
        match self {
            Self::Slot { page, slot, .. } => {
                set(if self.occupied() { page.scanned() } else { page.marked() }, *slot);
                page.user()[USER_WEAK].store(1, Relaxed);
            }
            Self::Huge(header) => {
                let bit = if header.live.get() { &header.scanned } else { &header.marked };
                bit.set(true);
            }
        }
    }
}

fn test(words: &[AtomicU64; 8], slot: usize) -> bool {
    words[slot / 64].load(Relaxed) >> (slot % 64) & 1 != 0
}

fn set(words: &[AtomicU64; 8], slot: usize) {
    let word = &words[slot / 64];
    word.store(word.load(Relaxed) | 1 << (slot % 64), Relaxed);
}

/// Clears a slot's bit.
pub(super) fn clear(words: &[AtomicU64; 8], slot: usize) {
    let word = &words[slot / 64];
    word.store(word.load(Relaxed) & !(1 << (slot % 64)), Relaxed);
}
