//! The text that a report works on: which files, how big, and what could not be read. The `report` command owns it.
//! Invariant: the texts are read once, their order is a fixed shuffle of their files' paths, and everything left out stands
//! in `problems`.

use std::fs;
use std::hash::BuildHasher;
use std::path::{Path, PathBuf};

use crate::error::Error;

mod dependencies;

/// Folders below a package that hold no source: build outputs.
const BUILD_OUTPUT: &str = "target";

/// A readable input.
#[derive(Clone, Debug, Default)]
pub struct Input {
    /// What a reader of the report is told it is.
    pub name: String,
    /// The files' texts, in the fixed shuffled order, so that any prefix is a fair sample.
    pub texts: Vec<String>,
    /// What was left out and why, one message each.
    pub problems: Vec<String>,
}

impl Input {
    /// Every text file below `folder`; entries whose names start with a dot are not looked at, links to folders are not
    /// followed. Files that cannot be read or are not UTF-8 go to `problems`.
    ///
    /// # Errors
    /// The folder is missing or no folder, or holds no readable text.
    pub fn from_folder(folder: &Path) -> Result<Self, Error> {
        if !folder.is_dir() {
            return Err(Error::MissingFolder(folder.into()));
        }
        let mut input = Self { name: folder.display().to_string(), ..Self::default() };
        let mut paths = Vec::new();
        walk(folder, &|_| true, &mut paths, &mut input.problems);
        input.take(paths);
        if input.texts.is_empty() { Err(Error::EmptyInput(folder.into())) } else { Ok(input) }
    }

    /// The Rust sources of every package that the project in the current folder depends on, as far as they lie on this
    /// machine; nothing is downloaded.
    ///
    /// # Errors
    /// `cargo` is not to be had, or the current folder is no project.
    pub fn from_dependencies() -> Result<Self, Error> {
        let folders = dependencies::package_folders()?;
        let mut input = Self {
            name: format!("Rust sources of the dependency tree ({} packages)", folders.len()),
            ..Self::default()
        };
        let mut paths = Vec::new();
        for folder in &folders {
            walk(
                folder,
                &|path| path.extension().is_some_and(|e| e == "rs"),
                &mut paths,
                &mut input.problems,
            );
        }
        input.take(paths);
        if input.texts.is_empty() {
            return Err(Error::Metadata(
                "the packages of the dependency tree hold no readable source".into(),
            ));
        }
        Ok(input)
    }

    /// Bytes of all texts.
    pub fn bytes(&self) -> u64 {
        bytes_of(&self.texts)
    }

    /// The first texts that together hold at least `bytes`; one at the least, all at the most.
    pub fn prefix(&self, bytes: u64) -> &[String] {
        let mut sum = 0;
        let full = self.texts.iter().position(|text| {
            sum += text.len() as u64;
            sum >= bytes
        });
        &self.texts[..full.map_or(self.texts.len(), |idx| idx + 1)]
    }

    /// Reads each path as text, in shuffled order: any prefix shall be a sample of the whole.
    fn take(&mut self, mut paths: Vec<PathBuf>) {
        paths.sort();
        paths.dedup();
        let hasher = foldhash::fast::FixedState::with_seed(1);
        paths.sort_by_cached_key(|path| hasher.hash_one(path.as_os_str()));
        for path in paths {
            match read_text(&path) {
                Ok(text) => self.texts.push(text),
                Err(problem) => self.problems.push(problem),
            }
        }
    }
}

/// Bytes of some texts.
pub fn bytes_of(texts: &[String]) -> u64 {
    texts.iter().map(|text| text.len() as u64).sum()
}

/// Reads one file as UTF-8 text; the error is a message naming the file.
fn read_text(path: &Path) -> Result<String, String> {
    let bytes = fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    String::from_utf8(bytes).map_err(|error| {
        format!("{} is not UTF-8 (byte {})", path.display(), error.utf8_error().valid_up_to())
    })
}

/// Collects the files below `folder` that `wanted` accepts.
fn walk(folder: &Path, wanted: &dyn Fn(&Path) -> bool, paths: &mut Vec<PathBuf>, problems: &mut Vec<String>) {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => return problems.push(format!("cannot read {}: {error}", folder.display())),
    };
    for entry in entries {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                problems.push(format!("cannot read {}: {error}", folder.display()));
                continue;
            }
        };
        let (name, path) = (entry.file_name(), entry.path());
        if name.as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            if name != BUILD_OUTPUT {
                walk(&path, wanted, paths, problems);
            }
        } else if wanted(&path) && (kind.is_file() || (kind.is_symlink() && !path.is_dir())) {
            // A dangling link gets this far on purpose: reading it fails and is reported.
            paths.push(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("sub/.hidden")).unwrap();
        fs::create_dir_all(dir.path().join("target")).unwrap();
        for (name, text) in
            [("a.txt", "alpha"), ("sub/b.txt", "be ta"), ("sub/.hidden/c", "no"), ("target/d", "no")]
        {
            fs::write(dir.path().join(name), text).unwrap();
        }
        dir
    }

    #[test]
    fn takes_what_is_readable_and_names_the_rest() {
        let dir = folder();
        fs::write(dir.path().join("latin1"), b"caf\xe9 ").unwrap();
        std::os::unix::fs::symlink("/nowhere/at/all", dir.path().join("dangling")).unwrap();
        std::os::unix::fs::symlink(dir.path(), dir.path().join("loop")).unwrap();
        let input = Input::from_folder(dir.path()).unwrap();
        let mut texts = input.texts.clone();
        texts.sort();
        assert_eq!(texts, ["alpha", "be ta"]);
        assert_eq!(input.bytes(), 10);
        assert_eq!(input.problems.len(), 2, "{:?}", input.problems);
        assert!(input.problems.iter().any(|p| p.contains("latin1 is not UTF-8 (byte 3)")));
        assert!(input.problems.iter().any(|p| p.contains("dangling")));
    }

    #[test]
    fn missing_and_empty_folders_are_errors() {
        let dir = tempfile::tempdir().unwrap();
        let missing = Input::from_folder(&dir.path().join("none")).unwrap_err();
        assert!(matches!(missing, Error::MissingFolder(_)));
        let empty = Input::from_folder(dir.path()).unwrap_err();
        assert!(matches!(empty, Error::EmptyInput(_)));
    }

    #[test]
    fn prefixes_grow_to_the_whole() {
        let dir = tempfile::tempdir().unwrap();
        for idx in 0..30 {
            fs::write(dir.path().join(format!("f{idx:02}")), format!("{idx:0100}")).unwrap();
        }
        let input = Input::from_folder(dir.path()).unwrap();
        assert_eq!(input.prefix(0).len(), 1);
        assert_eq!(input.prefix(1000).len(), 10);
        assert_eq!(input.prefix(u64::MAX).len(), 30);
        // The order is a shuffle, yet the same every time.
        assert_eq!(input.texts, Input::from_folder(dir.path()).unwrap().texts);
        let mut sorted = input.texts.clone();
        sorted.sort();
        assert_ne!(input.texts, sorted);
    }
}
