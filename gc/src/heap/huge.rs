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
use super::sweep::Destructors;
use super::table::TypeTable;
use crate::report::CycleReport;
use bucketmask_alloc::Range;
use std::cell::Cell;
use std::ptr::NonNull;

/// An OS page in front of the object: what is opened beside the object itself.
const HEADER_BYTES: usize = 4096;

/// What masks say of a slot, for one object; and its table.
pub(super) struct HugeHeader {
    pub(super) table: &'static TypeTable,
    pub(super) live: Cell<bool>,
    pub(super) marked: Cell<bool>,
    /// A weak pointer needs the header though the value is gone.
    pub(super) held: Cell<bool>,
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

#[derive(Default)]
pub(super) struct HugeList(Vec<Huge>);

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
                held: Cell::new(false),
            });
        }
        self.0.push(Huge { object, range });
        Some(object)
    }

    /// The addresses of the live huge objects, with their tables.
    pub(super) fn live(&self) -> impl Iterator<Item = (*const u8, &'static TypeTable)> + '_ {
        let live = self.0.iter().filter(|huge| huge.header().live.get());
        live.map(|huge| (huge.object.as_ptr().cast_const(), huge.header().table))
    }

    /// Headers that are marked although no cycle runs.
    pub(super) fn marked(&self) -> usize {
        self.0.iter().filter(|huge| huge.header().marked.get()).count()
    }

    pub(super) fn clear_marks(&mut self) {
        for huge in &self.0 {
            huge.header().marked.set(false);
        }
    }

    pub(super) fn release_holds(&mut self) {
        for huge in &self.0 {
            huge.header().held.set(false);
        }
    }

    /// Drops what is not marked. Ranges go with their values; a held one keeps its header only.
    pub(super) fn sweep(&mut self, report: &mut CycleReport, destructors: &mut Destructors) {
        self.0.retain(|huge| {
            let header = huge.header();
            if header.marked.replace(false) {
                report.marked += 1;
                report.live_bytes += header.table.size;
                report.held_bytes += header.table.size;
                return true;
            }
            if header.live.replace(false) {
                report.swept += 1;
                // SAFETY: nothing reachable leads to the value, and it is not live any more.
                unsafe { destructors.run(header.table, huge.object, 1) };
                huge.range.close(huge.offset(), header.table.size);
            }
            header.held.get()
        });
    }

    pub(super) fn drop_all(&mut self, destructors: &mut Destructors) {
        for huge in self.0.drain(..) {
            if huge.header().live.replace(false) {
                // SAFETY: the arena goes; nobody will use the value again.
                unsafe { destructors.run(huge.header().table, huge.object, 1) };
            }
        }
    }
}
