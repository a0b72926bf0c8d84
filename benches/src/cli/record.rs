//! The options of every command that measures: where its figures go. The command's own options own them. Invariant: as
//! for the whole command line.

use std::path::PathBuf;

use clap::Args;

/// Files that a command writes besides its tables.
#[derive(Clone, Debug, Default, Args)]
pub struct RecordArgs {
    /// Write the figures to FILE, one JSON object a line
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write the facts about machine, compiler, allocators and peers to FILE, as one JSON object
    #[arg(long, value_name = "FILE")]
    pub machine: Option<PathBuf>,
}
