//! The command line: what can be asked and how. `main` owns the parsed value. Invariant: every command listed does
//! something, and every option says its unit.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

mod barriers;
mod collector;
mod concurrent;
mod contest;
#[cfg(feature = "checked")]
mod detect;
mod map;
mod record;
mod top;
mod visibility;

pub use barriers::BarriersArgs;
pub use collector::{GcArgs, ScanArgs};
pub use concurrent::ConcurrentArgs;
pub use contest::{AllocArgs, ContestArgs, FragArgs};
#[cfg(feature = "checked")]
pub use detect::DetectArgs;
pub use map::MapArgs;
pub use record::RecordArgs;
pub use top::TopArgs;
pub use visibility::VisibilityArgs;

const EXAMPLES: &str = "\
Examples:
  bucketmask                                  the report on this project's own dependency tree
  bucketmask report --input ~/notes           the same on any folder of text
  bucketmask report --json report.jsonl       figures as JSON lines as well
  bucketmask scan --json scan.jsonl           what a collection costs a live entry, mask against flat
  bucketmask gc --quick                       trees, lists and programs on bucketmask, gc-arena and Go
  bucketmask classic --quick                  one entry a cache line, eight compared at once, against records of 24 bytes
  bucketmask numa                             whether memory is on the node that asked for it
  bucketmask table --check README.md          whether the page's tables are what the newest records give
  bucketmask compare before.json after.json   what changed beyond noise between two records
  bucketmask alloc --quick                    allocator workloads, bucketmask against mimalloc, jemalloc and the C library
  bucketmask frag --quick                     what stays resident when few blocks survive
  bucketmask map --quick                      the map against hashbrown, std, griddle, indexmap and Go's
  bucketmask concurrent --quick               maps that threads share, against papaya, dashmap, scc and locks
  bucketmask visibility                       what readers see while a table moves
  bucketmask top --pid 4711                   how full a running program's pages are
  bucketmask barriers                         write barriers that run, and those that unpublished objects save

Exit codes: 0 all done; 1 a check failed; 2 something could not be read or written (the rest was done); 130 interrupted: after
Ctrl-C what was finished is told and written, a second one stops at once.
The environment variable BUCKETMASK_ALLOCATOR (bucketmask, mimalloc, jemalloc, system) chooses the allocator under this binary.";

/// The command line.
#[derive(Debug, Parser)]
#[command(
    name = "bucketmask",
    version,
    about = "One occupancy mask for allocator, collector and map: see what it saves"
)]
#[command(args_conflicts_with_subcommands = true, after_help = EXAMPLES)]
pub struct Cli {
    /// What to do; the report when nothing is said.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Options of the report, for when no command is named.
    #[command(flatten)]
    pub report: ReportArgs,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Index real text with bucketmask and with mimalloc + gc-arena + hashbrown, delete in waves, compare
    Report(ReportArgs),
    /// Time a collection of one big map by live entry: by mask, flat, and over hashbrown's control bytes
    Scan(ScanArgs),
    /// Look keys up in aligned 64-byte buckets and in 24-byte records: time, lines, use of a line
    Classic(ClassicArgs),
    /// Put threads on each NUMA node and ask the kernel whether their memory is there too
    Numa(NumaArgs),
    /// Write the newest records as tables between the markers of pages, or check that they stand there
    Table(TableArgs),
    /// Tell what got better and what got worse, beyond noise, from one record to another
    Compare(CompareArgs),
    /// Run allocator workloads on bucketmask, mimalloc, jemalloc and the C library: time and resident memory
    Alloc(AllocArgs),
    /// Let few blocks survive, on bucketmask and its peers: what stays resident, against live bytes and pages
    Frag(FragArgs),
    /// Time maps of many sizes and entries against other hash maps: operations, the worst insert, bytes an entry
    Map(MapArgs),
    /// Time collectors on trees, lists and whole programs, their longest step, and what they keep beside the objects
    Gc(GcArgs),
    /// One collector, asked line by line
    #[command(name = crate::gc::child::SUBCOMMAND, hide = true)]
    GcSide {
        /// Which
        side: crate::gc::child::Side,
    },
    /// Time maps that threads share: reads, mixes, growth, against papaya, dashmap, scc and locks
    Concurrent(ConcurrentArgs),
    /// Check what readers of the concurrent map see while its table moves, and that eight broken variants are found out
    Visibility(VisibilityArgs),
    /// Count the write barriers of two programs, with and without those of objects that nobody else can reach yet
    Barriers(BarriersArgs),
    /// Break the collector and its users on purpose, and let the detectors of this checked build find out; what they cost
    #[cfg(feature = "checked")]
    Detect(DetectArgs),
    /// Show how full a running program's pages are, as a heat map, again and again
    Top(TopArgs),
    /// One workload, in a process of its own
    #[command(name = crate::workload::child::SUBCOMMAND, hide = true)]
    Workload {
        /// What to run, as JSON
        plan: String,
    },
    /// One replay of a trace, in a process of its own
    #[command(name = crate::replay::child::SUBCOMMAND, hide = true)]
    Replay {
        /// What to replay on what, as JSON
        order: String,
    },
    /// One side of the report, in a process of its own
    #[command(name = crate::child::SUBCOMMAND, hide = true)]
    Child,
}

