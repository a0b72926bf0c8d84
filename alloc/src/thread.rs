//! A thread of the allocator's own, and what it asks the kernel for.
//!
//! Used by `purger` and `events`. Invariant: nothing here allocates, but for the C library when it makes the thread.
#![allow(unsafe_code)]

use core::ffi::{CStr, c_void};

/// What a thread runs.
pub(crate) type Body = extern "C" fn(*mut c_void) -> *mut c_void;

/// Makes a detached thread with a small stack, all signals blocked. `false`: none to be had.
pub(crate) fn start(stack: usize, body: Body) -> bool {
    // SAFETY: sets and attributes are initialised before they are read, and live here; the caller's own
    // signal mask is put back; the body lives for ever.
    unsafe {
        let (mut all, mut before): (libc::sigset_t, libc::sigset_t) = core::mem::zeroed();
        libc::sigfillset(&raw mut all);
        // The thread inherits the mask.
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
        // Programs with much thread-local memory need more of a stack.
        let started = start_sized(stack, body) || start_sized(16 * stack, body) || start_sized(0, body);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, core::ptr::null_mut());
        started
    }
}

/// As [`start`], with a stack of that size, or the system's for 0; the mask is the caller's.
fn start_sized(stack: usize, body: Body) -> bool {
    // SAFETY: as in `start`.
    unsafe {
        let mut attributes: libc::pthread_attr_t = core::mem::zeroed();
        if libc::pthread_attr_init(&raw mut attributes) != 0 {
            return false;
        }
        let mut thread: libc::pthread_t = core::mem::zeroed();
        let fits = stack == 0 || libc::pthread_attr_setstacksize(&raw mut attributes, stack) == 0;
        let started = fits
            && libc::pthread_attr_setdetachstate(&raw mut attributes, libc::PTHREAD_CREATE_DETACHED) == 0
            && libc::pthread_create(&raw mut thread, &raw const attributes, body, core::ptr::null_mut()) == 0;
        libc::pthread_attr_destroy(&raw mut attributes);
        started
    }
}

/// Names the calling thread, for who lists a process's threads. Linux keeps 15 bytes.
pub(crate) fn name(name: &CStr) {
    #[cfg(target_os = "linux")]
    // SAFETY: reads a text that ends in a zero byte.
    unsafe {
        libc::prctl(libc::PR_SET_NAME, name.as_ptr(), 0, 0, 0)
    };
    #[cfg(not(target_os = "linux"))]
    let _ = name;
}

/// A full memory barrier on every running thread of the process, as if each ran one now. `false` where the
/// kernel has none.
#[cfg(all(target_os = "linux", not(bucketmask_portable)))]
pub(crate) fn barrier_on_all() -> bool {
    const BARRIER: i32 = 1 << 3;
    const REGISTER: i32 = 1 << 4;
    // SAFETY: the call reads and writes no memory.
    let call = |command: i32| unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 };
    call(BARRIER) || call(REGISTER) && call(BARRIER)
}

#[cfg(not(all(target_os = "linux", not(bucketmask_portable))))]
pub(crate) fn barrier_on_all() -> bool {
    false
}

/// The kernel's number of the calling thread; of the process where threads have none.
pub(crate) fn number() -> u64 {
    #[cfg(target_os = "linux")]
    // SAFETY: asks for a number.
    let number = unsafe { libc::syscall(libc::SYS_gettid) };
    #[cfg(not(target_os = "linux"))]
    // SAFETY: asks for a number.
    let number = i64::from(unsafe { libc::getpid() });
    number.unsigned_abs()
}

/// Nanoseconds since some moment.
pub(crate) fn nanoseconds() -> u64 {
    let mut now = timespec(0);
    // SAFETY: writes a time that lives here.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}

/// Sleeps.
pub(crate) fn sleep(milliseconds: u32) {
    let nap = timespec(milliseconds);
    // SAFETY: reads a time that lives here; the second argument may be null.
    unsafe { libc::nanosleep(&raw const nap, core::ptr::null_mut()) };
}

/// A duration as the kernel wants it.
pub(crate) fn timespec(milliseconds: u32) -> libc::timespec {
    let (seconds, rest) = (milliseconds / 1000, milliseconds % 1000);
    libc::timespec { tv_sec: seconds.into(), tv_nsec: (rest * 1_000_000).into() }
}

/// Milliseconds since some moment, in steps of a few.
pub(crate) fn milliseconds() -> u64 {
    #[cfg(target_os = "linux")]
    const CLOCK: libc::clockid_t = libc::CLOCK_MONOTONIC_COARSE;
    #[cfg(not(target_os = "linux"))]
    const CLOCK: libc::clockid_t = libc::CLOCK_MONOTONIC;
    let mut now = timespec(0);
    // SAFETY: writes a time that lives here.
    unsafe { libc::clock_gettime(CLOCK, &raw mut now) };
    now.tv_sec.unsigned_abs() * 1000 + now.tv_nsec.unsigned_abs() / 1_000_000
}
