//! What `ci/probes.sh` looks at through the probes: a table that grows, lookups, a graph that is collected while it changes, and
//! memory that goes back. The same each time. Usage: `probed [COUNT]`, 20000 unless said.

use std::hash::{BuildHasherDefault, DefaultHasher};

use bucketmask_alloc::BucketAlloc;
use bucketmask_gc::{Arena, Gc, RefLock, Rootable};
use bucketmask_map::HashMap;

#[global_allocator]
static ALLOCATOR: BucketAlloc = BucketAlloc::new();

/// Hashes without a seed.
type Hasher = BuildHasherDefault<DefaultHasher>;

fn main() {
    let count = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(20_000u64);
    let mut map = HashMap::<u64, u64, Hasher>::default();
    for key in 0..count {
        map.insert(key, key * key);
    }
    let found: u64 = (0..count).filter_map(|key| map.get(&(2 * key))).sum();

    let mut arena =
        Arena::<Rootable![Gc<'_, RefLock<Vec<Gc<'_, u64>>>>]>::new(|mc| Gc::new(mc, RefLock::default()));
    for number in 0..count {
        if number % 100 == 50 {
            arena.finish_marking();
        }
        arena.mutate(|mc, numbers| {
            let number = Gc::new(mc, number);
            numbers.borrow_mut(mc).push(number);
            if numbers.borrow().len() > 100 {
                numbers.borrow_mut(mc).clear();
            }
        });
        if number % 100 == 99 {
            arena.finish_cycle();
        }
    }
    let blocks: Vec<Vec<u8>> = (0..count / 10).map(|_| vec![1; 3000]).collect();
    drop(blocks);
    println!("{found} found, {} given", ALLOCATOR.purge() > 0);
}
