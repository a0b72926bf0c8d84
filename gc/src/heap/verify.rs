//! Checks a heap against its invariants, and against a walk of the graph that uses none of the collector's masks.
//!
//! Owned by tests. Invariant: it changes nothing.
#![allow(unsafe_code)]

use super::colour::Place;
use super::cycle::Phase;
use super::types::{USER_QUEUED, USER_TABLE, USER_WEAK, bucket, valid_slots, words};
use super::{Context, Heap, TypeTable};
use crate::collect::{Collect, Trace};
use crate::{Gc, GcWeak};
use bucketmask_alloc::LentPage;
use std::collections::HashSet;
use std::fmt;
use std::sync::atomic::Ordering::Relaxed;

/// What [`Arena::verify`](crate::Arena::verify) counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verified {
    /// Objects that the root reaches.
    pub reachable: usize,
    /// Objects that the heap holds. After a cycle: the reachable ones.
    pub live: usize,
    /// Slots whose value is gone, held for weak pointers.
    pub held: usize,
}

/// A discrepancy in a heap, as a sentence. It means a defect in this crate, or a broken promise of an unsafe `Collect`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyError(String);

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for VerifyError {}

/// Collects the pointers that it is told of.
#[derive(Default)]
pub(super) struct Reached {
    pub(super) strong: Vec<*const u8>,
    /// Keys of weak maps, each with what its value leads to.
    pub(super) ephemerons: Vec<(*const u8, Vec<*const u8>)>,
    in_ephemeron: bool,
    pub(super) weak: Vec<*const u8>,
    /// What containers have found wrong with themselves.
    fault: Option<String>,
    /// Whether locks that the program holds open are passed over, and whether there was one.
    #[cfg(feature = "checked")]
    is_patient: bool,
    #[cfg(feature = "checked")]
    pub(super) is_incomplete: bool,
}

#[cfg(feature = "checked")]
impl Reached {
    /// One that passes over locks that the program holds open.
    pub(super) fn patient() -> Self {
        Self { is_patient: true, ..Self::default() }
    }

    pub(super) fn take_fault(&mut self) -> Option<String> {
        self.fault.take()
    }
}

impl<'gc> Trace<'gc> for Reached {
    fn trace_gc(&mut self, gc: Gc<'gc, ()>) {
        let address = gc.ptr.as_ptr().cast();
        match self.ephemerons.last_mut() {
            Some((_, values)) if self.in_ephemeron => values.push(address),
            _ => self.strong.push(address),
        }
    }

    fn trace_ephemeron(&mut self, key: GcWeak<'gc, ()>, _owner: Gc<'gc, ()>, _tag: usize) -> bool {
        self.ephemerons.push((key.inner.address(), Vec::new()));
        self.in_ephemeron = true;
        true
    }

    fn end_ephemeron(&mut self) {
        self.in_ephemeron = false;
    }

    fn trace_gc_weak(&mut self, gc: GcWeak<'gc, ()>) {
        self.weak.push(gc.inner.ptr.as_ptr().cast());
    }

    fn is_checking(&self) -> bool {
        true
    }

    fn tell_fault(&mut self, fault: String) {
        self.fault.get_or_insert(fault);
    }

    #[cfg(feature = "checked")]
    fn passes_over_borrowed(&mut self) -> bool {
        self.is_incomplete |= self.is_patient;
        self.is_patient
    }
}

impl Context {
    /// Checks everything.
    ///
    /// # Safety
    ///
    /// `root` is this arena's, and nothing of it is borrowed mutably.
    pub(crate) unsafe fn verify<'gc, R: Collect<'gc> + ?Sized>(
        &self,
        root: &R,
    ) -> Result<Verified, VerifyError> {
        // SAFETY: the checks run `trace` implementations only, which cannot allocate in this arena.
        let heap = unsafe { &*self.heap.get() };
        let (live, held) = heap.verify_masks(self.phase())?;
        if live + held != self.metrics().total_gc_count() {
            let counted = self.metrics().total_gc_count();
            return fail(format!("{live} objects are occupied and {held} held, {counted} were counted"));
        }
        if self.phase() == Phase::Mark {
            heap.verify_colours()?;
        }
        let mut reached = Reached::default();
        reached.trace(root);
        Ok(Verified { reachable: heap.verify_reachable(reached, self.phase())?, live, held })
    }
}

