//! What is done when the library is loaded: what the environment asks of the allocator.
//!
//! Invariant: it runs as the library's constructor, behind those of the C library, which is ready by then to start a
//! thread or to register a handler; mallocs that came before needed none of it.
#![allow(unsafe_code)]

use bucketmask_alloc::BucketAlloc;

// SAFETY: the section holds addresses of functions like this one, which the loader calls once.
#[used]
#[unsafe(link_section = ".init_array")]
static AT_LOAD: extern "C" fn() = at_load;

extern "C" fn at_load() {
    BucketAlloc.report_on_request();
}
