//! The `SmartHeap` benchmarks of `MicroQuill`, as the mimalloc-bench collection describes them. sh6: a stress test where some
//! blocks are freed last allocated first, and others in the order of allocation. sh8: the same, and some are freed by
//! other threads.

use std::sync::{Mutex, PoisonError};
use std::thread::scope;
use std::time::Instant;

use crate::peer::Peer;
use crate::workload::block::Block;
use crate::workload::{Ran, Scale};

/// Blocks that are held at most.
const HELD: usize = 4096;

/// Blocks that any thread may free.
type Common<A> = Mutex<Vec<Vec<Block<A>>>>;

/// Freed by those who allocated.
#[inline(never)]
pub(super) fn sh6<A: Peer>(allocator: A, scale: Scale) -> Ran {
    run(allocator, scale, None)
}

/// A quarter is freed by other threads.
#[inline(never)]
pub(super) fn sh8<A: Peer>(allocator: A, scale: Scale) -> Ran {
    run(allocator, scale, Some(&Mutex::default()))
}

fn run<A: Peer>(allocator: A, scale: Scale, common: Option<&Common<A>>) -> Ran {
    let operations = scale.pick(4_000_000_u64, 800_000, 20_000);
    let start = Instant::now();
    let checksum = scope(|scope| {
        let threads: Vec<_> = (0..scale.threads as u64)
            .map(|seed| scope.spawn(move || one_thread(allocator, common, seed, operations)))
            .collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()).fold(0, u64::wrapping_add)
    });
    if let Some(common) = common {
        common.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
    Ran::new(scale.threads as u64 * operations, start, checksum)
}

/// 8 to 1000 bytes, the small ones in longer rows: a size stays for as many blocks as fit into 2000 bytes.
struct Sizes {
    rng: fastrand::Rng,
    size: usize,
    left: usize,
}

impl Sizes {
    fn next(&mut self) -> usize {
        if self.left == 0 {
            self.size = self.rng.usize(8..=1000);
            self.left = 2000 / self.size;
        }
        self.left -= 1;
        self.size
    }
}

fn one_thread<A: Peer>(allocator: A, common: Option<&Common<A>>, seed: u64, operations: u64) -> u64 {
    let mut sizes = Sizes { rng: fastrand::Rng::with_seed(seed), size: 8, left: 0 };
    let mut held: Vec<Block<A>> = Vec::with_capacity(HELD);
    let mut checksum = 0;
    for _ in 0..operations {
        if held.len() == HELD {
            free_some(&mut held, common, &mut sizes.rng);
        }
        let block = Block::new(allocator, sizes.next());
        checksum += block.size() as u64;
        held.push(block);
    }
    checksum
}

/// Frees three quarters: mostly the youngest from the end, sometimes the oldest in order; where blocks are shared, the
/// middle quarter goes to whoever frees next.
fn free_some<A: Peer>(held: &mut Vec<Block<A>>, common: Option<&Common<A>>, rng: &mut fastrand::Rng) {
    if let Some(common) = common {
        let middle: Vec<_> = held.drain(HELD / 4..HELD / 2).collect();
        let theirs = {
            let mut waiting = common.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.push(middle);
            // The oldest batch is most likely another thread's.
            if waiting.len() > 1 { Some(waiting.swap_remove(0)) } else { None }
        };
        drop(theirs);
    }
    if rng.u32(0..4) == 0 {
        drop(held.drain(..held.len() - HELD / 4));
    } else {
        while held.len() > HELD / 4 {
            held.pop();
        }
    }
}
