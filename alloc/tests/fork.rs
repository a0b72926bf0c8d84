//! Forks while other threads allocate and make ranges: the child finds no lock held by a thread that
//! it does not have.

use std::alloc::{GlobalAlloc, Layout};
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};

use bucketmask_alloc::{BucketAlloc, Range};
use parking_lot::Mutex;

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

/// A child's life: it ends as `work` says. An alarm ends it if it waits for ever.
fn in_child(work: impl FnOnce() -> bool) -> ! {
    // SAFETY: sets this process's alarm; ends the process without running anybody's destructors.
    unsafe {
        libc::alarm(20);
        libc::_exit(i32::from(!work()))
    }
}

/// Forks; the child does `work`, and whether it ended well is told.
fn fork_and_wait(work: impl FnOnce() -> bool) -> bool {
    // SAFETY: the child only allocates from the allocator under test, whose handlers make that
    // safe, and from the system's, which has handlers too; then it exits.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "no process to be had");
    if child == 0 {
        in_child(work);
    }
    let mut status = 0;
    // SAFETY: waits for the child made above; writes the status.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    status == 0
}

fn free_all(blocks: &[usize]) {
    for &block in blocks {
        // SAFETY: made with this layout; each process frees its own copy once.
        unsafe { BucketAlloc.dealloc(block as *mut u8, LAYOUT) };
    }
}

fn some_blocks(count: usize) -> Vec<usize> {
    // SAFETY: not of size 0.
    (0..count).map(|_| unsafe { BucketAlloc.alloc(LAYOUT) } as usize).collect()
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
    let bad = (0..100).find(|_| {
        !fork_and_wait(|| {
            churn();
            true
        })
    });
    STOP.store(true, Ordering::Relaxed);
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(bad, None, "a child did not end well");
}

/// What a program does after a fork: frees what it inherited, from this thread and from others, starts threads,
/// asks for a report, and forks again.
#[test]
fn a_forked_child_frees_what_it_inherited_and_forks_again() {
    static STOP: AtomicBool = AtomicBool::new(false);
    let own = some_blocks(3000);
    let of_the_dead = std::thread::spawn(|| some_blocks(3000)).join().unwrap();
    let (ready, of_the_living) = (AtomicBool::new(false), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            of_the_living.lock().extend(some_blocks(3000));
            ready.store(true, Ordering::Release);
            while !STOP.load(Ordering::Relaxed) {
                churn();
            }
        });
        while !ready.load(Ordering::Acquire) {
            std::thread::yield_now();
        }
        let inherited = of_the_living.lock().clone();
        let generation = |more: &dyn Fn() -> bool| {
            // The owner of these blocks does not exist here: its heap is nobody's.
            free_all(&inherited);
            free_all(&own);
            free_all(&of_the_dead);
            let threads = [(); 2].map(|()| std::thread::spawn(churn));
            churn();
            let ended = threads.into_iter().all(|thread| thread.join().is_ok());
            // They are free, whatever the threads that are not here had in their hands.
            let freed: HashSet<usize> = inherited.iter().chain(&own).chain(&of_the_dead).copied().collect();
            let mut live = 0;
            BucketAlloc.for_each_page(|page| {
                live += page.live_addresses().filter(|address| freed.contains(address)).count();
            });
            ended && live == 0 && more()
        };
        let grandchild = || {
            let mine = some_blocks(500);
            fork_and_wait(|| {
                free_all(&mine);
                churn();
                true
            })
        };
        let bad = (0..20).find(|_| !fork_and_wait(|| generation(&grandchild)));
        STOP.store(true, Ordering::Relaxed);
        assert_eq!(bad, None, "a child did not end well");
    });
    free_all(&own);
    free_all(&of_the_dead);
    free_all(&of_the_living.into_inner());
}
