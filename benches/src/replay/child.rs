//! The child's side of a replay: does a plan's steps, each on a thread of its own as it was recorded, on one allocator, and
//! tells what that took. Invariants: threads do their steps in the plan's order and are never more than a window apart; a step
//! that needs a block waits for it; what is timed is the steps alone, and all that is kept beside the blocks is there before the
//! first of them.
#![allow(unsafe_code)]

use std::alloc::Layout;
use std::path::PathBuf;
use std::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use bucketmask_alloc::BucketAlloc;
use serde::{Deserialize, Serialize};

use super::plan::{Step, WINDOW, What, Windows};
use crate::error::Error;
use crate::fragmentation::{Fragmentation, Kind};
use crate::installed::{Choice, Installed};
use crate::memory::{self, Footprint};
use crate::output;
use crate::peer::{Jemalloc, Mimalloc, Peer};
use crate::workload::Slots;

/// The hidden subcommand under which the binary replays.
pub const SUBCOMMAND: &str = "replay";

/// Looks at memory while the steps are done.
pub const MOMENTS: u64 = 40;

/// Zeroed blocks above this are not written: who asks for so many zeros at once rarely writes them all.
const ZEROED_WRITTEN: usize = 128 << 10;

const OS_PAGE: usize = 4096;

/// What a child is to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The allocator.
    pub allocator: Choice,
    /// The plan's file.
    pub plan: PathBuf,
    /// Steps in it.
    pub steps: u64,
    /// Numbers that they use for blocks.
    pub numbers: u32,
    /// Threads.
    pub threads: u32,
    /// Whether steps wait for the time at which they were recorded.
    pub paced: bool,
    /// How long to wait before memory is read a last time, in milliseconds.
    pub idle_ms: u64,
}

/// Memory at a moment of the replay, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// Steps done.
    pub steps: u64,
    /// Asked for by live blocks.
    pub live: u64,
    /// Resident, in the whole process.
    pub resident: u64,
    /// Ours only: what is in the pages of size classes.
    pub slots: Option<Slots>,
}

/// What a child tells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Account {
    /// The allocator that served the process.
    pub allocator: Choice,
    /// Time of all steps, in nanoseconds.
    pub nanoseconds: f64,
    /// Steps for which there was no memory.
    pub failed: u64,
    /// Resident before the first step, in bytes.
    pub before: u64,
    /// Most resident, in bytes.
    pub peak: u64,
    /// While the steps were done, the last one behind them.
    pub moments: Vec<Moment>,
    /// Resident after the idle time, with what the program left live, in bytes.
    pub idle: u64,
}

/// The child's side: follows `order`, which is JSON, and prints the account.
///
/// # Errors
/// The order is none, the plan can't be read, or nobody listens any more.
pub fn answer(installed: &Installed, order: &str) -> Result<(), Error> {
    let fail = |why: serde_json::Error| Error::Child { engine: "this".into(), why: why.to_string() };
    let order: Order = serde_json::from_str(order).map_err(fail)?;
    let replayed = match order.allocator {
        Choice::Bucketmask => replay(BucketAlloc::new(), &order),
        Choice::Mimalloc => replay(Mimalloc, &order),
        Choice::Jemalloc => replay(Jemalloc, &order),
        Choice::System => replay(std::alloc::System, &order),
        #[cfg(feature = "snmalloc")]
        Choice::Snmalloc => replay(crate::peer::SnMalloc, &order),
    };
    let account = replayed.map_err(|source| Error::Read { path: order.plan.clone(), source })?;
    output::print(
        &(serde_json::to_string(&Account { allocator: installed.choice(), ..account }).map_err(fail)? + "\n"),
    )
}

/// A block by its number: null while it is none.
#[derive(Debug, Default)]
struct Place {
    block: AtomicPtr<u8>,
    /// Size times 64, plus the alignment's power of two.
    shape: AtomicU64,
}

impl Place {
    fn layout(shape: u64) -> Layout {
        let (size, align) = ((shape >> 6) as usize, 1 << (shape & 63));
        Layout::from_size_align(size.max(1), align).unwrap_or(Layout::new::<u8>())
    }

