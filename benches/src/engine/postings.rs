//! The GC objects of the index: a postings list an identifier, a linked list of chunks of places, newest first. Generated
//! for each collector from one text, because both have the same names. Invariant: the two sides differ in nothing but the
//! crate that the names come from.

/// Where an identifier stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Number of the file in the input.
    pub file: u32,
    /// Line, from 1.
    pub line: u32,
}

impl Place {
    /// Folds this place into a running checksum that depends on the order.
    pub const fn fold(self, sum: u64) -> u64 {
        let word = ((self.file as u64) << 32) | self.line as u64;
        (sum.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95)
    }
}

/// Places in a chunk: with the link, the count and the lock it fills one cache line.
pub(super) const CHUNK_PLACES: usize = 5;

/// Defines `Postings`, `Chunk` and `Identifier` over the collector crate `$gc`.
macro_rules! postings_over {
    ($gc:ident) => {
        use $gc::{Collect, Gc, Mutation, RefLock};

        use $crate::engine::postings::{CHUNK_PLACES, Place};

        /// A key of the index.
        #[derive(Clone, Debug, PartialEq, Eq, Hash, Collect)]
        #[collect(require_static)]
        pub(super) struct Identifier(pub(super) Box<str>);

        impl std::borrow::Borrow<str> for Identifier {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        type ChunkPtr<'gc> = Gc<'gc, RefLock<Chunk<'gc>>>;

        /// Some places of one identifier and a link to older ones.
        #[derive(Collect)]
        #[collect(no_drop)]
        pub(super) struct Chunk<'gc> {
            #[collect(require_static)]
            places: [Place; CHUNK_PLACES],
            used: u32,
            older: Option<ChunkPtr<'gc>>,
        }

        /// All places of one identifier.
        #[derive(Collect)]
        #[collect(no_drop)]
        pub(super) struct Postings<'gc> {
            newest: Option<ChunkPtr<'gc>>,
        }

        pub(super) type PostingsPtr<'gc> = Gc<'gc, RefLock<Postings<'gc>>>;

        /// Bytes of the two object types, for reports.
        pub(super) const OBJECT_BYTES: [usize; 2] =
            [size_of::<RefLock<Postings<'static>>>(), size_of::<RefLock<Chunk<'static>>>()];

        pub(super) fn no_postings<'gc>(mc: &Mutation<'gc>) -> PostingsPtr<'gc> {
            Gc::new(mc, RefLock::new(Postings { newest: None }))
        }

        /// Adds a place; starts a new chunk when the newest is full.
        pub(super) fn push<'gc>(mc: &Mutation<'gc>, postings: PostingsPtr<'gc>, place: Place) {
            let newest = postings.borrow().newest;
            if let Some(chunk) = newest {
                let used = chunk.borrow().used as usize;
                if used < CHUNK_PLACES {
                    let mut chunk = chunk.borrow_mut(mc);
                    chunk.places[used] = place;
                    chunk.used += 1;
                    return;
                }
            }
            let mut places = [Place::default(); CHUNK_PLACES];
            places[0] = place;
            let chunk = Gc::new(mc, RefLock::new(Chunk { places, used: 1, older: newest }));
            postings.borrow_mut(mc).newest = Some(chunk);
        }

        /// Calls `found` with each place, newest first; gives the number of chunks.
        pub(super) fn visit(postings: PostingsPtr<'_>, mut found: impl FnMut(Place)) -> u64 {
            let mut chunks = 0;
            let mut next = postings.borrow().newest;
            while let Some(chunk) = next {
                let chunk = chunk.borrow();
                chunk.places[..chunk.used as usize].iter().rev().for_each(|&place| found(place));
                next = chunk.older;
                chunks += 1;
            }
            chunks
        }
    };
}
