//! Figures and ratios in the schema that every measuring command writes, one JSON object a line. A [`Record`] owns its
//! rows. Invariant: a record in memory keeps the schema: finite numbers, one figure a (suite, case, metric, impl), and no
//! ratio without its two figures, whose quotient it is.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::sample::Samples;

/// How far a ratio may lie from the quotient of its two figures before a record is called faulty.
const TOLERANCE: f64 = 0.25;

/// The name under which our own side stands in figures.
pub const OURS: &str = "bucketmask";

/// Which direction of a metric is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    /// Less is better: times, bytes.
    Lower,
    /// More is better: slots skipped, throughput.
    Higher,
}

/// A metric: its plain name, its unit and its good direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Name, as in the schema.
    pub name: &'static str,
    /// Unit of the value.
    pub unit: &'static str,
    /// Good direction.
    pub better: Better,
}

impl Metric {
    /// A metric of which less is better.
    pub const fn lower(name: &'static str, unit: &'static str) -> Self {
        Self { name, unit, better: Better::Lower }
    }

    /// A metric of which more is better.
    pub const fn higher(name: &'static str, unit: &'static str) -> Self {
        Self { name, unit, better: Better::Higher }
    }
}

/// One measured figure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// The command that measured.
    pub suite: String,
    /// The workload as a path.
    pub case: String,
    /// Whose figure it is.
    #[serde(rename = "impl")]
    pub implementation: String,
    /// What was measured.
    pub metric: String,
    /// The median over the rounds.
    pub value: f64,
    /// Unit of the value.
    pub unit: String,
    /// Good direction.
    pub better: Better,
    /// How many things the workload is about (entries, objects).
    pub n: u64,
    /// How many rounds were measured.
    pub rounds: u32,
    /// Distance between the quartiles over the median.
    pub spread: f64,
}

impl Figure {
    /// A figure that was measured once.
    pub fn new(suite: &str, case: &str, implementation: &str, metric: Metric, n: u64, value: f64) -> Self {
        Self {
            suite: suite.into(),
            case: case.into(),
            implementation: implementation.into(),
            metric: metric.name.into(),
            value,
            unit: metric.unit.into(),
            better: metric.better,
            n,
            rounds: 1,
            spread: 0.0,
        }
    }

    /// The same, made from as many rounds as `samples` has, and spread like them.
    #[must_use]
    pub fn over(self, samples: &Samples) -> Self {
        Self { rounds: samples.rounds(), spread: samples.spread(), ..self }
    }
}

/// One comparison: ours over a peer's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ratio {
    /// The command that measured.
    pub suite: String,
    /// The workload as a path.
    pub case: String,
    /// What was measured.
    pub metric: String,
    /// Our side.
    #[serde(rename = "impl")]
    pub implementation: String,
    /// The other side.
    pub peer: String,
    /// Ours divided by the peer's.
    pub ratio: f64,
    /// Good direction.
    pub better: Better,
}

impl Ratio {
    /// Whether ours is no worse than the peer.
    pub fn is_good(&self) -> bool {
        match self.better {
            Better::Lower => self.ratio <= 1.0,
            Better::Higher => self.ratio >= 1.0,
        }
    }
}

/// What is wrong with a record, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct Fault {
    /// Line of the file, from 1.
    pub line: usize,
    /// What is wrong.
    pub why: String,
}

/// The figures and ratios of one run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    figures: Vec<Figure>,
    ratios: Vec<Ratio>,
}

type Key = (String, String, String, String);

fn key(suite: &str, case: &str, metric: &str, implementation: &str) -> Key {
    (suite.into(), case.into(), metric.into(), implementation.into())
}

impl Record {
    /// An empty record.
    pub fn new() -> Self {
        Self::default()
    }

    /// The figures, in the order added.
    pub fn figures(&self) -> &[Figure] {
        &self.figures
    }

    /// The comparisons, in the order added.
    pub fn ratios(&self) -> &[Ratio] {
        &self.ratios
    }

    /// Adds the median of `samples` as a figure; nothing when there are none. `n` is the size of the workload.
    ///
    /// # Panics
    /// When that (suite, case, metric, impl) has a figure already: a command measures a thing once.
    pub fn measure(
        &mut self,
        suite: &str,
        case: &str,
        implementation: &str,
        metric: Metric,
        n: u64,
        samples: &Samples,
    ) {
        if samples.is_empty() {
            return;
        }
        self.add(Figure::new(suite, case, implementation, metric, n, samples.median()).over(samples));
    }

