//! The trace line: one line on standard error for each cycle, when the environment asks for it.
//!
//! `BUCKETMASK_TRACE=gc` (or a list with `gc` in it, separated by commas). Owned by the end of a cycle. Lines are made and
//! written by one thread, to which events travel (`trace_events.rs`). Invariant: without it a cycle costs one branch more, there is no
//! such thread, and nothing is counted that is not counted anyway.

use crate::report::CycleReport;
use crate::trace_events::{self, WORDS};
use std::io::Write;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Whether lines are to be written, and since when the process asks.
pub(crate) fn wanted() -> bool {
    static WANTED: OnceLock<bool> = OnceLock::new();
    *WANTED.get_or_init(|| {
        let list = std::env::var_os("BUCKETMASK_TRACE").unwrap_or_default();
        list.to_str().is_some_and(|list| list.split(',').any(|word| word.trim() == "gc"))
    })
}

/// Has the line of a cycle that has ended written, by the aggregating thread.
#[cold]
pub(crate) fn write(report: &CycleReport) {
    static START: OnceLock<Instant> = OnceLock::new();
    let since = START.get_or_init(Instant::now).elapsed();
    trace_events::send(words(report, since), print, |what| tell(&format!("gc trace: {what}\n")));
}

/// A cycle as an event.
fn words(r: &CycleReport, since: Duration) -> [u64; WORDS] {
    let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let (b, count) = (&r.barriers, |count: usize| count as u64);
    [
        r.cycle,
        nanos(since),
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

/// Writes an event's line.
fn print(words: &[u64; WORDS]) {
    tell(&line(words));
}

fn line(words: &[u64; WORDS]) -> String {
    let micros = |nanos: u64| nanos as f64 / 1e3;
    let [cycle, since, before, held, live, mark, sweep, steps, longest, rest @ ..] = words;
    let [dense, sparse, returned, scanned, skipped, lines, marked, swept, resurrected, barriers @ ..] = rest;
    let [forward, backward, bucket, container, shaded, idle, unpublished] = barriers;
    format!(
        "gc {cycle} @{:.3}s: heap {before} -> {held} bytes ({live} live), mark {:.1} us, sweep {:.1} us, \
         steps {steps}, longest {:.1} us, pages {dense} dense {sparse} sparse {returned} returned, \
         slots {scanned} scanned {skipped} skipped, lines {lines}, \
         objects {marked} marked {swept} swept {resurrected} resurrected, \
         barriers {forward} forward {backward} backward {bucket} bucket {container} container {shaded} shaded \
         {idle} idle {unpublished} unpublished\n",
        *since as f64 / 1e9,
        micros(*mark),
        micros(*sweep),
        micros(*longest),
    )
}

/// Writes a line in one piece, so that lines of several writers do not mix. What standard error does not take is lost.
fn tell(line: &str) {
    let _ = std::io::stderr().write_all(line.as_bytes());
}
