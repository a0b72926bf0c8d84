//! The thread that gives memory back: when it is there, and when it looks.
//!
//! A thread of our own, made when there is first something to purge, that allocates nothing and blocks
//! every signal. While memory goes unused it looks once a delay, so that what is given was of no use for
//! one to two delays; when a look finds nothing new it sleeps until it is told, and looks seldom
//! meanwhile, since a free into a page that is listed already tells nobody. Invariant: `WORD` says
//! whether there is such a thread and whether it waits to be told; who tells it changes the word first.
#![allow(unsafe_code)]

use core::ffi::c_void;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering};

use crate::lock::{wait_at_most, wake_one};
use crate::purge::{self, Found};
use crate::report::request;
use crate::{ahead, registry, sys, thread};

/// No thread, and nothing to purge.
const QUIET: u32 = 0;
/// No thread, and something to purge.
const WANTED: u32 = 1;
/// The thread waits to be told.
const ASLEEP: u32 = 2;
/// The thread is at work, or will look again by itself.
const AWAKE: u32 = 3;
/// No purge but by hand.
const OFF: u32 = 4;
/// No thread was to be had: threads that allocate look now and then. So they do while one is wanted, in a
/// program that is to stay without.
const SHARED: u32 = 5;

static WORD: AtomicU32 = AtomicU32::new(QUIET);
/// Counts the calls to the thread, which sleeps on it; wraps around.
static CALLS: AtomicU32 = AtomicU32::new(0);
/// Whether the thread exists, in this process.
static RUNS: AtomicBool = AtomicBool::new(false);
/// Milliseconds that memory goes unused before it is given back; 0 while nobody decided.
static DELAY: AtomicU32 = AtomicU32::new(0);
/// When the last shared look was, in milliseconds.
static LAST: AtomicU64 = AtomicU64::new(0);
/// A `fn() -> bool` that says whether the program has but one thread, and is to keep it so; or null.
static ALONE: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());

/// The delay unless it is set.
const DEFAULT_DELAY: u32 = 500;
/// Looks without news after which the thread waits to be told.
const CALM: u32 = 2;
/// Longest sleep, as delays.
const LONGEST_SLEEP: u32 = 64;
/// Bytes of the thread's stack: it has no deep calls and no large locals.
const STACK: usize = 64 * 1024;

/// Says that there is, or may soon be, something to purge. Callable from anywhere; a load, mostly.
#[inline]
pub(crate) fn stir() {
    let word = WORD.load(Ordering::Relaxed);
    if word == QUIET || word == ASLEEP {
        tell(word);
    }
}

#[cold]
fn tell(word: u32) {
    let then = if word == QUIET { WANTED } else { AWAKE };
    // Relaxed: what there is to purge is found by the masks, which have an order of their own.
    let told = WORD.compare_exchange(word, then, Ordering::Relaxed, Ordering::Relaxed).is_ok();
    if told && word == ASLEEP {
        call();
    }
}

/// Has the thread, if there is one, look what there is to do ahead.
pub(crate) fn call() {
    // Release pairs with the acquires in `run` and `sleep_while`: who sees the call sees what it is about.
    CALLS.fetch_add(1, Ordering::Release);
    wake_one(&CALLS);
}

/// Makes the thread if one is wanted, or does its work where there is none to be had. Called where the
/// allocator holds nothing and is in the middle of nothing: making a thread may allocate.
#[inline]
pub(crate) fn tend() {
    let word = WORD.load(Ordering::Relaxed);
    if word == WANTED || word == SHARED {
        tend_slow(word);
    }
}

#[cold]
#[inline(never)]
fn tend_slow(word: u32) {
    // A thread without a heap of its own borrows one under a lock; and the C library must be ready.
    if !registry::has_heap() || !request::was_armed() {
        return;
    }
    sys::keeping_errno(if word == WANTED { start } else { share });
}

/// Whether there is somebody who gives back what goes unused.
pub(crate) fn looks_by_itself() -> bool {
    RUNS.load(Ordering::Relaxed) && WORD.load(Ordering::Relaxed) != OFF
}

/// Makes no thread while `is_alone` says so, but for a program whose environment sets a delay.
pub(crate) fn stay_alone_while(is_alone: fn() -> bool) {
    if from_environment().is_none() {
        ALONE.store(is_alone as *mut (), Ordering::Relaxed);
    }
}

fn is_alone() -> bool {
    // SAFETY: null, which is `None`, or what `stay_alone_while` set: a function of that type.
    let told: Option<fn() -> bool> = unsafe { core::mem::transmute(ALONE.load(Ordering::Relaxed)) };
    told.is_some_and(|is_alone| is_alone())
}

