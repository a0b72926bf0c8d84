//! With the feature `checked` a message about a broken use, and a report of who pins a page, name where a block was made.

mod common;

use std::alloc::{GlobalAlloc, Layout};
use std::os::unix::process::ExitStatusExt;

use bucketmask_alloc::{BucketAlloc, raw};

const LAYOUT: Layout = Layout::new::<[u64; 50]>();

/// Bytes of code that the functions below surely don't fill.
const CODE: usize = 4096;

#[inline(never)]
fn make_here(layout: Layout) -> usize {
    // SAFETY: not of size 0.
    std::hint::black_box(unsafe { BucketAlloc.alloc(layout) } as usize)
}

#[inline(never)]
fn free_here(block: usize, layout: Layout) {
    // SAFETY: of `make_here`; a second time it is to end the process.
    unsafe { BucketAlloc.dealloc(block as *mut u8, layout) };
    std::hint::black_box(block);
}

#[test]
fn who_pins_a_page_says_where_its_blocks_were_made() {
    // A slot and a medium block.
    for layout in [LAYOUT, Layout::from_size_align(150_000, 8).unwrap()] {
        let block = make_here(layout);
        let pins = BucketAlloc.who_pins(block);
        let pin = pins.iter().find(|pin| pin.address == block).unwrap();
        let maker = make_here as fn(Layout) -> usize as usize;
        let within = |&frame: &usize| (maker..maker + CODE).contains(&frame);
        assert!(pin.allocated_at.iter().any(within), "{maker:#x}: {:x?}", pin.allocated_at);
        free_here(block, layout);
    }
    let block = raw::malloc_zeroed(77);
    assert!(BucketAlloc.who_pins(block as usize).iter().any(|pin| !pin.allocated_at.is_empty()));
    // SAFETY: made above, freed once.
    unsafe { raw::free(block) };
}

#[test]
fn a_double_free_is_told_with_both_places() {
    let name = "a_double_free_is_told_with_both_places";
    if common::part().is_some() {
        let block = make_here(LAYOUT);
        println!(
            "{:#x} {:#x}",
            make_here as fn(Layout) -> usize as usize, free_here as fn(usize, Layout) as usize
        );
        free_here(block, LAYOUT);
        free_here(block, LAYOUT);
        return;
    }
    let output = common::child(name, "twice");
    let (told, places) = (String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
    assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{output:?}");
    assert!(told.contains("bucketmask: double free of 0x"), "{told}");
    let address = |text: &str| usize::from_str_radix(text.trim_start_matches("0x"), 16).ok();
    let functions: Vec<usize> = places
        .lines()
        .find(|line| line.contains("0x"))
        .map(|line| line.split(' ').filter(|word| word.starts_with("0x")).filter_map(address).collect())
        .unwrap();
    for (title, function) in ["  allocated at:\n", "  freed at:\n"].into_iter().zip(functions) {
        let frames = told.split(title).nth(1).unwrap().lines().take_while(|line| line.starts_with("    0x"));
        let frames: Vec<usize> = frames.filter_map(|line| address(line.split_whitespace().next()?)).collect();
        assert!(
            frames.iter().any(|frame| (function..function + CODE).contains(frame)),
            "{function:#x}: {told}"
        );
    }
    assert!(told.contains("/checked-"), "the module is named: {told}");
}
