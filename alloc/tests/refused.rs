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
