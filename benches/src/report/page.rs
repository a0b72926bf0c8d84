//! The report as one self-contained page: plots, tables, light and dark, phone and desk. Pure functions. Invariant: the
//! page loads nothing from anywhere and shows nothing that is not in the results.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::plot::{COLOURS, Plot};
use super::results::{Results, Walked};
use super::sheets::Sheets;
use crate::machine::Machine;
use crate::output::Sheet;
use crate::protocol::Side;

const STYLE: &str = "
:root{--paper:#fdfdfb;--ink:#1c1e21;--soft:#5c6370;--grid:#d9d9d4;--one:#0b6bcb;--two:#c4540a;--three:#2a8445;--four:#8a3ffc}
@media(prefers-color-scheme:dark){:root{--paper:#15171a;--ink:#e6e6e3;--soft:#a0a6b0;--grid:#3a3d42;--one:#5fb0ff;--two:#ff9d57;--three:#67d18a;--four:#c3a1ff}}
*{box-sizing:border-box}
body{margin:0 auto;padding:1rem;max-width:72rem;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
h1{font-size:1.5rem;margin:.5rem 0}h2{font-size:1.15rem;margin:2rem 0 .4rem}
p,figcaption,.note{color:var(--soft);max-width:46rem}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,26rem),1fr));gap:1.5rem}
figure{margin:0}svg{width:100%;height:auto;display:block}
.key{display:flex;flex-wrap:wrap;gap:.2rem 1rem;font-size:.9rem;margin:.2rem 0;padding:0;list-style:none}
.key li::before{content:'';display:inline-block;width:1.4em;border-top:3px solid;margin-right:.4em;vertical-align:middle;border-color:var(--c)}
.scroll{overflow-x:auto}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.86rem;white-space:nowrap}
th,td{padding:.2rem .6rem;text-align:right;border-bottom:1px solid var(--grid)}
th:first-child,td:first-child{text-align:left;position:sticky;left:0;background:var(--paper)}
th{vertical-align:bottom;font-weight:600}td.loss{color:var(--two)}
summary{cursor:pointer;margin:1.5rem 0 .4rem}
";

/// The whole page.
pub(super) fn render(results: &Results, sheets: &Sheets) -> String {
    let machine = Machine::here().summary();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "bucketmask report" }
                style { (PreEscaped(STYLE)) (PreEscaped(colour_rules())) }
            }
            body {
                h1 { "bucketmask report" }
                p {
                    "An index of identifiers to the places where they stand, built out of garbage-collected objects, \
                     asked, thinned out in waves and collected after each: bucketmask beside " (Side::Peer.name())
                    ", the same program in a child process of its own. Times are medians of " (results.rounds)
                    " round(s) on a shared machine; read ratios, not absolute times."
                }
                p { (machine) }
                div class="plots" { @for (title, plot) in plots(results) { (figure(title, &plot)) } }
                @for sheet in &sheets.terminal {
                    @if !is_detail(sheet, sheets) { h2 { (sheet.title) } (table(sheet)) }
                }
                details {
                    summary { "Fragmentation report of every step, by class and node" }
                    @for sheet in &sheets.details { h2 { (sheet.title) } (table(sheet)) }
                }
            }
        }
    };
    page.into_string()
}

/// The terminal's short form of a table that the page has in full.
fn is_detail(sheet: &Sheet, sheets: &Sheets) -> bool {
    sheets.details.iter().any(|detail| detail.title == sheet.title)
}

fn colour_rules() -> String {
    let rule = |(sentinel, name): (&str, &str)| {
        format!("svg [stroke='{sentinel}']{{stroke:var({name})}}svg [fill='{sentinel}']{{fill:var({name})}}")
    };
    COLOURS.into_iter().map(rule).collect()
}

