//! The trace lines: what each cycle did, on standard error, when the environment asks for it.
//!
//! `BUCKETMASK_TRACE` is a list, set apart by commas: `gc` a line a cycle, `barrier` one that counts the barriers since the cycle
//! before, and those of the thread in all its arenas; `json` both as JSON objects. Owned by the end of a cycle. Lines are made and
//! written by one thread, to which events travel (`trace_events.rs`). Invariant: without it a cycle costs one branch more, there is no
//! such thread, and nothing is counted that is not counted anyway.

use crate::report::{Barriers, CycleReport};
use crate::trace_events::{self, TRANSPORT, WORDS};
use bucketmask_alloc::events::aggregator::{Lines, Source};
use bucketmask_alloc::events::{Asked, asked, thread_number, write_fields, write_missing};
use std::cell::Cell;
use std::fmt::{self, Write};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// Words of an event: what kind it is, and what kinds there are.
const CYCLE: u64 = 0;
const BARRIERS: u64 = 1;

/// What the words of a cycle's event are called in JSON, behind the kind.
const CYCLE_NAMES: [&str; WORDS - 1] = [
    "cycle",
    "nanos",
    "thread",
    "held_before",
    "held",
    "live",
    "mark_nanos",
    "sweep_nanos",
    "steps",
    "longest_nanos",
    "pages_dense",
    "pages_sparse",
    "pages_returned",
    "slots_scanned",
    "slots_skipped",
    "lines",
    "marked",
    "swept",
    "resurrected",
    "forward",
    "backward",
    "bucket",
    "container",
    "shaded",
    "idle",
    "unpublished",
];

/// The same of the event that counts barriers.
const BARRIER_NAMES: [&str; 13] = [
    "cycle",
    "nanos",
    "thread",
    "taken",
    "forward",
    "backward",
    "bucket",
    "container",
    "shaded",
    "idle",
    "unpublished",
    "thread_taken",
    "thread_elided",
];

/// Whether lines are to be written, by the environment.
pub(crate) fn wanted() -> bool {
    asked().any(&[Asked::GC, Asked::BARRIER])
}

/// Whether barriers are to be counted that have nothing to do.
pub(crate) fn counts_barriers() -> bool {
    asked().any(&[Asked::BARRIER])
}

