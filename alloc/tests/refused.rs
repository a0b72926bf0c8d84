//! What the kernel refuses: little address space means a smaller region or none, and still every
//! block; too large a request is null.

mod common;

use std::alloc::{GlobalAlloc, Layout};

use bucketmask_alloc::{BucketAlloc, PageRequest, Range, current_node, lend};

/// Limits the address space of this process to what it has and `more` bytes.
fn limit(more: u64) {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = status.split(' ').next().unwrap().parse().unwrap();
    let bytes = pages * 4096 + more;
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
    // SAFETY: reads the limits given.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) }, 0);
}

fn work() {
    let layouts: Vec<Layout> =
        (0..3000).map(|step| Layout::from_size_align(1 + step * 7, 1 << (step % 7)).unwrap()).collect();
    // SAFETY: not of size 0; freed with the layout they were made with.
    unsafe {
        let blocks: Vec<*mut u8> = layouts.iter().map(|&layout| BucketAlloc.alloc(layout)).collect();
        for (&block, layout) in blocks.iter().zip(&layouts) {
            assert!(!block.is_null() && block as usize % layout.align() == 0);
            block.write_bytes(7, layout.size());
        }
        for (&block, &layout) in blocks.iter().zip(&layouts) {
            BucketAlloc.dealloc(block, layout);
        }
    }
}

#[test]
fn little_address_space_is_enough() {
    match common::part().as_deref() {
        Some("a small region") => {
            limit(2 << 30);
            work();
            let page = lend(current_node(), PageRequest { bytes: 8192, slot_size: 16, leaf: false });
            assert!(page.is_some() && Range::reserve(4 << 20).is_some());
            assert!(Range::reserve(1 << 30).is_none());
            println!("done");
        }
        Some("no region") => {
            limit(60 << 20);
            work();
            let page = lend(current_node(), PageRequest { bytes: 8192, slot_size: 16, leaf: false });
            assert!(page.is_none() && Range::reserve(1).is_none());
            assert!(BucketAlloc.occupancy().is_empty() && BucketAlloc.report().nodes.is_empty());
            println!("done");
        }
        _ => {
            for part in ["a small region", "no region"] {
                let output = common::child("little_address_space_is_enough", part);
                let told = String::from_utf8_lossy(&output.stdout);
                assert!(output.status.success() && told.contains("done"), "{part}: {output:?}");
            }
        }
    }
}

/// The region leaves half of a limited address space to others.
#[test]
fn a_limit_is_not_used_up_by_the_region() {
    if common::part().is_some() {
        limit(200 << 20);
        work();
        let (read_write, private) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: maps memory of its own, which is not used.
        let mapped = unsafe { libc::mmap(core::ptr::null_mut(), 90 << 20, read_write, private, -1, 0) };
        assert_ne!(mapped, libc::MAP_FAILED, "90 of 200 MiB");
        assert!(!BucketAlloc.report().nodes.is_empty(), "there is a region");
        println!("done");
        return;
    }
    let output = common::child("a_limit_is_not_used_up_by_the_region", "200 MiB");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && told.contains("done"), "{output:?}");
}

#[test]
fn what_can_not_be_had_is_null() {
    for size in [1usize << 47, isize::MAX as usize & !4095] {
        let layout = Layout::from_size_align(size, 4096).unwrap();
        // SAFETY: not of size 0; what is null is not used.
        unsafe {
            assert!(BucketAlloc.alloc(layout).is_null());
            assert!(BucketAlloc.alloc_zeroed(layout).is_null());
            let small = Layout::new::<u64>();
            let block = BucketAlloc.alloc(small);
            block.write(9);
            assert!(BucketAlloc.realloc(block, small, size).is_null());
            assert_eq!(block.read(), 9, "a resize that failed leaves the block");
            BucketAlloc.dealloc(block, small);
        }
    }
}

