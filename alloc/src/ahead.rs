//! Memory put behind pages before they are touched, by the purge's thread, for ranges whose owners will soon write there.
//!
//! Owned by `range`. A first touch is a fault of a microsecond or more, and one that brings a huge page takes a hundred: too long for
//! an operation that promises bounded work. So who opens much asks here, which returns at once, and the thread does it, piece by
//! piece from the end down. Who comes to a page before it takes the fault, as without. Invariant: a request names open memory
//! of a live range; who closes memory or drops a range withdraws its requests first, and waits for the piece at work.
#![allow(unsafe_code)]

use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::lock::{FutexMutex, wait_at_most, wake_one};
use crate::{purger, sys};

/// Pieces done; wraps around. Who withdraws waits on it.
static DONE: AtomicU32 = AtomicU32::new(0);
/// Whether anything was ever asked for. A hint, so that who closes memory in a program that never asks need not lock.
static ASKED: AtomicBool = AtomicBool::new(false);

/// Whether the kernel brings memory when it is asked to, as far as is known. One that ever refused is asked no more: each refusal would leave
/// a mapping of its own. Orders nothing.
static ABLE: AtomicBool = AtomicBool::new(!cfg!(bucketmask_portable));

/// What is put behind at a time: a huge page, or as much in small ones.
const PIECE: usize = 2 << 20;
/// Requests that wait at most.
const MOST: usize = 16;
/// Milliseconds after which who withdraws looks again by itself.
const LOOK_AGAIN: u32 = 5;

/// Addresses of the range that start and end lie in, ascending.
#[derive(Clone, Copy)]
struct Request {
    range: usize,
    start: usize,
    end: usize,
}

/// What is wanted. Held over a fork; its holder takes no other lock.
pub(crate) static WANTED: FutexMutex<Wanted> = FutexMutex::new(Wanted { all: [None; MOST], at_work: 0 });

/// See [`WANTED`].
pub(crate) struct Wanted {
    /// In turn, without gaps.
    all: [Option<Request>; MOST],
    /// The range of the piece at work; 0 while there is none.
    at_work: usize,
}

impl Wanted {
    fn add(&mut self, request: Request) -> bool {
        let free = self.all.iter_mut().find(|place| place.is_none());
        free.map(|place| *place = Some(request)).is_some()
    }

    /// The last piece of the first request, which has to wait then until the others had their turn.
    fn take_piece(&mut self) -> Option<(Request, bool)> {
        let first = self.all[0]?;
        let start = ((first.end - 1) & !(PIECE - 1)).max(first.start);
        self.all.rotate_left(1);
        let count = self.all.iter().flatten().count();
        // A free place at the front went to the end; the first, in the last place now, follows the others or is gone.
        self.all[MOST - 1] = None;
        if start > first.start {
            self.all[count - 1] = Some(Request { end: start, ..first });
        }
        self.at_work = first.range;
        Some((Request { start, ..first }, start == first.start))
    }

    fn withdraw(&mut self, range: usize) {
        let mut left = [None; MOST];
        let others = self.all.iter().flatten().filter(|request| request.range != range);
        left.iter_mut().zip(others).for_each(|(place, request)| *place = Some(*request));
        self.all = left;
    }
}

/// Asks for memory behind `[start, end)`, open memory of the range at `range`, in whole OS pages. `false`: first touches bring it.
pub(crate) fn ask(range: usize, start: usize, end: usize) -> bool {
    if !ABLE.load(Ordering::Relaxed) || start >= end {
        return false;
    }
    // Whoever asks is in the middle of nothing of the allocator's.
    purger::stir();
    purger::tend();
    if !purger::looks_by_itself() {
        return false;
    }
    ASKED.store(true, Ordering::Relaxed);
    let asked = WANTED.lock().add(Request { range, start, end });
    if asked {
        purger::call();
    }
    asked
}