/// Has the lines of a cycle that has ended written, by the aggregating thread.
#[cold]
pub(crate) fn write(report: &CycleReport) {
    static START: OnceLock<Instant> = OnceLock::new();
    static SOURCE: Source = Source { pump, is_written: || TRANSPORT.is_written() };
    let since = START.get_or_init(Instant::now).elapsed();
    if asked().any(&[Asked::GC]) {
        trace_events::send(cycle_words(report, since), &SOURCE);
    }
    if counts_barriers() {
        trace_events::send(barrier_words(report, since), &SOURCE);
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// A cycle as an event.
fn cycle_words(r: &CycleReport, since: Duration) -> [u64; WORDS] {
    let (b, count) = (&r.barriers, |count: usize| count as u64);
    [
        CYCLE,
        r.cycle,
        nanos(since),
        thread_number(),
        count(r.held_before),
        count(r.held_bytes),
        count(r.live_bytes),
        nanos(r.mark_time),
        nanos(r.sweep_time),
        count(r.steps),
        nanos(r.longest_step),
        count(r.pages_dense),
        count(r.pages_sparse),
        count(r.pages_returned),
        count(r.slots_scanned),
        count(r.slots_skipped),
        count(r.lines),
        count(r.marked),
        count(r.swept),
        count(r.resurrected),
        b.forward,
        b.backward,
        b.bucket,
        b.container,
        b.shaded,
        b.idle,
        b.unpublished,
    ]
}

/// A cycle's barriers as an event, with those of the thread's cycles so far.
fn barrier_words(r: &CycleReport, since: Duration) -> [u64; WORDS] {
    thread_local! {
        static SO_FAR: Cell<[u64; 2]> = const { Cell::new([0; 2]) };
    }
    let b = &r.barriers;
    let so_far = [SO_FAR.get()[0] + taken(b), SO_FAR.get()[1] + b.idle];
    SO_FAR.set(so_far);
    let counts = [taken(b), b.forward, b.backward, b.bucket, b.container, b.shaded, b.idle, b.unpublished];
    let head = [BARRIERS, r.cycle, nanos(since), thread_number()];
    let mut words = [0; WORDS];
    for (word, value) in words.iter_mut().zip(head.into_iter().chain(counts).chain(so_far)) {
        *word = value;
    }
    words
}

/// Write barriers that ran.
fn taken(b: &Barriers) -> u64 {
    b.forward + b.backward + b.bucket + b.container
}

fn pump(lines: &mut Lines) -> usize {
    static TOLD: Mutex<[u64; 2]> = Mutex::new([0; 2]);
    let json = asked().any(&[Asked::JSON]);
    // What standard error does not take is lost, as is an error that formatting can't have.
    let count = TRANSPORT.pump(|words| _ = write_line(lines, json, words));
    let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    let _ = write_missing(lines, "gc", TRANSPORT.missing(), &mut told);
    count
}

fn write_line(out: &mut impl Write, json: bool, words: &[u64; WORDS]) -> fmt::Result {
    let [kind, rest @ ..] = words;
    match (json, *kind) {
        (true, CYCLE) => write_json(out, "gc", "cycle", &CYCLE_NAMES, rest),
        (true, _) => write_json(out, "barrier", "cycle", &BARRIER_NAMES, rest),
        (false, CYCLE) => write_cycle(out, rest),
        (false, _) => write_barriers(out, rest),
    }
}

fn write_json(out: &mut impl Write, trace: &str, event: &str, names: &[&str], words: &[u64]) -> fmt::Result {
    write!(out, "{{\"trace\":\"{trace}\",\"event\":\"{event}\",")?;
    for (nth, field) in names.iter().zip(words).enumerate() {
        if nth > 0 {
            out.write_char(',')?;
        }
        write_fields(out, true, &[(field.0, *field.1)])?;
    }
    out.write_str("}\n")
}

fn write_barriers(out: &mut impl Write, words: &[u64; WORDS - 1]) -> fmt::Result {
    let [cycle, since, thread, taken, forward, backward, bucket, container, shaded, rest @ ..] = words;
    let [idle, unpublished, thread_taken, thread_elided, ..] = rest;
    writeln!(
        out,
        "barrier {cycle} @{:.3}s: thread {thread}, taken {taken} ({forward} forward {backward} backward {bucket} bucket \
         {container} container), {shaded} shaded, elided {idle} idle, {unpublished} objects unpublished; \
         thread so far taken {thread_taken} elided {thread_elided}",
        *since as f64 / 1e9,
    )
}

fn write_cycle(out: &mut impl Write, words: &[u64; WORDS - 1]) -> fmt::Result {
    let micros = |nanos: u64| nanos as f64 / 1e3;
    let [cycle, since, thread, before, held, live, mark, sweep, steps, longest, rest @ ..] = words;
    let [dense, sparse, returned, scanned, skipped, lines, marked, swept, resurrected, barriers @ ..] = rest;
    let [forward, backward, bucket, container, shaded, idle, unpublished] = barriers;
    writeln!(
        out,
        "gc {cycle} @{:.3}s: heap {before} -> {held} bytes ({live} live), mark {:.1} us, sweep {:.1} us, \
         steps {steps}, longest {:.1} us, pages {dense} dense {sparse} sparse {returned} returned, \
         slots {scanned} scanned {skipped} skipped, lines {lines}, \
         objects {marked} marked {swept} swept {resurrected} resurrected, \
         barriers {forward} forward {backward} backward {bucket} bucket {container} container {shaded} shaded \
         {idle} idle {unpublished} unpublished, thread {thread}",
        *since as f64 / 1e9,
        micros(*mark),
        micros(*sweep),
        micros(*longest),
    )
}
