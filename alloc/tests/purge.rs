//! Memory goes back to the kernel: by hand at once, by itself after the delay; what is live stays.
//!
//! Each test is a process of its own: the purge is the process's.

mod common;

use std::alloc::{GlobalAlloc, Layout};
use std::time::{Duration, Instant};

use bucketmask_alloc::{BucketAlloc, Range};
use common::Random;

/// A block with its layout, filled with a byte that its address tells.
struct Block(*mut u8, Layout);

impl Block {
    fn new(size: usize) -> Self {
        let layout = Layout::from_size_align(size, 8).unwrap();
        // SAFETY: not of size 0; written within its size.
        let ptr = unsafe {
            let ptr = BucketAlloc.alloc(layout);
            assert!(!ptr.is_null());
            ptr.write_bytes(Self::mark(ptr), size);
            ptr
        };
        Self(ptr, layout)
    }

    fn mark(ptr: *mut u8) -> u8 {
        (ptr as usize >> 4) as u8 | 1
    }

    fn check(&self) {
        // SAFETY: a live block of that size.
        let bytes = unsafe { std::slice::from_raw_parts(self.0, self.1.size()) };
        assert!(bytes.iter().all(|&byte| byte == Self::mark(self.0)), "a live block lost its content");
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: made with this layout, freed once.
        unsafe { BucketAlloc.dealloc(self.0, self.1) };
    }
}

/// Bytes of the region that are in memory, by the kernel's own list of mappings.
fn resident() -> usize {
    let report = BucketAlloc.report();
    report.nodes.iter().filter_map(|node| node.memory.as_ref()).map(|memory| memory.resident).sum()
}

/// Waits until less than `bytes` are in memory.
fn falls_below(bytes: usize) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(20) {
        if resident() < bytes {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

const MIB: usize = 1 << 20;

/// 64 MiB of medium blocks, of which one in eight survives.
fn medium_survivors() -> Vec<Block> {
    let mut random = Random::new(3);
    let mut blocks = Vec::new();
    let mut bytes = 0;
    while bytes < 64 * MIB {
        let block = Block::new(40_000 + random.below(400_000));
        bytes += block.1.size();
        blocks.push(block);
    }
    let mut count = 0;
    blocks.retain(|_| {
        count += 1;
        count % 8 == 0
    });
    blocks
}

fn live_bytes(blocks: &[Block]) -> usize {
    blocks.iter().map(|block| block.1.size().next_multiple_of(4096)).sum()
}

/// Runs `part` in a child with the variable set, and expects it to end well.
fn in_child(name: &str, variable: Option<&str>, part: fn()) {
    if common::part().is_some() {
        part();
        println!("survived");
        return;
    }
    let output = common::child_with(name, name, &[("BUCKETMASK_PURGE", variable.unwrap_or("50"))]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("survived"), "{output:?}");
}

#[test]
fn by_hand_all_that_is_free_goes_at_once() {
    in_child("by_hand_all_that_is_free_goes_at_once", Some("off"), || {
        let blocks = medium_survivors();
        assert!(resident() > 60 * MIB);
        let given = BucketAlloc.purge();
        assert!(given > 40 * MIB, "{given}");
        assert!(resident() < live_bytes(&blocks) + MIB);
        assert_eq!(BucketAlloc.purge(), 0, "nothing is given twice");
        blocks.iter().for_each(Block::check);
    });
}

#[test]
fn by_itself_what_is_free_goes_after_the_delay() {
    in_child("by_itself_what_is_free_goes_after_the_delay", Some("200"), || {
        let blocks = medium_survivors();
        assert!(resident() > 50 * MIB, "nothing goes before the delay");
        assert!(falls_below(live_bytes(&blocks) + MIB), "{}", resident());
        blocks.iter().for_each(Block::check);
    });
}

#[test]
fn the_tail_of_a_block_that_was_larger_goes_too() {
    in_child("the_tail_of_a_block_that_was_larger_goes_too", Some("50"), || {
        let blocks: Vec<Block> = (0..500).map(|_| Block::new(64 * 1024)).collect();
        drop(blocks);
        let blocks: Vec<Block> = (0..500).map(|_| Block::new(33 * 1024)).collect();
        assert!(falls_below(live_bytes(&blocks) + MIB), "{}", resident());
        blocks.iter().for_each(Block::check);
    });
}

#[test]
fn turned_off_nothing_goes() {
    in_child("turned_off_nothing_goes", Some("off"), || {
        let blocks = medium_survivors();
        std::thread::sleep(Duration::from_millis(400));
        assert!(resident() > 60 * MIB);
        assert_eq!(threads(), Vec::<String>::new(), "and no thread is made");
        BucketAlloc.set_purge_delay(Some(Duration::from_millis(20)));
        drop(Block::new(100_000));
        assert!(falls_below(live_bytes(&blocks) + MIB), "{}", resident());
        assert_eq!(threads().len(), 1);
    });
}

/// The purge's threads of this process.
fn threads() -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let names = tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).unwrap());
    names.filter(|name| name.starts_with("bucketmask")).collect()
}

