//! What `ci/gc-costs.sh` counts: inserts into and removals from a `GcMap`, and stores of GC pointers with and without their
//! barrier, as often as asked. Usage: `gc_costs CASE COUNT`.
//!
//! Run twice with different counts, the difference is what the steps cost, start and end of the process aside. Invariant: no
//! collection runs, so every barrier finds that nothing is being marked.

use std::hash::{BuildHasherDefault, Hasher};
use std::hint::black_box;

use bucketmask_gc::barrier::Unlock;
use bucketmask_gc::lock::Lock;
use bucketmask_gc::{Arena, Gc, Mutation, Rootable};
use bucketmask_map::GcMap;

/// A hash of two multiplications, so that the map's own work is most of what is counted.
#[derive(Default)]
struct Mixed(u64);

impl Hasher for Mixed {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        let spread = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = (spread ^ spread >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

type Map<'gc> = GcMap<'gc, u64, Gc<'gc, u64>, BuildHasherDefault<Mixed>>;
type Slot<'gc> = Lock<Gc<'gc, u64>>;

/// Objects that stores go to.
const OBJECTS: usize = 256;

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let [_, case, count] = &words[..] else {
        eprintln!("usage: gc_costs insert|insert-remove|store|store-bare|fill|fill-bare COUNT");
        std::process::exit(2);
    };
    let count: u64 = count.parse().unwrap_or(0);
    match case.as_str() {
        "insert" => map(count, false),
        "insert-remove" => map(count, true),
        "store" => stores(count, |mc, object, value| object.set(mc, value)),
        // SAFETY: no marking runs in this program, so no barrier has anything to do.
        "store-bare" => stores(count, |_, object, value| unsafe { object.unlock_unchecked() }.set(value)),
        "fill" => fills(count, |mc, array| {
            let array = Gc::write(mc, array);
            for at in 0..OBJECTS {
                let next = array[(at + 1) % OBJECTS].get();
                array[at].unlock().set(next);
            }
        }),
        "fill-bare" => fills(count, |_, array| {
            for at in 0..OBJECTS {
                let next = array[(at + 1) % OBJECTS].get();
                // SAFETY: as above.
                unsafe { array[at].unlock_unchecked() }.set(next);
            }
        }),
        other => {
            eprintln!("no such case: {other}");
            std::process::exit(2);
        }
    }
}

/// Inserts into a map that grows, and takes all out again.
fn map(count: u64, remove: bool) {
    let arena = Arena::<Rootable![Map<'_>]>::new(|mc| GcMap::with_hasher(mc, BuildHasherDefault::default()));
    arena.mutate(|mc, map| {
        let value = Gc::new(mc, 7);
        for key in 0..count {
            map.insert(mc, black_box(key), value);
        }
        for key in 0..if remove { count } else { 0 } {
            assert!(map.remove(mc, &black_box(key)).is_some());
        }
    });
    // What dropping it takes is nobody's insert.
    std::mem::forget(arena);
}

/// Single stores, each to another object.
fn stores(count: u64, store: impl for<'gc> Fn(&'gc Mutation<'gc>, Gc<'gc, Slot<'gc>>, Gc<'gc, u64>)) {
    let arena = Arena::<Rootable![Vec<Gc<'_, Slot<'_>>>]>::new(|mc| {
        (0..OBJECTS as u64).map(|number| Gc::new(mc, Lock::new(Gc::new(mc, number)))).collect()
    });
    let sum = arena.mutate(|mc, objects| {
        let mut state = 1_u64;
        for _ in 0..count {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let (to, from) = (objects[state as usize % OBJECTS], objects[(state >> 32) as usize % OBJECTS]);
            store(mc, to, from.get());
        }
        objects.iter().map(|object| *object.get()).sum::<u64>()
    });
    black_box(sum);
}

type Filled<'gc> = Gc<'gc, Vec<Slot<'gc>>>;

/// Arrays filled as a whole; a step is one store.
fn fills(count: u64, fill: impl for<'gc> Fn(&'gc Mutation<'gc>, Filled<'gc>)) {
    let arena = Arena::<Rootable![Filled<'_>]>::new(|mc| {
        Gc::new(mc, (0..OBJECTS as u64).map(|number| Lock::new(Gc::new(mc, number))).collect())
    });
    arena.mutate(|mc, array| (0..count / OBJECTS as u64).for_each(|_| fill(mc, *array)));
    black_box(arena.mutate(|_, array| *array[0].get()));
}
