//! The functions that ask about memory, give it back or tune it.
//!
//! Invariant: what they tell comes from a report of the allocator's, and nothing they are asked for
//! changes what a program computes.
#![allow(unsafe_code)]

use core::ffi::c_int;
use std::io::Write;

use bucketmask_alloc::{BucketAlloc, Report};
use libc::{mallinfo as Info, mallinfo2 as Info2};

/// Memory in numbers, as far as they mean something here: `arena` bytes in pages and runs of granules, of which `uordblks` are in
/// use and `fordblks` free, in `ordblks` slots; `hblkhd` bytes in `hblks` blocks of mimalloc's.
#[unsafe(no_mangle)]
pub extern "C" fn mallinfo2() -> Info2 {
    info(&BucketAlloc.report())
}

/// [`mallinfo2`] in the numbers of old, which end at 2 GiB: more is told as that.
#[unsafe(no_mangle)]
pub extern "C" fn mallinfo() -> Info {
    let all = mallinfo2();
    let narrow = |wide: usize| c_int::try_from(wide).unwrap_or(c_int::MAX);
    Info {
        arena: narrow(all.arena),
        ordblks: narrow(all.ordblks),
        smblks: narrow(all.smblks),
        hblks: narrow(all.hblks),
        hblkhd: narrow(all.hblkhd),
        usmblks: narrow(all.usmblks),
        fsmblks: narrow(all.fsmblks),
        uordblks: narrow(all.uordblks),
        fordblks: narrow(all.fordblks),
        keepcost: narrow(all.keepcost),
    }
}

/// Gives memory that no block needs to the kernel, all of it: `_pad`, the bytes to be kept, means the top of a heap
/// that is not here. 1 if any was given, else 0.
#[unsafe(no_mangle)]
pub extern "C" fn malloc_trim(_pad: usize) -> c_int {
    c_int::from(BucketAlloc.purge() > 0)
}

/// Prints a report to standard error.
#[unsafe(no_mangle)]
pub extern "C" fn malloc_stats() {
    // A program without a standard error gets no report.
    let _ = write!(std::io::stderr(), "{}", BucketAlloc.report());
}

/// Takes no option: returns 0, which says so. glibc's options name parts that are not here.
#[unsafe(no_mangle)]
pub extern "C" fn mallopt(_option: c_int, _value: c_int) -> c_int {
    0
}

/// A report in glibc's terms.
fn info(report: &Report) -> Info2 {
    let classes = || report.nodes.iter().flat_map(|node| &node.classes);
    let medium = || report.nodes.iter().map(|node| &node.medium);
    let arena = classes().map(|slots| slots.committed).sum::<usize>()
        + medium().map(|medium| medium.committed).sum::<usize>();
    let live = classes().map(|slots| slots.live * slots.slot_size).sum::<usize>()
        + medium().map(|medium| medium.requested).sum::<usize>();
    let free: usize = classes().map(|slots| slots.slots - slots.live).sum();
    Info2 {
        arena,
        ordblks: free,
        smblks: 0,
        hblks: report.large.blocks,
        hblkhd: report.large.requested,
        usmblks: 0,
        fsmblks: 0,
        uordblks: live,
        fordblks: arena.saturating_sub(live),
        keepcost: 0,
    }
}
