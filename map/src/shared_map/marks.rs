//! Marks: how an operation says that it is inside, and finds out that another one is. The protocol alone, without threads and words.
//!
//! ```text
//! read:   own shard += 1      look: a writer inside? report      ...read...      look again: changed? report      own shard -= 1
//! write:  look: a writer inside? report      claim by compare-and-swap, failed? report      a shard above 0? report, unclaim
//!         ...write...      new word: idle
//! ```
//!
//! The **word** holds a version, the last writer's number and whether it is inside; each write makes a new version. So a reader's second look
//! finds every write that was inside at any moment between its two looks, be it over or not: that alone lets no overlap of a
//! read and a write pass, and it costs a reader two loads (the second look of a sequence lock, after Boehm, MSPC 2012). The claim lets no
//! two writes pass. Shards are there to find a reader *before* the write does harm, and to say what it does: a reader that is inside for longer than its
//! store takes to get out is seen by the writer, which then has not written anything.
//!
//! All loads and stores are relaxed, and fences order them, which are no instructions on x86. That is on purpose: the marks must not make two
//! uses look ordered that are not. `ThreadSanitizer` takes fences for nothing, so it still sees each race that it would see without marks.
//! Nothing is published through marks but themselves.
//!
//! Owned by `watch`. Invariant: of two operations that overlap and are not both reads at least one gets an [`Overlap`]; of two that are ordered
//! by the program neither does.

use crate::sync::{AtomicU32, AtomicU64, Ordering, fence};
use bucketmask_alloc::sync::Padded;
use core::marker::PhantomData;
use core::sync::atomic::compiler_fence;

/// A way to break the protocol, for the test that shows that each is found. `None` is how it works.
#[allow(dead_code, reason = "faults are seeded by tests")]
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing is broken.
    None,
    /// A reader does not look again.
    NoSecondLook,
    /// A reader looks again after its mark is gone, without the fence that keeps its reads before.
    LateLook,
    /// A writer does not look at the shards.
    NoScan,
    /// A writer claims by a store.
    NoClaim,
    /// A writer's end brings back the word of before its claim.
    NoVersion,
}

/// Marks are compiled for their rules.
pub(crate) trait Rules {
    const FAULT: Fault = Fault::None;
}

/// How marks work.
pub(crate) enum Sound {}

impl Rules for Sound {}

/// Who does what: the number of a thread, of an operation, and the hash of its key. What a thread is called and what an operation is, `watch` knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Side {
    /// 0: not known.
    pub(crate) thread: u32,
    /// `None`: the other side had not written it down yet, or does something else by now.
    pub(crate) doing: Option<(u8, u64)>,
}

/// What met.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// A read and a write.
    ReadAndWrite,
    /// Two writes.
    Writes,
    /// An iteration and a write.
    IterationAndWrite,
}

/// What a read that met a write is told.
fn kind(iterates: bool) -> Kind {
    if iterates { Kind::IterationAndWrite } else { Kind::ReadAndWrite }
}

/// Two operations at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Overlap {
    pub(crate) kind: Kind,
    pub(crate) other: Side,
    /// Whether the other one was inside when it was found; else it came and went meanwhile.
    pub(crate) inside: bool,
}

/// Bits of a thread's number.
pub(crate) const THREAD_BITS: u32 = 23;
const BUSY: u64 = 1;
const VERSION: u64 = 1 << (THREAD_BITS + 1);

fn is_busy(word: u64) -> bool {
    word & BUSY != 0
}

fn thread_of(word: u64) -> u32 {
    (word & (VERSION - 1)) as u32 >> 1
}

/// Who enters: its shard, and its number, which is at most [`THREAD_BITS`] wide.
#[derive(Clone, Copy)]
pub(crate) struct Me {
    pub(crate) shard: usize,
    pub(crate) number: u32,
}

/// Readers that share a shard: one thread, but for the last shard, which all threads share that have none.
pub(crate) struct Shard {
    /// Reads that are inside. Those of one thread end in the opposite order of their beginnings.
    pub(crate) inside: AtomicU32,
    /// Thread and operation of the outermost read: `number << 8 | operation`.
    pub(crate) who: AtomicU32,
    pub(crate) hash: AtomicU64,
    /// Iterations, which end in any order.
    pub(crate) iterations: AtomicU32,
    /// Thread and operation of an iteration.
    pub(crate) iterates: AtomicU32,
}

