//! Races on purpose, and uses that look like races and are none: what `ThreadSanitizer` is asked about by `ci/tsan.sh`.
//!
//! `races` lists the scenarios, a line each: name, and `race`, `sound`, `unseen` or `std`. `races NAME` runs one, says when it begins, and repeats
//! it until the sanitizer ends the process or 600 ms are over. Invariant: a scenario of the first kind has a data race in every
//! repetition. The others have none, but one of the third kind is taken for a race where nobody tells the sanitizer what orders it, and one of
//! the fourth where the standard library that orders it is not instrumented.

#![allow(unsafe_code)]

use std::cell::UnsafeCell;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering, fence};
use std::sync::{Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use bucketmask_alloc::BucketAlloc;
use bucketmask_alloc::sync::channel::Channel;
use bucketmask_alloc::sync::ordered::Orders;
use bucketmask_alloc::sync::ring::Ring;
use bucketmask_gc::{Arena, Gc, Rootable};
use bucketmask_map::concurrent::rules::{Fault, Rules};
use bucketmask_map::{ConcurrentMap, GcMap, HashMap};

#[global_allocator]
static ALLOC: BucketAlloc = BucketAlloc;

/// How long a scenario is repeated.
const TIME: Duration = Duration::from_millis(600);

/// What is shared without anything that orders its uses.
struct Unguarded<T>(UnsafeCell<T>);

// SAFETY: none; that is what is to be found. What the threads make of it stays in this process.
unsafe impl<T> Sync for Unguarded<T> {}
// SAFETY: as above.
unsafe impl<T> Send for Unguarded<T> {}

impl<T> Unguarded<T> {
    fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    #[expect(clippy::mut_from_ref, reason = "the race")]
    fn get(&self) -> &mut T {
        // SAFETY: none, see the type.
        unsafe { &mut *self.0.get() }
    }
}

/// Runs both at once, begun together.
fn together(first: impl FnOnce() + Send, second: impl FnOnce() + Send) {
    let ready = AtomicUsize::new(0);
    let begin = || {
        ready.fetch_add(1, Ordering::Relaxed);
        while ready.load(Ordering::Relaxed) < 2 {
            thread::yield_now();
        }
    };
    thread::scope(|scope| {
        let other = scope.spawn(|| {
            begin();
            first();
        });
        begin();
        second();
        // A join is seen; what a scope waits for at its end is not.
        other.join().expect("no panic");
    });
}

/// A map with room, so that the race is about entries and lengths and not about memory that was given back.
fn roomy() -> Unguarded<HashMap<u64, u64>> {
    let mut map = HashMap::with_capacity(4000);
    map.extend((0..500).map(|key| (key, key)));
    Unguarded::new(map)
}

fn map_write_and_write() {
    let map = roomy();
    let fill = |from: u64| {
        let map = &map;
        move || (from..from + 300).for_each(|key| _ = map.get().insert(key, key))
    };
    together(fill(1000), fill(2000));
}

fn map_read_and_write() {
    let map = roomy();
    let look = || (0..500).for_each(|key| _ = black_box(map.get().get(&key)));
    together(look, || (1000..1300).for_each(|key| _ = map.get().insert(key, key)));
}

fn map_iterate_and_write() {
    let map = roomy();
    let walk = || _ = black_box(map.get().values().sum::<u64>());
    together(walk, || (1000..1300).for_each(|key| _ = map.get().insert(key, key)));
}

/// A value behind a pointer that is published without an order.
fn published_relaxed() {
    publish(Ordering::Relaxed, Ordering::Relaxed);
}

fn published_release() {
    publish(Ordering::Release, Ordering::Acquire);
}

fn publish(store: Ordering, load: Ordering) {
    let place = AtomicPtr::new(std::ptr::null_mut::<u64>());
    let give = || place.store(Box::into_raw(Box::new(7)), store);
    let take = || loop {
        let found = place.load(load);
        if !found.is_null() {
            // SAFETY: made by a box, taken once; with relaxed orders the race that is looked for.
            assert_eq!(*unsafe { Box::from_raw(found) }, 7);
            break;
        }
    };
    together(give, take);
}

/// Loads and stores that order nothing else.
#[derive(Debug, Clone, Copy)]
enum Careless {}

// SAFETY: none; that is what is to be found.
unsafe impl Orders for Careless {
    const STORE: Ordering = Ordering::Relaxed;
    const LOAD: Ordering = Ordering::Relaxed;
}

/// Sends what `make` makes of so many numbers, in order, and looks at it at the other end. Either end may be full or empty for a while.
fn carry<T: Send>(
    numbers: u64,
    make: impl Fn(u64) -> T + Send,
    mut push: impl FnMut(T) -> Result<(), T> + Send,
    mut pop: impl FnMut() -> Option<T> + Send,
    look: impl Fn(u64, T) + Send,
) {
    let send = move || {
        for number in 0..numbers {
            let mut unsent = make(number);
            while let Err(back) = push(unsent) {
                unsent = back;
                thread::yield_now();
            }
        }
    };
    let receive = move || {
        for number in 0..numbers {
            let received = loop {
                match pop() {
                    Some(received) => break received,
                    None => thread::yield_now(),
                }
            };
            look(number, received);
        }
    };
    together(send, receive);
}

/// Two words that tell whether they belong together.
fn pair(number: u64) -> [u64; 2] {
    [number, !number]
}

/// A pair is what was sent; where nothing orders its words it may be anything.
fn look_at_pair<O: Orders>(number: u64, found: [u64; 2]) {
    let found = black_box(found);
    assert!(O::LOAD == Ordering::Relaxed || found == pair(number), "{found:?} for {number}");
}

/// The shipped ring, with orders of choice.
fn over_a_ring<O: Orders>() {
    let ring = Ring::<[u64; 2], 8, O>::new();
    let (mut producer, mut consumer) = (ring.producer().expect("one"), ring.consumer().expect("one"));
    carry(200, pair, move |pair| producer.push(pair), move || consumer.pop(), look_at_pair::<O>);
}

/// The shipped channel likewise.
fn over_a_channel<O: Orders>() {
    let channel = Channel::<[u64; 2], 8, O>::new();
    let (sender, mut receiver) = (channel.sender(), channel.receiver().expect("one"));
    carry(200, pair, move |pair| sender.send(pair), move || receiver.receive(), look_at_pair::<O>);
}

/// A block is given away, and written to afterwards.
fn block_used_by_two() {
    let place = AtomicPtr::new(std::ptr::null_mut::<[u64; 4]>());
    let give = || {
        let block = Box::into_raw(Box::new([1; 4]));
        place.store(block, Ordering::Release);
        // SAFETY: none: it is another's by now.
        unsafe { (*block)[3] = 2 };
    };
    let take = || loop {
        let found = place.load(Ordering::Acquire);
        if !found.is_null() {
            // SAFETY: made by a box; leaked, so that what races is a live block.
            unsafe { (*found)[3] = 3 };
            break;
        }
    };
    together(give, take);
}

/// Blocks made on one thread and freed on another: the allocator's own way back.
fn freed_by_another() {
    let ring = Ring::<Box<[u8; 48]>, 64>::new();
    let (mut producer, mut consumer) = (ring.producer().expect("one"), ring.consumer().expect("one"));
    let make = |number| Box::new([number as u8; 48]);
    let free = |number, block: Box<[u8; 48]>| assert_eq!(block[47], number as u8);
    carry(2000, make, move |block| producer.push(block), move || consumer.pop(), free);
}

type Numbers = Arena<Rootable![GcMap<'_, u64, Gc<'_, u64>>]>;

fn numbers() -> Numbers {
    let arena = Numbers::new(|mc| GcMap::with_hasher(mc, std::hash::RandomState::new()));
    arena.mutate(|mc, map| (0..200).for_each(|key| _ = map.insert(mc, key, Gc::new(mc, key))));
    arena
}

/// An arena changed by two threads.
fn arena_used_by_two() {
    let arena = Unguarded::new(numbers());
    let fill = |from: u64| {
        let arena = &arena;
        move || {
            let arena = arena.get();
            arena.mutate(|mc, map| {
                (from..from + 50).for_each(|key| _ = map.insert(mc, key, Gc::new(mc, key)));
            });
        }
    };
    together(fill(1000), fill(2000));
}

/// One thread walks a map while it collects, another does the same with an arena of its own.
fn iterate_while_collecting() {
    let work = || {
        let mut arena = numbers();
        for _ in 0..4 {
            arena.collect_debt();
            arena.mutate(|mc, map| {
                let mut sum = 0;
                map.for_each(|key, value| sum += u64::from(*key == **value));
                assert_eq!(sum, 200);
                Gc::new(mc, 1u64);
            });
            arena.finish_cycle();
        }
    };
    together(work, work);
}

fn read_and_read() {
    let map = roomy();
    let look = || (0..500).for_each(|key| assert_eq!(map.get().get(&key), Some(&key)));
    together(look, look);
}

/// The concurrent map's pointer to its table, loaded without an order.
struct Loose;

impl Rules for Loose {
    const FAULT: Fault = Fault::RelaxedTable;
}

fn churn<R: Rules>() {
    let map = ConcurrentMap::<u64, Box<u64>, _, R>::with_rules(16, std::hash::RandomState::new());
    let write = || {
        for key in 0..1500 {
            map.insert(key, Box::new(key));
            if key % 3 == 0 {
                map.remove(&(key / 2));
            }
        }
    };
    let read = || {
        for key in (0..1500).chain(0..1500) {
            map.read(&key, |value| assert_eq!(**value, key));
        }
    };
    together(write, read);
}

/// The same with entries that are freed while guards may see them.
struct Hasty;

impl Rules for Hasty {
    const GRACE: u64 = 0;
}

/// A value that is written to when it is dropped.
struct Marked(u64);

impl Drop for Marked {
    fn drop(&mut self) {
        self.0 = black_box(0);
        black_box(&self.0);
    }
}

fn freed_before_its_time() {
    let map = ConcurrentMap::<u64, Marked, _, Hasty>::with_rules(64, std::hash::RandomState::new());
    map.insert(0, Marked(0));
    // Relaxed: the threads meet, and nothing is ordered by it.
    let (seen, freed) = (AtomicBool::new(false), AtomicBool::new(false));
    let wait_for = |told: &AtomicBool| {
        while !told.load(Ordering::Relaxed) {
            thread::yield_now();
        }
    };
    let write = || {
        wait_for(&seen);
        // No more than that: the sanitizer forgets what a thread did thousands of steps ago, and reports no race with it then.
        map.insert(0, Marked(1));
        map.collect_garbage();
        freed.store(true, Ordering::Relaxed);
    };
    let read = || {
        let guard = map.pin();
        let value = guard.get(&0).expect("inserted above");
        seen.store(true, Ordering::Relaxed);
        wait_for(&freed);
        // SAFETY: a reference that the guard should keep alive. Volatile, so that it is read now.
        black_box(unsafe { std::ptr::from_ref(&value.0).read_volatile() });
    };
    together(write, read);
}

fn park_and_unpark() {
    let value = Unguarded::new(0u64);
    let told = AtomicBool::new(false);
    let waiter = thread::current();
    thread::scope(|scope| {
        let other = scope.spawn(|| {
            *value.get() = 7;
            told.store(true, Ordering::Release);
            waiter.unpark();
        });
        while !told.load(Ordering::Acquire) {
            thread::park_timeout(Duration::from_micros(50));
        }
        assert_eq!(*value.get(), 7);
        other.join().expect("no panic");
    });
}

#[cfg(bucketmask_told)]
unsafe extern "C" {
    fn __tsan_acquire(address: *mut core::ffi::c_void);
    fn __tsan_release(address: *mut core::ffi::c_void);
}

/// Tells the sanitizer that what came before is ordered before what follows whoever is told of the same word later: it does not model fences,
/// and does not see what happens inside a standard library that is not built for it.
fn tell(word: &AtomicUsize, releases: bool) {
    #[cfg(bucketmask_told)]
    // SAFETY: the runtime's own entry points; the address is only a name.
    unsafe {
        let name = core::ptr::from_ref(word).cast_mut().cast();
        if releases { __tsan_release(name) } else { __tsan_acquire(name) }
    }
    #[cfg(not(bucketmask_told))]
    let _ = (word, releases);
}

/// Waits with a timeout for who wakes; either may come first. What a contended lock or a wait does inside the
/// standard library is not seen.
fn wait_and_notify(tells: bool) {
    let pair = (Mutex::new((false, 0u64)), Condvar::new());
    let word = AtomicUsize::new(0);
    let tell = |releases| {
        if tells {
            tell(&word, releases);
        }
    };
    let wake = || {
        let mut state = pair.0.lock().expect("no panic");
        tell(false);
        *state = (true, 7);
        tell(true);
        drop(state);
        pair.1.notify_one();
    };
    let wait = || {
        let mut state = pair.0.lock().expect("no panic");
        tell(false);
        while !state.0 {
            tell(true);
            state = pair.1.wait_timeout(state, Duration::from_micros(50)).expect("no panic").0;
            tell(false);
        }
        assert_eq!(state.1, 7);
    };
    together(wake, wait);
}

fn wait_told() {
    wait_and_notify(true);
}

fn wait_untold() {
    wait_and_notify(false);
}

/// Boxes sent over the standard library's own channel.
fn over_mpsc() {
    let (sender, receiver) = std::sync::mpsc::sync_channel::<Box<[u64; 2]>>(4);
    let send = move || (0..200).for_each(|number| sender.send(Box::new(pair(number))).expect("a receiver"));
    let receive =
        move || (0..200).for_each(|number| assert_eq!(*receiver.recv().expect("a sender"), pair(number)));
    together(send, receive);
}

/// Data ordered by fences alone, with or without a word to the sanitizer.
fn over_fences(tells: bool) {
    let (data, word) = (Unguarded::new(0u64), AtomicUsize::new(0));
    let give = || {
        *data.get() = 7;
        if tells {
            tell(&word, true);
        }
        fence(Ordering::Release);
        word.store(1, Ordering::Relaxed);
    };
    let take = || {
        while word.load(Ordering::Relaxed) == 0 {
            thread::yield_now();
        }
        fence(Ordering::Acquire);
        if tells {
            tell(&word, false);
        }
        assert_eq!(*data.get(), 7);
    };
    together(give, take);
}

fn fences_told() {
    over_fences(true);
}

fn fences_untold() {
    over_fences(false);
}

/// Name, what there is to find, and what to do.
const SCENARIOS: &[(&str, &str, fn())] = &[
    ("map-write-and-write", "race", map_write_and_write),
    ("map-read-and-write", "race", map_read_and_write),
    ("map-iterate-and-write", "race", map_iterate_and_write),
    ("published-relaxed", "race", published_relaxed),
    ("ring-relaxed", "race", over_a_ring::<Careless>),
    ("channel-relaxed", "race", over_a_channel::<Careless>),
    ("block-used-by-two", "race", block_used_by_two),
    ("arena-used-by-two", "race", arena_used_by_two),
    ("concurrent-map-table-relaxed", "race", churn::<Loose>),
    ("concurrent-map-freed-early", "race", freed_before_its_time),
    ("map-read-and-read", "sound", read_and_read),
    ("iterate-while-collecting", "sound", iterate_while_collecting),
    ("published-release", "sound", published_release),
    ("ring", "sound", over_a_ring::<bucketmask_alloc::sync::ordered::ReleaseAcquire>),
    ("channel", "sound", over_a_channel::<bucketmask_alloc::sync::ordered::ReleaseAcquire>),
    ("freed-by-another", "sound", freed_by_another),
    ("concurrent-map-growing", "sound", churn::<bucketmask_map::concurrent::rules::Fresh>),
    ("wait-and-notify-told", "sound", wait_told),
    ("park-and-unpark", "sound", park_and_unpark),
    ("fences-told", "sound", fences_told),
    ("fences-untold", "unseen", fences_untold),
    ("wait-and-notify-untold", "std", wait_untold),
    ("mpsc", "std", over_mpsc),
];

fn main() {
    let Some(name) = std::env::args().nth(1) else {
        for (name, kind, _) in SCENARIOS {
            println!("{name} {kind}");
        }
        return;
    };
    let Some((_, _, scenario)) = SCENARIOS.iter().find(|scenario| scenario.0 == name) else {
        eprintln!("no scenario is called {name}; without a name they are listed");
        std::process::exit(2);
    };
    eprintln!("begins");
    let begun = Instant::now();
    let mut repetitions = 0;
    while begun.elapsed() < TIME {
        scenario();
        repetitions += 1;
    }
    println!("{name}: {repetitions} times");
}
