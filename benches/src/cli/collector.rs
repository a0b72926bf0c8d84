//! Options of the commands that measure collectors. `main` owns the parsed value. Invariant: as for the whole command line.

use std::path::PathBuf;

use clap::Args;

use super::RecordArgs;

/// Options of `scan`.
#[derive(Clone, Debug, Default, Args)]
#[command(after_help = "\
Examples:
  bucketmask scan
  bucketmask scan --quick --json /tmp/scan.jsonl --machine /tmp/scan.machine.json
  bucketmask scan --only 2M/keep=1/ --go /opt/go1.23/bin/go --go /opt/go1.27/bin/go")]
pub struct ScanArgs {
    /// Files to write.
    #[command(flatten)]
    pub record: RecordArgs,
    /// No map of 2 million entries, three shares kept in place of seven, and fewer rounds: seconds instead of minutes
    #[arg(long)]
    pub quick: bool,
    /// How many rounds, sides alternating [default: 9, with --quick 3]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rounds: Option<u32>,
    /// Only cases whose path contains one of these, such as 2M/keep=1/ or clustered
    #[arg(long, value_name = "PART,...", value_delimiter = ',')]
    pub only: Vec<String>,
    /// A Go toolchain's `go`, to compare with Go too; may be given more than once [default: that on PATH, if any]
    #[arg(long, value_name = "PATH")]
    pub go: Vec<PathBuf>,
}

/// Options of `gc`.
#[derive(Clone, Debug, Default, Args)]
#[command(after_help = "\
Every run is a process of its own, on one processor, and rounds alternate. A whole run takes about four minutes and 2 GiB.

Examples:
  bucketmask gc
  bucketmask gc --quick --only trees,gcbench
  bucketmask gc --go /opt/go1.23/bin/go --go /opt/go1.27/bin/go --json /tmp/gc.jsonl --machine /tmp/gc.machine.json")]
pub struct GcArgs {
    /// Files to write.
    #[command(flatten)]
    pub record: RecordArgs,
    /// Smaller graphs and fewer rounds: seconds instead of minutes
    #[arg(long)]
    pub quick: bool,
    /// How many rounds, sides alternating [default: 7, with --quick 2]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rounds: Option<u32>,
    /// Only cases whose path contains one of these, such as mark/ or binary-trees
    #[arg(long, value_name = "PART,...", value_delimiter = ',')]
    pub only: Vec<String>,
    /// A Go toolchain's `go`, to compare with Go too; may be given more than once [default: that on PATH, if any]
    #[arg(long, value_name = "PATH")]
    pub go: Vec<PathBuf>,
}
