//! Checks a heap against its invariants, and against a walk of the graph that uses none of the collector's masks.
//!
//! Owned by tests. Invariant: it changes nothing.
#![allow(unsafe_code)]

use super::types::{bucket, valid_slots, words};
use super::{Context, Heap, TypeTable, huge, is_huge, locate};
use crate::collect::{Collect, Trace};
use crate::{Gc, GcWeak};
use std::collections::HashSet;
use std::fmt;
use std::sync::atomic::Ordering::Relaxed;

use super::types::{USER_QUEUED, USER_TABLE};

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
    strong: Vec<*const u8>,
    weak: Vec<*const u8>,
}

impl<'gc> Trace<'gc> for Reached {
    fn trace_gc(&mut self, gc: Gc<'gc, ()>) {
        self.strong.push(gc.ptr.as_ptr().cast());
    }

    fn trace_gc_weak(&mut self, gc: GcWeak<'gc, ()>) {
        self.weak.push(gc.inner.ptr.as_ptr().cast());
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
        let (live, held) = heap.verify_masks()?;
        if live != self.metrics().total_gc_count() {
            let counted = self.metrics().total_gc_count();
            return fail(format!("{live} objects are occupied, {counted} were counted"));
        }
        let mut reached = Reached::default();
        reached.trace(root);
        Ok(Verified { reachable: heap.verify_reachable(reached)?, live, held })
    }
}

impl Heap {
    /// Live objects and held slots, by the masks.
    fn verify_masks(&self) -> Result<(usize, usize), VerifyError> {
        let (mut live, mut held) = (self.huge.live().count(), 0);
        for heap in self.index.heaps() {
            let name = (heap.table().name)();
            for page in heap.pages() {
                if page.user()[USER_TABLE].load(Relaxed) != heap.table().expose() {
                    return fail(format!("a page of {name} belongs to another type"));
                }
                if page.user()[USER_QUEUED].load(Relaxed) != 0 {
                    return fail(format!("a page of {name} is queued between cycles"));
                }
                for index in 0..8 {
                    let occupied = page.occupied()[index].load(Relaxed);
                    let scanned = page.scanned()[index].load(Relaxed);
                    let valid = if index < words(*page) { valid_slots(*page, index) } else { 0 };
                    if (occupied | scanned) & !valid != 0 {
                        return fail(format!("a page of {name} has objects outside its slots"));
                    }
                    if page.marked()[index].load(Relaxed) != 0 {
                        return fail(format!("a page of {name} is marked between cycles"));
                    }
                    if occupied & scanned != 0 {
                        return fail(format!("a slot of {name} is occupied and held"));
                    }
                    live += occupied.count_ones() as usize;
                    held += scanned.count_ones() as usize;
                }
            }
        }
        if self.huge.marked() != 0 {
            return fail("a huge object is marked between cycles".to_owned());
        }
        Ok((live, held))
    }

    /// Walks the graph by addresses alone; counts what it reaches.
    fn verify_reachable(&self, mut reached: Reached) -> Result<usize, VerifyError> {
        let objects = self.objects();
        let mut seen = HashSet::new();
        while let Some(address) = reached.strong.pop() {
            if !objects.contains(&address) {
                return fail(format!("{address:p} is reachable, but no live object of this arena"));
            }
            if !seen.insert(address) {
                continue;
            }
            // SAFETY: an object of this arena.
            let table = unsafe { table_of(address) };
            // SAFETY: a live object of the table's type.
            unsafe { (table.visit)(address, &mut reached) };
        }
        for address in reached.weak {
            // SAFETY: the target of a reachable weak pointer is live or held.
            if !objects.contains(&address) && unsafe { !is_held(address) } {
                return fail(format!("the target {address:p} of a reachable weak pointer is not held"));
            }
        }
        Ok(seen.len())
    }

    /// The addresses of all live objects.
    fn objects(&self) -> HashSet<*const u8> {
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
unsafe fn table_of(address: *const u8) -> &'static TypeTable {
    if is_huge(address) {
        // SAFETY: as the caller promises.
        return unsafe { huge::header(address) }.table;
    }
    // SAFETY: as the caller promises; every page of an arena names its table.
    unsafe { TypeTable::from_exposed(locate(address).0.user()[USER_TABLE].load(Relaxed)) }
}

/// Whether the slot of a dropped object is held.
///
/// # Safety
///
/// `address` is the target of a reachable weak pointer.
unsafe fn is_held(address: *const u8) -> bool {
    if is_huge(address) {
        // SAFETY: as the caller promises.
        return unsafe { huge::header(address) }.held.get();
    }
    // SAFETY: as the caller promises.
    let (page, slot, _) = unsafe { locate(address) };
    page.scanned()[slot / 64].load(Relaxed) >> (slot % 64) & 1 != 0
}

fn fail<T>(message: String) -> Result<T, VerifyError> {
    Err(VerifyError(message))
}
