//! A report on request of a running program: at its exit, or when it gets a signal.
//!
//! `BUCKETMASK_REPORT` is looked at once. A signal handler must not allocate, so it only raises a semaphore,
//! on which a thread waits that prints. Invariant: without the variable nothing is installed and no thread
//! runs; what is printed goes past standard error's buffers, in one piece where the kernel takes it so.
#![allow(unsafe_code)]

use core::cell::UnsafeCell;
use core::ffi::{CStr, c_char, c_int, c_void};
use core::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use super::Report;
use crate::events;
use crate::sys::{self, keeping_errno};
use crate::trace::recorder;

/// Whether the variable was looked at.
static LOOKED: AtomicBool = AtomicBool::new(false);

/// `BUCKETMASK_REPORT_FILE`, copied; null for standard error.
static FILE: AtomicPtr<c_char> = AtomicPtr::new(core::ptr::null_mut());

/// What the signal's handler raises.
static ASKED: Semaphore = Semaphore(UnsafeCell::new(core::mem::MaybeUninit::uninit()));

struct Semaphore(UnsafeCell<core::mem::MaybeUninit<libc::sem_t>>);

// SAFETY: a semaphore is made to be used by several threads, once it is initialised, which is before the handler and
// the thread that use it are there.
unsafe impl Sync for Semaphore {}

/// Does what `BUCKETMASK_RECORD`, `BUCKETMASK_TRACE` and `BUCKETMASK_REPORT` ask for, unless that was done before. The thread has its heap, so that
/// what the C library allocates for it is served.
#[inline]
pub(crate) fn arm_once() {
    if !LOOKED.load(Ordering::Relaxed) {
        keeping_errno(arm);
    }
}

/// Whether it was done: before that the C library may not be ready to start a thread.
pub(crate) fn was_armed() -> bool {
    LOOKED.load(Ordering::Relaxed)
}

#[cold]
fn arm() {
    if LOOKED.swap(true, Ordering::Relaxed) {
        return;
    }
    recorder::start();
    events::mem::arm();
    let Some(wanted) = variable(c"BUCKETMASK_REPORT") else { return };
    if let Some(file) = variable(c"BUCKETMASK_REPORT_FILE") {
        // SAFETY: a text that ends in 0. It is copied since programs may overwrite their environment.
        FILE.store(unsafe { libc::strdup(file.as_ptr()) }, Ordering::Release);
    }
    for word in wanted.to_bytes().split(|&byte| byte == b',') {
        match word {
            b"exit" => {
                // SAFETY: a function that lives for ever. What can't be registered is not printed.
                unsafe { libc::atexit(at_exit) };
            }
            b"SIGUSR2" => on_signal(),
            _ => print_text("bucketmask: BUCKETMASK_REPORT is a list of: exit, SIGUSR2\n"),
        }
    }
}

/// A variable of the environment, if it is set and not empty; none where the environment is of somebody with fewer rights, who
/// must not name the files that this process writes.
pub(crate) fn variable(name: &CStr) -> Option<&'static CStr> {
    if sys::has_others_rights() {
        return None;
    }
    // SAFETY: a text that ends in 0.
    let value = unsafe { libc::getenv(name.as_ptr()) };
    if value.is_null() {
        return None;
    }
    // SAFETY: the environment's texts end in 0. It is read before the program had a chance to change it, or by a
    // program that has the duty not to do so beside this.
    let value = unsafe { CStr::from_ptr(value) };
    (!value.is_empty()).then_some(value)
}

/// Starts the thread, then installs the handler, unless the program has one of its own.
fn on_signal() {
    // SAFETY: initialises the semaphore, before anybody uses it: `arm` runs once.
    let ready = unsafe { libc::sem_init(ASKED.0.get().cast(), 0, 0) } == 0;
    if !ready || !start_thread() {
        return print_text("bucketmask: no thread to be had for reports on SIGUSR2\n");
    }
    // SAFETY: all zero is a valid action; reads and sets this signal's action.
    unsafe {
        let mut action: libc::sigaction = core::mem::zeroed();
        if libc::sigaction(libc::SIGUSR2, core::ptr::null(), &raw mut action) == 0
            && action.sa_sigaction == libc::SIG_DFL
        {
            let handler: extern "C" fn(c_int) = handle;
            action.sa_sigaction = handler as libc::sighandler_t;
            action.sa_flags = libc::SA_RESTART | libc::SA_ONSTACK;
            libc::sigaction(libc::SIGUSR2, &raw const action, core::ptr::null_mut());
        }
    }
}

/// Starts the thread that prints, with all signals blocked, so that the program's handlers never run in it.
fn start_thread() -> bool {
    // SAFETY: masks and attributes live here; the thread's function lives for ever.
    unsafe {
        let (mut all, mut before): (libc::sigset_t, libc::sigset_t) =
            (core::mem::zeroed(), core::mem::zeroed());
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
        let mut thread: libc::pthread_t = core::mem::zeroed();
        let started =
            libc::pthread_create(&raw mut thread, core::ptr::null(), wait_and_print, core::ptr::null_mut());
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, core::ptr::null_mut());
        started == 0 && libc::pthread_detach(thread) == 0
    }
}

extern "C" fn handle(_signal: c_int) {
    // SAFETY: initialised before this handler was installed; may be called in a handler.
    keeping_errno(|| unsafe { libc::sem_post(ASKED.0.get().cast()) });
}

extern "C" fn wait_and_print(_nothing: *mut c_void) -> *mut c_void {
    loop {
        // SAFETY: initialised before this thread was started.
        if unsafe { libc::sem_wait(ASKED.0.get().cast()) } == 0 {
            print("on SIGUSR2");
        }
    }
}

extern "C" fn at_exit() {
    print("at exit");
}

/// Makes a report and prints it.
fn print(when: &str) {
    // SAFETY: asks for a number.
    let process = unsafe { libc::getpid() };
    let text = format!("bucketmask report of process {process} {when}\n{}\n", Report::take());
    print_text(&text);
}

/// Writes to the file asked for, at its end, or to standard error.
fn print_text(text: &str) {
    let path = FILE.load(Ordering::Acquire);
    let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_APPEND | libc::O_CLOEXEC;
    // SAFETY: null, or a text that ends in 0 and is never freed.
    let file = if path.is_null() { -1 } else { unsafe { libc::open(path, flags, 0o644) } };
    let target = if file < 0 { 2 } else { file };
    let mut left = text.as_bytes();
    while !left.is_empty() {
        // SAFETY: writes bytes that live here.
        let written = unsafe { libc::write(target, left.as_ptr().cast(), left.len()) };
        match usize::try_from(written) {
            Ok(written @ 1..) => left = &left[written..],
            _ => break,
        }
    }
    if file >= 0 {
        // SAFETY: opened above.
        unsafe { libc::close(file) };
    }
}
