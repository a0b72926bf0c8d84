//! Atomics of the lock-free protocols, in one place so that a model checker's can stand in for them.

pub(crate) use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};
