//! The Redis shape, after Powers et al., "Mesh: compacting memory management for C/C++ applications" (PLDI 2019), which
//! took it from the tests of Redis' own defragmentation: a cache of 100 MB that evicts the least recent is filled with 700
//! thousand values of 240 bytes, so that about half of them are trimmed again, and refilled with 170 thousand values of 492.
//! Eviction is as the Redis manual describes it: a few sampled keys compete with the best candidates of earlier samplings,
//! which comes near to true age order.

use std::time::Instant;

use crate::memory::Footprint;
use crate::peer::Peer;
use crate::workload::block::Block;
use crate::workload::{Ran, Scale, Settled, survivors};

/// Bytes of a key's text with its header.
const KEY: usize = 24;
/// Bytes of an entry in the dictionary, and of the object that points to a value.
const ENTRY: usize = 40;
/// Keys sampled an eviction.
const SAMPLES: usize = 5;
/// Candidates kept from one eviction to the next.
const POOL: usize = 16;

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
    /// The first `len` are there. The tables are as long as they ever get from the start on, so that they are not taken
    /// for what the entries cost.
    entries: Vec<Option<Entry<A>>>,
    len: usize,
    /// Where the entry of each age lies.
    places: Vec<u32>,
    /// Ages of candidates for eviction, ascending: the oldest entry has the least.
    pool: Vec<u64>,
    bytes: usize,
    limit: usize,
    rng: fastrand::Rng,
}

impl<A: Peer> Cache<A> {
    fn new(limit: usize, inserts: usize) -> Self {
        let most = limit / (KEY + ENTRY + 240) + 1000;
        Self {
            entries: (0..most).map(|_| None).collect(),
            len: 0,
            // Not 0, which the system would give without giving memory.
            places: vec![u32::MAX; inserts],
            pool: Vec::with_capacity(POOL + 1),
            bytes: 0,
            limit,
            rng: fastrand::Rng::with_seed(13),
        }
    }

    fn insert(&mut self, allocator: A, value: usize, age: u64) {
        let entry = Entry::new(allocator, value, age);
        self.bytes += entry.bytes();
        self.put(self.len, entry);
        self.len += 1;
        while self.bytes > self.limit {
            self.sample();
            let oldest = self.pool.remove(0);
            self.evict(self.places[oldest as usize] as usize);
        }
    }

    fn put(&mut self, place: usize, entry: Entry<A>) {
        self.places[entry.age as usize] = place as u32;
        self.entries[place] = Some(entry);
    }

    /// Lets some keys compete for the pool.
    fn sample(&mut self) {
        for _ in 0..SAMPLES {
            let sampled = self.rng.usize(0..self.len);
            let age = self.entries[sampled].as_ref().map_or(0, |entry| entry.age);
            if let Err(rank) = self.pool.binary_search(&age) {
                self.pool.insert(rank, age);
                self.pool.truncate(POOL);
            }
        }
    }

    /// Removes an entry; the last one takes its place.
    fn evict(&mut self, place: usize) {
        self.bytes -= self.entries[place].take().map_or(0, |entry| entry.bytes());
        self.len -= 1;
        if let Some(last) = self.entries[self.len].take() {
            self.put(place, last);
        }
    }
}

#[inline(never)]
pub(super) fn run<A: Peer>(allocator: A, scale: Scale) -> Ran {
    let unit = scale.pick(100_usize, 50, 1);
    let limit = unit * 1_000_000;
    let mut cache = Cache::new(limit, 8700 * unit);
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
