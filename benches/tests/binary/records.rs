//! What is made of records: tables and pictures on pages, and what changed between two. Owned by `binary.rs`.
//! Invariant: a record that is not whole, or no record, is told and changes no page.

use super::{bucketmask, code, stderr, stdout, text};
use bucketmask_bench::record::{Figure, Metric, Record};
use std::fs;
use std::path::Path;

#[test]
fn scan_records_feed_the_readme_and_a_changed_readme_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let (json, machine) = (dir.path().join("scan.jsonl"), dir.path().join("machine.json"));
    let output =
        bucketmask(&["scan", "--quick", "--rounds", "1", "--json", text(&json), "--machine", text(&machine)]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(fs::read_to_string(&machine).unwrap().contains("\"rustc\""));
    let record = Record::read(&json).unwrap();
    for case in ["gcmap/200k/keep=1/uniform", "gcmap/20k/keep=10/clustered"] {
        for implementation in
            ["bucketmask", "bucketmask-flat", "gc-arena+hashbrown", "bound-stream", "bound-lines"]
        {
            let value = record.value("scan", case, "time_per_live", implementation);
            assert!(value.is_some_and(|value| value > 0.0), "{case} {implementation}");
        }
        assert!(record.value("scan", case, "bandwidth", "bound-stream").is_some_and(|value| value > 0.1));
    }

    let readme = dir.path().join("README.md");
    fs::write(&readme, "# A\n<!-- figures: scan -->\n<!-- /figures -->\n").unwrap();
    let table = |more: &[&str]| {
        let mut args = vec!["table", "--record", text(&json), text(&readme)];
        args.extend(more);
        bucketmask(&args)
    };
    assert_eq!(code(&table(&["--check"])), 1, "an empty table is stale");
    assert_eq!(code(&table(&[])), 0);
    assert_eq!(code(&table(&["--check"])), 0);
    let page = fs::read_to_string(&readme).unwrap();
    assert!(page.contains("| `gcmap/200k/keep=1/uniform` |"), "{page}");
    fs::write(
        &readme,
        page.replacen("| `gcmap/200k/keep=1/uniform` | ", "| `gcmap/200k/keep=1/uniform` | 1", 1),
    )
    .unwrap();
    let output = table(&["--check"]);
    assert_eq!(code(&output), 1);
    assert!(stderr(&output).contains("README.md"), "{}", stderr(&output));
}

/// Records with two figures of a scan, and of a map that two threads read.
fn few_records(path: &Path) {
    let mut record = Record::new();
    let time = |name, unit| Metric::lower(name, unit);
    for (keep, value) in [(1, 8.5), (100, 2.25)] {
        let case = format!("gcmap/2M/keep={keep}/uniform");
        record.add(Figure::new("scan", &case, "bucketmask", time("time_per_live", "ns"), 1, value));
    }
    record.add(Figure::new("concurrent", "get/65536/threads=2", "bucketmask", time("time", "ns"), 1, 4.0));
    record.write(path).unwrap();
}

#[test]
fn pictures_that_pages_show_are_written_and_checked() {
    let dir = tempfile::tempdir().unwrap();
    let (records, readme) = (dir.path().join("2026-01-31.json"), dir.path().join("README.md"));
    let folder = dir.path().join("pictures");
    few_records(&records);
    let marked = "<!-- figures: scan -->\n<!-- /figures -->\n";
    let table = |folder: &Path, more: &[&str]| {
        let mut args = vec!["table", "--record", text(&records), "--pictures", text(folder), text(&readme)];
        args.extend(more);
        bucketmask(&args)
    };
    let names = |folder: &Path| -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };

    fs::write(&readme, format!("{marked}![](pictures/scan.svg)")).unwrap();
    assert_eq!(code(&table(&folder, &[])), 0);
    assert_eq!(names(&folder), ["scan.svg"], "only what the page shows");
    assert_eq!(code(&table(&folder, &["--check"])), 0);
    let file = folder.join("scan.svg");
    let picture = fs::read_to_string(&file).unwrap();
    assert!(picture.contains("record of 2026-01-31") && picture.contains(">ns a live entry<"), "{picture}");
    fs::write(&file, picture.replacen('8', "9", 1)).unwrap();
    let output = table(&folder, &["--check"]);
    assert_eq!(code(&output), 1, "a changed picture is stale");
    assert!(stderr(&output).contains("scan.svg"), "{}", stderr(&output));
    assert_eq!(code(&table(&folder, &[])), 0);
    assert_eq!(fs::read_to_string(&file).unwrap(), picture, "written anew");
    fs::remove_file(&file).unwrap();
    assert_eq!(code(&table(&folder, &["--check"])), 2, "a picture that is not there");

    // A page that shows none gets all; one that shows what the records lack is refused.
    let all = dir.path().join("all");
    assert_eq!(code(&table(&all, &[])), 0);
    assert_eq!(names(&all), ["scan.svg", "shared-reads.svg"]);
    fs::write(&readme, format!("{marked}![](pictures/peak.svg)")).unwrap();
    let output = table(&folder, &[]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("peak"), "{}", stderr(&output));
}

