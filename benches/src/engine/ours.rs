//! The program on our own side: bucketmask's collector with a `GcMap` in the root. Owned by a child process that runs on
//! the bucket allocator. Invariant: nothing of the peers is in it.

use bucketmask_gc::{Arena, Rootable};
use bucketmask_map::GcMap;

use super::{Census, Engine, Hasher, entry_checksum, table_hasher};
use crate::protocol::{Cycle, Shape, Walk};
use crate::token::Identifiers;

postings_over!(bucketmask_gc);

type Index<'gc> = GcMap<'gc, Identifier, PostingsPtr<'gc>, Hasher>;

/// bucketmask's collector and map.
pub struct Ours {
    arena: Arena<Rootable![Index<'_>]>,
}

impl Engine for Ours {
    const OBJECT_BYTES: [usize; 2] = OBJECT_BYTES;

    fn new() -> Self {
        // The map behaves as any other; only a collection that is told to walk flat can tell.
        Self { arena: Arena::new(|mc| GcMap::for_flat_walks(mc, table_hasher())) }
    }

    fn add(&mut self, file: u32, text: &str) -> u64 {
        self.arena.mutate(|mc, index| {
            let mut tokens = 0;
            for (line, identifier) in Identifiers::new(text) {
                let postings = index.get(identifier).unwrap_or_else(|| {
                    let postings = no_postings(mc);
                    index.insert(mc, Identifier(identifier.into()), postings);
                    postings
                });
                push(mc, postings, Place { file, line });
                tokens += 1;
            }
            tokens
        })
    }

    fn retain(&mut self, keep: impl Fn(&str) -> bool) -> u64 {
        self.arena.mutate(|mc, index| {
            let before = index.len();
            index.retain(mc, |identifier, _| keep(&identifier.0));
            (before - index.len()) as u64
        })
    }

    fn query(&self, identifier: &str, found: impl FnMut(Place)) -> bool {
        self.arena.mutate(|_, index| index.get(identifier).map(|postings| visit(postings, found)).is_some())
    }

    fn identifiers(&self, wanted: impl Fn(&str) -> bool) -> Vec<String> {
        self.arena.mutate(|_, index| {
            let mut identifiers = Vec::new();
            index.for_each(|identifier, _| {
                if wanted(&identifier.0) {
                    identifiers.push(identifier.0.to_string());
                }
            });
            identifiers
        })
    }

    fn collect(&mut self, walk: Walk) -> Cycle {
        self.arena.set_walk(match walk {
            Walk::Native => bucketmask_gc::Walk::Mask,
            Walk::Flat => bucketmask_gc::Walk::Flat,
        });
        self.arena.finish_cycle();
        let report = self.arena.last_cycle();
        Cycle {
            mark_ns: report.mark_time.as_nanos() as u64,
            sweep_ns: report.sweep_time.as_nanos() as u64,
            scanned: report.slots_scanned as u64,
            skipped: report.slots_skipped as u64,
        }
    }

    fn has_flat(&self) -> bool {
        true
    }

    fn census(&self) -> Census {
        self.arena.mutate(|_, index| {
            let mut census = Census::default();
            index.for_each(|identifier, &postings| {
                let mut sum = 0;
                let chunks = visit(postings, |place| sum = place.fold(sum));
                census.add(chunks, entry_checksum(&identifier.0, sum));
            });
            census
        })
    }

    fn shape(&self) -> Shape {
        let stats = self.arena.mutate(|_, index| index.stats());
        Shape {
            entries: stats.live as u64,
            slots: stats.slots as u64,
            buckets: stats.buckets as u64,
            pages: self.arena.last_cycle().pages as u64,
        }
    }
}
