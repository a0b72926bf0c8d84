//! The allocator's slow paths as events, and their lines: `BUCKETMASK_TRACE=mem`, and `barrier` for what threads' mail took.
//!
//! Told by heaps, which have a ring each while they are used, and by who purges. Invariants: off, a slow path costs one predicted
//! branch; on, telling takes no lock and no memory from the allocator.
#![allow(unsafe_code)]

use core::cell::UnsafeCell;
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::aggregator::{self, Lines, Source};
use super::transport::{End, Event, Transport};
use super::{Asked, asked, write_fields, write_missing};
use crate::heap::Heap;
use crate::lock::FutexMutex;
use crate::page::PageMeta;
use crate::{registry, thread};

/// Words of an event: kind and thread, time, and what the kind says.
const WORDS: usize = 6;
/// Heaps that have a ring of their own at a time; others share the channel.
const RINGS: usize = 16;
/// Events that a ring holds: two milliseconds of a million a second.
const ROOM: usize = 2048;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// A fresh page from the span.
    PageTaken,
    /// An empty page back to the span.
    PageReturned,
    /// A page of an idle heap.
    PageAdopted,
    /// Memory back to the kernel, by one look.
    Purged,
    /// Pages of this heap that others freed slots of, drained.
    MailTaken,
    /// Slots of another heap's page, on their way to it.
    MailSent,
    /// Blocks that mimalloc serves.
    LargeMade,
    LargeFreed,
    LargeResized,
    /// Blocks that are runs of granules.
    MediumMade,
    MediumFreed,
    /// What a thread's mail took, when the thread ends.
    Barriers,
}

/// What a kind's line is called, and what its words are, by the kind's number.
const LINES: [(&str, &[&str]); 12] = [
    ("page-taken", &["slot", "bytes", "node", "address"]),
    ("page-returned", &["slot", "bytes", "node", "address"]),
    ("page-adopted", &["slot", "bytes", "node", "address"]),
    ("purged", &["bytes"]),
    ("mail-taken", &["pages", "slots"]),
    ("mail-sent", &["slots", "node", "address"]),
    ("large-made", &["bytes", "address"]),
    ("large-freed", &["bytes", "address"]),
    ("large-resized", &["bytes", "address"]),
    ("medium-made", &["bytes", "address"]),
    ("medium-freed", &["bytes", "address"]),
    ("mail", &["release", "acquire", "frees"]),
];

static_assertions::const_assert_eq!(LINES.len(), Kind::Barriers as usize + 1);

/// What a page's line says.
pub(crate) fn of_page(page: &PageMeta) -> [u64; 4] {
    [page.slot_size() as u64, page.bytes() as u64, page.node().0.into(), page.base() as u64]
}

/// What a block's line says.
pub(crate) fn of_block(bytes: usize, address: usize) -> [u64; 4] {
    [bytes as u64, address as u64, 0, 0]
}

static TRANSPORT: Transport<WORDS, ROOM, RINGS> = Transport::new();
/// Whether `mem` was asked for, and there is somebody to tell.
static IS_ON: AtomicBool = AtomicBool::new(false);
/// Nanoseconds of the clock when it was.
static START: AtomicU64 = AtomicU64::new(0);
/// The missing events that were told of.
static TOLD: FutexMutex<[u64; 2]> = FutexMutex::new([0; 2]);

/// Does what the environment asks for; once, where a thread may be made.
pub(crate) fn arm() {
    static SOURCE: Source = Source { pump, is_written };
    if asked().any(&[Asked::MEM, Asked::BARRIER]) {
        START.store(thread::nanoseconds(), Ordering::Relaxed);
        IS_ON.store(aggregator::serve(&SOURCE), Ordering::Relaxed);
    }
}

/// In a child after a fork: there is nobody to tell.
pub(crate) fn forget() {
    IS_ON.store(false, Ordering::Relaxed);
}

/// Whether slow paths tell what they do.
#[inline(always)]
pub(crate) fn is_on() -> bool {
    !cfg!(bucketmask_untraced) && IS_ON.load(Ordering::Relaxed)
}

