//! What is done when the library is loaded: what the environment asks of the allocator, and what a program that
//! does not know of it must not notice.
//!
//! Invariant: it runs as the library's constructor, behind those of the C library, which is ready by then to start a
//! thread or to register a handler; mallocs that came before needed none of it.
#![allow(unsafe_code)]

use bucketmask_alloc::{BucketAlloc, raw};

// SAFETY: the section holds addresses of functions like this one, which the loader calls once.
#[used]
#[unsafe(link_section = ".init_array")]
static AT_LOAD: extern "C" fn() = at_load;

extern "C" fn at_load() {
    raw::stay_alone_while(is_alone);
    BucketAlloc.report_on_request();
}

/// Whether the program has but one thread, as far as the C library knows. A second one changes what a process
/// may do (enter a user namespace), what it is told (Python's warning about forks) and what it costs (locks
/// that the C library leaves out).
fn is_alone() -> bool {
    unsafe extern "C" {
        /// Of the C library since 2.32: not 0 while no thread was made.
        static __libc_single_threaded: core::ffi::c_char;
    }
    // SAFETY: a byte of the C library's, which only thread creation and its end write.
    unsafe { (&raw const __libc_single_threaded).read_volatile() != 0 }
}
