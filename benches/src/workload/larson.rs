//! Larson and Krishnan, "Memory allocation for long-running server applications" (ISMM 1998): each thread replaces random
//! blocks of its array; then it starts another thread, hands it the array, and ends. So blocks outlive the threads that
//! made them, and are freed by others.

use std::sync::mpsc::{Sender, channel};
use std::thread::{Scope, scope};
use std::time::Instant;

use crate::peer::Peer;
use crate::workload::block::Block;
use crate::workload::{Ran, Scale};

/// Blocks of each line of threads.
const BLOCKS: usize = 5000;

/// What one line of threads is about.
struct Line<A: Peer> {
    blocks: Vec<Option<Block<A>>>,
    rng: fastrand::Rng,
    generations: u32,
    operations: u64,
    checksum: u64,
    done: Sender<u64>,
}

#[inline(never)]
pub(super) fn run<A: Peer>(allocator: A, scale: Scale) -> Ran {
    let generations = scale.pick(20, 10, 3);
    let operations = scale.pick(200_000_u64, 50_000, 500);
    let (done, finished) = channel();
    let lines: Vec<Line<A>> = (0..scale.threads)
        .map(|idx| {
            let mut rng = fastrand::Rng::with_seed(idx as u64);
            let blocks = (0..BLOCKS).map(|_| Some(Block::new(allocator, rng.usize(8..=1000)))).collect();
            Line { blocks, rng, generations, operations, checksum: 0, done: done.clone() }
        })
        .collect();
    drop(done);
    let start = Instant::now();
    scope(|scope| {
        for line in lines {
            scope.spawn(move || generation(allocator, scope, line));
        }
    });
    let checksum = finished.iter().fold(0, u64::wrapping_add);
    Ran::new(scale.threads as u64 * u64::from(generations) * operations, start, checksum)
}

/// One thread's life.
fn generation<'scope, A: Peer>(allocator: A, scope: &'scope Scope<'scope, '_>, mut line: Line<A>) {
    for _ in 0..line.operations {
        let place = &mut line.blocks[line.rng.usize(0..BLOCKS)];
        *place = None;
        let block = Block::new(allocator, line.rng.usize(8..=1000));
        line.checksum += block.size() as u64;
        *place = Some(block);
    }
    line.generations -= 1;
    if line.generations > 0 {
        scope.spawn(move || generation(allocator, scope, line));
    } else {
        // The receiver is there until the scope's end.
        let _ = line.done.send(line.checksum);
    }
}
