//! What a thread is doing to the heap, for the message of a panic: phase, operation, and where in memory.
//!
//! Collectors say it as they go, by [`enter`] and [`touch`], in builds that check (a few stores each); the hook of
//! [`install_panic_context`] reads it. Owned by the thread. Invariant: an [`Entered`] that goes leaves what was before it.

use core::cell::Cell;
use core::fmt::{self, Write as _};
use core::marker::PhantomData;
use std::io::Write as _;
use std::panic::{set_hook, take_hook};

use super::{Place, Stack};

/// What a thread is doing to the heap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Doing {
    /// The heap's phase, as its owner calls it; empty between calls.
    pub phase: &'static str,
    /// The operation, if one was told.
    pub operation: &'static str,
    /// What it is done to; 0 where that is not known.
    pub address: usize,
}

/// How the functions begin that lead from a panic to its hook.
const MACHINERY: [&str; 7] = [
    "alloc::boxed::Box<dyn ",
    "bucketmask_alloc::frames::",
    "core::panicking::",
    "rust_begin_unwind",
    "__rustc::",
    "std::sys::backtrace::",
    "std::panicking::",
];

thread_local! {
    static DOING: Cell<Doing> = const { Cell::new(Doing { phase: "", operation: "", address: 0 }) };
}

/// A phase that a thread is in.
#[must_use = "the phase ends with it"]
pub struct Entered {
    before: Doing,
    of_the_thread: PhantomData<*const ()>,
}

/// The calling thread enters a phase.
pub fn enter(phase: &'static str) -> Entered {
    let before = DOING.with(|doing| doing.replace(Doing { phase, ..Doing::default() }));
    Entered { before, of_the_thread: PhantomData }
}

impl Drop for Entered {
    fn drop(&mut self) {
        DOING.with(|doing| doing.set(self.before));
    }
}

/// The calling thread begins an operation on what lies at an address, in the phase that it is in.
#[inline]
pub fn touch(operation: &'static str, address: usize) {
    DOING.with(|doing| doing.set(Doing { operation, address, ..doing.get() }));
}

/// What the calling thread is doing.
pub fn doing() -> Doing {
    DOING.with(Cell::get)
}

impl fmt::Display for Doing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { phase, operation, address } = *self;
        if phase.is_empty() {
            return f.write_str("not in the heap");
        }
        write!(f, "heap phase {phase}")?;
        if !operation.is_empty() {
            write!(f, ", in `{operation}`")?;
        }
        if address != 0 {
            write!(f, " of {address:#x}")?;
            if let Some(place) = Place::of(address) {
                write!(f, ", {place}")?;
            }
        }
        Ok(())
    }
}

/// From now on a panic's message is followed by what its thread was doing to the heap, and by its stack without the runtime's frames:
/// functions with file and line, or `module+offset (build id)` where a binary is stripped. The hook that was there runs first.
///
/// ```
/// bucketmask_alloc::frames::install_panic_context();
/// let panic = std::panic::catch_unwind(|| panic!("with its context, on standard error"));
/// assert!(panic.is_err());
/// ```
pub fn install_panic_context() {
    let before = take_hook();
    set_hook(Box::new(move |panic| {
        before(panic);
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("without a name");
        let stack = Stack::capture();
        let frames = stack.resolve(&MACHINERY);
        let mut text = format!("bucketmask: thread {:?} \"{name}\", {}\n", thread.id(), doing());
        for (number, frame) in frames.iter().enumerate() {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{number:5}: {frame}");
        }
        // Where nobody reads standard error any more, nobody is told; a panic here would end the process.
        let _ = std::io::stderr().write_all(text.as_bytes());
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_nest_and_end() {
        assert_eq!(doing().to_string(), "not in the heap");
        let outer = enter("mark");
        touch("trace", 8);
        assert_eq!(doing().to_string(), "heap phase mark, in `trace` of 0x8");
        let inner = enter("sweep");
        assert_eq!(doing(), Doing { phase: "sweep", ..Doing::default() });
        drop(inner);
        assert_eq!(doing(), Doing { phase: "mark", operation: "trace", address: 8 });
        drop(outer);
        assert_eq!(doing(), Doing::default());
    }
}