/// Forgets what was asked for a range, and waits until nothing is done to it any more.
pub(crate) fn withdraw(range: usize) {
    // Relaxed: who asked for this range has given it to the caller since, or is the caller.
    if !ASKED.load(Ordering::Relaxed) {
        return;
    }
    WANTED.lock().withdraw(range);
    loop {
        // Before the look: a piece that ends after it changes the word.
        let done = DONE.load(Ordering::Acquire);
        if WANTED.lock().at_work != range {
            return;
        }
        sys::keeping_errno(|| wait_at_most(&DONE, done, Some(LOOK_AGAIN)));
    }
}

/// Works on the next piece, if there is one. By the thread only.
pub(crate) fn work_on_a_piece() -> bool {
    let Some((Request { start, end, .. }, is_last)) = WANTED.lock().take_piece() else { return false };
    // SAFETY: open memory of a live range, whose owner withdraws the request first when it is to be so no more.
    unsafe {
        let is_huge = end - start == PIECE;
        if is_huge {
            sys::advise_huge(start as *mut u8, PIECE);
        }
        let is_brought = sys::populate(start as *mut u8, end - start);
        // Where there is no memory, or the kernel can't, first touches bring it: small ones, since one that brings a huge page would
        // be the pause that this is to save.
        if !is_brought {
            ABLE.store(false, Ordering::Relaxed);
            if is_huge {
                sys::advise_small(start as *mut u8, PIECE);
            }
        }
        // The page that old and new share, in small ones until now. With its neighbours' advice it is one mapping with them.
        let shared = start & !(PIECE - 1);
        if is_brought && is_last && start != shared && end >= shared + PIECE {
            sys::advise_huge(shared as *mut u8, PIECE);
            sys::collapse(shared as *mut u8, PIECE);
        }
    }
    WANTED.lock().at_work = 0;
    // Release pairs with the acquire of who withdraws; it then takes the lock and sees that the piece is done.
    DONE.fetch_add(1, Ordering::Release);
    wake_one(&DONE);
    true
}

/// In a child after a fork: the thread was left behind, and with it what it was to do.
///
/// # Safety
/// The lock is held, and the child has one thread.
pub(crate) unsafe fn forget() {
    // SAFETY: by this function's contract.
    unsafe { *WANTED.data_ptr() = Wanted { all: [None; MOST], at_work: 0 } };
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pieces as they come: range, start, end, and whether they were the last of their request.
    fn pieces(wanted: &mut Wanted) -> Vec<(usize, usize, usize, bool)> {
        let next =
            || wanted.take_piece().map(|(piece, is_last)| (piece.range, piece.start, piece.end, is_last));
        core::iter::from_fn(next).collect()
    }

    #[test]
    fn requests_have_their_turns_and_end_at_their_starts() {
        let mut wanted = Wanted { all: [None; MOST], at_work: 0 };
        assert!(wanted.add(Request { range: 1, start: 100, end: 2 * PIECE + 300 }));
        assert!(wanted.add(Request { range: 2, start: 9 * PIECE, end: 10 * PIECE }));
        assert!(wanted.add(Request { range: 3, start: 5, end: 6 }));
        let right = [
            (1, 2 * PIECE, 2 * PIECE + 300, false),
            (2, 9 * PIECE, 10 * PIECE, true),
            (3, 5, 6, true),
            (1, PIECE, 2 * PIECE, false),
            (1, 100, PIECE, true),
        ];
        assert_eq!(pieces(&mut wanted), right);
    }

    #[test]
    fn a_full_list_takes_no_more_until_one_is_done_or_withdrawn() {
        let mut wanted = Wanted { all: [None; MOST], at_work: 0 };
        let request = |range| Request { range, start: 0, end: PIECE + 1 };
        assert!((1..=MOST).all(|range| wanted.add(request(range))));
        assert!(!wanted.add(request(77)));
        wanted.withdraw(3);
        assert!(wanted.add(request(77)) && !wanted.add(request(78)));
        let taken = pieces(&mut wanted);
        assert_eq!(taken.len(), 2 * MOST);
        assert!(
            taken.iter().all(|piece| piece.0 != 3) && taken.iter().filter(|piece| piece.0 == 77).count() == 2
        );
        assert_eq!(wanted.at_work, taken[2 * MOST - 1].0);
    }
}
