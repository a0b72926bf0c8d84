//! A fork while another thread makes the process's very first allocation: the child finds nothing half made.
//!
//! The only test of its process, which itself never allocates from the allocator under test: each trial is a fork of
//! it, whose region is still to be made.
//!
//! Not for sanitizers: they lock malloc before the fork handlers run, the C library behind them. So a sanitizer's fork waits
//! for the region that is being made, which waits for malloc to keep its fork handlers.

mod common;

use std::alloc::{GlobalAlloc, Layout};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bucketmask_alloc::BucketAlloc;

const LAYOUT: Layout = Layout::new::<[u64; 40]>();

fn allocate() -> bool {
    // SAFETY: not of size 0; freed once with the same layout.
    unsafe {
        let block = BucketAlloc.alloc(LAYOUT);
        BucketAlloc.dealloc(block, LAYOUT);
        !block.is_null()
    }
}

/// Forks; whether the child's `work` was done and right. An alarm ends a child that waits for ever.
fn in_child(work: impl FnOnce() -> bool) -> bool {
    // SAFETY: the child calls the allocator under test and the system's, both of which have fork handlers, and ends
    // without anybody's destructors.
    unsafe {
        let child = libc::fork();
        assert!(child >= 0, "no process to be had");
        if child == 0 {
            libc::alarm(10);
            libc::_exit(i32::from(!work()));
        }
        let mut status = 0;
        libc::waitpid(child, &raw mut status, 0) == child && status == 0
    }
}

/// One thread allocates for the first time, another forks a moment after it began to. No thread starts or ends over the
/// fork, for the sake of sanitizers, whose own locks a child would find held. The flags are the trial's process's.
fn trial(moment: Duration) -> bool {
    static BEGUN: AtomicBool = AtomicBool::new(false);
    static FORKED: AtomicBool = AtomicBool::new(false);
    let first = std::thread::spawn(|| {
        BEGUN.store(true, Ordering::Release);
        let served = allocate();
        while !FORKED.load(Ordering::Acquire) {
            std::thread::yield_now();
        }
        served
    });
    while !BEGUN.load(Ordering::Acquire) {
        core::hint::spin_loop();
    }
    let start = Instant::now();
    while start.elapsed() < moment {
        core::hint::spin_loop();
    }
    let child = in_child(allocate);
    FORKED.store(true, Ordering::Release);
    child && first.join().is_ok_and(|served| served)
}

#[test]
fn a_fork_beside_the_first_allocation_leaves_a_child_that_allocates() {
    let mut random = common::Random::new(1);
    for round in 0..400 {
        let moment = Duration::from_micros(random.below(200) as u64);
        assert!(in_child(|| trial(moment)), "round {round}, forked {moment:?} after the thread began");
    }
}
