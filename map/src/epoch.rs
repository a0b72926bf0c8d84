//! Epochs: how long memory must live that readers may still see.
//!
//! Each thread has a record. A reader stores the present epoch in it, once for all the guards it nests, and zero when the
//! last is gone: two plain stores, no fence. Who wants to free something unlinks it, takes the epoch as its **tag**, and
//! frees it once the epoch is [`GRACE`] further. The epoch moves on when every record is idle or has seen the present
//! one, which is asked after a barrier on all threads (`membarrier`), so that no announcement is still in a store buffer.
//! After Fraser's epochs and crossbeam-epoch; the asymmetric fence as in folly's hazard pointers.
//!
//! Why a tag's garbage is unreachable at `tag + GRACE`: the tag is read by a read-modify-write after the unlinking, so
//! whoever loads a later epoch sees the unlinking. A reader may sleep between loading the epoch and announcing it, and so
//! announce one that is long past. Let the step from `n` to `n + 1` be the last one that did not see its announcement.
//! It was then stored after that step's barrier, so the reader's loads see all that the stepping thread had seen: every unlinking
//! whose tag is below `n`. What the reader can reach has a tag of `n` or more. Later steps see the announcement, and are made
//! only from the epoch that it announces: one at most, from `n + 1`. So the epoch stays at `n + 2` or below while the guard
//! lives, and what has the tag `n` is freed at `n + 3`. (No step missed it: it loaded `e`, sees what has a tag below
//! `e`, and holds the epoch at `e + 1` or below.)
//!
//! One thread at a time moves the epoch on. While it is preempted there, nobody else can, and what is retired meanwhile waits: as
//! much as writers retire in that time.
//!
//! `fork`: a child has the records of all its parent's threads, and none of the threads but one. One that was pinned, or moving the epoch
//! on, at that moment is so for ever in the child, which then never frees garbage of concurrent maps (it reads and writes them
//! correctly otherwise, where no other thread held a lock). A child that goes on to use such maps must be forked while no other
//! thread has a guard or writes.
//!
//! Owned by `concurrent`. Invariant: what a guard can reach has a tag no smaller than the epoch that the last step was made from that
//! missed it, and the epoch is at most two above that while the guard lives.

#![allow(unsafe_code)]

use crate::sync::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Mutex, Ordering};
use bucketmask_alloc::sync::{Padded, asymmetric};
use core::cell::Cell;
use core::ptr;
use core::sync::atomic::fence;
use core::time::Duration;
use std::thread::{Thread, ThreadId};
use std::time::Instant;

/// Whether a number of [`Pin::index`] is one thread's alone while its guard lives: a record has one owner at a time, and what the last one
/// did before it gave the record back is seen by the next (release and acquire of `state`, or of `announced` in [`Record::take`]).
pub(crate) const NUMBERS_ARE_UNIQUE: bool = true;

/// Epochs between the tag of garbage and its end.
pub(crate) const GRACE: u64 = 3;

/// The present epoch. Moved by a compare-and-swap (release), which pairs with the acquire load of who pins, and with the
/// read-modify-write of who tags.
static EPOCH: Padded<AtomicU64> = Padded(AtomicU64::new(1));
/// All records ever made, newest first. Pushed with release; walks load with acquire.
static RECORDS: AtomicPtr<Record> = AtomicPtr::new(ptr::null_mut());
/// Records made so far.
static MADE: AtomicUsize = AtomicUsize::new(0);
/// Whether a thread is trying to move the epoch on. One at a time is enough.
static ADVANCING: AtomicBool = AtomicBool::new(false);
/// When the last epochs began, in milliseconds of [`milliseconds`], by epoch. Shown only.
static BEGAN: [AtomicU64; 4] = [const { AtomicU64::new(0) }; 4];
static WARN: Mutex<Option<(Duration, WarnHook)>> = Mutex::new(None);

/// Told of a guard held too long; see [`warn_of_old_guards`].
pub type WarnHook = fn(&OldGuard);

/// What a thread, or an owned guard, announces. Never freed: taken again by another.
#[repr(align(128))]
pub(crate) struct Record {
    /// The epoch that its guards may have seen; 0: it has no guard. Stored by its owner with release: the store that
    /// ends a guard pairs with the acquire load in `is_clear`, so that freeing comes after the guard's last read.
    announced: AtomicU64,
    /// Guards alive. The owner's alone.
    depth: Cell<usize>,
    /// Number among the records.
    index: usize,
    /// [`FREE`], [`OWNED`], or the [`token`] of a thread whose locals are gone: then it is anybody's as soon as it announces nothing.
    /// Claimed with acquire, which pairs with the release of who gave it back.
    state: AtomicUsize,
    /// The epoch that was warned of last.
    warned: AtomicU64,
    thread: Mutex<Option<Thread>>,
    next: *const Record,
}

