//! Lever and Boreham, "`malloc()` performance in a multithreaded Linux environment" (USENIX 2000), in the asymmetric form
//! that the mimalloc-bench collection runs: some threads only allocate, others only free, as where a server hands finished
//! work to a cleaner.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread::scope;
use std::time::Instant;

use crate::peer::Peer;
use crate::workload::block::Block;
use crate::workload::{Ran, Scale};

/// Blocks that travel together.
const BATCH: usize = 4096;
/// Batches between a producer and its consumer.
const TRAVELLING: usize = 8;
/// Sizes of blocks; each as likely as the others.
const SIZES: [usize; 12] = [16, 16, 24, 32, 32, 48, 64, 96, 128, 256, 512, 1024];

/// A queue of batches, full on its way there and empty on its way back.
struct Queue<A: Peer> {
    batches: Mutex<VecDeque<Vec<Block<A>>>>,
    arrived: Condvar,
}

impl<A: Peer> Queue<A> {
    fn new(batches: impl Iterator<Item = Vec<Block<A>>>) -> Self {
        Self { batches: Mutex::new(batches.collect()), arrived: Condvar::new() }
    }

    fn put(&self, batch: Vec<Block<A>>) {
        self.batches.lock().unwrap_or_else(PoisonError::into_inner).push_back(batch);
        self.arrived.notify_one();
    }

    fn take(&self) -> Vec<Block<A>> {
        let mut batches = self.batches.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(batch) = batches.pop_front() {
                return batch;
            }
            batches = self.arrived.wait(batches).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

#[inline(never)]
pub(super) fn run<A: Peer>(allocator: A, scale: Scale) -> Ran {
    let pairs = (scale.threads / 2).max(1);
    let batches = scale.pick(1500_usize, 300, 3);
    let empty = Queue::new((0..pairs * TRAVELLING).map(|_| Vec::with_capacity(BATCH)));
    let full: Queue<A> = Queue::new(std::iter::empty());
    let start = Instant::now();
    let checksum = scope(|scope| {
        let (empty, full) = (&empty, &full);
        for seed in 0..pairs {
            scope.spawn(move || produce(allocator, empty, full, seed as u64, batches));
        }
        let consumers: Vec<_> =
            (0..pairs).map(|_| scope.spawn(move || consume(empty, full, batches))).collect();
        consumers.into_iter().filter_map(|thread| thread.join().ok()).fold(0, u64::wrapping_add)
    });
    Ran::new((pairs * batches * BATCH) as u64, start, checksum)
}

fn produce<A: Peer>(allocator: A, empty: &Queue<A>, full: &Queue<A>, seed: u64, batches: usize) {
    let mut rng = fastrand::Rng::with_seed(seed);
    for _ in 0..batches {
        let mut batch = empty.take();
        batch.extend((0..BATCH).map(|_| Block::new(allocator, SIZES[rng.usize(0..SIZES.len())])));
        full.put(batch);
    }
}

fn consume<A: Peer>(empty: &Queue<A>, full: &Queue<A>, batches: usize) -> u64 {
    let mut checksum = 0;
    for _ in 0..batches {
        let mut batch = full.take();
        for block in batch.drain(..) {
            checksum += block.size() as u64;
        }
        empty.put(batch);
    }
    checksum
}
