//! The binary `bucketmask`, as a library so that its parts can be tested: the end-to-end report, the scan bench,
//! the allocator benches, and the records of figures that they write.
//!
//! From the outside in: `cli.rs` (what can be asked); `report.rs` with `child.rs`, `protocol.rs` and `worker.rs` (one
//! program, two processes) and `program.rs` over `engine.rs` (what the program is); `scan.rs` (what a collection
//! costs); `classic.rs` (one entry a line against records); `numa.rs` (where memory is); `alloc.rs` and `frag.rs` over `contest.rs` (rounds on several allocators),
//! `workload.rs` (what is run) and `peer.rs` (on what); `map.rs` (our map against others); `concurrent.rs` (the concurrent map against others), `visibility.rs` (what readers of the concurrent map see); `record.rs` and `sample.rs` (figures); `pages.rs` (the tables made from records); `compare.rs` (two records). `installed.rs` is the allocator
//! under it all.
#![deny(unsafe_code)]

pub mod alloc;
#[cfg(feature = "bdwgc")]
mod bdwgc;
pub mod child;
pub mod classic;
pub mod cli;
pub mod compare;
pub mod concurrent;
pub mod contest;
pub mod cpu;
pub mod dialogue;
pub mod engine;
pub mod error;
pub mod format;
pub mod frag;
pub mod fragmentation;
pub mod gc;
pub mod go;
pub mod input;
pub mod installed;
pub mod interrupt;
pub mod machine;
pub mod map;
pub mod memory;
pub mod numa;
pub mod output;
pub mod pages;
pub mod peer;
pub mod picture;
pub mod program;
pub mod progress;
pub mod protocol;
pub mod record;
pub mod replay;
pub mod report;
pub mod rounds;
pub mod sample;
pub mod scan;
pub mod targets;
mod timer;
pub mod token;
pub mod visibility;
pub mod worker;
pub mod workload;

/// The examples of the workspace's pages, run as tests: here, since they use several of its crates, and since a published crate
/// has no pages but its own.
#[cfg(doctest)]
mod workspace_pages {
    #[doc = include_str!("../../README.md")]
    struct Readme;
    #[doc = include_str!("../../docs/alloc.md")]
    struct Alloc;
    #[doc = include_str!("../../docs/gc.md")]
    struct Gc;
    #[doc = include_str!("../../docs/migrating.md")]
    struct Migrating;
    #[doc = include_str!("../../docs/policy.md")]
    struct Policy;
}
