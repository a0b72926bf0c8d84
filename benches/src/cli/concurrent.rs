//! Options of `concurrent`. Owned by `cli.rs`. Invariant: as there.

use clap::Args;

use super::RecordArgs;

/// Options of `concurrent`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  bucketmask concurrent
  bucketmask concurrent --quick --only exchange,guard
  bucketmask concurrent --quick --json /tmp/concurrent.jsonl")]
pub struct ConcurrentArgs {
    /// Files to write.
    #[command(flatten)]
    pub record: RecordArgs,
    /// A tenth of the operations, maps that grow to 200 thousand entries in place of 8 million, and fewer rounds
    #[arg(long)]
    pub quick: bool,
    /// How many rounds, sides alternating [default: 9, with --quick 3]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rounds: Option<u32>,
    /// Only cases whose path contains one of these, such as exchange or get/65536
    #[arg(long, value_name = "PART,...", value_delimiter = ',')]
    pub only: Vec<String>,
}
