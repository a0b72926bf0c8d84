//! Writes the trace of this process, if the environment asks for one.
//!
//! Nothing of it is on the way of a malloc or free while nothing is recorded: a thread that records has a front that knows no
//! slots ([`RECORDED`](crate::heap::RECORDED)), so that all it asks for ends in the slow paths, which are hooked. There an event is put
//! together under one lock (or its bias), whose order is the trace's, and stored in mapped memory of the file. Frees are recorded before
//! they happen, mallocs after. Invariants: nothing here allocates or panics; a file that can't grow ends the recording with
//! a message and nothing else; a forked child does not record; a thread in the middle of an event records no other, so that
//! one in a signal's handler never waits for itself.
#![allow(unsafe_code)]

use core::ffi::{CStr, c_char};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, Ordering, compiler_fence};

use lock_api::RawMutex;

use super::bias::Bias;
use super::file::{File, WINDOW};
use super::format::{
    CHUNK, CHUNK_HEAD, COUNTS_AT, HEAD, Kind, MAGIC, Record, SEALED, SEALED_AT, SUM_AT, USED_AT, VERSION,
    checksum,
};
use crate::lock::{FutexMutex, wait_at_most};
use crate::report::request;
use crate::sys::{self, OS_PAGE, keeping_errno, residency};
use crate::thread::milliseconds;
use crate::{registry, slot};

/// The variable of the environment that names the file.
const VARIABLE: &CStr = c"BUCKETMASK_RECORD";

/// Of blocks from this size on it is told how much is in memory when they are freed or resized.
const LARGE: usize = 128 << 10;

/// Events between two looks at the clock.
const LOOKS: u32 = 16;

/// Whether this process records. Relaxed everywhere: who sees it late misses or tries an event, and the lock decides.
static ON: AtomicBool = AtomicBool::new(false);

/// The lock. Taken by [`taken`] only.
static TRACE: FutexMutex<State> = FutexMutex::new(State { trace: None, last: 0, turns: 0, earned: 0 });

/// Who works on the trace without the lock.
static BIAS: Bias = Bias::new();

/// Events in a row by which a thread earns the bias: taking it back costs as much as some dozens of them.
const TURNS: u32 = 500;

/// Milliseconds between two looks whether who has the bias is done.
const LOOK_AGAIN: u32 = 1;

/// What the lock guards.
struct State {
    trace: Option<Trace>,
    /// The thread that came last, and how often it came in a row.
    last: usize,
    turns: u32,
    /// The one that earned the bias; 0 if none did.
    earned: usize,
}

impl State {
    /// The thread `me` came, with the lock; it may get the bias.
    fn count(&mut self, me: usize) {
        self.turns = if self.last == me { self.turns + 1 } else { 0 };
        self.last = me;
        if self.turns >= TURNS && (self.earned == 0 || self.earned == me) {
            self.earned = me;
            self.turns = 0;
            BIAS.give(me);
        }
    }
}

/// The trace, with the lock, and nobody at work by the bias.
fn taken() -> lock_api::MutexGuard<'static, crate::lock::FutexLock, State> {
    let state = TRACE.lock();
    BIAS.revoke(|inside| keeping_errno(|| wait_at_most(inside, 1, Some(LOOK_AGAIN))));
    state
}

/// The file being written.
struct Trace {
    file: File,
    /// What is mapped of it, and where in the file that begins.
    window: NonNull<u8>,
    window_at: usize,
    /// The open chunk, in the window, and how many were begun.
    chunk: NonNull<u8>,
    chunks: u32,
    used: usize,
    /// The last address, thread and time (milliseconds since the start) in the chunk.
    address: u64,
    thread: u64,
    time: u64,
    /// On the clock of `milliseconds`.
    started: u64,
    /// Events before the clock is looked at.
    looks: u32,
    events: u64,
}

// SAFETY: the window is the trace's alone, which belongs to whoever holds the lock.
unsafe impl Send for Trace {}

/// Whether events are wanted.
#[inline(always)]
pub(crate) fn is_on() -> bool {
    ON.load(Ordering::Relaxed)
}

/// A thread got a block; null is none.
#[inline(always)]
pub(crate) fn made(block: *mut u8, size: usize, align: usize, zeroed: bool) {
    if is_on() && !block.is_null() {
        let kind = if zeroed { Kind::Zeroed } else { Kind::Malloc };
        record(kind, block, size, align);
    }
}

