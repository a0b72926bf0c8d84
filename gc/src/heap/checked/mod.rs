//! The barrier detector: what a `checked` build asks of each read, write and cycle.
//!
//! ```text
//! read(object)             rules.rs   its slot is live, begins there and is as long; not free, poisoned or migrating
//! a barrier                rules.rs   black or not: the masks' answer is the rule's
//! a write by Gc::write     shadow.rs  what the object holds it held when it was looked at last, or an announced write brought it
//! the end of a callback    shadow.rs  objects that were written to are looked at; locks that were opened by hand had a barrier
//! marking has ended        second.rs  a walk of its own from the root: what it reaches is marked, what is weakly reached is held
//! a slot is handed out     it was free, and nobody wrote to it since it was swept
//! ```
//!
//! Everything that is decided on memory's state is decided by `should_trigger`. A fault ends in a panic whose message tells both
//! sides. Owned by the context; one detector an arena. Invariant: a program that keeps the collector's promises sees no report,
//! and no change but time.
#![allow(unsafe_code)]

mod rules;
mod second;
mod shadow;

use super::colour::Place;
use super::types::bucket;
use super::{Context, is_huge};
use bucketmask_alloc::memstate::report::Report;
use bucketmask_alloc::memstate::{self, Deed, MemState};
use bucketmask_alloc::{BucketMask, LentPage};
use shadow::{Addresses, ByAddress, Shadow};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::panic::Location;
use std::sync::atomic::{AtomicBool, Ordering};

pub(crate) use bucketmask_alloc::frames::enter;
pub(crate) use rules::{agree, read};

/// What a swept slot is filled with: no pointer.
const PATTERN: u8 = 0xDB;

/// Faults that this crate's code has switches for, see [`plant`](bucketmask_alloc::memstate::seed::plant).
pub const FAULTS: [&str; 22] = [
    "gc: backward barrier removed",
    "gc: backward barrier on the neighbour",
    "gc: backward barrier decides the other way round",
    "gc: backward barrier of weak pointers removed",
    "gc: forward barrier removed",
    "gc: forward barrier of weak pointers removed",
    "gc: bucket barrier removed",
    "gc: bucket barrier one bucket too far",
    "gc: container's entries not shaded",
    "gc: root barrier removed",
    "gc: pool's barrier removed",
    "gc: once-lock's barrier removed",
    "gc: grey page not queued",
    "gc: mark bit of the neighbouring slot",
    "gc: mark bit lost",
    "gc: traced bit set without tracing",
    "gc: weakly reached slot not held",
    "gc: key's value not woken",
    "gc: sweep takes a marked slot",
    "gc: window over an occupied slot",
    "gc: page with objects given back",
    "gc: part of a slice not traced",
];

/// Whether a fault of this name is planted.
macro_rules! seeded {
    ($name:expr) => {{
        const {
            assert!($crate::heap::checked::is_listed($name), "a fault that the list has");
        }
        bucketmask_alloc::memstate::seed::is_planted($name)
    }};
}
pub(crate) use seeded;

/// Whether the list has this name.
pub(crate) const fn is_listed(name: &str) -> bool {
    let mut at = 0;
    while at < FAULTS.len() {
        let (one, other) = (FAULTS[at].as_bytes(), name.as_bytes());
        let mut byte = 0;
        while byte < one.len() && byte < other.len() && one[byte] == other[byte] {
            byte += 1;
        }
        if byte == one.len() && byte == other.len() {
            return true;
        }
        at += 1;
    }
    false
}

static ARMED: AtomicBool = AtomicBool::new(true);

/// Lets the detectors of this process look, as they do from the start, or not. Call it while there is no arena: one that was not
/// looked at all the time may see faults where there are none. For measurements.
pub fn arm(armed: bool) {
    // Relaxed: see above.
    ARMED.store(armed, Ordering::Relaxed);
}

#[inline]
pub(crate) fn is_armed() -> bool {
    ARMED.load(Ordering::Relaxed)
}

thread_local! {
    /// Objects of which a lock was opened without a barrier since no callback ran on this thread, and where first. The address 0
    /// stands for locks that lie in no object's slot.
    static OPENED: RefCell<Opened> = RefCell::default();
    /// Callbacks that run on this thread, of all arenas.
    static OPEN: Cell<usize> = const { Cell::new(0) };
}

