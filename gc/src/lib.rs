//! A tracing collector whose heap is bucket pages: one type a page, no object headers, and one bit a slot, out of band,
//! that says whether the slot is occupied and whether it is reachable. Marking sets bits; sweeping is
//! `dead = occupied & !marked`, 64 slots at a time, and touches an object only if its type has something to drop.
//!
//! The API has the names and meanings of the gc-arena crate, whose idea the branded
//! closures are (in Rust, after *generativity* as in Kiselyov and Shan's *Lightweight monadic regions*): a program
//! written for it ports by one line in its manifest, `gc-arena = { package = "bucketmask-gc", ... }`. The code behind the
//! names is our own.
//!
//! # From the outside in
//!
//! An [`Arena`] owns a heap and a root. Inside [`Arena::mutate`] the root and everything reachable from it can be read
//! and changed; nothing is collected there, so a [`Gc`] is a plain pointer. Between those calls [`Arena::collect_debt`]
//! or [`Arena::finish_cycle`] frees what the root no longer reaches. The lifetime `'gc` is different in each arena and
//! invariant, so the compiler refuses a pointer that would leave its arena or enter another one.
//!
//! ```
//! use bucketmask_gc::{Arena, Collect, Gc, RefLock, Rootable, barrier};
//!
//! #[derive(Collect)]
//! #[collect(no_drop)]
//! struct City<'gc> {
//!     name: &'static str,
//!     roads: RefLock<Vec<Gc<'gc, City<'gc>>>>,
//! }
//!
//! impl<'gc> City<'gc> {
//!     fn named(name: &'static str) -> Self {
//!         City { name, roads: RefLock::new(Vec::new()) }
//!     }
//! }
//!
//! // The root is one city; what no road leads to is garbage.
//! let mut arena = Arena::<Rootable![Gc<'_, City<'_>>]>::new(|mc| Gc::new(mc, City::named("Cairo")));
//!
//! arena.mutate(|mc, cairo| {
//!     let alexandria = Gc::new(mc, City::named("Alexandria"));
//!     let _atlantis = Gc::new(mc, City::named("Atlantis"));
//!     // `unlock!` runs the write barrier and hands out the `RefCell`. A cycle is nothing special.
//!     barrier::unlock!(Gc::write(mc, *cairo), City, roads).borrow_mut().push(alexandria);
//!     barrier::unlock!(Gc::write(mc, alexandria), City, roads).borrow_mut().push(*cairo);
//! });
//! assert_eq!(arena.metrics().total_gc_count(), 3);
//!
//! arena.finish_cycle();
//! assert_eq!(arena.metrics().total_gc_count(), 2);
//! arena.mutate(|_, cairo| assert_eq!(cairo.roads.borrow()[0].name, "Alexandria"));
//! ```
//!
//! # Reading order
//!
//! `arena.rs` (what a program holds), `mutation.rs` (what a callback holds), `gc.rs` and `gc_weak.rs` (the pointers),
//! `collect.rs` (how a type is traced), `lock.rs` and `barrier.rs` (how it is changed), `metrics.rs` (when a cycle is
//! due); then `heap/`, where `mod.rs` tells the story of a cycle.
//!
//! # A weakness that is the compiler's
//!
//! The brand of an arena rests on closures that must accept any lifetime. A root type that contains a type like
//! `&'static &'gc ()` makes the compiler believe, inside such a closure, that `'gc` is `'static` (implied bounds of types
//! under a higher-ranked lifetime are not checked), so safe code that is out for it can carry a pointer out of its arena.
//! No root written for its use does so.

#![deny(unsafe_code)]

#[cfg(target_family = "wasm")]
compile_error!(
    "the collector needs pages, which WebAssembly has not; the map does without: default-features = false"
);

extern crate self as bucketmask_gc;

pub mod arena;
pub mod barrier;
mod budget;
/// The barrier detector of `checked` builds: what it can be told.
#[cfg(feature = "checked")]
pub mod checked {
    pub use crate::heap::checked::{FAULTS, arm};
}
#[macro_use]
pub mod collect;
#[cfg(any(
    feature = "allocator-api2",
    feature = "enum-map",
    feature = "hashbrown",
    feature = "indexmap",
    feature = "slotmap",
    feature = "smallvec"
))]
mod collect_foreign;
mod collect_impl;
pub mod dynamic_roots;
mod external;
mod finalizers;
#[cfg(doctest)]
mod forbidden;
mod gc;
mod gc_weak;
mod heap;
pub mod lock;
pub mod metrics;
mod mutation;
mod no_drop;
mod parts;
mod probes;
mod report;
mod spans;
mod static_wrapper;
mod stress;
mod trace_events;
mod trace_line;
mod unpublished;
mod unsize;
mod walk;
pub mod zst_cache;

#[doc(hidden)]
pub use bucketmask_gc_derive::__unelide_lifetimes;

#[doc(hidden)]
pub use self::{
    arena::__DynRootable,
    no_drop::{__MustBeUnsized, __MustNotImplDrop},
    parts::{DropInParts, PART_BYTES, Traced},
    unsize::__Unsize,
    walk::Walk,
};

pub use self::{
    arena::{Arena, Rootable},
    budget::Budget,
    collect::Collect,
    dynamic_roots::{DynamicRoot, DynamicRootSet},
    external::External,
    finalizers::Finalizers,
    gc::Gc,
    gc_weak::GcWeak,
    heap::dump::{DumpedObject, HeapDump},
    heap::verify::{Verified, VerifyError},
    lock::{GcLock, GcRefLock, Lock, RefLock},
    mutation::{Finalization, Mutation},
    report::{Barriers, CycleReport},
    static_wrapper::Static,
    stress::Stress,
    unpublished::{Pool, Unpublished},
};

/// The README's examples, run as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
