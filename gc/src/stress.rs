//! [`Stress`]: collecting far more than is due, to find what only goes wrong now and then. Owned by the arena, for tests.
//!
//! Invariant: a seed gives the same steps for the same program.

use crate::budget::Limit;
use crate::heap::cycle::Until;

/// What [`Arena::collect_debt`](crate::Arena::collect_debt) does instead of paying debt, see
/// [`Arena::set_stress`](crate::Arena::set_stress).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stress {
    /// A whole cycle, and another if one was under way, if anything was allocated since the last call.
    EveryAllocation,
    /// A piece of a cycle that chance decides, from this seed on: from one object to all of it.
    Steps(u64),
}

impl Stress {
    /// The next piece: none means all, up to the given point.
    pub(crate) fn next_piece(seed: &mut u64) -> (Option<Limit>, Until) {
        // An xorshift generator (Marsaglia's), which must not be zero.
        *seed = (*seed).max(1);
        *seed ^= *seed << 13;
        *seed ^= *seed >> 7;
        *seed ^= *seed << 17;
        let drawn = seed.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32;
        match drawn % 16 {
            0 => (None, Until::CycleEnd),
            1 => (None, Until::Marked),
            2 => (None, Until::Sweeping),
            kind => (Some(Limit::Work(1 << ((drawn >> 4) % (kind + 1)))), Until::CycleEnd),
        }
    }
}
