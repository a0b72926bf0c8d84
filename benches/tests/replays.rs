//! Recording and replaying with the real binary: what a recorded program kept resident is what its replay keeps, and broken
//! traces end a command with a message and not with a figure. Each test owns its traces.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use bucketmask_bench::installed::Choice;
use bucketmask_bench::record::{OURS, Record};
use bucketmask_bench::workload::child::{Account, Plan};
use bucketmask_bench::workload::{Scale, Size, Workload};

/// How far the peak of a replay may be from the program's own.
const PEAKS_WITHIN: f64 = 0.05;

fn bucketmask() -> Command {
    Command::new(env!("CARGO_BIN_EXE_bucketmask"))
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Runs a workload under the recorder; what it told, and its trace.
fn recorded(workload: Workload, folder: &Path) -> (Account, PathBuf) {
    let trace = folder.join(format!("{}.trace", workload.name().replace('/', "-")));
    let scale = Scale { size: Size::Quick, threads: 2, idle_ms: 0 };
    let plan = Plan { workload, allocator: Choice::Bucketmask, scale };
    let output = bucketmask()
        .args(["workload", &serde_json::to_string(&plan).unwrap()])
        .env("BUCKETMASK_ALLOCATOR", "bucketmask")
        .env("BUCKETMASK_RECORD", &trace)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    (serde_json::from_slice(&output.stdout).unwrap(), trace)
}

fn replay(trace: &Path, more: &[&str]) -> Output {
    let args = ["frag", "--quick", "--rounds", "1", "--idle", "0", "--replay", text(trace)];
    bucketmask().args(args).args(more).output().unwrap()
}

/// Records a workload and replays it: peak of the replay over the program's own, both less what a process has that does nothing.
fn peaks(workload: Workload, folder: &Path, before: u64) -> f64 {
    let (live, trace) = recorded(workload, folder);
    let json = folder.join("replay.jsonl");
    let output = replay(&trace, &["--paced", "--allocators", "bucketmask,mimalloc", "--json", text(&json)]);
    assert!(output.status.success(), "{output:?}");
    let record = Record::read(&json).unwrap();
    let value = |metric, who| record.value("replay", workload.name(), metric, who).unwrap();
    assert!(value("time", "mimalloc") > 0.0 && value("idle_grown", "mimalloc") >= 0.0);
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(shown.contains("over time") && shown.contains("mimalloc"), "{shown}");
    value("peak_grown", OURS) / (live.peak_resident - before) as f64
}

#[test]
fn a_replay_keeps_resident_what_the_program_did() {
    let folder = tempfile::tempdir().unwrap();
    // A workload's own tables are blocks of the trace, too: what is there before them is what a process has that does nothing.
    let before = recorded(Workload::Pair, folder.path()).0.peak_resident;
    for workload in [Workload::Survivors, Workload::Redis] {
        // Memory goes back to the kernel by the clock: on a busy machine either of the two may give less back before its peak.
        let mut seen = Vec::new();
        let is_near = (0..4).any(|_| {
            seen.push(peaks(workload, folder.path(), before));
            seen.last().is_some_and(|peaks: &f64| (peaks - 1.0).abs() <= PEAKS_WITHIN)
        });
        assert!(is_near, "{}: of the program's own peak, replays had {seen:.3?}", workload.name());
    }
}

#[test]
fn threads_are_replayed_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let (_, trace) = recorded(Workload::Mstress, folder.path());
    let output = replay(&trace, &["--allocators", "bucketmask"]);
    assert!(output.status.success(), "{output:?}");
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    let threads: u32 = shown
        .split_once(" threads on ")
        .and_then(|(before, _)| before.rsplit(' ').next()?.parse().ok())
        .unwrap_or_else(|| panic!("{shown}"));
    assert!(threads >= 3, "{shown}");
}

#[test]
fn a_broken_trace_is_refused_or_replayed_in_part() {
    let folder = tempfile::tempdir().unwrap();
    let (_, trace) = recorded(Workload::Redis, folder.path());
    let whole = fs::read(&trace).unwrap();
    fs::write(&trace, &whole[..whole.len() / 2]).unwrap();
    let refused = replay(&trace, &["--allocators", "bucketmask"]);
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(2), "{told}");
    let offset = format!("at byte {}", whole.len() / 2);
    assert!(told.contains("cut off") && told.contains(&offset) && told.contains("--partial"), "{told}");
    let partly = replay(&trace, &["--allocators", "bucketmask", "--partial"]);
    assert!(partly.status.success(), "{partly:?}");
    assert!(String::from_utf8_lossy(&partly.stdout).contains("Only what is valid"), "{partly:?}");
    let foreign = folder.path().join("foreign");
    fs::write(&foreign, "text of some kind").unwrap();
    for (path, why) in [(foreign.as_path(), "not a trace"), (Path::new("/nowhere/at/all"), "cannot be read")]
    {
        let output = replay(path, &["--allocators", "bucketmask"]);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && told.contains(why), "{told}");
    }
}
