//! Derive macro for `Collect`.