/// What the last writer wrote down of itself, once its claim held.
pub(crate) struct Written {
    /// The claim's word without its busy bit, with the operation in the low eight bits instead of the thread.
    pub(crate) what: AtomicU64,
    pub(crate) hash: AtomicU64,
}

/// The marks of one map: `SHARDS` shards, at most 64, of which the last is shared.
pub(crate) struct Marks<R, const SHARDS: usize> {
    pub(crate) word: AtomicU64,
    /// Shards that a reader ever used, a bit each: what a writer has to look at.
    pub(crate) used: AtomicU64,
    pub(crate) written: Written,
    pub(crate) shards: [Padded<Shard>; SHARDS],
    pub(crate) rules: PhantomData<R>,
}

/// How a read is marked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Marked {
    /// As the outermost one of the only thread of its shard.
    Alone,
    Counted,
    Iterates,
}

/// A read that is inside.
#[derive(Clone, Copy)]
pub(crate) struct Read {
    pub(crate) me: Me,
    marked: Marked,
    seen: u64,
}

/// A write that is inside.
#[derive(Clone, Copy)]
pub(crate) struct Write {
    claim: u64,
    before: u64,
}

/// Adds to a shard's count. Its only thread needs no read-modify-write; threads that share one do.
#[inline(always)]
fn add(count: &AtomicU32, by: u32, shared: bool) {
    if shared {
        count.fetch_add(by, Ordering::Relaxed);
    } else {
        count.store(count.load(Ordering::Relaxed).wrapping_add(by), Ordering::Relaxed);
    }
}

impl<R: Rules, const SHARDS: usize> Marks<R, SHARDS> {
    /// A read begins.
    #[inline(always)]
    pub(crate) fn enter_read(&self, me: Me, what: u8, hash: u64, iterates: bool) -> Result<Read, Overlap> {
        let shard = &self.shards[me.shard].0;
        let shared = me.shard == SHARDS - 1;
        if self.used.load(Ordering::Relaxed) & 1 << me.shard == 0 {
            self.used.fetch_or(1 << me.shard, Ordering::Relaxed);
        }
        let who = me.number << 8 | u32::from(what);
        let marked = if iterates {
            shard.iterates.store(who, Ordering::Relaxed);
            Marked::Iterates
        } else if shared || shard.inside.load(Ordering::Relaxed) != 0 {
            Marked::Counted
        } else {
            Marked::Alone
        };
        if marked == Marked::Alone || shared && !iterates {
            shard.who.store(who, Ordering::Relaxed);
            shard.hash.store(hash, Ordering::Relaxed);
        }
        // Whoever sees the mark sees what was written down before.
        fence(Ordering::Release);
        match marked {
            // By far the most: stores that depend on no load, so that one read does not wait for the one before.
            Marked::Alone => shard.inside.store(1, Ordering::Relaxed),
            Marked::Counted => add(&shard.inside, 1, shared),
            Marked::Iterates => add(&shard.iterations, 1, shared),
        }
        // The store goes out before the looks, as far as the compiler is concerned. The processor may still keep it back past the first look:
        // then neither side sees the other now, and the second look does.
        compiler_fence(Ordering::SeqCst);
        let read = Read { me, marked, seen: self.word.load(Ordering::Relaxed) };
        // The first look comes before all that is read: pairs with the release fence of a writer's end.
        fence(Ordering::Acquire);
        if is_busy(read.seen) {
            let overlap = self.met_writer(read.seen, kind(iterates));
            self.leave(read);
            return Err(overlap);
        }
        Ok(read)
    }

    /// Whether a read that is inside has met no write so far.
    #[inline(always)]
    pub(crate) fn look(&self, read: Read) -> Result<(), Overlap> {
        if R::FAULT == Fault::NoSecondLook {
            return Ok(());
        }
        // What was read came before this look: pairs with the release fence of `enter_write`. A read of anything that a writer stored after that fence
        // makes its claim visible here.
        fence(Ordering::Acquire);
        let now = self.word.load(Ordering::Relaxed);
        if now == read.seen {
            Ok(())
        } else {
            Err(self.met_writer(now, kind(read.marked == Marked::Iterates)))
        }
    }

    /// A read ends.
    #[inline(always)]
    pub(crate) fn exit_read(&self, read: Read) -> Result<(), Overlap> {
        if R::FAULT == Fault::LateLook {
            self.leave(read);
            let now = self.word.load(Ordering::Relaxed);
            return if now == read.seen {
                Ok(())
            } else {
                Err(self.met_writer(now, kind(read.marked == Marked::Iterates)))
            };
        }
        let looked = self.look(read);
        self.leave(read);
        looked
    }

