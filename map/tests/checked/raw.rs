//! What the concurrent map uses of the other maps' tables, for its model.
//!
//! Owned by `concurrent_shuttle.rs` and `concurrent_loom.rs`. Invariant: the shipped file.

#[allow(dead_code, reason = "the model uses a part of it")]
#[path = "../../src/raw/group/mod.rs"]
pub(crate) mod group;

/// What `group` knows of layouts.
pub(crate) mod layout {
    pub(crate) const SLOTS: usize = 14;
}
