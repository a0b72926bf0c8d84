//! A collector in a process of its own, that is asked line by line: this same binary under a hidden subcommand. The command
//! owns each child. Invariant: one request a line, one answer a line, and what it does not know ends it with a message.

use std::io::{BufRead, stdin};
use std::path::Path;
use std::process::Command;

use super::program::{Answer, Program};
use super::{ours, steps, theirs};
use crate::dialogue::{Dialogue, fail};
use crate::error::Error;
use crate::installed::{Choice, VARIABLE};
use crate::scan::EXACT;
use crate::{memory, output, record};

/// The hidden subcommand under which the binary is a child.
pub const SUBCOMMAND: &str = "gc-side";

/// A collector of this binary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Side {
    /// Ours.
    Bucketmask,
    /// gc-arena, on mimalloc.
    GcArena,
    /// The conservative collector of Boehm, Demers and Weiser, with one marking thread.
    #[cfg(feature = "bdwgc")]
    Bdwgc,
}

impl Side {
    /// All that are in this binary, ours first.
    pub const ALL: &[Self] = &[
        Self::Bucketmask,
        Self::GcArena,
        #[cfg(feature = "bdwgc")]
        Self::Bdwgc,
    ];

    /// The name that the subcommand takes and figures carry.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bucketmask => record::OURS,
            Self::GcArena => "gc-arena",
            #[cfg(feature = "bdwgc")]
            Self::Bdwgc => "bdwgc",
        }
    }

    const fn allocator(self) -> Choice {
        match self {
            Self::Bucketmask => Choice::Bucketmask,
            Self::GcArena => Choice::Mimalloc,
            #[cfg(feature = "bdwgc")]
            Self::Bdwgc => Choice::Mimalloc,
        }
    }

    pub(super) fn run(self, program: Program, size: u64) -> Option<Answer> {
        match (self, program) {
            (Self::Bucketmask, Program::LongestStep) => Some(steps::ours(size)),
            (Self::Bucketmask, _) => ours::programs::run(program, size),
            (Self::GcArena, Program::LongestStep) => Some(steps::gc_arena(size)),
            (Self::GcArena, _) => theirs::programs::run(program, size),
            #[cfg(feature = "bdwgc")]
            (Self::Bdwgc, _) => super::conservative::run(program, size),
        }
    }
}

/// Starts a collector in a process of its own.
///
/// # Errors
/// This binary cannot be found or started.
pub fn start(side: Side) -> Result<Dialogue, Error> {
    let binary = std::env::current_exe().map_err(|error| fail(side.name(), &error))?;
    start_in(&binary, side)
}

fn start_in(binary: &Path, side: Side) -> Result<Dialogue, Error> {
    let mut command = Command::new(binary);
    command.args([SUBCOMMAND, side.name()]).env(VARIABLE, side.allocator().name()).env("GC_MARKERS", "1");
    Dialogue::start(side.name(), &mut command)
}

/// The child's side: answers until it hears nothing more.
///
/// # Errors
/// A request is none, or nobody listens any more.
pub fn answer(side: Side) -> Result<(), Error> {
    #[cfg(feature = "bdwgc")]
    let mut scanned = (side == Side::Bdwgc).then(crate::scan::heap::conservative::Table::new);
    for line in stdin().lock().lines() {
        let line = line.map_err(|error| fail(side.name(), &error))?;
        let words: Vec<&str> = line.split(' ').collect();
        let said = match words[..] {
            ["peak"] => Some(memory::peak_resident().to_string()),
            ["run", program, size] => run(side, program, size),
            #[cfg(feature = "bdwgc")]
            [request, ..] if request.starts_with("scan-") => {
                scanned.as_mut().and_then(|table| table.answer(&words))
            }
            _ => None,
        };
        let said = said.ok_or_else(|| fail(side.name(), &format!("no such request: {line:?}")))?;
        output::print(&(said + "\n"))?;
    }
    Ok(())
}

fn run(side: Side, program: &str, size: &str) -> Option<String> {
    let Answer { value, cpu, count, sum } = side.run(Program::parse(program)?, size.parse().ok()?)?;
    Some(format!("{value} {cpu} {count} {}", sum & EXACT))
}
