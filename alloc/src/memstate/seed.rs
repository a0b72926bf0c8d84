//! Faults on purpose: switches inside shipped code of `checked` builds, by which the checks are tested.
//!
//! Code that can be broken asks [`is_planted`] with a name that it owns; a test plants that name. Owned by the thread that plants.
//! Invariant: at most one fault a thread, gone when its [`Planted`] is; without one nothing is broken.

use core::cell::Cell;
use core::marker::PhantomData;

thread_local! {
    static PLANTED: Cell<Option<&'static str>> = const { Cell::new(None) };
}

/// A fault that this thread's code has for as long as this is there.
#[must_use = "the fault goes with it"]
pub struct Planted {
    /// Of the thread that planted it.
    of_the_thread: PhantomData<*const ()>,
}

/// Breaks this thread's code at the place of this name, in place of another fault if there was one.
///
/// # Safety
/// Nothing holds any more what the broken code vouches for, memory safety included: for tests whose checks stop the program before it uses
/// what is broken.
#[expect(unsafe_code, reason = "what it breaks is what safe code relies on")]
pub unsafe fn plant(name: &'static str) -> Planted {
    PLANTED.with(|planted| planted.set(Some(name)));
    Planted { of_the_thread: PhantomData }
}

/// Whether the fault of this name is planted on this thread.
#[inline]
pub fn is_planted(name: &str) -> bool {
    PLANTED.with(Cell::get).is_some_and(|planted| planted == name)
}

impl Drop for Planted {
    fn drop(&mut self) {
        PLANTED.with(|planted| planted.set(None));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_of_its_thread_and_ends() {
        assert!(!is_planted("this"));
        // SAFETY: no code is of that name.
        #[expect(unsafe_code, reason = "as of `plant`")]
        let planted = unsafe { plant("this") };
        assert!(is_planted("this") && !is_planted("that"));
        assert!(std::thread::spawn(|| !is_planted("this")).join().unwrap());
        drop(planted);
        assert!(!is_planted("this"));
    }
}
