//! One program, written for gc-arena 0.7, run on gc-arena and on this crate: it must compile against both, unchanged, and
//! observe the same. Owned by the promise that a program ports by renaming its dependency.
//!
//! Invariant: `parity/*.rs` name every public item of gc-arena 0.7, and nothing that it lacks.
//!
//! | gc-arena 0.7 | here | what differs |
//! |---|---|---|
//! | `Arena`: `new`, `try_new`, `map_root`, `try_map_root` | all | the root must be `Collect` from the start, since one that is not could look at dropped objects in its destructor, or borrow from itself and be moved |
//! | `Arena`: `mutate`, `mutate_root`, `metrics`, `collection_phase` | all | |
//! | `Arena`: `collect_debt`, `mark_debt`, `cycle_debt`, `finish_marking`, `finish_cycle` | all | a step marks up to 64 objects and sweeps up to a page at once, not one object; destructors' panics are passed on at the end of the call, with all others run; a panicking `trace` gives the cycle up (`Sleeping`), where gc-arena stays `Marking` and tries again |
//! | `MarkedArena`: `finalize`, `start_sweeping`; `Finalization` | all | |
//! | `rootless_mutate`, `Rootable`, `Rootable!`, `Root`, `CollectionPhase` | all | |
//! | `Mutation`: `metrics`, the four barriers | all | |
//! | `Gc`: `new`, `new_static`, `cast`, `erase`, `from_ptr`, `as_ptr`, `as_ref`, `unlock`, `downgrade`, `write`, `ptr_eq`, `is_dead`, `resurrect` | all | |
//! | `GcWeak`: `upgrade`, `is_dropped`, `is_dead`, `resurrect`, `ptr_eq`, `as_ptr`, `cast`, `erase`, `from_ptr` | all | |
//! | `unsize!`, `static_collect!`, `dyn_collect!`, `Collect`, its derive, `Trace`, `DynCollect` | all | more types of std implement `Collect`; `dyn_collect!` takes trait objects only; the derive knows all fields or fails |
//! | `Lock`, `RefLock`, `OnceLock`, `GcLock`, `GcRefLock`, `GcOnceLock` | all | |
//! | `barrier`: `Write`, `Unlock`, `DerefWrite`, `IndexWrite`, `field!`, `unlock!` | all | through `&T`, `Rc` and `Arc` only to `'static` targets: others may hang on an object that no barrier was run on |
//! | `Static`, `DynamicRootSet`, `DynamicRoot`, `MismatchedRootSet` | all | |
//! | `ZstCache`, `Alignment`, `ValidAlignment` | all | values with destructors are not cached |
//! | `Metrics`: `set_pacing`, `total_gc_count`, `adjust_debt`, `allocation_debt`; `Pacing` | all | an object over 16 bytes counts as several |
//! | features `std`, `hashbrown`, `indexmap`, `smallvec`, `slotmap`, `enum-map`, `tracing` | all | `allocator-api2` more |

#![allow(clippy::duplicate_mod, reason = "each program is compiled against each crate")]

/// What a program saw, line by line.
type Log = Vec<String>;

macro_rules! programs {
    ($($name:ident in $path:literal: $($function:ident)*;)*) => {
        #[path = "parity"]
        mod here {
            use bucketmask_gc as gc;
            $(#[path = $path] mod $name;)*
            pub(super) fn all() -> Vec<(&'static str, fn(&mut super::Log))> {
                vec![$($((stringify!($name::$function), $name::$function as fn(&mut super::Log)),)*)*]
            }
        }

        #[path = "parity"]
        mod there {
            use gc_arena as gc;
            $(#[path = $path] mod $name;)*
            pub(super) fn all() -> Vec<(&'static str, fn(&mut super::Log))> {
                vec![$($((stringify!($name::$function), $name::$function as fn(&mut super::Log)),)*)*]
            }
        }
    };
}

programs! {
    arenas in "arenas.rs": roots phases finalization transitive_death panics pacing;
    pointers in "pointers.rs": strong weak unsized_targets casts barriers dynamic_roots zero_sized;
    values in "values.rs": locks writes derives statics tracers containers;
}

#[test]
fn both_crates_give_the_same_observations() {
    let programs = here::all().into_iter().zip(there::all());
    for ((name, here), (_, there)) in programs {
        let (mut ours, mut theirs) = (Log::new(), Log::new());
        here(&mut ours);
        there(&mut theirs);
        assert!(ours.len() > 3, "{name} observes next to nothing: {ours:?}");
        assert_eq!(ours, theirs, "{name}");
    }
}