impl Heap {
    /// Live objects and held slots, by the masks.
    fn verify_masks(&self, phase: Phase) -> Result<(usize, usize), VerifyError> {
        let (mut live, mut held) = (self.huge.live().count(), self.huge.held());
        for heap in self.index.heaps() {
            let name = (heap.table().name)();
            let swept = heap.pages().len() - heap.unswept().len();
            for (number, page) in heap.pages().enumerate() {
                if page.user()[USER_TABLE].load(Relaxed) != heap.table().expose() {
                    return fail(format!("a page of {name} belongs to another type"));
                }
                if phase != Phase::Mark && page.user()[USER_QUEUED].load(Relaxed) != 0 {
                    return fail(format!("a page of {name} is queued while nothing is marked"));
                }
                let in_cycle = phase == Phase::Mark || number >= swept;
                let (occupied, scanned) = verify_page(page, in_cycle, heap.table())?;
                live += occupied;
                held += scanned;
            }
        }
        if phase == Phase::Sleep && self.huge.marked() != 0 {
            return fail("a huge object is marked between cycles".to_owned());
        }
        Ok((live, held))
    }

    /// What a black object points to is marked, and what is grey is in the queue.
    fn verify_colours(&self) -> Result<(), VerifyError> {
        let leaf_page = |page: LentPage| {
            // SAFETY: every page of an arena names its table.
            !unsafe { TypeTable::from_exposed(page.user()[USER_TABLE].load(Relaxed)) }.needs_trace
        };
        for page in self.pages().filter(|page| !leaf_page(*page)) {
            let words = page.marked().iter().zip(page.scanned());
            let mut words = words.map(|(marked, scanned)| marked.load(Relaxed) & !scanned.load(Relaxed));
            if words.any(|grey| grey != 0) && page.user()[USER_QUEUED].load(Relaxed) == 0 {
                return fail("a grey object is on a page that is not queued".to_owned());
            }
        }
        for address in self.objects() {
            // SAFETY: a live object of this arena.
            if unsafe { !Place::of(address).is_black() } || self.marker.parts.has(address) {
                continue;
            }
            let mut told = Reached::default();
            // SAFETY: a live object.
            let table = unsafe { table_of(address) };
            if table.needs_trace {
                // SAFETY: a live object of the table's type.
                unsafe { (table.visit)(address, &mut told) };
            }
            // SAFETY: targets of a live object's pointers.
            let white = |target: &&*const u8| unsafe { !Place::of(**target).marked() };
            let settled = !self.marker.ephemerons.has_woken();
            // SAFETY: a key is live or held.
            let kept = |key: *const u8| unsafe { Place::of(key).marked() && Place::of(key).occupied() };
            let kept = told.ephemerons.iter().filter(|(key, _)| settled && kept(*key));
            if let Some(target) = told.strong.iter().chain(kept.flat_map(|(_, values)| values)).find(white) {
                return fail(format!(
                    "{address:p} ({}) is black and leads to white {target:p}",
                    (table.name)()
                ));
            }
        }
        Ok(())
    }