    /// Adds a figure.
    ///
    /// # Panics
    /// When that (suite, case, metric, impl) has one already, or the value is not finite.
    pub fn add(&mut self, figure: Figure) {
        let Figure { suite, case, implementation, metric, .. } = &figure;
        let there = self.value(suite, case, metric, implementation);
        assert!(there.is_none(), "one figure for {case} {metric} {implementation}");
        assert!(figure.value.is_finite(), "{case} {metric} {implementation} is finite");
        self.figures.push(figure);
    }

    /// Adds the comparison of two figures that are there. None, and nothing added, when one is missing or the peer's is 0.
    pub fn compare(
        &mut self,
        suite: &str,
        case: &str,
        implementation: &str,
        peer: &str,
        metric: Metric,
    ) -> Option<f64> {
        let ours = self.figure(suite, case, metric.name, implementation)?.clone();
        let theirs = self.figure(suite, case, metric.name, peer)?.clone();
        self.quotient(&ours, &theirs)
    }

    /// Adds the comparison of two figures of this record, of one case and metric. None, and nothing added, when the peer's
    /// is 0.
    pub fn quotient(&mut self, ours: &Figure, peer: &Figure) -> Option<f64> {
        if peer.value == 0.0 {
            return None;
        }
        let ratio = ours.value / peer.value;
        self.ratios.push(Ratio {
            suite: ours.suite.clone(),
            case: ours.case.clone(),
            metric: ours.metric.clone(),
            implementation: ours.implementation.clone(),
            peer: peer.implementation.clone(),
            ratio,
            better: ours.better,
        });
        Some(ratio)
    }

    /// The figure of one implementation in one case. O(figures).
    pub fn figure(&self, suite: &str, case: &str, metric: &str, implementation: &str) -> Option<&Figure> {
        self.figures.iter().find(|f| {
            f.suite == suite && f.case == case && f.metric == metric && f.implementation == implementation
        })
    }

    /// The value of that figure.
    pub fn value(&self, suite: &str, case: &str, metric: &str, implementation: &str) -> Option<f64> {
        self.figure(suite, case, metric, implementation).map(|f| f.value)
    }

    /// Reads a record back and checks it against the schema.
    ///
    /// # Errors
    /// The first line that breaks it.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let mut record = Self::new();
        let mut figures: HashMap<Key, f64> = HashMap::new();
        let mut pending = Vec::new();
        for (idx, content) in text.lines().enumerate().filter(|(_, content)| !content.trim().is_empty()) {
            let line = idx + 1;
            let fault = |why: String| Fault { line, why };
            let row: serde_json::Value =
                serde_json::from_str(content).map_err(|error| fault(format!("not JSON: {error}")))?;
            if row.get("ratio").is_some() {
                let ratio: Ratio = serde_json::from_value(row).map_err(|error| fault(error.to_string()))?;
                pending.push((line, ratio));
            } else {
                let figure: Figure = serde_json::from_value(row).map_err(|error| fault(error.to_string()))?;
                let at = key(&figure.suite, &figure.case, &figure.metric, &figure.implementation);
                if figures.insert(at, figure.value).is_some() {
                    return Err(fault(format!("a second figure for {}/{}", figure.case, figure.metric)));
                }
                record.figures.push(figure);
            }
        }
        if record.figures.is_empty() {
            return Err(Fault { line: 0, why: "no figures".into() });
        }
        for (line, ratio) in pending {
            check_ratio(&ratio, &figures).map_err(|why| Fault { line, why })?;
            record.ratios.push(ratio);
        }
        Ok(record)
    }

    /// Reads a record from a file and checks it.
    ///
    /// # Errors
    /// The file cannot be read, or breaks the schema.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text =
            std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.into(), source })?;
        Self::parse(&text).map_err(|fault| Error::Record { path: path.into(), fault })
    }

    /// The record as text, one JSON object a line, figures first.
    ///
    /// # Panics
    /// Never: rows are plain structs with finite numbers.
    pub fn to_lines(&self) -> String {
        let figures = self.figures.iter().map(serde_json::to_string);
        let ratios = self.ratios.iter().map(serde_json::to_string);
        figures.chain(ratios).map(|line| line.expect("a plain struct serialises") + "\n").collect()
    }

    /// Writes the record to a file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        write_file(path, &self.to_lines())
    }
}

