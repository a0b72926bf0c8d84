//! Go's own map, from the toolchains that are there: a program that is built on the spot and asked line by line, so that its
//! rounds take turns with the others'. The command owns the programs. Invariant: a program that breaks off or says something
//! else is an error with its request, and none outlives its owner.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::keys::{Entry, Names, draw};
use super::side::Side;
use super::workload::{Stage, Workload};
use crate::error::Error;
use crate::sample::Samples;

/// The program, file by file.
const SOURCES: [(&str, &str); 5] = [
    ("go.mod", include_str!("../../peers/go/go.mod")),
    ("main.go", include_str!("../../peers/go/main.go")),
    ("keys.go", include_str!("../../peers/go/keys.go")),
    ("table.go", include_str!("../../peers/go/table.go")),
    ("worst.go", include_str!("../../peers/go/worst.go")),
];

/// Where the toolchain is looked for when none is named.
const USUAL: &str = "go";

/// What all sides of Go are called, up to their version.
pub(super) const FAMILY: &str = "go-";

/// The program of one toolchain, running.
#[derive(Debug)]
pub(super) struct Toolchain {
    name: String,
    version: String,
    talk: RefCell<Talk>,
}

/// Both ends of the program.
#[derive(Debug)]
struct Talk {
    child: Child,
    // None once the program is told to end.
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    // The built program lies here as long as it runs.
    _folder: tempfile::TempDir,
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
    if named.is_empty() {
        return match Toolchain::start(Path::new(USUAL)) {
            Ok(toolchain) => Ok((vec![toolchain], None)),
            Err(error) => {
                Ok((Vec::new(), Some(format!("Go's map is left out ({error}); --go PATH names a toolchain"))))
            }
        };
    }
    let mut all: Vec<Toolchain> = Vec::new();
    for path in named {
        let toolchain = Toolchain::start(path)?;
        if all.iter().any(|other| other.name == toolchain.name) {
            return Err(fail(&path.display().to_string(), &format!("a second {}", toolchain.name)));
        }
        all.push(toolchain);
    }
    Ok((all, None))
}

fn fail(engine: &str, why: &dyn std::fmt::Display) -> Error {
    Error::Child { engine: engine.into(), why: why.to_string() }
}

impl Toolchain {
    /// Builds the program by the `go` at `path` and starts it.
    fn start(path: &Path) -> Result<Self, Error> {
        let engine = path.display().to_string();
        let folder = tempfile::tempdir().map_err(|error| fail(&engine, &error))?;
        for (name, text) in SOURCES {
            crate::record::write_file(&folder.path().join(name), text)?;
        }
        let program = folder.path().join("peer");
        let built = Command::new(path)
            .args(["build", "-o"])
            .arg(&program)
            .current_dir(folder.path())
            // This toolchain and no other, and nothing from the network.
            .envs([
                ("GOTOOLCHAIN", "local"),
                ("GOWORK", "off"),
                ("GOFLAGS", "-mod=mod"),
                ("CGO_ENABLED", "0"),
            ])
            .output()
            .map_err(|error| fail(&engine, &error))?;
        if !built.status.success() {
            return Err(fail(&engine, &String::from_utf8_lossy(&built.stderr).trim()));
        }
        let mut child = Command::new(&program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| fail(&engine, &error))?;
        let requests = child.stdin.take();
        let answers =
            BufReader::new(child.stdout.take().ok_or_else(|| fail(&engine, &"no standard output"))?);
        let talk = RefCell::new(Talk { child, requests, answers, _folder: folder });
        let mut toolchain = Self { name: engine, version: String::new(), talk };
        toolchain.version = toolchain.ask("version")?;
        toolchain.name = name_of(&toolchain.version);
        let keys = format!("{} {}", Names::key(1), draw(7, 1_000_003));
        let its_keys = toolchain.ask("keys")?;
        if keys == its_keys {
            Ok(toolchain)
        } else {
            Err(fail(&toolchain.name, &format!("its keys are {its_keys}, not {keys}")))
        }
    }

    /// Its name in figures: `go-1.24`.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// What it calls itself: `go1.24.11`.
    pub(super) fn version(&self) -> &str {
        &self.version
    }

    /// One request, one answer.
    fn ask(&self, request: &str) -> Result<String, Error> {
        let mut talk = self.talk.borrow_mut();
        let broken = |error: std::io::Error| fail(&self.name, &format!("asked {request:?}: {error}"));
        if let Some(requests) = &mut talk.requests {
            writeln!(requests, "{request}").and_then(|()| requests.flush()).map_err(broken)?;
        }
        let mut answer = String::new();
        talk.answers.read_line(&mut answer).map_err(broken)?;
        if answer.is_empty() {
            return Err(fail(&self.name, &format!("it ended when asked {request:?}")));
        }
        Ok(answer.trim().to_owned())
    }

