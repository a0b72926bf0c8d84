//! Holds the slots of dead objects that weak pointers refer to. Owns the meaning of `scanned` between cycles.
//!
//! The marker lists the targets of the weak pointers that it meets. When marking has ended, those that are not marked
//! are dead: their values are dropped by the sweep, but their slots must not be used again while the pointer can ask for
//! them. Such a slot gets its bit in `scanned`, which the sweep leaves there. Invariant: a held slot is never marked,
//! since no strong pointer leads to it, so it never disturbs `todo = marked & !scanned`.
#![allow(unsafe_code)]

use super::mark::Marker;
use super::{Heap, huge, is_huge, locate};
use std::sync::atomic::Ordering::Relaxed;

impl Heap {
    /// Lets go of the slots held since the last cycle, and holds those that are still asked for.
    pub(super) fn hold_weak_targets(&mut self, marker: &Marker) {
        if self.holds {
            for page in self.pages() {
                for (marked, scanned) in page.marked().iter().zip(page.scanned()) {
                    scanned.store(scanned.load(Relaxed) & marked.load(Relaxed), Relaxed);
                }
            }
            self.huge.release_holds();
            self.holds = false;
        }
        for &address in &marker.weak {
            // SAFETY: the target of a reachable weak pointer, so its slot is occupied or was held since it died.
            self.holds |= unsafe { hold_if_dead(address) };
        }
    }
}

/// Holds the slot at `address`, unless the object in it is marked.
///
/// # Safety
///
/// `address` is the target of a reachable weak pointer.
unsafe fn hold_if_dead(address: *const u8) -> bool {
    if is_huge(address) {
        // SAFETY: as the caller promises.
        let header = unsafe { huge::header(address) };
        header.held.set(!header.marked.get());
        return header.held.get();
    }
    // SAFETY: as the caller promises.
    let (page, slot, _) = unsafe { locate(address) };
    let bit = 1 << (slot % 64);
    if page.marked()[slot / 64].load(Relaxed) & bit != 0 {
        return false;
    }
    let scanned = &page.scanned()[slot / 64];
    scanned.store(scanned.load(Relaxed) | bit, Relaxed);
    true
}