type Opened = HashMap<usize, &'static Location<'static>, BuildHasherDefault<ByAddress>>;

/// A lock is opened without a barrier, which the caller promises to run before the callback ends if it stores a pointer.
#[track_caller]
pub(crate) fn opened(lock: *const u8) {
    if is_armed() {
        let object = object_of(lock.addr()).map_or(0, <*const u8>::addr);
        let place = Location::caller();
        OPENED.with(|opened| {
            opened.borrow_mut().entry(object).or_insert(place);
        });
    }
}

/// Notes where an object is made.
#[track_caller]
#[inline]
pub(crate) fn made(address: *const u8) {
    if is_armed() {
        memstate::note(address.addr(), Deed::Made, Location::caller());
    }
}

/// Something is done to an object next; for the message of a panic.
#[inline]
pub(super) fn touch(operation: &'static str, object: *const u8) {
    bucketmask_alloc::frames::touch(operation, object.addr());
}

/// A slot is handed out: it must have been free, and if it was swept before, nobody may have written to it since.
pub(super) fn handed_out(address: *const u8, was_free: bool, slot_bytes: usize) {
    if !is_armed() {
        return;
    }
    let state = memstate::lent_slot(address.addr()).map_or(MemState::EMPTY, |slot| slot.state);
    if !was_free {
        Report::at("a slot is handed out that an object is in", address.addr()).raise();
    }
    if state.has_any(MemState::POISONED) {
        // SAFETY: a slot of a lent page, which was filled when it was swept.
        let bytes = unsafe { std::slice::from_raw_parts(address, slot_bytes) };
        if let Some(at) = bytes.iter().position(|&byte| byte != PATTERN) {
            let mut report = Report::at("a swept object was written to", address.addr());
            report.detail = format!("byte {at} of {slot_bytes} is {:#04x}, not {PATTERN:#04x}", bytes[at]);
            memstate::unmark(address.addr(), slot_bytes, MemState::POISONED);
            report.raise();
        }
        memstate::unmark(address.addr(), slot_bytes, MemState::POISONED | MemState::INVALID);
    }
}

/// Fills dead slots, whose values are gone, with a pattern that is no pointer.
pub(super) fn buried(page: LentPage, index: usize, dead: u64) {
    for slot in BucketMask::from_word(dead).occupied() {
        // SAFETY: a slot of the page.
        let slot = unsafe { bucket(page, index).add(slot as usize * page.slot_size()) };
        // SAFETY: it holds no value and is not handed out before the sweep has come past the page.
        unsafe { slot.write_bytes(PATTERN, page.slot_size()) };
        if is_armed() {
            let address = slot.addr().get();
            memstate::mark(address, page.slot_size(), MemState::POISONED | MemState::INVALID);
            memstate::note_swept(address);
        }
    }
}

/// A page goes back: what was noted of its slots is over.
pub(super) fn returned(page: LentPage) {
    memstate::unmark(page.base().addr().get(), page.bytes(), MemState::ALL);
}

/// What an arena's detector remembers.
#[derive(Default)]
pub(crate) struct Detector(RefCell<Memory>);

#[derive(Default)]
struct Memory {
    /// Callbacks of this arena that run, one in the other.
    depth: usize,
    /// Objects on which a barrier was run in them.
    announced: Addresses,
    /// What may have been taken up by any object since the last look, by barriers without a parent.
    anywhere: Addresses,
    shadow: Shadow,
}

impl Detector {
    pub(super) fn new() -> Self {
        Self::default()
    }
}

/// A callback that runs; when the outermost one ends, what was announced is over.
pub(crate) struct Callback<'a>(&'a Context);

impl Drop for Callback<'_> {
    fn drop(&mut self) {
        OPEN.with(|open| open.set(open.get().saturating_sub(1)));
        let depth = {
            let mut memory = self.0.detector.0.borrow_mut();
            memory.depth = memory.depth.saturating_sub(1);
            memory.depth
        };
        if depth == 0 {
            self.0.settle_callbacks();
        }
    }
}

