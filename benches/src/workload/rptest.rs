//! Jansson, the benchmark of rpmalloc, as its pages describe it: each thread has an array of blocks of 16 to 16000 bytes,
//! small ones more often; each loop frees and makes blocks at scattered places, and now and then a batch goes to another
//! thread, which frees it.

use std::sync::Mutex;
use std::thread::scope;
use std::time::Instant;

use crate::peer::Peer;
use crate::workload::block::Block;
use crate::workload::{Ran, Scale};

/// Blocks of a thread.
const BLOCKS: usize = 1000;
/// Blocks replaced in a loop.
const REPLACED: usize = 100;
/// A batch goes over every so many loops.
const CROSS: usize = 2;

/// What waits for each thread.
type Inboxes<A> = Vec<Mutex<Vec<Vec<Block<A>>>>>;

#[inline(never)]
pub(super) fn run<A: Peer>(allocator: A, scale: Scale) -> Ran {
    let loops = scale.pick(8000_usize, 2000, 20);
    let inboxes: Inboxes<A> = (0..scale.threads).map(|_| Mutex::default()).collect();
    let start = Instant::now();
    let checksum = scope(|scope| {
        let threads: Vec<_> = (0..scale.threads)
            .map(|idx| {
                let inboxes = &inboxes;
                scope.spawn(move || one_thread(allocator, inboxes, idx, loops))
            })
            .collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()).fold(0, u64::wrapping_add)
    });
    drop(inboxes);
    Ran::new((scale.threads * (BLOCKS + loops * REPLACED)) as u64, start, checksum)
}

/// Linear falloff: the smaller, the likelier.
fn size(rng: &mut fastrand::Rng) -> usize {
    16 + rng.usize(0..=15_984).min(rng.usize(0..=15_984))
}

fn one_thread<A: Peer>(allocator: A, inboxes: &Inboxes<A>, idx: usize, loops: usize) -> u64 {
    let mut rng = fastrand::Rng::with_seed(idx as u64);
    let mut checksum = 0;
    let mut make = |rng: &mut fastrand::Rng| {
        let block = Block::new(allocator, size(rng));
        checksum += block.size() as u64;
        Some(block)
    };
    let mut blocks: Vec<Option<Block<A>>> = (0..BLOCKS).map(|_| make(&mut rng)).collect();
    let neighbour = &inboxes[(idx + 1) % inboxes.len()];
    for turn in 0..loops {
        let first = rng.usize(0..BLOCKS);
        // Scattered: a stride that shares no factor with the array's length.
        let places = (0..REPLACED).map(|step| (first + step * 37) % BLOCKS);
        if turn % CROSS == 0 {
            let batch = places.clone().filter_map(|place| blocks[place].take()).collect();
            neighbour.lock().expect("no thread panics").push(batch);
        }
        for place in places {
            blocks[place] = None;
            blocks[place] = make(&mut rng);
        }
        let received = std::mem::take(&mut *inboxes[idx].lock().expect("no thread panics"));
        drop(received);
    }
    checksum
}
