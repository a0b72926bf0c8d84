//! Forks while other threads allocate and make ranges: the child finds no lock held by a thread that
//! it does not have.

use std::alloc::{GlobalAlloc, Layout};
use std::sync::atomic::{AtomicBool, Ordering};

use bucketmask_alloc::{BucketAlloc, Range};

const LAYOUT: Layout = Layout::new::<[u64; 40]>();

/// What a thread does: enough blocks to take and give pages, and a range.
fn churn() {
    // SAFETY: not of size 0; freed with the layout they were made with.
    unsafe {
        let blocks: Vec<*mut u8> = (0..2000).map(|_| BucketAlloc.alloc(LAYOUT)).collect();
        assert!(blocks.iter().all(|block| !block.is_null()));
        drop(Range::reserve(1 << 20).unwrap());
        for block in blocks {
            BucketAlloc.dealloc(block, LAYOUT);
        }
    }
}

/// The child: allocates, and exits 0. An alarm ends it if it waits for ever.
fn in_child() -> ! {
    // SAFETY: sets this process's alarm; ends the process without running anybody's destructors.
    unsafe {
        libc::alarm(20);
        churn();
        libc::_exit(0)
    }
}

#[test]
fn a_forked_child_allocates() {
    static STOP: AtomicBool = AtomicBool::new(false);
    churn();
    let threads = [(); 2].map(|()| {
        std::thread::spawn(|| {
            while !STOP.load(Ordering::Relaxed) {
                churn();
            }
        })
    });
    for round in 0..100 {
        // SAFETY: the child only allocates from the allocator under test, whose handlers make that
        // safe, and from the system's, which has handlers too; then it exits.
        let child = unsafe { libc::fork() };
        assert!(child >= 0, "no process to be had");
        if child == 0 {
            in_child();
        }
        let mut status = 0;
        // SAFETY: waits for the child made above; writes the status.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert_eq!(status, 0, "the child of round {round} did not end well");
    }
    STOP.store(true, Ordering::Relaxed);
    for thread in threads {
        thread.join().unwrap();
    }
}
