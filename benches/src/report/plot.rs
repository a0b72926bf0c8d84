//! Line plots as inline SVG whose colours follow the page's light or dark scheme. Pure functions. Invariant: every colour
//! drawn is one of the sentinels that the page's style sheet maps.

use plotters::prelude::{
    ChartBuilder, Circle, IntoDrawingArea, IntoLogRange, LineSeries, RGBColor, SVGBackend, ShapeStyle,
};

/// Width and height in SVG units; the page scales it.
const SIZE: (u32, u32) = (680, 420);
/// Text in SVG units: still legible when a phone halves it.
const TEXT: (&str, u32) = ("sans-serif", 24);

const INK: RGBColor = RGBColor(1, 1, 1);
const GRID: RGBColor = RGBColor(2, 2, 2);
const SERIES: [RGBColor; 4] = [RGBColor(3, 3, 1), RGBColor(3, 3, 2), RGBColor(3, 3, 3), RGBColor(3, 3, 4)];

/// (sentinel as it stands in the SVG, CSS custom property that replaces it).
pub(super) const COLOURS: [(&str, &str); 6] = [
    ("#010101", "--ink"),
    ("#020202", "--grid"),
    ("#030301", "--one"),
    ("#030302", "--two"),
    ("#030303", "--three"),
    ("#030304", "--four"),
];

/// A plot with logarithmic axes.
pub(super) struct Plot {
    /// What the x axis shows, with its unit.
    pub(super) x: &'static str,
    /// What the y axis shows, with its unit.
    pub(super) y: &'static str,
    /// At most four named lines; points with a coordinate that is not positive are left out.
    pub(super) lines: Vec<(String, Vec<(f64, f64)>)>,
}

impl Plot {
    /// The plot as an `<svg>` element; empty when there is nothing to draw.
    pub(super) fn to_svg(&self) -> String {
        let points = || self.lines.iter().flat_map(|(_, points)| points).filter(|point| drawable(point));
        let range = |of: fn(&(f64, f64)) -> f64| {
            let (low, high) = points().map(of).fold((f64::MAX, 0.0_f64), |(l, h), v| (l.min(v), h.max(v)));
            (low * 0.8)..(high * 1.25)
        };
        if points().next().is_none() {
            return String::new();
        }
        let mut svg = String::new();
        let drawn = self.draw(&mut svg, range(|point| point.0), range(|point| point.1));
        if drawn.is_err() { String::new() } else { svg }
    }

    fn draw(
        &self,
        svg: &mut String,
        x: std::ops::Range<f64>,
        y: std::ops::Range<f64>,
    ) -> Result<(), Box<dyn std::error::Error>> {
        let area = SVGBackend::with_string(svg, SIZE).into_drawing_area();
        let mut chart = ChartBuilder::on(&area)
            .margin(12)
            .x_label_area_size(64)
            .y_label_area_size(96)
            .build_cartesian_2d(x.log_scale(), y.log_scale())?;
        chart
            .configure_mesh()
            .axis_style(INK)
            .bold_line_style(GRID)
            .light_line_style(ShapeStyle { color: GRID.into(), filled: false, stroke_width: 0 })
            .label_style((TEXT.0, TEXT.1, &INK))
            .axis_desc_style((TEXT.0, TEXT.1, &INK))
            .x_labels(6)
            .y_labels(5)
            .x_desc(self.x)
            .y_desc(self.y)
            .x_label_formatter(&|value| short(*value))
            .y_label_formatter(&|value| short(*value))
            .draw()?;
        for ((_, points), colour) in self.lines.iter().zip(SERIES) {
            let style = ShapeStyle { color: colour.into(), filled: true, stroke_width: 3 };
            let kept = || points.iter().copied().filter(drawable);
            chart.draw_series(LineSeries::new(kept(), style))?;
            chart.draw_series(kept().map(|point| Circle::new(point, 4, style)))?;
        }
        area.present()?;
        Ok(())
    }
}

fn drawable(&(x, y): &(f64, f64)) -> bool {
    x > 0.0 && y > 0.0 && x.is_finite() && y.is_finite()
}

/// An axis label: 5, 0.2, 3k, 2M.
fn short(value: f64) -> String {
    let (scaled, unit) = match value {
        v if v >= 1e6 => (v / 1e6, "M"),
        v if v >= 1e3 => (v / 1e3, "k"),
        v => (v, ""),
    };
    let text = format!("{scaled:.2}");
    format!("{}{unit}", text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(points: Vec<(f64, f64)>) -> Plot {
        Plot { x: "percent kept", y: "ns a live object", lines: vec![("mask".into(), points)] }
    }

    #[test]
    fn draws_with_the_sentinel_colours_only() {
        let svg = plot(vec![(1.0, 30.0), (10.0, 12.0), (100.0, 9.0)]).to_svg();
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"), "{svg}");
        assert!(svg.contains("percent kept") && svg.matches("<circle").count() == 3, "{svg}");
        let mut colours: Vec<&str> = svg.match_indices('#').map(|(at, _)| &svg[at..at + 7]).collect();
        colours.sort_unstable();
        colours.dedup();
        assert!(colours.iter().all(|colour| COLOURS.iter().any(|(known, _)| known == colour)), "{colours:?}");
    }

    #[test]
    fn nothing_to_draw_is_nothing() {
        assert_eq!(plot(Vec::new()).to_svg(), "");
        assert_eq!(plot(vec![(1.0, 0.0), (2.0, f64::NAN)]).to_svg(), "");
    }

    #[test]
    fn labels_are_short() {
        assert_eq!(short(5.0), "5");
        assert_eq!(short(0.2), "0.2");
        assert_eq!(short(3000.0), "3k");
        assert_eq!(short(2_500_000.0), "2.5M");
    }
}
