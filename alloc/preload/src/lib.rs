//! The C library's malloc family, served by [`bucketmask_alloc`], as a library for `LD_PRELOAD`:
//!
//! ```sh
//! LD_PRELOAD=target/release/libbucketmask_preload.so python3 program.py
//! ```
//!
//! `family` is the functions that programs call every day, `request` what sizes and alignments they may ask
//! for, `inquiry` the ones that ask about memory or give it back, `load` what is done when the library is
//! loaded. All of them do as glibc's do, where the standards leave it open as well: `malloc(0)` is a block,
//! `realloc(block, 0)` frees. What only glibc has under names with `__libc_` stays glibc's.
//!
//! What a library under every program has to mind:
//!
//! - The dynamic loader calls malloc before `main`, before this library's constructors, and while threads
//!   are being made. Nothing here needs to be set up first: the allocator's state starts as zeroed memory.
//! - A thread's heap is found by an initial-exec thread-local (the feature `initial-exec` of the allocator),
//!   because `__tls_get_addr` may call malloc. mimalloc's own are of that kind as well.
//! - `errno` is what it was before, except where a function of the family has to say `ENOMEM` or `EINVAL`.
//! - The library's own Rust code allocates here too, and nothing else of it is exported.
//!
//! Invariant: no function unwinds into its caller; a panic, which would be a fault of ours, ends the process.
//! The library is for Linux with glibc; elsewhere it is empty.

#![cfg(all(target_os = "linux", target_env = "gnu"))]
#![deny(unsafe_code)]

pub mod family;
pub mod inquiry;
mod load;
mod own;
mod request;

/// What this library's own code allocates with.
#[global_allocator]
static OWN: own::Own = own::Own;
