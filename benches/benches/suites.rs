//! `cargo bench`: the binary's suites as Cargo's user expects them.
//!
//! `cargo bench` runs all, short; `cargo bench -- map` one; `cargo bench -- alloc/pair map/hit` cases of two, by parts of their names.
//! `--full` runs them as long as a record takes, `--json FOLDER` keeps their records. What each prints is its own. Invariant: a filter that fits nothing is an error,
//! and so is a suite that failed; the others still run. Ctrl-C ends the suite under way, which writes what it finished, and all others.

use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Parser;
use signal_hook::consts::SIGINT;

/// Suites, and whether their cases can be chosen.
const SUITES: [(&str, bool); 9] = [
    ("report", false),
    ("scan", true),
    ("gc", true),
    ("classic", false),
    ("alloc", true),
    ("frag", true),
    ("map", true),
    ("concurrent", false),
    ("visibility", false),
];

/// The exit code after Ctrl-C.
const INTERRUPTED: u8 = 130;

/// What Cargo and its user say.
#[derive(Debug, Parser)]
#[command(name = "cargo bench --")]
struct Options {
    /// Suites, or cases of them: map, alloc/pair
    filters: Vec<String>,
    /// As long as a record takes, in place of some seconds
    #[arg(long)]
    full: bool,
    /// A folder that gets the record of each suite, what an interrupted one finished too
    #[arg(long, value_name = "FOLDER")]
    json: Option<PathBuf>,
    /// Cargo says so
    #[arg(long, hide = true)]
    bench: bool,
}

/// The cases of a suite that are asked for: none, all, or some.
fn chosen<'a>(filters: &'a [String], suite: &str) -> Option<Vec<&'a str>> {
    if filters.is_empty() {
        return Some(Vec::new());
    }
    let mut cases = Vec::new();
    let mut whole = false;
    for filter in filters {
        match filter.split_once('/') {
            Some((name, case)) if name == suite => cases.push(case),
            None if suite.contains(filter.as_str()) => whole = true,
            _ => {}
        }
    }
    if whole { Some(Vec::new()) } else { Some(cases).filter(|cases| !cases.is_empty()) }
}

pub(crate) fn main() -> ExitCode {
    let options = Options::parse();
    if let Some(folder) = &options.json
        && let Err(error) = std::fs::create_dir_all(folder)
    {
        eprintln!("{}: {error}", folder.display());
        return ExitCode::FAILURE;
    }
    let (mut ran, mut failed) = (0, Vec::new());
    // A terminal's Ctrl-C reaches the suite too, which then tells what it finished; nothing else is started.
    let interrupted = Arc::new(AtomicBool::new(false));
    if let Err(error) = signal_hook::flag::register(SIGINT, Arc::clone(&interrupted)) {
        eprintln!("signals are not watched: {error}");
    }
    for (suite, has_cases) in SUITES {
        if interrupted.load(Ordering::Relaxed) {
            return ExitCode::from(INTERRUPTED);
        }
        let Some(cases) = chosen(&options.filters, suite) else { continue };
        let mut command = Command::new(env!("CARGO_BIN_EXE_bucketmask"));
        command.arg(suite);
        if !options.full {
            command.arg("--quick");
        }
        if has_cases && !cases.is_empty() {
            command.args(["--only", &cases.join(",")]);
        }
        if let Some(folder) = &options.json {
            command.arg("--json").arg(folder.join(suite).with_extension("jsonl"));
        }
        ran += 1;
        eprintln!("bench {suite}");
        match command.status() {
            Ok(status) if status.success() => {}
            Ok(status) if status.code() == Some(INTERRUPTED.into()) => return ExitCode::from(INTERRUPTED),
            Ok(status) => failed.push(format!("{suite}: {status}")),
            Err(error) => failed.push(format!("{suite}: {error}")),
        }
    }
    if ran == 0 {
        let names: Vec<&str> = SUITES.iter().map(|&(suite, _)| suite).collect();
        eprintln!("no suite is called {}; there are {}", options.filters.join(", "), names.join(", "));
        return ExitCode::from(2);
    }
    for failure in &failed {
        eprintln!("bench failed: {failure}");
    }
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
