//! Pictures as SVG, for the report's page and as files of their own: what they look like, not what they show. Plain values and pure
//! functions. Invariant: a picture loads nothing, follows the reader's light or dark scheme where the viewer knows style sheets, and
//! is drawn in the light colours elsewhere.

use maud::{Markup, PreEscaped, html};

mod axis;
mod bars;
mod field;
mod heat;
mod plot;
pub mod recorded;

pub use axis::{Axis, Scale};
pub use bars::{Bars, Bucket};
pub use heat::Heat;
pub use plot::{Line, Plot};

/// Width in SVG units; a page scales it.
const WIDTH: f64 = 680.0;
/// Size of text in SVG units: still legible when a phone halves it.
const TEXT: f64 = 21.0;
/// What a letter of that size takes on average, generously.
const LETTER: f64 = TEXT * 0.62;
const FONT: &str = "system-ui, sans-serif";

/// Every colour: its class, what it is in the light scheme and in the dark one. The first three are not of lines.
const COLOURS: [(&str, &str, &str); 11] = [
    ("paper", "#fdfdfb", "#15171a"),
    ("ink", "#1c1e21", "#e6e6e3"),
    ("grid", "#d9d9d4", "#3a3d42"),
    ("one", "#0b6bcb", "#5fb0ff"),
    ("two", "#c4540a", "#ff9d57"),
    ("three", "#2a8445", "#67d18a"),
    ("four", "#8a3ffc", "#c3a1ff"),
    ("five", "#b0245f", "#ff85b5"),
    ("six", "#7a6a00", "#d8c64a"),
    ("seven", "#00767a", "#4fd0d4"),
    ("eight", "#6b6f76", "#a0a6b0"),
];

/// The colour of the n-th line: its class, and what it is in the light scheme.
fn tone(nth: usize) -> (&'static str, &'static str) {
    let (class, light, _) = COLOURS[3 + nth % (COLOURS.len() - 3)];
    (class, light)
}

const INK: (&str, &str) = (COLOURS[1].0, COLOURS[1].1);
const GRID: (&str, &str) = (COLOURS[2].0, COLOURS[2].1);

/// The style sheet that pictures need, for the page they stand on.
pub fn style() -> String {
    let scheme = |dark: bool| -> String {
        let colour = |(class, light, night)| format!("--{class}:{};", if dark { night } else { light });
        COLOURS.map(colour).concat()
    };
    let rules = COLOURS.map(|(class, ..)| {
        format!("svg .s-{class}{{stroke:var(--{class})}}svg .f-{class}{{fill:var(--{class})}}")
    });
    let rules = rules.concat();
    format!(":root{{{}}}@media(prefers-color-scheme:dark){{:root{{{}}}}}{rules}", scheme(false), scheme(true))
}

/// What a picture is drawn from.
#[derive(Clone, Debug)]
pub enum Body {
    /// Lines over two axes.
    Lines(Plot),
    /// Bars over buckets.
    Bars(Bars),
    /// Cells in rows and columns.
    Cells(Heat),
}

/// One picture.
#[derive(Clone, Debug)]
pub struct Picture {
    /// Its file's name without the ending.
    pub name: &'static str,
    /// What it shows.
    pub title: String,
    /// The command that measures it again.
    pub command: String,
    /// Where and when its figures were measured; empty where the page says it for all.
    pub source: String,
    /// What is drawn.
    pub body: Body,
}

/// Part of a picture: elements, and how high they are.
struct Drawn {
    markup: Markup,
    height: f64,
}

impl Picture {
    /// Whether there is anything to draw.
    pub fn is_empty(&self) -> bool {
        match &self.body {
            Body::Lines(plot) => plot.is_empty(),
            Body::Bars(bars) => bars.is_empty(),
            Body::Cells(heat) => heat.is_empty(),
        }
    }

    /// The names and colours of its lines: class, and whether it is dashed.
    pub fn key(&self) -> Vec<(&str, &'static str, bool)> {
        match &self.body {
            Body::Lines(plot) => {
                plot.key().map(|(line, (class, _))| (line.name.as_str(), class, line.dashed)).collect()
            }
            Body::Bars(bars) => bars.key().map(|(name, class)| (name, class, false)).collect(),
            Body::Cells(_) => Vec::new(),
        }
    }

    fn drawn(&self) -> Drawn {
        match &self.body {
            Body::Lines(plot) => plot.draw(),
            Body::Bars(bars) => bars.draw(),
            Body::Cells(heat) => heat.draw(),
        }
    }

    /// The picture as an `<svg>` element of a page that has [`style`]; title and key are the page's.
    pub fn inline(&self) -> String {
        let Drawn { markup, height } = self.drawn();
        let picture = html! {
            svg viewBox=(format!("0 0 {WIDTH} {height:.0}")) role="img" aria-label=(self.title) font-family=(FONT) { (markup) }
        };
        picture.into_string()
    }

