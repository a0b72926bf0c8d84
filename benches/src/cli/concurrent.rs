//! Options of `concurrent`. Owned by `cli.rs`. Invariant: as there.

use std::path::PathBuf;

use clap::Args;

/// Options of `concurrent`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  bucketmask concurrent
  bucketmask concurrent --quick --json /tmp/concurrent.jsonl")]
pub struct ConcurrentArgs {
    /// Write the figures to FILE, one JSON object a line
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// A tenth of the operations, maps that grow to 200 thousand entries in place of 8 million, and fewer rounds
    #[arg(long)]
    pub quick: bool,
    /// How many rounds, sides alternating [default: 9, with --quick 3]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rounds: Option<u32>,
}