fn is_any_memory_locked() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let locked = status.lines().find_map(|line| line.strip_prefix("VmLck:")).unwrap();
    locked.trim() != "0 kB"
}

#[test]
fn locked_memory_stays_and_is_not_asked_for_again_and_again() {
    in_child("locked_memory_stays_and_is_not_asked_for_again_and_again", Some("20"), || {
        let blocks: Vec<Block> = (0..20).map(|_| Block::new(MIB)).collect();
        for block in &blocks {
            // SAFETY: locks memory of a live block.
            if unsafe { libc::mlock(block.0.cast(), MIB) } != 0 {
                // Not allowed here: nothing to see.
                return;
            }
        }
        if !is_any_memory_locked() {
            // A sanitizer lets nobody lock memory, and says it did.
            return;
        }
        drop(blocks);
        std::thread::sleep(Duration::from_millis(200));
        assert!(resident() >= 20 * MIB, "locked memory can't be given");
        let again = Block::new(MIB);
        again.check();
    });
}

#[test]
fn a_forked_child_purges_when_it_needs_to() {
    in_child("a_forked_child_purges_when_it_needs_to", Some("50"), || {
        let blocks = medium_survivors();
        assert!(falls_below(live_bytes(&blocks) + MIB));
        // SAFETY: the child only uses the allocator under test and what is prepared for forks, and exits.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let none_yet = threads().is_empty();
            let more = medium_survivors();
            let ok = none_yet
                && falls_below(live_bytes(&blocks) + live_bytes(&more) + MIB)
                && threads().len() == 1;
            more.iter().chain(&blocks).for_each(Block::check);
            // SAFETY: ends the process.
            unsafe { libc::_exit(i32::from(!ok)) };
        }
        let mut status = 0;
        // SAFETY: waits for the child made above.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert_eq!(status, 0);
        assert_eq!(threads().len(), 1);
    });
}

/// A range with 16 MiB open, from its fourth OS page on, and filled.
fn filled_range(mark: u8) -> Range {
    let range = Range::reserve(20 * MIB).unwrap();
    assert!(range.open(3 * 4096, 16 * MIB));
    // SAFETY: open, and this range's alone.
    unsafe { range.base().as_ptr().add(3 * 4096).write_bytes(mark, 16 * MIB) };
    range
}

/// The byte at an offset of a range, which is open there.
fn byte_at(range: &Range, offset: usize) -> u8 {
    // SAFETY: the caller's promise.
    unsafe { range.base().as_ptr().add(offset).read() }
}

#[test]
fn a_dropped_range_waits_for_the_next_and_goes_after_the_delay() {
    in_child("a_dropped_range_waits_for_the_next_and_goes_after_the_delay", Some("300"), || {
        drop(Block::new(100_000));
        let range = filled_range(7);
        let base = range.base();
        drop(range);
        assert!(Range::reserve_warm(1 << 40).is_none(), "it has not that much room");
        let warm = Range::reserve_warm(20 * MIB).expect("it waits");
        assert_eq!((warm.base(), warm.opened()), (base, 16 * MIB));
        assert_eq!(warm.open_parts(), [(3 * 4096, 16 * MIB)]);
        assert_eq!(byte_at(&warm, 5 * MIB), 7);
        assert!(Range::reserve_warm(MIB).is_none(), "nobody else gets it");
        assert_eq!(Range::opened_by_all().0, 16 * MIB);
        drop(warm);
        assert_eq!(Range::opened_by_all().0, 0);
        assert!(resident() > 15 * MIB, "nothing goes before the delay");
        assert!(falls_below(MIB), "{}", resident());
        assert!(Range::reserve_warm(MIB).is_none());
        let cold = Range::reserve(20 * MIB).unwrap();
        assert!(cold.open(0, 20 * MIB) && byte_at(&cold, 5 * MIB) == 0, "what was given back reads as zero");
    });
}

#[test]
fn few_dropped_ranges_wait_and_none_where_nobody_looks() {
    in_child("few_dropped_ranges_wait_and_none_where_nobody_looks", Some("60000"), || {
        drop(Block::new(100_000));
        let before = resident();
        let ranges: Vec<Range> = (1..9).map(filled_range).collect();
        assert!(resident() > before + 127 * MIB);
        drop(ranges);
        let kept = resident() - before;
        assert!((47 * MIB..66 * MIB).contains(&kept), "{kept} bytes wait");
        // The last that came goes first.
        assert_eq!(Range::reserve_warm(MIB).map(|range| byte_at(&range, MIB)), Some(8));
        assert!(BucketAlloc.purge() >= 47 * MIB);
        assert!(resident() < before + MIB && Range::reserve_warm(MIB).is_none());
        drop(filled_range(1));
        assert!(resident() > before + 15 * MIB, "it waits");
        BucketAlloc.set_purge_delay(None);
        assert!(resident() < before + MIB, "nobody would come for it");
        drop(filled_range(1));
        assert!(resident() < before + MIB && Range::reserve_warm(MIB).is_none(), "it went at once");
    });
}