// SAFETY: `depth` is touched by the owner alone, which claims decide; `next` never changes; the rest is atomic or locked.
unsafe impl Sync for Record {}

thread_local! {
    /// The thread's record, where announcing takes no fence: the fast path. Null before the first guard and where the kernel
    /// has no barrier for all threads.
    static FAST: Cell<*const Record> = const { Cell::new(ptr::null()) };
    static OWNER: Owner = Owner(Record::claim(Which::Lowest));
}

thread_local! {
    /// The last record of a thread whose locals are gone: its own as long as it has the thread's token. Not dropped, so it can be
    /// asked to the end.
    static LAST: Cell<*const Record> = const { Cell::new(ptr::null()) };
}

/// Gives the record back when its thread ends.
struct Owner(&'static Record);

impl Drop for Owner {
    fn drop(&mut self) {
        FAST.set(ptr::null());
        if self.0.depth.get() == 0 {
            self.0.give_back();
        } else {
            // A guard outlives the thread's locals.
            self.0.keep_while_guarded();
        }
    }
}

const FREE: usize = 0;
const OWNED: usize = 1;

/// What tells this thread from all others that are alive: an address of its own.
fn token() -> usize {
    LAST.with(|last| ptr::from_ref(last).addr())
}

/// Which of the records that are nobody's.
#[derive(Clone, Copy)]
enum Which {
    /// That of the lowest number, since only low numbers have a lane: for threads, once each. O(records).
    Lowest,
    /// The one found first, of a high number where there is a choice: for owned guards and threads that are ending, which leave the lanes to
    /// others.
    First,
}

impl Record {
    /// A record that is nobody's; a new one where there is none.
    fn claim(which: Which) -> &'static Self {
        let all = || {
            // Acquire: pairs with the release of who put the record there, for what it was made of.
            let first = RECORDS.load(Ordering::Acquire).cast_const();
            // SAFETY: null, or a record, which is never freed.
            let at = |record: *const Self| unsafe { record.as_ref() };
            core::iter::successors(at(first), move |record| at(record.next))
        };
        // Who is beaten to it looks again: each time another thread has a record more.
        let find = || {
            let mut free = all().filter(|record| record.state_if_free().is_some());
            match which {
                Which::Lowest => free.min_by_key(|record| record.index),
                Which::First => free.next(),
            }
        };
        while let Some(free) = find() {
            if free.take() {
                *free.thread.lock() = Some(std::thread::current());
                return free;
            }
        }
        let made = Box::leak(Box::new(Self {
            announced: AtomicU64::new(0),
            depth: Cell::new(0),
            index: MADE.fetch_add(1, Ordering::Relaxed),
            state: AtomicUsize::new(OWNED),
            warned: AtomicU64::new(0),
            thread: Mutex::new(Some(std::thread::current())),
            next: RECORDS.load(Ordering::Relaxed),
        }));
        // Release: pairs with the acquire load of walks.
        while let Err(now) =
            RECORDS.compare_exchange_weak(made.next.cast_mut(), made, Ordering::Release, Ordering::Relaxed)
        {
            made.next = now;
        }
        made
    }

    /// Its state, if it is nobody's, or was that of a thread that is ending and has no guard any more.
    fn state_if_free(&self) -> Option<usize> {
        let state = self.state.load(Ordering::Relaxed);
        (state == FREE || state != OWNED && self.announced.load(Ordering::Relaxed) == 0).then_some(state)
    }

    /// Takes it if it is free.
    fn take(&self) -> bool {
        let Some(state) = self.state_if_free() else { return false };
        // Acquire: pairs with the release in `give_back` and `keep_while_guarded`.
        if self.state.compare_exchange(state, OWNED, Ordering::Acquire, Ordering::Relaxed).is_err() {
            return false;
        }
        // Looked at again: that thread may have pinned meanwhile, and announced before it stored its token. Acquire: pairs with the
        // store that ended the guard, which comes after the last use of `depth`.
        if self.announced.load(Ordering::Acquire) == 0 {
            return true;
        }
        self.state.store(state, Ordering::Release);
        false
    }

    /// The thread's locals are gone: nothing will be called when it ends, so its last guard must be enough.
    fn keep_while_guarded(&self) {
        LAST.set(self);
        self.state.store(token(), Ordering::Release);
    }

    fn give_back(&self) {
        *self.thread.lock() = None;
        self.state.store(FREE, Ordering::Release);
    }

    #[inline(always)]
    fn leave(&self) {
        let depth = self.depth.get() - 1;
        self.depth.set(depth);
        if depth == 0 {
            self.announced.store(0, Ordering::Release);
        }
    }

    /// Announces with a fence of this thread's own, where there is none for all threads; elsewhere without.
    #[inline(always)]
    fn enter(&self, fenced: bool) {
        let depth = self.depth.get();
        self.depth.set(depth + 1);
        if depth == 0 {
            self.announced.store(EPOCH.0.load(Ordering::Acquire), Ordering::Release);
            if fenced {
                fence(Ordering::SeqCst);
            } else {
                asymmetric::light();
            }
        }
    }
}

