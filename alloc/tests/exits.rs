//! Threads that end in every order of destructors: thread-locals and keys whose destructors allocate, free, hand
//! blocks on and register again, with the allocator installed, so that the runtime's own blocks are in it too.

mod common;

use std::cell::RefCell;
use std::sync::atomic::{AtomicUsize, Ordering};

use bucketmask_alloc::BucketAlloc;
use parking_lot::Mutex;

#[global_allocator]
static ALLOCATOR: BucketAlloc = BucketAlloc::new();

/// 592 bytes, class 640: no other block of this program is of that class.
struct Block(Box<[u64; 74]>);

impl Block {
    fn new(word: u64) -> Self {
        Self(Box::new([word; 74]))
    }
}

/// A value whose destructor allocates and frees, and passes a block to whoever comes next.
struct Last {
    name: u64,
    own: Vec<Block>,
}

static PASSED: Mutex<Vec<Block>> = Mutex::new(Vec::new());
static DROPPED: AtomicUsize = AtomicUsize::new(0);

impl Last {
    fn new(name: u64) -> Self {
        Self { name, own: (0..30).map(|number| Block::new(name + number)).collect() }
    }
}

impl Drop for Last {
    fn drop(&mut self) {
        for (number, block) in self.own.drain(..).enumerate() {
            assert!(block.0.iter().all(|&word| word == self.name + number as u64), "a block changed");
        }
        let mut fresh: Vec<Block> = (0..70).map(|_| Block::new(self.name)).collect();
        let mut passed = PASSED.lock();
        passed.truncate(20);
        passed.extend(fresh.drain(..3));
        DROPPED.fetch_add(1, Ordering::Relaxed);
    }
}

thread_local! {
    static A: RefCell<Option<Last>> = const { RefCell::new(None) };
    static B: RefCell<Option<Last>> = const { RefCell::new(None) };
    /// With a lazy initialiser, so that its registration allocates.
    static C: RefCell<Option<Last>> = RefCell::new(Some(Last::new(900)));
}

static KEYS: Mutex<Vec<libc::pthread_key_t>> = Mutex::new(Vec::new());

/// Runs in several rounds: each sets the key again, until its count is used up. The C library ends after four.
extern "C" fn again(value: *mut libc::c_void) {
    // SAFETY: what `use_key` or the round before left there.
    let mut rounds = unsafe { Box::from_raw(value.cast::<(libc::pthread_key_t, u64, Last)>()) };
    rounds.2 = Last::new(rounds.1);
    rounds.1 -= 1;
    if rounds.1 > 0 {
        let key = rounds.0;
        // SAFETY: the key lives for ever; the box is the next round's.
        unsafe { libc::pthread_setspecific(key, Box::into_raw(rounds).cast()) };
    }
}

fn use_key(at: usize, rounds: u64) {
    let key = KEYS.lock()[at];
    let value = Box::new((key, rounds, Last::new(rounds)));
    // SAFETY: the key lives for ever; its destructor takes the box.
    unsafe { libc::pthread_setspecific(key, Box::into_raw(value).cast()) };
}

/// Touches thread-locals and keys in the order of the digits: destructors run in an order that follows from it.
fn touch(order: usize) {
    let (mut rest, mut left) = (order, vec![0, 1, 2, 3, 4]);
    for radix in (1..=5).rev() {
        match left.remove(rest % radix) {
            0 => A.with(|last| *last.borrow_mut() = Some(Last::new(100))),
            1 => B.with(|last| *last.borrow_mut() = Some(Last::new(200))),
            2 => C.with(|last| assert!(last.borrow().is_some())),
            3 => use_key(0, 1),
            _ => use_key(1, 3),
        }
        rest /= radix;
    }
}

fn live_blocks() -> usize {
    let report = ALLOCATOR.report();
    report
        .nodes
        .iter()
        .flat_map(|node| &node.classes)
        .filter(|class| class.slot_size == 640)
        .map(|class| class.live)
        .sum()
}

fn threads_end_in_any_order_of_destructors() {
    // One key older than the allocator's own, which is made by the first allocation, would need one before it;
    // so: one made now, and one that is made after many threads came and went.
    let make_key = || {
        let mut key = 0;
        // SAFETY: writes the key; the destructor lives for ever.
        assert_eq!(unsafe { libc::pthread_key_create(&raw mut key, Some(again)) }, 0);
        KEYS.lock().push(key);
    };
    make_key();
    std::thread::spawn(|| drop(Last::new(1))).join().unwrap();
    make_key();
    for order in 0..120 {
        let threads: Vec<_> = (0..3)
            .map(|thread| {
                std::thread::spawn(move || {
                    touch((order + thread * 40) % 120);
                    let given = PASSED.lock().pop();
                    drop(given);
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
    }
    // Three thread-locals, one key of a round, one of three; each round of a key drops its value twice over.
    assert!(DROPPED.load(Ordering::Relaxed) >= 360 * 7, "{DROPPED:?}");
    let kept = PASSED.lock().len();
    assert_eq!(live_blocks(), kept, "blocks were lost at an exit");
    PASSED.lock().clear();
    assert_eq!(live_blocks(), 0);
}

/// A thread that ends while another one frees what it made.
fn blocks_are_freed_while_their_thread_ends() {
    for _ in 0..100 {
        let made = std::thread::spawn(|| (0..100).map(|number| vec![number; 70]).collect::<Vec<Vec<u64>>>());
        let blocks = made.join().unwrap();
        let freeing = std::thread::spawn(move || blocks.iter().map(Vec::len).sum::<usize>());
        let again = std::thread::spawn(|| (0..100).map(|_| vec![0u8; 560]).collect::<Vec<_>>().len());
        assert_eq!((freeing.join().unwrap(), again.join().unwrap()), (7000, 100));
    }
}

/// A destructor that a thread registers while its keys' destructors run is never called, and the C library forgets
/// what it keeps for it: a leak that is no finding, so the tests run in a process in which nobody looks for leaks.
fn run_without_leak_check() {
    let program = std::env::current_exe().unwrap();
    let mut child = std::process::Command::new(program);
    child.args(std::env::args_os().skip(1)).env("ASAN_OPTIONS", "detect_leaks=0").env(CHILD, "1");
    std::process::exit(child.status().unwrap().code().unwrap_or(1));
}

/// Set in the process that runs the tests.
const CHILD: &str = "BUCKETMASK_EXITS_CHILD";

fn main() {
    if std::env::var_os(CHILD).is_none() {
        run_without_leak_check();
    }
    common::run(&[
        ("threads_end_in_any_order_of_destructors", threads_end_in_any_order_of_destructors),
        ("blocks_are_freed_while_their_thread_ends", blocks_are_freed_while_their_thread_ends),
    ]);
}
