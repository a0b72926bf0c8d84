//! The binary's global allocator: one of three, chosen by the environment, so that the same binary can be run on each.
//! The process owns it. Invariant: the choice is made at the first allocation and never changes, so every block goes back
//! to where it came from; all three pay the same one predictable branch.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU8, Ordering};

use bucketmask_alloc::BucketAlloc;

/// The environment variable that names the allocator: `bucketmask` (the default), `mimalloc` or `system`.
pub const VARIABLE: &str = "BUCKETMASK_ALLOCATOR";

const VARIABLE_C: &std::ffi::CStr = c"BUCKETMASK_ALLOCATOR";

/// Which allocator serves this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Choice {
    /// [`BucketAlloc`].
    Bucketmask = 1,
    /// mimalloc.
    Mimalloc = 2,
    /// The C library's.
    System = 3,
}

impl Choice {
    /// The name that [`VARIABLE`] takes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bucketmask => "bucketmask",
            Self::Mimalloc => "mimalloc",
            Self::System => "system",
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
}

impl Installed {
    /// An allocator that has not chosen yet.
    pub const fn new() -> Self {
        Self { choice: AtomicU8::new(0), bucketmask: BucketAlloc::new() }
    }

    /// Which allocator serves this process.
    #[inline]
    pub fn choice(&self) -> Choice {
        match self.choice.load(Ordering::Relaxed) {
            1 => Choice::Bucketmask,
            2 => Choice::Mimalloc,
            3 => Choice::System,
            _ => self.choose(),
        }
    }

    /// The bucket allocator itself, for its report.
    pub fn bucketmask(&self) -> &BucketAlloc {
        &self.bucketmask
    }

    #[cold]
    fn choose(&self) -> Choice {
        // SAFETY: the name is NUL-terminated; the first allocation comes before `main`, when no thread changes the
        // environment; the answer is only read here.
        let choice = unsafe {
            let value = libc::getenv(VARIABLE_C.as_ptr());
            let is = |name: &std::ffi::CStr| !value.is_null() && libc::strcmp(value, name.as_ptr()) == 0;
            if is(c"mimalloc") {
                Choice::Mimalloc
            } else if is(c"system") {
                Choice::System
            } else {
                Choice::Bucketmask
            }
        };
        self.choice.store(choice as u8, Ordering::Relaxed);
        choice
    }
}

impl Default for Installed {
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY: each method passes its arguments on to one allocator, and the choice never changes after the first call, so a
// block is resized and freed by the allocator that made it; each of the three keeps GlobalAlloc's contract (mimalloc's
// `*_aligned` functions take any size and any power-of-two alignment and return null when out of memory).
unsafe impl GlobalAlloc for Installed {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's contract for `layout` is the callee's.
        unsafe {
            match self.choice() {
                Choice::Bucketmask => self.bucketmask.alloc(layout),
                Choice::Mimalloc => libmimalloc_sys::mi_malloc_aligned(layout.size(), layout.align()).cast(),
                Choice::System => System.alloc(layout),
            }
        }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's contract for `layout` is the callee's.
        unsafe {
            match self.choice() {
                Choice::Bucketmask => self.bucketmask.alloc_zeroed(layout),
                Choice::Mimalloc => libmimalloc_sys::mi_zalloc_aligned(layout.size(), layout.align()).cast(),
                Choice::System => System.alloc_zeroed(layout),
            }
        }
    }

    #[inline]
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller says that this allocator made `ptr` with `layout`; so did the chosen one.
        unsafe {
            match self.choice() {
                Choice::Bucketmask => self.bucketmask.dealloc(ptr, layout),
                Choice::Mimalloc => libmimalloc_sys::mi_free(ptr.cast()),
                Choice::System => System.dealloc(ptr, layout),
            }
        }
    }

    #[inline]
    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller says that this allocator made `ptr` with `layout`; so did the chosen one.
        unsafe {
            match self.choice() {
                Choice::Bucketmask => self.bucketmask.realloc(ptr, layout, new_size),
                Choice::Mimalloc => {
                    libmimalloc_sys::mi_realloc_aligned(ptr.cast(), new_size, layout.align()).cast()
                }
                Choice::System => System.realloc(ptr, layout, new_size),
            }
        }
    }
}