/// Whether barriers for all threads are to be had: 0 not asked yet, 1 no, 2 yes. The first answer that is stored holds for ever; it
/// orders nothing.
static ASYMMETRIC: AtomicUsize = AtomicUsize::new(0);

fn is_asymmetric() -> bool {
    match ASYMMETRIC.load(Ordering::Relaxed) {
        0 => {
            let answer = 1 + usize::from(asymmetric::heavy());
            // Two threads that ask at once could be answered differently, the one for want of memory, say. Some must not fence while
            // others rely on fences, so all go by the answer that was stored first.
            let stored = ASYMMETRIC.compare_exchange(0, answer, Ordering::Relaxed, Ordering::Relaxed);
            stored.map_or_else(|first| first, |_| answer) == 2
        }
        answer => answer == 2,
    }
}

/// A guard of this thread: what was linked while it lives is not freed.
pub struct Pin {
    record: &'static Record,
    marker: core::marker::PhantomData<*mut ()>,
}

/// Announces this thread.
#[inline(always)]
pub(crate) fn pin() -> Pin {
    let record = FAST.get();
    // SAFETY: null, or a record of this thread's, which is never freed.
    match unsafe { record.as_ref() } {
        Some(record) => {
            record.enter(false);
            Pin { record, marker: core::marker::PhantomData }
        }
        None => pin_slow(),
    }
}

#[cold]
#[inline(never)]
fn pin_slow() -> Pin {
    let asymmetric = is_asymmetric();
    let record = OWNER.try_with(|owner| {
        if asymmetric {
            FAST.set(owner.0);
        }
        owner.0
    });
    let late = record.is_err();
    let record = record.unwrap_or_else(|_| late_record());
    record.enter(!asymmetric);
    if late {
        record.keep_while_guarded();
    }
    Pin { record, marker: core::marker::PhantomData }
}

/// The record of a thread whose locals are gone, owned: the last one, with its guards, unless another thread has taken it.
fn late_record() -> &'static Record {
    // SAFETY: null, or a record, which is never freed.
    let last = unsafe { LAST.get().as_ref() };
    // Acquire: as in `take`. With this thread's token, nobody has touched it since this thread stored that.
    let mine = |last: &&Record| {
        last.state.compare_exchange(token(), OWNED, Ordering::Acquire, Ordering::Relaxed).is_ok()
    };
    last.filter(mine).unwrap_or_else(|| Record::claim(Which::First))
}

impl Pin {
    /// A small number that tells threads apart that are alive at once.
    #[inline(always)]
    pub(crate) fn index(&self) -> usize {
        self.record.index
    }
}

/// More than any number of a guard that was made so far, as far as this thread knows of it.
#[inline]
pub(crate) fn numbers() -> usize {
    MADE.load(Ordering::Relaxed)
}

impl Drop for Pin {
    #[inline(always)]
    fn drop(&mut self) {
        self.record.leave();
    }
}

