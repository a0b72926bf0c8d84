//! The Redis shape, after Powers et al., "Mesh: compacting memory management for C/C++ applications" (PLDI 2019), which
//! took it from the tests of Redis' own defragmentation: a cache of 100 MB that evicts by sampled age is filled with 700
//! thousand values of 240 bytes, so that about half of them are trimmed again, and refilled with 170 thousand values of 492.

use std::time::Instant;

use crate::memory::Footprint;
use crate::peer::Peer;
use crate::workload::block::Block;
use crate::workload::{Ran, Scale, Settled, survivors};

/// Bytes of a key's text with its header.
const KEY: usize = 24;
/// Bytes of an entry in the dictionary, and of the object that points to a value.
const ENTRY: usize = 40;
/// Looks at so many entries, and evicts the oldest of them.
const SAMPLES: usize = 5;

/// One key of the cache, in the three blocks that it takes.
struct Entry<A: Peer> {
    key: Block<A>,
    dictionary: Block<A>,
    value: Block<A>,
    age: u64,
}

impl<A: Peer> Entry<A> {
    fn new(allocator: A, value: usize, age: u64) -> Self {
        let mut value = Block::new(allocator, value);
        value.fill();
        Self { key: Block::new(allocator, KEY), dictionary: Block::new(allocator, ENTRY), value, age }
    }

    fn bytes(&self) -> usize {
        self.key.size() + self.dictionary.size() + self.value.size()
    }
}

/// The cache.
struct Cache<A: Peer> {
    /// The first `len` are there. The table is as long as it ever gets from the start on, so that it is not taken for
    /// what the entries cost.
    entries: Vec<Option<Entry<A>>>,
    len: usize,
    bytes: usize,
    limit: usize,
    rng: fastrand::Rng,
}

impl<A: Peer> Cache<A> {
    fn insert(&mut self, allocator: A, value: usize, age: u64) {
        let entry = Entry::new(allocator, value, age);
        self.bytes += entry.bytes();
        self.entries[self.len] = Some(entry);
        self.len += 1;
        while self.bytes > self.limit {
            self.evict();
        }
    }

    fn evict(&mut self) {
        let age = |entry: &Option<Entry<A>>| entry.as_ref().map(|entry| entry.age);
        let sampled = (0..SAMPLES).map(|_| self.rng.usize(0..self.len));
        let oldest = sampled.min_by_key(|&idx| age(&self.entries[idx])).unwrap_or_default();
        self.len -= 1;
        self.entries.swap(oldest, self.len);
        self.bytes -= self.entries[self.len].take().map_or(0, |entry| entry.bytes());
    }
}

#[inline(never)]
pub(super) fn run<A: Peer>(allocator: A, scale: Scale) -> Ran {
    let unit = scale.pick(100_usize, 50, 1);
    let limit = unit * 1_000_000;
    let most = limit / (KEY + ENTRY + 240) + 1000;
    let entries = (0..most).map(|_| None).collect();
    let mut cache = Cache { entries, len: 0, bytes: 0, limit, rng: fastrand::Rng::with_seed(13) };
    let before = Footprint::now().resident;
    let start = Instant::now();
    let phases = [(7000 * unit, 240), (1700 * unit, 492)];
    let (mut age, mut checksum) = (0, 0);
    for (count, value) in phases {
        for _ in 0..count {
            cache.insert(allocator, value, age);
            age += 1;
            checksum += cache.len as u64;
        }
    }
    let ran = Ran::new(age, start, checksum);
    let busy = Footprint::now().resident;
    scale.idle();
    let idle = Footprint::now().resident;
    let live = cache.bytes as u64;
    let values: Vec<Block<A>> = cache
        .entries
        .into_iter()
        .flatten()
        .flat_map(|entry| [entry.key, entry.dictionary, entry.value])
        .collect();
    let settled = Settled { before, busy, idle, live, ..survivors::judge(values.iter()) };
    Ran { settled: Some(settled), ..ran }
}
