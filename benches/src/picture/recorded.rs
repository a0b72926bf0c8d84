//! The pictures that records give: a scan against occupancy, bytes an entry over an octave, maps that threads share. Pure functions over the
//! newest records. Invariant: a picture shows every side that its record has, and says where and when it was measured.

use std::path::Path;

use super::{Axis, Body, Line, Picture, Plot};
use crate::machine::Machine;
use crate::pages::shelf::Shelf;
use crate::record::{Figure, OURS, Record};
use crate::{concurrent, map, scan};

/// Draws what a suite's record has.
type Maker = fn(&Record) -> Vec<Picture>;

/// All pictures whose figures are there.
pub fn all(shelf: &Shelf) -> Vec<Picture> {
    let makers: [(&str, Maker); 3] = [(scan::SUITE, scans), (map::SUITE, maps), (concurrent::SUITE, shared)];
    let mut pictures = Vec::new();
    for (suite, make) in makers {
        let Some((path, record)) = shelf.newest_at(suite) else { continue };
        let made = make(record).into_iter().filter(|picture| !picture.is_empty());
        pictures.extend(made.map(|picture| Picture { source: source(path), ..picture }));
    }
    pictures
}

/// When and where a record was made: its name is a date, and the facts lie beside it.
fn source(path: &Path) -> String {
    let date = path.file_stem().unwrap_or_default().to_string_lossy();
    let Some(machine) = Machine::read(&path.with_extension("machine.json")) else {
        return format!("record of {date}");
    };
    let Machine { processor, processors, commit, .. } = machine;
    let commit = if commit.is_empty() { commit } else { format!(", commit {commit}") };
    format!("record of {date}, {processor}, {processors} processors{commit}")
}

/// A figure's sides, ours first, in the order met.
fn sides(record: &Record, wanted: impl Fn(&Figure) -> bool) -> Vec<&str> {
    let mut names = vec![OURS];
    for figure in record.figures().iter().filter(|figure| wanted(figure)) {
        if !names.contains(&figure.implementation.as_str()) {
            names.push(&figure.implementation);
        }
    }
    names
}

/// One of several versions of a program: only the newest is drawn.
fn is_older(name: &str, names: &[&str]) -> bool {
    let version = |name: &str| -> Option<Vec<u32>> {
        name.strip_prefix(crate::go::FAMILY)?.split('.').map(|part| part.parse().ok()).collect()
    };
    version(name).is_some_and(|own| names.iter().filter_map(|other| version(other)).any(|other| other > own))
}

/// A line a side: `place` gives a figure's x, and its y where that is not its value.
fn lines(
    record: &Record,
    place: impl Fn(&Figure) -> Option<(f64, f64)>,
    is_bound: impl Fn(&str) -> bool,
) -> Vec<Line> {
    let names = sides(record, |figure| place(figure).is_some());
    let line = |name: &str| {
        let own = record.figures().iter().filter(|figure| figure.implementation == name);
        let mut points: Vec<(f64, f64)> = own.filter_map(&place).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        Line { name: name.to_owned(), points, dashed: is_bound(name) }
    };
    names.iter().filter(|name| !is_older(name, &names)).map(|name| line(name)).collect()
}

fn scans(record: &Record) -> Vec<Picture> {
    let keep = |figure: &Figure| {
        let percent = figure.case.strip_prefix("gcmap/2M/keep=")?.strip_suffix("/uniform")?;
        Some((percent.parse().ok()?, figure.value)).filter(|_| figure.metric == scan::TIME_PER_LIVE.name)
    };
    let lines = lines(record, keep, |name| name.starts_with("bound-"));
    vec![Picture {
        name: "scan",
        title: "What it costs to collect one map of 2 M pointers, as deletes empty it".into(),
        command: "bucketmask scan".into(),
        source: String::new(),
        body: Body::Lines(Plot { x: Axis::log("entries kept (%)"), y: Axis::log("ns a live entry"), lines }),
    }]
}

fn maps(record: &Record) -> Vec<Picture> {
    let of = |name, title: &str, first: &'static str, metric: &'static str| {
        let size = move |figure: &Figure| {
            let size = figure.case.strip_prefix(first)?.strip_prefix("/u64-u64/")?;
            let at = figure.metric == metric && map::is_size_of_octave(size);
            Some((figure.n as f64, figure.value)).filter(|_| at)
        };
        Picture {
            name,
            title: title.into(),
            command: format!("bucketmask map --only {first}"),
            source: String::new(),
            body: Body::Lines(Plot {
                x: Axis::log("entries"),
                y: Axis::linear("bytes an entry"),
                lines: lines(record, size, |_| false),
            }),
        }
    };
    vec![
        of(
            "bytes",
            "Bytes of a map of u64 to u64 by entry, over an octave",
            "bytes-per-entry",
            "bytes_per_entry",
        ),
        of("peak", "The most bytes that such a map had on the way there", "peak", "peak_bytes_per_entry"),
    ]
}

