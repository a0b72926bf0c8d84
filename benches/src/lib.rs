//! The binary `bucketmask`, as a library so that its parts can be tested: the end-to-end report, the scan bench,
//! the allocator benches, and the records of figures that they write.
//!
//! From the outside in, what can be asked (`cli.rs`) and what answers:
//!
//! | subcommand | modules |
//! |---|---|
//! | `report` | `report.rs`, `child.rs`, `protocol.rs`, `worker.rs` (one program, two processes); `program.rs` over `engine.rs` (what the program is) |
//! | `scan`, `gc` | `scan.rs` (what a collection costs); `gc.rs` (trees, lists and programs on several collectors) |
//! | `detect` (checked builds) | `detect.rs` (faults on purpose) |
//! | `barriers` | `barriers.rs` (what barriers two programs pass) |
//! | `classic` | `classic.rs` (one entry a line against records) |
//! | `numa` | `numa.rs` (where memory is) |
//! | `alloc`, `frag` | `alloc.rs`, `frag.rs` over `contest.rs` (rounds on several allocators), `workload.rs` (what is run), `peer.rs` (on what); `replay.rs` (a recorded program) |
//! | `map` | `map.rs` (our map against others) |
//! | `concurrent`, `visibility` | `concurrent.rs` (maps that threads share), `visibility.rs` (what their readers see) |
//! | `top` | `top.rs` (how full a running program's pages are) |
//! | `table`, `compare` | `pages.rs` (the tables made from records), `compare.rs` (two records) |
//!
//! Below them `interrupt.rs` (what signals do), `picture.rs` (what is drawn), `record.rs`, `sample.rs` and `targets.rs` (figures and what was asked for), `machine.rs` (what they were measured on), and
//! `installed.rs`, the allocator under it all.
#![deny(unsafe_code)]

pub mod alloc;
pub mod barriers;
#[cfg(feature = "bdwgc")]
mod bdwgc;
pub mod child;
pub mod classic;
pub mod cli;
pub mod compare;
pub mod concurrent;
pub mod contest;
pub mod cpu;
#[cfg(feature = "checked")]
pub mod detect;
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
pub mod top;
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
