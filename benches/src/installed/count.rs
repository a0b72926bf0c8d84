//! Counts of what a process asks of its allocator. The installed allocator owns them. Invariant: a block counts with the size
//! that was asked for, the same for everybody; resizing counts as if it were done in place.

use std::sync::atomic::{AtomicIsize, Ordering};

/// Bytes asked for and not freed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Now.
    pub now: usize,
    /// The most there was since somebody asked.
    pub most: usize,
}

/// The counters. Relaxed: only one thread allocates while they count, and nothing is published through them.
#[derive(Debug)]
pub(super) struct Counts {
    now: AtomicIsize,
    most: AtomicIsize,
}

impl Counts {
    pub(super) const fn new() -> Self {
        Self { now: AtomicIsize::new(0), most: AtomicIsize::new(0) }
    }

    pub(super) fn reset(&self) {
        self.now.store(0, Ordering::Relaxed);
        self.most.store(0, Ordering::Relaxed);
    }

    pub(super) fn change(&self, bytes: isize) {
        let now = self.now.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.most.fetch_max(now, Ordering::Relaxed);
    }

    pub(super) fn held(&self) -> Held {
        let now = self.now.load(Ordering::Relaxed);
        let most = self.most.swap(now, Ordering::Relaxed);
        let bytes = |count: isize| usize::try_from(count).unwrap_or(0);
        Held { now: bytes(now), most: bytes(most) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Installed;
    use super::*;
    use std::alloc::{GlobalAlloc, Layout};

    #[test]
    fn requests_count_while_they_are_to() {
        let installed = Installed::new();
        let layout = |size| Layout::from_size_align(size, 8).unwrap();
        // SAFETY: blocks of sizes above 0, each freed once with the size it has.
        unsafe {
            let before = installed.alloc(layout(1000));
            assert_eq!(installed.held(), Held::default());
            installed.count(true);
            let choice = installed.choice();
            let (first, second) = (installed.alloc(layout(100)), installed.alloc_zeroed(layout(50)));
            assert_eq!(installed.held(), Held { now: 150, most: 150 });
            let first = installed.realloc(first, layout(100), 400);
            installed.dealloc(second, layout(50));
            assert_eq!(installed.held(), Held { now: 400, most: 450 });
            installed.dealloc(first, layout(400));
            installed.dealloc(before, layout(1000));
            assert_eq!(installed.held(), Held { now: 0, most: 400 }, "never below nothing");
            installed.count(false);
            assert_eq!(installed.choice(), choice);
            installed.dealloc(installed.alloc(layout(64)), layout(64));
            assert_eq!(installed.held(), Held::default());
        }
    }
}