/// Makes the thread.
fn start() {
    if is_alone() {
        // The thread stays wanted, for when there are others.
        return share();
    }
    if WORD.compare_exchange(WANTED, AWAKE, Ordering::Relaxed, Ordering::Relaxed).is_err() {
        return;
    }
    if DELAY.load(Ordering::Relaxed) == 0 {
        let asked = from_environment();
        DELAY.store(asked.unwrap_or(DEFAULT_DELAY).max(1), Ordering::Relaxed);
        if asked == Some(0) {
            WORD.store(OFF, Ordering::Relaxed);
            return;
        }
    }
    RUNS.store(true, Ordering::Relaxed);
    if !thread::start(STACK, run) {
        RUNS.store(false, Ordering::Relaxed);
        let _ = WORD.compare_exchange(AWAKE, SHARED, Ordering::Relaxed, Ordering::Relaxed);
    }
}

/// A look by a thread that allocates, if one is due.
fn share() {
    let now = thread::milliseconds();
    let last = LAST.load(Ordering::Relaxed);
    let delay = match DELAY.load(Ordering::Relaxed) {
        0 => DEFAULT_DELAY,
        decided => decided,
    };
    let due = now.saturating_sub(last) >= u64::from(delay);
    if due && LAST.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
        purge::look(false);
    }
}

/// `BUCKETMASK_PURGE`: a delay in milliseconds, 0 for `off`; `None` where it is not set or neither.
fn from_environment() -> Option<u32> {
    // SAFETY: getenv reads the environment; who changes it meanwhile breaks its contract, not ours.
    let text = unsafe {
        let value = libc::getenv(c"BUCKETMASK_PURGE".as_ptr());
        if value.is_null() {
            return None;
        }
        core::ffi::CStr::from_ptr(value).to_bytes()
    };
    if text == b"off" { Some(0) } else { core::str::from_utf8(text).ok()?.parse().ok() }
}

/// Sets the delay in milliseconds; 0 for no purge but by hand.
pub(crate) fn set_delay(milliseconds: u32) {
    DELAY.store(milliseconds.max(1), Ordering::Relaxed);
    let runs = RUNS.load(Ordering::Relaxed);
    let word = match milliseconds {
        0 => OFF,
        _ if runs => AWAKE,
        _ => WANTED,
    };
    WORD.store(word, Ordering::Relaxed);
    call();
}

/// In a child after a fork: the thread was left behind. It is made anew when there is something to purge.
pub(crate) fn forget_thread() {
    RUNS.store(false, Ordering::Relaxed);
    if WORD.load(Ordering::Relaxed) != OFF {
        WORD.store(QUIET, Ordering::Relaxed);
    }
}

/// The thread.
extern "C" fn run(_: *mut c_void) -> *mut c_void {
    thread::name(c"bucketmask-purge");
    // Looks without news. The first look waits a delay.
    let mut calm = 0;
    loop {
        // Acquire pairs with the release in `call`, before all looks: a call that they miss ends the wait.
        let calls = CALLS.load(Ordering::Acquire);
        if WORD.load(Ordering::Relaxed) == OFF {
            while ahead::work_on_a_piece() {}
            wait_at_most(&CALLS, calls, None);
            continue;
        }
        sleep(calm);
        // Before the look: what is told during it is not lost.
        if calm + 1 >= CALM {
            let _ = WORD.compare_exchange(AWAKE, ASLEEP, Ordering::Relaxed, Ordering::Relaxed);
        }
        let Found { is_news, .. } = purge::look(false);
        if is_news {
            calm = 0;
            let _ = WORD.compare_exchange(ASLEEP, AWAKE, Ordering::Relaxed, Ordering::Relaxed);
        } else {
            calm += 1;
        }
    }
}

/// Sleeps a delay, or longer where the last `calm` looks found nothing new, unless told; meanwhile does what is wanted ahead.
fn sleep(calm: u32) {
    let delay = DELAY.load(Ordering::Relaxed);
    if calm >= CALM {
        let longest = delay.saturating_mul((1u32 << (calm - CALM + 1).min(31)).min(LONGEST_SLEEP));
        if sleep_while(longest, || WORD.load(Ordering::Relaxed) == ASLEEP) {
            return;
        }
    }
    sleep_while(delay, || true);
}

/// Sleeps so long, while `may_sleep`, but for what is wanted ahead. Whether the time is over.
fn sleep_while(milliseconds: u32, may_sleep: impl Fn() -> bool) -> bool {
    let start = thread::milliseconds();
    loop {
        // Acquire pairs with the release in `call`, before all looks: a call that they miss ends the wait.
        let calls = CALLS.load(Ordering::Acquire);
        while ahead::work_on_a_piece() {}
        let slept = thread::milliseconds().saturating_sub(start);
        let left = u64::from(milliseconds).saturating_sub(slept) as u32;
        if left == 0 || !may_sleep() {
            return left == 0;
        }
        wait_at_most(&CALLS, calls, Some(left));
    }
}