    /// One request, answered by numbers.
    fn numbers(&self, request: &str) -> Result<Vec<f64>, Error> {
        let answer = self.ask(request)?;
        let numbers: Option<Vec<f64>> = answer.split(' ').map(|word| word.parse().ok()).collect();
        numbers
            .filter(|numbers| numbers.iter().all(|number| number.is_finite()))
            .ok_or_else(|| fail(&self.name, &format!("asked {request:?}, it said {answer:?}")))
    }

    /// One request about a type of entries, answered by one number.
    fn number<E: Entry>(&self, word: &str, entries: u64, times: u64) -> Result<f64, Error> {
        let request = format!("{word} {} {entries} {times}", E::NAME);
        match self.numbers(&request)?[..] {
            [number] => Ok(number),
            _ => Err(fail(&self.name, &format!("asked {request:?}, it said several numbers"))),
        }
    }

    /// Single inserts while a map grows.
    pub(super) fn worst(&self, inserts: u64, rounds: u32) -> Result<Worst, Error> {
        match *self.numbers(&format!("worst {inserts} {rounds}"))? {
            [worst, p9999, p999, ref rounds @ ..] => {
                Ok(Worst { least: [worst, p9999, p999], worst_of_rounds: rounds.iter().copied().collect() })
            }
            _ => Err(fail(&self.name, &"too few numbers about inserts")),
        }
    }

    /// What a map of so many entries keeps from the collector, in bytes.
    pub(super) fn bytes<E: Entry>(&self, entries: u64) -> Result<f64, Error> {
        self.number::<E>("bytes", entries, 0)
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        // It ends when it hears nothing more.
        self.requests = None;
        let _ = self.child.wait();
    }
}

/// `go-1.24` for `go1.24.11`.
fn name_of(version: &str) -> String {
    let numbers = version.trim_start_matches("go");
    let end = numbers.match_indices('.').nth(1).map_or(numbers.len(), |(place, _)| place);
    format!("{FAMILY}{}", &numbers[..end])
}

/// A toolchain's map of one type of entries.
pub(super) struct Remote<'a>(pub(super) &'a Toolchain);

impl<E: Entry> Side<E> for Remote<'_> {
    fn name(&self) -> String {
        self.0.name.clone()
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
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn names_have_no_patch() {
        assert_eq!(name_of("go1.24.11"), "go-1.24");
        assert_eq!(name_of("go1.27"), "go-1.27");
        assert_eq!(name_of("devel"), "go-devel");
    }

    /// A toolchain that "builds" a shell script in place of the program.
    fn fake(program: &str) -> Result<Toolchain, Error> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("go");
        let keys = format!("{} {}", Names::key(1), draw(7, 1_000_003));
        let program = format!("read version\necho go1.99.1\nread keys\necho {keys}\n{program}");
        std::fs::write(
            &path,
            format!("#!/bin/sh\ncat >\"$3\" <<'END'\n#!/bin/sh\n{program}\nEND\nchmod +x \"$3\"\n"),
        )
        .unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        Toolchain::start(&path)
    }

    #[test]
    fn requests_are_answered_in_turn() {
        let toolchain = fake("read bytes; echo 1.5; read worst; echo 9 8 7 6 5; cat >/dev/null").unwrap();
        assert_eq!((toolchain.name(), toolchain.version()), ("go-1.99", "go1.99.1"));
        assert!((toolchain.bytes::<super::super::keys::Words>(10).unwrap() - 1.5).abs() < 1e-9);
        let worst = toolchain.worst(10, 2).unwrap();
        assert!(worst.least.iter().zip([9.0, 8.0, 7.0]).all(|(got, wanted)| (got - wanted).abs() < 1e-9));
        assert_eq!(worst.worst_of_rounds.rounds(), 2);
    }

    #[test]
    fn programs_that_break_off_or_babble_are_errors() {
        let toolchain = fake("exit 3").unwrap();
        let error = toolchain.bytes::<super::super::keys::Words>(10).unwrap_err().to_string();
        assert!(error.contains("bytes u64-u64 10"), "{error}");
        let toolchain = fake("read bytes; echo hello; cat >/dev/null").unwrap();
        let error = toolchain.bytes::<super::super::keys::Words>(10).unwrap_err().to_string();
        assert!(error.contains("hello") && error.contains("go-1.99"), "{error}");
        let error = Toolchain::start(Path::new("/nowhere/at/all")).unwrap_err().to_string();
        assert!(error.contains("/nowhere/at/all"), "{error}");
    }
}
