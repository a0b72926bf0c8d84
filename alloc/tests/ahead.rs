//! Memory put behind ranges by another thread: it comes without a touch, keeps what was written, and none of it is left behind in
//! memory that was closed or given back meanwhile, in a child of a fork neither.

mod common;

use std::alloc::{GlobalAlloc, Layout};
use std::ptr::NonNull;
use std::time::{Duration, Instant};

use bucketmask_alloc::{BucketAlloc, Range};
use common::Random;
use libtest_mimic::{Arguments, Trial};

const MIB: usize = 1 << 20;
const OS_PAGE: usize = 4096;

/// OS pages of `[offset, offset + len)` of the memory at `base` that are there.
fn resident(base: NonNull<u8>, offset: usize, len: usize) -> usize {
    let mut states = vec![0u8; len / OS_PAGE];
    // SAFETY: mapped memory, one byte a page.
    let asked = unsafe { libc::mincore(base.as_ptr().add(offset).cast(), len, states.as_mut_ptr().cast()) };
    assert_eq!(asked, 0);
    states.iter().filter(|&state| state & 1 != 0).count()
}

/// A range of 32 MiB, 20 of them open, with a thread for it.
fn open_range() -> Range {
    let range = Range::reserve(32 * MIB).expect("address space");
    assert!(range.open(0, 20 * MIB));
    let begun = Instant::now();
    while !range.populate_soon(0, OS_PAGE) {
        // A thread that has no heap yet makes none.
        assert!(begun.elapsed() < Duration::from_secs(10), "nobody is there to ask");
        let block = Layout::from_size_align(100, 8).unwrap();
        // SAFETY: not of size 0, and freed once.
        unsafe { BucketAlloc.dealloc(BucketAlloc.alloc(block), block) };
    }
    range
}

/// Waits until so many pages are there, and no more after a while.
fn comes_to(range: &Range, offset: usize, len: usize, pages: usize) {
    let begun = Instant::now();
    while resident(range.base(), offset, len) < pages {
        assert!(begun.elapsed() < Duration::from_secs(20), "{}", resident(range.base(), offset, len));
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn it_comes_without_a_touch() {
    let range = open_range();
    assert!(range.populate_soon(3 * MIB + OS_PAGE, 9 * MIB));
    comes_to(&range, 3 * MIB + OS_PAGE, 9 * MIB, 9 * MIB / OS_PAGE);
    assert_eq!(resident(range.base(), 14 * MIB, 6 * MIB), 0, "nobody asked for the rest");
    assert!(!range.populate_soon(31 * MIB, 2 * MIB), "outside the room");
    assert!(!range.populate_soon(5 * MIB, OS_PAGE - 1), "less than a page");
}

fn what_was_written_stays() {
    let range = open_range();
    let mark = |at: usize| (at / 64) as u8 | 1;
    for round in 0..20 {
        assert!(range.open(0, 20 * MIB));
        assert!(range.populate_soon(round * OS_PAGE, 19 * MIB));
        let places = (0..20 * MIB).step_by(64);
        // SAFETY: open memory of a range that is ours.
        let write = |at: usize| unsafe { range.base().as_ptr().add(at).write(mark(at)) };
        if round % 2 == 0 {
            places.clone().for_each(write);
        } else {
            places.clone().rev().for_each(write);
        }
        // SAFETY: as above.
        assert!(places.clone().all(|at| unsafe { range.base().as_ptr().add(at).read() } == mark(at)));
        range.close(0, 20 * MIB);
    }
}

fn nothing_comes_to_what_was_closed() {
    let range = open_range();
    let mut random = Random::new(11);
    for _ in 0..300 {
        assert!(range.open(0, 20 * MIB));
        assert!(range.populate_soon(0, 20 * MIB));
        if random.below(2) == 0 {
            std::thread::sleep(Duration::from_micros(random.below(800) as u64));
        }
        range.close(0, 20 * MIB);
        assert_eq!(resident(range.base(), 0, 20 * MIB), 0, "closed memory came back");
    }
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(resident(range.base(), 0, 20 * MIB), 0);
    for _ in 0..30 {
        // Too large to wait for the next owner.
        let range = Range::reserve(80 * MIB).expect("address space");
        let base = range.base();
        assert!(range.open(0, 80 * MIB) && range.populate_soon(0, 80 * MIB));
        std::thread::sleep(Duration::from_micros(random.below(800) as u64));
        drop(range);
        assert_eq!(resident(base, 0, 80 * MIB), 0, "memory came to a range that is no more");
    }
}

/// Threads that make, fill and drop ranges, so that addresses go from one to the next all the time.
fn who_comes_next_finds_zeros() {
    let work = |seed: u64| {
        move || {
            let mut random = Random::new(seed);
            for round in 0..60 {
                let range = Range::reserve(8 * MIB).expect("address space");
                let len = (1 + random.below(3)) * 2 * MIB;
                assert!(range.open(0, len));
                let _ = range.populate_soon(random.below(3) * OS_PAGE, MIB);
                let _ = range.populate_soon(MIB, len - MIB);
                for at in (0..len).step_by(OS_PAGE) {
                    // SAFETY: open memory of a range that is ours.
                    unsafe {
                        let place = range.base().as_ptr().add(at);
                        assert_eq!(place.read(), 0, "round {round}");
                        place.write(1);
                    }
                }
            }
        }
    };
    std::thread::scope(|scope| {
        let threads = [1, 2, 3].map(|seed| scope.spawn(work(seed)));
        // A join is seen by a sanitizer; what a scope waits for at its end is not.
        for thread in threads {
            thread.join().expect("no panic");
        }
    });
}

/// The child has no such thread, makes another, and never waits for what the first was at.
fn a_child_of_a_fork_goes_on() {
    let range = open_range();
    for _ in 0..20 {
        assert!(range.open(0, 20 * MIB) && range.populate_soon(0, 20 * MIB));
        // SAFETY: the child does no more than this test does, and ends at once.
        let child = unsafe { libc::fork() };
        if child == 0 {
            range.close(0, 20 * MIB);
            let fine = resident(range.base(), 0, 20 * MIB) == 0 && range.open(0, MIB);
            // SAFETY: ends the child.
            unsafe { libc::_exit(if fine { 7 } else { 1 }) };
        }
        let (mut status, begun) = (0, Instant::now());
        // SAFETY: waits for our child.
        while unsafe { libc::waitpid(child, &raw mut status, libc::WNOHANG) } == 0 {
            assert!(begun.elapsed() < Duration::from_secs(20), "the child waits");
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(libc::WEXITSTATUS(status), 7);
        range.close(0, 20 * MIB);
    }
}

fn main() {
    let trial = |name, work: fn()| {
        Trial::test(name, move || {
            work();
            Ok(())
        })
    };
    let trials = if cfg!(bucketmask_portable) {
        vec![trial("nobody_is_there_to_ask", || {
            let range = Range::reserve(32 * MIB).expect("address space");
            assert!(range.open(0, MIB) && !range.populate_soon(0, MIB));
        })]
    } else {
        vec![
            trial("it_comes_without_a_touch", it_comes_without_a_touch),
            trial("what_was_written_stays", what_was_written_stays),
            trial("nothing_comes_to_what_was_closed", nothing_comes_to_what_was_closed),
            trial("who_comes_next_finds_zeros", who_comes_next_finds_zeros),
            trial("a_child_of_a_fork_goes_on", a_child_of_a_fork_goes_on),
        ]
    };
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}
