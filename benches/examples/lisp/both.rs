//! The machine on either crate, from one source. Owned by the programs that include it. Invariant: the crate's name is all that
//! differs.

#[path = "read.rs"]
pub(crate) mod read;

/// On our collector.
#[path = "."]
pub(crate) mod here {
    pub(crate) use super::read;
    use bucketmask_gc as gc;
    #[path = "machine.rs"]
    pub(crate) mod machine;
}

/// On gc-arena.
#[path = "."]
pub(crate) mod there {
    pub(crate) use super::read;
    use gc_arena as gc;
    #[expect(clippy::duplicate_mod, reason = "one source, compiled against either crate")]
    #[path = "machine.rs"]
    pub(crate) mod machine;
}
