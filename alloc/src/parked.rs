//! Ranges that were dropped lately: their memory waits for the next table before the kernel gets it back.
//!
//! Owned by `range`. The kernel takes longer to take memory back than most tables take to be dropped, and as long again to
//! give it to the next one. So a few of the last ranges wait here, open as they were, for who reserves one of that room; a
//! look of the purge that finds one waiting for the second time gives it back, and so does the next range that is too
//! many. Invariant: a range is live or waits here or its chunks are the span's; nothing waits where nobody looks.
#![allow(unsafe_code)]

use core::sync::atomic::{AtomicUsize, Ordering};

use crate::lock::FutexMutex;
use crate::node::NodeId;
use crate::purge::Found;
use crate::{purger, sys};

/// Ranges that wait at most.
const MOST: usize = 4;
/// Bytes that they have open at most, all together, and what part of the memory that may be.
const MOST_BYTES: usize = 256 << 20;
const PART_OF_MEMORY: usize = 64;
/// Open parts of a range that may wait: heads, masks and the like lie apart.
pub(crate) const PARTS: usize = 8;

/// A range without an owner.
#[derive(Clone, Copy)]
pub(crate) struct Parked {
    pub(crate) base: usize,
    pub(crate) chunks: usize,
    pub(crate) node: NodeId,
    /// Start and end of what is open, in bytes from the base; both 0 where there is no such part.
    pub(crate) parts: [(usize, usize); PARTS],
    /// Whether the kernel was asked for huge pages somewhere in it.
    pub(crate) huge: bool,
    /// Whether a look has found it here.
    seen: bool,
}

/// Those that wait, the last one at the end; held over a fork like the others. Its holder never allocates.
pub(crate) static PARKED: FutexMutex<Waiting> = FutexMutex::new(Waiting { all: [None; MOST] });
/// How many wait. A hint, so that who has none to take need not lock; relaxed, since the lock says what there is.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// See [`PARKED`].
pub(crate) struct Waiting {
    /// In the order in which they came, without gaps.
    all: [Option<Parked>; MOST],
}

impl Parked {
    /// A range with these open parts; none where they are too many.
    pub(crate) fn new(
        base: usize,
        chunks: usize,
        node: NodeId,
        open: &[(usize, usize)],
        huge: bool,
    ) -> Option<Self> {
        let mut parts = [(0, 0); PARTS];
        parts.get_mut(..open.len())?.copy_from_slice(open);
        Some(Self { base, chunks, node, parts, huge, seen: false })
    }

    /// Bytes that are open.
    fn bytes(&self) -> usize {
        self.parts.iter().map(|(start, end)| end - start).sum()
    }

    /// Gives memory and chunks back.
    fn give_back(&self) {
        let open = self.parts.into_iter().filter(|part| part.0 < part.1);
        crate::range::give_back(self.base, self.chunks, self.node, open, self.huge);
    }
}

impl Waiting {
    fn bytes(&self) -> usize {
        self.all.iter().flatten().map(Parked::bytes).sum()
    }

    /// Takes the `idx`-th out.
    fn remove(&mut self, idx: usize) -> Option<Parked> {
        let taken = self.all[idx].take()?;
        self.all[idx..].rotate_left(1);
        COUNT.store(self.all.iter().flatten().count(), Ordering::Relaxed);
        Some(taken)
    }
}

/// Lets a range wait. `false` where nobody would ever give it back, or it is too large: then it is the caller's as before. Others
/// that are too many are given back now.
pub(crate) fn park(range: Parked) -> bool {
    let (bytes, most) = (range.bytes(), most_bytes());
    if bytes == 0 || bytes > most {
        return false;
    }
    purger::stir();
    purger::tend();
    loop {
        let oldest = {
            let mut waiting = PARKED.lock();
            // Under the lock: who turns looking off gives all back afterwards, and finds this one.
            if !purger::looks_by_itself() {
                return false;
            }
            if waiting.all[MOST - 1].is_none() && waiting.bytes() + bytes <= most {
                let count = waiting.all.iter().flatten().count();
                waiting.all[count] = Some(range);
                COUNT.store(count + 1, Ordering::Relaxed);
                return true;
            }
            waiting.remove(0)
        };
        let Some(oldest) = oldest else { return false };
        oldest.give_back();
    }
}

/// Bytes that may wait here.
fn most_bytes() -> usize {
    /// 0 while nobody asked. Relaxed: whoever asks finds the same number, or nearly so.
    static MOST: AtomicUsize = AtomicUsize::new(0);
    let known = MOST.load(Ordering::Relaxed);
    if known > 0 {
        return known;
    }
    let most = sys::memory().map_or(MOST_BYTES, |memory| (memory / PART_OF_MEMORY).clamp(1, MOST_BYTES));
    MOST.store(most, Ordering::Relaxed);
    most
}

/// Takes the last range of a node that has room for `room` bytes.
pub(crate) fn take(node: NodeId, room: usize) -> Option<Parked> {
    if COUNT.load(Ordering::Relaxed) == 0 {
        return None;
    }
    let mut waiting = PARKED.lock();
    let fits = |range: &Option<Parked>| {
        range.is_some_and(|range| range.node == node && range.chunks * crate::side::CHUNK >= room)
    };
    let idx = waiting.all.iter().rposition(fits)?;
    waiting.remove(idx)
}

/// Gives all of them back, for who finds no room. Whether there were any.
pub(crate) fn give_all_back() -> bool {
    let mut any = false;
    loop {
        let Some(range) = PARKED.lock().remove(0) else { return any };
        range.give_back();
        any = true;
    }
}

/// Gives back those that the last look found here already; `by_hand`: all. Callers hold the purge's lock.
pub(crate) fn look(by_hand: bool) -> Found {
    let mut found = Found::default();
    loop {
        let due = {
            let mut waiting = PARKED.lock();
            let idx = waiting.all.iter().flatten().position(|range| range.seen || by_hand);
            if idx.is_none() {
                waiting.all.iter_mut().flatten().for_each(|range| range.seen = true);
                found.is_news |= waiting.all[0].is_some();
            }
            idx.and_then(|idx| waiting.remove(idx))
        };
        let Some(range) = due else { return found };
        range.give_back();
        found.given += range.bytes();
        found.is_news = true;
    }
}

/// Node, address and length of each part that is open.
pub(crate) fn open() -> impl Iterator<Item = (NodeId, usize, usize)> {
    let all = PARKED.lock().all;
    let parts = |range: Parked| {
        range.parts.into_iter().map(move |(start, end)| (range.node, range.base + start, end - start))
    };
    all.into_iter().flatten().flat_map(parts).filter(|part| part.2 > 0)
}
