//! The command `table`: the newest records as tables between the markers of pages. Owns neither. Invariant: what stands
//! between `<!-- figures: NAME -->` and `<!-- /figures -->` follows from the records alone, so that `--check` can tell a
//! stale page; and so do the pictures that they show.

use std::fs;
use std::path::Path;

use crate::cli::TableArgs;
use crate::error::{Error, Outcome};
use crate::machine::TARGET;
use crate::record::write_file;

mod alloc;
mod cell;
mod concurrent;
mod even;
mod frag;
mod gc;
mod map;
mod pictures;
mod scaling;
mod scan;
pub(crate) mod shelf;

use shelf::Shelf;

const START: &str = "<!-- figures: ";
const START_END: &str = " -->";
const END: &str = "<!-- /figures -->";

/// Where records lie, below the root of the project.
pub(crate) const RECORDS: &str = "benches/records";

/// Writes the tables of all pages, or checks them.
///
/// # Errors
/// A file cannot be read or written, a record is faulty or there is none, a page has no markers or names no table or no
/// picture, or `--check` finds one stale.
pub fn run(args: &TableArgs) -> Result<Outcome, Error> {
    let usual = Path::new(RECORDS).join(TARGET);
    let folder = args.records.as_deref().or_else(|| args.record.is_empty().then_some(usual.as_path()));
    let shelf = Shelf::open(folder, &args.record)?;
    let mut texts = Vec::new();
    for path in &args.pages {
        let page = fs::read_to_string(path).map_err(|source| Error::Read { path: path.clone(), source })?;
        let renewed = renew(&page, path, &mut |name| table(name, &shelf, path))?;
        if renewed != page {
            if args.check {
                return Err(Error::StaleTable(path.clone()));
            }
            write_file(path, &renewed)?;
        }
        texts.push((path.as_path(), renewed));
    }
    if let Some(folder) = &args.pictures {
        pictures::deliver(folder, &texts, &shelf, args.check)?;
    }
    Ok(Outcome::default())
}

/// The table of a name, from the newest record that has its figures.
fn table(name: &str, shelf: &Shelf, page: &Path) -> Result<String, Error> {
    let make = match name {
        "scan" => scan::table,
        "alloc" => alloc::table,
        "frag" => frag::table,
        "concurrent" => concurrent::table,
        "concurrent-scaling" => scaling::table,
        "concurrent-even" => even::table,
        "gc" => gc::table,
        "map" => map::times,
        "map-targets" => map::targets,
        _ => return Err(Error::NoSuchTable { page: page.into(), name: name.into() }),
    };
    let suite = name.split('-').next().unwrap_or(name);
    shelf.newest(suite).map(make).ok_or_else(|| Error::NoRecord { suite: suite.into() })
}

/// The page with what `table` gives between its markers.
fn renew(
    page: &str,
    path: &Path,
    table: &mut impl FnMut(&str) -> Result<String, Error>,
) -> Result<String, Error> {
    let none = || Error::NoMarkers(path.into());
    let mut text = String::with_capacity(page.len());
    let mut rest = page;
    while let Some(start) = rest.find(START) {
        let name = start + START.len();
        let name_end = name + rest[name..].find(START_END).ok_or_else(none)?;
        let body = name_end + START_END.len();
        let end = body + rest[body..].find(END).ok_or_else(none)?;
        text += &rest[..body];
        text += "\n";
        text += &table(&rest[name..name_end])?;
        text += END;
        rest = &rest[end + END.len()..];
    }
    if text.is_empty() { Err(none()) } else { Ok(text + rest) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(page: &str) -> Result<String, Error> {
        renew(page, Path::new("A.md"), &mut |name| Ok(format!("| {name} |\n")))
    }

    #[test]
    fn renewing_changes_only_what_is_between_the_markers() {
        let page = format!("# A\n{START}one -->\nold\n{END}\nmiddle {START}two -->{END} end\n");
        let renewed = named(&page).unwrap();
        let expected =
            format!("# A\n{START}one -->\n| one |\n{END}\nmiddle {START}two -->\n| two |\n{END} end\n");
        assert_eq!(renewed, expected);
        assert_eq!(named(&renewed).unwrap(), renewed);
    }

    #[test]
    fn pages_without_whole_markers_are_errors() {
        for page in ["no markers", "<!-- figures: one", "<!-- figures: one --> open", "<!-- /figures -->"] {
            assert!(matches!(named(page), Err(Error::NoMarkers(_))), "{page}");
        }
    }
}
