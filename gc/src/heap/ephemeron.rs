//! [`Ephemerons`]: what waits for an object to be marked. Owned by the marker.
//!
//! An entry of a weak map keeps its value only while something else keeps its key. So a tracer that comes to an entry whose key is not
//! marked leaves the value and puts the entry down here, by the key's address; when the key is marked, all that waits for it is
//! woken. Each entry waits once and is woken once: linear in the entries, where going over the maps until nothing changes is quadratic.
//! (The idea of ephemerons is Hayes'; waking by key is how several collectors of JavaScript do it.)
//!
//! ```text
//! trace entry: key marked -> trace the value      key white -> hold the key's slot; waits
//! mark(key)    -> woken   -> its map traces the value
//! nothing grey -> finalizer queues take what they waited for, which is marked; marking goes on
//! sweep        -> weak maps forget the entries that still wait: their keys are dead
//! ```
//!
//! Invariant: while marking goes on, a live entry of a traced map has a marked value, or waits, or is woken; what waits has
//! a key that is not marked.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// What waits: an entry of `owner`, which knows it by key and tag.
#[derive(Clone, Copy)]
pub(super) struct Waiter {
    pub(super) key: *const u8,
    pub(super) owner: *const u8,
    pub(super) tag: usize,
}

/// The end of a list.
const NONE: usize = usize::MAX;

/// Multiplies addresses, whose high bits then differ.
#[derive(Default)]
struct AddressHasher(u64);

impl Hasher for AddressHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_usize(usize::from(*byte));
        }
    }

    fn write_usize(&mut self, word: usize) {
        let mixed = (self.0 ^ word as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = mixed ^ mixed >> 32;
    }
}

/// Waiters of one kind.
#[derive(Default)]
struct Waiting {
    /// The last waiter for each key.
    by_key: HashMap<usize, usize, BuildHasherDefault<AddressHasher>>,
    /// Each with the one before it for the same key. `None`: woken.
    waiters: Vec<(Option<Waiter>, usize)>,
}

impl Waiting {
    fn add(&mut self, waiter: Waiter) {
        let before = self.by_key.insert(waiter.key.addr(), self.waiters.len()).unwrap_or(NONE);
        self.waiters.push((Some(waiter), before));
    }

    /// Takes out what waits for a key.
    fn wake(&mut self, key: *const u8, woken: &mut Vec<Waiter>) {
        let mut at = self.by_key.remove(&key.addr()).unwrap_or(NONE);
        while at != NONE {
            let (waiter, before) = &mut self.waiters[at];
            woken.extend(waiter.take());
            at = *before;
        }
    }

    /// Takes all that waits still.
    fn take(&mut self) -> Vec<(Option<Waiter>, usize)> {
        self.by_key.clear();
        std::mem::take(&mut self.waiters)
    }
}

#[derive(Default)]
pub(super) struct Ephemerons {
    /// Entries of weak maps.
    weak: Waiting,
    /// What finalizer queues watch.
    watched: Waiting,
    /// Entries whose keys have been marked.
    woken: Vec<Waiter>,
    /// What was watched when marking came to its end: its keys are dead, and are to be saved.
    saved: Vec<(Option<Waiter>, usize)>,
}

impl Ephemerons {
    /// Puts down an entry whose key is not marked.
    pub(super) fn wait(&mut self, waiter: Waiter, is_watched: bool) {
        if is_watched { &mut self.watched } else { &mut self.weak }.add(waiter);
    }

    /// A key has been marked.
    #[cold]
    #[inline(never)]
    pub(super) fn wake(&mut self, key: *const u8) {
        self.weak.wake(key, &mut self.woken);
        self.watched.wake(key, &mut self.woken);
    }

    /// The next entry to trace since its key has been marked.
    #[inline]
    pub(super) fn next_woken(&mut self) -> Option<Waiter> {
        self.woken.pop()
    }

    /// Nothing else is grey: what is watched and not marked is to be saved. True: there may be some of it.
    pub(super) fn end_watch(&mut self) -> bool {
        if self.saved.is_empty() {
            self.saved = self.watched.take();
        }
        !self.saved.is_empty()
    }

    /// The next that is to be saved.
    #[inline]
    pub(super) fn next_saved(&mut self) -> Option<Waiter> {
        while let Some((waiter, _)) = self.saved.pop() {
            if waiter.is_some() {
                return waiter;
            }
        }
        None
    }

    /// Whether something is to be traced, or may have to be saved.
    pub(super) fn has_grey(&self) -> bool {
        self.has_woken() || !self.saved.is_empty() || !self.watched.by_key.is_empty()
    }

    /// Whether values of marked keys are to be traced.
    pub(super) fn has_woken(&self) -> bool {
        !self.woken.is_empty()
    }

    /// The next entry whose key is dead, once marking has ended.
    pub(super) fn next_dead(&mut self) -> Option<Waiter> {
        self.weak.by_key.clear();
        while let Some((waiter, _)) = self.weak.waiters.pop() {
            if waiter.is_some() {
                return waiter;
            }
        }
        None
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}
