//! `alloc_zeroed` knows memory that is fresh from the kernel: it does not touch it, and what was used before it zeroes.
//! A file of its own, since a process has one first chunk, the one without huge pages.
#![cfg(not(bucketmask_portable))]
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout};

use bucketmask_alloc::BucketAlloc;

const OS_PAGE: usize = 4096;

/// OS pages of a block that have memory.
fn resident(block: *mut u8, bytes: usize) -> usize {
    let mut pages = vec![0u8; bytes / OS_PAGE];
    // SAFETY: whole OS pages of a block, and a byte for each.
    let told = unsafe { libc::mincore(block.cast(), bytes, pages.as_mut_ptr()) };
    assert_eq!(told, 0, "{}", std::io::Error::last_os_error());
    pages.iter().filter(|page| **page & 1 != 0).count()
}

fn is_zero(block: *mut u8, bytes: usize) -> bool {
    // SAFETY: a live block of so many bytes, all set.
    unsafe { std::slice::from_raw_parts(block, bytes) }.iter().all(|byte| *byte == 0)
}

/// Where every mapping gets huge pages, no memory stays untouched.
fn is_huge_everywhere() -> bool {
    let enabled = std::fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled");
    enabled.is_ok_and(|modes| modes.contains("[always]"))
}

#[test]
fn fresh_slots_are_not_touched_and_used_ones_are_zeroed() {
    // Slots that are whole OS pages, eight of them; 64 of them fit the first chunk.
    let layout = Layout::from_size_align(8 * OS_PAGE, OS_PAGE).unwrap();
    let bytes = layout.size();
    // SAFETY: blocks of the layout, written within it, and freed once.
    unsafe {
        let first: Vec<_> = (0..48).map(|_| BucketAlloc.alloc_zeroed(layout)).collect();
        let touched: usize = first.iter().map(|block| resident(*block, bytes)).sum();
        if !is_huge_everywhere() {
            assert!(touched <= 48, "{touched} of {} pages touched", 48 * 8);
        }
        for block in &first {
            assert!(is_zero(*block, bytes));
            block.write_bytes(0xa5, bytes);
        }
        for block in first {
            BucketAlloc.dealloc(block, layout);
        }
        // The same slots again, from the window, from the pages and after a purge, by both ways.
        for round in 0..4 {
            let again: Vec<_> = (0..64).map(|_| BucketAlloc.alloc_zeroed(layout)).collect();
            assert!(again.iter().all(|block| is_zero(*block, bytes)), "in round {round}");
            for block in again {
                block.write_bytes(0x5a, bytes);
                BucketAlloc.dealloc(block, layout);
            }
            if round == 1 {
                BucketAlloc.purge();
            }
            // A block that malloc takes and frees at once is not fresh afterwards.
            let plain = BucketAlloc.alloc(layout);
            plain.write_bytes(0xff, bytes);
            BucketAlloc.dealloc(plain, layout);
        }
    }
}

#[test]
fn what_malloc_took_and_freed_at_once_is_not_fresh() {
    // Small enough to go back by what the window still knows of it.
    let layout = Layout::new::<[u64; 64]>();
    // SAFETY: blocks of the layout, written within it, and freed once.
    unsafe {
        for _ in 0..200 {
            let plain = BucketAlloc.alloc(layout);
            plain.write_bytes(0xa5, layout.size());
            BucketAlloc.dealloc(plain, layout);
            let zeroed = BucketAlloc.alloc_zeroed(layout);
            assert_eq!(plain, zeroed, "the block freed last is the next");
            assert!(is_zero(zeroed, layout.size()));
        }
    }
}
