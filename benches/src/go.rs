//! Go toolchains that are there: one program of ours is built with each, on the spot, and asked line by line. The command
//! owns the programs. Invariant: the program is built from the sources in this binary, by the toolchain that was named and
//! with nothing from the network.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::dialogue::{Dialogue, fail};
use crate::error::Error;

/// The program, file by file.
const SOURCES: [(&str, &str); 7] = [
    ("go.mod", include_str!("../peers/go/go.mod")),
    ("main.go", include_str!("../peers/go/main.go")),
    ("keys.go", include_str!("../peers/go/keys.go")),
    ("table.go", include_str!("../peers/go/table.go")),
    ("worst.go", include_str!("../peers/go/worst.go")),
    ("scan.go", include_str!("../peers/go/scan.go")),
    ("programs.go", include_str!("../peers/go/programs.go")),
];

/// Where the toolchain is looked for when none is named.
const USUAL: &str = "go";

/// What all sides of Go are called, up to their version.
pub const FAMILY: &str = "go-";

/// The program of one toolchain.
#[derive(Debug)]
pub struct Toolchain {
    name: String,
    version: String,
    program: PathBuf,
    // The built program lies here.
    _folder: tempfile::TempDir,
}

/// The toolchains that were named, or the usual one; and why there is none.
///
/// # Errors
/// One that was named does not build the program, or two have one version.
pub fn toolchains(named: &[PathBuf]) -> Result<(Vec<Toolchain>, Option<String>), Error> {
    if named.is_empty() {
        return Ok(match Toolchain::build(Path::new(USUAL)) {
            Ok(toolchain) => (vec![toolchain], None),
            Err(error) => {
                (Vec::new(), Some(format!("Go is left out ({error}); --go PATH names a toolchain")))
            }
        });
    }
    let mut all: Vec<Toolchain> = Vec::new();
    for path in named {
        let toolchain = Toolchain::build(path)?;
        if all.iter().any(|other| other.name == toolchain.name) {
            return Err(fail(&path.display().to_string(), &format!("a second {}", toolchain.name)));
        }
        all.push(toolchain);
    }
    Ok((all, None))
}

impl Toolchain {
    /// Builds the program by the `go` at `path`.
    ///
    /// # Errors
    /// There is no such program, or it does not build ours.
    pub fn build(path: &Path) -> Result<Self, Error> {
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
        let version = Dialogue::start(&engine, &mut Command::new(&program))?.ask("version")?;
        Ok(Self { name: name_of(&version), version, program, _folder: folder })
    }

    /// Its name in figures: `go-1.24`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it calls itself: `go1.24.11`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Starts the program, on any number of processors.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(&self) -> Result<Dialogue, Error> {
        Dialogue::start(&self.name, &mut Command::new(&self.program))
    }

    /// Starts the program on one processor: its collector runs beside nothing.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start_alone(&self) -> Result<Dialogue, Error> {
        Dialogue::start(&self.name, Command::new(&self.program).env("GOMAXPROCS", "1"))
    }
}

/// `go-1.24` for `go1.24.11`.
fn name_of(version: &str) -> String {
    let numbers = version.trim_start_matches("go");
    let end = numbers.match_indices('.').nth(1).map_or(numbers.len(), |(place, _)| place);
    format!("{FAMILY}{}", &numbers[..end])
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn names_have_no_patch() {
        assert_eq!(name_of("go1.24.11"), "go-1.24");
        assert_eq!(name_of("go1.27"), "go-1.27");
        assert_eq!(name_of("devel"), "go-devel");
    }

    /// A toolchain that "builds" a shell script in place of the program.
    pub(crate) fn fake(program: &str) -> Result<Toolchain, Error> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("go");
        let script =
            format!("read request\n[ \"$request\" = version ] && {{ echo go1.99.1; exit; }}\n{program}");
        std::fs::write(
            &path,
            format!("#!/bin/sh\ncat >\"$3\" <<'END'\n#!/bin/sh\n{script}\nEND\nchmod +x \"$3\"\n"),
        )
        .unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        Toolchain::build(&path)
    }

    #[test]
    fn what_was_built_is_started_and_asked() {
        let toolchain = fake("echo \"$request\"; echo \"$GOMAXPROCS\"").unwrap();
        assert_eq!((toolchain.name(), toolchain.version()), ("go-1.99", "go1.99.1"));
        let alone = toolchain.start_alone().unwrap();
        assert_eq!([alone.ask("hello").unwrap(), alone.ask("more").unwrap()], ["hello", "1"]);
        let error = Toolchain::build(Path::new("/nowhere/at/all")).unwrap_err().to_string();
        assert!(error.contains("/nowhere/at/all"), "{error}");
    }
}