impl Context {
    pub(crate) fn callback(&self) -> Callback<'_> {
        OPEN.with(|open| open.set(open.get() + 1));
        self.detector.0.borrow_mut().depth += 1;
        Callback(self)
    }

    /// A barrier is run: `parent`, or any object, takes up `child`, or anything.
    #[track_caller]
    pub(super) fn announce(&self, parent: Option<*const u8>, child: Option<*const u8>) {
        if !is_armed() {
            return;
        }
        match parent {
            Some(parent) => {
                let mut memory = self.detector.0.borrow_mut();
                if memory.announced.insert(parent.addr()) && !is_huge(parent) {
                    memstate::mark(parent.addr(), 1, MemState::MODIFIED);
                }
            }
            None => {
                self.detector.0.borrow_mut().anywhere.extend(child.map(<*const u8>::addr));
            }
        }
    }

    /// The program is about to write to an object, behind a barrier: what it holds now must be known.
    #[track_caller]
    pub(crate) fn before_overwrite(&self, parent: *const u8) {
        if !is_armed() {
            return;
        }
        read(parent, 1);
        if !is_huge(parent) && !was_opened(parent) {
            self.compare(parent, "missed write barrier, found by the next write", Some(Location::caller()));
        }
        memstate::note(parent.addr(), Deed::Written, Location::caller());
    }

    /// Compares what an object holds with what it held when it was looked at last.
    fn compare(&self, object: *const u8, what: &'static str, here: Option<&'static Location<'static>>) {
        let memory = self.detector.0.borrow();
        if memory.announced.contains(&object.addr()) {
            return;
        }
        let Some(held) = memory.shadow.of(object) else { return };
        // SAFETY: a live object: it was looked at since the last sweep.
        let Some(holds) = (unsafe { shadow::pointers(object) }) else { return };
        // Mostly nothing has changed, or an element of many.
        let differs = |&(at, target): &(usize, &*const u8)| held.get(at) != Some(&target.addr());
        let mut others = holds.iter().enumerate().filter(differs).map(|(_, target)| *target).peekable();
        if others.peek().is_none() {
            return;
        }
        let held: Addresses = held.iter().copied().collect();
        let is_news =
            |target: &*const u8| !held.contains(&target.addr()) && !memory.anywhere.contains(&target.addr());
        if let Some(target) = others.find(is_news) {
            let mut report = Report::at(what, object.addr());
            report.detail = format!(
                "it holds {target:p}, {}, and no barrier said so since it was looked at",
                memstate::state_of(target.addr())
            );
            // SAFETY: as above.
            report.type_name = Some((unsafe { Place::of(object) }.table().name)());
            report.here = here;
            drop(memory);
            report.raise();
        }
    }

    /// No callback runs: what was announced has been done, so the objects are looked at again.
    pub(super) fn settle_callbacks(&self) {
        if !is_armed() {
            return;
        }
        let gives_up = std::thread::panicking();
        if !gives_up {
            self.compare_opened();
        }
        if OPEN.with(Cell::get) == 0 {
            OPENED.with(|opened| opened.borrow_mut().clear());
        }
        let memory = &mut *self.detector.0.borrow_mut();
        for address in memory.announced.drain() {
            let object = std::ptr::with_exposed_provenance(address);
            // SAFETY: a live object of this arena, since no cycle has run after its barrier.
            let holds = if gives_up || is_huge(object) { None } else { unsafe { shadow::pointers(object) } };
            match holds {
                Some(holds) => memory.shadow.set(address, &holds),
                None => memory.shadow.forget(address),
            }
        }
    }

    /// Objects of which a lock was opened by hand, and on which no barrier was run.
    fn compare_opened(&self) {
        let opened = OPENED.with(|opened| opened.borrow().clone());
        for (object, place) in opened.into_iter().filter(|&(object, _)| object != 0) {
            let object = std::ptr::with_exposed_provenance(object);
            self.compare(object, "missed write barrier, found when the callback ended", Some(place));
        }
    }
}

/// The object that an address lies in.
fn object_of(address: usize) -> Option<*const u8> {
    memstate::lent_slot(address)?;
    let place = bucketmask_alloc::frames::Place::of(address)?;
    Some(std::ptr::with_exposed_provenance(place.page + place.slot * place.slot_size))
}

/// Whether a lock of the object, or one that may be any object's, was opened by hand: then its barrier may still come.
fn was_opened(object: *const u8) -> bool {
    OPENED.with(|opened| {
        let opened = opened.borrow();
        opened.contains_key(&object.addr()) || opened.contains_key(&0)
    })
}