    /// Walks the graph by addresses alone; counts what it reaches.
    fn verify_reachable(&self, mut reached: Reached, phase: Phase) -> Result<usize, VerifyError> {
        let objects = self.objects();
        let unswept: HashSet<_> =
            self.index.heaps().flat_map(|heap| heap.unswept().iter().copied()).collect();
        let mut seen = HashSet::new();
        loop {
            let Some(address) = reached.strong.pop() else {
                // What is kept by keys that were found: over and over, until nothing changes.
                let had = reached.ephemerons.len();
                let strong = &mut reached.strong;
                reached.ephemerons.retain(|(key, values)| {
                    let kept = seen.contains(key);
                    strong.extend(values.iter().filter(|_| kept));
                    !kept
                });
                if reached.ephemerons.len() == had {
                    break;
                }
                continue;
            };
            if !objects.contains(&address) {
                return fail(format!("{address:p} is reachable, but no live object of this arena"));
            }
            if !seen.insert(address) {
                continue;
            }
            // SAFETY: an object of this arena.
            if let Place::Slot { page, .. } = unsafe { Place::of(address) } {
                // SAFETY: as above.
                if phase == Phase::Sweep && unswept.contains(&page) && unsafe { Place::of(address).is_dead() }
                {
                    return fail(format!("{address:p} is reachable, but the sweep will free it"));
                }
            }
            // SAFETY: an object of this arena.
            let table = unsafe { table_of(address) };
            // SAFETY: a live object of the table's type.
            unsafe { (table.visit)(address, &mut reached) };
            if let Some(fault) = reached.fault.take() {
                return fail(format!("{address:p} ({}): {fault}", (table.name)()));
            }
        }
        for address in reached.weak {
            // SAFETY: the target of a reachable weak pointer is live or held.
            if !objects.contains(&address) && unsafe { !Place::of(address).scanned() } {
                return fail(format!("the target {address:p} of a reachable weak pointer is not held"));
            }
        }
        Ok(seen.len())
    }

    /// The addresses of all live objects.
    pub(super) fn objects(&self) -> HashSet<*const u8> {
        let mut objects: HashSet<_> = self.huge.live().map(|(address, _)| address).collect();
        for page in self.pages() {
            for index in 0..words(page) {
                let occupied = page.occupied()[index].load(Relaxed);
                for slot in bucketmask_alloc::BucketMask::from_word(occupied).occupied() {
                    let offset = slot as usize * page.slot_size();
                    objects.insert(bucket(page, index).as_ptr().wrapping_add(offset).cast_const());
                }
            }
        }
        objects
    }
}

/// The table of a live object.
///
/// # Safety
///
/// `address` is that of a live object.
pub(super) unsafe fn table_of(address: *const u8) -> &'static TypeTable {
    // SAFETY: as the caller promises.
    match unsafe { Place::of(address) } {
        Place::Huge(header) => header.table,
        // SAFETY: every page of an arena names its table.
        Place::Slot { page, .. } => unsafe { TypeTable::from_exposed(page.user()[USER_TABLE].load(Relaxed)) },
    }
}

/// Checks the masks of a page against each other; counts its objects and its held slots.
fn verify_page(page: LentPage, in_cycle: bool, table: &TypeTable) -> Result<(usize, usize), VerifyError> {
    let name = (table.name)();
    let (mut live, mut held) = (0, 0);
    for index in 0..8 {
        let occupied = page.occupied()[index].load(Relaxed);
        let marked = page.marked()[index].load(Relaxed);
        let scanned = page.scanned()[index].load(Relaxed);
        let valid = if index < words(page) { valid_slots(page, index) } else { 0 };
        if (occupied | marked | scanned) & !valid != 0 {
            return fail(format!("a page of {name} has objects outside its slots"));
        }
        if !in_cycle && marked != 0 {
            return fail(format!(
                "a page of {name} is marked, but its sweep is over or its marking has not begun"
            ));
        }
        if !in_cycle && occupied & scanned != 0 {
            return fail(format!("a slot of {name} is occupied and held"));
        }
        if marked & !occupied & !scanned != 0 {
            return fail(format!("a free slot of {name} is marked"));
        }
        let weak = scanned & (occupied ^ marked) | scanned & !occupied;
        if weak != 0 && page.user()[USER_WEAK].load(Relaxed) == 0 {
            return fail(format!("a page of {name} has held slots and does not know"));
        }
        live += occupied.count_ones() as usize;
        held += (scanned & !occupied).count_ones() as usize;
    }
    Ok((live, held))
}

fn fail<T>(message: String) -> Result<T, VerifyError> {
    Err(VerifyError(message))
}
