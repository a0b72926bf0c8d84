//! The claim on a page's free memory, over every interleaving that loom finds: an owner that frees, keeps
//! and hands out slots of a page, and the purge. `Expected` is the shipped file, given loom's atomics; the
//! owner's compiler fence and the purge's barrier on all threads are a sequentially consistent fence each,
//! which is what the kernel makes of the two.

/// What `remote.rs` knows as `crate::sync`.
mod sync {
    pub(crate) use loom::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};
}

#[expect(dead_code, reason = "the allocator uses more of it than the model")]
#[path = "../src/remote.rs"]
mod remote;

use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, fence};
use loom::thread;

use remote::Expected;
use sync::{AtomicU64, Ordering};

/// A page of two slots, each with a word of memory; what the owner's window has of it; and whether it has
/// an owner.
#[derive(Default)]
struct Page {
    expected: Expected,
    free: AtomicU64,
    window: AtomicU64,
    owned: AtomicBool,
    memory: [AtomicU64; 2],
}

fn page(free: u64) -> Arc<Page> {
    let page = Page::default();
    page.free.store(free, Ordering::Relaxed);
    page.owned.store(true, Ordering::Relaxed);
    Arc::new(page)
}

/// The owner's fill of its window: the slots it may hand out, none if the page is claimed.
fn fill(page: &Page) -> u64 {
    let slots = page.free.load(Ordering::Relaxed);
    page.window.store(slots, Ordering::Release);
    fence(Ordering::SeqCst);
    if page.expected.is_claimed() {
        page.window.store(0, Ordering::Release);
        return 0;
    }
    slots
}

/// Hands the first of the window's slots out, and uses it.
fn hand_out(page: &Page, slots: u64) -> usize {
    let slot = slots.trailing_zeros() as usize;
    page.free.store(page.free.load(Ordering::Relaxed) & !(1 << slot), Ordering::Relaxed);
    page.window.store(slots & (slots - 1), Ordering::Release);
    page.memory[slot].store(7, Ordering::Relaxed);
    slot
}

fn check(page: &Page, slot: usize) {
    assert_eq!(page.memory[slot].load(Ordering::Relaxed), 7, "the memory of a live slot was given away");
}

/// Frees a slot into the window; whether it may be handed out again.
fn free(page: &Page, slot: usize) -> bool {
    page.free.store(page.free.load(Ordering::Relaxed) | 1 << slot, Ordering::Release);
    page.window.store(page.window.load(Ordering::Relaxed) | 1 << slot, Ordering::Release);
    fence(Ordering::SeqCst);
    if page.expected.is_claimed() {
        page.window.store(page.window.load(Ordering::Relaxed) & !(1 << slot), Ordering::Release);
        return false;
    }
    true
}

/// A purge of the page.
fn purge(page: &Page) {
    page.expected.claim();
    fence(Ordering::SeqCst);
    if page.owned.load(Ordering::Acquire) && page.expected.is_claimed() {
        let window = page.window.load(Ordering::Acquire);
        let free = page.free.load(Ordering::Acquire) & !window;
        for slot in [0, 1].into_iter().filter(|slot| free >> slot & 1 != 0) {
            page.memory[slot].store(0, Ordering::Relaxed);
        }
    }
    page.expected.release();
}

fn with_purge(free: u64, owner: fn(&Page)) {
    loom::model(move || {
        let page = page(free);
        let purger = {
            let page = Arc::clone(&page);
            thread::spawn(move || purge(&page))
        };
        owner(&page);
        purger.join().unwrap();
    });
}

#[test]
fn a_slot_handed_out_by_a_fill_keeps_its_memory() {
    with_purge(0b11, |page| {
        let slots = fill(page);
        if slots != 0 {
            let slot = hand_out(page, slots);
            check(page, slot);
        }
    });
}

#[test]
fn a_slot_freed_and_handed_out_again_keeps_its_memory() {
    with_purge(0b10, |page| {
        page.memory[0].store(7, Ordering::Relaxed);
        if free(page, 0) {
            let slot = hand_out(page, 0b01);
            check(page, slot);
        }
    });
}

/// The page is given back if it is not claimed, and then used anew without its owner being asked.
#[test]
fn a_page_given_back_is_not_purged() {
    with_purge(0b11, |page| {
        page.owned.store(false, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if page.expected.is_claimed() {
            page.owned.store(true, Ordering::Relaxed);
            return;
        }
        page.expected.reset();
        page.free.store(0b11, Ordering::Release);
        page.owned.store(true, Ordering::Release);
        let slots = fill(page);
        if slots != 0 {
            let slot = hand_out(page, slots);
            check(page, slot);
        }
    });
}