    /// Takes a read's mark away without a look.
    #[inline(always)]
    pub(crate) fn leave(&self, read: Read) {
        let shard = &self.shards[read.me.shard].0;
        let shared = read.me.shard == SHARDS - 1;
        // The reads and the look came before: a writer that sees the mark gone is after them.
        fence(Ordering::Release);
        match read.marked {
            Marked::Alone => shard.inside.store(0, Ordering::Relaxed),
            Marked::Counted => add(&shard.inside, u32::MAX, shared),
            Marked::Iterates => add(&shard.iterations, u32::MAX, shared),
        }
    }

    /// A write begins.
    #[inline(always)]
    pub(crate) fn enter_write(&self, me: Me, what: u8, hash: u64) -> Result<Write, Overlap> {
        let before = self.word.load(Ordering::Relaxed);
        if is_busy(before) {
            return Err(self.met_writer(before, Kind::Writes));
        }
        let claim = (before & !(VERSION - 1)).wrapping_add(VERSION) | u64::from(me.number) << 1 | BUSY;
        if R::FAULT == Fault::NoClaim {
            self.word.store(claim, Ordering::Relaxed);
        } else if let Err(now) =
            // Fails where another write began since the load, which no order forbade: so they overlap. Pairs with the other's compare-and-swap.
            self.word.compare_exchange(before, claim, Ordering::Relaxed, Ordering::Relaxed)
        {
            return Err(self.met_writer(now, Kind::Writes));
        }
        // Release: what is written comes after the claim; pairs with the acquire fence of a second look. Acquire: what is read comes after it,
        // the shards and the table; pairs with the release fence of `leave` and of `exit_write`.
        fence(Ordering::AcqRel);
        let mut left = if R::FAULT == Fault::NoScan { 0 } else { self.used.load(Ordering::Relaxed) };
        while left != 0 {
            let shard = &self.shards[left.trailing_zeros() as usize].0;
            if shard.inside.load(Ordering::Relaxed) | shard.iterations.load(Ordering::Relaxed) != 0 {
                let overlap = Self::met_reader(shard);
                // Nothing was written, so who looks again need not know.
                self.word.store(before, Ordering::Relaxed);
                return Err(overlap);
            }
            left &= left - 1;
        }
        self.written.hash.store(hash, Ordering::Relaxed);
        self.written.what.store((claim & !(VERSION - 1)) | u64::from(what), Ordering::Relaxed);
        Ok(Write { claim, before })
    }

    /// A write ends.
    #[inline(always)]
    pub(crate) fn exit_write(&self, write: Write) {
        // What was written came before: pairs with the acquire fences of the next to enter.
        fence(Ordering::Release);
        let after = if R::FAULT == Fault::NoVersion { write.before } else { write.claim & !BUSY };
        self.word.store(after, Ordering::Relaxed);
    }

    #[cold]
    #[inline(never)]
    fn met_writer(&self, word: u64, kind: Kind) -> Overlap {
        let version = word & !(VERSION - 1);
        let read = || {
            let what = self.written.what.load(Ordering::Relaxed);
            fence(Ordering::Acquire);
            (what, self.written.hash.load(Ordering::Relaxed))
        };
        let (first, second) = (read(), read());
        let doing =
            (first == second && first.0 & !(VERSION - 1) == version).then_some((first.0 as u8, first.1));
        Overlap { kind, other: Side { thread: thread_of(word), doing }, inside: is_busy(word) }
    }

    #[cold]
    #[inline(never)]
    fn met_reader(shard: &Shard) -> Overlap {
        // Pairs with the release fence before the count.
        fence(Ordering::Acquire);
        let iterates = shard.iterations.load(Ordering::Relaxed) != 0;
        if iterates {
            let who = shard.iterates.load(Ordering::Relaxed);
            let other = Side { thread: who >> 8, doing: Some((who as u8, 0)) };
            return Overlap { kind: Kind::IterationAndWrite, other, inside: true };
        }
        let read = || (shard.who.load(Ordering::Relaxed), shard.hash.load(Ordering::Relaxed));
        let (first, second) = (read(), read());
        let doing = (first == second).then_some((first.0 as u8, first.1));
        Overlap { kind: Kind::ReadAndWrite, other: Side { thread: first.0 >> 8, doing }, inside: true }
    }
}
