//! The detector of one map: marks, and what is done when they meet.
//!
//! Owned by `shared_map`, where the feature `detect` is on. Invariant: whoever is let in has met nobody so far, and its mark is taken away when it goes,
//! however it goes.

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

/// An iteration that is inside.
pub(crate) struct Iterating<'a> {
    watch: &'a Watch,
    read: Read,
}

/// A write that is inside.
pub(crate) struct Writing<'a> {
    watch: &'a Watch,
    write: Write,
}

/// Does something when it is dropped.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
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

    /// A read from beginning to end. Not by a guard's drop, which would be compiled out of line and have the mark lie in memory.
    #[inline(always)]
    pub(crate) fn read<R>(&self, operation: Operation, hash: u64, work: impl FnOnce() -> R) -> R {
        let me = self.enters(operation);
        let read = match self.marks.enter_read(me, operation as u8, hash, false) {
            Ok(read) => read,
            Err(overlap) => report::raise(self.address(), me.number, (operation, hash), &overlap),
        };
        // A thread that unwinds out of the read takes its mark along, and looks no more: it has something to say already.
        let unwinds = OnDrop(|| self.marks.leave(read));
        let result = work();
        core::mem::forget(unwinds);
        if let Err(overlap) = self.marks.exit_read(read) {
            report::raise(self.address(), me.number, (operation, hash), &overlap);
        }
        result
    }

    /// A read that ends when the guard is dropped.
    pub(crate) fn iterate(&self) -> Iterating<'_> {
        let me = self.enters(Operation::Iterate);
        match self.marks.enter_read(me, Operation::Iterate as u8, 0, true) {
            Ok(read) => Iterating { watch: self, read },
            Err(overlap) => report::raise(self.address(), me.number, (Operation::Iterate, 0), &overlap),
        }
    }

    #[inline(always)]
    pub(crate) fn write(&self, operation: Operation, hash: u64) -> Writing<'_> {
        let me = self.enters(operation);
        match self.marks.enter_write(me, operation as u8, hash) {
            Ok(write) => Writing { watch: self, write },
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
        who: AtomicU32::new(0),
        hash: AtomicU64::new(0),
        iterations: AtomicU32::new(0),
        iterates: AtomicU32::new(0),
    })
}

impl Iterating<'_> {
    #[cold]
    #[inline(never)]
    fn met(&self, overlap: &Overlap) {
        // A thread that unwinds from a panic has said what there is to say.
        if !std::thread::panicking() {
            report::raise(self.watch.address(), self.read.me.number, (Operation::Iterate, 0), overlap);
        }
    }

    /// Looks whether a write came in between.
    #[inline(always)]
    pub(crate) fn look(&self) {
        if let Err(overlap) = self.watch.marks.look(self.read) {
            self.met(&overlap);
        }
    }
}

impl Drop for Iterating<'_> {
    fn drop(&mut self) {
        if let Err(overlap) = self.watch.marks.exit_read(self.read) {
            self.met(&overlap);
        }
    }
}

impl Drop for Writing<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        self.watch.marks.exit_write(self.write);
    }
}