impl Command {
    /// Whether this is a side of another command, in a process of its own.
    pub fn is_child(&self) -> bool {
        matches!(self, Self::GcSide { .. } | Self::Workload { .. } | Self::Replay { .. } | Self::Child)
    }
}

/// Options of `report`.
#[derive(Clone, Debug, Default, Args)]
#[command(after_help = "\
Examples:
  bucketmask report --quick
  bucketmask report --input src --out /tmp/page --json /tmp/report.jsonl")]
pub struct ReportArgs {
    /// Folder of text to index; default: the Rust sources of the current project's dependency tree, as far as they are
    /// on this machine. Names that start with a dot and folders named `target` are passed over
    #[arg(long, value_name = "DIR")]
    pub input: Option<PathBuf>,
    /// Write the figures to FILE, one JSON object a line
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Folder of records whose figures the page shows beside its own [default: benches/records/TARGET, if it is there]
    #[arg(long, value_name = "DIR")]
    pub records: Option<PathBuf>,
    /// Folder for the page `report.html` and its pictures
    #[arg(long, value_name = "DIR", default_value = "target/bucketmask")]
    pub out: PathBuf,
    /// One round over at most 12 MiB of the input: seconds instead of a minute, figures less steady
    #[arg(long)]
    pub quick: bool,
    /// How many rounds, each a fresh pair of processes [default: 3, with --quick 1]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: Option<u32>,
}

/// Options of `classic`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  bucketmask classic
  bucketmask classic --quick --json /tmp/classic.jsonl --machine /tmp/classic.machine.json")]
pub struct ClassicArgs {
    /// Write the figures to FILE, one JSON object a line
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write the facts about machine and compiler to FILE, as one JSON object
    #[arg(long, value_name = "FILE")]
    pub machine: Option<PathBuf>,
    /// Tables that fit a second-level cache only, and fewer rounds: seconds instead of minutes
    #[arg(long)]
    pub quick: bool,
    /// How many rounds, sides alternating [default: 9, with --quick 3]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rounds: Option<u32>,
}

/// Options of `numa`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  bucketmask numa
  bucketmask numa --quick --json /tmp/numa.jsonl
  bucketmask numa --assert-local 99
  BUCKETMASK_NODES=4 bucketmask numa          four fake nodes on any machine: all but the kernel's part")]
