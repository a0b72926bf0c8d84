//! Lines over two axes. Pure functions. Invariant: a point without a place on an axis is left out, and so is a line without points.

use plotters::prelude::{Circle, DashedLineSeries, LineSeries, ShapeStyle};

use super::axis::Axis;
use super::field::{Chart, drawn_on, rgb};
use super::{Drawn, tone};

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
        drawn_on((&self.x, x), (&self.y, y), |chart| self.draw_lines(chart))
    }

    fn draw_lines(&self, chart: &mut Chart<'_, '_>) -> Result<(), Box<dyn std::error::Error>> {
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
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::WIDTH;
    use super::super::field::{BELOW, HEIGHT, MARGIN};
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