/// A thread is about to give a block of `size` bytes back.
#[inline(always)]
pub(crate) fn freed(block: *mut u8, size: usize) {
    if is_on() {
        record(Kind::Free, block, size, 1);
    }
}

/// A thread is about to resize a block of `size` bytes.
pub(crate) fn resizing(block: *mut u8, size: usize) {
    if is_on() {
        record(Kind::Resizing, block, size, 1);
    }
}

/// It did; the block is what it was if that failed.
pub(crate) fn resized(block: *mut u8, size: usize, align: usize) {
    if is_on() {
        record(Kind::Resized, block, size, align);
    }
}

/// The calling thread ends.
pub(crate) fn thread_ended() {
    if is_on() {
        record(Kind::End, core::ptr::null_mut(), 0, 1);
    }
}

#[cold]
#[inline(never)]
fn record(kind: Kind, block: *mut u8, size: usize, align: usize) {
    if slot::is_quiet() || registry::own_heap().is_some() {
        // In the middle of what is one event, or of a thread that was there before the recording.
        return;
    }
    quietly(|| store(kind, block, size, align));
}

/// Calls `work`, of which nothing is recorded that this thread does itself.
pub(crate) fn quietly<R>(work: impl FnOnce() -> R) -> R {
    let before = slot::is_quiet();
    slot::set_quiet(true);
    // A signal's handler finds the thread quiet wherever it comes in between.
    compiler_fence(Ordering::SeqCst);
    let result = work();
    compiler_fence(Ordering::SeqCst);
    slot::set_quiet(before);
    result
}

/// Puts an event into the trace.
fn store(kind: Kind, block: *mut u8, size: usize, align: usize) {
    let gone = matches!(kind, Kind::Free | Kind::Resizing);
    let touched = if gone && size >= LARGE { resident_pages(block as usize, size) } else { 0 };
    // SAFETY: tells the thread's own address.
    let me = unsafe { libc::pthread_self() } as usize;
    let add = |trace: &mut Option<Trace>| {
        let Some(open) = trace else { return };
        let part = if gone { touched } else { size };
        if !open.add(kind, block as usize as u64, part as u64, align, me as u64) {
            stop(trace.take(), "recording ended early: the file cannot grow");
        }
    };
    if BIAS.enter(me) {
        // SAFETY: by the bias this thread is at work alone until it leaves.
        add(unsafe { &mut (*TRACE.data_ptr()).trace });
        BIAS.leave();
    } else {
        let mut state = taken();
        add(&mut state.trace);
        state.count(me);
    }
}

/// OS pages of a block that are in memory.
fn resident_pages(block: usize, size: usize) -> usize {
    let (first, end) = (block / OS_PAGE, (block + size).div_ceil(OS_PAGE));
    let mut pages = 0;
    let mut states = [0; 512];
    for from in (first..end).step_by(states.len()) {
        let states = &mut states[..(end - from).min(512)];
        residency(from * OS_PAGE, states);
        pages += states.iter().filter(|&&state| state & 1 != 0).count();
    }
    pages
}

/// Begins to record if the environment asks for it. The calling thread has its heap, and the C library is ready.
pub(crate) fn start() {
    let Some(name) = request::variable(VARIABLE) else { return };
    let mut path = [0; libc::PATH_MAX as usize];
    if !expand(name, &mut path) {
        return sys::complain("the name in BUCKETMASK_RECORD is too long");
    }
    // SAFETY: the name ends in 0.
    match unsafe { Trace::create(path.as_ptr().cast()) } {
        Ok(None) => {}
        Ok(Some(trace)) => {
            taken().trace = Some(trace);
            ON.store(true, Ordering::Relaxed);
            registry::record_this_thread();
            // SAFETY: a function that lives for ever. Without it the trace ends as that of a crash does.
            unsafe { libc::atexit(at_exit) };
        }
        Err(why) => sys::complain(why),
    }
}

/// The name with `%p` replaced by the process's number, and a 0 behind it. `false`: it does not fit.
fn expand(name: &CStr, path: &mut [u8]) -> bool {
    // SAFETY: asks for a number.
    let process = unsafe { libc::getpid() }.unsigned_abs();
    let mut len = 0;
    let mut put = |byte: u8| {
        // The last place stays 0.
        if len + 1 < path.len() {
            path[len] = byte;
        }
        len += 1;
    };
    let mut bytes = name.to_bytes().iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        if byte == b'%' && bytes.next_if_eq(&b'p').is_some() {
            let mut place = 1;
            while process / place >= 10 {
                place *= 10;
            }
            while place > 0 {
                put(b'0' + (process / place % 10) as u8);
                place /= 10;
            }
        } else {
            put(byte);
        }
    }
    len < path.len()
}

