//! The remote protocol: how other threads' frees reach a page's owner.
//!
//! ```text
//! freer:  announce     signals += 1 in flight
//!         set bits     remote[bucket] |= bits
//!         deliver      signals += 1 signal - 1 in flight; the first signal posts the page
//! owner:  take inbox, and for each page:
//!         acknowledge  signals = in flight only
//!         drain        local_free |= remote; remote &= !drained; used -= drained
//!         give the page back only if used = 0 and it is quiet (no signal, none in flight)
//! ```
//!
//! Invariants: bits set are drained by somebody (a signal follows every bit and each signal is
//! acknowledged before a drain); a page that a freer may still touch is never given back (its bits
//! keep `used` up until they are drained, and from before that until its last access it is in
//! flight or signalled). Both are checked by loom in this file's tests.
//!
//! A flush costs three atomic read-modify-writes, for up to 64 frees, and one more for the first
//! signal of a page.

use crate::sync::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

/// Frees in flight in the low half, signals in the high half. A page has at most 512 slots, so at
/// most 512 signals come before a drain; there are fewer than 65536 threads.
#[derive(Default)]
#[repr(transparent)]
pub(crate) struct Signals(AtomicU32);

const IN_FLIGHT: u32 = 1;
const SIGNAL: u32 = 1 << 16;

impl Signals {
    /// Forgets everything: for a page that nobody knows yet.
    pub(crate) fn reset(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// Freer: from here until `deliver` the page is not given back.
    pub(crate) fn announce(&self) {
        // Relaxed: the owner sees it at the latest with the bits, which are set with release after it.
        self.0.fetch_add(IN_FLIGHT, Ordering::Relaxed);
    }

    /// Freer: says that bits were set. `true`: the caller must post the page to its owner's inbox.
    #[must_use]
    pub(crate) fn deliver(&self) -> bool {
        // Release pairs with the acquire in `acknowledge` and `is_quiet`: the bits are seen by
        // whoever sees the signal, and the freer's accesses are over for whoever sees it quiet.
        let before = self.0.fetch_add(SIGNAL - IN_FLIGHT, Ordering::AcqRel);
        before < SIGNAL
    }

    /// Owner: takes the signals of a page taken from the inbox, before it drains.
    pub(crate) fn acknowledge(&self) {
        // Acquire pairs with the release in `deliver`.
        self.0.fetch_and(SIGNAL - 1, Ordering::AcqRel);
    }

    /// Owner: whether no freer touches the page, and none will before a slot is handed out again,
    /// given that all its slots are free.
    pub(crate) fn is_quiet(&self) -> bool {
        // Acquire pairs with the release in `deliver`.
        self.0.load(Ordering::Acquire) == 0
    }
}

/// Freer: sets `bits` in a remote word; those that were set before, which is a double free.
pub(crate) fn set_bits(remote: &AtomicU64, bits: u64) -> u64 {
    // Release pairs with the acquire in `drain`: the freer is done with the blocks.
    remote.fetch_or(bits, Ordering::Release) & bits
}

/// Owner: takes the bits of a remote word, after `keep` has put them where they belong. A reader of
/// both places sees a bit in one of them at least.
pub(crate) fn drain(remote: &AtomicU64, keep: impl FnOnce(u64)) -> u64 {
    // Acquire pairs with the release in `set_bits`.
    let bits = remote.load(Ordering::Acquire);
    if bits != 0 {
        keep(bits);
        // Release pairs with a report's acquire load: who sees the bits gone sees them kept.
        remote.fetch_and(!bits, Ordering::AcqRel);
    }
    bits
}

/// What an inbox links: the next page behind this one.
pub(crate) trait Posted: Sized {
    fn posted_next(&self) -> &AtomicPtr<Self>;
}

/// Pages with news for their owner: pushed by anybody, taken all at once by the owner.
pub(crate) struct Inbox<P: Posted>(AtomicPtr<P>);

impl<P: Posted> Default for Inbox<P> {
    fn default() -> Self {
        Self(AtomicPtr::new(core::ptr::null_mut()))
    }
}

impl<P: Posted> Inbox<P> {
    /// Posts a page. Only who was told so by [`Signals::deliver`] may, so a page is posted once.
    pub(crate) fn post(&self, page: &P) {
        let page_ptr = core::ptr::from_ref(page).cast_mut();
        let mut head = self.0.load(Ordering::Relaxed);
        loop {
            page.posted_next().store(head, Ordering::Relaxed);
            // Release pairs with the acquire in `take`: the link is seen with the page.
            match self.0.compare_exchange_weak(head, page_ptr, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }

    /// Whether nothing was posted, at some moment.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.load(Ordering::Relaxed).is_null()
    }

    /// The newest page posted, linked to the others; the inbox is empty then.
    pub(crate) fn take(&self) -> *mut P {
        // Acquire pairs with the release in `post`.
        self.0.swap(core::ptr::null_mut(), Ordering::Acquire)
    }
}
