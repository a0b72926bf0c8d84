//! Options of `map`. `main` owns the parsed value. Invariant: as for the whole command line.

use std::path::PathBuf;

use clap::Args;

use super::RecordArgs;
use crate::map::Size;

/// Options of `map`.
#[derive(Clone, Debug, Default, Args)]
#[command(after_help = "\
A whole run takes about a quarter of an hour and 9 GiB of memory on two processors; with --quick some seconds.

Examples:
  bucketmask map
  bucketmask map --quick --only hit,worst
  bucketmask map --sizes 1k,octave --only u64-u64 --rounds 9
  bucketmask map --go /opt/go1.24/bin/go --go /opt/go1.27/bin/go --json /tmp/map.jsonl --machine /tmp/map.machine.json")]
pub struct MapArgs {
    /// Files to write.
    #[command(flatten)]
    pub record: RecordArgs,
    /// Smaller maps and fewer rounds
    #[arg(long)]
    pub quick: bool,
    /// How many rounds, sides alternating; builds of large maps get fewer [default: 5, with --quick 2]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rounds: Option<u32>,
    /// Only cases whose path contains one of these, such as hit/u64-u64 or worst
    #[arg(long, value_name = "PART,...", value_delimiter = ',')]
    pub only: Vec<String>,
    /// Entries of the maps; octave: the mean over eight sizes from one million to almost two
    /// [default: 16,1k,30k,1M,1.7M,10M,octave]
    #[arg(long, value_name = "SIZE,...", value_delimiter = ',')]
    pub sizes: Vec<Size>,
    /// A Go toolchain's `go`, to compare with Go's map too; may be given more than once [default: that on PATH, if any]
    #[arg(long, value_name = "PATH")]
    pub go: Vec<PathBuf>,
    /// Churn for 100 million operations in place of 10 million
    #[arg(long)]
    pub soak: bool,
}