extern "C" fn at_exit() {
    if slot::is_quiet() {
        // A handler of a signal ends the program, and the signal came in the middle of an event, whose lock nobody will let go.
        // What is stored is there, as after a crash.
        return ON.store(false, Ordering::Relaxed);
    }
    stop(taken().trace.take(), "");
}

/// Ends the recording, with a message unless it is empty.
fn stop(trace: Option<Trace>, why: &str) {
    ON.store(false, Ordering::Relaxed);
    let Some(mut trace) = trace else { return };
    keeping_errno(|| trace.close());
    if !why.is_empty() {
        sys::complain(why);
    }
}

/// Holds the lock over a fork.
pub(crate) fn lock() {
    core::mem::forget(taken());
}

/// Lets go of it again.
///
/// # Safety
/// Held since [`lock`].
pub(crate) unsafe fn unlock() {
    // SAFETY: by this function's contract.
    unsafe { TRACE.raw().unlock() };
}

/// In a forked child: the trace stays the parent's.
///
/// # Safety
/// The lock is held since [`lock`], in the parent, by the only thread.
pub(crate) unsafe fn forget() {
    ON.store(false, Ordering::Relaxed);
    // SAFETY: by this function's contract nobody else looks.
    let trace = unsafe { (*TRACE.data_ptr()).trace.take() };
    if let Some(trace) = trace {
        // SAFETY: mapped by `Trace`, of which nothing is left here.
        unsafe { sys::unmap(trace.window, WINDOW) };
        keeping_errno(|| trace.file.close());
    }
}

