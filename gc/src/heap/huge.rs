//! [`HugeList`]: objects that do not fit a bucket page, each in a range of its own.
//!
//! ```text
//! range base          object - HEADER_BYTES          object: a multiple of 4 MiB (and of its alignment)
//! |  never opened     | HugeHeader                  | value
//! ```
//!
//! Owned by the heap. Invariant: only a huge object has an address that is a multiple of a chunk, and in front of each
//! lies its header, for as long as the object or a weak pointer to it lives.
#![allow(unsafe_code)]

use super::CHUNK_BYTES;
use super::remains::Remains;
use super::sweep::{Destructors, Sweep};
use super::table::TypeTable;
use crate::parts::PART_BYTES;
use bucketmask_alloc::Range;
use std::cell::Cell;
use std::ptr::NonNull;

/// An OS page in front of the object: what is opened beside the object itself.
const HEADER_BYTES: usize = 4096;

/// Bytes that are given back to the system at a time: 256 MiB take the kernel 20 ms.
const CLOSE_BYTES: usize = 2 << 20;

/// What masks say of a slot, for one object; and its table.
pub(super) struct HugeHeader {
    pub(super) table: &'static TypeTable,
    /// The bits `occupied`, `marked` and `scanned`, as in `colour.rs`.
    pub(super) live: Cell<bool>,
    pub(super) marked: Cell<bool>,
    pub(super) scanned: Cell<bool>,
}

static_assertions::const_assert!(size_of::<HugeHeader>() <= HEADER_BYTES);
static_assertions::const_assert!(
    CHUNK_BYTES % HEADER_BYTES == 0 && HEADER_BYTES % align_of::<HugeHeader>() == 0
);

/// The header of a huge object.
///
/// # Safety
///
/// `address` is that of a huge object, live or held.
#[inline]
#[expect(
    clippy::cast_ptr_alignment,
    reason = "huge objects are aligned to chunks, so the header is to its bytes"
)]
pub(super) unsafe fn header<'a>(address: *const u8) -> &'a HugeHeader {
    // SAFETY: `allocate` put it there, inside the same range.
    unsafe { &*address.sub(HEADER_BYTES).cast::<HugeHeader>() }
}

struct Huge {
    object: NonNull<u8>,
    range: Range,
}

impl Huge {
    fn header(&self) -> &HugeHeader {
        // SAFETY: the object is in the list, so its range and header are there.
        unsafe { header(self.object.as_ptr()) }
    }

    /// Bytes from the range's base to the object.
    fn offset(&self) -> usize {
        self.object.addr().get() - self.range.base().addr().get()
    }
}

/// A dead huge object: elements before `dropped` are gone, and so is the memory before `closed`.
struct Dying {
    huge: Huge,
    /// Where `drop_part` goes on; `None` when all is dropped.
    dropped: Option<usize>,
    closed: usize,
}

#[derive(Default)]
pub(super) struct HugeList {
    /// All but those of `unswept`.
    kept: Vec<Huge>,
    /// What this cycle's sweep has not come to yet.
    unswept: Vec<Huge>,
    /// The object that the sweep is dropping.
    dying: Option<Dying>,
}

impl HugeList {
    /// Room for one value of the table's type. `None`: no memory, or no room in the region.
    pub(super) fn allocate(&mut self, table: &'static TypeTable) -> Option<NonNull<u8>> {
        let size = table.size.max(1);
        let align = table.align.max(CHUNK_BYTES);
        // Up to `align` bytes in front of the object, at least a chunk, for the header.
        let room = size.checked_add(align)?.checked_add(CHUNK_BYTES)?;
        let range = Range::reserve(room)?;
        let base = range.base().addr().get();
        let offset = (base + HEADER_BYTES).next_multiple_of(align) - base;
        if !range.open(offset - HEADER_BYTES, HEADER_BYTES + size) {
            return None;
        }
        // SAFETY: within the room: `offset + size <= HEADER_BYTES + align + size`.
        let object = unsafe { range.base().add(offset) };
        // SAFETY: just opened, and aligned as an OS page is.
        unsafe {
            object.sub(HEADER_BYTES).cast::<HugeHeader>().write(HugeHeader {
                table,
                live: Cell::new(true),
                marked: Cell::new(false),
                scanned: Cell::new(false),
            });
        }
        self.kept.push(Huge { object, range });
        Some(object)
    }

    fn all(&self) -> impl Iterator<Item = &Huge> {
        // What is dying and not held is no object any more.
        let held = self.dying.iter().map(|dying| &dying.huge).filter(|huge| huge.header().scanned.get());
        self.kept.iter().chain(&self.unswept).chain(held)
    }