fn shared(record: &Record) -> Vec<Picture> {
    let of = |name, title: &str, first: &'static str| {
        let threads = move |figure: &Figure| {
            let threads: f64 = figure.case.strip_prefix(first)?.strip_prefix("/threads=")?.parse().ok()?;
            // One operation takes all threads together so long.
            Some((threads, 1e3 / figure.value)).filter(|_| figure.metric == "time" && figure.value > 0.0)
        };
        Picture {
            name,
            title: title.into(),
            command: format!("bucketmask concurrent --only {first}"),
            source: String::new(),
            body: Body::Lines(Plot {
                x: Axis::whole("threads"),
                y: Axis::linear("M operations/s"),
                lines: lines(record, threads, |_| false),
            }),
        }
    };
    vec![
        of("shared-reads", "Reads of a shared map of 65 536 entries, all threads together", "get/65536"),
        of(
            "shared-mix",
            "Reads of a shared map beside two writes in a hundred operations, all threads together",
            "read-heavy/presized",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Metric;

    fn record(rows: &[(&str, &str, &str, &str, u64, f64)]) -> Record {
        let mut record = Record::new();
        for &(suite, case, name, metric, n, value) in rows {
            let metric =
                Metric { name: Box::leak(metric.to_owned().into_boxed_str()), ..Metric::lower("", "1") };
            record.add(Figure::new(suite, case, name, metric, n, value));
        }
        record
    }

    fn plot(picture: &Picture) -> &Plot {
        match &picture.body {
            Body::Lines(plot) => plot,
            Body::Bars(_) | Body::Cells(_) => panic!("{picture:?}"),
        }
    }

    #[test]
    fn a_scan_is_drawn_against_occupancy_beside_the_newest_of_each_peer() {
        let mut rows = Vec::new();
        for name in [OURS, "go-1.9", "go-1.27", "go-1.23", "bound-lines"] {
            rows.extend([(100, 4.0), (1, 12.0)].map(|(keep, value)| (keep, name, value)));
        }
        let cases: Vec<String> =
            rows.iter().map(|(keep, ..)| format!("gcmap/2M/keep={keep}/uniform")).collect();
        let rows: Vec<_> = rows
            .iter()
            .zip(&cases)
            .map(|(&(_, name, value), case)| ("scan", case.as_str(), name, "time_per_live", 1, value))
            .collect();
        let pictures = scans(&record(&rows));
        let lines = &plot(&pictures[0]).lines;
        let seen: Vec<(&str, bool)> = lines.iter().map(|line| (line.name.as_str(), line.dashed)).collect();
        assert_eq!(seen, [(OURS, false), ("go-1.27", false), ("bound-lines", true)]);
        assert_eq!(lines[0].points, [(1.0, 12.0), (100.0, 4.0)]);
    }

    #[test]
    fn memory_is_that_of_the_octave_and_shared_maps_count_operations() {
        let rows = [
            ("map", "bytes-per-entry/u64-u64/1M", OURS, "bytes_per_entry", 1_000_000, 20.0),
            ("map", "bytes-per-entry/u64-u64/1.09M", OURS, "bytes_per_entry", 1_090_508, 21.0),
            ("map", "bytes-per-entry/u64-u64/octave", OURS, "bytes_per_entry", 9, 20.5),
            ("map", "bytes-per-entry/u64-u64/16", OURS, "bytes_per_entry", 16, 30.0),
        ];
        let pictures = maps(&record(&rows));
        assert_eq!(plot(&pictures[0]).lines[0].points, [(1_000_000.0, 20.0), (1_090_508.0, 21.0)]);
        assert!(pictures[1].is_empty());
        let rows = [("concurrent", "get/65536/threads=2", "papaya", "time", 1, 10.0)];
        assert_eq!(plot(&shared(&record(&rows))[0]).lines[1].points, [(2.0, 100.0)]);
        let rows = [("concurrent", "read-heavy/presized/threads=2", OURS, "time", 1, 20.0)];
        assert_eq!(plot(&shared(&record(&rows))[1]).lines[0].points, [(2.0, 50.0)]);
    }

    #[test]
    fn sources_say_when_and_where() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("2026-01-31.json");
        assert_eq!(source(&path), "record of 2026-01-31");
        let machine = Machine {
            processor: "A processor".into(),
            processors: 2,
            commit: "abc".into(),
            ..Machine::default()
        };
        machine.write(&path.with_extension("machine.json")).unwrap();
        assert_eq!(source(&path), "record of 2026-01-31, A processor, 2 processors, commit abc");
    }
}
