//! Purges against everything else: threads fill, resize and free blocks of every kind, and leave some to
//! each other, while memory is given to the kernel all the time. No live block ever loses a byte.

mod common;

use std::alloc::{GlobalAlloc, Layout};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bucketmask_alloc::BucketAlloc;
use common::Random;
use parking_lot::Mutex;

const THREADS: usize = 3;
const TIME: Duration = Duration::from_secs(2);
/// Blocks a thread holds about.
const HELD: usize = 600;

struct Block {
    address: usize,
    layout: Layout,
    mark: u8,
}

impl Block {
    fn new(random: &mut Random) -> Self {
        let layout = Layout::from_size_align(any_size(random), 8).unwrap();
        let zeroed = random.below(4) == 0;
        // SAFETY: not of size 0.
        let ptr =
            unsafe { if zeroed { BucketAlloc.alloc_zeroed(layout) } else { BucketAlloc.alloc(layout) } };
        let block = Self { address: ptr as usize, layout, mark: random.next() as u8 };
        if zeroed {
            block.expect(0);
        }
        block.write();
        block
    }

    fn write(&self) {
        // SAFETY: a live block of that size.
        unsafe { (self.address as *mut u8).write_bytes(self.mark, self.layout.size()) };
    }

    fn expect(&self, mark: u8) {
        // SAFETY: a live block of that size.
        let bytes = unsafe { std::slice::from_raw_parts(self.address as *const u8, self.layout.size()) };
        assert!(bytes.iter().all(|&byte| byte == mark), "a block of {} lost its content", bytes.len());
    }

    fn resize(&mut self, size: usize) {
        self.expect(self.mark);
        // SAFETY: made with this layout; not of size 0 then.
        let moved = unsafe { BucketAlloc.realloc(self.address as *mut u8, self.layout, size) };
        let kept = self.layout.size().min(size);
        *self = Self { address: moved as usize, layout: Layout::from_size_align(kept, 8).unwrap(), ..*self };
        self.expect(self.mark);
        self.layout = Layout::from_size_align(size, 8).unwrap();
        self.write();
    }

    fn free(self) {
        self.expect(self.mark);
        // SAFETY: made with this layout, freed once.
        unsafe { BucketAlloc.dealloc(self.address as *mut u8, self.layout) };
    }
}

/// Mostly blocks of which several share an OS page or few, some that lie on several.
fn any_size(random: &mut Random) -> usize {
    match random.below(40) {
        0 => 33_000 + random.below(300_000),
        1..=8 => 4096 + random.below(12_000),
        9..=25 => 256 + random.below(3000),
        _ => 1 + random.below(200),
    }
}

fn work(seed: usize, gift: &Mutex<Vec<Block>>, stop: &AtomicBool) -> usize {
    let mut random = Random::new(seed as u64);
    let mut held = Vec::new();
    let mut steps = 0;
    while !stop.load(Ordering::Relaxed) {
        steps += 1;
        // Ebb and flow: pages fill up and empty again.
        let wanted = if steps / 2000 % 2 == 0 { HELD } else { HELD / 20 };
        if held.len() < wanted {
            held.push(Block::new(&mut random));
        } else {
            let block: Block = held.swap_remove(random.below(held.len()));
            if random.below(8) == 0 { gift.lock().push(block) } else { block.free() }
        }
        if random.below(10) == 0 && !held.is_empty() {
            let block = random.below(held.len());
            held[block].resize(any_size(&mut random));
        }
        if random.below(8) == 0 {
            let given = gift.lock().pop();
            given.into_iter().for_each(Block::free);
        }
    }
    held.into_iter().for_each(Block::free);
    steps
}

fn live_blocks_keep_every_byte() {
    BucketAlloc.set_purge_delay(Some(Duration::from_millis(1)));
    let (gift, stop, given) = (Mutex::new(Vec::new()), AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (gift, stop) = (&gift, &stop);
                scope.spawn(move || work(thread, gift, stop))
            })
            .collect();
        let begun = Instant::now();
        while begun.elapsed() < TIME {
            given.fetch_add(BucketAlloc.purge(), Ordering::Relaxed);
        }
        stop.store(true, Ordering::Relaxed);
        for thread in threads {
            assert!(thread.join().unwrap() > 1000);
        }
    });
    assert!(given.into_inner() > 1 << 20, "hardly anything was given back: the test tests nothing");
    gift.into_inner().into_iter().for_each(Block::free);
}

fn main() {
    common::run(&[("live_blocks_keep_every_byte", live_blocks_keep_every_byte)]);
}
