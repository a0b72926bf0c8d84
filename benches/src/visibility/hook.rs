//! What runs in the gaps of the map's protocol, thread by thread.
//!
//! Owned by `round.rs`. Invariant: a hook runs on the thread that set it, while it is set, and not within itself.

#![allow(unsafe_code)]

use std::cell::Cell;

use bucketmask_map::concurrent::rules::{FAULTS, Fault, Gap, Rules};

type Hook<'h> = &'h mut dyn FnMut(Gap, usize);

thread_local! {
    static HOOK: Cell<Option<*mut (dyn FnMut(Gap, usize) + 'static)>> = const { Cell::new(None) };
}

/// Runs `body` with `hook` called in each gap that this thread comes to.
pub(super) fn with<T>(hook: Hook<'_>, body: impl FnOnce() -> T) -> T {
    struct Unset;
    impl Drop for Unset {
        fn drop(&mut self) {
            HOOK.set(None);
        }
    }
    // SAFETY: only the lifetime changes, and the pointer is taken back before this function ends.
    let hook = unsafe { std::mem::transmute::<Hook<'_>, *mut (dyn FnMut(Gap, usize) + 'static)>(hook) };
    HOOK.set(Some(hook));
    let _unset = Unset;
    body()
}

/// The rules of the experiment: fault number `FAULT` of [`FAULTS`], with or without kept views; nothing moves but what the
/// experiment moves.
#[derive(Debug)]
pub(super) enum Probe<const FAULT: usize, const MIRRORED: bool> {}

impl<const FAULT: usize, const MIRRORED: bool> Rules for Probe<FAULT, MIRRORED> {
    const FAULT: Fault = FAULTS[FAULT];
    const MIRRORED: bool = MIRRORED;
    const PIECE: usize = 0;

    fn gap(gap: Gap, bucket: usize) {
        if let Some(hook) = HOOK.take() {
            // SAFETY: set by `with` on this thread, which has not ended; taken out, so that it is used once at a time.
            unsafe { (*hook)(gap, bucket) };
            HOOK.set(Some(hook));
        }
    }
}