pub struct NumaArgs {
    /// Write the figures to FILE, one JSON object a line
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Threads on each node
    #[arg(long, value_name = "COUNT", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub threads: u32,
    /// 8 MiB a thread in place of 64 MiB
    #[arg(long)]
    pub quick: bool,
    /// Exit code 1 unless at least PERCENT of the pages of each node's threads are on that node
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u32).range(0..=100))]
    pub assert_local: Option<u32>,
}

/// Options of `table`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
A page has its tables between <!-- figures: NAME --> and <!-- /figures -->; names are scan, gc, alloc, frag, map, map-targets,
concurrent, concurrent-scaling, concurrent-even.

Examples:
  bucketmask table README.md docs/map.md
  bucketmask table --check README.md docs/map.md
  bucketmask table --record scan.jsonl README.md
  bucketmask table --pictures docs/pictures README.md          the pictures that it shows
  bucketmask table --check --pictures docs/pictures README.md
  bucketmask table --pictures /tmp/all                         all that the records give")]
pub struct TableArgs {
    /// The pages [default: README.md]
    #[arg(value_name = "PAGE", default_value = "README.md")]
    pub pages: Vec<PathBuf>,
    /// A record to show, as `--json` of the other commands writes it; may be given more than once
    #[arg(long, value_name = "FILE")]
    pub record: Vec<PathBuf>,
    /// Folder of records, of which the newest of each suite is shown; file names are dates
    /// [default: benches/records/TARGET, unless --record is given]
    #[arg(long, value_name = "DIR")]
    pub records: Option<PathBuf>,
    /// Write the records' pictures that the pages show out of DIR too, or check them; all where the pages show none of it
    #[arg(long, value_name = "DIR")]
    pub pictures: Option<PathBuf>,
    /// Change nothing; exit code 1 when a page or a picture shows something else than the records
    #[arg(long)]
    pub check: bool,
}

/// Options of `compare`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Records may be of other commits or other machines: what all peers have in common is taken for the machine's part.

Examples:
  bucketmask alloc --quick --json before.json     ... change something, then the same with after.json
  bucketmask compare before.json after.json
  bucketmask compare before.json after.json --fail-over 5%")]
pub struct CompareArgs {
    /// The first record, as `--json` of the other commands writes it
    #[arg(value_name = "BEFORE")]
    pub before: PathBuf,
    /// The second record
    #[arg(value_name = "AFTER")]
    pub after: PathBuf,
    /// Show the figures that did not change, too
    #[arg(long)]
    pub all: bool,
    /// Exit code 1 when a figure of ours is worse by more than PERCENT, beyond noise
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    pub fail_over: Option<f64>,
    /// Write the comparison to FILE, one JSON object a line
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// `5` or `5%`.
fn percent(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').unwrap_or(text).trim();
    let value: f64 = number.parse().map_err(|error| format!("{error}"))?;
    if (0.0..=1000.0).contains(&value) { Ok(value) } else { Err("between 0 % and 1000 %".into()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_words_mean_the_report() {
        let cli = Cli::parse_from(["bucketmask"]);
        assert!(cli.command.is_none());
        assert_eq!(cli.report.out, PathBuf::from("target/bucketmask"));
        let cli = Cli::parse_from(["bucketmask", "--input", "x", "--quick"]);
        assert!(cli.command.is_none() && cli.report.quick);
    }

    #[test]
    fn help_names_what_there_is_and_nothing_else() {
        let help = Cli::command().render_long_help().to_string();
        for name in [
            "report",
            "scan",
            "gc",
            "classic",
            "numa",
            "table",
            "compare",
            "alloc",
            "frag",
            "map",
            "concurrent",
            "visibility",
            "Examples:",
        ] {
            assert!(help.contains(name), "{name}: {help}");
        }
        assert_eq!(help.contains("\n  detect"), cfg!(feature = "checked"), "{help}");
        for name in ["child", "workload", "gc-side", "replay"] {
            assert!(!help.contains(&format!("\n  {name}")), "{name}: {help}");
        }
    }
}
