//! Cells and rows of Markdown tables, the same in all of them. Pure functions. Invariant: bold means a target missed or, where
//! there is no target, a peer not beaten.

use crate::format::small_ratio;
use crate::record::Record;

/// A row.
pub(super) fn row(cells: impl IntoIterator<Item = String>) -> String {
    let mut text = String::from("|");
    for cell in cells {
        text += " ";
        text += &cell;
        text += " |";
    }
    text + "\n"
}

/// The two lines above the rows.
pub(super) fn head<T: AsRef<str>>(names: &[T]) -> String {
    row(names.iter().map(|name| name.as_ref().to_owned())) + "|" + &"---|".repeat(names.len()) + "\n"
}

/// A quotient, in bold over its bound; a dash for none.
pub(super) fn quotient(value: Option<f64>, bound: f64) -> String {
    match value {
        Some(value) if value > bound => format!("**{}**", small_ratio(value)),
        Some(value) => small_ratio(value),
        None => "-".into(),
    }
}

/// One implementation's figure over another's, of the same case and metric.
pub(super) fn over(
    record: &Record,
    suite: &str,
    case: &str,
    metric: &str,
    ours: &str,
    peer: &str,
) -> Option<f64> {
    let peer = record.value(suite, case, metric, peer).filter(|&value| value > 0.0)?;
    record.value(suite, case, metric, ours).map(|ours| ours / peer)
}

/// The distinct values of something in a record's figures of one suite, in their order.
pub(super) fn distinct<'a>(
    record: &'a Record,
    suite: &'a str,
    what: impl Fn(&'a crate::record::Figure) -> Option<&'a str>,
) -> Vec<&'a str> {
    let mut all = Vec::new();
    for value in record.figures().iter().filter(|figure| figure.suite == suite).filter_map(what) {
        if !all.contains(&value) {
            all.push(value);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_markdown() {
        assert_eq!(head(&["a", "b"]), "| a | b |\n|---|---|\n");
        assert_eq!(row(["x".into(), quotient(None, 1.0)]), "| x | - |\n");
        assert_eq!([quotient(Some(1.11), 1.1), quotient(Some(1.1), 1.1)], ["**1.11**", "1.10"]);
        assert_eq!(quotient(Some(0.0012), 0.005), "0.0012");
    }
}
