//! Fork: the allocator's locks are held over it, so that the child never finds one locked by a
//! thread that it does not have.
//!
//! Owned by the region, which registers the handlers before it takes the first lock. Invariant: locks are taken in
//! the order ranges, purge, parked ranges, topology, region, heaps, mimalloc's gate, spans by node, trace, what is wanted ahead, and nowhere in
//! another order.
#![allow(unsafe_code)]

use core::sync::atomic::{AtomicBool, Ordering};

use lock_api::RawMutex;

use crate::ahead;
use crate::events;
use crate::node::INSTALLED;
use crate::parked::PARKED;
use crate::range::LIVE;
use crate::region::REGION;
use crate::registry;
use crate::trace::recorder;
use crate::{gate, purge, purger};

/// Whether the handlers were registered, or are being.
static REGISTERED: AtomicBool = AtomicBool::new(false);

/// Registers the handlers, once. Where the C library refuses, forking while another thread is inside the
/// allocator is not safe; everything else works. Call without a lock: registering may allocate, and so
/// come here again.
pub(crate) fn register() {
    if !REGISTERED.swap(true, Ordering::Relaxed) {
        // SAFETY: three functions that live for ever.
        unsafe { libc::pthread_atfork(Some(hold), Some(release), Some(release_in_child)) };
    }
}

extern "C" fn hold() {
    core::mem::forget(LIVE.lock());
    core::mem::forget(purge::LOOKING.lock());
    core::mem::forget(PARKED.lock());
    core::mem::forget(INSTALLED.lock());
    REGION.lock();
    registry::lock();
    gate::close();
    for span in REGION.spans() {
        core::mem::forget(span.lock().lock());
    }
    recorder::lock();
    core::mem::forget(ahead::WANTED.lock());
}

extern "C" fn release() {
    // SAFETY: held since `hold`.
    unsafe {
        ahead::WANTED.raw().unlock();
        recorder::unlock();
    }
    for span in REGION.spans() {
        // SAFETY: held since `hold`, whose guard was forgotten; in the child by the only thread.
        unsafe { span.lock().raw().unlock() };
    }
    // SAFETY: as above.
    unsafe {
        gate::open();
        registry::unlock();
        REGION.unlock();
        INSTALLED.raw().unlock();
        PARKED.raw().unlock();
        purge::LOOKING.raw().unlock();
        LIVE.raw().unlock();
    }
}

extern "C" fn release_in_child() {
    purger::forget_thread();
    events::mem::forget();
    events::aggregator::forget();
    // SAFETY: held since `hold`; the child has one thread.
    unsafe {
        ahead::forget();
        recorder::forget();
    }
    release();
    registry::post_anew();
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::thread;
    use std::time::Duration;

    use super::*;

    /// Who holds the ranges allocates, and where there is no thread for it, who allocates looks for what to give back.
    #[test]
    fn who_holds_the_ranges_may_look_for_what_to_give_back_beside_a_fork() {
        REGION.get();
        let (done, wait) = channel();
        thread::spawn(move || {
            let ranges = LIVE.lock();
            let forks = thread::spawn(|| {
                // SAFETY: the child ends at once; waits for it.
                unsafe {
                    let child = libc::fork();
                    if child == 0 {
                        libc::_exit(0);
                    }
                    libc::waitpid(child, core::ptr::null_mut(), 0);
                }
            });
            // Until the fork waits for the ranges.
            thread::sleep(Duration::from_millis(200));
            purge::look(false);
            drop(ranges);
            forks.join().unwrap();
            done.send(()).unwrap();
        });
        assert_eq!(wait.recv_timeout(Duration::from_secs(10)), Ok(()), "each waits for the other");
    }
}