#[test]
fn a_faulty_record_is_no_table() {
    let dir = tempfile::tempdir().unwrap();
    let readme = dir.path().join("README.md");
    fs::write(&readme, "<!-- figures: scan --><!-- /figures -->").unwrap();
    let bad = dir.path().join("bad.json");
    fs::write(&bad, "{\"suite\":\"scan\"}\n").unwrap();
    for (record, why) in [(text(&bad), "line 1"), ("/nowhere/at/all", "cannot read")] {
        let output = bucketmask(&["table", "--record", record, text(&readme)]);
        assert_eq!(code(&output), 2);
        assert!(stderr(&output).contains(why), "{}", stderr(&output));
    }
}

#[test]
fn compare_names_what_got_worse() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, pair: f64, batch: f64| {
        let path = dir.path().join(name);
        let row = |case: &str, implementation: &str, value: f64| {
            format!(
                "{{\"suite\":\"alloc\",\"case\":\"{case}\",\"impl\":\"{implementation}\",\"metric\":\"time\",\"value\":{value},\
                 \"unit\":\"ns\",\"better\":\"lower\",\"n\":1,\"rounds\":7,\"spread\":0.01}}\n"
            )
        };
        let ours = row("pair", "bucketmask", pair) + &row("batch", "bucketmask", batch);
        let peers: String =
            (0..4).map(|idx| row(&format!("case{idx}"), "mimalloc", 5.0 + f64::from(idx))).collect();
        fs::write(&path, ours + &peers).unwrap();
        path
    };
    let (before, after) = (file("before.json", 10.0, 20.0), file("after.json", 10.02, 23.0));
    let json = dir.path().join("compared.json");
    let compare = |before: &Path, after: &Path, more: &[&str]| {
        bucketmask(&[&["compare", text(before), text(after)], more].concat())
    };
    let output = compare(&before, &after, &["--json", text(&json)]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(
        stdout(&output).contains("alloc/batch time") && !stdout(&output).contains("alloc/pair"),
        "{}",
        stdout(&output)
    );
    assert!(stdout(&output).contains("1 worse"), "{}", stdout(&output));
    assert_eq!(Record::read(&json).unwrap().ratios().len(), 6);
    let output = compare(&before, &after, &["--fail-over", "5%"]);
    assert_eq!(code(&output), 1);
    assert!(
        stderr(&output).contains("alloc/batch") && !stderr(&output).contains("alloc/pair"),
        "{}",
        stderr(&output)
    );
    assert_eq!(code(&compare(&before, &after, &["--fail-over", "20"])), 0);
    assert_eq!(code(&compare(&after, &before, &["--fail-over", "0"])), 0, "better is not worse");
    let output = compare(&before, Path::new("/nowhere/at/all"), &[]);
    assert_eq!(code(&output), 2);
    let other = dir.path().join("other.json");
    fs::write(&other, fs::read_to_string(&before).unwrap().replace("\"alloc\"", "\"frag\"")).unwrap();
    let output = compare(&before, &other, &[]);
    assert_eq!(code(&output), 1);
    assert!(stderr(&output).contains("no figure in common"), "{}", stderr(&output));
}
