//! Cells in rows and columns, the darker the more. Pure functions. Invariant: a cell says its value in words, so that nobody has to
//! tell shades apart.

use maud::html;

use super::{Drawn, LETTER, TEXT, WIDTH, text, tone};

const ROW: f64 = TEXT * 1.45;
const MARGIN: f64 = 12.0;
/// How dark the darkest cell is: text on it is still read.
const DARKEST: f64 = 0.6;

/// Parts of wholes, in rows and columns.
#[derive(Clone, Debug)]
pub struct Heat {
    /// What the columns are.
    pub label: String,
    /// Above the columns.
    pub columns: Vec<String>,
    /// A name, and a part from 0 to 1 for each column that has one.
    pub rows: Vec<(String, Vec<Option<f64>>)>,
}

impl Heat {
    pub(super) fn is_empty(&self) -> bool {
        self.rows.iter().all(|(_, parts)| parts.iter().all(Option::is_none))
    }

    pub(super) fn draw(&self) -> Drawn {
        let widest = self.rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        let left = (MARGIN * 2.0 + widest as f64 * LETTER).min(WIDTH * 0.45);
        let cell = (WIDTH - MARGIN - left) / self.columns.len().max(1) as f64;
        let top = TEXT * 2.9;
        let (class, colour) = tone(0);
        let middle = |column: usize| left + cell * (column as f64 + 0.5);
        let markup = html! {
            (text(f64::midpoint(left, WIDTH - MARGIN), TEXT, "middle", TEXT, &self.label))
            @for (nth, column) in self.columns.iter().enumerate() {
                (text(middle(nth), TEXT * 2.5, "middle", TEXT, column))
            }
            @for (row, (name, parts)) in self.rows.iter().enumerate() {
                @let y = top + row as f64 * ROW;
                (text(left - MARGIN, y + ROW * 0.68, "end", TEXT, name))
                @for (nth, part) in parts.iter().enumerate() {
                    @if let Some(part) = part {
                        rect class=(format!("f-{class}")) fill=(colour) fill-opacity=(format!("{:.2}", 0.04 + (DARKEST - 0.04) * part.clamp(0.0, 1.0)))
                            x=(format!("{:.1}", left + cell * nth as f64 + 1.0)) y=(format!("{:.1}", y + 1.0))
                            width=(format!("{:.1}", cell - 2.0)) height=(format!("{:.1}", ROW - 2.0)) {}
                        (text(middle(nth), y + ROW * 0.68, "middle", TEXT * 0.9, &format!("{:.0}", part * 100.0)))
                    }
                }
            }
        };
        Drawn { markup, height: top + self.rows.len() as f64 * ROW + MARGIN }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fuller_is_darker_and_says_so() {
        let rows = vec![
            ("64 B".to_owned(), vec![Some(0.9), Some(0.1), None]),
            ("1 KiB".into(), vec![None, None, Some(1.0)]),
        ];
        let heat = Heat { label: "kept".into(), columns: vec!["100".into(), "10".into(), "1".into()], rows };
        let drawn = heat.draw().markup.into_string();
        let shades: Vec<f64> = drawn
            .split("fill-opacity=\"")
            .skip(1)
            .map(|rest| rest.split('"').next().unwrap().parse().unwrap())
            .collect();
        assert!(shades.len() == 3 && shades[1] < shades[0] && shades[0] < shades[2], "{shades:?}");
        assert!(drawn.contains(">90<") && drawn.contains(">1 KiB<"), "{drawn}");
        assert!(!heat.is_empty() && Heat { rows: vec![("x".into(), vec![None])], ..heat }.is_empty());
    }
}
