//! [`Shadow`]: what objects held when they were looked at last.
//!
//! Owned by the detector. Made anew by each walk of `second.rs`, so it knows no object that a sweep has freed; between walks it is
//! kept up for objects that are written to behind a barrier. Invariant: the list of an object has every pointer that it held when no
//! callback ran last, or the object has no list.

use super::super::colour::Place;
use super::super::verify::Reached;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Addresses are hashed by a multiplication: they differ in their middle bits.
#[derive(Default)]
pub(super) struct ByAddress(u64);

impl Hasher for ByAddress {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_usize(usize::from(byte));
        }
    }

    #[inline]
    fn write_usize(&mut self, word: usize) {
        let product = (self.0 ^ word as u64 >> 4).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = product ^ product >> 32;
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}

pub(super) type Addresses = HashSet<usize, BuildHasherDefault<ByAddress>>;

/// A part of the shadow's list of pointers.
#[derive(Clone, Copy)]
struct Part {
    start: usize,
    len: usize,
}

#[derive(Default)]
pub(super) struct Shadow {
    parts: HashMap<usize, Option<Part>, BuildHasherDefault<ByAddress>>,
    pointers: Vec<usize>,
    /// Pointers of no object any more.
    stale: usize,
}

impl Shadow {
    /// An empty one, with room for as much as another has.
    pub(super) fn like(other: &Self) -> Self {
        Self {
            parts: HashMap::with_capacity_and_hasher(other.parts.len(), BuildHasherDefault::default()),
            pointers: Vec::with_capacity(other.pointers.len() - other.stale),
            stale: 0,
        }
    }

    /// Takes an object up, without a list. False: it was there, and has the list that it had.
    pub(super) fn meet(&mut self, object: usize) -> bool {
        let known = self.parts.len();
        self.parts.entry(object).or_insert(None);
        self.parts.len() > known
    }

    /// Whether an object was met.
    pub(super) fn has_met(&self, object: usize) -> bool {
        self.parts.contains_key(&object)
    }

    /// What an object held, if that is known.
    pub(super) fn of(&self, object: *const u8) -> Option<&[usize]> {
        let Part { start, len } = (*self.parts.get(&object.addr())?)?;
        Some(&self.pointers[start..start + len])
    }

    /// Notes what an object holds.
    pub(super) fn set(&mut self, object: usize, holds: &[*const u8]) {
        let part = self.parts.entry(object).or_default();
        let addresses = holds.iter().map(|pointer| pointer.addr());
        match part {
            Some(part) if part.len >= holds.len() => {
                self.stale += part.len - holds.len();
                part.len = holds.len();
                for (place, address) in self.pointers[part.start..].iter_mut().zip(addresses) {
                    *place = address;
                }
            }
            _ => {
                self.stale += part.map_or(0, |part| part.len);
                *part = Some(Part { start: self.pointers.len(), len: holds.len() });
                self.pointers.extend(addresses);
            }
        }
        if self.stale > self.pointers.len() / 2 + 4096 {
            self.pack();
        }
    }

    /// What an object holds is not known.
    pub(super) fn forget(&mut self, object: usize) {
        if let Some(part) = self.parts.insert(object, None).flatten() {
            self.stale += part.len;
        }
    }

    fn pack(&mut self) {
        let mut packed = Vec::with_capacity(self.pointers.len() - self.stale);
        for part in self.parts.values_mut().flatten() {
            let start = packed.len();
            packed.extend_from_slice(&self.pointers[part.start..part.start + part.len]);
            part.start = start;
        }
        self.pointers = packed;
        self.stale = 0;
    }
}

/// What an object holds, by its `trace`; `None` if that is not to be known now: an object that is traced in parts, or one with a lock
/// that the program holds open.
///
/// # Safety
///
/// `object` is a live object on a page, and no `&mut` to a part of it exists but through a lock.
pub(super) unsafe fn pointers(object: *const u8) -> Option<Vec<*const u8>> {
    // SAFETY: as the caller promises.
    let table = unsafe { Place::of(object) }.table();
    if table.trace_part.is_some() {
        return None;
    }
    let mut reached = Reached::patient();
    if table.needs_trace {
        // A type with a cell of its own may panic while that is borrowed.
        // SAFETY: a live object of the table's type.
        let traced = catch_unwind(AssertUnwindSafe(|| unsafe { (table.visit)(object, &mut reached) }));
        traced.ok()?;
    }
    (!reached.is_incomplete).then_some(reached.strong)
}
