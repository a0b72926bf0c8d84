//! The peer's map: hashbrown behind a `RefLock` in a gc-arena root. Invariant: nothing of bucketmask's collector or map is
//! in it; the allocator under it is the process's.

use gc_arena::{Arena, Gc, RefLock, Rootable};
use hashbrown::HashMap;

use super::{Heap, Wave, value_of};
use crate::engine::{Hasher, table_hasher};

type Map<'gc> = Gc<'gc, RefLock<HashMap<u64, Gc<'gc, u64>, Hasher>>>;

/// gc-arena and hashbrown.
pub(in crate::scan) struct Peer {
    arena: Arena<Rootable![Map<'_>]>,
}

impl Heap for Peer {
    fn filled(entries: u64) -> Self {
        let arena = Arena::<Rootable![Map<'_>]>::new(|mc| {
            Gc::new(mc, RefLock::new(HashMap::with_hasher(table_hasher())))
        });
        arena.mutate(|mc, map| {
            let mut map = map.borrow_mut(mc);
            for key in 0..entries {
                map.insert(key, Gc::new(mc, value_of(key)));
            }
        });
        Self { arena }
    }

    fn thin_out(&mut self, wave: Wave) {
        self.arena.mutate(|mc, map| map.borrow_mut(mc).retain(|&key, _| wave.keeps(key)));
    }

    fn collect(&mut self) -> u64 {
        self.arena.finish_cycle();
        self.arena.metrics().total_gc_count() as u64
    }

    fn live(&self) -> u64 {
        self.arena.mutate(|_, map| map.borrow().len() as u64)
    }

    fn checksum(&self) -> u64 {
        self.arena.mutate(|_, map| {
            map.borrow().iter().fold(0_u64, |sum, (key, value)| sum.wrapping_add(key.wrapping_add(**value)))
        })
    }
}
