//! What can go wrong in a command, in words a user can act on. Owned by whoever returns it; `main` prints it.
//! Invariant: every variant says what was tried and on which path, and maps to exactly one exit code.

use std::path::PathBuf;

use bucketmask_alloc::trace::{TraceError, Wrong};

/// A command's failure.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder given with `--input` is not there or not a folder.
    #[error("no such folder: {0}")]
    MissingFolder(PathBuf),
    /// The input held not one readable file.
    #[error("nothing to read: {0} holds no readable text file")]
    EmptyInput(PathBuf),
    /// `cargo metadata` could not be run or understood, so the default input is unknown.
    #[error("the default input could not be found ({0}); name a folder of text with --input DIR")]
    Metadata(String),
    /// An output could not be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// Where to.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file that the command needs could not be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// Where from.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A record breaks the schema of figures.
    #[error("{path}: {fault}")]
    Record {
        /// The record.
        path: PathBuf,
        /// The line and what is wrong with it.
        fault: crate::record::Fault,
    },
    /// The concurrent map showed something it must not, or a broken one did not.
    #[error("{violations} histories have no order; {rejected} of {seeded} broken variants were rejected")]
    Visibility {
        /// Histories of the map as it is that have no order.
        violations: u64,
        /// Mutants that were rejected.
        rejected: usize,
        /// Mutants that were tried.
        seeded: usize,
    },
    /// A program left another graph with elision than without.
    #[error(
        "{program}: the graph sums to {published}, and to {unpublished} where objects are filled before they are published"
    )]
    Barriers {
        /// The program.
        program: &'static str,
        /// Its sum, each write with a barrier.
        published: u64,
        /// Its sum with elision.
        unpublished: u64,
    },
    /// A page has no table markers, or a start without an end.
    #[error("{0} has no `<!-- figures: NAME -->` ... `<!-- /figures -->` markers")]
    NoMarkers(PathBuf),
    /// A page asks for a table that there is not.
    #[error("{page}: there is no table {name:?}")]
    NoSuchTable {
        /// The page.
        page: PathBuf,
        /// What it asks for.
        name: String,
    },
    /// A page shows a picture that the records do not give.
    #[error("{page}: the records give no picture {name:?}")]
    NoSuchPicture {
        /// The page.
        page: PathBuf,
        /// What it shows.
        name: String,
    },
    /// No record has figures of a suite.
    #[error("no record has figures of `bucketmask {suite}`; its --json FILE makes one")]
    NoRecord {
        /// The suite.
        suite: String,
    },
    /// A page's table or a picture is not what the records give.
    #[error("{0} does not show what the records give; write it again without --check")]
    StaleTable(PathBuf),
    /// A trace can't be read, or not to its end.
    #[error("{path}: {fault}{}", partial_helps(fault))]
    Trace {
        /// The trace.
        path: PathBuf,
        /// What is wrong, and where.
        fault: TraceError,
    },
    /// A trace can be read but not be replayed.
    #[error("{path} cannot be replayed: {why}")]
    Unfit {
        /// The trace.
        path: PathBuf,
        /// Why not.
        why: &'static str,
    },
    /// `--only` fits no workload.
    #[error("no workload's name contains any of: {asked}; there are {names}")]
    NoSuchWorkload {
        /// What was asked for.
        asked: String,
        /// What there is.
        names: String,
    },
    /// A child process broke off or spoke nonsense.
    #[error("the child process for {engine} failed: {why}")]
    Child {
        /// Which program it ran.
        engine: String,
        /// What happened.
        why: String,
    },
    /// Memory is not on the node it was wanted on.
    #[error("less than {least} % of the memory is where it was wanted, or it can't be told: {faults}")]
    NotLocal {
        /// Percent that was asked for.
        least: f64,
        /// What fell short.
        faults: String,
    },
    /// Figures of ours got worse by more than allowed.
    #[error("worse by more than {percent} %: {cases}")]
    Worse {
        /// What was allowed.
        percent: f64,
        /// Which figures.
        cases: String,
    },
    /// The user asked for an end before anything was finished.
    #[error("interrupted before anything was finished; nothing is written")]
    Interrupted,
    /// Two programs that must agree did not.
    #[error("{0}")]
    Disagreement(String),
}

/// What to do about a trace that is broken behind its start.
fn partial_helps(fault: &TraceError) -> &'static str {
    match fault.wrong {
        Wrong::Truncated | Wrong::Corrupt(_) => "; --partial replays what is valid before it",
        _ => "",
    }
}

impl Error {
    /// The process's exit code: 2 for what a user's input or outputs caused, 1 for a failed check or a fault of ours.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::MissingFolder(_)
            | Self::EmptyInput(_)
            | Self::Metadata(_)
            | Self::Write { .. }
            | Self::Read { .. }
            | Self::Record { .. }
            | Self::Trace { .. }
            | Self::Unfit { .. }
            | Self::NoSuchWorkload { .. }
            | Self::NoMarkers(_)
            | Self::NoSuchTable { .. }
            | Self::NoSuchPicture { .. }
            | Self::NoRecord { .. } => 2,
            Self::Visibility { .. }
            | Self::Barriers { .. }
            | Self::StaleTable(_)
            | Self::NotLocal { .. }
            | Self::Child { .. }
            | Self::Worse { .. }
            | Self::Interrupted
            | Self::Disagreement(_) => 1,
        }
    }
}

/// What a command ends with when it ran through: what it had to leave out, in the order met.
#[derive(Debug, Default)]
pub struct Outcome {
    /// One message each: a file that could not be read, an output that could not be written.
    pub problems: Vec<String>,
}

impl Outcome {
    /// Takes the error of something that may fail without ending the command.
    pub fn note(&mut self, result: Result<(), Error>) {
        if let Err(error) = result {
            self.problems.push(error.to_string());
        }
    }
}
