//! The real binary, as a user runs it: bad inputs, refused outputs, and records that hold the schema. Each test owns its
//! folders. Invariant: exit code 2 and a message for what could not be read or written, with the rest still reported.

#[path = "binary/records.rs"]
mod records;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

use bucketmask_bench::record::Record;

fn bucketmask(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bucketmask")).args(args).env("NO_COLOR", "1").output().unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or_else(|| panic!("ended by a signal: {}", stderr(output)))
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A folder of text that is quickly indexed.
fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for file in 0..12 {
        let words: Vec<String> =
            (0..400).map(|idx| format!("word{} x{file}", (idx * 7 + file) % 900)).collect();
        fs::write(dir.path().join(format!("{file}.txt")), words.join("\n")).unwrap();
    }
    dir
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_quick_report_writes_tables_figures_and_page() {
    let (input, out) = (folder(), tempfile::tempdir().unwrap());
    let json = out.path().join("report.jsonl");
    let page = out.path().join("page");
    let args =
        ["report", "--quick", "--input", text(input.path()), "--json", text(&json), "--out", text(&page)];
    let output = bucketmask(&args);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    for part in
        ["Collecting the settled heap", "Memory after each wave", "Fragmentation at 1 % kept", "two-thirds"]
    {
        assert!(stdout(&output).contains(part), "{part}: {}", stdout(&output));
    }
    let record = Record::read(&json).unwrap();
    assert!(record.figures().len() > 50 && record.ratios().len() > 20);
    for implementation in ["bucketmask", "bucketmask-flat", "mimalloc+gc-arena+hashbrown"] {
        assert!(record.value("report", "index/whole/keep=10", "time_per_live", implementation).is_some());
    }
    let page = fs::read_to_string(page.join("report.html")).unwrap();
    assert!(page.contains("<svg") && page.contains(text(input.path())));
}

#[test]
fn no_command_is_the_report() {
    let (input, out) = (folder(), tempfile::tempdir().unwrap());
    let output = bucketmask(&["--quick", "--input", text(input.path()), "--out", text(out.path())]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(out.path().join("report.html").is_file());
}

#[test]
fn a_missing_folder_is_named() {
    let output = bucketmask(&["report", "--input", "/nowhere/at/all"]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("no such folder: /nowhere/at/all"), "{}", stderr(&output));
}

#[test]
fn an_empty_folder_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let output = bucketmask(&["report", "--input", text(dir.path())]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("no readable text file"), "{}", stderr(&output));
}

#[test]
fn outside_a_project_the_default_input_asks_for_a_folder() {
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_bucketmask")).current_dir(dir.path()).output().unwrap();
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("--input DIR"), "{}", stderr(&output));
    let output = Command::new(env!("CARGO_BIN_EXE_bucketmask"))
        .current_dir(dir.path())
        .env_remove("CARGO")
        .env("PATH", dir.path())
        .output()
        .unwrap();
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("--input DIR"), "{}", stderr(&output));
}

#[test]
fn unreadable_files_are_told_and_the_rest_is_reported() {
    let (input, out) = (folder(), tempfile::tempdir().unwrap());
    fs::write(input.path().join("latin1.txt"), b"caf\xe9").unwrap();
    // Dangling, because a file without permissions is still readable to root.
    symlink("/nowhere/at/all", input.path().join("dangling.txt")).unwrap();
    let output = bucketmask(&["report", "--quick", "--input", text(input.path()), "--out", text(out.path())]);
    assert_eq!(code(&output), 2, "{}", stderr(&output));
    assert!(stderr(&output).contains("latin1.txt is not UTF-8 (byte 3)"), "{}", stderr(&output));
    assert!(stderr(&output).contains("dangling.txt"), "{}", stderr(&output));
    assert!(stdout(&output).contains("Collecting the settled heap"), "{}", stdout(&output));
    assert!(out.path().join("report.html").is_file());
}

