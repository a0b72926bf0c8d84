//! Two reads of a concurrent map, as functions of their own whose machine code `ci/concurrent-reads.sh` looks at.
//!
//! Invariant: each is compiled as its callers would compile it, but for the call itself.

use bucketmask_map::ConcurrentMap;
use bucketmask_map::concurrent::Guard;
use std::hash::{BuildHasherDefault, DefaultHasher, Hasher};
use std::hint::black_box;

/// A hasher of one instruction, so that the code is the map's.
#[derive(Default)]
struct Multiply(u64);

impl Hasher for Multiply {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        let mut other = DefaultHasher::new();
        other.write(bytes);
        self.0 = other.finish();
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = word.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    }
}

type Build = BuildHasherDefault<Multiply>;
type Map = ConcurrentMap<u64, u64, Build>;

/// A read under a guard that is there.
#[inline(never)]
fn read_under_a_guard(guard: &Guard<'_, u64, u64, Build>, key: u64) -> u64 {
    guard.get(&key).copied().unwrap_or(0)
}

/// A read with a guard of its own.
#[inline(never)]
fn read_with_a_guard(map: &Map, key: u64) -> u64 {
    map.pin().get(&key).copied().unwrap_or(0)
}

fn main() {
    let map = Map::default();
    for key in 0..1000 {
        map.insert(key, key + 1);
    }
    let guard = map.pin();
    for key in 0..1100 {
        let expected = if key < 1000 { key + 1 } else { 0 };
        assert_eq!(black_box(read_under_a_guard(&guard, black_box(key))), expected);
        assert_eq!(black_box(read_with_a_guard(&map, black_box(key))), expected);
    }
    println!("two ways to read, one answer");
}
