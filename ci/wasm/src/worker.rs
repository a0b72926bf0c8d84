//! What a worker is made of: its stack and its thread-locals; and what it asks of the host.
//!
//! Invariant: memory of a worker is never given back, since std has no thread exit on this target.

use std::alloc::{Layout, alloc_zeroed, handle_alloc_error};

#[link(wasm_import_module = "host")]
unsafe extern "C" {
    fn say(text: *const u8, len: usize);
    fn figure(text: *const u8, len: usize);
    fn nanoseconds() -> u64;
}

/// Called once, by the first instance: panics are told to the host.
#[unsafe(no_mangle)]
extern "C" fn begin() {
    std::panic::set_hook(Box::new(|info| tell(&info.to_string())));
}

/// Memory for a worker's stack or thread-locals.
#[unsafe(no_mangle)]
extern "C" fn reserve(size: usize, align: usize) -> *mut u8 {
    let layout = Layout::from_size_align(size.max(1), align.max(1)).expect("a block within the memory");
    // SAFETY: not empty.
    let block = unsafe { alloc_zeroed(layout) };
    if block.is_null() {
        handle_alloc_error(layout);
    }
    block
}

/// Says a line.
pub(crate) fn tell(text: &str) {
    // SAFETY: the host copies so many bytes.
    unsafe { say(text.as_ptr(), text.len()) }
}

/// Hands a figure over, one JSON object.
pub(crate) fn record(json: &str) {
    // SAFETY: as above.
    unsafe { figure(json.as_ptr(), json.len()) }
}

/// The host's clock, the same for all workers.
pub(crate) fn now() -> u64 {
    // SAFETY: takes nothing and gives a number.
    unsafe { nanoseconds() }
}

/// Passes that time without sleeping.
pub(crate) fn spin_for(duration: u64) {
    let end = now() + duration;
    while now() < end {
        core::hint::spin_loop();
    }
}
