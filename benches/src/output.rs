//! Standard output and the tables on it. Owned by the command that prints. Invariant: a full disk behind standard output is
//! an error like any other, and a reader that has gone away is none.

use std::io::{ErrorKind, Write, stdout};

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, TableComponent, presets};

use crate::cli::RecordArgs;
use crate::error::{Error, Outcome};
use crate::interrupt;
use crate::machine::Machine;
use crate::record::Record;

/// Prints text.
///
/// # Errors
/// Standard output refuses it, unless its reader simply left.
pub fn print(text: &str) -> Result<(), Error> {
    let mut out = stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(source) if source.kind() != ErrorKind::BrokenPipe => {
            Err(Error::Write { path: "standard output".into(), source })
        }
        _ => Ok(()),
    }
}

/// Ends a command that measured: prints its tables, then writes the files that were asked for. What could not be written
/// is in the outcome.
pub fn deliver(
    sheets: &[Sheet],
    record: &Record,
    files: &RecordArgs,
    machine: impl FnOnce() -> Machine,
) -> Outcome {
    let mut outcome = Outcome::default();
    if record.figures().is_empty() && interrupt::asked() {
        eprintln!("bucketmask: {}", Error::Interrupted);
        return outcome;
    }
    for sheet in sheets {
        outcome.note(print(&sheet.to_text()));
    }
    if let Some(path) = &files.json {
        outcome.note(record.write(path));
    }
    if let Some(path) = &files.machine {
        outcome.note(machine().write(path));
    }
    outcome
}

/// A table with a title, for the terminal and for the page alike.
#[derive(Clone, Debug, Default)]
pub struct Sheet {
    /// What stands above it.
    pub title: String,
    /// Column names; the first column is left-aligned, the others are numbers.
    pub head: Vec<String>,
    /// The rows.
    pub rows: Vec<Vec<String>>,
    /// What stands below it.
    pub note: String,
}

impl Sheet {
    /// An empty table.
    pub fn new(title: impl Into<String>, head: &[&str]) -> Self {
        Self { title: title.into(), head: head.iter().map(ToString::to_string).collect(), ..Self::default() }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// As text, fitted to the terminal.
    pub fn to_text(&self) -> String {
        let mut table = Table::new();
        table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
        for line in [
            TableComponent::HeaderLines,
            TableComponent::MiddleHeaderIntersections,
            TableComponent::BottomBorder,
            TableComponent::BottomBorderIntersections,
        ] {
            table.set_style(line, '─');
        }
        table.set_header(self.head.clone());
        for row in &self.rows {
            table.add_row(row.iter().map(Cell::new));
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        let note = if self.note.is_empty() { String::new() } else { format!("{}\n", self.note) };
        format!("\n{}\n{table}\n{note}", self.title)
    }
}
