//! Options of `top`. Owned by `cli.rs`. Invariant: as there.

use std::path::PathBuf;

use clap::Args;

/// Options of `top`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
The process runs with BUCKETMASK_REPORT=SIGUSR2 and BUCKETMASK_REPORT_FILE=FILE.

Examples:
  bucketmask top --pid 4711
  bucketmask top --file /tmp/report.txt --once
  bucketmask top --pid 4711 --once --svg /tmp/pages.svg")]
pub struct TopArgs {
    /// Ask the process PID for a report each time, by SIGUSR2; its environment says where reports go
    #[arg(long, value_name = "PID", required_unless_present = "file", value_parser = clap::value_parser!(i32).range(1..))]
    pub pid: Option<i32>,
    /// Show the last report in FILE, whoever writes it
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Show one report and end
    #[arg(long)]
    pub once: bool,
    /// Milliseconds between two reports
    #[arg(long, value_name = "MS", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(50..=60_000))]
    pub every: u64,
    /// Write what is shown last to FILE, as SVG
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
}
