//! What several tests share: seeded randomness, and running a part of a test as a child process.
#![allow(dead_code, reason = "each test uses a part")]

use std::path::Path;
use std::process::{Command, Output};

use libtest_mimic::{Arguments, Trial};
use parking_lot::{Condvar, Mutex};

/// `SplitMix64` (Steele, Lea, Flood 2014): the same numbers on every machine.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }
}

/// Where threads wait for each other. Built of locks that a race detector sees through, which the
/// standard library's own barrier is not.
#[derive(Default)]
pub(crate) struct Meeting {
    /// Threads that wait, and meetings that were held.
    state: Mutex<(usize, usize)>,
    held: Condvar,
}

impl Meeting {
    /// Waits until `threads` threads wait here; true for the last to come.
    pub(crate) fn wait(&self, threads: usize) -> bool {
        let mut state = self.state.lock();
        state.0 += 1;
        if state.0 == threads {
            *state = (0, state.1 + 1);
            self.held.notify_all();
            return true;
        }
        let meeting = state.1;
        self.held.wait_while(&mut state, |state| state.1 == meeting);
        false
    }
}

/// The main function of a test that brings its own harness: runs the tests named.
pub(crate) fn run(tests: &[(&'static str, fn())]) {
    let trial = |&(name, test): &(&'static str, fn())| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
    };
    libtest_mimic::run(&Arguments::from_args(), tests.iter().map(trial).collect()).exit();
}

/// The variable that tells a test that it is the child.
const PART: &str = "BUCKETMASK_TEST_PART";

/// Which part this process is to run, if it is a child.
pub(crate) fn part() -> Option<String> {
    std::env::var(PART).ok()
}

/// Runs the test `name` of this very binary in a child process, as `part`.
pub(crate) fn child(name: &str, part: &str) -> Output {
    child_with(name, part, &[])
}

/// As [`child`], with more environment variables.
pub(crate) fn child_with(name: &str, part: &str, variables: &[(&str, &str)]) -> Output {
    child_of(&std::env::current_exe().unwrap(), name, part, variables)
}

/// As [`child_with`], of a copy of this binary.
pub(crate) fn child_of(program: &Path, name: &str, part: &str, variables: &[(&str, &str)]) -> Output {
    Command::new(program)
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(PART, part)
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}