/// The least and most that a growing table can reserve, in steps of four, as a sign of how large the region became.
fn largest_range() -> u64 {
    let fits = |room: &u64| Range::reserve(*room as usize).is_some();
    (20..42).map(|shift| 1u64 << shift).take_while(fits).last().unwrap_or(0)
}

/// The more address space there is, the larger the region; none of the limits is an error. (Overcommit is the
/// machine's setting, which a test can't change: a reservation that it refuses fails in the same call.)
#[test]
fn the_region_falls_back_in_steps() {
    const STEPS: [(&str, u64); 5] = [
        ("unlimited", u64::MAX),
        ("100 GiB", 100 << 30),
        ("10 GiB", 10 << 30),
        ("1 GiB", 1 << 30),
        ("300 MiB", 300 << 20),
    ];
    if let Some(part) = common::part() {
        let (_, more) = *STEPS.iter().find(|(name, _)| *name == part).unwrap();
        if more != u64::MAX {
            limit(more);
        }
        work();
        println!("largest range: {} bytes", largest_range());
        return;
    }
    let mut last = u64::MAX;
    for (name, more) in STEPS {
        let output = common::child("the_region_falls_back_in_steps", name);
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{name}: {output:?}");
        let line = told.lines().find_map(|line| line.split("largest range: ").nth(1)).unwrap();
        let largest: u64 = line.trim_end_matches(" bytes").parse().unwrap();
        assert!(largest < more && largest <= last, "{name}: {largest} of {last}");
        // A quarter of what the next step is tried with, and side arrays beside it.
        assert!(more == u64::MAX || largest >= more / 32, "{name}: {largest}");
        last = largest;
    }
}

/// Allocates one layout until there is no more: the last block's address, and how many. The blocks are linked
/// through their first bytes, so that the list needs no memory.
fn exhaust(layout: Layout) -> (usize, usize) {
    let (mut last, mut count) = (0usize, 0);
    loop {
        // SAFETY: not of size 0.
        let block = unsafe { BucketAlloc.alloc(layout) };
        if block.is_null() {
            return (last, count);
        }
        // SAFETY: a block of at least a word's size.
        unsafe { block.cast::<[u8; 8]>().write(last.to_ne_bytes()) };
        (last, count) = (block as usize, count + 1);
    }
}

fn free_linked(mut last: usize, layout: Layout) {
    while last != 0 {
        let block = last as *mut u8;
        // SAFETY: the link that `exhaust` wrote; each block is freed once.
        unsafe {
            last = usize::from_ne_bytes(block.cast::<[u8; 8]>().read());
            BucketAlloc.dealloc(block, layout);
        }
    }
}

/// All memory used up, by blocks of each kind: null, no abort; and when they are freed it is to be had again.
#[test]
fn memory_that_runs_out_is_null_and_comes_back() {
    let name = "memory_that_runs_out_is_null_and_comes_back";
    if let Some(part) = common::part() {
        let layout = Layout::from_size_align(part.parse().unwrap(), 8).unwrap();
        // A region of 64 MiB at first, which pages fill, then mimalloc beside it.
        limit(200 << 20);
        let (blocks, first) = exhaust(layout);
        // SAFETY: as the trait asks; what is null is not used.
        unsafe {
            let block = BucketAlloc.alloc_zeroed(layout);
            assert!(block.is_null(), "zeroed memory where there was none");
            let more = layout.size() * 16 + (64 << 20);
            assert!(BucketAlloc.realloc(blocks as *mut u8, layout, more).is_null());
        }
        let report = BucketAlloc.report();
        assert!(report.requested() >= first * layout.size());
        free_linked(blocks, layout);
        let (blocks, second) = exhaust(layout);
        free_linked(blocks, layout);
        work();
        println!("{first} blocks, then {second}");
        assert!(second * 10 >= first * 8, "{first} blocks at first, {second} when they were freed");
        return;
    }
    for size in ["64", "3000", "30000", "100000", "5000000"] {
        let output = common::child(name, size);
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && told.contains("blocks, then"), "{size}: {output:?}");
    }
}