    /// The picture as a file, with all that the page would say.
    pub fn file(&self) -> String {
        let title = wrapped(&self.title, WIDTH - 24.0);
        let top = 16.0 + TEXT * 1.3 * title.len() as f64;
        let Drawn { markup, height } = self.drawn();
        let (key, key_height) = self.key_lines(top + height);
        let note = if self.source.is_empty() {
            self.command.clone()
        } else {
            format!("{}; {}", self.command, self.source)
        };
        let below = top + height + key_height;
        let note: Vec<String> = wrapped(&note, (WIDTH - 24.0) * 1.35);
        let whole = below + 10.0 + note.len() as f64 * TEXT;
        let picture = html! {
            svg xmlns="http://www.w3.org/2000/svg" width=(WIDTH) height=(format!("{whole:.0}"))
                viewBox=(format!("0 0 {WIDTH} {whole:.0}")) role="img" aria-label=(self.title) font-family=(FONT) {
                style { (PreEscaped(style())) }
                rect class="f-paper" fill=(COLOURS[0].1) width=(WIDTH) height=(format!("{whole:.0}")) {}
                @for (nth, line) in title.iter().enumerate() {
                    (text(12.0, 12.0 + TEXT * (1.0 + 1.3 * nth as f64), "start", TEXT, line))
                }
                g transform=(format!("translate(0 {top:.1})")) { (markup) }
                (key)
                @for (nth, line) in note.iter().enumerate() {
                    (text(12.0, below + TEXT * (0.8 + nth as f64), "start", TEXT * 0.72, line))
                }
            }
        };
        picture.into_string() + "\n"
    }

    /// The key below the drawing, as many lines as it needs, and their height.
    fn key_lines(&self, top: f64) -> (Markup, f64) {
        let (mut x, mut row) = (12.0, 0);
        let mut places = Vec::new();
        for (nth, (name, class, dashed)) in self.key().into_iter().enumerate() {
            let width = 44.0 + name.chars().count() as f64 * LETTER;
            if x > 12.0 && x + width > WIDTH {
                (x, row) = (12.0, row + 1);
            }
            places.push((x, top + TEXT * (0.7 + 1.35 * f64::from(row)), name, class, tone(nth).1, dashed));
            x += width + 14.0;
        }
        let height = if places.is_empty() { 0.0 } else { TEXT * 1.35 * f64::from(row + 1) };
        let markup = html! {
            @for (x, y, name, class, colour, dashed) in &places {
                (rule(&format!("M{x:.1} {y:.1}h28"), (class, colour), 3.0, *dashed))
                (text(x + 36.0, y + TEXT * 0.35, "start", TEXT, name))
            }
        };
        (markup, height)
    }
}

/// A text in ink.
fn text(x: f64, y: f64, anchor: &str, size: f64, what: &str) -> Markup {
    html! {
        text class=(format!("f-{}", INK.0)) fill=(INK.1) x=(format!("{x:.1}")) y=(format!("{y:.1}")) text-anchor=(anchor)
            font-size=(format!("{size:.1}")) { (what) }
    }
}

/// A line along `path`.
fn rule(path: &str, (class, colour): (&str, &str), width: f64, dashed: bool) -> Markup {
    html! {
        path class=(format!("s-{class}")) stroke=(colour) d=(path) fill="none" stroke-width=(width)
            stroke-dasharray=[dashed.then_some("7 6")] stroke-linejoin="round" {}
    }
}

/// Words in lines that are not wider than `width`, as far as words allow.
fn wrapped(words: &str, width: f64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words.split_whitespace() {
        match lines.last_mut() {
            Some(line) if (line.chars().count() + 1 + word.chars().count()) as f64 * LETTER <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture() -> Picture {
        let line = |name: &str, dashed| Line {
            name: name.into(),
            points: vec![(1.0, 30.0), (10.0, 12.0), (100.0, 9.0)],
            dashed,
        };
        Picture {
            name: "made-up",
            title: "A title that is <long> enough to need a second line, since nobody reads titles that run out of their picture".into(),
            command: "bucketmask scan".into(),
            source: "yesterday".into(),
            body: Body::Lines(Plot {
                x: Axis::log("percent kept"),
                y: Axis::log("ns"),
                lines: vec![line("mask", false), line("a name that is as long as names get, and then some", true), line("x", false)],
            }),
        }
    }

    #[test]
    fn files_stand_alone() {
        let file = picture().file();
        assert!(file.starts_with("<svg xmlns=") && file.trim_end().ends_with("</svg>"), "{file}");
        for part in [
            "&lt;long&gt;",
            "bucketmask scan; yesterday",
            "prefers-color-scheme:dark",
            ">mask<",
            "stroke-dasharray",
        ] {
            assert!(file.contains(part), "{part}: {file}");
        }
        for outside in ["<script", "href", "url(", "@import", "src="] {
            assert!(!file.contains(outside), "{outside}");
        }
        // Every class has its rule, every colour its fallback.
        for (at, _) in file.match_indices("class=\"") {
            let class = file[at + 7..].split('"').next().unwrap();
            assert!(style().contains(&format!(".{class}{{")), "{class}");
        }
    }

    #[test]
    fn inline_pictures_leave_title_key_and_style_to_the_page() {
        let inline = picture().inline();
        assert!(
            inline.starts_with("<svg") && !inline.contains("<style") && !inline.contains(">mask<"),
            "{inline}"
        );
        assert_eq!(picture().key().iter().map(|key| key.1).collect::<Vec<_>>(), ["one", "two", "three"]);
    }

    #[test]
    fn words_are_wrapped_and_never_lost() {
        let words = "one two three four five six seven";
        let lines = wrapped(words, LETTER * 10.0);
        assert_eq!(lines.join(" "), words);
        assert!(lines.len() > 2 && lines.iter().all(|line| line.len() <= 10), "{lines:?}");
        assert_eq!(wrapped("unbreakable", 1.0), ["unbreakable"]);
    }
}
