//! Go's own map, from the toolchains that are there: the program of `go.rs`, running, so that its rounds take turns with
//! the others'. The command owns the programs. Invariant: the program makes the very keys that the others have.

use std::path::PathBuf;

use super::keys::{Entry, Names, draw};
use super::side::Side;
use super::workload::{Stage, Workload};
use crate::dialogue::{Dialogue, fail};
use crate::error::Error;
pub(super) use crate::go::FAMILY;
use crate::sample::Samples;

/// The program of one toolchain, running.
#[derive(Debug)]
pub(super) struct Toolchain {
    program: crate::go::Toolchain,
    talk: Dialogue,
}

/// The times of single inserts, in nanoseconds.
pub(super) struct Worst {
    /// Of each insert's least: the greatest, and what 99.99 and 99.9 of a hundred do not exceed.
    pub(super) least: [f64; 3],
    /// The greatest of each round.
    pub(super) worst_of_rounds: Samples,
}

/// The toolchains that were named, or the usual one; and what is to be said where there is none.
pub(super) fn toolchains(named: &[PathBuf]) -> Result<(Vec<Toolchain>, Option<String>), Error> {
    let (programs, note) = crate::go::toolchains(named)?;
    let running = programs.into_iter().map(Toolchain::start).collect::<Result<Vec<_>, Error>>()?;
    Ok((running, note))
}

impl Toolchain {
    fn start(program: crate::go::Toolchain) -> Result<Self, Error> {
        let talk = program.start()?;
        let keys = format!("{} {}", Names::key(1), draw(7, 1_000_003));
        let its_keys = talk.ask("keys")?;
        if keys == its_keys {
            Ok(Self { program, talk })
        } else {
            Err(fail(program.name(), &format!("its keys are {its_keys}, not {keys}")))
        }
    }

    /// Its name in figures: `go-1.24`.
    pub(super) fn name(&self) -> &str {
        self.program.name()
    }

    /// What it calls itself: `go1.24.11`.
    pub(super) fn version(&self) -> &str {
        self.program.version()
    }

    /// One request about a type of entries, answered by one number.
    fn number<E: Entry>(&self, word: &str, entries: u64, times: u64) -> Result<f64, Error> {
        self.talk.exactly(&format!("{word} {} {entries} {times}", E::NAME)).map(|[number]| number)
    }

    /// Single inserts while a map grows.
    pub(super) fn worst(&self, inserts: u64, rounds: u32) -> Result<Worst, Error> {
        match *self.talk.numbers(&format!("worst {inserts} {rounds}"))? {
            [worst, p9999, p999, ref rounds @ ..] => {
                Ok(Worst { least: [worst, p9999, p999], worst_of_rounds: rounds.iter().copied().collect() })
            }
            _ => Err(fail(self.name(), &"too few numbers about inserts")),
        }
    }

    /// What a map of so many entries keeps from the collector, in bytes.
    pub(super) fn bytes<E: Entry>(&self, entries: u64) -> Result<f64, Error> {
        self.number::<E>("bytes", entries, 0)
    }
}

/// A toolchain's map of one type of entries.
pub(super) struct Remote<'a>(pub(super) &'a Toolchain);

impl<E: Entry> Side<E> for Remote<'_> {
    fn name(&self) -> String {
        self.0.name().to_owned()
    }

    fn fill(&mut self, entries: u64) -> Result<(), Error> {
        self.0.number::<E>("fill", entries, 0).map(drop)
    }

    fn sample(&mut self, workload: Workload, stage: &Stage<E>) -> Result<Option<f64>, Error> {
        if workload == Workload::GetMany {
            return Ok(None);
        }
        let times = Stage::<E>::churns(stage.entries);
        self.0.number::<E>(workload.name(), stage.entries, times).map(Some)
    }

    fn empty(&mut self) -> Result<(), Error> {
        self.0.number::<E>("empty", 0, 0).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::super::keys::Words;
    use super::*;

    /// A toolchain that "builds" a shell script in place of the program.
    fn fake(keys: &str, program: &str) -> Result<Toolchain, Error> {
        Toolchain::start(crate::go::tests::fake(&format!("echo {keys}\n{program}")).unwrap())
    }

    fn keys() -> String {
        format!("{} {}", Names::key(1), draw(7, 1_000_003))
    }

    #[test]
    fn requests_are_answered_in_turn() {
        let toolchain =
            fake(&keys(), "read bytes; echo 1.5; read worst; echo 9 8 7 6 5; cat >/dev/null").unwrap();
        assert_eq!((toolchain.name(), toolchain.version()), ("go-1.99", "go1.99.1"));
        assert!((toolchain.bytes::<Words>(10).unwrap() - 1.5).abs() < 1e-9);
        let worst = toolchain.worst(10, 2).unwrap();
        assert!(worst.least.iter().zip([9.0, 8.0, 7.0]).all(|(got, wanted)| (got - wanted).abs() < 1e-9));
        assert_eq!(worst.worst_of_rounds.rounds(), 2);
    }

    #[test]
    fn other_keys_and_programs_that_break_off_are_errors() {
        let error = fake("other keys", "").unwrap_err().to_string();
        assert!(error.contains("other keys") && error.contains("go-1.99"), "{error}");
        let toolchain = fake(&keys(), "exit 3").unwrap();
        let error = toolchain.bytes::<Words>(10).unwrap_err().to_string();
        assert!(error.contains("bytes u64-u64 10"), "{error}");
    }
}
