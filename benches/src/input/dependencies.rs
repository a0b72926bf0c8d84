//! Where the packages of the current project's dependency tree lie. Owns nothing; asks `cargo`.
//! Invariant: nothing is downloaded, and only folders that exist are named.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::{Metadata, MetadataCommand};

use crate::error::Error;
use crate::machine::TARGET;

/// The folders of all packages in the dependency tree, sorted.
///
/// `cargo metadata` is asked for this machine's part of the tree. It refuses, offline, when a package that only tests
/// need was never downloaded, as after a plain `cargo run`; then the workspace's members come from `cargo metadata` alone
/// and the rest from its lock file, as far as their sources are there.
pub(super) fn package_folders() -> Result<Vec<PathBuf>, Error> {
    if let Ok(metadata) = query(&["--offline", "--filter-platform", TARGET]) {
        return Ok(folders_of(&metadata));
    }
    let members =
        query(&["--offline", "--no-deps"]).map_err(|error| Error::Metadata(one_line(&error.to_string())))?;
    let mut folders: BTreeSet<PathBuf> = folders_of(&members).into_iter().collect();
    let lock = fs::read_to_string(members.workspace_root.join("Cargo.lock")).unwrap_or_default();
    let locked = locked_packages(&lock);
    for source in registry_sources() {
        folders.extend(locked.iter().map(|package| source.join(package)).filter(|path| path.is_dir()));
    }
    Ok(folders.into_iter().collect())
}

fn query(options: &[&str]) -> Result<Metadata, cargo_metadata::Error> {
    let options: Vec<String> = options.iter().map(ToString::to_string).collect();
    MetadataCommand::new().other_options(options).exec()
}

fn folders_of(metadata: &Metadata) -> Vec<PathBuf> {
    let folders: BTreeSet<PathBuf> = metadata
        .packages
        .iter()
        .filter_map(|package| package.manifest_path.parent())
        .map(|folder| folder.as_std_path().to_owned())
        .collect();
    folders.into_iter().collect()
}

/// `name-version` of every registry package of a lock file.
fn locked_packages(lock: &str) -> Vec<String> {
    let mut packages = Vec::new();
    let (mut name, mut version) = ("", "");
    for line in lock.lines() {
        if let Some(value) = quoted(line, "name = ") {
            name = value;
        } else if let Some(value) = quoted(line, "version = ") {
            version = value;
        } else if quoted(line, "source = ").is_some_and(|source| source.starts_with("registry+")) {
            packages.push(format!("{name}-{version}"));
        }
    }
    packages
}

fn quoted<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    line.strip_prefix(key)?.strip_prefix('"')?.strip_suffix('"')
}

/// The folders that hold the unpacked packages, one a registry.
fn registry_sources() -> Vec<PathBuf> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cargo")));
    let Some(sources) = home.map(|home| home.join("registry/src")) else { return Vec::new() };
    fs::read_dir(sources).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

fn one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lock_files_name_the_registry_packages() {
        let lock = "version = 4\n\n[[package]]\nname = \"own\"\nversion = \"0.1.0\"\n\n[[package]]\nname = \"libc\"\n\
                    version = \"0.2.9\"\nsource = \"registry+somewhere\"\nchecksum = \"00\"\n";
        assert_eq!(locked_packages(lock), ["libc-0.2.9"]);
    }

    #[test]
    fn this_projects_own_folder_is_among_them() {
        let folders = package_folders().unwrap();
        assert!(folders.iter().any(|folder| folder.ends_with("benches")), "{folders:?}");
        assert!(folders.len() > 10, "dependencies are there after a build: {folders:?}");
    }
}
