//! [`Index`]: from a type's table to its pages, by the table's address. Owns the type heaps of an arena.
//!
//! A type may have several tables, one in each codegen unit that allocates it. They agree in all that matters, and so
//! share one type heap. Invariant: open addressing, at most half full, nothing is ever removed; a type heap never moves.
#![allow(unsafe_code)]

use super::table::TypeTable;
use super::types::TypeHeap;
use std::ptr::NonNull;

const FIRST_SLOTS: usize = 8;

#[derive(Clone, Copy)]
struct Entry {
    /// The table's address; 0 in a free entry.
    key: usize,
    /// Dangling in a free entry.
    heap: NonNull<TypeHeap>,
}

const FREE: Entry = Entry { key: 0, heap: NonNull::dangling() };

pub(super) struct Index {
    /// A power of two of entries.
    entries: Box<[Entry]>,
    /// 64 minus the logarithm of their number.
    shift: u32,
    len: usize,
    /// Each type heap once.
    heaps: Vec<NonNull<TypeHeap>>,
}

impl Index {
    pub(super) fn new() -> Self {
        Self {
            entries: Box::new([FREE; FIRST_SLOTS]),
            shift: 64 - FIRST_SLOTS.ilog2(),
            len: 0,
            heaps: Vec::new(),
        }
    }

    /// The type heap of a table.
    #[inline(always)]
    pub(super) fn get(&self, table: &'static TypeTable) -> Option<NonNull<TypeHeap>> {
        let key = table.expose();
        let mut at = home(key, self.shift);
        loop {
            // SAFETY: `home` is below the number of entries, and so is what the mask leaves.
            let entry = unsafe { self.entries.get_unchecked(at) };
            if entry.key == key {
                return Some(entry.heap);
            }
            if entry.key == 0 {
                return None;
            }
            at = (at + 1) & (self.entries.len() - 1);
        }
    }

    /// The type heap of a table, made if there is none.
    pub(super) fn insert(&mut self, table: &'static TypeTable) -> &mut TypeHeap {
        let mut heap = self.get(table).unwrap_or_else(|| self.enter(table));
        // SAFETY: owned by the index, which is borrowed mutably.
        unsafe { heap.as_mut() }
    }

    /// Enters a table, for the heap of a table that says the same, or for a new one.
    fn enter(&mut self, table: &'static TypeTable) -> NonNull<TypeHeap> {
        if self.len * 2 >= self.entries.len() {
            self.grow();
        }
        // SAFETY: owned by the index, which is borrowed mutably.
        let same = |heap: &&NonNull<TypeHeap>| unsafe { heap.as_ref() }.table().says_the_same(table);
        let heap = self.heaps.iter().find(same).copied();
        let heap = heap.unwrap_or_else(|| {
            let heap = NonNull::from(Box::leak(Box::new(TypeHeap::new(table))));
            self.heaps.push(heap);
            heap
        });
        self.put(Entry { key: table.expose(), heap });
        self.len += 1;
        heap
    }

    fn put(&mut self, entry: Entry) {
        let mut at = home(entry.key, self.shift);
        while self.entries[at].key != 0 {
            at = (at + 1) & (self.entries.len() - 1);
        }
        self.entries[at] = entry;
    }

    fn grow(&mut self) {
        let larger = vec![FREE; self.entries.len() * 2].into_boxed_slice();
        let entries = std::mem::replace(&mut self.entries, larger);
        self.shift -= 1;
        for entry in entries.iter().filter(|entry| entry.key != 0) {
            self.put(*entry);
        }
    }

    pub(super) fn heaps(&self) -> impl Iterator<Item = &TypeHeap> {
        // SAFETY: owned by the index, which is borrowed.
        self.heaps.iter().map(|heap| unsafe { heap.as_ref() })
    }

    /// The type heap with a number; they keep their numbers.
    pub(super) fn heap_mut(&mut self, number: usize) -> Option<&mut TypeHeap> {
        // SAFETY: owned by the index, which is borrowed mutably.
        self.heaps.get_mut(number).map(|heap| unsafe { heap.as_mut() })
    }

    pub(super) fn heaps_mut(&mut self) -> impl Iterator<Item = &mut TypeHeap> {
        // SAFETY: owned by the index, which is borrowed mutably; no heap is listed twice.
        self.heaps.iter_mut().map(|heap| unsafe { heap.as_mut() })
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        for heap in &self.heaps {
            // SAFETY: leaked by `enter`, and dropped nowhere else.
            drop(unsafe { Box::from_raw(heap.as_ptr()) });
        }
    }
}

/// The entry where a search starts: the high bits of a multiplicative hash (Knuth's), since low bits of addresses agree.
#[inline(always)]
fn home(key: usize, shift: u32) -> usize {
    ((key as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> shift) as usize
}