#[test]
fn full_disks_and_refused_outputs_come_after_the_tables() {
    let (input, out) = (folder(), tempfile::tempdir().unwrap());
    let blocked = out.path().join("file");
    fs::write(&blocked, "").unwrap();
    let below_a_file = blocked.join("page");
    let args = [
        "report",
        "--quick",
        "--input",
        text(input.path()),
        "--json",
        "/dev/full",
        "--out",
        text(&below_a_file),
    ];
    let output = bucketmask(&args);
    assert_eq!(code(&output), 2, "{}", stderr(&output));
    assert!(stdout(&output).contains("Collecting the settled heap"), "{}", stdout(&output));
    for path in ["/dev/full", text(&below_a_file)] {
        assert!(stderr(&output).contains(&format!("cannot write {path}")), "{}", stderr(&output));
    }
}

#[test]
fn a_full_disk_behind_standard_output_is_an_error() {
    let (input, out) = (folder(), tempfile::tempdir().unwrap());
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_bucketmask"))
        .args(["report", "--quick", "--input", text(input.path()), "--out", text(out.path())])
        .stdout(full)
        .output()
        .unwrap();
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("standard output"), "{}", stderr(&output));
    assert!(out.path().join("report.html").is_file(), "the page is written all the same");
}

#[test]
fn wrong_words_are_refused() {
    for args in [&["detect"][..], &["report", "--rounds", "0"], &["scan", "--rounds", "x"], &["--wrong"]] {
        let output = bucketmask(args);
        assert_eq!(code(&output), 2, "{args:?}");
        assert!(!stderr(&output).is_empty());
    }
}

#[test]
fn a_child_without_a_plan_says_so() {
    let output = bucketmask(&["child"]);
    assert_eq!(code(&output), 1);
    assert!(stderr(&output).contains("line 1"), "{}", stderr(&output));
}

#[test]
fn every_allocator_runs_the_binary() {
    for allocator in ["bucketmask", "mimalloc", "jemalloc", "system", "unheard-of"] {
        let output = Command::new(env!("CARGO_BIN_EXE_bucketmask"))
            .arg("--version")
            .env("BUCKETMASK_ALLOCATOR", allocator)
            .output();
        assert_eq!(code(&output.unwrap()), 0, "{allocator}");
    }
}

