//! A thread that only frees: another makes all the blocks, as where one stage of a pipeline retires what a former one
//! built. An allocator that keeps what a thread freed for that thread never gets it back (Berger et al., the blowup of
//! "Hoard", ASPLOS 2000).

use std::sync::mpsc::channel;
use std::thread::scope;
use std::time::Instant;

use crate::memory::Footprint;
use crate::peer::Peer;
use crate::workload::block::Block;
use crate::workload::{Ran, Scale, Settled, survivors};

/// What travels between the two.
type Array<A> = Vec<Option<Block<A>>>;

#[inline(never)]
pub(super) fn run<A: Peer>(allocator: A, scale: Scale) -> Ran {
    let count = scale.pick(50_000_usize, 50_000, 500);
    let rounds = scale.pick(60_u64, 12, 3);
    let mut rng = fastrand::Rng::with_seed(7);
    let (to_freer, arriving) = channel::<Array<A>>();
    let (to_maker, returning) = channel::<Array<A>>();
    // Two arrays travel, so that one is filled while the other is emptied. They are written before memory is read.
    let mut empty: Vec<Array<A>> = (0..2).map(|_| (0..count).map(|_| None).collect()).collect();
    let before = Footprint::now().resident;
    let mut checksum = 0_u64;
    let (ran, settled) = scope(|scope| {
        scope.spawn(move || {
            for mut blocks in arriving {
                blocks.fill_with(|| None);
                // The maker leaves when it has made enough.
                let _ = to_maker.send(blocks);
            }
        });
        let mut fill = |mut blocks: Array<A>| {
            for place in &mut blocks {
                let block = Block::new(allocator, rng.usize(16..=256));
                checksum += block.size() as u64;
                *place = Some(block);
            }
            blocks
        };
        let start = Instant::now();
        for _ in 0..rounds {
            let Some(blocks) = empty.pop().or_else(|| returning.recv().ok()) else { break };
            // The freer takes whatever comes until this end is dropped.
            let _ = to_freer.send(fill(blocks));
        }
        // One array more, while the other thread is done: what is live now is one array.
        let last: Vec<_> = (0..2).filter_map(|_| returning.recv().ok()).collect();
        let ran = Ran::new(rounds * count as u64, start, 0);
        let blocks = last.into_iter().next().map(&mut fill).unwrap_or_default();
        let busy = Footprint::now().resident;
        let live = blocks.iter().flatten().map(|block| block.size() as u64).sum();
        let settled = Settled { before, busy, idle: busy, live, ..survivors::judge(blocks.iter().flatten()) };
        let _ = to_freer.send(blocks);
        drop(to_freer);
        (ran, settled)
    });
    Ran { checksum, settled: Some(settled), ..ran }
}
