//! One thread that frees what it allocated: the pair, the batch and the random replace of Bucketmask's design page, which
//! are what most allocator papers time first.

use std::time::Instant;

use crate::peer::Peer;
use crate::workload::block::Block;
use crate::workload::{Ran, Scale};

/// Bytes a block of [`pair`] and [`batch`], as of a small struct.
const SMALL: usize = 48;
/// Blocks a batch.
const BATCH: usize = 1000;

/// One block, made and freed, over and over.
#[inline(never)]
pub(super) fn pair<A: Peer>(allocator: A, scale: Scale) -> Ran {
    let operations = scale.pick(20_000_000_u64, 4_000_000, 1000);
    let work = |count: u64| (0..count).map(|_| Block::new(allocator, SMALL).size() as u64).sum::<u64>();
    work(operations / 20);
    let start = Instant::now();
    let checksum = work(operations);
    Ran::new(operations, start, checksum)
}

/// A thousand blocks, then all of them freed in that order.
#[inline(never)]
pub(super) fn batch<A: Peer>(allocator: A, scale: Scale) -> Ran {
    let rounds = scale.pick(20_000_u64, 4000, 2);
    let mut blocks: Vec<Block<A>> = Vec::with_capacity(BATCH);
    let mut work = |rounds: u64| {
        for _ in 0..rounds {
            for _ in 0..BATCH {
                // The capacity is there, but the compiler does not know; a push that may grow costs a compare.
                blocks.push(Block::new(allocator, SMALL));
            }
            blocks.clear();
        }
        rounds * (BATCH * SMALL) as u64
    };
    work(rounds / 20);
    let start = Instant::now();
    let checksum = work(rounds);
    Ran::new(rounds * BATCH as u64, start, checksum)
}

/// `live` blocks of 16 to 256 bytes; each operation frees one at random and makes another in its place.
#[inline(never)]
pub(super) fn replace<A: Peer>(allocator: A, scale: Scale, live: usize) -> Ran {
    let operations = scale.pick(10_000_000_u64, 1_500_000, 5000) / if live > 10_000 { 2 } else { 1 };
    let mut rng = fastrand::Rng::with_seed(live as u64);
    let mut blocks: Vec<Option<Block<A>>> =
        (0..live).map(|_| Some(Block::new(allocator, rng.usize(16..=256)))).collect();
    let mut checksum = 0;
    let mut work = |count: u64| {
        for _ in 0..count {
            let place = &mut blocks[rng.usize(0..live)];
            *place = None;
            let block = Block::new(allocator, rng.usize(16..=256));
            checksum += block.size() as u64;
            *place = Some(block);
        }
    };
    work(operations / 10);
    let start = Instant::now();
    work(operations);
    Ran::new(operations, start, checksum)
}
