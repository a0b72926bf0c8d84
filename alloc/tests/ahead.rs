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
/// Bytes of a range that is too large to wait for the next owner.
const LARGE: usize = 320 * MIB;

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
        let range = Range::reserve(LARGE).expect("address space");
        let base = range.base();
        assert!(range.open(0, LARGE) && range.populate_soon(0, LARGE));
        std::thread::sleep(Duration::from_micros(random.below(800) as u64));
        drop(range);
        assert_eq!(resident(base, 0, LARGE), 0, "memory came to a range that is no more");
    }
}

/// Lines of the kernel's list of mappings that lie in `[start, end)`, with what is told of each.
fn mappings(start: usize, end: usize) -> Vec<String> {
    let text = std::fs::read_to_string("/proc/self/smaps").expect("the list");
    let mut all: Vec<(usize, String)> = Vec::new();
    for line in text.lines() {
        let first = line.split_once('-').and_then(|(first, _)| usize::from_str_radix(first, 16).ok());
        match first {
            Some(first) => all.push((first, line.to_owned())),
            None => all.last_mut().expect("a mapping first").1.extend(["\n", line]),
        }
    }
    all.retain(|&(first, _)| (start..end).contains(&first));
    all.into_iter().map(|(_, told)| told).collect()
}

/// A table that grows asks for part after part, each behind the last: what is on huge pages stays one mapping.
fn what_grows_by_parts_is_one_mapping() {
    let range = open_range();
    let ends = [5, 7, 10, 13, 17, 20].map(|end| end * MIB - 5 * OS_PAGE);
    let mut begin = 3 * MIB + OS_PAGE;
    for end in ends {
        assert!(range.populate_soon(begin, end - begin));
        comes_to(&range, begin, end - begin, (end - begin) / OS_PAGE);
        begin = end;
    }
    // The thread collapses the last page after it brought it.
    std::thread::sleep(Duration::from_millis(50));
    let base = range.base().as_ptr() as usize;
    let told = mappings(base, base + 20 * MIB);
    let huge = told
        .iter()
        .filter(|told| told.lines().any(|line| line.starts_with("VmFlags") && line.contains(" hg")))
        .count();
    assert!(huge <= 1, "{huge} of {}: {told:#?}", told.len());
}

/// Kernels before 5.14 do not bring memory on request: then no touch is to bring a huge page either, which would take its time.
fn without_the_kernels_help_pages_stay_small() {
    let child = std::process::Command::new(std::env::current_exe().expect("a path"))
        .env(WITHOUT_HELP, "1")
        .output()
        .expect("a child");
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stderr));
}

/// Names the process that does without.
const WITHOUT_HELP: &str = "BUCKETMASK_AHEAD_WITHOUT_HELP";

/// From here on the kernel answers requests to bring memory, or to collapse pages, of all threads to come as an old one does.
fn refuse_help() {
    let step = |code: u32, jt: u8, jf: u8, k: u32| libc::sock_filter { code: code as u16, jt, jf, k };
    let (is, end) = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, libc::BPF_RET | libc::BPF_K);
    let load = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    let advices = [libc::MADV_POPULATE_WRITE, libc::MADV_COLLAPSE]
        .map(|advice| u32::try_from(advice).expect("a small number"));
    // The call's number lies first in what the kernel shows, its third argument at byte 32.
    let mut program = [
        step(load, 0, 0, 0),
        step(is, 0, 3, libc::SYS_madvise as u32),
        step(load, 0, 0, 32),
        step(is, 2, 0, advices[0]),
        step(is, 1, 0, advices[1]),
        step(end, 0, 0, libc::SECCOMP_RET_ALLOW),
        step(end, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EINVAL as u32),
    ];
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: the program lives over the call, which copies it.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const filter, 0, 0), 0);
    }
}

/// The process without help: its thread is made after the refusal, and heeds it.
fn without_help() {
    refuse_help();
    let range = open_range();
    // Until the thread has found out, it takes requests.
    range.populate_soon(0, 20 * MIB);
    std::thread::sleep(Duration::from_millis(100));
    assert!(!range.populate_soon(0, 20 * MIB), "it has");
    assert_eq!(resident(range.base(), 0, 20 * MIB), 0, "nobody brings it");
    // SAFETY: open memory of a range that is ours.
    unsafe { range.base().as_ptr().add(9 * MIB).write(1) };
    assert_eq!(resident(range.base(), 0, 20 * MIB), 1, "one small page");
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
    if std::env::var_os(WITHOUT_HELP).is_some() {
        return without_help();
    }
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
            trial("without_the_kernels_help_pages_stay_small", without_the_kernels_help_pages_stay_small),
            trial("what_grows_by_parts_is_one_mapping", what_grows_by_parts_is_one_mapping),
            trial("who_comes_next_finds_zeros", who_comes_next_finds_zeros),
            trial("a_child_of_a_fork_goes_on", a_child_of_a_fork_goes_on),
        ]
    };
    // One at a time: what one gave back the next may have, and some ask what lies there.
    let arguments = Arguments { test_threads: Some(1), ..Arguments::from_args() };
    libtest_mimic::run(&arguments, trials).exit();
}
