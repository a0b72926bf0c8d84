//! The remote protocol: how other threads' frees reach a page's owner.
//!
//! ```text
//! freer:  expect       expected += slots; who found 0 posts the page to its owner
//!         set bits     remote[bucket] |= bits          its last access to the page
//! owner:  take inbox, and for each page:
//!         drain        local_free |= remote; remote &= !drained; used -= drained
//!         meet         expected -= drained; posts the page to itself if more are on their way
//! ```
//!
//! Invariants: bits set are drained by somebody (a page is posted, or about to be, exactly while slots
//! are expected of it); a page that a freer may still touch is never given back (its slots are in use
//! until they are drained, and setting their bits is the last that a freer does). Both are checked by
//! loom in `tests/remote_protocol.rs`.
//!
//! A flush of a page costs a freer one atomic read-modify-write and one for each bucket, for up to 64
//! frees, and one more where it posts the page; the owner pays as much.

use crate::sync::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

/// How many slots freed by others are set, or about to be, and not yet drained; and whether the page is
/// claimed by who gives its free memory to the kernel. A page has at most 512 slots, each freed once.
///
/// A claim keeps the owner from handing slots of the page out. The owner says first that it looks at the
/// page (its window, or the page's owner word when it gives the page back) and looks for a claim then;
/// who claims does so first and looks for the owner then, with a barrier on all threads between, so that
/// the owner needs none.
#[derive(Default)]
#[repr(transparent)]
pub(crate) struct Expected(AtomicU32);

/// The bit that a claim sets.
const CLAIMED: u32 = 1 << 31;

impl Expected {
    /// Forgets everything: for a page that nobody knows yet.
    pub(crate) fn reset(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// Freer: announces `slots`, before it sets their bits. `true`: the caller must post the page to its
    /// owner's inbox, before it sets them.
    #[must_use]
    pub(crate) fn expect(&self, slots: u32) -> bool {
        // Acquire pairs with the release in `meet`: whoever finds 0 may link the page anew. Release
        // pairs with the acquire there.
        self.0.fetch_add(slots, Ordering::AcqRel) & !CLAIMED == 0
    }

    /// Owner: says that `slots` of a page taken from the inbox were drained. `true`: others are on
    /// their way, and the caller must post the page to itself.
    #[must_use]
    pub(crate) fn meet(&self, slots: u32) -> bool {
        // Release pairs with the acquire in `expect`: the page's link was read.
        self.0.fetch_sub(slots, Ordering::AcqRel) & !CLAIMED != slots
    }

    /// In a forked child, whose other threads are gone: `slots` have come, and no others will.
    pub(crate) fn settle(&self, slots: u32) {
        // Relaxed: there is nobody else.
        self.0.store(slots, Ordering::Relaxed);
    }

    /// Owner: whether some slot may be set in the page's remote mask, or the page is claimed.
    #[inline(always)]
    pub(crate) fn is_any(&self) -> bool {
        // Relaxed: only a look, at what other threads are about to do.
        self.0.load(Ordering::Relaxed) != 0
    }

    /// Owner: whether the page is claimed.
    #[inline(always)]
    pub(crate) fn is_claimed(&self) -> bool {
        // Acquire pairs with the release in `release`: what was done under the claim is done.
        self.0.load(Ordering::Acquire) & CLAIMED != 0
    }

    /// Claims the page. A barrier on all threads has to follow before its owner is looked for.
    pub(crate) fn claim(&self) {
        self.0.fetch_or(CLAIMED, Ordering::AcqRel);
    }

    /// Ends the claim.
    pub(crate) fn release(&self) {
        // Release pairs with the acquire in `is_claimed`.
        self.0.fetch_and(!CLAIMED, Ordering::Release);
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
    /// Posts a page. Only who was told so by [`Expected`] may, so a page is posted once.
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
