//! Options of the commands that run workloads on several allocators. `main` owns the parsed value. Invariant: as for the
//! whole command line.

use std::path::PathBuf;

use clap::Args;

use super::RecordArgs;
use crate::installed::Choice;

/// What the commands that run workloads have in common.
#[derive(Clone, Debug, Default, Args)]
pub struct ContestArgs {
    /// Files to write.
    #[command(flatten)]
    pub record: RecordArgs,
    /// Smaller workloads and fewer rounds
    #[arg(long)]
    pub quick: bool,
    /// How many rounds, allocators alternating, each run a fresh process [default: 7, with --quick 3]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rounds: Option<u32>,
    /// Only workloads whose name contains one of these
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    pub only: Vec<String>,
    /// Only these allocators [default: all in this binary]
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    pub allocators: Vec<Choice>,
    /// Threads of the workloads that have several [default: one a processor, at least 2]
    #[arg(long, value_name = "COUNT")]
    pub threads: Option<usize>,
}

/// Options of `alloc`.
#[derive(Clone, Debug, Default, Args)]
#[command(after_help = "\
A whole run takes about ten minutes on two processors, with --quick less than one.

Examples:
  bucketmask alloc
  bucketmask alloc --quick --only pair,larson --allocators bucketmask,mimalloc
  bucketmask alloc --json /tmp/alloc.jsonl --machine /tmp/alloc.machine.json")]
pub struct AllocArgs {
    /// What the contest is about.
    #[command(flatten)]
    pub contest: ContestArgs,
}

/// Options of `frag`.
#[derive(Clone, Debug, Default, Args)]
#[command(after_help = "\
A whole run takes about twelve minutes, nearly all of them idle; with --quick one.

Examples:
  bucketmask frag
  bucketmask frag --quick --only survivors --allocators bucketmask,mimalloc
  BUCKETMASK_RECORD=/tmp/program.trace ./program; bucketmask frag --quick --replay /tmp/program.trace
  bucketmask frag --json /tmp/frag.jsonl --machine /tmp/frag.machine.json")]
pub struct FragArgs {
    /// What the contest is about.
    #[command(flatten)]
    pub contest: ContestArgs,
    /// How long to wait before resident memory is read [default: 10, with --quick 2]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub idle: Option<f64>,
    /// Instead of workloads, do again what a program did that ran with `BUCKETMASK_RECORD=FILE`
    #[arg(long, value_name = "FILE", conflicts_with_all = ["only", "threads"])]
    pub replay: Option<PathBuf>,
    /// Replay at the pace of the recording, so that memory has the same time to go back
    #[arg(long, requires = "replay")]
    pub paced: bool,
    /// Of a broken trace, replay what is valid before the break
    #[arg(long, requires = "replay")]
    pub partial: bool,
}

/// Up to an hour.
fn seconds(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|error| format!("{error}"))?;
    if (0.0..=3600.0).contains(&value) { Ok(value) } else { Err("between 0 and 3600".into()) }
}
