//! The two malloc benchmarks of the GNU C library. simple: for some sizes and counts, so many blocks, half of them freed in
//! the order of allocation and half in the reverse one. thread: each thread walks at random over a working set of 1024
//! places; a block there is freed, and one of a size between 4 and 32768 bytes, distributed as its inverse square, is made.

use std::thread::scope;
use std::time::Instant;

use crate::peer::Peer;
use crate::workload::block::{Block, WORD};
use crate::workload::{Ran, Scale};

const SIZES: [usize; 4] = [16, 128, 1024, 4096];
const COUNTS: [usize; 4] = [25, 100, 400, 1600];
/// Blocks a size and count in all.
const WORKING_SET: usize = 1024;

#[inline(never)]
pub(super) fn simple<A: Peer>(allocator: A, scale: Scale) -> Ran {
    let each = scale.pick(800_000_usize, 160_000, 1600);
    let mut blocks: Vec<Block<A>> = Vec::with_capacity(1600);
    let (mut operations, mut checksum) = (0, 0);
    let start = Instant::now();
    for size in SIZES {
        for count in COUNTS {
            for _ in 0..each / count {
                blocks.extend((0..count).map(|_| Block::new(allocator, size)));
                drop(blocks.drain(..count / 2));
                while blocks.pop().is_some() {}
            }
            operations += (each / count * count) as u64;
            checksum += (each / count * count * size) as u64;
        }
    }
    Ran::new(operations, start, checksum)
}

#[inline(never)]
pub(super) fn thread<A: Peer>(allocator: A, scale: Scale) -> Ran {
    let operations = scale.pick(4_000_000_u64, 800_000, 2000);
    let start = Instant::now();
    let checksum = scope(|scope| {
        let threads: Vec<_> = (0..scale.threads as u64)
            .map(|seed| scope.spawn(move || one_thread(allocator, seed, operations)))
            .collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()).fold(0, u64::wrapping_add)
    });
    Ran::new(scale.threads as u64 * operations, start, checksum)
}

/// Sizes whose density falls with their square, by inversion: drawn beforehand, so that no division is timed.
fn sizes(rng: &mut fastrand::Rng) -> Vec<u16> {
    let (least, most) = (4.0, 32_768.0);
    #[expect(clippy::cast_sign_loss, reason = "between 4 and 32768")]
    let draw = |_| (least / (1.0 - rng.f64() * (1.0 - least / most))) as u16;
    (0..8192).map(draw).collect()
}

fn one_thread<A: Peer>(allocator: A, seed: u64, operations: u64) -> u64 {
    let mut rng = fastrand::Rng::with_seed(seed);
    let sizes = sizes(&mut rng);
    let mut blocks: Vec<Option<Block<A>>> = (0..WORKING_SET).map(|_| None).collect();
    let mut checksum = 0;
    for _ in 0..operations {
        let draw = rng.u64(..) as usize;
        let place = &mut blocks[draw % WORKING_SET];
        *place = None;
        let block = Block::new(allocator, usize::from(sizes[draw >> 32 & 8191]).max(WORD));
        checksum += block.size() as u64;
        *place = Some(block);
    }
    checksum
}
