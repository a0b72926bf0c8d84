//! Ten million random mallocs, frees and reallocs over four threads against a model: addresses do
//! not overlap, alignments hold, contents stay, and at every safepoint the masks equal the model.
//!
//! The allocator is called directly, not installed: the model's own memory comes from elsewhere.

mod common;

use std::alloc::{GlobalAlloc, Layout};

use bucketmask_alloc::{BucketAlloc, PageUse, Report};
use common::{Meeting, Random};
use parking_lot::Mutex;

const THREADS: usize = 4;
/// Operations of each thread, unless `BUCKETMASK_STEPS` says otherwise.
const STEPS: usize = 2_500_000;
/// Safepoints at least; no more operations of a thread lie between two than in a usual run.
const SAFEPOINTS: usize = 10;
/// Blocks a thread holds at most.
const HELD: usize = 15_000;
/// What pages of several slots serve.
const LARGEST_SLOT: usize = 32 * 1024;
/// What runs of granules serve, and the alignment that they have; what is beyond is mimalloc's, in no mask.
const LARGEST_RUN: usize = 2 << 20;
const GRANULE: usize = 64 * 1024;

/// Who serves a block.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Server {
    Slab,
    Medium,
    Large,
}

/// A live block of the model: its first and last bytes hold `mark`.
struct Block {
    address: usize,
    layout: Layout,
    mark: u8,
}

impl Block {
    fn new(layout: Layout, random: &mut Random) -> Self {
        let mark = random.next() as u8;
        let zeroed = random.below(8) == 0;
        // SAFETY: layouts here are never of size 0.
        let ptr =
            unsafe { if zeroed { BucketAlloc.alloc_zeroed(layout) } else { BucketAlloc.alloc(layout) } };
        assert!(!ptr.is_null());
        assert_eq!(ptr as usize % layout.align(), 0, "{layout:?}");
        if zeroed {
            // SAFETY: a block of that size.
            let bytes = unsafe { std::slice::from_raw_parts(ptr, layout.size()) };
            assert!(bytes.iter().all(|&byte| byte == 0), "a zeroed block is not");
        }
        let block = Self { address: ptr as usize, layout, mark };
        block.write();
        block
    }

    fn server(&self) -> Server {
        match (self.layout.size(), self.layout.align()) {
            (size, align) if size <= LARGEST_SLOT && align <= LARGEST_SLOT => Server::Slab,
            (size, align) if size <= LARGEST_RUN && align <= GRANULE => Server::Medium,
            _ => Server::Large,
        }
    }

    fn ends(&self) -> [*mut u8; 2] {
        [self.address as *mut u8, (self.address + self.layout.size() - 1) as *mut u8]
    }

    fn write(&self) {
        for end in self.ends() {
            // SAFETY: inside the block, which is ours.
            unsafe { end.write(self.mark) };
        }
    }

    fn check(&self) {
        // SAFETY: as in `write`.
        let found = self.ends().map(|end| unsafe { end.read() });
        assert_eq!(found, [self.mark; 2], "the content of {:#x} changed", self.address);
    }

    fn free(self) {
        self.check();
        // SAFETY: made with this layout, freed once: `self` is consumed.
        unsafe { BucketAlloc.dealloc(self.address as *mut u8, self.layout) };
    }

    fn resize(&mut self, size: usize) {
        self.check();
        // SAFETY: made with this layout; the new size is not 0.
        let moved = unsafe { BucketAlloc.realloc(self.address as *mut u8, self.layout, size) };
        assert!(!moved.is_null());
        // SAFETY: the first byte was kept.
        assert_eq!(unsafe { moved.read() }, self.mark);
        self.address = moved as usize;
        self.layout = Layout::from_size_align(size, self.layout.align()).unwrap();
        self.write();
    }
}

/// Mostly small, some up to 32 KiB, few beyond; mostly at 8 or 16, some at 64, few at up to 128 KiB.
fn any_layout(random: &mut Random) -> Layout {
    let size = match random.below(200) {
        0 if random.below(20) == 0 => LARGEST_RUN / 2 + random.below(LARGEST_RUN),
        0 => LARGEST_SLOT + random.below(200_000),
        1..=3 => 1 + random.below(LARGEST_SLOT),
        4..=30 => 1 + random.below(2000),
        _ => 1 + random.below(256),
    };
    let align = match random.below(500) {
        0 => 1 << random.below(18),
        1..=40 => 64,
        _ => 1 << random.below(5),
    };
    Layout::from_size_align(size, align).unwrap()
}