/// A guard that may move to another thread: it has a record of its own.
pub struct OwnedPin(&'static Record);

// SAFETY: the record belongs to whoever has the guard.
unsafe impl Send for OwnedPin {}
// SAFETY: the record is written when the guard is made and dropped, by who owns it.
unsafe impl Sync for OwnedPin {}

impl OwnedPin {
    pub(crate) fn new() -> Self {
        let record = Record::claim(Which::First);
        record.enter(!is_asymmetric());
        Self(record)
    }

    pub(crate) fn index(&self) -> usize {
        self.0.index
    }
}

impl Drop for OwnedPin {
    fn drop(&mut self) {
        self.0.leave();
        self.0.give_back();
    }
}

/// The tag of what was unlinked before: it may be freed once [`is_over`] says so.
pub(crate) fn tag() -> u64 {
    // A read-modify-write, so that whoever moves the epoch on after this one sees what came before (release), and this
    // sees the newest epoch.
    EPOCH.0.fetch_add(0, Ordering::AcqRel)
}

/// Whether no reader can reach any more what has this tag.
pub(crate) fn is_over(tag: u64) -> bool {
    is_over_by(tag, GRACE)
}

/// Whether the epoch is `grace` past the tag: [`is_over`] for [`GRACE`], and a fault for less.
pub(crate) fn is_over_by(tag: u64, grace: u64) -> bool {
    // Acquire: pairs with the swap that moved the epoch on, after all records were looked at.
    EPOCH.0.load(Ordering::Acquire) >= tag + grace
}

/// The right to move the epoch on; given back on unwinding too.
struct Advancing;

impl Drop for Advancing {
    fn drop(&mut self) {
        // Release: pairs with the acquire of the next claim.
        ADVANCING.store(false, Ordering::Release);
    }
}

/// Moves the epoch on if no record holds it back; costs a barrier on all threads then. Calls the hook of old guards as the last
/// thing: it may panic.
pub(crate) fn advance() {
    let mut old = Vec::new();
    try_to_advance(&mut old);
    for (hook, guard) in &old {
        hook(guard);
    }
}

/// [`advance`] without the calls of the hook: those that are due are left in `old`.
fn try_to_advance(old: &mut Vec<(WarnHook, OldGuard)>) {
    if ADVANCING.swap(true, Ordering::Acquire) {
        return;
    }
    let _advancing = Advancing;
    let now = EPOCH.0.load(Ordering::Acquire);
    // A look before the barrier saves it where a record is behind anyway.
    if is_clear(now, old) && barrier() && is_clear(now, old) {
        BEGAN[(now as usize + 1) % BEGAN.len()].store(milliseconds(), Ordering::Relaxed);
        // Nobody else swaps: this is a compare-and-swap so that it continues the chain of read-modify-writes of tags.
        let moved = EPOCH.0.compare_exchange(now, now + 1, Ordering::AcqRel, Ordering::Relaxed);
        debug_assert!(moved.is_ok());
    }
}

fn barrier() -> bool {
    if is_asymmetric() {
        return asymmetric::heavy();
    }
    fence(Ordering::SeqCst);
    true
}

/// Whether every record is idle or has seen the epoch `now`. Adds the guards to `old` that are to be warned of.
fn is_clear(now: u64, old: &mut Vec<(WarnHook, OldGuard)>) -> bool {
    let mut clear = true;
    for record in records() {
        // Acquire: pairs with the release stores of its owner.
        let announced = record.announced.load(Ordering::Acquire);
        if announced != 0 && announced != now {
            clear = false;
            old.extend(to_warn_of(record, announced));
        }
    }
    clear
}

fn records() -> impl Iterator<Item = &'static Record> {
    // SAFETY: records are never freed, and are written before they are pushed.
    let first = unsafe { RECORDS.load(Ordering::Acquire).as_ref() };
    // SAFETY: as above.
    core::iter::successors(first, |record| unsafe { record.next.as_ref() })
}

/// Milliseconds since the first call; where there is no clock, none.
fn milliseconds() -> u64 {
    static START: Mutex<Option<Instant>> = Mutex::new(None);
    if cfg!(all(target_family = "wasm", target_os = "unknown")) {
        // std panics there when it is asked for the time.
        return 0;
    }
    START.lock().get_or_insert_with(Instant::now).elapsed().as_millis() as u64
}

/// A guard that keeps garbage from being freed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct OldGuard {
    /// How long it has been held, at least: since the epoch after its own began.
    pub age: Duration,
    /// The thread that made it, or that an owned guard was made by.
    pub thread: ThreadId,
    /// That thread's name.
    pub name: Option<String>,
}

fn old_guard(record: &Record, announced: u64) -> Option<OldGuard> {
    let since = BEGAN[(announced as usize + 1) % BEGAN.len()].load(Ordering::Relaxed);
    let thread = record.thread.lock().clone()?;
    let age = Duration::from_millis(milliseconds().saturating_sub(since));
    Some(OldGuard { age, thread: thread.id(), name: thread.name().map(str::to_owned) })
}

