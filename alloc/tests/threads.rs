//! Threads that come and go: heaps are handed on, blocks outlive their thread, and destructors that
//! run after the thread's heap is gone still allocate and free.

mod common;

use std::alloc::{GlobalAlloc, Layout};
use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};

use bucketmask_alloc::{BucketAlloc, LentPage, PageRequest, Range, current_node, give_back, lend};
use parking_lot::Mutex;

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

fn threads_come_and_go() {
    let _alone = ALONE.lock();
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
        let (live, pages) = of_class(LAYOUT.size());
        assert_eq!(live, outliving.len(), "round {round}");
        // What threads leave behind is used by those that come after.
        let first = *pages_after_first_round.get_or_insert(pages);
        // Threads that run at once need a heap each, with pages, windows and gathered frees of its own; in turn they need one. What is
        // stranded comes to a round's pages each round.
        assert!(pages <= first + 4 * 8, "{pages} pages in round {round}, {first} in the first");
        drop(outliving);
        // Frees of this thread are on their way to idle heaps; they count as free all the same.
        assert_eq!(of_class(LAYOUT.size()).0, 0, "round {round}");
    }
}

/// Live blocks and pages of a class.
fn of_class(slot_size: usize) -> (usize, usize) {
    let report = BucketAlloc.report();
    let classes =
        report.nodes.iter().flat_map(|node| &node.classes).filter(|class| class.slot_size == slot_size);
    classes.fold((0, 0), |sum, class| (sum.0 + class.live, sum.1 + class.pages))
}

/// Blocks of 512 bytes, made by the calling thread.
fn many_blocks() -> Vec<usize> {
    // SAFETY: not of size 0.
    (0..40_000).map(|_| unsafe { BucketAlloc.alloc(Layout::new::<[u64; 64]>()) } as usize).collect()
}

fn free_blocks(blocks: Vec<usize>) {
    for block in blocks {
        // SAFETY: of `many_blocks`, each freed once.
        unsafe { BucketAlloc.dealloc(block as *mut u8, Layout::new::<[u64; 64]>()) };
    }
}

/// What an exited thread's blocks leave when another thread frees them is used again by that thread.
fn memory_of_exited_threads_is_not_stranded() {
    let _alone = ALONE.lock();
    free_blocks(std::thread::spawn(many_blocks).join().unwrap());
    let blocks = many_blocks();
    let (live, pages) = of_class(512);
    assert_eq!(live, blocks.len());
    assert!(pages * 128 <= live * 12 / 10, "{pages} pages of 128 slots for {live} blocks");
    free_blocks(blocks);
}

/// A report beside a busy thread, that also exits, reads each mask truly: only slots that were live at
/// some moment while it was read count as live. The thread uses the same few slots again and again.
fn a_slot_that_is_never_live_is_never_reported() {
    const HELD: usize = 8;
    static STOP: AtomicBool = AtomicBool::new(false);
    let _alone = ALONE.lock();
    let layout = Layout::new::<[u64; 18]>();
    let work = move || {
        for _ in 0..20 {
            // SAFETY: not of size 0; freed once with the same layout.
            unsafe {
                for block in [(); HELD].map(|()| BucketAlloc.alloc(layout)) {
                    BucketAlloc.dealloc(block, layout);
                }
            }
        }
    };
    let busy = std::thread::spawn(move || {
        while !STOP.load(Ordering::Relaxed) {
            std::thread::spawn(work).join().unwrap();
        }
    });
    for _ in 0..500 {
        for page in BucketAlloc.occupancy().iter().filter(|page| page.slot_size == 144) {
            let most = page.live.iter().map(|mask| mask.count() as usize).max().unwrap();
            assert!(most <= HELD, "{most} live slots in a bucket, of {HELD} ever used");
        }
    }
    STOP.store(true, Ordering::Relaxed);
    busy.join().unwrap();
    assert_eq!(of_class(144).0, 0);
}

/// Threads that lend pages and reserve ranges at once get memory that nobody else has.
fn several_threads_lend_pages_and_reserve_ranges() {
    let _alone = ALONE.lock();
    let work = |mark: u8| {
        for round in 0..200 {
            let request = PageRequest { bytes: 8192 << (round % 4), slot_size: 64, leaf: round % 3 == 0 };
            let pages: Vec<LentPage> = (0..10).map(|_| lend(current_node(), request).unwrap()).collect();
            let range = Range::reserve(1 << 20).unwrap();
            assert!(range.open(0, 4096));
            // SAFETY: lent to and opened for this thread alone.
            unsafe {
                range.base().as_ptr().write_bytes(mark, 4096);
                for page in &pages {
                    page.base().as_ptr().write_bytes(mark, page.bytes());
                }
                std::thread::yield_now();
                assert_eq!(range.base().as_ptr().add(4095).read(), mark);
                for page in pages {
                    assert_eq!(page.base().as_ptr().add(page.bytes() - 1).read(), mark);
                    give_back(page);
                }
            }
        }
    };
    for thread in [1, 2, 3].map(|mark| std::thread::spawn(move || work(mark))) {
        thread.join().unwrap();
    }
}

/// These tests count pages, and an idle heap goes to whichever thread comes next: one at a time.
static ALONE: Mutex<()> = Mutex::new(());

fn main() {
    common::run(&[
        ("threads_come_and_go", threads_come_and_go),
        ("memory_of_exited_threads_is_not_stranded", memory_of_exited_threads_is_not_stranded),
        ("several_threads_lend_pages_and_reserve_ranges", several_threads_lend_pages_and_reserve_ranges),
        ("a_slot_that_is_never_live_is_never_reported", a_slot_that_is_never_live_is_never_reported),
    ]);
}
