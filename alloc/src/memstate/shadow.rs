//! The shadow: what no mask says of memory, a byte a word, a byte a line, and who made and last wrote what is there.
//!
//! Written by collector and maps, read by checks. Invariant: what was never marked has no bits; a line has one coherence state
//! at most. Words are atomics: what is written races only where the memory itself is used brokenly.

use core::panic::Location;
use core::sync::atomic::{AtomicPtr, AtomicU8, Ordering};

use super::MemState;
use super::rule::LINE;
use crate::class::GRANULE;
use crate::granule_table::{GranuleTable, Row};

/// Least distance of two blocks or objects.
const STEP: usize = 16;
/// What sizes and places of blocks and objects are multiples of.
const WORD: usize = 8;

/// The shadow of a granule.
#[repr(C)]
struct Shade {
    words: [AtomicU8; GRANULE / WORD],
    lines: [AtomicU8; GRANULE / LINE],
}

/// Who made what is at a step, and the last deed.
#[repr(C)]
struct Deeds {
    made: [AtomicPtr<Location<'static>>; GRANULE / STEP],
    last: [AtomicPtr<Location<'static>>; GRANULE / STEP],
    kinds: [AtomicU8; GRANULE / STEP],
}

// SAFETY: atomics alone, for which zero is a value.
unsafe impl Row for Shade {}
// SAFETY: as above.
unsafe impl Row for Deeds {}

static SHADES: GranuleTable<Shade> = GranuleTable::new();
static DEEDS: GranuleTable<Deeds> = GranuleTable::new();

const POISONED: u8 = 1;
const MIGRATING: u8 = 2;
const MODIFIED: u8 = 1;
const OWNED: u8 = 2;
const INVALID: u8 = 3;

fn step_bits(state: MemState) -> u8 {
    let bit = |wanted: MemState, bit: u8| if state.has_any(wanted) { bit } else { 0 };
    bit(MemState::POISONED, POISONED) | bit(MemState::MIGRATING, MIGRATING)
}

fn line_state(state: MemState) -> u8 {
    [(MemState::MODIFIED, MODIFIED), (MemState::OWNED, OWNED), (MemState::INVALID, INVALID)]
        .into_iter()
        .find_map(|(wanted, line)| state.has_any(wanted).then_some(line))
        .unwrap_or(0)
}

/// What the shadow has of an address.
#[inline]
pub(super) fn at(address: usize) -> MemState {
    let Some((shade, offset)) = SHADES.row(address, false) else { return MemState::EMPTY };
    // Relaxed, here and below: see the module.
    let step = shade.words[offset / WORD].load(Ordering::Relaxed);
    let line = match shade.lines[offset / LINE].load(Ordering::Relaxed) {
        MODIFIED => MemState::MODIFIED,
        OWNED => MemState::OWNED,
        INVALID => MemState::INVALID,
        _ => MemState::EMPTY,
    };
    MemState::POISONED.only_if(step & POISONED != 0)
        | MemState::MIGRATING.only_if(step & MIGRATING != 0)
        | line
}

/// Calls `each` with the part of every granule that `size` bytes from `address` on lie in.
fn each_part(address: usize, size: usize, wanted: bool, mut each: impl FnMut(&Shade, usize, usize)) {
    let mut at = address;
    let end = address.saturating_add(size);
    while at < end {
        let stop = end.min((at | (GRANULE - 1)).saturating_add(1));
        if let Some((shade, offset)) = SHADES.row(at, wanted) {
            each(shade, offset, offset + (stop - at));
        }
        at = stop;
    }
}

/// Notes a state of so many bytes: poisoned and migrating of each word that they lie in, modified, owned and invalid
/// of each line, in place of the one that it had. Other bits cannot be noted: masks have them. Outside the region nothing is.
pub fn mark(address: usize, size: usize, state: MemState) {
    let (steps, line) = (step_bits(state), line_state(state));
    each_part(address, size, true, |shade, start, end| {
        if steps != 0 {
            for step in &shade.words[start / WORD..end.div_ceil(WORD)] {
                step.fetch_or(steps, Ordering::Relaxed);
            }
        }
        if line != 0 {
            for place in &shade.lines[start / LINE..end.div_ceil(LINE)] {
                place.store(line, Ordering::Relaxed);
            }
        }
    });
}

/// Takes noted states back.
pub fn unmark(address: usize, size: usize, state: MemState) {
    let steps = step_bits(state);
    let lines = [(MemState::MODIFIED, MODIFIED), (MemState::OWNED, OWNED), (MemState::INVALID, INVALID)];
    each_part(address, size, false, |shade, start, end| {
        if steps != 0 {
            for step in &shade.words[start / WORD..end.div_ceil(WORD)] {
                step.fetch_and(!steps, Ordering::Relaxed);
            }
        }
        for place in &shade.lines[start / LINE..end.div_ceil(LINE)] {
            let line = place.load(Ordering::Relaxed);
            if lines.iter().any(|&(wanted, its)| its == line && state.has_any(wanted)) {
                place.store(0, Ordering::Relaxed);
            }
        }
    });
}

/// What was done to a block or an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Deed {
    /// It was made.
    Made = 1,
    /// It was written to, with a write barrier.
    Written,
    /// The collector found it dead. The place is where it was made, or written to last.
    Swept,
}

/// Notes where in the program something is done to what lies at an address.
#[inline]
pub fn note(address: usize, deed: Deed, place: &'static Location<'static>) {
    super::report::know(place);
    let Some((deeds, offset)) = DEEDS.row(address, true) else { return };
    let place = core::ptr::from_ref(place).cast_mut();
    if deed == Deed::Made {
        deeds.made[offset / STEP].store(place, Ordering::Relaxed);
    }
    deeds.last[offset / STEP].store(place, Ordering::Relaxed);
    deeds.kinds[offset / STEP].store(deed as u8, Ordering::Relaxed);
}

/// Notes that the collector frees what lies at an address.
pub fn note_swept(address: usize) {
    if let Some((deeds, offset)) = DEEDS.row(address, false) {
        deeds.kinds[offset / STEP].store(Deed::Swept as u8, Ordering::Relaxed);
    }
}

fn place(place: &AtomicPtr<Location<'static>>) -> Option<&'static Location<'static>> {
    // SAFETY: null, or a place that `note` was given.
    unsafe { place.load(Ordering::Relaxed).as_ref() }
}

/// Where what lies, or lay, at an address was made.
pub fn made_by(address: usize) -> Option<&'static Location<'static>> {
    let (deeds, offset) = DEEDS.row(address, false)?;
    place(&deeds.made[offset / STEP])
}

/// What was last done to what lies, or lay, at an address, and where.
pub fn last_deed(address: usize) -> Option<(Deed, &'static Location<'static>)> {
    let (deeds, offset) = DEEDS.row(address, false)?;
    let deed = match deeds.kinds[offset / STEP].load(Ordering::Relaxed) {
        1 => Deed::Made,
        2 => Deed::Written,
        3 => Deed::Swept,
        _ => return None,
    };
    Some((deed, place(&deeds.last[offset / STEP])?))
}
