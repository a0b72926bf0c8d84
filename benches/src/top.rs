//! The command `top`: how full a running program's pages are, by node and size class, as a heat map that is drawn again and again.
//!
//! A program that runs with `BUCKETMASK_REPORT=SIGUSR2` and `BUCKETMASK_REPORT_FILE` appends a report to that file when it gets the
//! signal; this sends it, waits for the report, and draws the last one in the file. Nothing is asked of the program but that.
//! Owns the waiting. Invariant: what is drawn is one whole report, that ends with the line about the process.

mod draw;
mod heat;

use std::fs;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::cli::TopArgs;
use crate::error::{Error, Outcome};
use crate::output;
use crate::record::write_file;
use heat::Heat;

/// How long a program may take to write its report.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a program may take to begin to heed the signal.
const HANDLER_PATIENCE: Duration = Duration::from_secs(2);

/// Shows reports until the program ends, or once.
///
/// # Errors
/// There is no such process, it writes no reports, or the file cannot be read. What cannot be written is in the outcome instead.
pub fn run(args: &TopArgs) -> Result<Outcome, Error> {
    let file = match (&args.file, args.pid) {
        (Some(file), _) => file.clone(),
        (None, Some(pid)) => file_of(pid)?,
        (None, None) => unreachable!("one of the two is required"),
    };
    let mut outcome = Outcome::default();
    let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let mut is_first = true;
    loop {
        let shown = match next(&file, args.pid) {
            Ok(shown) => shown,
            // It ended while it was looked at.
            Err(_) if !is_first && args.pid.is_some_and(|pid| !is_there(pid)) => return Ok(outcome),
            Err(error) => return Err(error),
        };
        let clear = if args.once || !colours { "" } else { "\x1b[2J\x1b[H" };
        outcome.note(output::print(&format!("{clear}{}", draw::text(&shown, colours))));
        if let Some(path) = &args.svg {
            outcome.note(write_file(path, &draw::svg(&shown)));
        }
        if args.once || args.pid.is_some_and(|pid| !is_there(pid)) || !outcome.problems.is_empty() {
            return Ok(outcome);
        }
        is_first = false;
        thread::sleep(Duration::from_millis(args.every));
    }
}

/// Whether there is such a process, and it has not ended.
fn is_there(pid: i32) -> bool {
    status(pid).is_some_and(|status| !status.lines().any(|line| line.starts_with("State:\tZ")))
}

/// What the kernel says of a process, if there is one.
fn status(pid: i32) -> Option<String> {
    fs::read_to_string(format!("/proc/{pid}/status")).ok()
}

/// Whether the process has a handler for SIGUSR2, which would end it otherwise.
fn has_handler(pid: i32) -> bool {
    let caught = status(pid).and_then(|status| {
        let digits = status.lines().find_map(|line| line.strip_prefix("SigCgt:"))?.trim().to_owned();
        u64::from_str_radix(&digits, 16).ok()
    });
    caught.is_some_and(|caught| caught >> (libc::SIGUSR2 - 1) & 1 == 1)
}

fn no_report(what: String) -> Error {
    Error::Disagreement(what)
}

/// Where the process writes its reports.
fn file_of(pid: i32) -> Result<PathBuf, Error> {
    let path = PathBuf::from(format!("/proc/{pid}/environ"));
    let environment = fs::read(&path).map_err(|source| Error::Read { path, source })?;
    let variable = |name: &str| {
        let mut all = environment.split(|&byte| byte == 0).map(String::from_utf8_lossy);
        all.find_map(|entry| Some(entry.strip_prefix(name)?.strip_prefix('=')?.to_owned()))
    };
    let asked = variable("BUCKETMASK_REPORT").unwrap_or_default();
    let file = variable("BUCKETMASK_REPORT_FILE");
    match file.filter(|_| asked.split(',').any(|word| word == "SIGUSR2")) {
        Some(file) if file.starts_with('/') => Ok(file.into()),
        Some(file) => Ok(Path::new(&format!("/proc/{pid}/cwd")).join(file)),
        // Without the handler the signal would end the process.
        None => Err(no_report(format!(
            "process {pid} was not started with BUCKETMASK_REPORT=SIGUSR2 and BUCKETMASK_REPORT_FILE=FILE"
        ))),
    }
}

/// The next report: one that the process writes when it is asked, or the last that is there.
fn next(file: &Path, pid: Option<i32>) -> Result<Heat, Error> {
    let read = || fs::read_to_string(file);
    let before = read().map_or(0, |text| text.len());
    if let Some(pid) = pid {
        ask(pid)?;
    }
    let start = Instant::now();
    loop {
        let text = read();
        let new = text.as_deref().ok().filter(|text| pid.is_none() || text.len() > before);
        if let Some(heat) =
            new.and_then(|text| Heat::last_of(&text[if pid.is_some() { before } else { 0 }..]))
        {
            return Ok(heat);
        }
        match text {
            Err(source) if pid.is_none() => return Err(Error::Read { path: file.to_owned(), source }),
            _ if pid.is_none() => return Err(no_report(format!("{} holds no whole report", file.display()))),
            _ if start.elapsed() > PATIENCE => {
                return Err(no_report(format!("the process wrote no report to {}", file.display())));
            }
            _ => thread::sleep(Duration::from_millis(10)),
        }
    }
}

#[expect(unsafe_code, reason = "sends a signal")]
fn ask(pid: i32) -> Result<(), Error> {
    // A process that has only just begun may not have it yet.
    let start = Instant::now();
    while is_there(pid) && !has_handler(pid) {
        if start.elapsed() > HANDLER_PATIENCE {
            return Err(no_report(format!("process {pid} has no handler for SIGUSR2, which would end it")));
        }
        thread::sleep(Duration::from_millis(10));
    }
    // SAFETY: a signal to a process that handles it.
    if unsafe { libc::kill(pid, libc::SIGUSR2) } == 0 {
        return Ok(());
    }
    Err(Error::Read { path: format!("/proc/{pid}").into(), source: std::io::Error::last_os_error() })
}
