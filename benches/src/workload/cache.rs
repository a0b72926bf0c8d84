//! Berger, the two benchmarks that came with Hoard (ASPLOS 2000): false sharing. In cache-thrash threads make and write
//! small blocks; an allocator that puts blocks of two threads into one line makes them slow (active false sharing). In
//! cache-scratch each thread first frees a block that another thread made; an allocator that gives it right back shares
//! the line as well (passive false sharing).

use std::thread::scope;
use std::time::Instant;

use crate::peer::Peer;
use crate::workload::block::{Block, WORD};
use crate::workload::{Ran, Scale};

/// Writes to a block between its malloc and its free.
const WRITES: u32 = 2000;

/// Each thread begins with a block that this one made, all of them neighbours.
#[inline(never)]
pub(super) fn scratch<A: Peer>(allocator: A, scale: Scale) -> Ran {
    let neighbours = (0..scale.threads).map(|_| Some(Block::new(allocator, WORD))).collect();
    run(allocator, scale, neighbours)
}

/// Each thread makes its blocks itself.
#[inline(never)]
pub(super) fn thrash<A: Peer>(allocator: A, scale: Scale) -> Ran {
    let none = (0..scale.threads).map(|_| None).collect();
    run(allocator, scale, none)
}

fn run<A: Peer>(allocator: A, scale: Scale, first: Vec<Option<Block<A>>>) -> Ran {
    let rounds = scale.pick(60_000_u64, 15_000, 50);
    let start = Instant::now();
    let checksum = scope(|scope| {
        let threads: Vec<_> = first
            .into_iter()
            .map(|block| scope.spawn(move || one_thread(allocator, block, rounds)))
            .collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()).fold(0, u64::wrapping_add)
    });
    Ran::new(scale.threads as u64 * rounds, start, checksum)
}

fn one_thread<A: Peer>(allocator: A, first: Option<Block<A>>, rounds: u64) -> u64 {
    drop(first);
    let mut checksum = 0;
    for _ in 0..rounds {
        let mut block = Block::new(allocator, WORD);
        for _ in 0..WRITES {
            block.rewrite();
        }
        checksum += block.size() as u64;
    }
    checksum
}
