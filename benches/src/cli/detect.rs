//! Options of `detect`. Owned by `cli.rs`. Invariant: as there.

use std::path::PathBuf;

use clap::Args;

/// Options of `detect`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  bucketmask detect
  bucketmask detect --quick --json /tmp/detect.jsonl
  bucketmask detect --report pointer/stale         the report of one fault, as a program would see it")]
pub struct DetectArgs {
    /// Write the figures to FILE, one JSON object a line
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Three rounds of the workloads in place of fifteen
    #[arg(long)]
    pub quick: bool,
    /// Print the report of the fault of this name, and do nothing else
    #[arg(long, value_name = "CASE")]
    pub report: Option<String>,
}
