//! The program's peer: gc-arena with a hashbrown map behind a `RefLock` in the root. Owned by a child process that runs on
//! mimalloc. Invariant: nothing of bucketmask is in it.

use std::time::Instant;

use gc_arena::{Arena, Rootable};
use hashbrown::HashMap;

use super::{Census, Engine, Hasher, entry_checksum, table_hasher};
use crate::protocol::{Cycle, Shape, Walk};
use crate::token::Identifiers;

postings_over!(gc_arena);

/// hashbrown probes groups of 16 control bytes and keeps one slot in eight free.
const GROUP: u64 = 16;

type Index<'gc> = HashMap<Identifier, PostingsPtr<'gc>, Hasher>;

#[derive(Collect)]
#[collect(no_drop)]
struct Root<'gc> {
    index: Gc<'gc, RefLock<Index<'gc>>>,
}

/// gc-arena and hashbrown.
pub struct Peer {
    arena: Arena<Rootable![Root<'_>]>,
}

impl Engine for Peer {
    const OBJECT_BYTES: [usize; 2] = OBJECT_BYTES;

    fn new() -> Self {
        let arena =
            Arena::new(|mc| Root { index: Gc::new(mc, RefLock::new(HashMap::with_hasher(table_hasher()))) });
        Self { arena }
    }

    fn add(&mut self, file: u32, text: &str) -> u64 {
        self.arena.mutate(|mc, root| {
            let mut index = root.index.borrow_mut(mc);
            let mut tokens = 0;
            for (line, identifier) in Identifiers::new(text) {
                let postings = index.get(identifier).copied().unwrap_or_else(|| {
                    let postings = no_postings(mc);
                    index.insert(Identifier(identifier.into()), postings);
                    postings
                });
                push(mc, postings, Place { file, line });
                tokens += 1;
            }
            tokens
        })
    }

    fn retain(&mut self, keep: impl Fn(&str) -> bool) -> u64 {
        self.arena.mutate(|mc, root| {
            let mut index = root.index.borrow_mut(mc);
            let before = index.len();
            index.retain(|identifier, _| keep(&identifier.0));
            (before - index.len()) as u64
        })
    }

    fn query(&self, identifier: &str, found: impl FnMut(Place)) -> bool {
        self.arena.mutate(|_, root| {
            let postings = root.index.borrow().get(identifier).copied();
            postings.map(|postings| visit(postings, found)).is_some()
        })
    }

    fn identifiers(&self, wanted: impl Fn(&str) -> bool) -> Vec<String> {
        self.arena.mutate(|_, root| {
            let index = root.index.borrow();
            index.keys().filter(|key| wanted(&key.0)).map(|key| key.0.to_string()).collect()
        })
    }

    fn collect(&mut self, _walk: Walk) -> Cycle {
        let start = Instant::now();
        let marked = self.arena.finish_marking();
        let mark_ns = start.elapsed().as_nanos() as u64;
        if let Some(marked) = marked {
            marked.start_sweeping();
        }
        self.arena.finish_cycle();
        let sweep_ns = start.elapsed().as_nanos() as u64 - mark_ns;
        Cycle { mark_ns, sweep_ns, scanned: 0, skipped: 0 }
    }

    fn has_flat(&self) -> bool {
        false
    }

    fn census(&self) -> Census {
        self.arena.mutate(|_, root| {
            let mut census = Census::default();
            for (identifier, &postings) in root.index.borrow().iter() {
                let mut sum = 0;
                let chunks = visit(postings, |place| sum = place.fold(sum));
                census.add(chunks, entry_checksum(&identifier.0, sum));
            }
            census
        })
    }

    fn shape(&self) -> Shape {
        self.arena.mutate(|_, root| {
            let index = root.index.borrow();
            // One control byte a slot, and a group's worth more; `capacity` would shrink with each tombstone.
            let slot_bytes = size_of::<(Identifier, PostingsPtr<'_>)>() + 1;
            let slots = (index.allocation_size().saturating_sub(GROUP as usize) / slot_bytes) as u64;
            Shape { entries: index.len() as u64, slots, buckets: slots / GROUP, pages: 0 }
        })
    }
}
