//! The trace line: one line on standard error for each cycle, when the environment asks for it.
//!
//! `BUCKETMASK_TRACE=gc` (or a list with `gc` in it, separated by commas). Owned by the end of a cycle. Invariant: without it a
//! cycle costs one branch more, and nothing is counted that is not counted anyway.

use crate::report::CycleReport;
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

/// Writes the line of a cycle that has ended. What standard error does not take is lost.
#[cold]
pub(crate) fn write(report: &CycleReport) {
    static START: OnceLock<Instant> = OnceLock::new();
    let since = START.get_or_init(Instant::now).elapsed();
    let micros = |time: Duration| time.as_nanos() as f64 / 1e3;
    let (b, r) = (&report.barriers, report);
    let line = format!(
        "gc {} @{:.3}s: heap {} -> {} bytes ({} live), mark {:.1} us, sweep {:.1} us, steps {}, longest {:.1} us, \
         pages {} dense {} sparse {} returned, slots {} scanned {} skipped, lines {}, \
         objects {} marked {} swept {} resurrected, \
         barriers {} forward {} backward {} bucket {} container {} shaded {} idle {} unpublished\n",
        r.cycle,
        since.as_secs_f64(),
        r.held_before,
        r.held_bytes,
        r.live_bytes,
        micros(r.mark_time),
        micros(r.sweep_time),
        r.steps,
        micros(r.longest_step),
        r.pages_dense,
        r.pages_sparse,
        r.pages_returned,
        r.slots_scanned,
        r.slots_skipped,
        r.lines,
        r.marked,
        r.swept,
        r.resurrected,
        b.forward,
        b.backward,
        b.bucket,
        b.container,
        b.shaded,
        b.idle,
        b.unpublished,
    );
    // In one piece, so that lines of several threads do not mix.
    let _ = std::io::stderr().write_all(line.as_bytes());
}