fn figure(title: &str, plot: &Plot) -> Markup {
    let svg = plot.to_svg();
    html! {
        @if !svg.is_empty() {
            figure {
                figcaption { (title) }
                ul class="key" {
                    @for ((name, _), (_, colour)) in plot.lines.iter().zip(&COLOURS[2..]) {
                        li style=(format!("--c:var({colour})")) { (name) }
                    }
                }
                (PreEscaped(svg))
            }
        }
    }
}

fn table(sheet: &Sheet) -> Markup {
    html! {
        div class="scroll" {
            table {
                thead { tr { @for cell in &sheet.head { th { (cell) } } } }
                tbody {
                    @for row in &sheet.rows {
                        tr { @for cell in row { td class=[cell.starts_with("! ").then_some("loss")] { (cell) } } }
                    }
                }
            }
        }
        @if !sheet.note.is_empty() { p class="note" { (sheet.note) } }
    }
}

fn plots(results: &Results) -> Vec<(&'static str, Plot)> {
    let Some(whole) = results.whole() else { return Vec::new() };
    let steps = || whole.steps().iter().enumerate();
    let per_live = Walked::ALL.map(|walked| {
        let points = steps().map(|(idx, s)| (f64::from(s.keep), whole.time_per_live(idx, walked).median()));
        (walked.name().to_owned(), points.collect())
    });
    let by_live = results.parts.iter().map(|part| {
        let steps = part.steps().iter().enumerate();
        let time = |(idx, step): (usize, &crate::protocol::Step)| {
            let live = step.objects as f64;
            (live, part.time_per_live(idx, Walked::Mask).median() * live / 1e6)
        };
        (part.name.to_owned(), steps.map(time).collect())
    });
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let resident = |side: Side| {
        let at = |idx| whole.each(side, idx, |step| mib(step.footprint.resident)).median();
        let points = steps().map(|(idx, step)| (f64::from(step.keep), at(idx))).collect();
        (format!("{}, whole process", side.name()), points)
    };
    let live = steps().map(|(_, s)| (f64::from(s.keep), mib(s.live_bytes))).collect();
    let seen = |walked: Walked, value: fn(&crate::protocol::Cycle) -> u64| {
        steps().map(|(idx, s)| (f64::from(s.keep), whole.cycles(idx, walked, value).median())).collect()
    };
    vec![
        (
            "Mark and sweep, by live object, as the index empties",
            Plot { x: "identifiers kept (%)", y: "ns a live object", lines: per_live.into() },
        ),
        (
            "A collection by mask, against what is live: three inputs, every wave",
            Plot { x: "live objects", y: "ms a collection", lines: by_live.collect() },
        ),
        (
            "Resident memory, against what is live",
            Plot {
                x: "identifiers kept (%)",
                y: "MiB",
                lines: vec![resident(Side::Ours), resident(Side::Peer), ("live objects".into(), live)],
            },
        ),
        (
            "Slots looked at in a collection",
            Plot {
                x: "identifiers kept (%)",
                y: "slots",
                lines: vec![
                    ("scanned by mask".into(), seen(Walked::Mask, |cycle| cycle.scanned)),
                    ("scanned flat".into(), seen(Walked::Flat, |cycle| cycle.scanned)),
                    ("skipped by mask".into(), seen(Walked::Mask, |cycle| cycle.skipped)),
                ],
            },
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::results::tests::made_up;
    use crate::report::sheets;

    #[test]
    fn the_page_stands_alone_and_is_escaped() {
        let results = made_up();
        let page = render(&results, &sheets::of(&results));
        assert!(page.starts_with("<!DOCTYPE html>"));
        assert!(page.contains("made &lt;up&gt;") && !page.contains("made <up>"));
        assert_eq!(page.matches("<svg").count(), 4);
        for outside in ["<script", "<link", "src=", "@import", "url("] {
            assert!(!page.contains(outside), "{outside}");
        }
        assert!(page.contains("prefers-color-scheme:dark") && page.contains("width=device-width"));
        assert_eq!(page.matches("Fragmentation at 10 % kept").count(), 1);
    }
}
