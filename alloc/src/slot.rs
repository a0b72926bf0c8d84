//! The thread's own words: its heap, the node that it pretends to be on, and whether it records nothing now. Without a destructor.
//!
//! Owned by the registry, `node` and the recorder of traces. Two ways to them, by the feature `initial-exec`. A library under
//! `LD_PRELOAD` would reach a `thread_local!` through `__tls_get_addr`, a call that may itself allocate; with
//! the feature the words lie at a fixed distance from the thread pointer, as a program's own do. Invariant:
//! a thread that never set its words gets the heap that is none and 0, even before the thread's start is complete.

pub(crate) use own::{get, is_quiet, node, set, set_node, set_quiet};

#[cfg(all(
    feature = "initial-exec",
    target_arch = "x86_64",
    target_os = "linux",
    target_pointer_width = "64",
    not(bucketmask_portable)
))]
mod own {
    #![allow(unsafe_code)]

    use crate::heap::{Heap, NOBODY};

    /// What lies at the symbol.
    #[repr(C)]
    struct Words {
        heap: *const Heap,
        node: u8,
        quiet: bool,
    }

    static_assertions::const_assert_eq!(size_of::<Words>(), 16);
    static_assertions::const_assert_eq!(memoffset::offset_of!(Words, heap), 0);

    // Hidden: the symbol is this library's own, whatever else the process loads. In .tbss, so that a
    // new thread finds it zero without anybody's doing.
    core::arch::global_asm!(
        ".pushsection .tbss.bucketmask_words, \"awT\", @nobits",
        ".globl bucketmask_words",
        ".hidden bucketmask_words",
        ".type bucketmask_words, @tls_object",
        ".size bucketmask_words, 16",
        ".p2align 3",
        "bucketmask_words:",
        ".zero 16",
        ".popsection",
    );

    /// The heap; [`NOBODY`], of which only the front may be read, in a thread that never set it.
    #[inline(always)]
    pub(crate) fn get() -> *const Heap {
        let heap: *const Heap;
        // SAFETY: the initial-exec access of the x86-64 ABI: the global offset table holds the words'
        // distance from the thread pointer, which `fs` is. Reads the thread's own word, as `readonly` says.
        unsafe {
            core::arch::asm!(
                "mov {heap}, qword ptr [rip + bucketmask_words@GOTTPOFF]",
                "mov {heap}, qword ptr fs:[{heap}]",
                heap = out(reg) heap,
                options(pure, readonly, nostack, preserves_flags),
            );
        }
        if heap.is_null() { core::ptr::from_ref(&NOBODY).cast() } else { heap }
    }

    /// Sets the heap.
    #[inline]
    pub(crate) fn set(heap: *const Heap) {
        // SAFETY: the thread's own words, zeroed at first, touched by nobody else.
        unsafe { (*words()).heap = heap };
    }

    /// The node pretended; 0 in a thread that never set it.
    pub(crate) fn node() -> u8 {
        // SAFETY: as in `set`.
        unsafe { (*words()).node }
    }

    /// Sets the node pretended.
    pub(crate) fn set_node(node: u8) {
        // SAFETY: as in `set`.
        unsafe { (*words()).node = node };
    }

    /// Whether the thread records nothing now; not so in one that never said.
    pub(crate) fn is_quiet() -> bool {
        // SAFETY: as in `set`; 0 is false.
        unsafe { (*words()).quiet }
    }

    /// Says whether the thread records nothing from here on.
    pub(crate) fn set_quiet(quiet: bool) {
        // SAFETY: as in `set`.
        unsafe { (*words()).quiet = quiet };
    }

    /// Where the calling thread's words are.
    fn words() -> *mut Words {
        let words: *mut Words;
        // SAFETY: as in `get`; the first word at `fs` is its own address. Not `pure`, so that what `get` read before
        // a store through the pointer is read anew after it.
        unsafe {
            core::arch::asm!(
                "mov {words}, qword ptr fs:[0]",
                "add {words}, qword ptr [rip + bucketmask_words@GOTTPOFF]",
                words = out(reg) words,
                options(nostack),
            );
        }
        words
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

    use crate::heap::{Heap, NOBODY};

    thread_local! {
        static HEAP: Cell<*const Heap> = const { Cell::new((&raw const NOBODY).cast()) };
        static NODE: Cell<u8> = const { Cell::new(0) };
        static QUIET: Cell<bool> = const { Cell::new(false) };
    }

    /// The heap; [`NOBODY`], of which only the front may be read, in a thread that never set it.
    #[inline(always)]
    pub(crate) fn get() -> *const Heap {
        HEAP.with(Cell::get)
    }

    /// Sets the heap.
    #[inline]
    pub(crate) fn set(heap: *const Heap) {
        HEAP.with(|own| own.set(heap));
    }

    /// The node pretended; 0 in a thread that never set it.
    pub(crate) fn node() -> u8 {
        NODE.with(Cell::get)
    }

    /// Sets the node pretended.
    pub(crate) fn set_node(node: u8) {
        NODE.with(|own| own.set(node));
    }

    /// Whether the thread records nothing now; not so in one that never said.
    pub(crate) fn is_quiet() -> bool {
        QUIET.with(Cell::get)
    }

    /// Says whether the thread records nothing from here on.
    pub(crate) fn set_quiet(quiet: bool) {
        QUIET.with(|own| own.set(quiet));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heap::NOBODY;

    #[test]
    fn each_thread_has_words_of_its_own_that_start_at_nothing() {
        std::thread::spawn(|| {
            let before = (get(), node());
            let mark = core::ptr::without_provenance(64);
            set(mark);
            set_node(3);
            let after = (get(), node());
            set(before.0);
            let other = std::thread::spawn(|| (get().addr(), node())).join().unwrap();
            let nobody = core::ptr::from_ref(&NOBODY).cast();
            assert_eq!(before, (nobody, 0), "no allocation by this allocator came before");
            assert_eq!((after, other), ((mark, 3), (nobody.addr(), 0)));
        })
        .join()
        .unwrap();
    }
}
