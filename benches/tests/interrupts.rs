//! Ctrl-C on the real binary: what was finished is told and written, the children are gone, and the exit code says which signal
//! it was. Each test owns its process. Invariant: a test waits for what it has seen to happen, never for a time.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use bucketmask_bench::record::Record;
use rustix::process::{Pid, Signal, kill_process};

/// How long a sample may still take.
const PATIENCE: Duration = Duration::from_secs(60);

fn start(args: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bucketmask"));
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

fn send(child: &Child, signal: Signal) {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).unwrap();
    kill_process(pid, signal).unwrap();
}

/// Reads lines until one has `part`; those read.
fn until(lines: &mut BufReader<ChildStderr>, part: &str) -> String {
    let mut all = String::new();
    while !all.contains(part) {
        assert!(lines.read_line(&mut all).unwrap() > 0, "it ended before {part:?}: {all}");
    }
    all
}

/// What a process says from now on until it ends, and how it ends.
fn end(mut child: Child, mut errors: BufReader<ChildStderr>) -> (ExitStatus, String, String) {
    let start = Instant::now();
    let (mut out, mut told) = (String::new(), String::new());
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    errors.read_to_string(&mut told).unwrap();
    let status = child.wait().unwrap();
    assert!(start.elapsed() < PATIENCE, "it went on for {:?}: {told}", start.elapsed());
    (status, out, told)
}

/// Processes whose parent is this one.
fn children_of(parent: u32) -> Vec<String> {
    let stat = |entry: fs::DirEntry| fs::read_to_string(entry.path().join("stat")).ok();
    let is_child = |stat: &String| {
        let after_name = stat.rsplit_once(") ").map_or("", |(_, after)| after);
        after_name.split(' ').nth(1) == Some(parent.to_string().as_str())
    };
    fs::read_dir("/proc").unwrap().flatten().filter_map(stat).filter(is_child).collect()
}

/// Interrupts a run once it has told of `stage`, which is not its first; what is then in its record.
fn interrupted(args: &[&str], stage: &str, signal: Signal, folder: &Path) -> (i32, Record) {
    let json = folder.join("record.jsonl");
    let mut child = start(&[args, &["--json", json.to_str().unwrap()]].concat());
    let mut errors = BufReader::new(child.stderr.take().unwrap());
    let before = until(&mut errors, stage);
    assert!(!before.contains('\x1b'), "plain lines where there is no terminal: {before:?}");
    send(&child, signal);
    let (status, out, told) = end(child, errors);
    assert!(told.contains("stopping"), "{told}");
    assert!(!out.contains('\x1b') && !told.contains('\x1b'), "plain: {out:?} {told:?}");
    (status.code().unwrap_or_else(|| panic!("{status}: {told}")), Record::read(&json).unwrap())
}

#[test]
fn children_are_stopped_and_nothing_is_written_of_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("record.jsonl");
    // An idle time that nobody waits for: only a child that is stopped ends in time.
    let args = ["frag", "--quick", "--idle", "3600", "--only", "survivors", "--json", json.to_str().unwrap()];
    let mut child = start(&args);
    let mut errors = BufReader::new(child.stderr.take().unwrap());
    until(&mut errors, "survivors");
    let pid = child.id();
    let start = Instant::now();
    while children_of(pid).is_empty() {
        assert!(start.elapsed() < PATIENCE, "no workload was started");
        std::thread::yield_now();
    }
    send(&child, Signal::INT);
    let (status, out, told) = end(child, errors);
    assert_eq!(status.code(), Some(130), "{told}");
    assert!(told.contains("nothing is written") && out.is_empty() && !json.exists(), "{out} {told}");
    assert!(children_of(pid).is_empty());
}

#[test]
fn what_was_finished_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let frag = ["frag", "--quick", "--rounds", "1", "--idle", "0.3", "--only", "survivors,redis"];
    let (code, record) = interrupted(&frag, "redis", Signal::INT, folder.path());
    assert_eq!(code, 130);
    assert!(record.value("frag", "survivors", "time", "bucketmask").is_some());
    assert!(record.value("frag", "redis", "time", "bucketmask").is_none());
}

#[test]
fn suites_of_one_process_end_after_their_sample() {
    let folder = tempfile::tempdir().unwrap();
    let map = ["map", "--quick", "--rounds", "1", "--only", "/u64-u64/"];
    let (code, record) = interrupted(&map, "u64-u64 1k", Signal::TERM, folder.path());
    assert_eq!(code, 128 + 15);
    assert!(record.value("map", "hit/u64-u64/16", "time", "hashbrown").is_some());
    assert!(record.value("map", "hit/u64-u64/octave", "time", "hashbrown").is_none());
    let scan = ["scan", "--quick", "--rounds", "1", "--only", "20k/"];
    let (code, record) = interrupted(&scan, "20k/keep=10/uniform", Signal::INT, folder.path());
    assert_eq!(code, 130);
    assert!(record.value("scan", "gcmap/20k/keep=100/uniform", "time_per_live", "bucketmask").is_some());
    let visibility = ["visibility", "--histories", "100000000"];
    let mut child = start(&visibility);
    let mut errors = BufReader::new(child.stderr.take().unwrap());
    until(&mut errors, "histories of the map as it is");
    send(&child, Signal::INT);
    let (status, out, told) = end(child, errors);
    assert_eq!(status.code(), Some(130), "{told}");
    assert!(out.contains("What readers see"), "{out}");
}

#[test]
fn a_second_signal_stops_at_once() {
    let mut child = start(&["concurrent", "--only", "grow"]);
    let mut errors = BufReader::new(child.stderr.take().unwrap());
    until(&mut errors, "grow");
    send(&child, Signal::INT);
    until(&mut errors, "once more");
    send(&child, Signal::INT);
    let (status, ..) = end(child, errors);
    assert_eq!(status.code(), Some(130));
}

/// What a run shows on a terminal of its own.
fn on_a_terminal(variable: (&str, &str)) -> String {
    let run = format!("{} scan --quick --rounds 1 --only 20k/keep=1/", env!("CARGO_BIN_EXE_bucketmask"));
    let mut command = Command::new("script");
    command
        .args(["-qec", &run, "/dev/null"])
        .stdin(Stdio::null())
        .env_remove("NO_COLOR")
        .env("TERM", "xterm");
    let output = command.env(variable.0, variable.1).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_terminal_gets_a_bar_and_no_colour_where_none_is_wanted() {
    // A colour is `ESC [ 3x m` or `ESC [ 4x m`; a bar also moves the cursor.
    let coloured = |shown: &str| {
        shown.split("\x1b[").skip(1).any(|rest| {
            let code = rest.split(|c: char| c.is_ascii_alphabetic()).next().unwrap_or_default();
            rest[code.len()..].starts_with('m')
                && code.split(';').any(|part| matches!(part.get(..1), Some("3" | "4" | "9")))
        })
    };
    let shown = on_a_terminal(("ANY", "1"));
    assert!(coloured(&shown) && shown.contains('%'), "{shown:?}");
    let shown = on_a_terminal(("NO_COLOR", "1"));
    assert!(!coloured(&shown) && shown.contains("\x1b[") && shown.contains('%'), "{shown:?}");
}
