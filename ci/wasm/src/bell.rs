//! A word to wait at: `memory.atomic.wait32` sleeps while it has a certain value, `memory.atomic.notify` wakes who sleeps there.
//!
//! Whoever has something to tell makes it visible, changes the word (release), and notifies; whoever waits loads the word (acquire),
//! looks, and sleeps only while the word is what it was.
//! Invariant: a change of the word comes before its notify, so nobody falls asleep on news.

use core::arch::wasm32::{memory_atomic_notify, memory_atomic_wait32};
use core::sync::atomic::{AtomicU32, Ordering};

/// Nobody has to wait so long, in nanoseconds, unless it was not woken.
const PATIENCE: i64 = 20_000_000_000;
/// The same where a fault makes somebody wait in vain.
const SHORT_PATIENCE: i64 = 3_000_000_000;

/// The word, on lines of its own.
#[repr(align(128))]
pub(crate) struct Bell(AtomicU32);

impl Bell {
    pub(crate) const fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// The word now. Acquire: pairs with the release of `set` and `ring`.
    pub(crate) fn word(&self) -> u32 {
        self.0.load(Ordering::Acquire)
    }

    /// Changes the word and wakes all that wait.
    pub(crate) fn ring(&self) {
        self.0.fetch_add(1, Ordering::Release);
        self.wake();
    }

    /// Stores the word and wakes all that wait.
    pub(crate) fn set(&self, word: u32) {
        self.store(word);
        self.wake();
    }

    /// Stores the word, and wakes nobody.
    pub(crate) fn store(&self, word: u32) {
        self.0.store(word, Ordering::Release);
    }

    /// Wakes all that wait.
    pub(crate) fn wake(&self) {
        // SAFETY: the word is aligned and lives.
        unsafe { memory_atomic_notify(self.0.as_ptr().cast(), u32::MAX) };
    }

    /// Sleeps while the word is `seen`.
    ///
    /// # Panics
    /// If nobody wakes it in time.
    #[track_caller]
    pub(crate) fn wait(&self, seen: u32, fault: u32) {
        let patience = if fault == 0 { PATIENCE } else { SHORT_PATIENCE };
        // SAFETY: the word is aligned and lives.
        let woken = unsafe { memory_atomic_wait32(self.0.as_ptr().cast(), seen.cast_signed(), patience) };
        assert!(woken != 2, "nobody woke who slept");
    }
}

/// Sleeps for so many nanoseconds.
pub(crate) fn sleep(duration: i64) {
    let word = AtomicU32::new(0);
    // SAFETY: the word is aligned and lives; nobody knows of it.
    unsafe { memory_atomic_wait32(word.as_ptr().cast(), 0, duration) };
}
