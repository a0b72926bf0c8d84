//! A heat map as text and as SVG: a row a size class, a column a tenth of occupancy, warmer where more of the class's pages are.
//!
//! Owned by `top.rs`. Invariant: a cell's warmth is its share of its row's pages; a cell with a page is never blank.

use std::fmt::Write;

use super::heat::{Heat, Row};

/// From few to all.
const SHADES: [char; 5] = [' ', '░', '▒', '▓', '█'];
/// The same as colours of the 256, and of the web.
const COLOURS: [(u8, &str); 5] =
    [(236, "#f2f2f2"), (24, "#c6dbef"), (37, "#6baed6"), (214, "#fd8d3c"), (196, "#d7301f")];

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
                write!(out, "\x1b[48;5;{}m{cell}\x1b[0m", COLOURS[at].0)
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
    const LEFT: usize = 160;
    const TOP: usize = 60;
    const WIDTH: usize = 48;
    const HEIGHT: usize = 18;
    let escaped = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;");
    let (wide, high) = (LEFT + 10 * WIDTH + 80, TOP + heat.rows.len() * HEIGHT + 30);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{wide}\" height=\"{high}\" font-family=\"monospace\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n<text x=\"8\" y=\"18\">{}</text>\n",
        escaped(&heat.title)
    );
    for tenth in 0..10 {
        let _ = writeln!(
            out,
            "<text x=\"{}\" y=\"{}\">{}%</text>",
            LEFT + tenth * WIDTH + 8,
            TOP - 8,
            tenth * 10
        );
    }
    for (nth, row) in heat.rows.iter().enumerate() {
        let (all, y) = (row.pages.iter().sum(), TOP + nth * HEIGHT);
        let _ = writeln!(out, "<text x=\"8\" y=\"{}\">{}</text>", y + 13, escaped(&label(row)));
        for (tenth, &pages) in row.pages.iter().enumerate() {
            let (x, colour) = (LEFT + tenth * WIDTH, COLOURS[warmth(pages, all)].1);
            let _ = writeln!(
                out,
                "<rect x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"{}\" fill=\"{colour}\"><title>{pages} pages</title></rect>",
                WIDTH - 2,
                HEIGHT - 2
            );
        }
        let _ = writeln!(out, "<text x=\"{}\" y=\"{}\">{all}</text>", LEFT + 10 * WIDTH + 8, y + 13);
    }
    let _ = writeln!(out, "<text x=\"8\" y=\"{}\">{}</text>\n</svg>", high - 10, escaped(&heat.process));
    out
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
    fn the_picture_has_a_cell_for_each_tenth() {
        let svg = svg(&heat());
        assert_eq!(svg.matches("<title>").count(), 20);
        assert!(svg.contains("a &lt;report>") && svg.contains("fill=\"#d7301f\"><title>99 pages"), "{svg}");
        assert!(svg.ends_with("</svg>\n"));
    }
}