/// What ranges may have open while they wait, as `Range::reserve_warm` says.
fn waiting_bytes() -> usize {
    // SAFETY: asks for a number.
    let pages = unsafe { libc::sysconf(libc::_SC_PHYS_PAGES) };
    let machine = usize::try_from(pages).expect("a number") * 4096;
    let container = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    let memory = container.and_then(|told| told.trim().parse().ok()).unwrap_or(machine).min(machine);
    (256 * MIB).min(memory / 64)
}

#[test]
fn dropped_ranges_wait_within_a_bound_of_bytes() {
    in_child("dropped_ranges_wait_within_a_bound_of_bytes", Some("60000"), || {
        drop(Block::new(100_000));
        let most = waiting_bytes() & !4095;
        let with_open = |bytes| {
            let range = Range::reserve(bytes).unwrap();
            assert!(range.open(0, bytes));
            (range.base(), range)
        };
        drop(with_open(most + 4096));
        assert!(Range::reserve_warm(1).is_none(), "it is too large");
        let (large, range) = with_open(most - 8 * 4096);
        drop(range);
        drop(with_open(4096));
        let both =
            [Range::reserve_warm(1), Range::reserve_warm(1)].map(|range| range.map(|range| range.base()));
        assert_eq!(both[1], Some(large), "both may wait");
        drop(with_open(most - 8 * 4096));
        let (last, range) = with_open(16 * 4096);
        drop(range);
        let left = [Range::reserve_warm(1), Range::reserve_warm(1)];
        assert_eq!(left.each_ref().map(|range| range.as_ref().map(Range::base)), [Some(last), None]);
    });
}

/// Holes in pages of slots need a barrier on all threads, which the portable build does without.
#[cfg(not(bucketmask_portable))]
mod holes {
    use super::*;

    /// OS pages that the blocks touch, as bytes.
    fn floor(blocks: &[Block]) -> usize {
        let pages = |block: &Block| {
            let first = block.0 as usize / 4096;
            first..=(block.0 as usize + block.1.size() - 1) / 4096
        };
        blocks.iter().flat_map(pages).collect::<std::collections::BTreeSet<_>>().len() * 4096
    }

    /// 30 000 blocks of 0.5 to 2 KiB, of which one in twenty survives.
    fn small_survivors() -> Vec<Block> {
        let mut random = Random::new(7);
        let blocks: Vec<Block> = (0..30_000).map(|_| Block::new(512 + random.below(1536))).collect();
        let chosen = |(at, block)| (at % 20 == 0).then_some(block);
        blocks.into_iter().enumerate().filter_map(chosen).collect()
    }

    /// Windows, and pages being filled, of every class: what a thread may keep.
    const KEPT: usize = 2 * MIB;

    #[test]
    fn holes_between_survivors_go_while_their_thread_is_idle() {
        in_child("holes::holes_between_survivors_go_while_their_thread_is_idle", Some("50"), || {
            let before = resident();
            let blocks = small_survivors();
            let all = 30_000 * 1024;
            assert!(resident() > before + all);
            let goal = before + floor(&blocks) + KEPT;
            assert!(goal < before + all / 2, "the test has room to fail");
            assert!(falls_below(goal), "{} of {goal}", resident());
            blocks.iter().for_each(Block::check);
        });
    }

    #[test]
    fn slots_freed_by_another_thread_and_not_fetched_go_too() {
        in_child("holes::slots_freed_by_another_thread_and_not_fetched_go_too", Some("off"), || {
            let before = resident();
            let blocks: Vec<usize> =
                (0..30_000).map(|_| Box::into_raw(Box::new(Block::new(1024))) as usize).collect();
            let freed = blocks.clone();
            // SAFETY: each box is made above and dropped once.
            let free =
                move || freed.iter().for_each(|&block| drop(unsafe { Box::from_raw(block as *mut Block) }));
            std::thread::spawn(free).join().unwrap();
            BucketAlloc.purge();
            assert!(resident() < before + KEPT, "{}", resident());
        });
    }

    #[test]
    fn what_was_given_is_used_again() {
        in_child("holes::what_was_given_is_used_again", Some("off"), || {
            let blocks = small_survivors();
            BucketAlloc.purge();
            let purged = resident();
            let again: Vec<Block> = (0..20_000).map(|at| Block::new(512 + at % 1536)).collect();
            assert!(resident() > purged + 10 * MIB);
            blocks.iter().chain(&again).for_each(Block::check);
        });
    }
}
