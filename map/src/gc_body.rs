//! `Body`: what a map of the collector's consists of in its arena: a table, its hasher, and how far it was traced.
//!
//! Owned by `gc_map`, `gc_str_map` and `weak_map`, which are handles to it. A collection goes over the table a part at a
//! time and the map changes in between, so:
//!
//! ```text
//! traced upwards: mask words below `traced` are done         (growth moves entries up, so it moves few behind the tracer)
//! an entry comes in, or a value is replaced:  shaded, if the body was traced at least in part
//! an entry is moved to a bucket that is done: remembered by the table (`fallen`), traced with the next part
//! the table is rebuilt:                       it has forgotten that it was traced, and is traced from its start
//! all is traced, and little is left in much memory: it shrinks, some steps a part
//! the map is dead: its entries are dropped some at a time, then its memory goes back, 2 MiB at a time
//! ```
//!
//! Invariant: no reference into the table outlives a call; an entry below `traced` was traced, shaded, or is in `fallen`.

#![allow(unsafe_code)]

use crate::pages::Pages;
use crate::raw::RawTable;
use crate::raw::layout::{HEAD, LANES, SLOTS, Scrubbed, Split};
use crate::raw::visit::Occupancy;
use crate::raw::walk::Walk as Entries;
use bucketmask_gc::collect::Trace;
use bucketmask_gc::{Collect, DropInParts, External, Gc, GcWeak, Mutation, PART_BYTES, Traced, Walk};
use core::cell::{Cell, RefCell};
use core::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Vacated slots are zeroed, so that a flat walk, which masks are measured against, is possible.
pub(crate) type Table<E> = RawTable<E, Pages, Scrubbed<Split>>;

/// Positions of `trace_part`: the table is being traced, or it shrinks. (Where, the body and the table know.)
const TRACING: usize = 1;
const EBBING: usize = 2;
/// Steps of upkeep in a part: each looks at 256 buckets, moves what they hold, or gives back 256 KiB.
const EBB_STEPS: usize = 4;
/// Bytes given back to the system at a time, when the map is dead.
const CLOSE_BYTES: usize = 2 << 20;

/// An entry, as the collector sees it.
pub(crate) trait Entry<'gc>: Sized {
    /// Whether entries can hold pointers.
    const NEEDS_TRACE: bool;

    /// Traces the entry, which lies in the table of `owner`.
    fn trace_entry<T: Trace<'gc>>(&self, owner: Gc<'gc, ()>, cc: &mut T);

    /// Traces the value of the entry that waited for the object at this address.
    fn wake<T: Trace<'gc>>(table: &Table<Self>, key: *const u8, cc: &mut T) {
        let _ = (table, key, cc);
    }

    /// Takes the entry of the object at this address out, which is dead.
    fn forget(table: &mut Table<Self>, key: *const u8) -> Option<Self> {
        let _ = (table, key);
        None
    }
}

impl<'gc, K: Collect<'gc>, V: Collect<'gc>> Entry<'gc> for (K, V) {
    const NEEDS_TRACE: bool = K::NEEDS_TRACE || V::NEEDS_TRACE;

    #[inline]
    fn trace_entry<T: Trace<'gc>>(&self, _owner: Gc<'gc, ()>, cc: &mut T) {
        cc.trace(&self.0);
        cc.trace(&self.1);
    }
}

/// How an entry is hashed.
pub(crate) type Rehash<E, S> = fn(&S, &E) -> u64;

/// What lives in the arena.
pub(crate) struct Body<E, S> {
    pub(crate) table: RefCell<Table<E>>,
    pub(crate) build: S,
    /// Offset of a word that is never zero in an entry, for walks that test slots.
    flat_word: Option<usize>,
    /// Mask words that were traced; 0 also when all are.
    traced: Cell<usize>,
    /// How entries are hashed, once there was one; so that a collection can move them.
    rehash: Cell<Option<Rehash<E, S>>>,
    /// The table's bytes, as the arena's pacing counts them, and the buckets that it had then.
    external: RefCell<External>,
    counted: Cell<usize>,
    /// Whether collections shrink the table.
    pub(crate) shrinks: Cell<bool>,
}

impl<E, S> Body<E, S> {
    fn new(table: Table<E>, build: S, flat_word: Option<usize>, external: External) -> Self {
        Self {
            counted: Cell::new(table.buckets),
            table: RefCell::new(table),
            build,
            flat_word,
            traced: Cell::new(0),
            rehash: Cell::new(None),
            external: RefCell::new(external),
            shrinks: Cell::new(flat_word.is_none()),
        }
    }

