//! The second mark: a walk from the root when marking has ended, by a set of addresses of its own, compared with the first.
//!
//! Owned by the detector. It also looks at every object, for the shadow. Invariant: it changes no mask, so that the sweep that
//! follows does what it would have done.

use super::super::colour::Place;
use super::super::verify::{Reached, table_of};
use super::super::{Context, Heap, is_huge};
use super::is_armed;
use super::shadow::{Addresses, Shadow};
use crate::collect::{Collect, Trace};
use bucketmask_alloc::memstate::report::Report;
use bucketmask_alloc::memstate::rule::{Request, Rule, should_trigger};
use bucketmask_alloc::memstate::{self, MemState, lent_slot};

/// What the collector has found.
const FOUND: Rule = Rule { all: MemState::LIVE.with(MemState::MARKED), ..Rule::ANYTHING };

impl Context {
    /// Walks all that the root reaches. Marking has ended, and the sweep not begun.
    pub(in super::super) fn look<'gc, R: Collect<'gc> + ?Sized>(&self, root: &R) {
        if !is_armed() {
            return;
        }
        // SAFETY: no callback runs, and `trace` implementations can't reach the heap.
        let heap = unsafe { &*self.heap.get() };
        let memory = &mut *self.detector.0.borrow_mut();
        memory.anywhere.clear();
        let mut next = Shadow::like(&memory.shadow);
        heap.walk(root, &mut next);
        memory.shadow = next;
    }
}

impl Heap {
    fn walk<'gc, R: Collect<'gc> + ?Sized>(&self, root: &R, shadow: &mut Shadow) {
        let huge: Addresses = self.huge.live().map(|(address, _)| address.addr()).collect();
        let mut reached = Reached::default();
        reached.trace(root);
        if let Some(fault) = reached.take_fault() {
            masks_are_wrong(core::ptr::from_ref(root).cast::<u8>().addr(), std::any::type_name::<R>(), fault);
        }
        // Who led to an object, for reports: the object that was visited when it was told.
        let mut by = vec![std::ptr::null(); reached.strong.len()];
        loop {
            let Some(object) = reached.strong.pop() else {
                let had = reached.ephemerons.len();
                let strong = &mut reached.strong;
                reached.ephemerons.retain(|(key, values)| {
                    let kept = shadow.has_met(key.addr());
                    strong.extend(values.iter().filter(|_| kept));
                    !kept
                });
                by.resize(reached.strong.len(), std::ptr::null());
                if reached.ephemerons.len() == had {
                    break;
                }
                continue;
            };
            let from = by.pop().unwrap_or(std::ptr::null());
            if !shadow.meet(object.addr()) {
                continue;
            }
            expect_found(object, from, &huge);
            // SAFETY: a live object, as was just found.
            let table = unsafe { table_of(object) };
            let told = reached.strong.len();
            if table.needs_trace {
                // SAFETY: a live object of the table's type.
                unsafe { (table.visit)(object, &mut reached) };
                by.resize(reached.strong.len(), object);
            }
            if let Some(fault) = reached.take_fault() {
                masks_are_wrong(object.addr(), (table.name)(), fault);
            }
            if table.trace_part.is_none() && !is_huge(object) {
                shadow.set(object.addr(), &reached.strong[told..]);
                memstate::mark(object.addr(), 1, MemState::OWNED);
            }
        }
        for &target in &reached.weak {
            expect_held(target);
        }
    }
}

/// What a container told of itself while it was walked.
fn masks_are_wrong(address: usize, type_name: &'static str, fault: String) -> ! {
    let mut report = Report::at("a container's masks are wrong", address);
    report.type_name = Some(type_name);
    report.detail = fault;
    report.raise()
}

/// What the root reaches is a live object, and marked.
fn expect_found(object: *const u8, from: *const u8, huge: &Addresses) {
    let what = if is_huge(object) {
        // SAFETY: a huge object that the arena has.
        let is_marked = huge.contains(&object.addr()) && unsafe { Place::of(object) }.marked();
        if is_marked {
            return;
        }
        "a reachable huge object is not marked"
    } else {
        let Some(slot) = lent_slot(object.addr()) else {
            tell("a reachable object is on no page", object, from);
        };
        let request = Request { address: object.addr(), size: slot.room, state: slot.state };
        if !slot.is_start {
            "a reachable pointer leads into the middle of a slot"
        } else if should_trigger(&request, &FOUND) {
            return;
        } else if slot.state.has_any(MemState::LIVE) {
            "a reachable object is not marked"
        } else {
            "a reachable object was swept"
        }
    };
    tell(what, object, from);
}

/// What is weakly reached is marked, or will be held when its value goes.
fn expect_held(target: *const u8) {
    if is_huge(target) {
        return;
    }
    let Some(slot) = lent_slot(target.addr()) else {
        tell("a weak pointer leads to no page", target, std::ptr::null());
    };
    let state = slot.state;
    let held =
        if state.has_any(MemState::LIVE) { MemState::MARKED | MemState::TRACED } else { MemState::TRACED };
    if !state.has_any(held) {
        tell("what a weak pointer leads to is not held", target, std::ptr::null());
    }
}

#[cold]
fn tell(what: &'static str, object: *const u8, from: *const u8) -> ! {
    let mut report = Report::at(what, object.addr());
    report.detail = if from.is_null() {
        "the root, a weak pointer or a key leads to it".to_owned()
    } else {
        // SAFETY: a live object, since it was visited.
        let name = unsafe { (table_of(from).name)() };
        let last = memstate::last_deed(from.addr());
        let deed =
            last.map_or(String::new(), |(deed, place)| format!(", last {deed:?} at {place}").to_lowercase());
        format!("{from:p} ({name}) leads to it, {}{deed}", memstate::state_of(from.addr()))
    };
    report.raise()
}