/// The guard of `record`, where it is old and has not been warned of, and the hook to call.
fn to_warn_of(record: &Record, announced: u64) -> Option<(WarnHook, OldGuard)> {
    let (limit, hook) = (*WARN.lock())?;
    let guard = old_guard(record, announced)?;
    // Once a guard: the epoch that it announced tells guards of a record apart.
    (guard.age >= limit && record.warned.swap(announced, Ordering::Relaxed) != announced)
        .then_some((hook, guard))
}

/// The guard that holds the epoch back longest, of all maps and threads; `None` while none does.
///
/// Costs a look at each thread's record.
pub(crate) fn oldest_guard() -> Option<OldGuard> {
    let now = EPOCH.0.load(Ordering::Acquire);
    records()
        .filter_map(|record| {
            let announced = record.announced.load(Ordering::Acquire);
            (announced != 0 && announced < now).then(|| old_guard(record, announced))?
        })
        .max_by_key(|guard| guard.age)
}

/// Has `hook` called of each guard that has held reclamation back for `limit` or longer, once a guard, by the writer that
/// notices, after its own work. The hook must not use a concurrent map. If it panics, that comes out of the writer's call, and nothing
/// else is lost. `None` ends it.
pub fn warn_of_old_guards(warn: Option<(Duration, WarnHook)>) {
    *WARN.lock() = warn;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guard_holds_the_epoch_within_one() {
        let guard = pin();
        let tag = tag();
        for _ in 0..20 {
            advance();
        }
        assert!(!is_over(tag), "the epoch passed a guard");
        let inner = pin();
        drop(guard);
        (0..20).for_each(|_| advance());
        assert!(!is_over(tag), "the inner guard holds it, too");
        drop(inner);
        // Other tests' threads pin for moments only.
        let start = Instant::now();
        while !is_over(tag) {
            advance();
            assert!(
                start.elapsed() < Duration::from_secs(20),
                "nothing holds the epoch, and it does not move"
            );
        }
    }

    #[test]
    fn the_lowest_free_number_is_taken() {
        let is_lowest = || {
            let records: Vec<&Record> = (0..8).map(|_| Record::claim(Which::First)).collect();
            let lowest = records.iter().map(|record| record.index).min();
            for record in records {
                record.give_back();
            }
            let next = Record::claim(Which::Lowest);
            next.give_back();
            Some(next.index) <= lowest
        };
        // Threads of other tests take some, too, for moments.
        assert!((0..1000).any(|_| is_lowest()));
    }

    #[test]
    fn an_owned_guard_walks_past_those_in_use_only() {
        let before: Vec<OwnedPin> = (0..100).map(|_| OwnedPin::new()).collect();
        let made = MADE.load(Ordering::Relaxed);
        drop(before);
        // The newest record comes first, and is free.
        let newest = |pin: &OwnedPin| pin.0.index + 50 > made;
        assert!((0..1000).any(|_| newest(&OwnedPin::new())));
    }

    #[test]
    fn threads_that_pin_to_their_very_end_leave_no_record() {
        struct Late(Option<Pin>);
        impl Drop for Late {
            fn drop(&mut self) {
                let (outer, inner) = (pin(), pin());
                assert_eq!(outer.index(), inner.index());
                drop((self.0.take(), inner, outer));
                drop(pin());
            }
        }
        // Made before the record, so dropped after it was given back.
        thread_local!(static END: Cell<Option<Late>> = const { Cell::new(None) });
        let made = || MADE.load(Ordering::Relaxed);
        let before = made();
        for _ in 0..60 {
            // Four at once, so that they take each other's.
            let threads = [true, false, true, false].map(|keeps| {
                std::thread::spawn(move || {
                    END.set(Some(Late(None)));
                    let guard = pin();
                    // Some threads take a guard with them.
                    END.set(Some(Late(keeps.then_some(guard))));
                })
            });
            for thread in threads {
                thread.join().unwrap();
            }
        }
        assert!(made() - before < 100, "{} records for a few threads at a time", made() - before);
        let tag = tag();
        let start = Instant::now();
        while !is_over(tag) {
            advance();
            assert!(start.elapsed() < Duration::from_secs(20), "a thread that ended still announces");
        }
    }

    #[test]
    fn an_owned_guard_holds_it_from_another_thread() {
        let guard = OwnedPin::new();
        let tag = tag();
        let guard = std::thread::spawn(move || {
            (0..20).for_each(|_| advance());
            guard
        })
        .join()
        .unwrap();
        assert!(!is_over(tag));
        let oldest = oldest_guard().expect("it is behind by now");
        assert!(oldest.age < Duration::from_secs(600));
        drop(guard);
    }
}
