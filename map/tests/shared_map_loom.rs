//! The marks of `SharedMap` under loom: the shipped file, given loom's atomics. Two or three operations meet in every interleaving of up to three
//! preemptions, with every value that the orderings let them see; what they do inside is a cell that tells whether they overlapped.
//!
//! Not for sanitizers: loom runs threads on stacks of its own. Invariant: each seeded fault is rejected by the model that is named for it.

/// What the marks know as `crate::sync`.
mod sync {
    pub(crate) use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
}

#[allow(dead_code, clippy::all, clippy::pedantic, reason = "linted where it is shipped")]
#[path = "../src/shared_map/marks.rs"]
mod marks;

use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64 as Count, Ordering as CountOrdering};

use bucketmask_alloc::sync::Padded;
use loom::sync::Arc;
use loom::sync::atomic::AtomicUsize;
use loom::thread;
use marks::{Fault, Kind, Marks, Me, Rules, Shard, Sound, Written};
use sync::{AtomicU32, AtomicU64, Ordering, fence};

/// Switches from a thread that could go on, in one execution. Three show every seeded fault; without a bound, a read and a write take more than
/// ten minutes.
const PREEMPTIONS: usize = 3;
/// Two shards of one thread each, and the shared one.
const SHARDS: usize = 3;

fn marks<R: Rules>() -> Marks<R, SHARDS> {
    let shard = || {
        Padded(Shard {
            inside: AtomicU32::new(0),
            iterations: AtomicU32::new(0),
            iterates: AtomicU32::new(0),
            who: AtomicU32::new(0),
            hash: AtomicU64::new(0),
        })
    };
    Marks {
        word: AtomicU64::new(0),
        used: AtomicU64::new(0),
        written: Written { what: AtomicU64::new(0), hash: AtomicU64::new(0) },
        shards: [shard(), shard(), shard()],
        rules: PhantomData,
    }
}

fn me(shard: usize) -> Me {
    Me { shard, number: shard as u32 + 1 }
}

/// What a write adds to the cell while it is inside.
const WRITER: usize = 100;

/// A map, and a cell in it through which operations that are inside see each other.
struct Shared<R> {
    marks: Marks<R, SHARDS>,
    cell: AtomicUsize,
    /// Whether any operation saw another one in the cell, not both of them reads.
    overlapped: AtomicUsize,
    reported: AtomicUsize,
}

impl<R: Rules> Shared<R> {
    fn new() -> Self {
        Self {
            marks: marks(),
            cell: AtomicUsize::new(0),
            overlapped: AtomicUsize::new(0),
            reported: AtomicUsize::new(0),
        }
    }

    fn meets(&self, met: bool) {
        if met {
            self.overlapped.store(1, Ordering::Relaxed);
        }
    }

    fn reports(&self, reports: bool) {
        if reports {
            self.reported.store(1, Ordering::Relaxed);
        }
    }

    fn read(&self, shard: usize) {
        match self.marks.enter_read(me(shard), 0, 7, false) {
            Ok(read) => {
                self.meets(self.cell.fetch_add(1, Ordering::Relaxed) >= WRITER);
                self.meets(self.cell.fetch_sub(1, Ordering::Relaxed) >= WRITER);
                self.reports(self.marks.exit_read(read).is_err());
            }
            Err(_) => self.reports(true),
        }
    }

    fn write(&self, shard: usize) {
        match self.marks.enter_write(me(shard), 1, 8) {
            Ok(write) => {
                self.meets(self.cell.fetch_add(WRITER, Ordering::Relaxed) != 0);
                self.meets(self.cell.fetch_sub(WRITER, Ordering::Relaxed) != WRITER);
                self.marks.exit_write(write);
            }
            Err(_) => self.reports(true),
        }
    }

    /// Once the threads are joined.
    fn check(&self) {
        let (overlapped, reported) =
            (self.overlapped.load(Ordering::Relaxed), self.reported.load(Ordering::Relaxed));
        assert!(overlapped <= reported, "an overlap that neither side reports");
    }
}

/// A reader and a writer that nothing orders.
fn read_meets_write<R: Rules + 'static>() {
    let shared = Arc::new(Shared::<R>::new());
    let other = Arc::clone(&shared);
    let writer = thread::spawn(move || other.write(1));
    shared.read(0);
    writer.join().expect("the writer ends");
    shared.check();
}

/// A reader that reads what a whole write stored, and went on: the value of a slot, and not the bookkeeping.
fn read_meets_whole_write<R: Rules + 'static>() {
    let shared = Arc::new((marks::<R>(), AtomicUsize::new(0), AtomicUsize::new(0)));
    let other = Arc::clone(&shared);
    let writer = thread::spawn(move || {
        if let Ok(write) = other.0.enter_write(me(1), 1, 8) {
            other.1.store(1, Ordering::Relaxed);
            other.2.store(1, Ordering::Relaxed);
            other.0.exit_write(write);
            return false;
        }
        true
    });
    let reader = shared.0.enter_read(me(0), 0, 7, false).and_then(|read| {
        let torn = (shared.1.load(Ordering::Relaxed), shared.2.load(Ordering::Relaxed));
        shared.0.exit_read(read).map(|()| torn)
    });
    let writer_reports = writer.join().expect("the writer ends");
    if let (Ok(torn), false) = (reader, writer_reports) {
        assert_eq!(torn.0, torn.1, "half a write was read, and nobody reports it");
    }
}

/// Two writers that nothing orders.
fn write_meets_write<R: Rules + 'static>() {
    let shared = Arc::new(Shared::<R>::new());
    let other = Arc::clone(&shared);
    let writer = thread::spawn(move || other.write(1));
    shared.write(0);
    writer.join().expect("the writer ends");
    shared.check();
}

