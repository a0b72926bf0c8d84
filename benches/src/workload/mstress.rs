//! Leijen, the stress test of mimalloc, as the mimalloc-bench collection describes it: server-like, block sizes in powers
//! of two, some blocks short-lived and some kept, blocks that move between threads, threads with unequal work, and phases
//! after which all threads end while some blocks live on.

use std::thread::scope;
use std::time::Instant;

use crate::peer::Peer;
use crate::workload::block::{Block, Shelf, WORD};
use crate::workload::{Ran, Scale};

/// Places of the shelf over which blocks move.
const PLACES: usize = 1000;

#[inline(never)]
pub(super) fn run<A: Peer>(allocator: A, scale: Scale) -> Ran {
    let phases = scale.pick(20_u64, 6, 3);
    let steps = scale.pick(40_000_u64, 25_000, 500);
    let shelf = Shelf::new(allocator, PLACES);
    let start = Instant::now();
    let mut checksum = 0_u64;
    let mut operations = 0;
    for phase in 0..phases {
        let sums = scope(|scope| {
            let threads: Vec<_> = (0..scale.threads)
                .map(|idx| {
                    let seed = phase * 1000 + idx as u64;
                    // Later threads have more to do.
                    let steps = steps + steps * idx as u64 / scale.threads as u64;
                    operations += steps;
                    let shelf = &shelf;
                    scope.spawn(move || one_thread(allocator, shelf, seed, steps))
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().expect("no block was overwritten"))
                .collect::<Vec<_>>()
        });
        checksum = sums.into_iter().fold(checksum, u64::wrapping_add);
        // Half of what waits on the shelf survives the phase.
        for place in (phase as usize % 2..PLACES).step_by(2) {
            shelf.exchange(place, None);
        }
    }
    drop(shelf);
    Ran::new(operations, start, checksum)
}

/// A power of two words, small ones more often; one in a thousand is much larger.
fn size(rng: &mut fastrand::Rng) -> usize {
    let mut words = 1 << (rng.u32(..).trailing_zeros().min(7));
    if rng.u32(0..1000) == 0 {
        words *= 100;
    }
    words * WORD
}

fn one_thread<A: Peer>(allocator: A, shelf: &Shelf<A>, seed: u64, steps: u64) -> u64 {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut passing: Vec<Option<Block<A>>> = Vec::with_capacity(1024);
    let mut kept: Vec<Block<A>> = Vec::with_capacity(steps as usize / 4);
    let mut checksum = 0;
    for _ in 0..steps {
        let mut block = Block::new(allocator, size(&mut rng));
        block.fill();
        checksum += block.size() as u64;
        let draw = rng.u32(0..100);
        if draw < 20 && kept.len() < kept.capacity() {
            kept.push(block);
        } else if draw < 35 {
            // Hands it to whoever comes next, and takes over what lay there.
            let found = shelf.exchange(rng.usize(0..shelf.len()), Some(block));
            assert!(found.is_none_or(|found| found.is_intact()), "a block was overwritten");
        } else if passing.len() < passing.capacity() {
            passing.push(Some(block));
        } else {
            let place = rng.usize(0..passing.len());
            let old = passing[place].replace(block);
            assert!(old.is_none_or(|old| old.is_intact()), "a block was overwritten");
        }
    }
    assert!(kept.iter().all(Block::is_intact), "a block was overwritten");
    checksum
}
