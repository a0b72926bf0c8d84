//! Options of `barriers`. Owned by `cli.rs`. Invariant: as there.

use std::path::PathBuf;

use clap::Args;

/// Options of `barriers`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  bucketmask barriers
  bucketmask barriers --quick --json /tmp/barriers.jsonl
  BUCKETMASK_TRACE=barrier bucketmask barriers --quick")]
pub struct BarriersArgs {
    /// Write the figures to FILE, one JSON object a line
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// A tenth of the requests and messages
    #[arg(long)]
    pub quick: bool,
    /// How many requests and messages [default: 200000, with --quick 20000]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(100..))]
    pub size: Option<u64>,
}