/// A heap's way to tell. Used by the heap's thread alone.
pub(crate) struct Teller(UnsafeCell<Told>);

struct Told {
    end: Option<End<WORDS, ROOM>>,
    /// The kernel's number of the thread that has the heap; 0 while it told nothing.
    thread: u64,
    /// What the heap's counters of mail were when the thread before ended.
    mail: [u64; 3],
}

impl Teller {
    pub(crate) const fn new() -> Self {
        Self(UnsafeCell::new(Told { end: None, thread: 0, mail: [0; 3] }))
    }

    /// Tells of an event.
    #[cold]
    #[inline(never)]
    pub(crate) fn tell(&self, kind: Kind, values: [u64; 4]) {
        let wants = if kind == Kind::Barriers { Asked::BARRIER } else { Asked::MEM };
        if !asked().any(&[wants]) {
            return;
        }
        // SAFETY: the heap's thread is the only one here, and what is called here does not come back here.
        let told = unsafe { &mut *self.0.get() };
        if told.thread == 0 {
            told.thread = thread::number();
            told.end = TRANSPORT.end();
        }
        send(told.end.as_mut(), kind, told.thread, values);
    }

    /// Tells what the thread's mail took, and forgets the thread, which ends. `mail`: the heap's counters.
    pub(crate) fn part(&self, mail: [u64; 3]) {
        if !is_on() {
            return;
        }
        // SAFETY: as above.
        let before = core::mem::replace(unsafe { &mut (*self.0.get()).mail }, mail);
        let [release, acquire, frees] = core::array::from_fn(|at| mail[at].wrapping_sub(before[at]));
        if mail != before {
            self.tell(Kind::Barriers, [release, acquire, frees, 0]);
        }
        // SAFETY: as above. The ring is another heap's from here on; what it holds is written all the same.
        unsafe { ((*self.0.get()).end, (*self.0.get()).thread) = (None, 0) };
    }
}

/// Tells of an event of no heap.
#[cold]
#[inline(never)]
pub(crate) fn tell(kind: Kind, values: [u64; 4]) {
    if asked().any(&[Asked::MEM]) {
        send(None, kind, thread::number(), values);
    }
}

fn send(end: Option<&mut End<WORDS, ROOM>>, kind: Kind, thread: u64, values: [u64; 4]) {
    let since = thread::nanoseconds().wrapping_sub(START.load(Ordering::Relaxed));
    let [first, second, third, fourth] = values;
    let head = (kind as u64) << 56 | thread & (u64::MAX >> 8);
    TRANSPORT.send(end, Event::new([head, since, first, second, third, fourth]));
    aggregator::announce();
}

/// When the process ends: its thread may end with it, and never part from its heap.
pub(crate) fn at_exit() {
    if is_on() {
        registry::own_heap().into_iter().for_each(Heap::part);
    }
}

fn is_written() -> bool {
    TRANSPORT.is_written()
}

fn pump(lines: &mut Lines) -> usize {
    let json = asked().any(&[Asked::JSON]);
    let count = TRANSPORT.pump(|event| _ = write_line(lines, json, event));
    let _ = write_missing(lines, "mem", TRANSPORT.missing(), &mut TOLD.lock());
    count
}

