//! The binary `bucketmask`: runs one command on the allocator that the environment chooses. Owns the global allocator and
//! the exit code. Invariant: results go to standard output, everything else to standard error, and the exit code tells
//! whether all was read and written.
#![deny(unsafe_code)]

use std::process::ExitCode;

use bucketmask_bench::cli::{Cli, Command};
use bucketmask_bench::error::{Error, Outcome};
use bucketmask_bench::installed::Installed;
use bucketmask_bench::{
    alloc, barriers, classic, compare, concurrent, frag, gc, interrupt, map, numa, pages, replay, report,
    scan, top, visibility, worker, workload,
};
use clap::Parser;

#[global_allocator]
static INSTALLED: Installed = Installed::new();

/// Problems listed one by one before the rest is only counted.
const PROBLEMS_SHOWN: usize = 10;

fn main() -> ExitCode {
    let cli = Cli::parse();
    // A child ends when its parent does, or says so.
    if !cli.command.as_ref().is_some_and(Command::is_child)
        && let Err(error) = interrupt::watch()
    {
        eprintln!("bucketmask: signals are not watched, so Ctrl-C loses what was measured: {error}");
    }
    let result = match cli.command {
        None => report::run(&cli.report),
        Some(Command::Report(args)) => report::run(&args),
        Some(Command::Scan(args)) => scan::run(&args),
        Some(Command::Classic(args)) => classic::run(&args),
        Some(Command::Numa(args)) => numa::run(&args),
        Some(Command::Table(args)) => pages::run(&args),
        Some(Command::Compare(args)) => compare::run(&args),
        Some(Command::Alloc(args)) => alloc::run(&args),
        Some(Command::Frag(args)) => frag::run(&args),
        Some(Command::Map(args)) => map::run(&args, &INSTALLED),
        Some(Command::Gc(args)) => gc::run(&args),
        Some(Command::GcSide { side }) => gc::child::answer(side).map(|()| Outcome::default()),
        Some(Command::Concurrent(args)) => concurrent::run(&args, &INSTALLED),
        Some(Command::Visibility(args)) => visibility::run(&args),
        Some(Command::Barriers(args)) => barriers::run(&args),
        #[cfg(feature = "checked")]
        Some(Command::Detect(args)) => bucketmask_bench::detect::run(&args),
        Some(Command::Top(args)) => top::run(&args),
        Some(Command::Workload { plan }) => {
            workload::child::answer(&INSTALLED, &plan).map(|()| Outcome::default())
        }
        Some(Command::Replay { order }) => {
            replay::child::answer(&INSTALLED, &order).map(|()| Outcome::default())
        }
        Some(Command::Child) => worker::run(&INSTALLED).map(|()| Outcome::default()),
    };
    let code = match result {
        Ok(outcome) if outcome.problems.is_empty() => ExitCode::SUCCESS,
        Ok(outcome) => tell_problems(&outcome),
        Err(error) => tell_error(&error),
    };
    interrupt::exit_code().map_or(code, ExitCode::from)
}

fn tell_problems(outcome: &Outcome) -> ExitCode {
    eprintln!("bucketmask: not everything could be read or written:");
    for problem in outcome.problems.iter().take(PROBLEMS_SHOWN) {
        eprintln!("  {problem}");
    }
    if let Some(more) = outcome.problems.len().checked_sub(PROBLEMS_SHOWN).filter(|&more| more > 0) {
        eprintln!("  and {more} more");
    }
    ExitCode::from(2)
}

fn tell_error(error: &Error) -> ExitCode {
    eprintln!("bucketmask: {error}");
    ExitCode::from(error.exit_code())
}
