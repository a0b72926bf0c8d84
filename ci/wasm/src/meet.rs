//! A barrier: workers wait until all have come. Spinning first, since what comes next is about nanoseconds.
//!
//! Invariant: nobody leaves the nth meeting before all have come to it.

use core::sync::atomic::{AtomicU32, Ordering};

use crate::bell::Bell;

/// Turns of a loop before a worker sleeps: it may be that there are fewer processors than workers.
const SPINS: u32 = 20_000;

pub(crate) struct Meeting {
    come: AtomicU32,
    bell: Bell,
}

impl Meeting {
    pub(crate) const fn new() -> Self {
        Self { come: AtomicU32::new(0), bell: Bell::new() }
    }

    /// Waits for the others: `workers` in all. What they did before is seen after.
    pub(crate) fn wait(&self, workers: u32) {
        let seen = self.bell.word();
        if self.come.fetch_add(1, Ordering::AcqRel) + 1 == workers {
            self.come.store(0, Ordering::Relaxed);
            self.bell.ring();
            return;
        }
        for _ in 0..SPINS {
            if self.bell.word() != seen {
                return;
            }
            core::hint::spin_loop();
        }
        while self.bell.word() == seen {
            self.bell.wait(seen, 0);
        }
    }
}