fn write_line(out: &mut impl Write, json: bool, event: &[u64; WORDS]) -> fmt::Result {
    let [head, since, values @ ..] = event;
    let (kind, thread) = ((head >> 56) as usize, head & (u64::MAX >> 8));
    let Some((name, names)) = LINES.get(kind) else { return Ok(()) };
    let word = if kind == Kind::Barriers as usize { "barrier" } else { "mem" };
    let mut fields = [("", 0); 4];
    for (field, (name, &value)) in fields.iter_mut().zip(names.iter().zip(values)) {
        *field = (name, value);
    }
    let fields = &fields[..names.len()];
    // In parts, since digits behind a point are quicker so than those of a floating number.
    let (seconds, micros) = (since / 1_000_000_000, since / 1000 % 1_000_000);
    if json {
        write!(out, "{{\"trace\":\"{word}\",\"event\":\"{name}\",\"nanos\":{since},\"thread\":{thread},")?;
        write_fields(out, true, fields)?;
        return out.write_str("}\n");
    }
    write!(out, "{word} {name} @{seconds}.{micros:06}s: thread {thread},")?;
    write_fields(out, false, fields)?;
    out.write_str("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(json: bool, kind: Kind, values: [u64; 4]) -> String {
        let [first, second, third, fourth] = values;
        let mut text = String::new();
        let event = [(kind as u64) << 56 | 0x4d, 1_002_003_004, first, second, third, fourth];
        write_line(&mut text, json, &event).unwrap();
        text
    }

    #[test]
    fn a_line_says_what_its_kind_has() {
        assert_eq!(
            line(false, Kind::PageTaken, [64, 4096, 1, 0x1000]),
            "mem page-taken @1.002003s: thread 77, slot 64, bytes 4096, node 1, address 0x1000\n"
        );
        assert_eq!(
            line(true, Kind::Barriers, [3, 2, 40, 0]),
            "{\"trace\":\"barrier\",\"event\":\"mail\",\"nanos\":1002003004,\"thread\":77,\
             \"release\":3,\"acquire\":2,\"frees\":40}\n"
        );
    }

    #[test]
    fn a_million_events_a_second_arrive_or_are_counted() {
        static TRANSPORT: Transport<WORDS, ROOM, RINGS> = Transport::new();
        a_second_of_events(&TRANSPORT);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_million_events_a_second_on_one_core_arrive_or_are_counted() {
        static TRANSPORT: Transport<WORDS, ROOM, RINGS> = Transport::new();
        // SAFETY: sets of processors are plain bits; this thread's, and those of the threads that it starts, become one of those it had.
        unsafe {
            let size = size_of::<libc::cpu_set_t>();
            let (mut had, mut one) = (core::mem::zeroed::<libc::cpu_set_t>(), core::mem::zeroed());
            assert_eq!(libc::sched_getaffinity(0, size, &raw mut had), 0);
            let first = (0..libc::CPU_SETSIZE as usize).find(|&cpu| libc::CPU_ISSET(cpu, &had)).unwrap();
            libc::CPU_SET(first, &mut one);
            assert_eq!(libc::sched_setaffinity(0, size, &raw const one), 0);
        }
        a_second_of_events(&TRANSPORT);
    }

    /// A second's worth at a million a second: what the rings have no room for is counted, and nothing else is missing.
    fn a_second_of_events(transport: &'static Transport<WORDS, ROOM, RINGS>) {
        const EVENTS: u64 = 1_000_000;
        let (mut written, mut bytes, mut last) = (0, 0, None);
        std::thread::scope(|scope| {
            let sender = scope.spawn(|| {
                let mut end = transport.end();
                let start = std::time::Instant::now();
                for nth in 0..EVENTS {
                    let head = (Kind::MediumMade as u64) << 56 | 1;
                    transport.send(end.as_mut(), Event::new([head, nth, 65536, nth, 0, 0]));
                    while start.elapsed().as_micros() < u128::from(nth) {
                        std::hint::spin_loop();
                    }
                }
            });
            let mut text = String::new();
            loop {
                let is_last = sender.is_finished();
                written += transport.pump(|event| {
                    text.clear();
                    write_line(&mut text, false, event).unwrap();
                    bytes += text.len();
                    assert!(last < Some(event[1]), "in order, and once");
                    last = Some(event[1]);
                }) as u64;
                if is_last {
                    break;
                }
            }
        });
        let [lost, broken] = transport.missing();
        assert_eq!((written + lost, broken), (EVENTS, 0), "{lost} were lost");
        // How many arrive is the machine's matter: as many as the ring holds do on any.
        assert!(written >= ROOM as u64 && bytes as u64 > 40 * written, "{written} lines of {bytes} bytes");
    }
}
