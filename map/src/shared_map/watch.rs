//! The detector of one map: marks, and what is done when they meet.
//!
//! Owned by `shared_map`, where the feature `detect` is on. Invariant: whoever gets an [`Inside`] has met nobody so far, and its mark is taken
//! away when it goes, however it goes.

use super::marks::{Marks, Me, Overlap, Read, Shard, Sound, Write, Written};
use super::operation::Operation;
use super::{report, stacks, threads};
use crate::sync::{AtomicU32, AtomicU64};
use bucketmask_alloc::sync::Padded;
use core::marker::PhantomData;

/// Shards of a map: 32 threads have one each, and all others share the last.
pub(crate) const SHARDS: usize = 33;

/// The marks of a map.
pub(crate) struct Watch {
    marks: Marks<Sound, SHARDS>,
}

enum Way {
    Read(Read),
    Write(Write),
}

/// An operation that is inside.
pub(crate) struct Inside<'a> {
    watch: &'a Watch,
    way: Way,
    what: (Operation, u64),
}

impl Watch {
    pub(crate) const fn new() -> Self {
        Self {
            marks: Marks {
                word: AtomicU64::new(0),
                used: AtomicU64::new(0),
                written: Written { what: AtomicU64::new(0), hash: AtomicU64::new(0) },
                shards: [const { new_shard() }; SHARDS],
                rules: PhantomData,
            },
        }
    }

    fn address(&self) -> usize {
        core::ptr::from_ref(self).addr()
    }

    /// Who calls; with its stack written down if that is asked for.
    #[inline(always)]
    fn enters(&self, operation: Operation) -> Me {
        let (me, recorded) = threads::me();
        if recorded {
            stacks::record(me.number, self.address(), operation as u8);
        }
        me
    }

    #[inline(always)]
    pub(crate) fn read(&self, operation: Operation, hash: u64) -> Inside<'_> {
        let me = self.enters(operation);
        match self.marks.enter_read(me, operation as u8, hash, operation == Operation::Iterate) {
            Ok(read) => Inside { watch: self, way: Way::Read(read), what: (operation, hash) },
            Err(overlap) => report::raise(self.address(), me.number, (operation, hash), &overlap),
        }
    }

    #[inline(always)]
    pub(crate) fn write(&self, operation: Operation, hash: u64) -> Inside<'_> {
        let me = self.enters(operation);
        match self.marks.enter_write(me, operation as u8, hash) {
            Ok(write) => Inside { watch: self, way: Way::Write(write), what: (operation, hash) },
            Err(overlap) => report::raise(self.address(), me.number, (operation, hash), &overlap),
        }
    }

    /// Whether the table may be moved or dropped: nobody is inside. Where somebody is, a thread that panics already prints the report.
    pub(crate) fn may_go(&self, operation: Operation) -> bool {
        let me = self.enters(operation);
        let met = self.marks.enter_write(me, operation as u8, 0);
        stacks::forget_map(self.address());
        let Err(overlap) = met else { return true };
        if std::thread::panicking() {
            report::print(&report::message(self.address(), me.number, (operation, 0), &overlap));
            return false;
        }
        report::raise(self.address(), me.number, (operation, 0), &overlap)
    }
}

const fn new_shard() -> Padded<Shard> {
    Padded(Shard {
        inside: AtomicU32::new(0),
        iterations: AtomicU32::new(0),
        who: AtomicU32::new(0),
        hash: AtomicU64::new(0),
    })
}

impl Inside<'_> {
    #[cold]
    #[inline(never)]
    fn raise(&self, read: Read, overlap: &Overlap) {
        // A thread that unwinds from a panic has said what there is to say.
        if !std::thread::panicking() {
            report::raise(self.watch.address(), read.me.number, self.what, overlap);
        }
    }

    /// Looks whether a write came in between.
    #[inline(always)]
    pub(crate) fn look(&self) {
        if let Way::Read(read) = self.way {
            if let Err(overlap) = self.watch.marks.look(read) {
                self.raise(read, &overlap);
            }
        }
    }
}

impl Drop for Inside<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        match self.way {
            Way::Write(write) => self.watch.marks.exit_write(write),
            Way::Read(read) => {
                if let Err(overlap) = self.watch.marks.exit_read(read) {
                    self.raise(read, &overlap);
                }
            }
        }
    }
}
