//! Pages of the project against the project: what a page says of the code stands in the code, and what it shows is there.
//! Invariant: nothing here writes to the project.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the project").into()
}

/// The cells of the rows of a page's tables that begin with a word of code, without its marks.
fn rows(page: &str) -> impl Iterator<Item = Vec<&str>> {
    page.lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.trim_matches('|').split(" | ").map(|cell| cell.trim().trim_matches('`')).collect())
}

/// Whether a source file gives a constant this value.
fn says(source: &str, name: &str, value: &str) -> bool {
    let is_it = |line: &str| {
        let (head, given) = line.trim().split_once(" = ")?;
        let declared = head.rsplit_once("const ")?.1.split_once(':')?.0;
        let given = given.strip_suffix(';')?.replace('_', "");
        Some(declared == name && given == value.replace('_', ""))
    };
    source.lines().any(|line| is_it(line) == Some(true))
}

#[test]
fn constants_of_the_scaling_model_are_the_codes() {
    let page = fs::read_to_string(root().join("docs/scaling.md")).unwrap();
    let (_, table) = page.split_once("## Constants the model stands on").unwrap();
    let (table, _) = table.split_once("\n## ").unwrap();
    let mut seen = 0;
    for row in rows(table) {
        let [name, file, value, _] = row[..] else { panic!("{row:?}") };
        let source = fs::read_to_string(root().join(file)).unwrap();
        assert!(says(&source, name, value), "{file}: {name} is not {value}");
        assert!(!says(&source, name, &format!("{value}0")), "the test takes any value");
        seen += 1;
    }
    assert!(seen > 15, "only {seen} rows were read");
}

#[test]
fn files_and_cases_that_the_scaling_page_names_are_there() {
    let page = fs::read_to_string(root().join("docs/scaling.md")).unwrap();
    let words: Vec<&str> = page.split('`').skip(1).step_by(2).collect();
    let folders = ["", "alloc/src", "alloc/src/heap", "map/src", "map/src/concurrent", "gc/src"];
    let is_file = |word: &str| folders.iter().any(|folder| root().join(folder).join(word).is_file());
    let is_path = |word: &&&str| Path::new(word).extension().is_some_and(|end| end == "rs" || end == "sh");
    let files: Vec<_> = words.iter().filter(is_path).collect();
    assert!(files.len() > 20, "{files:?}");
    for file in files {
        assert!(is_file(file), "there is no {file}");
    }
    let costs =
        ["docs/alloc.md", "docs/concurrent.md"].map(|page| fs::read_to_string(root().join(page)).unwrap());
    for case in [
        "sharing/one",
        "sharing/distant",
        "rapid-grow/empty/threads=2",
        "get/65536",
        "path",
        "guard",
        "larson",
        "xmalloc",
        "rptest",
        "sh8",
        "mstress",
        "glibc/thread",
        "cache-scratch",
        "cache-thrash",
    ] {
        assert!(words.contains(&case), "the page does not name {case}");
        assert!(costs.iter().any(|page| page.contains(&format!("| `{case}"))), "no table has {case}");
    }
}

#[test]
fn the_readmes_pictures_are_there_and_small() {
    const MOST: u64 = 40 << 10;
    let page = fs::read_to_string(root().join("README.md")).unwrap();
    let pictures: Vec<&str> =
        page.split("](").skip(1).filter_map(|link| link.split_once(".svg)")).map(|link| link.0).collect();
    assert!(!pictures.is_empty());
    for picture in pictures {
        let file = fs::metadata(root().join(picture).with_extension("svg")).unwrap();
        assert!(file.len() < MOST, "{picture} has {} bytes", file.len());
    }
}
