//! Ctrl-C while `cargo bench` runs on a terminal: the suite under way writes what it finished, no other one starts, the exit code says
//! it, and the terminal is as it was before.
//!
//! `script` gives the terminal, and the key is the byte that a keyboard sends, so that the terminal itself makes the signal, for the
//! runner and the suite at once. This program is the runner too, by the same source as the bench. Invariant: the test waits for what
//! it has seen, never for a time.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{ChildStdout, Command, ExitCode, Stdio};

use bucketmask_bench::record::Record;

#[path = "../benches/suites.rs"]
mod suites;

/// Set where this program is the runner.
const RUNNER: &str = "BUCKETMASK_TEST_RUNNER";
/// What a terminal sends for Ctrl-C.
const CTRL_C: &[u8] = b"\x03";

/// What a terminal showed from the start of the runner to the shell's last word.
struct Seen {
    shown: String,
    /// The terminal's settings before and after, and the runner's exit code.
    before: String,
    after: String,
    code: String,
}

/// Reads until `part` is shown; all that was shown.
fn until(shown: &mut ChildStdout, part: &str) -> String {
    let (mut all, mut byte) = (Vec::new(), [0]);
    while !all.ends_with(part.as_bytes()) {
        let count = shown.read(&mut byte).expect("a terminal");
        assert!(count == 1, "it ended before {part:?}: {}", String::from_utf8_lossy(&all));
        all.push(byte[0]);
    }
    String::from_utf8_lossy(&all).into_owned()
}

/// Runs `filters` on a terminal and presses the key once `stage` is shown.
fn interrupted(filters: &str, stage: &str, records: &Path) -> Seen {
    let program = std::env::current_exe().expect("this program has a path");
    // The shell is reached by the key as well, and stays to look at the terminal, which has no size by itself.
    let line = format!(
        "trap : INT; stty rows 50 cols 200; echo before=$(stty -g); {RUNNER}=1 {} --bench --json {} {filters}; echo code=$?; echo after=$(stty -g)",
        program.display(),
        records.display()
    );
    let mut terminal = Command::new("script")
        .args(["-qec", &line, "/dev/null"])
        .env("TERM", "xterm")
        .env("SHELL", "/bin/sh")
        .env_remove("NO_COLOR")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script, of util-linux");
    let mut keys = terminal.stdin.take().expect("piped");
    let mut screen = terminal.stdout.take().expect("piped");
    let mut shown = until(&mut screen, stage);
    keys.write_all(CTRL_C).and_then(|()| keys.flush()).expect("a terminal");
    let mut rest = Vec::new();
    screen.read_to_end(&mut rest).expect("a terminal");
    terminal.wait().expect("it ends");
    shown += &String::from_utf8_lossy(&rest);
    let told = |name: &str| {
        let (_, rest) = shown.split_once(name).unwrap_or_else(|| panic!("no {name} in {shown:?}"));
        rest.split(['\r', '\n']).next().unwrap_or_default().to_owned()
    };
    let (before, after, code) = (told("before="), told("after="), told("code="));
    Seen { shown, before, after, code }
}

/// Escape sequences that end with `last`: what stands between.
fn sequences(shown: &str, last: char) -> Vec<&str> {
    let parts = shown.split("\x1b[").skip(1);
    parts
        .filter_map(|rest| {
            let end = rest.find(|c: char| c.is_ascii_alphabetic())?;
            rest[end..].starts_with(last).then(|| &rest[..end])
        })
        .collect()
}

fn ctrl_c_leaves_records_and_a_sane_terminal() {
    let folder = tempfile::tempdir().expect("a folder");
    let seen = interrupted("map//u64-u64/ visibility", "u64-u64 1k", folder.path());
    let Seen { shown, before, after, code } = &seen;
    assert_eq!(code, "130", "{shown:?}");
    assert!(shown.contains("bench map") && !shown.contains("bench visibility"), "{shown:?}");
    assert!(shown.contains("stopping after this sample"), "{shown:?}");
    // What was finished is on the screen and in the file; what was not, is in neither.
    let record = Record::read(&folder.path().join("map.jsonl")).expect("a record");
    assert!(record.value("map", "hit/u64-u64/16", "time", "hashbrown").is_some());
    assert!(record.value("map", "hit/u64-u64/octave", "time", "hashbrown").is_none());
    assert!(!folder.path().join("visibility.jsonl").exists());
    let (_, table) = shown.split_once("stopping after").expect("as seen");
    assert!(
        table.contains("u64-u64") && table.contains("hashbrown"),
        "a table of what was finished: {shown:?}"
    );
    // The terminal: its settings, the cursor, colours, and no bar left in the last line.
    assert!(!before.is_empty() && before == after, "{before} became {after}");
    let hidden = shown.rfind("\x1b[?25l");
    assert!(hidden.is_none_or(|at| shown[at..].contains("\x1b[?25h")), "the cursor stays hidden: {shown:?}");
    let colours = sequences(shown, 'm');
    assert!(colours.len() > 1, "a bar in colours: {shown:?}");
    assert!(matches!(colours.last(), Some(&"" | &"0")), "a colour stays: {colours:?}");
    let (screen, _) = shown.split_once("code=").expect("as seen");
    assert!(screen.ends_with('\n'), "the prompt stands in a line of its own: {screen:?}");
    let last = screen.rfind("\x1b[2K").expect("the bar was cleared");
    assert!(!screen[last..].contains("\x1b[36m"), "a bar was drawn behind the last clearing: {shown:?}");
}

fn main() -> ExitCode {
    if std::env::var_os(RUNNER).is_some() {
        return suites::main();
    }
    ctrl_c_leaves_records_and_a_sane_terminal();
    println!("test ctrl_c_leaves_records_and_a_sane_terminal ... ok");
    ExitCode::SUCCESS
}
