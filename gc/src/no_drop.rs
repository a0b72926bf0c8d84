//! The trait by which `#[collect(no_drop)]` forbids a `Drop` implementation. Owned by the derive macro.
//!
//! Invariant: each `Drop` type implements it already, so a second implementation, by the derive, does not compile.

/// Implemented for every type with a `Drop` implementation of its own; the derive implements it for the others.
#[doc(hidden)]
pub trait __MustNotImplDrop {}

#[expect(
    drop_bounds,
    reason = "the bound is used to find `Drop` implementations, not to ask whether dropping matters"
)]
impl<T: Drop> __MustNotImplDrop for T {}

/// Implemented for every sized type, and by `dyn_collect!` for what it is given: twice for a type that is no trait object, which
/// could look at dropped objects in its destructor, and whose `trace` would call itself.
#[doc(hidden)]
pub trait __MustBeUnsized {}

impl<T> __MustBeUnsized for T {}
