//! A thousand seeded double frees of the kinds that are always caught, and how many are caught of the others.
//! Each is made in a forked child, which must end by the abort that names the block.

mod common;

use std::alloc::{GlobalAlloc, Layout};
use std::fs::File;
use std::io::Read;
use std::os::fd::FromRawFd;
use std::sync::atomic::{AtomicBool, Ordering};

use bucketmask_alloc::BucketAlloc;
use common::Random;

/// How a child ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// By the abort, with this message.
    Caught(String),
    /// As if nothing had been wrong.
    Survived,
    Otherwise(i32, String),
}

/// Runs `work` in a forked child and tells how that ended.
fn in_child(work: impl FnOnce()) -> End {
    let mut pipe = [0; 2];
    // SAFETY: writes two descriptors; the child only calls what is safe in a forked child: the allocator under
    // test, whose handlers see to that, and the system's.
    let child = unsafe {
        assert_eq!(libc::pipe(pipe.as_mut_ptr()), 0);
        libc::fork()
    };
    assert!(child >= 0, "no process to be had");
    if child == 0 {
        let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: this process's own descriptors and limits; it ends without anybody's destructors. An alarm ends it
        // if it waits for ever.
        unsafe {
            libc::setrlimit(libc::RLIMIT_CORE, &raw const none);
            libc::dup2(pipe[1], 2);
            libc::alarm(20);
            work();
            libc::_exit(0)
        }
    }
    let mut status = 0;
    let mut told = String::new();
    // SAFETY: the parent's ends of the pipe, each closed once; waits for the child made above.
    unsafe {
        libc::close(pipe[1]);
        File::from_raw_fd(pipe[0]).read_to_string(&mut told).unwrap();
        assert_eq!(libc::waitpid(child, &raw mut status, 0), child);
    }
    match status {
        0 => End::Survived,
        status if libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGABRT => End::Caught(told),
        status => End::Otherwise(status, told),
    }
}

/// A live block.
#[derive(Clone, Copy)]
struct Block {
    address: usize,
    layout: Layout,
}

impl Block {
    fn new(layout: Layout) -> Self {
        // SAFETY: not of size 0.
        let address = unsafe { BucketAlloc.alloc(layout) } as usize;
        assert_ne!(address, 0);
        Self { address, layout }
    }

    fn free(self) {
        // SAFETY: none for a second one: the process is to end in it.
        unsafe { BucketAlloc.dealloc(self.address as *mut u8, self.layout) };
    }

    /// Frees it in a thread that comes and goes.
    fn free_elsewhere(self, times: usize) {
        std::thread::spawn(move || (0..times).for_each(|_| self.free())).join().unwrap();
    }

    /// Frees it here and then in another thread, which was made before: making one allocates, and may be given
    /// the slot.
    fn free_here_then_elsewhere(self) {
        let freed = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let other = scope.spawn(|| {
                while !freed.load(Ordering::Acquire) {
                    std::thread::yield_now();
                }
                self.free();
            });
            self.free();
            freed.store(true, Ordering::Release);
            other.join().unwrap();
        });
    }
}

fn any_layout(random: &mut Random) -> Layout {
    let size = match random.below(10) {
        0 => 1 + random.below(32 * 1024),
        1..=3 => 1 + random.below(2000),
        _ => 1 + random.below(200),
    };
    Layout::from_size_align(size, 8).unwrap()
}

/// A heap with a past: some hundred live blocks of many sizes, among gaps.
fn past(random: &mut Random) -> Vec<Block> {
    let mut live = Vec::new();
    for _ in 0..random.below(1500) {
        if random.below(3) > 0 || live.is_empty() {
            let layout = any_layout(random);
            live.push(Block::new(layout));
        } else {
            let block: Block = live.swap_remove(random.below(live.len()));
            block.free();
        }
    }
    while live.len() < 10 {
        live.push(Block::new(any_layout(random)));
    }
    live
}

/// Frees a block twice, in a way of which the second free is always noticed: by the owner before the slot is handed
/// out again, or by another thread, drained before that.
fn free_twice(seed: u64) {
    let mut random = Random::new(seed);
    let mut live = past(&mut random);
    let block = live.swap_remove(random.below(live.len()));
    match random.below(5) {
        // Others are freed in between; nothing is handed out.
        0 | 1 => {
            block.free();
            for _ in 0..random.below(live.len()) {
                live.swap_remove(random.below(live.len())).free();
            }
            block.free();
        }
        // Another thread freed it and is gone: its free has arrived.
        2 => {
            block.free_elsewhere(1);
            block.free();
        }
        3 => block.free_elsewhere(2),
        // The owner's free is known when the other thread's is drained, at the latest by a malloc that needs a page:
        // of another class, so that the slot isn't handed out.
        _ => {
            block.free_here_then_elsewhere();
            let other = if block.layout.size() > 16 * 1024 { 14 * 1024 } else { 32 * 1024 };
            let layout = Layout::from_size_align(other, 8).unwrap();
            for _ in 0..200 {
                Block::new(layout);
            }
        }
    }
}

#[test]
fn a_thousand_double_frees_of_the_guaranteed_kinds_are_caught() {
    for seed in 0..1000 {
        match in_child(|| free_twice(seed)) {
            End::Caught(message) => {
                let named =
                    ["bucketmask: double free of 0x", ", page 0x", ", class ", ", slot size ", ", node "];
                assert!(named.iter().all(|part| message.contains(part)), "seed {seed}: {message}");
            }
            end => panic!("seed {seed}: {end:?}"),
        }
    }
}

/// The other kind: mallocs come between the two frees, and one of them may be given the slot. The rate is that of
/// slots which were not; it is printed, as a figure and not a promise. What is not caught breaks nothing by
/// itself: the block has two owners, of whom the second to free it is caught.
#[test]
fn the_rate_of_the_other_kinds_is_told() {
    const SEEDS: u64 = 50;
    for (what, same) in [("of the same size", true), ("of any size", false)] {
        for between in [1, 4, 16, 64] {
            let caught = (0..SEEDS).filter(|&seed| {
                let end = in_child(|| free_twice_with_mallocs_between(seed, between, same));
                assert!(!matches!(end, End::Otherwise(..)), "seed {seed}: {end:?}");
                end != End::Survived
            });
            println!("{between} mallocs {what} between two frees: {} of {SEEDS} caught", caught.count());
        }
    }
}

fn free_twice_with_mallocs_between(seed: u64, between: usize, same: bool) {
    let mut random = Random::new(seed);
    let mut live = past(&mut random);
    let block = live.swap_remove(random.below(live.len()));
    block.free();
    for _ in 0..between {
        Block::new(if same { block.layout } else { any_layout(&mut random) });
    }
    block.free();
}