    /// Tells the pacing if the table has changed its size.
    #[inline(always)]
    pub(crate) fn account(&self, table: &Table<E>) {
        if table.buckets != self.counted.get() {
            self.recount(table);
        }
    }

    #[cold]
    fn recount(&self, table: &Table<E>) {
        self.counted.set(table.buckets);
        self.external.borrow_mut().resize(table.bytes());
    }

    /// Mask words that were traced, while others are still to be.
    pub(crate) fn traced(&self) -> usize {
        self.traced.get()
    }

    /// Tells how entries are hashed.
    #[inline(always)]
    pub(crate) fn hash_by(&self, rehash: Rehash<E, S>) {
        self.rehash.set(Some(rehash));
    }
}

impl<'gc, E: Entry<'gc> + 'gc, S: 'static> Body<E, S> {
    /// Allocates the body of an empty map.
    pub(crate) fn alloc(
        mc: &Mutation<'gc>,
        table: Table<E>,
        build: S,
        flat_word: Option<usize>,
    ) -> Gc<'gc, Self> {
        let external = mc.metrics().external(table.bytes());
        Gc::new(mc, Self::new(table, build, flat_word, external))
    }

    /// This body's pointer.
    fn this(&self) -> Gc<'gc, ()> {
        // SAFETY: bodies are made by `alloc` alone, and never moved, so this one lies in the arena.
        unsafe { Gc::from_ptr(core::ptr::from_ref(self).cast()) }
    }

    /// The table takes up an entry, or one with this in it.
    #[inline(always)]
    pub(crate) fn takes_up<C: Collect<'gc>>(this: Gc<'gc, Self>, mc: &Mutation<'gc>, value: &C) {
        if mc.must_shade(Gc::erase(this)) {
            mc.shade(value);
        }
    }

    fn occupancy<T: Trace<'gc>>(&self, cc: &T) -> Occupancy {
        match (cc.walk(), self.flat_word) {
            (Walk::Flat, Some(offset)) => Occupancy::Slots(offset),
            _ => Occupancy::Masks,
        }
    }

    /// Traces entries for about `most` of them, from where the last part has ended. True: all are traced.
    fn trace_some<T: Trace<'gc>>(&self, most: usize, cc: &mut T) -> (bool, usize) {
        let mut table = self.table.borrow_mut();
        if table.care.traced != self.traced.get() * LANES {
            // Rebuilt.
            self.traced.set(0);
        }
        let owner = self.this();
        let fallen = mem::take(&mut table.care.fallen);
        let mut count = fallen.len();
        for spot in fallen {
            if let Some(entry) = table.entry_at(spot) {
                entry.trace_entry(owner, cc);
            }
        }
        let from = self.traced.get();
        let by = self.occupancy(cc);
        // SAFETY: `flat_word` is set for values that are never zero only, and the layout scrubs.
        let looked = unsafe { table.visit(from..usize::MAX, most, by, |entry| entry.trace_entry(owner, cc)) };
        cc.count_slots(looked.at, looked.past);
        // Entries far apart have a line each, or two; those side by side share theirs.
        let dense = (looked.at + looked.past) * size_of::<E>() / 64 + 1;
        cc.count_lines(dense.min(looked.live * size_of::<E>().div_ceil(64)));
        count += looked.live;
        self.traced.set(looked.next.unwrap_or(0));
        table.care.traced = self.traced.get() * LANES;
        (looked.next.is_none(), count)
    }

    /// Some steps of upkeep. True: there is nothing more to do.
    fn ebb(&self) -> bool {
        let (Some(rehash), true) = (self.rehash.get(), self.shrinks.get()) else { return true };
        let mut table = self.table.borrow_mut();
        let steps = AssertUnwindSafe(|| {
            (0..EBB_STEPS).all(|_| table.migrate_step(|entry| rehash(&self.build, entry)))
        });
        let done = catch_unwind(steps);
        self.account(&table);
        match done {
            Ok(more) => !more,
            Err(panic) => {
                // A hasher that panics: shrinking is a favour, and the program will hear of it from its own calls.
                mem::forget(panic);
                self.rehash.set(None);
                true
            }
        }
    }
}

