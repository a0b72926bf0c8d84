//! Threads that come and go: heaps are handed on, blocks outlive their thread, and destructors that
//! run after the thread's heap is gone still allocate and free.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::RefCell;

use bucketmask_alloc::BucketAlloc;

const LAYOUT: Layout = Layout::new::<[u64; 3]>();

/// A block that is freed when dropped, by whichever thread that is.
struct Owned(*mut u8);

// SAFETY: a block may be freed by any thread.
unsafe impl Send for Owned {}

impl Owned {
    fn new() -> Self {
        // SAFETY: not of size 0.
        let block = unsafe { BucketAlloc.alloc(LAYOUT) };
        assert!(!block.is_null());
        // SAFETY: a block of that size.
        unsafe { block.write_bytes(0x5a, LAYOUT.size()) };
        Self(block)
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: allocated in `new`, freed once.
        unsafe {
            assert_eq!(self.0.read(), 0x5a);
            BucketAlloc.dealloc(self.0, LAYOUT);
        }
    }
}

/// Live blocks of the class of `LAYOUT`, and its pages.
fn live_and_pages() -> (usize, usize) {
    let report = BucketAlloc.report();
    let classes = report.nodes.iter().flat_map(|node| &node.classes).filter(|class| class.slot_size == 32);
    classes.fold((0, 0), |sum, class| (sum.0 + class.live, sum.1 + class.pages))
}

thread_local! {
    static LATE: RefCell<Vec<Owned>> = const { RefCell::new(Vec::new()) };
}

/// Allocates and frees in its destructor, when it runs.
struct AtExit;

impl Drop for AtExit {
    fn drop(&mut self) {
        drop((0..100).map(|_| Owned::new()).collect::<Vec<_>>());
    }
}

thread_local! {
    static AT_EXIT: AtExit = const { AtExit };
}

/// A pthread key's destructor runs after all of Rust's, and after the allocator's own if its key is
/// younger: then the thread has no heap any more.
extern "C" fn very_late(block: *mut libc::c_void) {
    drop(Owned(block.cast()));
    drop(Owned::new());
}

// One test: the parts count live blocks of the whole process.
#[test]
fn threads_come_and_go() {
    // The allocator's key exists before this test's.
    std::thread::spawn(|| drop(Owned::new())).join().unwrap();
    let mut key = 0;
    // SAFETY: writes the key; the destructor lives for ever.
    assert_eq!(unsafe { libc::pthread_key_create(&raw mut key, Some(very_late)) }, 0);

    let mut pages_after_first_round = None;
    for round in 0..50 {
        let outliving: Vec<Owned> = (0..4)
            .map(|_| {
                std::thread::spawn(move || {
                    AT_EXIT.with(|_| ());
                    LATE.with(|late| late.borrow_mut().extend((0..50).map(|_| Owned::new())));
                    let block = Owned::new();
                    // SAFETY: the key exists; the destructor owns the block now.
                    unsafe { libc::pthread_setspecific(key, block.0.cast()) };
                    std::mem::forget(block);
                    (0..500).map(|_| Owned::new()).collect::<Vec<_>>()
                })
            })
            .collect::<Vec<_>>()
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect();
        let (live, pages) = live_and_pages();
        assert_eq!(live, outliving.len(), "round {round}");
        // What threads leave behind is used by those that come after.
        let first = *pages_after_first_round.get_or_insert(pages);
        assert!(pages <= first + 8, "{pages} pages in round {round}, {first} in the first");
        drop(outliving);
        // Frees of this thread are on their way to idle heaps; they count as free all the same.
        assert_eq!(live_and_pages().0, 0, "round {round}");
    }
}
