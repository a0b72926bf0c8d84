//! The one thread that writes what the others have to tell: its life, its sleep, and the lines it makes.
//!
//! Owned by the sources: the allocator's and the collector's, which say how their events become lines. Made when the first source
//! asks for it, it lives to the end of the process, and is not there in the child of a fork. Invariants: it allocates nothing, so
//! that what it writes about is not its own; an event that was announced is looked at.
//!
//! ```text
//! AWAKE    looks once a millisecond, at once where it found much; nothing for a while:
//! ASLEEP   says so, looks once more, sleeps until an event is announced
//! ```
#![allow(unsafe_code)]

use core::ffi::c_void;
use core::fmt;
use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering, fence};

use crate::lock::{wait_at_most, wake_one};
use crate::{sys, thread};

/// Nobody asked for the thread.
const NONE: u32 = 0;
/// The thread looks by itself.
const AWAKE: u32 = 1;
/// The thread waits to be told.
const ASLEEP: u32 = 2;
/// No thread was to be had, or it was left behind at a fork.
const GONE: u32 = 3;

static STATE: AtomicU32 = AtomicU32::new(NONE);

/// Bytes of the thread's stack: the buffer of its lines, and what formats them.
const STACK: usize = 256 * 1024;
/// Looks without an event after which it sleeps.
const CALM: u32 = 20;
/// So many events at one look, and it looks again at once.
const BUSY: usize = 256;
/// How long, in milliseconds, a process that ends waits for its events to be written.
const PATIENCE: u32 = 500;

/// Who has events written.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    /// Has the events that are there written as lines; how many there were. Nothing if another thread is at it.
    pub pump: fn(&mut Lines) -> usize,
    /// Whether there are none.
    pub is_written: fn() -> bool,
}

/// The sources, each set once: a `Source` that lives for ever, or null.
static SOURCES: [AtomicPtr<Source>; 2] = [const { AtomicPtr::new(core::ptr::null_mut()) }; 2];

fn sources() -> impl Iterator<Item = &'static Source> {
    // Acquire pairs with the release in `serve`.
    // SAFETY: null, or a source that lives for ever.
    SOURCES.iter().filter_map(|source| unsafe { source.load(Ordering::Acquire).as_ref() })
}

/// Has the events of a source written from here on, by the thread, which is made now if need be. `false`: there is none.
/// Call where the allocator is in the middle of nothing: making a thread may allocate.
pub fn serve(source: &'static Source) -> bool {
    let own = core::ptr::from_ref(source).cast_mut();
    let null = core::ptr::null_mut();
    SOURCES.iter().any(|place| {
        // Release pairs with the acquire in `sources`.
        place.compare_exchange(null, own, Ordering::Release, Ordering::Relaxed).is_ok_and(|_| true)
    });
    if STATE.compare_exchange(NONE, AWAKE, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
        sys::keeping_errno(|| {
            if !thread::start(STACK, run) {
                STATE.store(GONE, Ordering::Relaxed);
            }
            // SAFETY: a function that lives for ever. Where it can't be registered, the last events may be lost.
            unsafe { libc::atexit(at_exit) };
        });
    }
    is_there()
}

/// Whether there is the thread.
pub fn is_there() -> bool {
    !matches!(STATE.load(Ordering::Relaxed), NONE | GONE)
}

/// Says that an event was sent. Wakes the thread if it sleeps.
#[inline]
pub fn announce() {
    // The event is sent before the state is looked at, and the thread says that it sleeps before it looks for events: with
    // the fence there one of the two sees the other.
    fence(Ordering::SeqCst);
    if STATE.load(Ordering::Relaxed) == ASLEEP {
        wake();
    }
}

#[cold]
fn wake() {
    if STATE.compare_exchange(ASLEEP, AWAKE, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
        sys::keeping_errno(|| wake_one(&STATE));
    }
}

/// In a child after a fork: the thread was left behind.
pub(crate) fn forget() {
    if is_there() {
        STATE.store(GONE, Ordering::Relaxed);
    }
}

/// The thread.
extern "C" fn run(_: *mut c_void) -> *mut c_void {
    thread::name(c"bucketmask-trace");
    let mut lines = Lines::new();
    let mut calm = 0;
    loop {
        let count = pump(&mut lines);
        calm = if count > 0 { 0 } else { calm + 1 };
        if count >= BUSY {
            continue;
        }
        if calm < CALM {
            thread::sleep(1);
            continue;
        }
        STATE.store(ASLEEP, Ordering::Relaxed);
        // See `announce`.
        fence(Ordering::SeqCst);
        if pump(&mut lines) == 0 {
            wait_at_most(&STATE, ASLEEP, None);
        }
        STATE.store(AWAKE, Ordering::Relaxed);
        calm = 0;
    }
}

fn pump(lines: &mut Lines) -> usize {
    let count = sources().map(|source| (source.pump)(lines)).sum();
    lines.flush();
    count
}

/// Waits for what was sent, but not for ever.
extern "C" fn at_exit() {
    super::mem::at_exit();
    for _ in 0..PATIENCE {
        if !is_there() || sources().all(|source| (source.is_written)()) {
            return;
        }
        announce();
        thread::sleep(1);
    }
}

/// Lines on their way to standard error, in pieces that end with a line. What standard error does not take is lost.
pub struct Lines {
    buffer: [u8; 16 * 1024],
    /// Bytes of the buffer that hold something, and those of them that end with a whole line.
    len: usize,
    whole: usize,
}

impl Lines {
    fn new() -> Self {
        Self { buffer: [0; 16 * 1024], len: 0, whole: 0 }
    }

    /// Writes what is there. Errors and lines longer than the buffer are passed over.
    fn flush(&mut self) {
        let whole = if self.whole > 0 { self.whole } else { self.len };
        let mut left = &self.buffer[..whole];
        while !left.is_empty() {
            // SAFETY: writes bytes that live here.
            let written = unsafe { libc::write(2, left.as_ptr().cast(), left.len()) };
            match usize::try_from(written) {
                Ok(written @ 1..) => left = &left[written..],
                _ => break,
            }
        }
        self.buffer.copy_within(whole..self.len, 0);
        (self.len, self.whole) = (self.len - whole, 0);
    }
}

impl fmt::Write for Lines {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut left = text.as_bytes();
        while !left.is_empty() {
            if self.len == self.buffer.len() {
                self.flush();
            }
            let (now, later) = left.split_at(left.len().min(self.buffer.len() - self.len));
            self.buffer[self.len..self.len + now.len()].copy_from_slice(now);
            if let Some(end) = now.iter().rposition(|&byte| byte == b'\n') {
                self.whole = self.len + end + 1;
            }
            self.len += now.len();
            left = later;
        }
        Ok(())
    }
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines").field("len", &self.len).finish_non_exhaustive()
    }
}