    /// Waits for the block, which another thread may be about to make; takes it out.
    fn take(&self) -> (*mut u8, Layout) {
        let mut looks = 0u32;
        loop {
            // Acquire pairs with the release in `put`: the shape is there, and what the maker wrote into the block.
            let block = self.block.load(Ordering::Acquire);
            if !block.is_null() {
                self.block.store(std::ptr::null_mut(), Ordering::Relaxed);
                return (block, Self::layout(self.shape.load(Ordering::Relaxed)));
            }
            looks += 1;
            if looks.is_multiple_of(64) { std::thread::yield_now() } else { std::hint::spin_loop() }
        }
    }

    fn put(&self, block: *mut u8, step: Step) {
        self.shape.store(step.size << 6 | u64::from(step.align), Ordering::Relaxed);
        // Release pairs with the acquire in `take`.
        self.block.store(block, Ordering::Release);
    }
}

/// What stands for a block that could not be had.
const NO_BLOCK: *mut u8 = std::ptr::without_provenance_mut(1);

struct Replay<A> {
    allocator: A,
    places: Box<[Place]>,
    failed: AtomicU64,
}

impl<A: Peer> Replay<A> {
    /// Does a step; of a block that it makes or resizes, at most so many bytes are `written`, if that is known. What the
    /// next step is to know of that.
    fn step(&self, step: Step, written: Option<u64>) -> Option<u64> {
        let place = || &self.places[step.block as usize];
        let written = written.map(|written| written as usize);
        match step.what {
            What::Malloc | What::Zeroed => self.make(place(), step, written),
            What::Free => self.free(place()),
            What::Resize => self.resize(place(), step, written),
            What::Write => return Some(step.size),
            What::End | What::Clock => {}
        }
        None
    }

    fn make(&self, place: &Place, step: Step, written: Option<usize>) {
        let layout = Place::layout(step.size << 6 | u64::from(step.align));
        let zeroed = step.what == What::Zeroed;
        // SAFETY: the size is not 0.
        let block = unsafe {
            if zeroed { self.allocator.alloc_zeroed(layout) } else { self.allocator.alloc(layout) }
        };
        if block.is_null() {
            self.failed.fetch_add(1, Ordering::Relaxed);
            return place.put(NO_BLOCK, step);
        }
        let all = if zeroed && layout.size() > ZEROED_WRITTEN { 0 } else { layout.size() };
        // SAFETY: a block of that size, just made.
        unsafe { write(block, 0, written.unwrap_or(all).min(layout.size())) };
        place.put(block, step);
    }

    fn free(&self, place: &Place) {
        let (block, layout) = place.take();
        if block != NO_BLOCK {
            // SAFETY: made with this layout, and taken out by this thread alone.
            unsafe { self.allocator.dealloc(block, layout) };
        }
    }

    fn resize(&self, place: &Place, step: Step, written: Option<usize>) {
        let (block, before) = place.take();
        if block == NO_BLOCK {
            return self.make(place, step, written);
        }
        let after = Place::layout(step.size << 6 | u64::from(step.align));
        // SAFETY: made with this layout, taken out by this thread alone; the size is not 0.
        let moved = unsafe { self.allocator.realloc(block, before, after.size()) };
        if moved.is_null() {
            self.failed.fetch_add(1, Ordering::Relaxed);
            let before = Step { size: before.size() as u64, ..step };
            return place.put(block, before);
        }
        // SAFETY: a block of that size, just made.
        unsafe {
            write(moved, before.size().min(after.size()), written.unwrap_or(after.size()).min(after.size()));
        };
        place.put(moved, step);
    }
}

/// Writes a byte of each OS page of a block between `from` and `size`, as a program does that uses what it asked for.
///
/// # Safety
/// The block has at least `size` bytes, which are the caller's.
unsafe fn write(block: *mut u8, from: usize, size: usize) {
    for at in (from..size).step_by(OS_PAGE).chain(size.checked_sub(1).filter(|&last| last > from)) {
        // SAFETY: inside the block.
        unsafe { block.add(at).write_volatile(1) };
    }
}

/// Where the threads of a replay are given their windows.
struct Turns {
    /// The window, which nobody reads while it is exchanged.
    window: RwLock<Vec<Step>>,
    /// Threads that have not done their steps of it.
    busy: AtomicUsize,
    done: (Mutex<()>, Condvar),
}

/// A thread's own bell: the windows that it was told of, and whether it is to go.
#[derive(Default)]
struct Bell {
    rung: Mutex<(u64, bool)>,
    bell: Condvar,
}

