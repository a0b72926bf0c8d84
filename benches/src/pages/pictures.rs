//! The pictures that pages show, as files of a folder. Owns neither. Invariant: a picture follows from the records alone, and
//! one that a page shows is written or checked, or the command fails.

use std::fs;
use std::path::Path;

use super::shelf::Shelf;
use crate::error::Error;
use crate::picture::recorded;
use crate::record::write_file;

const END: &str = ".svg";

/// Writes the records' pictures that pages show out of a folder, or checks them; all that the records give, where the pages show none
/// of that folder's.
pub(super) fn deliver(
    folder: &Path,
    pages: &[(&Path, String)],
    shelf: &Shelf,
    check: bool,
) -> Result<(), Error> {
    let given = recorded::all(shelf);
    let shown: Vec<(&Path, &str)> =
        pages.iter().flat_map(|(path, page)| shown(page, folder).map(|name| (*path, name))).collect();
    if let Some((page, name)) =
        shown.iter().find(|(_, name)| given.iter().all(|picture| picture.name != *name))
    {
        return Err(Error::NoSuchPicture { page: page.into(), name: (*name).to_owned() });
    }
    let is_wanted = |name: &str| shown.is_empty() || shown.iter().any(|shown| shown.1 == name);
    for picture in given.iter().filter(|picture| is_wanted(picture.name)) {
        let path = folder.join(picture.name).with_extension("svg");
        if !check {
            fs::create_dir_all(folder).map_err(|source| Error::Write { path: folder.into(), source })?;
            write_file(&path, &picture.file())?;
            continue;
        }
        let there = fs::read_to_string(&path).map_err(|source| Error::Read { path: path.clone(), source })?;
        if there != picture.file() {
            return Err(Error::StaleTable(path));
        }
    }
    Ok(())
}

/// The names of pictures of a folder that a page shows, whatever stands before the folder's own name.
fn shown<'p>(page: &'p str, folder: &Path) -> impl Iterator<Item = &'p str> {
    let start = format!("{}/", folder.file_name().unwrap_or_default().to_string_lossy());
    let parts: Vec<&str> = page.split(&start).skip(1).collect();
    let is_part = |letter: char| letter.is_alphanumeric() || letter == '-';
    parts.into_iter().filter_map(move |part| {
        let (name, rest) = part.split_at(part.find(|letter| !is_part(letter))?);
        rest.starts_with(END).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_pages_show_of_a_folder_is_found() {
        let page = "![a](docs/pictures/scan.svg) pictures/none <img src=\"../pictures/shared-reads.svg\"> other/x.svg";
        let of = |folder: &str| shown(page, Path::new(folder)).collect::<Vec<_>>();
        assert_eq!(of("docs/pictures"), ["scan", "shared-reads"]);
        assert_eq!((of("pictures/"), of("/a/other")), (vec!["scan", "shared-reads"], vec!["x"]));
        assert!(of("nowhere").is_empty());
    }
}
