//! What a report says, in this process and, with other choices made by the environment, in child processes.

use super::forced::{parking, said, ten};
use super::gate::{Gate, Key, reported_hash};
use crate::common::MIXED;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::thread;

pub(crate) const TESTS: [(&str, fn()); 4] = [
    ("a_report_names_both_sides", a_report_names_both_sides),
    (
        "stacks_of_the_other_side_are_recorded_if_asked_for",
        stacks_of_the_other_side_are_recorded_if_asked_for,
    ),
    ("the_environment_chooses_an_abort", the_environment_chooses_an_abort),
    ("the_program_chooses_an_abort", the_program_chooses_an_abort),
];

/// What a child process is told to do.
const PART: &str = "BUCKETMASK_SHARED_MAP_PART";

/// Does what a parent test asked for, in the child.
pub(crate) fn part() {
    match std::env::var(PART).as_deref() {
        Ok("overlap") => print!("{}", overlap()),
        Ok("abort") => {
            bucketmask_map::raw::respond_with(bucketmask_map::raw::Response::Abort);
            overlap();
        }
        _ => return,
    }
    std::process::exit(0);
}

fn child(part: &str, choices: &str) -> Output {
    let program = std::env::current_exe().expect("this program has a path");
    let mut command = Command::new(program);
    command.env(PART, part).env("BUCKETMASK_DETECT", choices).stdin(Stdio::null());
    command.output().expect("it starts")
}

/// A reader with a name is parked inside, a writer comes, and this is what it says.
fn overlap() -> String {
    let (map, gate) = (ten(), Arc::new(Gate::default()));
    gate.arm();
    thread::scope(|threads| {
        let named = |name: &str| thread::Builder::new().name(name.to_owned());
        let reader = named("the reader");
        let reader = reader.spawn_scoped(threads, || look_up_slowly(&map, &gate)).expect("it starts");
        gate.await_parked();
        let writer = named("the writer").spawn_scoped(threads, || {
            // SAFETY: on purpose, the contract is broken; the detector stops this side before it touches the table.
            said(|| unsafe { map.insert(Key::new(77), 0) }).expect("it is reported")
        });
        let message = writer.expect("it starts").join().expect("the panic is caught");
        gate.open();
        reader.join().expect("the reader is left in peace");
        message
    })
}

#[inline(never)]
fn look_up_slowly(map: &super::forced::Map, gate: &Arc<Gate>) {
    // SAFETY: as above.
    assert_eq!(unsafe { map.get(&parking(3, gate)) }, Some(&3));
}

fn a_report_names_both_sides() {
    let message = overlap();
    let line = |start: &str| {
        let found = message.lines().find(|line| line.trim_start().starts_with(start));
        found.unwrap_or_else(|| panic!("no line {start} in {message}"))
    };
    assert!(message.starts_with("concurrent map read and map write (map at 0x"));
    let (this, other) = (line("this side:"), line("other side:"));
    assert!(this.contains("\"the writer\"") && this.contains("`insert` of a key"), "{this}");
    assert!(this.contains(&reported_hash(&MIXED, 77)), "{this}");
    assert!(other.contains("\"the reader\", still in `get` of a key"), "{other}");
    assert!(other.contains(&reported_hash(&MIXED, 3)), "{other}");
    line("this side's stack:");
    assert!(message.contains("shared_map::reports::overlap"), "a frame of the writer: {message}");
    assert!(line("other side's stack:").contains("not recorded; BUCKETMASK_DETECT=stacks"));
}

fn stacks_of_the_other_side_are_recorded_if_asked_for() {
    let output = child("overlap", "stacks");
    let message = String::from_utf8_lossy(&output.stdout);
    let (ours, theirs) = message.split_once("other side's stack, where it entered:").expect("it is there");
    assert!(!ours.contains("look_up_slowly") && theirs.contains("look_up_slowly"), "{message}");
    assert!(output.status.success());
}

fn is_abort(output: &Output) {
    use std::os::unix::process::ExitStatusExt;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("concurrent map read and map write (map at"), "{said}");
    assert_eq!(output.status.signal(), Some(6), "SIGABRT");
}

fn the_environment_chooses_an_abort() {
    is_abort(&child("overlap", "stacks, abort"));
}

fn the_program_chooses_an_abort() {
    is_abort(&child("abort", ""));
}
