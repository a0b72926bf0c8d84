//! The binary's global allocator: one of several, chosen by the environment, so that the same binary can be run on each.
//! The process owns it. Invariant: the choice is made at the first allocation and never changes, so every block goes back
//! to where it came from; all pay the same one predictable jump. Workloads that measure an allocator's fast path are compiled
//! for it (`peer.rs`) and pay none; whole programs run on this.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU8, Ordering};

use bucketmask_alloc::BucketAlloc;
use count::Counts;
pub use count::Held;
use serde::{Deserialize, Serialize};

#[cfg(feature = "snmalloc")]
use crate::peer::SnMalloc;
use crate::peer::{Jemalloc, Mimalloc};

mod count;

/// The environment variable that names the allocator: one of [`Choice::ALL`], bucketmask by default.
pub const VARIABLE: &str = "BUCKETMASK_ALLOCATOR";

const VARIABLE_C: &std::ffi::CStr = c"BUCKETMASK_ALLOCATOR";

/// Which allocator serves this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum Choice {
    /// [`BucketAlloc`].
    Bucketmask = 1,
    /// mimalloc.
    Mimalloc = 2,
    /// The C library's.
    System = 3,
    /// jemalloc.
    Jemalloc = 4,
    /// snmalloc.
    #[cfg(feature = "snmalloc")]
    Snmalloc = 5,
}

impl Choice {
    /// All that are in this binary, ours first.
    pub const ALL: &[Self] = &[
        Self::Bucketmask,
        Self::Mimalloc,
        Self::Jemalloc,
        Self::System,
        #[cfg(feature = "snmalloc")]
        Self::Snmalloc,
    ];

    /// The one whose number it is.
    #[inline]
    const fn of(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Bucketmask),
            2 => Some(Self::Mimalloc),
            3 => Some(Self::System),
            4 => Some(Self::Jemalloc),
            #[cfg(feature = "snmalloc")]
            5 => Some(Self::Snmalloc),
            _ => None,
        }
    }

    /// The name that [`VARIABLE`] takes and figures carry.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bucketmask => "bucketmask",
            Self::Mimalloc => "mimalloc",
            Self::System => "system",
            Self::Jemalloc => "jemalloc",
            #[cfg(feature = "snmalloc")]
            Self::Snmalloc => "snmalloc",
        }
    }

    const fn name_c(self) -> &'static std::ffi::CStr {
        match self {
            Self::Bucketmask => c"bucketmask",
            Self::Mimalloc => c"mimalloc",
            Self::System => c"system",
            Self::Jemalloc => c"jemalloc",
            #[cfg(feature = "snmalloc")]
            Self::Snmalloc => c"snmalloc",
        }
    }
}

/// The dispatching allocator.
#[derive(Debug)]
pub struct Installed {
    /// A [`Choice`], or 0 before the first allocation. Relaxed: every thread that finds 0 computes the same value from an
    /// environment that nobody has changed yet, so no other memory is published through it.
    choice: AtomicU8,
    bucketmask: BucketAlloc,
    counts: Counts,
}

/// Added to the choice while requests are counted, so that who does not count pays nothing for it.
const COUNTING: u8 = 0x80;

impl Installed {
    /// An allocator that has not chosen yet.
    pub const fn new() -> Self {
        Self { choice: AtomicU8::new(0), bucketmask: BucketAlloc::new(), counts: Counts::new() }
    }

    /// Which allocator serves this process.
    #[inline]
    pub fn choice(&self) -> Choice {
        self.choice_for(0)
    }

    /// The same, for a request that changes what is held by so many bytes.
    #[inline]
    fn choice_for(&self, bytes: isize) -> Choice {
        Choice::of(self.choice.load(Ordering::Relaxed)).unwrap_or_else(|| self.count_or_choose(bytes))
    }

    /// Starts to count what is asked for, from nothing, or stops. Blocks made before and freed meanwhile count less than
    /// nothing; who counts makes what it counts, and lets no other thread allocate.
    pub fn count(&self, on: bool) {
        let choice = self.choice() as u8;
        self.counts.reset();
        self.choice.store(if on { choice | COUNTING } else { choice }, Ordering::Relaxed);
    }

    /// What is held of what was asked for since counting began.
    pub fn held(&self) -> Held {
        self.counts.held()
    }

    /// The bucket allocator itself, for its report.
    pub fn bucketmask(&self) -> &BucketAlloc {
        &self.bucketmask
    }

    #[cold]
    fn count_or_choose(&self, bytes: isize) -> Choice {
        if let Some(choice) = Choice::of(self.choice.load(Ordering::Relaxed) & !COUNTING) {
            self.counts.change(bytes);
            return choice;
        }
        let mut choice = Choice::Bucketmask;
        // SAFETY: the name is NUL-terminated; the first allocation comes before `main`, when no thread changes the
        // environment.
        let value = unsafe { libc::getenv(VARIABLE_C.as_ptr()) };
        for &other in Choice::ALL {
            // SAFETY: both are NUL-terminated strings that are only read here.
            if !value.is_null() && unsafe { libc::strcmp(value, other.name_c().as_ptr()) } == 0 {
                choice = other;
            }
        }
        self.choice.store(choice as u8, Ordering::Relaxed);
        choice
    }
}

impl Default for Installed {
    fn default() -> Self {
        Self::new()
    }
}

/// Calls a method of the allocator that serves this process; so many more bytes are held then.
macro_rules! chosen {
    ($self:ident.$method:ident($($argument:expr),*), $bytes:expr) => {
        match $self.choice_for($bytes) {
            Choice::Bucketmask => $self.bucketmask.$method($($argument),*),
            Choice::Mimalloc => Mimalloc.$method($($argument),*),
            Choice::System => System.$method($($argument),*),
            Choice::Jemalloc => Jemalloc.$method($($argument),*),
            #[cfg(feature = "snmalloc")]
            Choice::Snmalloc => SnMalloc.$method($($argument),*),
        }
    };
}

/// The size of a block, which no allocator lets pass `isize::MAX`.
#[inline]
const fn bytes(layout: Layout) -> isize {
    layout.size().cast_signed()
}

// SAFETY: each method passes its arguments on to one allocator, and the choice never changes after the first call, so a
// block is resized and freed by the allocator that made it; each of them keeps GlobalAlloc's contract.
unsafe impl GlobalAlloc for Installed {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's contract for `layout` is the callee's.
        unsafe { chosen!(self.alloc(layout), bytes(layout)) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's contract for `layout` is the callee's.
        unsafe { chosen!(self.alloc_zeroed(layout), bytes(layout)) }
    }

    #[inline]
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller says that this allocator made `ptr` with `layout`; so did the chosen one.
        unsafe { chosen!(self.dealloc(ptr, layout), -bytes(layout)) }
    }

    #[inline]
    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller says that this allocator made `ptr` with `layout`; so did the chosen one.
        unsafe { chosen!(self.realloc(ptr, layout, new_size), new_size.cast_signed() - bytes(layout)) }
    }
}