#[test]
fn collectors_run_the_same_programs() {
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("gc.jsonl");
    let output = bucketmask(&["gc", "--quick", "--rounds", "1", "--json", text(&json)]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(stdout(&output).contains("targets are met"), "{}", stdout(&output));
    let record = Record::read(&json).unwrap();
    for (case, metric) in [
        ("trees-mark/depth=12", "time_per_live"),
        ("sweep-half/100k", "time_per_slot"),
        ("gcbench/depth=8", "peak_resident"),
        ("longest-step/100k", "longest_step"),
        ("arenas/20", "resident"),
    ] {
        for implementation in ["bucketmask", "gc-arena"] {
            let value = record.value("gc", case, metric, implementation);
            assert!(value.is_some_and(|value| value > 0.0), "{case} {metric} {implementation}");
        }
    }
    let output = bucketmask(&["gc", "--only", "nothing-like-it"]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("trees-mark/depth=20"), "{}", stderr(&output));
}

#[test]
fn classic_sets_lines_against_records() {
    let dir = tempfile::tempdir().unwrap();
    let (json, machine) = (dir.path().join("classic.jsonl"), dir.path().join("machine.json"));
    let files = ["--json", text(&json), "--machine", text(&machine)];
    let output = bucketmask(&[&["classic", "--quick", "--rounds", "1"], &files[..]].concat());
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(stdout(&output).contains("What a lookup fetches"), "{}", stdout(&output));
    assert!(fs::read_to_string(&machine).unwrap().contains("\"rustc\""));
    let record = Record::read(&json).unwrap();
    for case in ["hit/key16/192", "miss/key16/192", "hit/key48/3k", "miss/key48/3k"] {
        let value = |metric, implementation| record.value("classic", case, metric, implementation).unwrap();
        for implementation in ["record", "bucketmask-line-scalar", "bucketmask-line-singly"] {
            for metric in ["time", "latency", "lines", "line_use", "bytes_per_entry"] {
                assert!(value(metric, implementation) > 0.0, "{case} {metric} {implementation}");
            }
        }
        // What geometry alone decides: a bucket is its line, a batch is eight lines, a record is a third of one or two.
        let own = |implementation| value("element_line_use", implementation);
        assert!((own("bucketmask-line-scalar") - 100.0).abs() < 1e-9);
        assert!((30.0..37.6).contains(&own("record")), "{}", own("record"));
        assert!(value("lines", "bucketmask-line-scalar") >= 8.0);
        assert!(value("time", "bucketmask") > 0.0 && value("time", "hashbrown") > 0.0);
    }
    assert!(record.ratios().iter().any(|ratio| ratio.peer == "record" && ratio.metric == "latency"));
}

#[test]
fn alloc_writes_figures_of_every_allocator_asked_for() {
    let out = tempfile::tempdir().unwrap();
    let (json, machine) = (out.path().join("alloc.jsonl"), out.path().join("machine.json"));
    let options = ["alloc", "--quick", "--only", "pair,cache-thrash", "--rounds", "1", "--threads", "2"];
    let files = ["--json", text(&json), "--machine", text(&machine)];
    let allocators = ["--allocators", "bucketmask,mimalloc,jemalloc,system"];
    let output = bucketmask(&[&options[..], &files[..], &allocators[..]].concat());
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(stdout(&output).contains("Most resident memory"), "{}", stdout(&output));
    let record = Record::read(&json).unwrap();
    for case in ["pair", "cache-thrash", "all"] {
        for implementation in ["bucketmask", "mimalloc", "jemalloc", "system"] {
            for metric in ["time", "peak_resident"] {
                let value = record.value("alloc", case, metric, implementation);
                assert!(value.is_some_and(|value| value > 0.0), "{case} {metric} {implementation}");
            }
        }
    }
    let peak = |name| record.value("alloc", "pair", "peak_resident", name).unwrap();
    assert!(peak("system") > 1e6 && peak("mimalloc") < 1e9, "in bytes");
    assert!(record.ratios().iter().all(|ratio| ratio.implementation == "bucketmask"));
    assert_eq!(
        record.ratios().iter().filter(|ratio| ratio.peer == "mimalloc" && ratio.case == "pair").count(),
        3
    );
    let facts: serde_json::Value = serde_json::from_str(&fs::read_to_string(&machine).unwrap()).unwrap();
    assert!(facts["allocators"]["mimalloc"].as_str().unwrap().starts_with("3."), "{facts}");
}

#[test]
fn frag_judges_what_stays_resident() {
    let out = tempfile::tempdir().unwrap();
    let json = out.path().join("frag.jsonl");
    let options = ["frag", "--quick", "--only", "survivors", "--rounds", "1", "--idle", "0"];
    let allocators = ["--allocators", "bucketmask,system", "--json", text(&json)];
    let output = bucketmask(&[&options[..], &allocators[..]].concat());
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(stdout(&output).contains("idle over the best peer's, system"), "{}", stdout(&output));
    let record = Record::read(&json).unwrap();
    for implementation in ["bucketmask", "system"] {
        let value = |metric| record.value("frag", "survivors", metric, implementation).unwrap();
        // 300 thousand blocks of 1.25 KiB on average, a twentieth of which survives.
        assert!((15e6..25e6).contains(&value("live")), "{}", value("live"));
        assert!((value("live")..10.0 * value("live")).contains(&value("floor")), "{}", value("floor"));
        assert!(value("resident_per_floor") > 0.9, "{}", value("resident_per_floor"));
        assert!(value("peak_resident") > 300e6 && value("peak_resident") >= value("steady_resident"));
    }
    assert!(record.value("frag", "survivors", "external_fragmentation", "bucketmask").is_some());
    assert!(record.value("frag", "survivors", "external_fragmentation", "system").is_none());
}

#[test]
fn map_measures_every_side_and_judges_ours() {
    let out = tempfile::tempdir().unwrap();
    let (json, machine) = (out.path().join("map.jsonl"), out.path().join("machine.json"));
    let only = "u64-u64/1k,str16-u64/1k,string-string,all,copy,worst,growing,soak,drop/u64-u64/30k/fill";
    let options = ["map", "--quick", "--rounds", "1", "--sizes", "16,1k", "--only", only];
    let output = bucketmask(&[&options[..], &["--json", text(&json), "--machine", text(&machine)]].concat());
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let shown = stdout(&output);
    for part in ["Time an operation", "Single inserts", "Bytes of the table", "targets are met"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let record = Record::read(&json).unwrap();
    let value = |case: &str, metric, name| record.value("map", case, metric, name);
    for name in ["bucketmask", "bucketmask-inline", "hashbrown", "std", "griddle", "indexmap"] {
        for workload in ["hit", "miss", "insert", "insert-reserved", "churn", "iterate"] {
            for kind in ["u64-u64", "str16-u64"] {
                let time = value(&format!("{workload}/{kind}/1k"), "time", name);
                assert!(time.is_some_and(|time| (0.1..1e6).contains(&time)), "{workload} {name} {time:?}");
            }
        }
        for case in ["all", "copy/u64-u64/50k", "drop/u64-u64/30k/fill=0.01"] {
            assert!(value(case, "time", name).is_some(), "{case} {name}");
        }
        for metric in ["worst", "p9999", "p999"] {
            assert!(value("worst-insert/200k", metric, name).is_some_and(|time| time > 1.0));
        }
        // Sixteen bytes an entry, and no more than four times that.
        let bytes = value("bytes-per-entry/u64-u64/1k", "bytes_per_entry", name).unwrap();
        let peak = value("peak/u64-u64/1k", "peak_bytes_per_entry", name).unwrap();
        assert!(
            (16.0..64.0).contains(&bytes) && (bytes..4.0 * bytes).contains(&peak),
            "{bytes} {peak} {name}"
        );
        let above = value("above-minimum/string-string/20k", "above_minimum", name).unwrap();
        assert!((0.0..1.5).contains(&above), "{above} {name}");
    }
    assert!(value("hit/str16-u64/1k", "time", "bucketmask-str").is_some());
    assert!(value("get_many/u64-u64/1k", "time", "bucketmask").is_some_and(|time| time > 0.1));
    assert_eq!(
        value("get_many/u64-u64/1k", "time", "bucketmask-get"),
        value("hit/u64-u64/1k", "time", "bucketmask")
    );
    assert!(value("hit/u64-u64/16", "time", "bucketmask").is_none(), "--only leaves it out");
    assert!(value("hit-while-growing/u64-u64/50k", "time", "bucketmask-steady").is_some());
    assert!(value("soak/u64-u64/30k", "drift", "bucketmask").is_some());
    assert!(value("worst-insert/200k", "worst", "noop") < value("worst-insert/200k", "worst", "hashbrown"));
    assert!(record.ratios().iter().all(|ratio| ratio.implementation.starts_with("bucketmask")));
    assert!(fs::read_to_string(&machine).unwrap().contains("\"peers\""));
}

#[test]
fn an_octave_gives_means_and_go_is_asked_by_its_path_alone() {
    let out = tempfile::tempdir().unwrap();
    let json = out.path().join("map.jsonl");
    let map = |more: &[&str]| bucketmask(&[&["map", "--quick", "--sizes", "octave:2k"][..], more].concat());
    let only = "iterate/u64-u64/octave,bytes-per-entry/u64-u64";
    let output = map(&["--rounds", "1", "--only", only, "--json", text(&json)]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let record = Record::read(&json).unwrap();
    for (case, metric) in [
        ("iterate/u64-u64/octave", "time"),
        ("iterate/u64-u64/2.18k", "time"),
        ("bytes-per-entry/u64-u64/octave", "bytes_per_entry"),
        ("bytes-per-entry/u64-u64/octave", "swing"),
    ] {
        let value = record.value("map", case, metric, "hashbrown");
        assert!(value.is_some_and(|value| value > 0.1), "{case} {metric} {value:?}");
    }
    // A table that doubles is between fully and half as well filled.
    let swing = record.value("map", "bytes-per-entry/u64-u64/octave", "swing", "hashbrown").unwrap();
    assert!((1.6..2.3).contains(&swing), "{swing}");
    let output = map(&["--only", "iterate", "--go", "/nowhere/at/all"]);
    assert_eq!(code(&output), 1);
    assert!(stderr(&output).contains("/nowhere/at/all"), "{}", stderr(&output));
    let output = map(&["--only", "no-such-case"]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("no-such-case"), "{}", stderr(&output));
    let output = map(&["--sizes", "many"]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("octave:1M"), "{}", stderr(&output));
}

#[test]
fn unknown_workloads_and_allocators_are_named() {
    let output = bucketmask(&["alloc", "--only", "sh9"]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("sh9") && stderr(&output).contains("sh8"), "{}", stderr(&output));
    let output = bucketmask(&["frag", "--allocators", "mesh"]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("mesh") && stderr(&output).contains("jemalloc"), "{}", stderr(&output));
}

#[test]
fn numa_counts_the_frees_that_cross_fake_nodes_and_says_what_it_cannot_know() {
    let out = tempfile::tempdir().unwrap();
    let json = out.path().join("numa.jsonl");
    let run = |args: &[&str], nodes: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bucketmask"));
        command.args(["numa", "--quick", "--threads", "1"]).args(args);
        command.env("NO_COLOR", "1").env("BUCKETMASK_NODES", nodes).output().unwrap()
    };
    let output = run(&["--json", text(&json)], "3");
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(stdout(&output).contains("fake"), "{}", stdout(&output));
    let record = Record::read(&json).unwrap();
    for node in 0..3 {
        let value = |case: &str, metric| record.value("numa", case, metric, "bucketmask").unwrap();
        assert!(value(&format!("memory/node{node}"), "cross_node_frees") > 1000.0);
        let threads = format!("threads/node{node}/first");
        let differ = value(&threads, "pages_wanted") - value(&threads, "pages_unknown");
        assert!(value(&threads, "pages_wanted") > 1000.0 && differ.abs() < 0.5);
    }
    let output = run(&["--assert-local", "99"], "3");
    assert_eq!(code(&output), 1);
    assert!(stderr(&output).contains("can't be told"), "{}", stderr(&output));
}

/// A program that is to write reports to `file` when it gets the signal.
fn reporting(program: &str, args: &[&str], file: &Path) -> std::process::Child {
    Command::new(program)
        .args(args)
        .envs([("BUCKETMASK_REPORT", "SIGUSR2"), ("BUCKETMASK_REPORT_FILE", text(file))])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn top_ends_with_the_program_and_ends_none() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("report.txt");
    let mut child =
        reporting(env!("CARGO_BIN_EXE_bucketmask"), &["visibility", "--histories", "100000000"], &file);
    let pid = child.id().to_string();
    let watch = std::thread::spawn(move || bucketmask(&["top", "--pid", &pid, "--every", "50"]));
    while fs::read_to_string(&file).map_or(0, |text| text.matches("process: resident").count()) < 3 {
        assert!(!watch.is_finished(), "it watches as long as the program runs");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let output = watch.join().unwrap();
    assert_eq!(code(&output), 0, "{}", stderr(&output));

    // As its environment says it writes reports, but the signal would end it.
    let mut deaf = reporting("sleep", &["60"], &file);
    let refused = bucketmask(&["top", "--pid", &deaf.id().to_string(), "--once"]);
    let ended = deaf.try_wait().unwrap();
    deaf.kill().unwrap();
    deaf.wait().unwrap();
    assert_eq!((code(&refused), ended), (1, None), "{}", stderr(&refused));
    assert!(stderr(&refused).contains("no handler for SIGUSR2"), "{}", stderr(&refused));
}

#[test]
fn top_shows_a_running_program_once_and_as_a_picture() {
    let dir = tempfile::tempdir().unwrap();
    let (file, svg) = (dir.path().join("report.txt"), dir.path().join("pages.svg"));
    // Its handler is installed when it first allocates, for which this waits.
    let mut child =
        reporting(env!("CARGO_BIN_EXE_bucketmask"), &["visibility", "--histories", "100000000"], &file);
    let pid = child.id().to_string();
    let output = bucketmask(&["top", "--pid", &pid, "--once", "--svg", text(&svg)]);
    let picture = fs::read_to_string(&svg);
    let again = bucketmask(&["top", "--file", text(&file), "--once"]);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!((code(&output), code(&again)), (0, 0), "{}", stderr(&output));
    assert!(
        stdout(&output).contains("0 blocks ") && stdout(&output).contains("process: resident"),
        "{}",
        stdout(&output)
    );
    assert_eq!(stdout(&output), stdout(&again), "the last report of the file");
    assert!(picture.unwrap().starts_with("<svg "));

    // A process that would be ended by the signal is not sent it.
    let own = std::process::id().to_string();
    let refused = bucketmask(&["top", "--pid", &own, "--once"]);
    assert_eq!(code(&refused), 1);
    assert!(stderr(&refused).contains("was not started with BUCKETMASK_REPORT"), "{}", stderr(&refused));
}
