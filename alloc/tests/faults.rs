//! Broken uses end the process with a message. Each runs in a child process of its own.

mod common;

use std::alloc::{GlobalAlloc, Layout};
use std::os::unix::process::ExitStatusExt;

use bucketmask_alloc::BucketAlloc;

const LAYOUT: Layout = Layout::new::<[u64; 4]>();

fn block() -> *mut u8 {
    // SAFETY: not of size 0.
    let block = unsafe { BucketAlloc.alloc(LAYOUT) };
    assert!(!block.is_null());
    block
}

fn free(block: *mut u8) {
    // SAFETY: none: these are the broken uses, and the process is to end in them.
    unsafe { BucketAlloc.dealloc(block, LAYOUT) };
}

const MEDIUM: Layout = Layout::new::<[u64; 20_000]>();

fn medium() -> *mut u8 {
    // SAFETY: not of size 0.
    let block = unsafe { BucketAlloc.alloc(MEDIUM) };
    assert!(!block.is_null());
    block
}

fn free_medium(block: *mut u8) {
    // SAFETY: none, as in `free`.
    unsafe { BucketAlloc.dealloc(block, MEDIUM) };
}

/// More blocks than a bucket has slots, so that the first lies outside the current bucket.
fn blocks() -> Vec<*mut u8> {
    (0..200).map(|_| block()).collect()
}

fn break_it(part: &str) {
    match part {
        "twice in the current bucket" => {
            let block = block();
            free(block);
            free(block);
        }
        "twice in another bucket" => {
            let blocks = blocks();
            free(blocks[0]);
            free(blocks[0]);
        }
        "twice by another thread" => {
            let blocks: Vec<usize> = blocks().into_iter().map(|block| block as usize).collect();
            std::thread::spawn(move || [0, 0].map(|block| free(blocks[block] as *mut u8))).join().unwrap();
        }
        "by another thread, then by the owner" => {
            let blocks = blocks();
            let first = blocks[0] as usize;
            std::thread::spawn(move || free(first as *mut u8)).join().unwrap();
            free(blocks[0]);
        }
        "by another thread, drained, then by the owner" => {
            let block = block() as usize;
            std::thread::spawn(move || free(block as *mut u8)).join().unwrap();
            // A class that has no page yet: getting one drains what others freed.
            // SAFETY: not of size 0.
            assert!(!unsafe { BucketAlloc.alloc(Layout::new::<[u64; 32]>()) }.is_null());
            free(block as *mut u8);
        }
        "by the owner, then by another thread" => {
            let blocks = blocks();
            let first = blocks[0] as usize;
            free(blocks[0]);
            std::thread::spawn(move || free(first as *mut u8)).join().unwrap();
            // The owner drains what others freed when it runs out of slots.
            for _ in 0..10_000 {
                block();
            }
        }
        "into the middle of the current bucket" => free(block().wrapping_add(8)),
        "into the middle of another bucket" => free(blocks()[0].wrapping_add(16)),
        "never allocated" => free(block().wrapping_add(1 << 30)),
        "a medium block twice" => {
            let block = medium();
            free_medium(block);
            free_medium(block);
        }
        "a medium block that went home, twice" => {
            // More than a thread keeps.
            let blocks: Vec<*mut u8> = (0..100).map(|_| medium()).collect();
            for _ in 0..2 {
                for &block in &blocks {
                    free_medium(block);
                }
            }
        }
        "a medium block by two threads" => {
            let block = medium() as usize;
            std::thread::spawn(move || free_medium(block as *mut u8)).join().unwrap();
            free_medium(block as *mut u8);
        }
        "into the middle of a medium block" => free_medium(medium().wrapping_add(64 * 1024)),
        "behind the page's last slot" => {
            // 48-byte slots leave 16 bytes at the end of a 16 KiB page.
            let layout = Layout::from_size_align(48, 8).unwrap();
            // SAFETY: not of size 0; the free is the broken use.
            unsafe {
                let block = BucketAlloc.alloc(layout) as usize;
                BucketAlloc.dealloc(((block | (16 * 1024 - 1)) - 15) as *mut u8, layout);
            }
        }
        other => panic!("no such part: {other}"),
    }
}

fn check(name: &str, part: &str, message: &str) {
    if let Some(part) = common::part() {
        break_it(&part);
        println!("survived");
        return;
    }
    let output = common::child(name, part);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{part}: {output:?}");
    assert!(told.contains(message), "{part}: {told}");
    assert!(told.contains("0x"), "the address is named: {told}");
}

#[test]
fn a_second_free_ends_the_process() {
    for part in [
        "twice in the current bucket",
        "twice in another bucket",
        "twice by another thread",
        "by another thread, then by the owner",
        "by another thread, drained, then by the owner",
        "by the owner, then by another thread",
        "a medium block twice",
    ] {
        check("a_second_free_ends_the_process", part, "bucketmask: double free of 0x");
    }
}

#[test]
fn a_free_into_the_middle_ends_the_process() {
    for part in [
        "into the middle of the current bucket",
        "into the middle of another bucket",
        "into the middle of a medium block",
    ] {
        check("a_free_into_the_middle_ends_the_process", part, "into the middle of a block, 0x");
    }
}

#[test]
fn a_free_of_what_was_never_allocated_ends_the_process() {
    for part in [
        "never allocated",
        "behind the page's last slot",
        // Their memory may serve something else by the time of the second free.
        "a medium block that went home, twice",
        "a medium block by two threads",
    ] {
        check("a_free_of_what_was_never_allocated_ends_the_process", part, "was not allocated, 0x");
    }
}
