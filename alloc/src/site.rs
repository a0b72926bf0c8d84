//! Where blocks were made and freed, for messages about broken uses: the feature `checked`.
//!
//! A record a 16 bytes of a granule, all records of a granule in a mapping of their own that is made with the
//! granule's first block; so a block's records are found by its address alone. Blocks of mimalloc's have none.
//! Invariant: nothing here allocates from the allocator; without memory for records none is kept. What is
//! written races with what another thread writes of the same address only where a block is used brokenly, and words
//! are atomics, so a message may then mix two places, and nothing worse.
#![allow(unsafe_code)]

use core::cell::Cell;
use core::ffi::{CStr, c_int, c_void};
use core::sync::atomic::{AtomicUsize, Ordering};

use crate::class::GRANULE;
use crate::fault::Message;
use crate::granule_table::{GranuleTable, Row};

/// Callers kept of each place.
const FRAMES: usize = 8;
/// Least distance of two blocks.
const STEP: usize = 16;
const RECORDS: usize = GRANULE / STEP;

/// Return addresses, the innermost first; 0 behind the last.
type Place = [AtomicUsize; FRAMES];

/// What is known of the block at an address. Zeroed memory is a record of nothing.
#[repr(C)]
struct Record {
    made: Place,
    freed: Place,
}

static_assertions::const_assert_eq!(size_of::<Record>(), 2 * FRAMES * size_of::<usize>());

/// The records of a granule.
#[repr(transparent)]
struct Records([Record; RECORDS]);

// SAFETY: atomics alone, for which zero is a value.
unsafe impl Row for Records {}

static TABLE: GranuleTable<Records> = GranuleTable::new();

thread_local! {
    /// Whether this thread is looking at its stack: the unwinder may allocate.
    static LOOKING: Cell<bool> = const { Cell::new(false) };
}

/// Notes that the caller's callers made a block; null is none.
#[inline(never)]
pub(crate) fn made(block: *mut u8) {
    if let Some(record) = record(block as usize, true) {
        note(&record.made);
        // Relaxed: see the module.
        record.freed[0].store(0, Ordering::Relaxed);
    }
}

/// Notes that the caller's callers freed a block, behind the free: one that was broken did not return, so that the
/// record still tells of the free before it.
#[inline(never)]
pub(crate) fn freed(block: *mut u8) {
    if let Some(record) = record(block as usize, false) {
        note(&record.freed);
    }
}

/// Adds to a message where the block at an address was made, and freed if it was.
pub(crate) fn tell(message: &mut Message, address: usize) {
    let Some(record) = record(address, false) else { return };
    tell_place(message, "  allocated at:", &record.made);
    tell_place(message, "  freed at:", &record.freed);
}

/// Where the block at an address was made; empty if that is not known.
pub(crate) fn made_at(address: usize) -> Vec<usize> {
    let Some(record) = record(address, false) else { return Vec::new() };
    let frames = record.made.iter().map(|frame| frame.load(Ordering::Relaxed));
    frames.take_while(|&frame| frame != 0).collect()
}

/// The record of an address of the region, its table made if wanted.
fn record(address: usize, wanted: bool) -> Option<&'static Record> {
    let (records, offset) = TABLE.row(address, wanted)?;
    Some(&records.0[offset / STEP])
}

/// The unwinder of the C++ and Rust runtimes.
enum UnwindContext {}

unsafe extern "C" {
    fn _Unwind_Backtrace(
        visit: extern "C" fn(*mut UnwindContext, *mut c_void) -> c_int,
        argument: *mut c_void,
    ) -> c_int;
    fn _Unwind_GetIP(context: *mut UnwindContext) -> usize;
}

struct Walk<'a> {
    place: &'a Place,
    frames: usize,
    /// Frames of this module, at the stack's end: `made` or `freed`, of which `note` is a part.
    skip: usize,
}

#[inline(always)]
fn note(place: &Place) {
    if LOOKING.with(|looking| looking.replace(true)) {
        return;
    }
    let mut walk = Walk { place, frames: 0, skip: 1 };
    // SAFETY: the walk lives until the unwinder returns, which calls `visit` on this thread only.
    unsafe { _Unwind_Backtrace(visit, (&raw mut walk).cast()) };
    if walk.frames < FRAMES {
        place[walk.frames].store(0, Ordering::Relaxed);
    }
    LOOKING.with(|looking| looking.set(false));
}

extern "C" fn visit(context: *mut UnwindContext, walk: *mut c_void) -> c_int {
    /// `_URC_NO_REASON` and `_URC_END_OF_STACK`.
    const GO_ON: c_int = 0;
    const STOP: c_int = 5;
    // SAFETY: the walk of `note`, and the unwinder's own context.
    let (walk, address) = unsafe { (&mut *walk.cast::<Walk<'_>>(), _Unwind_GetIP(context)) };
    if walk.skip > 0 {
        walk.skip -= 1;
        return GO_ON;
    }
    if walk.frames == FRAMES || address == 0 {
        return STOP;
    }
    walk.place[walk.frames].store(address, Ordering::Relaxed);
    walk.frames += 1;
    GO_ON
}

/// Adds a place: symbols where there are any, else module and offset, for `addr2line`.
fn tell_place(message: &mut Message, title: &str, place: &Place) {
    if place[0].load(Ordering::Relaxed) == 0 {
        return;
    }
    message.text(title);
    for address in place.iter().map(|frame| frame.load(Ordering::Relaxed)).take_while(|&address| address != 0)
    {
        message.text("\n    ");
        message.hex(address);
        tell_symbol(message, address);
    }
    message.text("\n");
}

fn tell_symbol(message: &mut Message, address: usize) {
    // SAFETY: all zero is a valid value; dladdr writes it.
    let found = unsafe {
        let mut found: libc::Dl_info = core::mem::zeroed();
        // The call lies before the address that it returns to.
        (libc::dladdr((address - 1) as *const c_void, &raw mut found) != 0).then_some(found)
    };
    let Some(found) = found else { return };
    // SAFETY: texts of the loader's that end in 0; the process is about to end.
    let text = |ptr: *const libc::c_char| unsafe { (!ptr.is_null()).then(|| CStr::from_ptr(ptr)) };
    if let Some(symbol) = text(found.dli_sname) {
        message.text(" ");
        message.bytes_of(symbol.to_bytes());
    }
    if let Some(module) = text(found.dli_fname) {
        message.text(" ");
        message.bytes_of(module.to_bytes());
        message.text("+");
        message.hex(address - found.dli_fbase as usize);
    }
}
