//! The flip in loom: every interleaving, and every value that a weaker ordering would let a reader see, of one bucket with one
//! key, its copier, a writer and a reader. The mark is the shipped clock, with loom's atomic in it.
//!
//! Owned by `visibility.rs`. Invariant: the model is so small that loom gets through all of it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bucketmask_map::concurrent::rules::{Clock, Rules, Word, is_flipped};
use loom::sync::Mutex;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

struct Shared(AtomicUsize);

impl Word for Shared {
    fn load(&self, order: Ordering) -> usize {
        self.0.load(order)
    }

    fn store(&self, value: usize, order: Ordering) {
        self.0.store(value, order);
    }
}

/// The key's slot in either table, 0 for nothing, and the lock of its old bucket. The lock of its new one is only taken after
/// that, or after the flip, so one stands for both.
struct Tables {
    clock: Clock<Shared>,
    old: AtomicUsize,
    new: AtomicUsize,
    lock: Mutex<()>,
}

impl Tables {
    /// A slot as `read_ts` says. Acquire: pairs with the release stores of slots.
    fn read<R: Rules>(&self) -> usize {
        let slot = if is_flipped::<R>(0, self.clock.read_ts::<R>()) { &self.new } else { &self.old };
        slot.load(Ordering::Acquire)
    }

    fn write<R: Rules>(&self, value: usize) {
        let _locked = self.lock.lock().expect("nobody panics");
        let slot = if is_flipped::<R>(0, self.clock.read_ts::<R>()) { &self.new } else { &self.old };
        slot.store(value, Ordering::Release);
    }

    fn copy<R: Rules>(&self) {
        let _locked = self.lock.lock().expect("nobody panics");
        self.new.store(self.old.load(Ordering::Acquire), Ordering::Release);
        self.clock.flip::<R>(0);
    }
}

/// Whether loom finds nothing wrong under the rules `R`; how many executions it looked at.
pub(super) fn passes<R: Rules>() -> (bool, u64) {
    use std::sync::atomic::AtomicU64;
    static EXECUTIONS: AtomicU64 = AtomicU64::new(0);
    let before = EXECUTIONS.load(Ordering::Relaxed);
    // loom tells what it finds by panics, which are its answer here and no news for anybody.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| ()));
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        loom::model::Builder::new().check(|| {
            EXECUTIONS.fetch_add(1, Ordering::Relaxed);
            execution::<R>();
        });
    }));
    std::panic::set_hook(hook);
    (outcome.is_ok(), EXECUTIONS.load(Ordering::Relaxed) - before)
}

fn execution<R: Rules>() {
    // Leaked: what a failed execution leaves behind is not dropped while it unwinds, since loom would object to that, too.
    let tables: &Tables = Box::leak(Box::new(Tables {
        clock: Clock::new(Shared(AtomicUsize::new(0))),
        old: AtomicUsize::new(1),
        new: AtomicUsize::new(0),
        lock: Mutex::new(()),
    }));
    let copier = thread::spawn(move || tables.copy::<R>());
    let writer = thread::spawn(move || {
        tables.write::<R>(2);
        assert_eq!(tables.read::<R>(), 2, "a thread's own write");
    });
    let (first, second) = (tables.read::<R>(), tables.read::<R>());
    assert!(first == 1 || first == 2, "the key is there all the time");
    assert!(second >= first, "a read goes back behind another");
    copier.join().expect("the copier ends");
    writer.join().expect("the writer ends");
    assert_eq!(tables.read::<R>(), 2);
}
