//! The rules: which states must not be read, and in which a write needs a barrier.
//!
//! Owned by the detector. Invariant: every decision is `should_trigger`'s.

use super::super::is_huge;
use super::is_armed;
use bucketmask_alloc::memstate::report::Report;
use bucketmask_alloc::memstate::rule::{Request, Rule, Size, should_trigger};
use bucketmask_alloc::memstate::{LentSlot, MemState, lent_slot};
use std::panic::Location;

/// What nobody may read.
const GONE: Rule = Rule {
    any: MemState::FREE.with(MemState::WINDOW).with(MemState::POISONED).with(MemState::PURGED),
    ..Rule::ANYTHING
};
const IN_MOTION: Rule = Rule { any: MemState::MIGRATING, ..Rule::ANYTHING };
/// Outside all pages.
const NOWHERE: Rule = Rule { none: MemState::LIVE, ..Rule::ANYTHING };

/// An object whose pointers the collector has passed: a write needs a barrier.
const BLACK: Rule =
    Rule { all: MemState::LIVE.with(MemState::MARKED).with(MemState::TRACED), ..Rule::ANYTHING };
/// The same, of an object that is never traced.
const BLACK_LEAF: Rule = Rule { all: MemState::LIVE.with(MemState::MARKED), ..Rule::ANYTHING };

/// The program reads so many bytes of an object.
#[track_caller]
#[inline]
pub(crate) fn read(address: *const u8, bytes: usize) {
    // A stale pointer to a huge object leads to memory that was given back, which faults by itself.
    if is_armed() && !is_huge(address) {
        check(address.addr(), bytes.max(1));
    }
}

#[track_caller]
#[inline]
fn check(address: usize, size: usize) {
    let slot = lent_slot(address);
    let LentSlot { state, room, is_start } =
        slot.unwrap_or(LentSlot { state: MemState::EMPTY, room: usize::MAX, is_start: true });
    let request = Request { address, size, state };
    let beyond = Rule { size: Size::Above(room), ..Rule::ANYTHING };
    let what = if should_trigger(&request, &NOWHERE) && slot.is_none() {
        "read through a pointer to no page of an arena"
    } else if should_trigger(&request, &GONE) {
        if state.has_any(MemState::POISONED) { "read of a swept object" } else { "read of a free slot" }
    } else if should_trigger(&request, &IN_MOTION) {
        "read of a slot that is being moved"
    } else if !is_start {
        "read through a pointer into the middle of a slot"
    } else if should_trigger(&request, &beyond) {
        "read beyond the end of a slot"
    } else {
        return;
    };
    fail(what, address, size, room, Location::caller());
}

#[cold]
fn fail(what: &'static str, address: usize, size: usize, room: usize, here: &'static Location<'static>) -> ! {
    let mut report = Report::at(what, address);
    report.here = Some(here);
    if room != usize::MAX {
        report.detail = format!("{size} bytes, of which the slot has {room}");
    }
    report.raise()
}

/// A barrier has found its parent black or not, by the masks: the rule must say the same.
#[track_caller]
pub(crate) fn agree(parent: *const u8, is_black: bool) {
    if !is_armed() || is_huge(parent) {
        return;
    }
    let Some(slot) = lent_slot(parent.addr()) else { return };
    // SAFETY: on a lent page, as was just found.
    #[expect(unsafe_code, reason = "asks whether a slot that is there is a leaf")]
    let (_, _, leaf) = unsafe { bucketmask_alloc::locate(parent) };
    let request = Request { address: parent.addr(), size: slot.room, state: slot.state };
    if should_trigger(&request, if leaf { &BLACK_LEAF } else { &BLACK }) != is_black {
        let mut report = Report::at("a write barrier decides against the memory's state", parent.addr());
        report.detail = format!("it takes the object for {}", if is_black { "black" } else { "not black" });
        report.here = Some(Location::caller());
        report.raise();
    }
}
