//! The report as one self-contained page: plots, tables, light and dark, phone and desk. Pure functions. Invariant: the
//! page loads nothing from anywhere and shows nothing that is not in the results.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::results::Results;
use super::sheets::Sheets;
use crate::machine::Machine;
use crate::output::Sheet;
use crate::picture::{self, Picture};
use crate::protocol::Side;

const STYLE: &str = "
:root{--soft:#5c6370}
@media(prefers-color-scheme:dark){:root{--soft:#a0a6b0}}
*{box-sizing:border-box}
body{margin:0 auto;padding:1rem;max-width:72rem;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
h1{font-size:1.5rem;margin:.5rem 0}h2{font-size:1.15rem;margin:2rem 0 .4rem}
p,figcaption,.note{color:var(--soft);max-width:46rem}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,26rem),1fr));gap:1.5rem}
figure{margin:0}svg{width:100%;height:auto;display:block}
.key{display:flex;flex-wrap:wrap;gap:.2rem 1rem;font-size:.9rem;margin:.2rem 0;padding:0;list-style:none}
.key li::before{content:'';display:inline-block;width:1.4em;border-top:3px solid;margin-right:.4em;vertical-align:middle;border-color:var(--c)}
.key li.bound::before{border-top-style:dashed}
figure small{display:block;color:var(--soft);overflow-wrap:anywhere}figcaption{font-weight:600;color:var(--ink)}
code{font-size:.92em}a{color:var(--one)}
.scroll{overflow-x:auto}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.86rem;white-space:nowrap}
th,td{padding:.2rem .6rem;text-align:right;border-bottom:1px solid var(--grid)}
th:first-child,td:first-child{text-align:left;position:sticky;left:0;background:var(--paper)}
th{vertical-align:bottom;font-weight:600}td.loss{color:var(--two)}
summary{cursor:pointer;margin:1.5rem 0 .4rem}
@media(max-width:30rem){th,td{padding:.2rem .35rem}table{font-size:.78rem}}
";

/// The whole page.
pub(super) fn render(results: &Results, sheets: &Sheets, pictures: &[Picture]) -> String {
    let machine = Machine::here().summary();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "bucketmask report" }
                style { (PreEscaped(picture::style())) (PreEscaped(STYLE)) }
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
                h2 { (sheets.summary.title) }
                (table(&sheets.summary))
                h2 { "Pictures" }
                div class="plots" { @for picture in pictures { (figure(picture)) } }
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

fn figure(picture: &Picture) -> Markup {
    html! {
        figure {
            figcaption { (picture.title) }
            ul class="key" {
                @for (name, class, is_bound) in picture.key() {
                    li class=[is_bound.then_some("bound")] style=(format!("--c:var(--{class})")) { (name) }
                }
            }
            (PreEscaped(picture.inline()))
            small {
                "Again by " code { (picture.command) } "; "
                @if !picture.source.is_empty() { (picture.source) "; " }
                a href=(format!("{}.svg", picture.name)) { "as a file" }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::results::tests::made_up;
    use crate::report::{pictures, sheets};

    #[test]
    fn the_page_stands_alone_and_is_escaped() {
        let results = made_up();
        let pictures = pictures::of(&results);
        let page = render(&results, &sheets::of(&results), &pictures);
        assert!(page.starts_with("<!DOCTYPE html>"));
        assert!(page.contains("made &lt;up&gt;") && !page.contains("made <up>"));
        assert_eq!(page.matches("<svg").count(), pictures.len());
        assert!(pictures.iter().all(|picture| page.contains(&format!("href=\"{}.svg\"", picture.name))));
        for outside in ["<script", "<link", "src=", "@import", "url("] {
            assert!(!page.contains(outside), "{outside}");
        }
        assert!(page.contains("prefers-color-scheme:dark") && page.contains("width=device-width"));
        assert_eq!(page.matches("Fragmentation at 10 % kept").count(), 1);
    }
}