fn check_ratio(ratio: &Ratio, figures: &HashMap<Key, f64>) -> Result<(), String> {
    let find = |implementation: &str| {
        figures.get(&key(&ratio.suite, &ratio.case, &ratio.metric, implementation)).copied()
    };
    let (Some(ours), Some(theirs)) = (find(&ratio.implementation), find(&ratio.peer)) else {
        return Err(format!("a ratio without its two figures: {} over {}", ratio.implementation, ratio.peer));
    };
    let off = if ratio.ratio == 0.0 { ours } else { ours / theirs / ratio.ratio - 1.0 };
    if theirs != 0.0 && off.abs() > TOLERANCE {
        return Err(format!("ratio {} but the medians give {}", ratio.ratio, ours / theirs));
    }
    Ok(())
}

/// Writes a whole text file.
///
/// # Errors
/// The path is refused, or the disk is full.
pub fn write_file(path: &Path, text: &str) -> Result<(), Error> {
    let fail = |source| Error::Write { path: path.into(), source };
    let mut file = BufWriter::new(File::create(path).map_err(fail)?);
    file.write_all(text.as_bytes()).and_then(|()| file.flush()).map_err(fail)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: Metric = Metric::lower("time_per_live", "ns");

    fn small() -> Record {
        let mut record = Record::new();
        let ours: Samples = [1.0, 2.0, 3.0].into_iter().collect();
        let peer: Samples = [4.0].into_iter().collect();
        record.measure("scan", "gcmap/2M/keep=1/uniform", OURS, TIME, 20_000, &ours);
        record.measure("scan", "gcmap/2M/keep=1/uniform", "gc-arena+hashbrown", TIME, 20_000, &peer);
        let ratio = record.compare("scan", "gcmap/2M/keep=1/uniform", OURS, "gc-arena+hashbrown", TIME);
        assert_eq!(ratio, Some(0.5));
        record
    }

    #[test]
    fn what_is_written_reads_back() {
        let record = small();
        assert_eq!(Record::parse(&record.to_lines()), Ok(record));
    }

    #[test]
    fn rows_carry_the_schemas_keys() {
        let lines = small().to_lines();
        let first: serde_json::Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
        let keys: Vec<_> = first.as_object().unwrap().keys().cloned().collect();
        for name in ["suite", "case", "impl", "metric", "value", "unit", "better", "n", "rounds", "spread"] {
            assert!(keys.iter().any(|key| key == name), "{name}");
        }
        assert_eq!(first["better"], "lower");
        let last: serde_json::Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
        assert_eq!(last["impl"], OURS);
        assert_eq!(last["peer"], "gc-arena+hashbrown");
    }

    #[test]
    fn faults_are_found_with_their_line() {
        let lines = small().to_lines();
        let cases = [
            (lines.replace("\"ratio\":0.5", "\"ratio\":0.9"), 3, "medians"),
            (lines.replace("\"better\":\"lower\"", "\"better\":\"less\""), 1, "less"),
            (lines.replacen("\"value\":2.0", "\"value\":null", 1), 1, "null"),
            (lines.replacen("\"unit\":\"ns\",", "", 1), 1, "unit"),
            (lines.replacen("gc-arena+hashbrown", "std", 1), 3, "two figures"),
            (format!("{}\n{{", lines.trim_end()), 4, "not JSON"),
            (lines.lines().next().map(|l| format!("{l}\n{l}\n")).unwrap(), 2, "second figure"),
            (String::from("\n\n"), 0, "no figures"),
        ];
        for (text, line, why) in cases {
            let fault = Record::parse(&text).unwrap_err();
            assert_eq!(fault.line, line, "{fault}");
            assert!(fault.why.contains(why), "{fault} should name {why}");
        }
    }

    #[test]
    fn a_missing_or_zero_peer_gives_no_ratio() {
        let mut record = small();
        assert_eq!(record.compare("scan", "gcmap/2M/keep=1/uniform", OURS, "std", TIME), None);
        record.measure("scan", "zero", OURS, TIME, 1, &[1.0].into_iter().collect());
        record.measure("scan", "zero", "std", TIME, 1, &[0.0].into_iter().collect());
        assert_eq!(record.compare("scan", "zero", OURS, "std", TIME), None);
        assert_eq!(record.ratios().len(), 1);
    }

    #[test]
    fn a_full_disk_is_an_error() {
        let error = small().write(Path::new("/dev/full")).unwrap_err();
        assert!(error.to_string().contains("/dev/full"), "{error}");
        assert_eq!(error.exit_code(), 2);
    }
}
