//! A lock's bias: the thread that takes it nearly always enters without a locked instruction, as long as no other thread comes.
//!
//! A locked instruction waits for all that the thread has stored before. Who records takes a lock for each malloc and free, right after the program wrote
//! to its blocks, and waited longer than all else that recording takes. So a thread that came often enough is given the bias under the lock: from then on it says that it is
//! inside, and looks whether the bias is still its own. Who takes the lock takes the bias back first, pays for a barrier on all threads, and waits until its
//! owner is outside.
//!
//! ```text
//! owner   inside = 1; light fence; owner is me?  work; inside = 0 (release)     else  inside = 0; take the lock
//! others  take the lock; owner = 0; heavy fence; wait for inside == 0 (acquire); work
//! ```
//!
//! Owned by the recorder. Invariant: the bias is only ever one thread's, the first that earned it, so that `inside` is written by that thread alone; of it and who has
//! the lock one at most is at work.

use crate::sync::{AtomicU32, AtomicUsize, Ordering, asymmetric};

/// See the module.
pub(crate) struct Bias {
    /// Who has the bias; 0 while nobody has. Stored under the lock.
    owner: AtomicUsize,
    /// Whether its owner is at work, or about to look whether it may be.
    inside: AtomicU32,
}

impl Bias {
    crate::sync::const_fn! {
        /// Nobody's.
        #[expect(unreachable_pub, reason = "the macro's")]
        pub fn new() -> Self {
            Self { owner: AtomicUsize::new(0), inside: AtomicU32::new(0) }
        }
    }

    /// Whether `me` may work by its bias, until it [`leave`](Self::leave)s. Else it takes the lock. Not within itself.
    #[inline(always)]
    pub(crate) fn enter(&self, me: usize) -> bool {
        // Relaxed: only `me` makes it `me`, under the lock.
        if self.owner.load(Ordering::Relaxed) != me {
            return false;
        }
        self.inside.store(1, Ordering::Relaxed);
        // Pairs with the heavy one in `revoke`: it sees `inside`, or this sees that the owner is nobody.
        asymmetric::light();
        if self.owner.load(Ordering::Relaxed) == me {
            return true;
        }
        self.leave();
        false
    }

    /// The work by bias is done.
    #[inline(always)]
    pub(crate) fn leave(&self) {
        // Release: pairs with the acquire in `revoke`, whose caller goes on with what was worked on.
        self.inside.store(0, Ordering::Release);
    }

    /// Gives the bias to `me`, who has the lock and is the one thread that ever gets it. Nothing changes where there is no barrier on all threads.
    pub(crate) fn give(&self, me: usize) {
        if asymmetric::heavy() {
            self.owner.store(me, Ordering::Relaxed);
        }
    }

    /// Takes the bias back, for who has just got the lock: `wait` passes a moment in which the owner may leave.
    #[inline]
    pub(crate) fn revoke(&self, wait: impl Fn(&AtomicU32)) {
        if self.owner.load(Ordering::Relaxed) != 0 {
            self.owner.store(0, Ordering::Relaxed);
            asymmetric::heavy();
            // Acquire: see `leave`.
            while self.inside.load(Ordering::Acquire) != 0 {
                wait(&self.inside);
            }
        }
    }
}
