//! What tests make for the life of the process: kept where a leak checker sees that it is meant to stay.
//!
//! Of the unit tests alone. Invariant: what is kept is never dropped.

use std::any::Any;
use std::sync::{Mutex, PoisonError};

static KEPT: Mutex<Vec<&(dyn Any + Sync)>> = Mutex::new(Vec::new());

/// The value, for ever.
pub(crate) fn kept<T: Sync + 'static>(value: Box<T>) -> &'static T {
    let value: &'static T = Box::leak(value);
    KEPT.lock().unwrap_or_else(PoisonError::into_inner).push(value);
    value
}
