//! The recorder's bias over every interleaving and every reordering that loom finds: the shipped file, given loom's atomics; the light and the heavy
//! fence are a sequentially consistent one each, which is what the kernel makes of the two. Without either the same models fail.

/// What `bias.rs` knows as `crate::sync`.
mod sync {
    pub(crate) use loom::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

    pub(crate) mod asymmetric {
        use loom::sync::atomic::{Ordering, fence};
        use std::sync::atomic::AtomicU32;

        /// Which of the two is left out: 0 none, 1 the light one, 2 the heavy one.
        pub(crate) static BROKEN: AtomicU32 = AtomicU32::new(0);

        fn unless(broken: u32) {
            if BROKEN.load(Ordering::Relaxed) != broken {
                fence(Ordering::SeqCst);
            }
        }

        pub(crate) fn light() {
            unless(1);
        }

        pub(crate) fn heavy() -> bool {
            unless(2);
            true
        }
    }

    macro_rules! const_fn {
        ($(#[$attribute:meta])* pub fn $($rest:tt)*) => { $(#[$attribute])* pub fn $($rest)* };
    }
    pub(crate) use const_fn;
}

#[path = "../src/trace/bias.rs"]
mod bias;

use std::panic::{AssertUnwindSafe, catch_unwind};

use loom::cell::UnsafeCell;
use loom::sync::{Arc, Mutex};
use loom::thread;

use bias::Bias;
use sync::Ordering;
use sync::asymmetric::BROKEN;

/// The one that has the bias, and one of the others.
const ME: usize = 7;
const OTHER: usize = 8;

/// A lock, its bias, and a count that both guard.
struct Shared {
    lock: Mutex<()>,
    bias: Bias,
    count: UnsafeCell<u32>,
}

// SAFETY: what is tested; loom finds two at once in the cell.
unsafe impl Sync for Shared {}
// SAFETY: as above.
unsafe impl Send for Shared {}

impl Shared {
    fn count(&self) {
        // SAFETY: what is tested.
        self.count.with_mut(|count| unsafe { *count += 1 });
    }

    /// As the recorder does: by the bias, or with the lock, and whoever has that gives the bias to who earned it.
    fn work(&self, me: usize, gives: bool) {
        if self.bias.enter(me) {
            self.count();
            self.bias.leave();
            return;
        }
        let _held = self.lock.lock().expect("no panic");
        self.bias.revoke(|_| thread::yield_now());
        self.count();
        if gives {
            self.bias.give(me);
        }
    }
}

/// Its owner comes `mine` times, and gets the bias anew each time it took the lock; another comes `others` times.
fn model(mine: u32, others: u32) {
    loom::model(move || {
        let shared = Shared { lock: Mutex::new(()), bias: Bias::new(), count: UnsafeCell::new(0) };
        shared.bias.give(ME);
        let shared = Arc::new(shared);
        let theirs = Arc::clone(&shared);
        let other = thread::spawn(move || (0..others).for_each(|_| theirs.work(OTHER, false)));
        (0..mine).for_each(|_| shared.work(ME, true));
        other.join().expect("no panic");
        let _held = shared.lock.lock().expect("no panic");
        shared.bias.revoke(|_| thread::yield_now());
        // SAFETY: nobody else is there any more.
        assert_eq!(shared.count.with(|count| unsafe { *count }), mine + others);
    });
}

/// One test, since what is broken is the process's.
#[test]
fn one_at_a_time_is_at_work_and_none_without_its_fence() {
    model(2, 1);
    model(1, 2);
    model(2, 2);
    for broken in [1, 2] {
        BROKEN.store(broken, Ordering::Relaxed);
        let found = catch_unwind(AssertUnwindSafe(|| model(2, 1)));
        BROKEN.store(0, Ordering::Relaxed);
        assert!(found.is_err(), "without fence {broken} two were never at work at once");
    }
}
