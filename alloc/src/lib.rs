//! A slab allocator whose masks tell the truth.
//!
//! Install [`BucketAlloc`] as the global allocator, ask it for a [`Report`], or build on its floors:
//! [`BucketMask`] (which slots are occupied), [`Range`] (reserved room for tables that grow in place)
//! and [`lend`](fn@lend) (bucket pages for a collector). All memory is of one region with a span for
//! each NUMA node.
//!
//! From the outside in. Two calls go outward, both on slow paths: a region that was made registers the
//! fork handlers, and a heap that needs a fresh page has idle heaps' inboxes drained first.
//!
//! ```text
//! global       BucketAlloc, the face             report, occupancy   what is where
//! raw          a face without layouts, for C     sample              what was asked for there
//! registry     which thread has which heap       lend                pages for a collector
//! slot         a thread's pointer to its heap
//! heap         pages a thread owns               range               room for growing tables
//! window       the free slots it hands out       roster              the heaps, for a look at all pages
//!                                                placement           which node pages lie on
//! pending      frees on their way to others      large               mimalloc, for what is large
//! medium       runs of granules, over 32 KiB     purge               memory back to the kernel
//!                                                holes               ... inside pages
//!                                                purger, thread      ... and when
//!                                                ahead               memory before it is touched
//! list         pages with free slots
//! span         one node's memory, as pages
//! side         ... as chunks and granules        metas               ... the pages' metadata
//! region       the reserved address range        node                which nodes there are, who serves whom
//! node_set     nodes by the kernel's numbers     sysfs               what the system says of them
//! page         a page's metadata                 granule             address -> page and slot
//! remote       how frees reach another thread    class               size classes
//! lock, sys    futex lock, kernel calls          fault, fork         broken uses; forks
//!                                                gate                which keep mimalloc out
//!                                                site                where blocks were made (`checked`)
//!                                                memstate            in what state memory is (`checked`)
//!                                                trace               what was asked for, in a file
//!                                                events              what was done, as lines (`BUCKETMASK_TRACE`)
//!                                                probes              where debuggers can stop (`probes`)
//! mask         BucketMask, the ground floor      sync                orderings as types, ring and channel
//! linear       all there is on WebAssembly, beside mask and sync
//! ```
//!
//! The cfg `bucketmask_portable` turns everything off that needs a certain processor or kernel: no
//! NUMA calls, no futex, no prefetch.

#![deny(unsafe_code)]

pub mod mask;
pub mod sync;

pub use mask::BucketMask;

cfg_if::cfg_if! {
    if #[cfg(target_family = "wasm")] {
        mod linear;
        use linear as thread;

        pub use crate::linear::{BucketAlloc, Range, prefetch};
    } else {
        mod ahead;
        mod class;
        #[doc(hidden)]
        pub mod events;
        mod fault;
        mod fork;
        #[cfg(feature = "frames")]
        pub mod frames;
        mod gate;
        mod global;
        mod granule;
        #[cfg(feature = "checked")]
        mod granule_table;
        mod heap;
        mod holes;
        #[cfg(test)]
        mod kept;
        mod large;
        mod lend;
        mod list;
        mod lock;
        mod medium;
        #[cfg(feature = "checked")]
        pub mod memstate;
        mod metas;
        mod node;
        mod node_set;
        mod occupancy;
        mod page;
        mod parked;
        mod pending;
        mod placement;
        mod probes;
        mod purge;
        mod purger;
        mod range;
        pub mod raw;
        mod region;
        mod registry;
        mod remote;
        mod report;
        mod roster;
        mod sample;
        mod side;
        #[cfg(feature = "checked")]
        mod site;
        #[cfg(not(feature = "checked"))]
        #[path = "no_site.rs"]
        mod site;
        mod slot;
        mod span;
        mod sys;
        mod sysfs;
        mod thread;
        pub mod trace;
        mod window;

        pub use crate::{
            global::BucketAlloc,
            lend::{LentPage, Located, Locator, PageRequest, PageShape, Shaped, give_back, lend, locate, prefetch},
            node::{NodeId, Topology, TopologyError, current_node, nodes, pretend_on, topology},
            occupancy::{PageOccupancy, PageUse},
            placement::{NodePlacement, PagePlace, Placement, node_of},
            range::Range,
            report::{
                GranulesReport, LargeReport, MediumReport, MemoryReport, NodeReport, PinningBlock, RangesReport,
                RemoteReport, Report, SlotsReport,
            },
        };
    }
}

/// The README's examples, run as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
