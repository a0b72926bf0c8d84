//! Lines over two axes. Pure functions. Invariant: a point without a place on an axis is left out, and so is a line without points.

use maud::{Markup, html};

use super::axis::{Axis, Span, short};
use super::{Drawn, GRID, LETTER, TEXT, WIDTH, rule, text, tone};

/// Height of the field.
const FIELD: f64 = 330.0;
/// Above the field, and to its right.
const MARGIN: f64 = 14.0;
/// Below the field: the labels and the axis's name.
const BELOW: f64 = TEXT * 2.9;

/// One line.
#[derive(Clone, Debug)]
pub struct Line {
    /// Its name.
    pub name: String,
    /// Its points, in the order of the line.
    pub points: Vec<(f64, f64)>,
    /// A bound and not a measured side.
    pub dashed: bool,
}

/// Lines over two axes.
#[derive(Clone, Debug)]
pub struct Plot {
    /// To the right.
    pub x: Axis,
    /// Upwards.
    pub y: Axis,
    /// At most eight, else colours come twice.
    pub lines: Vec<Line>,
}

/// The field in a picture: where values lie.
struct Field {
    x: Span,
    y: Span,
    left: f64,
}

impl Field {
    fn across(&self, value: f64) -> f64 {
        self.left + self.x.place(value) * (WIDTH - MARGIN - self.left)
    }

    fn down(&self, value: f64) -> f64 {
        MARGIN + (1.0 - self.y.place(value)) * FIELD
    }
}

impl Plot {
    fn points<'a>(&'a self, line: &'a Line) -> impl Iterator<Item = (f64, f64)> + 'a {
        line.points.iter().copied().filter(|&(x, y)| self.x.takes(x) && self.y.takes(y))
    }

    fn shown(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(|line| self.points(line).next().is_some())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.shown().next().is_none()
    }

    /// Its lines and their colours.
    pub(super) fn key(&self) -> impl Iterator<Item = (&Line, (&'static str, &'static str))> {
        self.shown().enumerate().map(|(nth, line)| (line, tone(nth)))
    }

    pub(super) fn draw(&self) -> Drawn {
        let all = || self.shown().flat_map(|line| self.points(line));
        let (x, y) = (self.x.over(all().map(|point| point.0)), self.y.over(all().map(|point| point.1)));
        let widest = y.labels(6).into_iter().map(|label| short(label).chars().count()).max().unwrap_or(0);
        let field = Field { x, y, left: TEXT * 2.2 + widest as f64 * LETTER };
        let markup = html! {
            (self.axes(&field))
            @for (line, colour) in self.key() { (self.line(line, colour, &field)) }
        };
        Drawn { markup, height: MARGIN + FIELD + BELOW }
    }

    fn axes(&self, field: &Field) -> Markup {
        let (left, right, bottom) = (field.left, WIDTH - MARGIN, MARGIN + FIELD);
        let middle = MARGIN + FIELD / 2.0;
        html! {
            @for label in field.y.labels(6) {
                @let at = field.down(label);
                (rule(&format!("M{left:.1} {at:.1}H{right:.1}"), GRID, 1.0, false))
                (text(left - 8.0, at + TEXT * 0.35, "end", TEXT, &short(label)))
            }
            @for label in field.x.labels(6) {
                @let at = field.across(label);
                (rule(&format!("M{at:.1} {MARGIN:.1}V{bottom:.1}"), GRID, 1.0, false))
                (text(at, bottom + TEXT * 1.2, "middle", TEXT, &short(label)))
            }
            (rule(&format!("M{left:.1} {MARGIN:.1}V{bottom:.1}H{right:.1}"), super::INK, 1.5, false))
            (text(f64::midpoint(left, right), bottom + TEXT * 2.4, "middle", TEXT, &self.x.label))
            g transform=(format!("rotate(-90 {TEXT:.1} {middle:.1})")) {
                (text(TEXT, middle, "middle", TEXT, &self.y.label))
            }
        }
    }

    fn line(&self, line: &Line, colour: (&str, &str), field: &Field) -> Markup {
        let places: Vec<(f64, f64)> =
            self.points(line).map(|(x, y)| (field.across(x), field.down(y))).collect();
        let path: Vec<String> = places.iter().map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
        html! {
            (rule(&format!("M{}", path.join("L")), colour, 3.0, line.dashed))
            // Many points are a curve, and need no marks.
            @if places.len() <= 24 && !line.dashed {
                @for (x, y) in &places {
                    circle class=(format!("f-{}", colour.0)) fill=(colour.1) cx=(format!("{x:.1}")) cy=(format!("{y:.1}")) r="4.5" {}
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(points: Vec<(f64, f64)>) -> Plot {
        let line = |name: &str, points| Line { name: name.into(), points, dashed: false };
        Plot {
            x: Axis::log("percent"),
            y: Axis::log("ns"),
            lines: vec![line("none", Vec::new()), line("mask", points)],
        }
    }

    #[test]
    fn points_lie_in_the_field_and_rise_upwards() {
        let drawn =
            plot(vec![(1.0, 30.0), (10.0, 12.0), (100.0, 9.0), (5.0, 0.0)]).draw().markup.into_string();
        assert_eq!(drawn.matches("<circle").count(), 3, "{drawn}");
        let numbers = |name: &str| -> Vec<f64> {
            drawn
                .split(&format!(" {name}=\""))
                .skip(1)
                .map(|rest| rest.split('"').next().unwrap().parse().unwrap())
                .collect()
        };
        let (x, y) = (numbers("cx"), numbers("cy"));
        assert!(x.is_sorted() && x.iter().all(|x| (0.0..WIDTH).contains(x)), "{x:?}");
        assert!(
            y.is_sorted() && y.iter().all(|y| (MARGIN..MARGIN + FIELD).contains(y)),
            "higher values lie higher: {y:?}"
        );
        assert!(drawn.contains("percent") && drawn.contains(">100<"), "{drawn}");
    }

    #[test]
    fn what_has_no_points_is_not_drawn() {
        let whole = plot(vec![(1.0, 1.0)]);
        assert_eq!(whole.key().map(|(line, _)| line.name.as_str()).collect::<Vec<_>>(), ["mask"]);
        assert!(!whole.is_empty() && plot(vec![(1.0, 0.0), (2.0, f64::NAN)]).is_empty());
    }
}
