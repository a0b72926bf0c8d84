//! What is said of an overlap, and how: by a panic, or by an abort of the process.
//!
//! Owned by `watch`. Invariant: what a report does not know it says that it does not know, and why.

use super::marks::{Kind, Overlap};
use super::operation::Operation;
use super::{stacks, threads};
use bucketmask_alloc::frames::Stack;
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicU8, Ordering};
use std::io;

/// What a map does that finds an overlap; see [`respond_with`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Response {
    /// It panics. The operation that panics has not begun, if it was found at its beginning; a read that was found at its end was made.
    Panic,
    /// It prints the report to standard error and aborts the process.
    Abort,
}

const KNOWN: u8 = 1;
const ABORT: u8 = 2;
const STACKS: u8 = 4;

/// What was chosen. Nothing depends on it but what is reported how, so it is relaxed.
static CHOSEN: AtomicU8 = AtomicU8::new(0);

/// The choices, from the environment at first: `BUCKETMASK_DETECT=abort,stacks`.
fn chosen() -> u8 {
    let known = CHOSEN.load(Ordering::Relaxed);
    if known & KNOWN != 0 {
        return known;
    }
    let asked = std::env::var("BUCKETMASK_DETECT").unwrap_or_default();
    let word = |word: &str, bit: u8| if asked.split(',').any(|part| part.trim() == word) { bit } else { 0 };
    let found = KNOWN | word("abort", ABORT) | word("stacks", STACKS);
    match CHOSEN.compare_exchange(0, found, Ordering::Relaxed, Ordering::Relaxed) {
        Ok(_) => found,
        Err(meanwhile) => meanwhile,
    }
}

/// Chooses, for all maps of the process, what is done about an overlap. Before the first call the environment chooses:
/// [`Response::Abort`] if `BUCKETMASK_DETECT` has the word `abort`.
pub fn respond_with(response: Response) {
    let rest = chosen() & !ABORT;
    CHOSEN.store(rest | if response == Response::Abort { ABORT } else { 0 }, Ordering::Relaxed);
}

/// Whether each operation writes its stack down.
pub(crate) fn records_stacks() -> bool {
    chosen() & STACKS != 0
}

fn title(kind: Kind) -> &'static str {
    match kind {
        Kind::ReadAndWrite => "concurrent map read and map write",
        Kind::Writes => "concurrent map writes",
        Kind::IterationAndWrite => "concurrent map iteration and map write",
    }
}

/// A thread, with its name where it has one.
fn thread(to: &mut String, number: u32) -> fmt::Result {
    match (number, threads::name_of(number)) {
        (0, _) => write!(to, "a thread without a number (there were more than 8 million)"),
        (_, Some(name)) => write!(to, "thread {number} \"{name}\""),
        (_, None) => write!(to, "thread {number} (without a name)"),
    }
}

fn operation(to: &mut String, operation: Operation, hash: u64) -> fmt::Result {
    if operation.has_key() {
        write!(to, "`{}` of a key of hash {hash:#018x}", operation.name())
    } else {
        write!(to, "`{}`", operation.name())
    }
}

/// The frames from the caller of the map on.
fn indented(to: &mut String, stack: &Stack) -> fmt::Result {
    let frames = stack.resolve(&["bucketmask_map::shared_map"]);
    frames.iter().enumerate().try_for_each(|(number, frame)| writeln!(to, "  {number:3}: {frame}"))
}

fn text(to: &mut String, map: usize, me: u32, ours: (Operation, u64), overlap: &Overlap) -> fmt::Result {
    let other = overlap.other;
    writeln!(to, "{} (map at {map:#x})", title(overlap.kind))?;
    write!(to, "  this side:  ")?;
    thread(to, me)?;
    write!(to, ", in ")?;
    operation(to, ours.0, ours.1)?;
    write!(to, "\n  other side: ")?;
    thread(to, other.thread)?;
    if other.thread == me && me != 0 {
        write!(to, ", the same one")?;
    }
    write!(to, ", {} ", if overlap.inside { "still in" } else { "which came and went, in" })?;
    let doing = other.doing.and_then(|(number, hash)| Some((Operation::numbered(number)?, hash)));
    match doing {
        Some((what, hash)) => operation(to, what, hash)?,
        None => {
            write!(to, "an operation that is not known: it had not been written down, or another followed")?;
        }
    }
    writeln!(to, "\n  this side's stack:")?;
    indented(to, &Stack::capture())?;
    let stack = doing.and_then(|(what, _)| stacks::recorded(other.thread, map, what as u8));
    match stack {
        Some(stack) => {
            writeln!(to, "  other side's stack, where it entered:")?;
            indented(to, &stack)
        }
        None if records_stacks() => {
            writeln!(to, "  other side's stack: not known; the thread has done something else since")
        }
        None => {
            writeln!(to, "  other side's stack: not recorded; BUCKETMASK_DETECT=stacks records it, slowly")
        }
    }
}

/// The report of an overlap that thread `me` found in `ours`.
pub(crate) fn message(map: usize, me: u32, ours: (Operation, u64), overlap: &Overlap) -> String {
    let mut message = String::new();
    text(&mut message, map, me, ours, overlap).expect("a string takes what is written");
    message
}

/// Says what met, and ends the operation, or the process.
#[cold]
#[inline(never)]
pub(crate) fn raise(map: usize, me: u32, ours: (Operation, u64), overlap: &Overlap) -> ! {
    let message = message(map, me, ours, overlap);
    if chosen() & ABORT != 0 {
        print(&message);
        std::process::abort();
    }
    panic!("{message}")
}

/// Prints a report. That nobody reads standard error is no reason to say more.
pub(crate) fn print(message: &str) {
    let _unread = io::Write::write_all(&mut io::stderr().lock(), message.as_bytes());
}
