//! Cases that several workers of one WebAssembly memory run, each an exported function: `run.mjs` makes the workers, `ci/wasm.sh` the module.
//!
//! A case is called with the worker's number and the number of a fault; 0 is none, and each other has to make the case fail. A case
//! fails by a panic, which ends its worker. Statics are shared by all workers, and each run of a case has memory of its own.
//!
//! ```text
//! worker       what a worker is made of, and whom it talks to
//! bell, meet   waiting: memory.atomic.wait32 and notify; a barrier
//! transports   ring, channel, and a mailbox of wait and notify alone
//! litmus       what one worker may see of another's stores
//! latency      how long a message takes
//! concurrent   the map that workers share
//! tables       maps of one worker
//! sync         stands in for the allocator's module of that name: the shipped ring on indices that can be wrong
//! ```

#![feature(stdarch_wasm_atomic_wait)]

mod bell;
mod concurrent;
mod latency;
mod litmus;
mod meet;
mod sync;
mod tables;
mod transports;
mod worker;

/// The fault that a case is to have, if it is that one.
pub(crate) fn is(fault: u32, number: u32) -> bool {
    fault == number
}

/// Numbers that look like chance (Knuth's MMIX generator).
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) const fn new(seed: u32) -> Self {
        Self(seed as u64 ^ 0x9e37_79b9_7f4a_7c15)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// A checksum that depends on every word and its place.
pub(crate) fn sum(words: &[u64]) -> u64 {
    words.iter().fold(0x2545_f491_4f6c_dd1d, |sum: u64, word| {
        (sum.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    })
}
