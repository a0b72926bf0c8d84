//! Options of `visibility`. Owned by `cli.rs`. Invariant: as there.

use std::path::PathBuf;

use clap::Args;

/// Options of `visibility`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  bucketmask visibility
  bucketmask visibility --quick --json /tmp/visibility.jsonl")]
pub struct VisibilityArgs {
    /// Write the figures to FILE, one JSON object a line
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Twenty thousand histories in place of a million
    #[arg(long)]
    pub quick: bool,
    /// How many histories of the map as it is, at least [default: 1100000, with --quick 20000]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(100..))]
    pub histories: Option<u64>,
    /// Seed of keys and operations; threads interleave as they like
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub seed: u64,
}
