//! A heat map as text and as SVG: a row a size class, a column a tenth of occupancy, warmer where more of the class's pages are.
//!
//! Owned by `top.rs`. Invariant: a cell's warmth is its share of its row's pages; a cell with a page is never blank.

use std::fmt::Write;

use super::heat::{Heat, Row};
use crate::picture::{self, Body, Picture};

/// From few to all.
const SHADES: [char; 5] = [' ', '░', '▒', '▓', '█'];
/// The same as colours of the 256.
const COLOURS: [u8; 5] = [236, 24, 37, 214, 196];

fn warmth(pages: usize, of: usize) -> usize {
    if pages == 0 { 0 } else { 1 + (pages * 4 / of.max(1)).min(3) }
}

fn label(row: &Row) -> String {
    format!("{} {} {}", row.node, row.kind, row.slot_size)
}

/// As text, with a terminal's colours or without.
pub(super) fn text(heat: &Heat, colours: bool) -> String {
    let mut out = format!("{}\n{} pages by how full they are\n", heat.title, heat.pages());
    let tenths: String = (0..10).fold(String::new(), |row, tenth| row + &format!("{:>4}%", 10 * tenth));
    let _ = writeln!(out, "{:<22} {tenths}  pages", "node kind slot");
    for row in &heat.rows {
        let all = row.pages.iter().sum();
        let _ = write!(out, "{:<22} ", label(row));
        for &pages in &row.pages {
            let at = warmth(pages, all);
            let cell = if pages == 0 { "     ".to_owned() } else { format!("{}{pages:>4}", SHADES[at]) };
            let _ = if colours {
                write!(out, "\x1b[48;5;{}m{cell}\x1b[0m", COLOURS[at])
            } else {
                write!(out, "{cell}")
            };
        }
        let _ = writeln!(out, "  {all}");
    }
    let _ = writeln!(out, "{}", heat.process);
    out
}

/// As SVG.
pub(super) fn svg(heat: &Heat) -> String {
    let parts = |row: &Row| {
        let all: usize = row.pages.iter().sum();
        row.pages.iter().map(|&pages| (pages > 0).then(|| pages as f64 / all as f64)).collect()
    };
    let cells = picture::Heat {
        label: "of a row's pages (%), by how full they are".into(),
        columns: (0..10).map(|tenth| format!("{}%", 10 * tenth)).collect(),
        rows: heat.rows.iter().map(|row| (label(row), parts(row))).collect(),
    };
    let picture = Picture {
        name: "pages",
        title: heat.title.clone(),
        command: "bucketmask top".into(),
        source: heat.process.clone(),
        body: Body::Cells(cells),
    };
    picture.file()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heat() -> Heat {
        let row = |slot_size, pages| Row { node: 1, kind: "blocks".into(), slot_size, pages };
        Heat {
            title: "a <report>".into(),
            rows: vec![row(64, [1, 0, 0, 0, 0, 0, 0, 0, 0, 99]), row(320, [0, 0, 0, 0, 5, 5, 0, 0, 0, 0])],
            process: "process: resident 1 KiB".into(),
        }
    }

    #[test]
    fn a_row_is_as_warm_as_its_pages_are_many() {
        let text = text(&heat(), false);
        let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("1 blocks ")).collect();
        assert!(
            rows[0].contains("░   1") && rows[0].contains("█  99") && rows[0].ends_with("  100"),
            "{text}"
        );
        assert_eq!(rows[1].matches('▓').count(), 2, "{text}");
        assert!(!text.contains('\x1b') && super::text(&heat(), true).contains("\x1b[48;5;196m█  99\x1b[0m"));
    }

    #[test]
    fn the_picture_has_a_cell_for_each_tenth_with_pages() {
        let svg = svg(&heat());
        assert_eq!(svg.matches("fill-opacity=").count(), 4, "{svg}");
        assert!(svg.contains("a &lt;report&gt;") && svg.contains(">99</text>"), "{svg}");
        assert!(
            svg.starts_with("<svg ") && svg.ends_with("</svg>\n") && svg.contains("1 blocks 320"),
            "{svg}"
        );
    }
}
