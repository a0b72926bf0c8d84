//! The field that lines and bars are drawn in: axes, labels and grid by plotters, colours by class. Pure functions. Invariant: what is
//! drawn has the class of each of our colours beside its light value.

use std::error::Error;

use maud::PreEscaped;
use plotters::prelude::{
    BLACK, Cartesian2d, ChartBuilder, ChartContext, IntoDrawingArea, RGBColor, SVGBackend,
};

use super::axis::{Axis, Span, short};
use super::{COLOURS, Drawn, FONT, GRID, INK, LETTER, TEXT, WIDTH};

/// Height of field, labels and the axis's name.
pub(super) const HEIGHT: f64 = 405.0;
/// Above the field, and to its right.
pub(super) const MARGIN: f64 = 14.0;
/// Below the field: the labels and the axis's name.
pub(super) const BELOW: f64 = TEXT * 2.9;
/// Labels of an axis at most.
const LABELS: usize = 6;

/// What series are drawn on.
pub(super) type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<Span, Span>>;

/// A field with its two axes, each over so much, and in it what `series` draws.
pub(super) fn drawn_on(
    x: (&Axis, Span),
    y: (&Axis, Span),
    series: impl FnOnce(&mut Chart<'_, '_>) -> Result<(), Box<dyn Error>>,
) -> Drawn {
    let mut svg = String::new();
    // Nothing else fails than a picture without series, which nobody draws, or without room.
    let drawn = draw(&mut svg, x, y, series).map_or_else(|_| String::new(), |()| styled(&svg));
    Drawn { markup: PreEscaped(drawn), height: HEIGHT }
}

fn draw(
    svg: &mut String,
    (x, across): (&Axis, Span),
    (y, up): (&Axis, Span),
    series: impl FnOnce(&mut Chart<'_, '_>) -> Result<(), Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    let widest = |axis: &Span| {
        let letters = axis.labels(LABELS).into_iter().map(|label| short(label).chars().count()).max();
        letters.unwrap_or(0) as f64 * LETTER
    };
    let left = TEXT * 2.2 + widest(&up);
    // A label stands around its place, which may be the field's end.
    let right = MARGIN.max(widest(&across) / 2.0);
    let ink = rgb(INK.1);
    let text = (FONT, TEXT, &ink);
    let area = SVGBackend::with_string(svg, (pixels(WIDTH), pixels(HEIGHT))).into_drawing_area();
    let mut chart = ChartBuilder::on(&area)
        .margin(pixels(MARGIN))
        .margin_right(pixels(right))
        .x_label_area_size(pixels(BELOW - MARGIN))
        .y_label_area_size(pixels(left - MARGIN))
        .build_cartesian_2d(across, up)?;
    chart
        .configure_mesh()
        .axis_style(ink)
        .bold_line_style(rgb(GRID.1))
        .max_light_lines(0)
        .label_style(text)
        .axis_desc_style(text)
        .x_labels(LABELS)
        .y_labels(LABELS)
        .x_desc(&x.label)
        .y_desc(&y.label)
        .draw()?;
    series(&mut chart)?;
    area.present()?;
    Ok(())
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "sizes of a picture")]
fn pixels(size: f64) -> u32 {
    size.round() as u32
}

/// A colour of the light scheme.
pub(super) fn rgb(colour: &str) -> RGBColor {
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
