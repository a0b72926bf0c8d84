//! Few blocks survive a phase of many: 300 thousand blocks of 0.5 to 2 KiB, one of twenty of them, at random, lives on, and
//! the process goes idle. What stays resident is what fragmentation costs (Johnstone and Wilson, "The memory fragmentation
//! problem: solved?", ISMM 1998, name the shape; the numbers are this project's).

use std::time::Instant;

use crate::fragmentation::{Fragmentation, Kind};
use crate::installed::Choice;
use crate::memory::Footprint;
use crate::peer::Peer;
use crate::workload::block::Block;
use crate::workload::{Ran, Scale, Settled, Slots};

/// One block of so many survives.
const ONE_OF: usize = 20;
/// Bytes of an OS page.
const OS_PAGE: usize = 4096;

#[inline(never)]
pub(super) fn run<A: Peer>(allocator: A, scale: Scale) -> Ran {
    let count = scale.pick(300_000_usize, 300_000, 2000);
    let mut rng = fastrand::Rng::with_seed(11);
    let mut blocks: Vec<Option<Block<A>>> = (0..count).map(|_| None).collect();
    // The table is written by now, so it is no part of what the blocks cost.
    let before = Footprint::now().resident;
    let start = Instant::now();
    let mut checksum = 0;
    for place in &mut blocks {
        let mut block = Block::new(allocator, rng.usize(512..=2048));
        block.fill();
        checksum += block.size() as u64;
        *place = Some(block);
    }
    for place in &mut blocks {
        if rng.usize(0..ONE_OF) > 0 {
            *place = None;
        }
    }
    let ran = Ran::new(count as u64, start, checksum);
    let busy = Footprint::now().resident;
    scale.idle();
    let idle = Footprint::now().resident;
    let survivors: Vec<Block<A>> = blocks.into_iter().flatten().collect();
    assert!(survivors.iter().all(Block::is_intact), "a surviving block was overwritten");
    let live = survivors.iter().map(|block| block.size() as u64).sum();
    let settled = Settled { before, busy, idle, live, ..judge(survivors.iter()) };
    Ran { settled: Some(settled), ..ran }
}

/// The floor under what is resident, and what our allocator's report says: to be asked after memory was read, since both
/// take some.
pub(super) fn judge<'a, A: Peer>(blocks: impl Iterator<Item = &'a Block<A>>) -> Settled {
    let mut pages: Vec<usize> = Vec::new();
    for block in blocks {
        let last = block.address() + block.size() - 1;
        pages.extend(block.address() / OS_PAGE..=last / OS_PAGE);
    }
    pages.sort_unstable();
    pages.dedup();
    let slots = (A::CHOICE == Choice::Bucketmask).then(|| {
        let report = bucketmask_alloc::BucketAlloc::new().report();
        let [live, requested, committed, _] = Fragmentation::of(&report, 0).total(Some(Kind::Class));
        Slots { live, requested, committed }
    });
    Settled { floor: (pages.len() * OS_PAGE) as u64, slots, ..Settled::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::Mimalloc;

    #[test]
    fn the_floor_counts_each_os_page_once() {
        let blocks: Vec<_> = (0..3).map(|_| Block::new(Mimalloc, 3 * OS_PAGE + 8)).collect();
        let pages = judge(blocks.iter()).floor / OS_PAGE as u64;
        // Each block lies on 4 or 5 pages, and may share its outer ones with a neighbour.
        assert!((10..=15).contains(&pages), "{pages}");
        assert_eq!(judge::<Mimalloc>([].iter()).floor, 0);
    }
}