    /// The addresses of the live huge objects, with their tables.
    pub(super) fn live(&self) -> impl Iterator<Item = (*const u8, &'static TypeTable)> + '_ {
        let live = self.all().filter(|huge| huge.header().live.get());
        live.map(|huge| (huge.object.as_ptr().cast_const(), huge.header().table))
    }

    /// The headers of objects that are not live, which weak pointers need.
    pub(super) fn held(&self) -> usize {
        self.all().filter(|huge| !huge.header().live.get()).count()
    }

    /// Headers that are marked.
    pub(super) fn marked(&self) -> usize {
        self.all().filter(|huge| huge.header().marked.get()).count()
    }

    /// Bytes of the live objects.
    pub(super) fn live_bytes(&self) -> usize {
        self.live().map(|(_, table)| table.size).sum()
    }

    /// Takes a partial marking back.
    pub(super) fn abandon_marking(&mut self) {
        for huge in &self.kept {
            let header = huge.header();
            header.marked.set(false);
            header.scanned.set(!header.live.get());
        }
    }

    pub(super) fn start_sweep(&mut self) {
        std::mem::swap(&mut self.kept, &mut self.unswept);
    }

    /// Looks at one object, and begins to drop it if it is not marked; or goes on with that. False: all are swept.
    pub(super) fn sweep_next(&mut self, sweep: &mut Sweep<'_>) -> bool {
        if self.dying.is_some() {
            self.drop_a_part(sweep);
            return true;
        }
        let Some(huge) = self.unswept.pop() else { return false };
        let header = huge.header();
        let table = header.table;
        let (live, marked) = (header.live.get(), header.marked.replace(false));
        let held = header.scanned.get() && live != marked;
        header.scanned.set(held);
        let dead = live && !marked;
        if dead {
            header.live.set(false);
            sweep.report.swept += 1;
        }
        let kept = (live && marked) || held;
        if live && marked {
            sweep.report.marked += 1;
            sweep.report.live_bytes += table.size;
        }
        let (kept, dead) = (usize::from(kept), usize::from(dead));
        sweep.metrics.count_swept(table.slot_bytes, kept, dead, 1 - kept);
        if dead == 1 {
            self.dying = Some(Dying { huge, dropped: Some(0), closed: 0 });
        } else if kept == 1 {
            self.kept.push(huge);
        }
        true
    }

    /// Drops a part of the dying object, or gives a part of its memory back. Its range goes in the end; a held object keeps
    /// its header.
    fn drop_a_part(&mut self, sweep: &mut Sweep<'_>) {
        let Some(mut dying) = self.dying.take() else { return };
        let table = dying.huge.header().table;
        if let Some(mut at) = dying.dropped {
            let object = dying.huge.object;
            let all = if let Some(drop_part) = table.drop_part {
                // SAFETY: nothing reachable leads to the value, and what was dropped of it lies before the position.
                let run = || unsafe { drop_part(object.as_ptr(), &mut at, PART_BYTES) };
                sweep.destructors.catch(run).unwrap_or(false)
            } else {
                // SAFETY: nothing reachable leads to the value, and it is not live any more.
                unsafe { sweep.destructors.run(table, object, 1, sweep.remains) };
                true
            };
            sweep.metrics.count_work(PART_BYTES);
            dying.dropped = (!all).then_some(at);
            self.dying = Some(dying);
            return;
        }
        let (offset, left) = (dying.huge.offset() + dying.closed, table.size - dying.closed);
        dying.huge.range.close(offset, left.min(CLOSE_BYTES));
        sweep.metrics.count_work(PART_BYTES);
        dying.closed += left.min(CLOSE_BYTES);
        if dying.closed < table.size {
            self.dying = Some(dying);
        } else if dying.huge.header().scanned.get() {
            self.kept.push(dying.huge);
        }
    }

    pub(super) fn drop_all(&mut self, destructors: &mut Destructors, remains: &mut Remains) {
        if let Some(Dying { huge, dropped: Some(mut at), .. }) = self.dying.take() {
            let table = huge.header().table;
            if let Some(drop_part) = table.drop_part {
                let object = huge.object.as_ptr();
                // SAFETY: as in `drop_a_part`.
                while destructors.catch(|| unsafe { drop_part(object, &mut at, PART_BYTES) }) != Some(true) {}
            } else {
                // SAFETY: as in `drop_a_part`.
                unsafe { destructors.run(table, huge.object, 1, remains) };
            }
        }
        for huge in self.kept.drain(..).chain(self.unswept.drain(..)) {
            if huge.header().live.replace(false) {
                // SAFETY: the arena goes; nobody will use the value again.
                unsafe { destructors.run(huge.header().table, huge.object, 1, remains) };
            }
        }
    }
}
