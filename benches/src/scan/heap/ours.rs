//! Our own map: a `GcMap` in an arena's root. Invariant: walking it flat or by mask changes how slots are found, and
//! nothing else.

use bucketmask_gc::{Arena, Gc, Rootable, Walk};
use bucketmask_map::GcMap;

use super::{Heap, Wave, value_of};
use crate::engine::{Hasher, table_hasher};

type Map<'gc> = GcMap<'gc, u64, Gc<'gc, u64>, Hasher>;

/// bucketmask's collector and map.
pub(in crate::scan) struct Ours {
    arena: Arena<Rootable![Map<'_>]>,
}

impl Ours {
    /// Makes the next collections test every slot singly, or walk by mask again.
    pub(in crate::scan) fn set_flat(&mut self, flat: bool) {
        self.arena.set_walk(if flat { Walk::Flat } else { Walk::Mask });
    }

    /// Bytes of the map's slots.
    pub(in crate::scan) fn slot_bytes(&self) -> usize {
        self.arena.mutate(|_, map| map.stats().slots * size_of::<(u64, Gc<'_, u64>)>())
    }
}

impl Heap for Ours {
    fn filled(entries: u64) -> Self {
        let arena = Arena::<Rootable![Map<'_>]>::new(|mc| GcMap::for_flat_walks(mc, table_hasher()));
        arena.mutate(|mc, map| {
            for key in 0..entries {
                map.insert(mc, key, Gc::new(mc, value_of(key)));
            }
        });
        Self { arena }
    }

    fn thin_out(&mut self, wave: Wave) {
        self.arena.mutate(|mc, map| map.retain(mc, |&key, _| wave.keeps(key)));
    }

    fn collect(&mut self) -> u64 {
        self.arena.finish_cycle();
        self.arena.metrics().total_gc_count() as u64
    }

    fn live(&self) -> u64 {
        self.arena.mutate(|_, map| map.len() as u64)
    }

    fn checksum(&self) -> u64 {
        self.arena.mutate(|_, map| {
            let mut sum = 0_u64;
            map.for_each(|key, value| sum = sum.wrapping_add(key.wrapping_add(**value)));
            sum
        })
    }
}