/// Two readers that share the shared shard, one with a shard of its own, and none of them reports.
fn reads_meet_reads<R: Rules + 'static>() {
    let shared = Arc::new(Shared::<R>::new());
    let threads: Vec<_> = (1..3)
        .map(|_| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.read(2))
        })
        .collect();
    shared.read(0);
    for thread in threads {
        thread.join().expect("a reader ends");
    }
    assert_eq!(shared.reported.load(Ordering::Relaxed), 0, "read with read");
    // Their marks are gone.
    shared.write(0);
    assert_eq!(shared.reported.load(Ordering::Relaxed), 0, "a read that ended");
}

/// A write, a read and a write, each handed on to the next by a flag.
fn handed_over<R: Rules + 'static>() {
    let shared = Arc::new((Shared::<R>::new(), AtomicUsize::new(0)));
    let other = Arc::clone(&shared);
    let reader = thread::spawn(move || {
        while other.1.load(Ordering::Acquire) != 1 {
            thread::yield_now();
        }
        other.0.read(1);
        other.1.store(2, Ordering::Release);
    });
    shared.0.write(0);
    shared.1.store(1, Ordering::Release);
    while shared.1.load(Ordering::Acquire) != 2 {
        thread::yield_now();
    }
    shared.0.write(0);
    reader.join().expect("the reader ends");
    assert_eq!(shared.0.reported.load(Ordering::Relaxed), 0, "what is ordered is no overlap");
}

/// A writer that comes, by order of the program, while a reader is inside: it is told, and by whom, before it writes anything; the reader is not, for nothing
/// was written.
fn writer_comes_to_reader<R: Rules + 'static>() {
    let shared = Arc::new((marks::<R>(), AtomicUsize::new(0)));
    let other = Arc::clone(&shared);
    let reader = thread::spawn(move || {
        let read = other.0.enter_read(me(1), 3, 7, true).expect("nobody writes");
        other.1.store(1, Ordering::Release);
        while other.1.load(Ordering::Acquire) != 2 {
            thread::yield_now();
        }
        other.0.exit_read(read).expect("nothing was written");
    });
    while shared.1.load(Ordering::Acquire) != 1 {
        thread::yield_now();
    }
    let met = shared.0.enter_write(me(0), 1, 8).err().expect("the reader is seen");
    assert_eq!((met.kind, met.inside), (Kind::IterationAndWrite, true));
    assert_eq!((met.other.thread, met.other.doing), (2, Some((3, 0))));
    shared.1.store(2, Ordering::Release);
    reader.join().expect("the reader ends");
}

/// A reader and a writer that come, by order of the program, while a writer is inside.
fn both_come_to_writer<R: Rules + 'static>() {
    let shared = Arc::new((marks::<R>(), AtomicUsize::new(0)));
    let other = Arc::clone(&shared);
    let writer = thread::spawn(move || {
        let write = other.0.enter_write(me(1), 3, 7).expect("nobody is inside");
        other.1.store(1, Ordering::Release);
        while other.1.load(Ordering::Acquire) != 2 {
            thread::yield_now();
        }
        other.0.exit_write(write);
    });
    while shared.1.load(Ordering::Acquire) != 1 {
        thread::yield_now();
    }
    let met = shared.0.enter_read(me(0), 0, 8, false).err().expect("the writer is seen");
    assert_eq!((met.kind, met.other.thread, met.other.doing), (Kind::ReadAndWrite, 2, Some((3, 7))));
    let met = shared.0.enter_write(me(0), 1, 8).err().expect("the writer is seen");
    assert_eq!((met.kind, met.other.thread, met.inside), (Kind::Writes, 2, true));
    shared.1.store(2, Ordering::Release);
    writer.join().expect("the writer ends");
    fence(Ordering::SeqCst);
}

/// Whether loom finds nothing wrong with the model, and how many executions it looked at.
fn passes(model: fn()) -> (bool, u64) {
    let executions: &Count = Box::leak(Box::new(Count::new(0)));
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(PREEMPTIONS);
        builder.check(move || {
            executions.fetch_add(1, CountOrdering::Relaxed);
            model();
        });
    }));
    (outcome.is_ok(), executions.load(CountOrdering::Relaxed))
}

macro_rules! sound {
    ($($model:ident)*) => {$(
        #[test]
        fn $model() {
            let (passes, executions) = passes(super::$model::<Sound>);
            assert!(passes && executions > 1, "{executions} executions");
        }
    )*};
}

mod sound {
    use super::{Sound, passes};

    sound! {
        read_meets_write read_meets_whole_write write_meets_write reads_meet_reads handed_over writer_comes_to_reader
        both_come_to_writer
    }
}

macro_rules! broken {
    ($($name:ident: $fault:ident in $model:ident)*) => {$(
        #[test]
        fn $name() {
            enum Broken {}
            impl Rules for Broken {
                const FAULT: Fault = Fault::$fault;
            }
            assert!(!passes($model::<Broken>).0, "no execution shows it");
        }
    )*};
}

broken! {
    a_reader_that_does_not_look_again_is_found: NoSecondLook in read_meets_write
    a_reader_that_looks_too_late_is_found: LateLook in read_meets_write
    a_writer_that_brings_the_old_word_back_is_found: NoVersion in read_meets_write
    a_writer_that_claims_by_a_store_is_found: NoClaim in write_meets_write
    a_writer_that_does_not_look_at_shards_is_found: NoScan in writer_comes_to_reader
}
