//! Lines over two axes. Pure functions. Invariant: a point without a place on an axis is left out, and so is a line without points.

use maud::PreEscaped;
use plotters::prelude::{
    BLACK, ChartBuilder, Circle, DashedLineSeries, IntoDrawingArea, LineSeries, RGBColor, SVGBackend,
    ShapeStyle,
};

use super::axis::{Axis, Span, short};
use super::{COLOURS, Drawn, FONT, GRID, INK, LETTER, TEXT, WIDTH, tone};

/// Height of field, labels and the axis's name.
const HEIGHT: f64 = 405.0;
/// Above the field, and to its right.
const MARGIN: f64 = 14.0;
/// Below the field: the labels and the axis's name.
const BELOW: f64 = TEXT * 2.9;
/// Labels of an axis at most.
const LABELS: usize = 6;
/// A line with more points is a curve, and needs no marks.
const MARKED: usize = 24;

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

impl Plot {
    fn points<'a>(&'a self, line: &'a Line) -> impl Iterator<Item = (f64, f64)> + Clone + 'a {
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
        let mut svg = String::new();
        // Nothing else fails than a picture without lines, which nobody draws, or without room.
        let drawn = self.draw_on(&mut svg, x, y).map_or_else(|_| String::new(), |()| styled(&svg));
        Drawn { markup: PreEscaped(drawn), height: HEIGHT }
    }

    fn draw_on(&self, svg: &mut String, x: Span, y: Span) -> Result<(), Box<dyn std::error::Error>> {
        let widest = |axis: &Span| {
            let letters = axis.labels(LABELS).into_iter().map(|label| short(label).chars().count()).max();
            letters.unwrap_or(0) as f64 * LETTER
        };
        let left = TEXT * 2.2 + widest(&y);
        // A label stands around its place, which may be the field's end.
        let right = MARGIN.max(widest(&x) / 2.0);
        let ink = rgb(INK.1);
        let text = (FONT, TEXT, &ink);
        let area = SVGBackend::with_string(svg, (pixels(WIDTH), pixels(HEIGHT))).into_drawing_area();
        let mut chart = ChartBuilder::on(&area)
            .margin(pixels(MARGIN))
            .margin_right(pixels(right))
            .x_label_area_size(pixels(BELOW - MARGIN))
            .y_label_area_size(pixels(left - MARGIN))
            .build_cartesian_2d(x, y)?;
        chart
            .configure_mesh()
            .axis_style(ink)
            .bold_line_style(rgb(GRID.1))
            .max_light_lines(0)
            .label_style(text)
            .axis_desc_style(text)
            .x_labels(LABELS)
            .y_labels(LABELS)
            .x_desc(&self.x.label)
            .y_desc(&self.y.label)
            .draw()?;
        for (line, colour) in self.key() {
            let style = ShapeStyle { color: rgb(colour.1).into(), filled: true, stroke_width: 3 };
            let points = || self.points(line);
            if line.dashed {
                chart.draw_series(DashedLineSeries::new(points(), 7, 6, style))?;
                continue;
            }
            chart.draw_series(LineSeries::new(points(), style))?;
            if points().count() <= MARKED {
                chart.draw_series(points().map(|point| Circle::new(point, 4, style)))?;
            }
        }
        area.present()?;
        Ok(())
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "sizes of a picture")]
fn pixels(size: f64) -> u32 {
    size.round() as u32
}

/// A colour of the light scheme.
fn rgb(colour: &str) -> RGBColor {
    let part = |at: usize| colour.get(at..at + 2).and_then(|part| u8::from_str_radix(part, 16).ok());
    match (part(1), part(3), part(5)) {
        (Some(red), Some(green), Some(blue)) => RGBColor(red, green, blue),
        _ => BLACK,
    }
}

/// What plotters drew, without its outermost element, each colour with the class that follows the reader's scheme.
fn styled(svg: &str) -> String {
    let inside = svg.split_once("<svg").and_then(|(_, rest)| Some(rest.split_once('>')?.1));
    let mut drawn =
        inside.and_then(|rest| rest.rsplit_once("</svg>")).map_or("", |(drawn, _)| drawn).replace('\n', "");
    for (class, light, _) in COLOURS {
        for (kind, attribute) in [('f', "fill"), ('s', "stroke")] {
            let plain = format!("{attribute}=\"{}\"", light.to_uppercase());
            drawn = drawn.replace(&plain, &format!("class=\"{kind}-{class}\" {attribute}=\"{light}\""));
        }
    }
    drawn
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
            y.is_sorted() && y.iter().all(|y| (MARGIN..HEIGHT - BELOW).contains(y)),
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
