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
    loop {
        let shown = next(&file, args.pid)?;
        let clear = if args.once || !colours { "" } else { "\x1b[2J\x1b[H" };
        outcome.note(output::print(&format!("{clear}{}", draw::text(&shown, colours))));
        if let Some(path) = &args.svg {
            outcome.note(write_file(path, &draw::svg(&shown)));
        }
        let is_there = args.pid.is_none_or(|pid| Path::new(&format!("/proc/{pid}")).exists());
        if args.once || !is_there || !outcome.problems.is_empty() {
            return Ok(outcome);
        }
        thread::sleep(Duration::from_millis(args.every));
    }
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
    // SAFETY: a signal to a process that handles it, as its environment says.
    if unsafe { libc::kill(pid, libc::SIGUSR2) } == 0 {
        return Ok(());
    }
    Err(Error::Read { path: format!("/proc/{pid}").into(), source: std::io::Error::last_os_error() })
}