fn locked<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Bell {
    fn ring(&self, go: bool) {
        let mut rung = locked(&self.rung);
        rung.0 += 1;
        rung.1 |= go;
        self.bell.notify_one();
    }

    /// Waits for the next ring after `heard`; whether to go.
    fn wait(&self, heard: u64) -> bool {
        let rung = locked(&self.rung);
        let rung = self.bell.wait_while(rung, |rung| rung.0 == heard);
        rung.unwrap_or_else(PoisonError::into_inner).1
    }
}

fn work<A: Peer>(replay: &Replay<A>, turns: &Turns, bell: &Bell, thread: u16) {
    let mut heard = 0;
    while !bell.wait(heard) {
        heard += 1;
        let ended = do_steps(replay, &turns.window.read().unwrap_or_else(PoisonError::into_inner), thread);
        // Release pairs with the acquire in `finish`: the steps are done.
        if turns.busy.fetch_sub(1, Ordering::Release) == 1 {
            let _guard = locked(&turns.done.0);
            turns.done.1.notify_one();
        }
        if ended {
            return;
        }
    }
}

/// A thread's steps of a window; whether it ended in it.
fn do_steps<A: Peer>(replay: &Replay<A>, window: &[Step], thread: u16) -> bool {
    let (mut ended, mut written) = (false, None);
    for &step in window.iter().filter(|step| step.thread == thread) {
        written = replay.step(step, written);
        ended |= step.what == What::End;
    }
    ended
}

/// Waits until all threads have done their steps.
fn finish(turns: &Turns) {
    let mut guard = locked(&turns.done.0);
    // Acquire pairs with the release in `work`.
    while turns.busy.load(Ordering::Acquire) > 0 {
        guard = turns.done.1.wait(guard).unwrap_or_else(PoisonError::into_inner);
    }
}

fn replay<A: Peer>(allocator: A, order: &Order) -> std::io::Result<Account> {
    let places = (0..order.numbers).map(|_| Place::default()).collect();
    let replay = Replay { allocator, places, failed: AtomicU64::new(0) };
    let turns = Turns {
        window: RwLock::new(Vec::with_capacity(WINDOW)),
        busy: AtomicUsize::new(0),
        done: (Mutex::new(()), Condvar::new()),
    };
    let bells: Box<[Bell]> = (0..order.threads).map(|_| Bell::default()).collect();
    let mut windows = Windows::open(&order.plan)?;
    let mut tally = Tally::new(order);
    // Once before it counts: what it takes is there from then on.
    tally.look::<A>();
    tally.moments.clear();
    let before = Footprint::now().resident;
    tally.start = order.paced.then(Instant::now);
    std::thread::scope(|scope| {
        let mut started = vec![false; bells.len()];
        let start = |thread: u16| {
            let bell = &bells[usize::from(thread)];
            bell.ring(false);
            if !std::mem::replace(&mut started[usize::from(thread)], true) {
                let (replay, turns) = (&replay, &turns);
                scope.spawn(move || work(replay, turns, bell, thread));
            }
        };
        let result = follow(&replay, &turns, &mut windows, &mut tally, start);
        bells.iter().for_each(|bell| bell.ring(true));
        result
    })?;
    std::thread::sleep(Duration::from_millis(order.idle_ms));
    let idle = Footprint::now().resident;
    let seen = tally.moments.iter().map(|moment| moment.resident).max().unwrap_or(0);
    let account = Account {
        allocator: A::CHOICE,
        nanoseconds: tally.time.as_nanos() as f64,
        failed: replay.failed.load(Ordering::Relaxed),
        before,
        peak: memory::peak_resident().max(seen),
        moments: tally.moments,
        idle,
    };
    for place in &replay.places {
        if !place.block.load(Ordering::Relaxed).is_null() {
            replay.free(place);
        }
    }
    Ok(account)
}

