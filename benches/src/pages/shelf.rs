//! The records on disk, as `table` finds them: those named, then those of a folder and its folders. Owns what it read. Invariant: of
//! two records with figures of a suite, one that was named goes before, else the one whose file name is later: names are dates.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::record::Record;

/// Records, the newest first.
pub struct Shelf {
    records: Vec<(PathBuf, Record)>,
}

impl Shelf {
    /// Reads the records of a folder, if one is given, and those named.
    ///
    /// # Errors
    /// A file or folder cannot be read, or a record breaks the schema.
    pub fn open(folder: Option<&Path>, named: &[PathBuf]) -> Result<Self, Error> {
        let mut found = Vec::new();
        if let Some(folder) = folder {
            collect(folder, &mut found)?;
        }
        // Names first: a folder says only what kind of record it is.
        found.sort_by(|a, b| (b.file_name(), b).cmp(&(a.file_name(), a)));
        let read = |path: &PathBuf| Ok((path.clone(), Record::read(path)?));
        let records = named.iter().chain(&found).map(read).collect::<Result<_, Error>>()?;
        Ok(Self { records })
    }

    /// The newest record with figures of a suite.
    pub(crate) fn newest(&self, suite: &str) -> Option<&Record> {
        self.newest_at(suite).map(|(_, record)| record)
    }

    /// The same, with where it lies.
    pub(crate) fn newest_at(&self, suite: &str) -> Option<(&Path, &Record)> {
        let has = |record: &Record| record.figures().iter().any(|figure| figure.suite == suite);
        self.records.iter().find(|(_, record)| has(record)).map(|(path, record)| (path.as_path(), record))
    }
}

/// Adds the records of a folder and of those in it.
fn collect(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), Error> {
    let fail = |source| Error::Read { path: folder.into(), source };
    for entry in fs::read_dir(folder).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        let stem = path.file_stem().map(Path::new);
        let is_machine = stem.is_some_and(|stem| stem.extension().is_some_and(|end| end == "machine"));
        if path.is_dir() {
            collect(&path, found)?;
        } else if path.extension().is_some_and(|end| end == "json") && !is_machine {
            found.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Figure, Metric};

    fn write(path: &Path, suite: &str, value: f64) {
        let mut record = Record::new();
        record.add(Figure::new(suite, "case", "bucketmask", Metric::lower("time", "ns"), 1, value));
        record.write(path).unwrap();
    }

    #[test]
    fn the_newest_of_each_suite_counts_and_named_ones_before() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("alloc");
        fs::create_dir(&inner).unwrap();
        write(&dir.path().join("2026-02-01.json"), "scan", 1.0);
        write(&dir.path().join("2026-01-31.json"), "scan", 2.0);
        write(&inner.join("2026-01-30.json"), "alloc", 3.0);
        fs::write(dir.path().join("2026-03-01.machine.json"), "{}").unwrap();
        let value = |shelf: &Shelf, suite| {
            shelf.newest(suite).and_then(|record| record.value(suite, "case", "time", "bucketmask"))
        };
        let shelf = Shelf::open(Some(dir.path()), &[]).unwrap();
        assert_eq!(
            [value(&shelf, "scan"), value(&shelf, "alloc"), value(&shelf, "map")],
            [Some(1.0), Some(3.0), None]
        );
        let named = [dir.path().join("2026-01-31.json")];
        let shelf = Shelf::open(Some(dir.path()), &named).unwrap();
        assert_eq!([value(&shelf, "scan"), value(&shelf, "alloc")], [Some(2.0), Some(3.0)]);
        assert!(Shelf::open(Some(&dir.path().join("none")), &[]).is_err());
    }
}