fn work(seed: u64, gift: &Mutex<Vec<Block>>, held: &mut Vec<Block>, steps: usize) {
    let mut random = Random::new(seed);
    for _ in 0..steps {
        match random.below(100) {
            0..=46 if held.len() < HELD => held.push(Block::new(any_layout(&mut random), &mut random)),
            0..=51 if !held.is_empty() => {
                let block = random.below(held.len());
                held[block].resize(any_layout(&mut random).size());
            }
            // Leave a block for another thread to free, or free one that was left.
            52..=57 if !held.is_empty() => {
                let block = held.swap_remove(random.below(held.len()));
                gift.lock().push(block);
            }
            58..=63 => {
                let given = gift.lock().pop();
                given.into_iter().for_each(Block::free);
            }
            _ if !held.is_empty() => held.swap_remove(random.below(held.len())).free(),
            _ => {}
        }
    }
}

/// Compares the model with the masks. No thread is inside the allocator.
fn safepoint(blocks: &[&Block]) {
    let mut spans: Vec<(usize, usize)> =
        blocks.iter().map(|block| (block.address, block.address + block.layout.size())).collect();
    spans.sort_unstable();
    for pair in spans.windows(2) {
        assert!(pair[0].1 <= pair[1].0, "blocks overlap: {pair:x?}");
    }
    let pages = BucketAlloc.occupancy();
    for (usage, server) in [(PageUse::Slab, Server::Slab), (PageUse::Medium, Server::Medium)] {
        let mut masks: Vec<usize> = pages
            .iter()
            .filter(|page| page.usage == usage)
            .flat_map(|page| page.live_addresses().collect::<Vec<_>>())
            .collect();
        masks.sort_unstable();
        let mut model: Vec<usize> =
            blocks.iter().filter(|block| block.server() == server).map(|block| block.address).collect();
        model.sort_unstable();
        assert_eq!(masks.len(), model.len());
        assert_eq!(masks, model, "the masks differ from the model");
    }
    let in_pages =
        |address: &usize| pages.iter().any(|page| (page.base..page.base + page.bytes).contains(address));
    let mut large = blocks.iter().filter(|block| block.server() == Server::Large);
    assert!(!large.any(|block| in_pages(&block.address)));
    check_report(&BucketAlloc.report(), blocks);
}

fn check_report(report: &Report, blocks: &[&Block]) {
    let of = |server: Server| {
        let sizes = blocks.iter().filter(|block| block.server() == server).map(|block| block.layout.size());
        sizes.fold((0, 0), |(count, bytes), size| (count + 1, bytes + size))
    };
    assert_eq!((report.large.blocks, report.large.requested), of(Server::Large));
    let medium = || report.nodes.iter().map(|node| node.medium);
    let found = medium().fold((0, 0), |(count, bytes), node| (count + node.blocks, bytes + node.requested));
    assert_eq!(found, of(Server::Medium));
    assert!(medium().all(|node| node.requested <= node.committed && node.resident <= node.committed));
    let classes = || report.nodes.iter().flat_map(|node| &node.classes);
    let live = classes().map(|class| class.live).sum::<usize>();
    assert_eq!((live, classes().map(|class| class.requested).sum::<usize>()), of(Server::Slab));
    for class in classes() {
        assert!(class.live + class.window <= class.slots, "{class:?}");
        assert!(class.slots * class.slot_size <= class.committed, "{class:?}");
        assert!(class.resident <= class.committed, "{class:?}");
        assert!(class.requested <= class.live_bytes(), "{class:?}");
        assert!((0.0..=1.0).contains(&class.internal_fragmentation()), "{class:?}");
        assert!((0.0..=1.0).contains(&class.external_fragmentation()), "{class:?}");
    }
}

fn ten_million_operations_agree_with_the_model() {
    // A thread that fails would leave the others waiting at the barrier.
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        report(info);
        std::process::abort();
    }));
    let gift = Mutex::new(Vec::new());
    let held: Vec<Mutex<Vec<Block>>> = (0..THREADS).map(|_| Mutex::default()).collect();
    let barrier = Meeting::default();
    let steps = std::env::var("BUCKETMASK_STEPS").map_or(STEPS, |steps| steps.parse().unwrap());
    let safepoints = SAFEPOINTS.max(steps / (STEPS / SAFEPOINTS));
    let steps = steps / safepoints;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (gift, held, barrier) = (&gift, &held, &barrier);
                scope.spawn(move || {
                    for round in 0..safepoints {
                        let seed = (thread * safepoints + round) as u64;
                        work(seed, gift, &mut held[thread].lock(), steps);
                        if barrier.wait(THREADS) {
                            let guards: Vec<_> =
                                held.iter().chain([gift]).map(|blocks| blocks.lock()).collect();
                            let blocks: Vec<&Block> =
                                guards.iter().flat_map(|blocks| blocks.iter()).collect();
                            assert!(blocks.len() > steps / 100);
                            safepoint(&blocks);
                        }
                        barrier.wait(THREADS);
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
    });
    // The threads are gone; what they held is freed by this one.
    for blocks in held.into_iter().chain([gift]) {
        blocks.into_inner().into_iter().for_each(Block::free);
    }
    safepoint(&[]);
}

fn main() {
    common::run(&[(
        "ten_million_operations_agree_with_the_model",
        ten_million_operations_agree_with_the_model,
    )]);
}