/// Has all windows done, in turn. `start` tells a thread of its window, and makes it if it is its first.
fn follow<A: Peer>(
    replay: &Replay<A>,
    turns: &Turns,
    windows: &mut Windows,
    tally: &mut Tally,
    mut start: impl FnMut(u16),
) -> std::io::Result<()> {
    let mut active: Vec<u16> = Vec::with_capacity(WINDOW);
    loop {
        let mut window = windows.read()?;
        if window.is_empty() {
            return Ok(());
        }
        while let Some((steps, rest)) = tally.next_part(window) {
            window = rest;
            active.clear();
            active.extend(
                steps.iter().map(|step| step.thread).filter(|&thread| thread > 0 && thread < u16::MAX),
            );
            active.sort_unstable();
            active.dedup();
            steps.clone_into(&mut turns.window.write().unwrap_or_else(PoisonError::into_inner));
            tally.count(steps);
            let begin = Instant::now();
            turns.busy.store(active.len(), Ordering::Relaxed);
            active.iter().copied().for_each(&mut start);
            // The program's first thread is this one.
            do_steps(replay, &turns.window.read().unwrap_or_else(PoisonError::into_inner), 0);
            finish(turns);
            tally.time += begin.elapsed();
            if tally.is_due() {
                tally.look::<A>();
            }
        }
    }
}

/// What is kept beside the steps: time, and memory now and then.
struct Tally {
    time: Duration,
    /// When the first step was done, if the others keep their distance to it.
    start: Option<Instant>,
    steps: u64,
    of: u64,
    live: u64,
    /// Bytes of blocks, by number.
    sizes: Box<[u64]>,
    moments: Vec<Moment>,
}

impl Tally {
    fn new(order: &Order) -> Self {
        let moments = Vec::with_capacity(MOMENTS as usize + 2);
        // Not zeros, which the kernel might only promise.
        let sizes = vec![1; order.numbers as usize].into();
        Self { time: Duration::ZERO, start: None, steps: 0, of: order.steps.max(1), live: 0, sizes, moments }
    }

    /// Of a window the steps that are to be done next, and the rest. With a pace, it ends at the next clock, and a clock at
    /// its start is waited for.
    fn next_part<'a>(&self, window: &'a [Step]) -> Option<(&'a [Step], &'a [Step])> {
        let first = window.first()?;
        let Some(start) = self.start else { return Some((window, &[])) };
        if first.what == What::Clock {
            let due = start + Duration::from_millis(first.size);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        let end = window[1..].iter().position(|step| step.what == What::Clock);
        Some(window.split_at(end.map_or(window.len(), |end| end + 1)))
    }

    fn count(&mut self, window: &[Step]) {
        for step in window.iter().filter(|step| !matches!(step.what, What::Clock | What::Write)) {
            self.steps += 1;
            let Some(size) = self.sizes.get_mut(step.block as usize) else { continue };
            match step.what {
                What::Malloc | What::Zeroed => self.live += step.size,
                What::Free => self.live -= *size,
                What::Resize => self.live = self.live + step.size - *size,
                What::End | What::Clock | What::Write => continue,
            }
            *size = step.size;
        }
    }

    fn is_due(&self) -> bool {
        self.steps * MOMENTS / self.of > self.moments.len() as u64
    }

    fn look<A: Peer>(&mut self) {
        let resident = Footprint::now().resident;
        let slots = (A::CHOICE == Choice::Bucketmask).then(|| {
            let report = BucketAlloc::new().report();
            let [live, requested, committed, _] = Fragmentation::of(&report, 0).total(Some(Kind::Class));
            Slots { live, requested, committed }
        });
        self.moments.push(Moment { steps: self.steps, live: self.live, resident, slots });
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::replay::plan::Plan;

    #[test]
    fn a_shape_keeps_size_and_alignment() {
        let step = Step { thread: 0, what: What::Malloc, align: 12, block: 0, size: 5 << 30 };
        let place = Place::default();
        place.put(NO_BLOCK, step);
        let (block, layout) = place.take();
        assert_eq!((block, layout.size(), layout.align()), (NO_BLOCK, 5 << 30, 4096));
        assert!(place.block.load(Ordering::Relaxed).is_null());
    }

    #[test]
    fn a_plan_that_is_none_is_an_error() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&[9; 16]).unwrap();
        let order = Order {
            allocator: Choice::Mimalloc,
            plan: file.path().into(),
            steps: 1,
            numbers: 1,
            threads: 1,
            paced: false,
            idle_ms: 0,
        };
        assert_eq!(replay(Mimalloc, &order).unwrap_err().kind(), std::io::ErrorKind::InvalidData);
        assert!(Plan::of(file.path(), true).unwrap_err().to_string().contains("not a trace"));
    }
}
