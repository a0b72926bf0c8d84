//! The library under a C program that asks for everything the family promises (`family.c`), and under a shell.
//! Each part is a process of its own, once on the C library's malloc, so that the expectations stay honest, and
//! once on ours.

#![cfg(all(target_os = "linux", target_env = "gnu"))]

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// The library, beside this test's program: cargo builds it because this test could link to it.
fn library() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    let library = program.parent().unwrap().join("libbucketmask_preload.so");
    assert!(library.is_file(), "{} is missing", library.display());
    library
}

/// The C program, compiled once.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/family.c");
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let (made, program) = (folder.join(format!("family-{}", std::process::id())), folder.join("family"));
        let compiled = Command::new("cc")
            .args(["-O1", "-g", "-fno-builtin", "-pthread", "-Wall", "-Wextra", "-Werror", "-o"])
            .args([&made, &source])
            .arg("-ldl")
            .status()
            .unwrap();
        assert!(compiled.success());
        // Another run's program is replaced, not written while it runs.
        std::fs::rename(made, &program).unwrap();
        program
    })
}

/// Runs one part; on our malloc if `preloaded`.
fn run(part: &str, preloaded: bool) -> Output {
    let mut command = Command::new(program());
    command.arg(part).env_remove("LD_PRELOAD");
    if preloaded {
        command.env("LD_PRELOAD", library());
    }
    command.output().unwrap()
}

/// Both mallocs do the part, without a word.
fn both_do(part: &str) {
    for preloaded in [false, true] {
        let output = run(part, preloaded);
        let said =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && said.is_empty(),
            "preloaded: {preloaded}, {}: {said}",
            output.status
        );
    }
}

/// Our malloc ends the process with a message.
fn ours_refuses(part: &str, message: &str) {
    let output = run(part, true);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.signal(), Some(6), "{said}");
    assert!(said.starts_with("bucketmask: ") && said.contains(message), "{said}");
}

#[test]
fn every_size_is_a_block_of_its_own() {
    both_do("sizes");
}

#[test]
fn calloc_gives_zeroes_where_others_lay_before() {
    both_do("zeroed");
}

#[test]
fn realloc_keeps_what_fits() {
    both_do("resized");
}

#[test]
fn errno_says_what_failed_and_is_kept_otherwise() {
    both_do("errors");
}

#[test]
fn alignments_are_met_or_refused() {
    both_do("aligned");
}

#[test]
fn the_rest_of_the_family_is_there() {
    both_do("others");
}

#[test]
fn threads_free_each_others_blocks_and_allocate_while_they_end() {
    both_do("threads");
}

#[test]
fn children_of_a_busy_process_go_on() {
    both_do("forks");
}

#[test]
fn a_program_of_one_thread_stays_so() {
    both_do("alone");
}

#[test]
fn broken_frees_end_the_process() {
    ours_refuses("broken_twice", "double free");
    ours_refuses("broken_foreign", "not allocated");
    ours_refuses("broken_inside", "middle of a block");
}

/// What a shell and its children print, with pipes, and that the library was in each of them.
#[test]
fn a_shell_and_its_children_run_on_it() {
    let script = "printf '%s\\n' b a c | sort; expr 6 \\* 7; grep -c bucketmask_preload /proc/self/maps";
    let shell = |library: Option<PathBuf>| {
        let mut command = Command::new("sh");
        command.args(["-c", script]).env_remove("LD_PRELOAD");
        library.map(|library| command.env("LD_PRELOAD", library));
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    let (plain, ours) = (shell(None), shell(Some(library())));
    assert_eq!(plain, "a\nb\nc\n42\n0\n");
    let mappings = ours.strip_prefix("a\nb\nc\n42\n").and_then(|count| count.trim().parse().ok());
    assert!(mappings.is_some_and(|count: usize| count > 0), "{ours}");
}

/// A report of a running program, which asks through the environment.
#[test]
fn a_program_reports_at_its_exit() {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("report-{}", std::process::id()));
    let status = Command::new(program())
        .arg("sizes")
        .env("LD_PRELOAD", library())
        .env("BUCKETMASK_REPORT", "exit")
        .env("BUCKETMASK_REPORT_FILE", &file)
        .status()
        .unwrap();
    let report = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    assert!(status.success() && report.contains("at exit") && report.contains("KiB~"), "{report}");
}
