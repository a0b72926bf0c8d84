//! The file that a trace goes to: made, mapped a window at a time, ended.
//!
//! Owned by the recorder. A program may close a descriptor that it does not know, or open a file of its own under its number, as
//! shells do. Invariants: the descriptor is used only while it names the file that was made; no call here raises a signal.
#![allow(unsafe_code)]

use core::ffi::{c_char, c_int};
use core::ptr::NonNull;

use super::format::{CHUNK, HEAD};
use crate::sys;

/// Bytes of the file that are mapped at a time, whole chunks.
pub(super) const WINDOW: usize = 16 * CHUNK;

/// Numbers from which on the descriptor is looked for a place, where programs seldom open files by number.
const HIGH: [c_int; 2] = [1000, 100];

/// Times that what makes the file grow is tried anew when a signal ended it.
const TRIES: usize = 1000;

/// See the module.
pub(super) struct File {
    descriptor: c_int,
    /// Device and number of the file.
    identity: (libc::dev_t, libc::ino_t),
}

impl File {
    /// Makes the file, with a head; an old one is overwritten. `None`: another process is recording into it, most likely this
    /// one's parent, whose environment it has.
    ///
    /// # Safety
    /// `path` ends in a 0.
    pub(super) unsafe fn create(path: *const c_char, head: &[u8]) -> Result<Option<Self>, &'static str> {
        let flags = libc::O_RDWR | libc::O_CREAT | libc::O_CLOEXEC;
        // SAFETY: by this function's contract.
        let descriptor = raise(unsafe { libc::open(path, flags, 0o644) });
        let Some(identity) = identity(descriptor) else {
            return Err("the file of BUCKETMASK_RECORD cannot be made");
        };
        let file = Self { descriptor, identity };
        // SAFETY: opened above; the call touches no memory. The lock goes with the file's last descriptor.
        let mine = unsafe { libc::flock(descriptor, libc::LOCK_EX | libc::LOCK_NB) == 0 };
        // SAFETY: the file is this process's; writes bytes that are lent.
        let written = mine
            && may_have(HEAD)
            && unsafe {
                libc::ftruncate(descriptor, 0) == 0
                    && libc::pwrite(descriptor, head.as_ptr().cast(), head.len(), 0) > 0
            };
        if written {
            return Ok(Some(file));
        }
        file.close();
        if mine { Err("the file of BUCKETMASK_RECORD cannot be written") } else { Ok(None) }
    }

    /// The next window of the file, zeroed, with memory of the file system's behind it: a full disk is found here and not
    /// when an event is stored.
    pub(super) fn map(&self, at: usize) -> Option<NonNull<u8>> {
        if !self.is_open() || !may_have(at + WINDOW) || !self.grow(offset(at)) {
            return None;
        }
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: maps a file of ours shared, at no particular address.
        let memory = unsafe {
            libc::mmap(core::ptr::null_mut(), WINDOW, access, libc::MAP_SHARED, self.descriptor, offset(at))
        };
        if memory == libc::MAP_FAILED { None } else { NonNull::new(memory.cast()) }
    }

    /// Ends the file behind `len` bytes, puts `bytes` at `at`, and closes it. What fails leaves the file of a crash.
    pub(super) fn end(&self, len: usize, at: usize, bytes: &[u8]) {
        if self.is_open() && may_have(HEAD) {
            // SAFETY: a file of ours; writes bytes that are lent.
            unsafe {
                libc::ftruncate(self.descriptor, offset(len));
                libc::pwrite(self.descriptor, bytes.as_ptr().cast(), bytes.len(), offset(at));
            }
        }
        self.close();
    }

    /// Closes it, unless the program did.
    pub(super) fn close(&self) {
        if self.is_open() {
            // SAFETY: opened by `create`.
            unsafe { libc::close(self.descriptor) };
        }
    }

    /// Whether the descriptor is the file's still.
    fn is_open(&self) -> bool {
        identity(self.descriptor) == Some(self.identity)
    }

    /// Gives the file a window of blocks from `at` on.
    #[cfg(target_os = "linux")]
    fn grow(&self, at: libc::off_t) -> bool {
        // SAFETY: reads and writes no memory. The C library writes zeros where the file system has no such call.
        let grow = || unsafe { libc::posix_fallocate(self.descriptor, at, offset(WINDOW)) };
        (0..TRIES).map(|_| grow()).find(|&error| error != libc::EINTR) == Some(0)
    }

    #[cfg(not(target_os = "linux"))]
    fn grow(&self, at: libc::off_t) -> bool {
        // SAFETY: reads and writes no memory.
        (0..TRIES).any(|_| unsafe { libc::ftruncate(self.descriptor, at + offset(WINDOW)) == 0 })
    }
}

/// The descriptor under a high number, if there is one; as it is else.
fn raise(descriptor: c_int) -> c_int {
    // SAFETY: makes a second descriptor of an open file, or none.
    let duplicate = |least: c_int| unsafe { libc::fcntl(descriptor, libc::F_DUPFD_CLOEXEC, least) };
    let Some(high) = HIGH.into_iter().map(duplicate).find(|&high| high >= 0) else { return descriptor };
    // SAFETY: the caller's, who uses the other one.
    unsafe { libc::close(descriptor) };
    high
}

/// Device and number of an open file.
fn identity(descriptor: c_int) -> Option<(libc::dev_t, libc::ino_t)> {
    // SAFETY: all zero is a valid value; the call writes it.
    unsafe {
        let mut about: libc::stat = core::mem::zeroed();
        (libc::fstat(descriptor, &raw mut about) == 0).then_some((about.st_dev, about.st_ino))
    }
}

/// Whether the process may have a file of that many bytes: a signal ends who tries it and may not.
fn may_have(bytes: usize) -> bool {
    sys::file_limit().is_none_or(|most| bytes as u64 <= most)
}

/// A place in a file, as the kernel takes it.
fn offset(at: usize) -> libc::off_t {
    libc::off_t::try_from(at).unwrap_or(libc::off_t::MAX)
}
