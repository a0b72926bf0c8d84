//! The allocators that are compared, each as a type, so that a workload compiled for one pays no dispatch and gets whatever
//! its allocator inlines. Values without content. Invariant: each type is its allocator as a Rust program installs it, at
//! its defaults; where two ways lead to the same memory, the peer is given the faster one.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::BTreeMap;

use bucketmask_alloc::BucketAlloc;
#[cfg(feature = "snmalloc")]
pub use snmalloc_rs::SnMalloc;
pub use tikv_jemallocator::Jemalloc;

use crate::installed::Choice;

/// An allocator under comparison.
pub trait Peer: GlobalAlloc + Copy + Send + Sync + 'static {
    /// Which one it is.
    const CHOICE: Choice;
}

impl Peer for BucketAlloc {
    const CHOICE: Choice = Choice::Bucketmask;
}

impl Peer for Mimalloc {
    const CHOICE: Choice = Choice::Mimalloc;
}

impl Peer for Jemalloc {
    const CHOICE: Choice = Choice::Jemalloc;
}

impl Peer for System {
    const CHOICE: Choice = Choice::System;
}

#[cfg(feature = "snmalloc")]
impl Peer for SnMalloc {
    const CHOICE: Choice = Choice::Snmalloc;
}

/// mimalloc v3.
///
/// The crate of this name calls the `aligned` functions whatever the alignment; here a request of ordinary alignment
/// takes the plain ones, which are faster.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mimalloc;

/// Whether mimalloc's plain functions align a block of `size` bytes well enough: to 16 from 16 bytes up, to 8 below.
#[inline(always)]
const fn plain(layout: Layout) -> bool {
    layout.align() <= 8 || (layout.align() <= 16 && layout.size() >= 16)
}

// SAFETY: mimalloc's blocks are disjoint, as large as asked for and aligned as `plain` says, or as the `aligned` functions
// promise for any power of two; null when out of memory; its functions do not unwind.
unsafe impl GlobalAlloc for Mimalloc {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: any size and any power-of-two alignment may be asked for.
        unsafe {
            if plain(layout) {
                libmimalloc_sys::mi_malloc(layout.size()).cast()
            } else {
                libmimalloc_sys::mi_malloc_aligned(layout.size(), layout.align()).cast()
            }
        }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as in `alloc`.
        unsafe {
            if plain(layout) {
                libmimalloc_sys::mi_zalloc(layout.size()).cast()
            } else {
                libmimalloc_sys::mi_zalloc_aligned(layout.size(), layout.align()).cast()
            }
        }
    }

    #[inline]
    unsafe fn dealloc(&self, ptr: *mut u8, _layout: Layout) {
        // SAFETY: the caller says that this allocator made `ptr`.
        unsafe { libmimalloc_sys::mi_free(ptr.cast()) }
    }

    #[inline]
    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller says that this allocator made `ptr` and that `new_size` fits the alignment.
        unsafe {
            if plain(Layout::from_size_align_unchecked(new_size, layout.align())) && plain(layout) {
                libmimalloc_sys::mi_realloc(ptr.cast(), new_size).cast()
            } else {
                libmimalloc_sys::mi_realloc_aligned(ptr.cast(), new_size, layout.align()).cast()
            }
        }
    }
}

/// The allocators in this binary, by name, and what they call their version.
pub fn versions() -> BTreeMap<String, String> {
    let version = |choice: Choice| match choice {
        Choice::Bucketmask => env!("CARGO_PKG_VERSION").into(),
        Choice::Mimalloc => mimalloc_version(),
        Choice::Jemalloc => jemalloc_version(),
        Choice::System => system_version(),
        #[cfg(feature = "snmalloc")]
        Choice::Snmalloc => "as in the crate snmalloc-rs".into(),
    };
    Choice::ALL.iter().map(|&choice| (choice.name().into(), version(choice))).collect()
}

/// Major, minor and patch, of mimalloc's one number (3.2.8 reads 30208; before 3.0, 2.1.0 read 210).
fn mimalloc_version() -> String {
    // SAFETY: mimalloc is linked into this binary.
    let number = unsafe { libmimalloc_sys::mi_version() };
    let digit = |place: i32| number / place % 100;
    if number >= 10_000 {
        format!("{}.{}.{}", digit(10_000), digit(100), digit(1))
    } else {
        format!("{}.{}", number / 100, number % 100)
    }
}

fn jemalloc_version() -> String {
    let mut text: *const libc::c_char = std::ptr::null();
    let mut len = size_of::<*const libc::c_char>();
    // SAFETY: "version" is read as one pointer to a string that lives as long as the program; `len` is that pointer's size.
    unsafe {
        let place = (&raw mut text).cast();
        let failed =
            tikv_jemalloc_sys::mallctl(c"version".as_ptr(), place, &raw mut len, std::ptr::null_mut(), 0);
        if failed != 0 || text.is_null() {
            return String::new();
        }
        std::ffi::CStr::from_ptr(text).to_string_lossy().into_owned()
    }
}

#[cfg(target_env = "gnu")]
fn system_version() -> String {
    // SAFETY: glibc's answer is a string that lives as long as the program.
    let version = unsafe { std::ffi::CStr::from_ptr(libc::gnu_get_libc_version()) };
    format!("glibc {}", version.to_string_lossy())
}

#[cfg(not(target_env = "gnu"))]
fn system_version() -> String {
    String::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mimalloc_is_version_3() {
        assert!(mimalloc_version().starts_with("3."), "{}", mimalloc_version());
    }

    #[test]
    fn jemalloc_and_the_system_say_their_version() {
        assert!(jemalloc_version().starts_with('5'), "{}", jemalloc_version());
        assert!(cfg!(not(target_env = "gnu")) || system_version().starts_with("glibc 2."));
    }

    fn keeps_the_contract<A: Peer>(allocator: A) {
        for align in (0..=13).map(|shift| 1_usize << shift) {
            for size in [1, 8, 15, 16, 24, 100, 1000, 5000, 40_000] {
                let layout = Layout::from_size_align(size, align).unwrap();
                // SAFETY: the layout is of a size above 0; the block is written within its size and freed once.
                unsafe {
                    let ptr = allocator.alloc(layout);
                    assert_eq!(ptr as usize % align, 0, "{:?} {layout:?}", A::CHOICE);
                    ptr.write_bytes(7, size);
                    let ptr = allocator.realloc(ptr, layout, 3 * size);
                    assert_eq!(ptr as usize % align, 0, "{:?} {layout:?} grown", A::CHOICE);
                    assert_eq!((ptr.read(), ptr.add(size - 1).read()), (7, 7));
                    allocator.dealloc(ptr, Layout::from_size_align(3 * size, align).unwrap());
                    let ptr = allocator.alloc_zeroed(layout);
                    assert_eq!(ptr as usize % align, 0, "{:?} {layout:?} zeroed", A::CHOICE);
                    assert_eq!((ptr.read(), ptr.add(size - 1).read()), (0, 0));
                    allocator.dealloc(ptr, layout);
                }
            }
        }
    }

    #[test]
    fn every_allocator_aligns_and_zeroes() {
        keeps_the_contract(BucketAlloc::new());
        keeps_the_contract(Mimalloc);
        keeps_the_contract(Jemalloc);
        keeps_the_contract(System);
        #[cfg(feature = "snmalloc")]
        keeps_the_contract(SnMalloc);
    }
}