// SAFETY: all entries are traced; the hasher is 'static. New pointers enter through `takes_up`, or after a barrier on the
// whole. Dropping a table drops its entries and looks at none of them.
unsafe impl<'gc, E: Entry<'gc> + 'gc, S: 'static> Collect<'gc> for Body<E, S> {
    // Maps without pointers are visited too: they may shrink.
    const NEEDS_TRACE: bool = true;

    fn trace<T: Trace<'gc>>(&self, cc: &mut T) {
        if E::NEEDS_TRACE {
            let owner = self.this();
            self.table.borrow().iter().for_each(|entry| entry.trace_entry(owner, cc));
        }
        if cc.is_checking() {
            if let Err(fault) = self.table.borrow().check_masks() {
                cc.tell_fault(fault);
            }
        }
    }

    const IN_PARTS: bool = true;

    fn trace_part<T: Trace<'gc>>(&self, at: usize, bytes: usize, cc: &mut T) -> Traced {
        let entry = size_of::<E>().max(16);
        let mut done = 0;
        if at == 0 {
            self.traced.set(0);
            let care = &mut self.table.borrow_mut().care;
            (care.traced, care.fallen) = (0, Vec::new());
        }
        if at != EBBING {
            if E::NEEDS_TRACE {
                let (all, count) = self.trace_some(bytes.div_ceil(entry), cc);
                done = count * entry;
                if !all {
                    return Traced { next: Some(TRACING), bytes: done };
                }
            }
            let ebbs = self.shrinks.get() && self.rehash.get().is_some() && self.table.borrow().is_ebbing();
            return Traced { next: ebbs.then_some(EBBING), bytes: done };
        }
        Traced { next: (!self.ebb()).then_some(EBBING), bytes }
    }

    fn wake<T: Trace<'gc>>(&self, key: GcWeak<'gc, ()>, _tag: usize, cc: &mut T) {
        E::wake(&self.table.borrow(), key.as_ptr().cast(), cc);
    }

    fn forget(&self, key: GcWeak<'gc, ()>, _tag: usize) {
        let entry = E::forget(&mut self.table.borrow_mut(), key.as_ptr().cast());
        // Its destructor runs when the table is free again.
        drop(entry);
    }

    unsafe fn take_apart(this: *mut Self) -> Option<Box<dyn DropInParts + 'gc>> {
        // SAFETY: the caller gives the value up, which is whole until its destructor runs.
        let table = unsafe {
            let table = mem::replace((*this).table.get_mut(), RawTable::new_in(Pages));
            this.drop_in_place();
            table
        };
        let is_small = table.buckets * (HEAD + SLOTS * size_of::<E>()) <= PART_BYTES;
        // What is small is dropped here.
        (!is_small).then(|| Box::new(Dead { table, word: 0 }) as Box<dyn DropInParts + 'gc>)
    }
}

/// The table of a map that was found dead.
struct Dead<E> {
    table: Table<E>,
    /// Mask words before this one have no entries.
    word: usize,
}

impl<E> DropInParts for Dead<E> {
    fn drop_part(&mut self, bytes: usize) -> bool {
        let table = &mut *self.table;
        let mut left = bytes / size_of::<E>().max(16);
        if !mem::needs_drop::<E>() {
            table.len = 0;
        }
        while table.len > 0 {
            // As many words as could hold no more than is left, so that what is cut short by a panic is gone over again.
            let words = (left / (LANES * SLOTS)).max(1);
            let mut entries = Entries::part(table, self.word..self.word + words);
            // SAFETY: the table does not move, and an entry is taken out after the walk has passed it. It is dropped when the
            // table is whole again.
            while let Some((_, spot)) = unsafe { entries.advance() } {
                left = left.saturating_sub(1);
                // SAFETY: as above.
                drop(unsafe { table.take_unhashed(spot) });
            }
            // In sparse tables, words without entries are passed by their summary; a part looks at some of them.
            left = left.saturating_sub(words / 4);
            self.word += words;
            if left == 0 {
                return false;
            }
        }
        if !table.storage.is_range() {
            return true;
        }
        let piece = (CLOSE_BYTES / (HEAD + SLOTS * size_of::<E>())).max(1);
        let start = table.buckets.saturating_sub(piece);
        table.storage.close::<E, Scrubbed<Split>>(start, table.buckets);
        table.buckets = start;
        start == 0
    }
}
