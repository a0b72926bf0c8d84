//! What was done to one key, as intervals of a clock that all processors share.
//!
//! Owned by `visibility.rs`. Invariant: an operation's interval holds the moment at which it took effect: the start is read before
//! its first access, the end after its last.

#![allow(unsafe_code)]

/// What a key holds: nothing, or a value that was written once.
pub(super) type Held = Option<u32>;

/// One operation on one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Op {
    /// Who did it: one operation after the other, in the order of `called`.
    pub(super) process: u8,
    /// When it was called.
    pub(super) called: u64,
    /// What it wrote, if it did.
    pub(super) wrote: Option<Held>,
    /// What it saw before that.
    pub(super) saw: Held,
    /// It did not take effect before this: when it was called, or earlier, where a guard keeps its view.
    pub(super) start: u64,
    /// Nor after this.
    pub(super) end: u64,
    /// Which table it had to go by.
    pub(super) side: Side,
}

/// Where the mark was during an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Side {
    /// Below the key's bucket all the time: the old table is the truth.
    Old,
    /// Past it all the time: the new table is.
    New,
    /// It passed the bucket meanwhile.
    Across,
}

/// All that was done to one key while its table moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct History {
    /// What it held before.
    pub(super) initial: Held,
    /// In any order.
    pub(super) ops: Vec<Op>,
}

/// A moment not after what follows.
#[inline(always)]
pub(super) fn before() -> u64 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86_64 has both. The fence keeps what follows from being done before the clock is read.
    unsafe {
        let now = core::arch::x86_64::_rdtsc();
        core::arch::x86_64::_mm_lfence();
        now
    }
    #[cfg(not(target_arch = "x86_64"))]
    elsewhere()
}

/// A moment not before what came.
#[inline(always)]
pub(super) fn after() -> u64 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86_64 has both. The first fence waits for what came, the second keeps the clock's reading here.
    unsafe {
        core::arch::x86_64::_mm_lfence();
        let now = core::arch::x86_64::_rdtsc();
        core::arch::x86_64::_mm_lfence();
        now
    }
    #[cfg(not(target_arch = "x86_64"))]
    elsewhere()
}

/// Where there is no such counter: one that all share, though it orders what is to be tested.
#[cfg(not(target_arch = "x86_64"))]
fn elsewhere() -> u64 {
    static NOW: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    NOW.fetch_add(1, std::sync::atomic::Ordering::SeqCst)
}
