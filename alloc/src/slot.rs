//! The thread's own pointer to its heap: one word of thread-local memory, without a destructor.
//!
//! Owned by the registry. Two ways to the word, by the feature `initial-exec`. A library under `LD_PRELOAD`
//! would reach a `thread_local!` through `__tls_get_addr`, a call that may itself allocate; with the feature
//! the word lies at a fixed distance from the thread pointer, as a program's own do. Invariant: the
//! word of a thread that never set it reads null, even before the thread's start is complete.

pub(crate) use own::{get, set};

#[cfg(all(
    feature = "initial-exec",
    target_arch = "x86_64",
    target_os = "linux",
    target_pointer_width = "64",
    not(bucketmask_portable)
))]
mod own {
    #![allow(unsafe_code)]

    use crate::heap::Heap;

    // Hidden: the symbol is this library's own, whatever else the process loads. In .tbss, so that a
    // new thread finds it zero without anybody's doing.
    core::arch::global_asm!(
        ".pushsection .tbss.bucketmask_heap, \"awT\", @nobits",
        ".globl bucketmask_heap",
        ".hidden bucketmask_heap",
        ".type bucketmask_heap, @tls_object",
        ".size bucketmask_heap, 8",
        ".p2align 3",
        "bucketmask_heap:",
        ".zero 8",
        ".popsection",
    );

    /// The pointer; null in a thread that never set it.
    #[inline(always)]
    pub(crate) fn get() -> *const Heap {
        let heap: *const Heap;
        // SAFETY: the initial-exec access of the x86-64 ABI: the global offset table holds the word's
        // distance from the thread pointer, which `fs` is. Reads the thread's own word, as `readonly` says.
        unsafe {
            core::arch::asm!(
                "mov {heap}, qword ptr [rip + bucketmask_heap@GOTTPOFF]",
                "mov {heap}, qword ptr fs:[{heap}]",
                heap = out(reg) heap,
                options(pure, readonly, nostack, preserves_flags),
            );
        }
        heap
    }

    /// Sets the pointer.
    #[inline]
    pub(crate) fn set(heap: *const Heap) {
        // SAFETY: as in `get`; writes the thread's own word and nothing else.
        unsafe {
            core::arch::asm!(
                "mov {place}, qword ptr [rip + bucketmask_heap@GOTTPOFF]",
                "mov qword ptr fs:[{place}], {heap}",
                place = out(reg) _,
                heap = in(reg) heap,
                options(nostack, preserves_flags),
            );
        }
    }
}

#[cfg(not(all(
    feature = "initial-exec",
    target_arch = "x86_64",
    target_os = "linux",
    target_pointer_width = "64",
    not(bucketmask_portable)
)))]
mod own {
    use core::cell::Cell;

    use crate::heap::Heap;

    thread_local! {
        static HEAP: Cell<*const Heap> = const { Cell::new(core::ptr::null()) };
    }

    /// The pointer; null in a thread that never set it.
    #[inline(always)]
    pub(crate) fn get() -> *const Heap {
        HEAP.with(Cell::get)
    }

    /// Sets the pointer.
    #[inline]
    pub(crate) fn set(heap: *const Heap) {
        HEAP.with(|own| own.set(heap));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thread_has_a_word_of_its_own_that_starts_at_null() {
        std::thread::spawn(|| {
            let before = get();
            let mark = core::ptr::without_provenance(64);
            set(mark);
            let after = get();
            let other = std::thread::scope(|scope| {
                set(before);
                scope.spawn(|| get().addr()).join().unwrap()
            });
            assert!(before.is_null(), "no allocation by this allocator came before");
            assert_eq!((after, other), (mark, 0));
        })
        .join()
        .unwrap();
    }
}
