//! The remote protocol over every interleaving that loom finds: two freers and the owner of a page
//! of two slots. The protocol is the shipped file, given loom's atomics.

/// What `remote.rs` knows as `crate::sync`.
mod sync {
    pub(crate) use loom::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};
}

#[expect(dead_code, reason = "the allocator uses more of it than the model")]
#[path = "../src/remote.rs"]
mod remote;

use loom::sync::Arc;
use loom::sync::atomic::AtomicBool;
use loom::thread;

use remote::{Expected, Inbox, Posted, drain, set_bits};
use sync::{AtomicPtr, AtomicU64, Ordering};

struct Page {
    expected: Expected,
    remote: AtomicU64,
    next: AtomicPtr<Page>,
    given_back: AtomicBool,
}

impl Posted for Page {
    fn posted_next(&self) -> &AtomicPtr<Self> {
        &self.next
    }
}

struct Shared {
    page: Page,
    inbox: Inbox<Page>,
}

fn shared() -> Arc<Shared> {
    Arc::new(Shared {
        page: Page {
            expected: Expected::default(),
            remote: AtomicU64::new(0),
            next: AtomicPtr::new(core::ptr::null_mut()),
            given_back: AtomicBool::new(false),
        },
        inbox: Inbox::default(),
    })
}

fn free(shared: &Shared, bit: u64) {
    let page = &shared.page;
    if page.expected.expect(bit.count_ones()) {
        assert!(!page.given_back.load(Ordering::Relaxed), "given back while a free is on its way");
        shared.inbox.post(page);
    }
    assert!(!page.given_back.load(Ordering::Relaxed), "given back while slots are expected");
    assert_eq!(set_bits(&page.remote, bit), 0);
}

/// One turn of the owner: slots drained.
fn owner_turn(shared: &Shared, used: &mut u32, local_free: &mut u64) {
    let mut page = shared.inbox.take();
    while !page.is_null() {
        // SAFETY: only the one page of `shared`, which lives, is ever posted.
        let posted = unsafe { &*page };
        page = posted.next.load(Ordering::Relaxed);
        let drained = drain(&posted.remote, |bits| {
            assert_eq!(*local_free & bits, 0, "a slot freed twice");
            *local_free |= bits;
        });
        if posted.expected.meet(drained.count_ones()) {
            shared.inbox.post(posted);
        }
        *used -= drained.count_ones();
        if *used == 0 {
            assert!(!posted.expected.is_any(), "an empty page is expected to get slots");
            assert!(!posted.given_back.swap(true, Ordering::Relaxed), "given back twice");
        }
    }
}

#[test]
fn every_free_is_drained_and_the_page_goes_back_once_and_quietly() {
    loom::model(|| {
        let shared = shared();
        let freers: Vec<_> = [1, 2]
            .map(|bit| {
                let shared = Arc::clone(&shared);
                thread::spawn(move || free(&shared, bit))
            })
            .into();
        let (mut used, mut local_free) = (2, 0);
        owner_turn(&shared, &mut used, &mut local_free);
        for freer in freers {
            freer.join().unwrap();
        }
        owner_turn(&shared, &mut used, &mut local_free);
        assert_eq!((used, local_free), (0, 3), "a free was lost");
        assert!(shared.page.given_back.load(Ordering::Relaxed), "an empty page was kept");
        assert!(shared.inbox.is_empty());
    });
}

/// A report that reads the source before the destination finds the bit in one of them.
#[test]
fn a_reader_never_sees_a_freed_slot_as_live() {
    loom::model(|| {
        let words = Arc::new((AtomicU64::new(1), AtomicU64::new(0)));
        let reader = {
            let words = Arc::clone(&words);
            thread::spawn(move || {
                let remote = words.0.load(Ordering::Acquire);
                let local = words.1.load(Ordering::Acquire);
                assert_eq!(remote | local, 1);
            })
        };
        drain(&words.0, |bits| words.1.store(bits, Ordering::Release));
        reader.join().unwrap();
    });
}
