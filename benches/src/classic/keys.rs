//! Keys of one length, their hashes and their values: the same for every side. A case owns them. Invariant: keys that are in and
//! keys that are sought in vain are drawn from different seeds, and hashing a key is the same code on every side.

use std::hash::{BuildHasher, Hash, Hasher};

use crate::engine::table_hasher;

/// A key of `K` bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub(super) struct Key<const K: usize>(pub(super) [u8; K]);

impl<const K: usize> Hash for Key<K> {
    #[inline(always)]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(&self.0);
    }
}

/// The hash that every side takes.
#[inline(always)]
pub(super) fn hash<const K: usize>(key: &Key<K>) -> u64 {
    table_hasher().hash_one(key)
}

/// What a case's tables hold and what is asked of them.
pub(super) struct Keys<const K: usize> {
    /// Each in a block of its own, as keys behind a pointer are.
    pub(super) own: Vec<Box<[u8; K]>>,
    /// What the entries point to; never read by a lookup.
    pub(super) values: Vec<u64>,
    /// Keys that are in, in random order.
    pub(super) hits: Vec<Key<K>>,
    /// As many that are not.
    pub(super) misses: Vec<Key<K>>,
}

impl<const K: usize> Keys<K> {
    /// `entries` keys and `picks` lookups of each kind.
    pub(super) fn new(entries: usize, picks: usize) -> Self {
        let mut random = fastrand::Rng::with_seed(0x636c_6173 + K as u64);
        let own: Vec<_> = (0..entries).map(|_| Box::new(draw(&mut random))).collect();
        let hits = (0..picks).map(|_| Key(*own[random.usize(..entries)])).collect();
        let mut others = fastrand::Rng::with_seed(0x6d69_7373 + K as u64);
        let misses = (0..picks).map(|_| Key(draw(&mut others))).collect();
        Self { own, values: (0..entries as u64).collect(), hits, misses }
    }
}

fn draw<const K: usize>(random: &mut fastrand::Rng) -> [u8; K] {
    let mut bytes = [0; K];
    random.fill(&mut bytes);
    bytes
}