impl Trace {
    /// Makes the file and its first chunk; see [`File::create`].
    ///
    /// # Safety
    /// `path` ends in a 0.
    unsafe fn create(path: *const c_char) -> Result<Option<Self>, &'static str> {
        // SAFETY: by this function's contract.
        let Some(file) = (unsafe { File::create(path, &head())? }) else { return Ok(None) };
        let Some(window) = file.map(HEAD) else {
            file.close();
            return Err("the file of BUCKETMASK_RECORD cannot be written");
        };
        let mut trace = Self {
            file,
            window,
            window_at: HEAD,
            chunk: window,
            chunks: 0,
            used: 0,
            address: 0,
            thread: 0,
            time: 0,
            started: milliseconds(),
            looks: 0,
            events: 0,
        };
        trace.begin_chunk();
        Ok(Some(trace))
    }

    /// Adds an event of `thread`; `size` of a block that is freed or resized are the OS pages of it that are to be
    /// told of. `false`: the file can't grow.
    fn add(&mut self, kind: Kind, address: u64, size: u64, align: usize, thread: u64) -> bool {
        if CHUNK_HEAD + self.used + Record::MOST > CHUNK && !self.next_chunk() {
            return false;
        }
        // SAFETY: the chunk is mapped and this trace's alone, and has so much room.
        let room = unsafe {
            let at = self.chunk.as_ptr().add(CHUNK_HEAD + self.used);
            core::slice::from_raw_parts_mut(at, Record::MOST)
        };
        let mut record = Record::new(room);
        if thread != self.thread {
            record.tag(Kind::Thread);
            record.number(thread);
            self.thread = thread;
        }
        if self.looks == 0 {
            self.look_at_clock(&mut record);
        }
        self.looks -= 1;
        match kind {
            Kind::Malloc | Kind::Zeroed | Kind::Resized => {
                record.tag_aligned(kind, align);
                record.number(size);
                record.address(address, self.address);
                self.address = address;
            }
            Kind::Free | Kind::Resizing => {
                if size > 0 {
                    record.tag(Kind::Touched);
                    record.number(size);
                    record.address(address, self.address);
                    self.address = address;
                    self.events += 1;
                }
                record.tag(kind);
                record.address(address, self.address);
                self.address = address;
            }
            Kind::End | Kind::Thread | Kind::Time | Kind::Touched => record.tag(kind),
        }
        self.events += 1;
        self.used += record.len();
        // Whatever kills this process, the kernel finds in the file what was stored before: the records are told of last.
        compiler_fence(Ordering::Release);
        self.store(USED_AT, &(self.used as u32).to_le_bytes());
        true
    }

    #[cold]
    fn look_at_clock(&mut self, record: &mut Record<'_>) {
        self.looks = LOOKS;
        let now = self.now();
        if now > self.time {
            record.tag(Kind::Time);
            record.number(now - self.time);
            self.time = now;
        }
    }

    /// Milliseconds since the start.
    fn now(&self) -> u64 {
        milliseconds().saturating_sub(self.started)
    }

    #[cold]
    fn next_chunk(&mut self) -> bool {
        self.seal();
        let next = self.chunk.as_ptr() as usize - self.window.as_ptr() as usize + CHUNK;
        if next < WINDOW {
            // SAFETY: inside the window.
            self.chunk = unsafe { self.chunk.add(CHUNK) };
        } else {
            let Some(window) = keeping_errno(|| self.file.map(self.window_at + WINDOW)) else {
                // The chunk just sealed is the last.
                return false;
            };
            // SAFETY: mapped by `map`, and not used any more.
            keeping_errno(|| unsafe { sys::unmap(self.window, WINDOW) });
            self.window_at += WINDOW;
            (self.window, self.chunk) = (window, window);
        }
        self.begin_chunk();
        true
    }

    /// Writes the head of the open chunk, whose memory is zero.
    fn begin_chunk(&mut self) {
        self.time = self.now();
        self.chunks += 1;
        (self.used, self.address) = (0, 0);
        self.store(16, &self.time.to_le_bytes());
        self.store(24, &self.thread.to_le_bytes());
        // Last: a chunk without a number was never begun.
        self.store(0, &self.chunks.to_le_bytes());
    }

    /// Closes the open chunk with its checksum.
    fn seal(&mut self) {
        // SAFETY: a chunk is mapped, and nobody writes it meanwhile.
        let chunk = unsafe { core::slice::from_raw_parts(self.chunk.as_ptr(), CHUNK) };
        let sum = checksum(chunk, self.used).unwrap_or(0);
        self.store(SUM_AT, &sum.to_le_bytes());
        // Last, as in `add`: who is killed before leaves a chunk that is not sealed, and right.
        compiler_fence(Ordering::Release);
        self.store(SEALED_AT, &SEALED.to_le_bytes());
    }

    fn store(&mut self, at: usize, bytes: &[u8]) {
        // SAFETY: callers stay inside the chunk's head.
        unsafe { self.chunk.as_ptr().add(at).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    }

    /// Ends the trace in peace: its file is as long as what is in it.
    fn close(&mut self) {
        self.seal();
        let mut counts = [0; 16];
        counts[..8].copy_from_slice(&self.events.to_le_bytes());
        counts[8..].copy_from_slice(&u64::from(self.chunks).to_le_bytes());
        let end = HEAD + self.chunks as usize * CHUNK;
        // SAFETY: the window is not used any more.
        unsafe { sys::unmap(self.window, WINDOW) };
        self.file.end(end, COUNTS_AT, &counts);
    }
}

/// A trace's head, of a recording that has not ended.
fn head() -> [u8; COUNTS_AT] {
    let mut head = [0; COUNTS_AT];
    // SAFETY: ask for numbers; the argument may be null.
    let (process, started) = unsafe { (libc::getpid().unsigned_abs(), libc::time(core::ptr::null_mut())) };
    let started = u64::try_from(started).unwrap_or(0);
    head[..8].copy_from_slice(&MAGIC);
    head[8..12].copy_from_slice(&VERSION.to_le_bytes());
    head[12..16].copy_from_slice(&(CHUNK as u32).to_le_bytes());
    head[16..24].copy_from_slice(&u64::from(process).to_le_bytes());
    head[24..32].copy_from_slice(&started.to_le_bytes());
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(name: &CStr, room: usize) -> Option<String> {
        let mut path = vec![0; room];
        expand(name, &mut path)
            .then(|| CStr::from_bytes_until_nul(&path).unwrap().to_str().unwrap().to_owned())
    }

    #[test]
    fn a_name_gets_the_process_and_nothing_else() {
        let process = std::process::id();
        assert_eq!(expanded(c"trace", 100).unwrap(), "trace");
        assert_eq!(expanded(c"a%pb%p", 100).unwrap(), format!("a{process}b{process}"));
        assert_eq!(expanded(c"100%", 100).unwrap(), "100%");
        assert_eq!(expanded(c"%d%%p", 100).unwrap(), format!("%d%{process}"));
        assert_eq!(expanded(c"four", 5).unwrap(), "four");
        assert_eq!(expanded(c"four", 4), None);
    }
}
