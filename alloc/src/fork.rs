//! Fork: the allocator's locks are held over it, so that the child never finds one locked by a
//! thread that it does not have.
//!
//! Owned by the region, which registers the handlers once. Invariant: locks are taken in the order
//! ranges, heaps, spans by node, and nowhere in another order.
#![allow(unsafe_code)]

use lock_api::RawMutex;

use crate::range::LIVE;
use crate::region::REGION;
use crate::registry;

/// Registers the handlers. Where the C library refuses, forking while another thread is inside the
/// allocator is not safe; everything else works.
pub(crate) fn register() {
    // SAFETY: three functions that live for ever.
    unsafe { libc::pthread_atfork(Some(hold), Some(release), Some(release)) };
}

extern "C" fn hold() {
    core::mem::forget(LIVE.lock());
    registry::lock();
    for span in REGION.spans() {
        core::mem::forget(span.lock().lock());
    }
}

extern "C" fn release() {
    for span in REGION.spans() {
        // SAFETY: held since `hold`, whose guard was forgotten; in the child by the only thread.
        unsafe { span.lock().raw().unlock() };
    }
    // SAFETY: as above.
    unsafe {
        registry::unlock();
        LIVE.raw().unlock();
    }
}
