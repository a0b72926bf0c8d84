//! An axis: how far it reaches, and of its labels, which are those of plotters' axes, the ones that are wanted. Pure functions.
//! Invariant: a label stands at the place of the very value that it says.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::{IntoLogRange, LogCoord};

/// How values become places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Equal quotients are equal distances; what is not positive has no place.
    Log,
    /// Equal differences are equal distances, from zero or from just below the least value.
    Linear,
    /// As linear, but of what is counted: no label stands between whole numbers.
    Whole,
}

/// An axis of a plot.
#[derive(Clone, Debug)]
pub struct Axis {
    /// What it shows, with its unit.
    pub label: String,
    /// How.
    pub scale: Scale,
}

impl Axis {
    /// A logarithmic axis.
    pub fn log(label: impl Into<String>) -> Self {
        Self { label: label.into(), scale: Scale::Log }
    }

    /// A linear axis.
    pub fn linear(label: impl Into<String>) -> Self {
        Self { label: label.into(), scale: Scale::Linear }
    }

    /// A linear axis of what is counted.
    pub fn whole(label: impl Into<String>) -> Self {
        Self { label: label.into(), scale: Scale::Whole }
    }

    /// Whether a value has a place.
    pub(super) fn takes(&self, value: f64) -> bool {
        value.is_finite() && (self.scale != Scale::Log || value > 0.0)
    }

    /// The axis over some values that it takes.
    pub(super) fn over(&self, values: impl Iterator<Item = f64>) -> Span {
        let (least, most) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, m), v| (l.min(v), m.max(v)));
        let (from, to) = match self.scale {
            Scale::Log => (least / 1.15, most * 1.15),
            // Zero is part of the picture where it is not far away.
            _ if least >= 0.0 && least < 0.6 * most => (0.0, most * 1.04),
            _ => {
                let room = ((most - least) * 0.06).max(most.abs() * 0.01).max(f64::MIN_POSITIVE);
                (least - room, most + room)
            }
        };
        Span { scale: self.scale, from, to }
    }
}

/// The values that an axis reaches, for plotters.
#[derive(Clone, Debug)]
pub(super) struct Span {
    scale: Scale,
    from: f64,
    to: f64,
}

impl Span {
    fn linear(&self) -> RangedCoordf64 {
        (self.from..self.to).into()
    }

    fn logarithmic(&self) -> LogCoord<f64> {
        (self.from..self.to).log_scale().into()
    }

    /// At most so many values for labels.
    pub(super) fn labels(&self, most: usize) -> Vec<f64> {
        self.key_points(most)
    }
}

impl Ranged for Span {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        match self.scale {
            Scale::Log => self.logarithmic().map(value, limit),
            Scale::Linear | Scale::Whole => self.linear().map(value, limit),
        }
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        let most = hint.max_num_points();
        let linear = || self.linear().key_points(most);
        match self.scale {
            // Powers of ten are too few where the axis is short.
            Scale::Log => Some(self.logarithmic().key_points(most))
                .map(|points| {
                    points
                        .into_iter()
                        .filter(|value| (self.from..=self.to).contains(value))
                        .collect::<Vec<_>>()
                })
                .filter(|points| points.len() > 2)
                .unwrap_or_else(linear),
            Scale::Linear => linear(),
            Scale::Whole => linear().into_iter().filter(|value| value.fract() == 0.0).collect(),
        }
    }

    fn range(&self) -> Range<f64> {
        self.from..self.to
    }
}

impl ValueFormatter<f64> for Span {
    fn format(value: &f64) -> String {
        short(*value)
    }
}

/// A label: 5, 0.2, 3k, 2M.
pub(super) fn short(value: f64) -> String {
    let (scaled, unit) = match value.abs() {
        v if v >= 1e9 => (value / 1e9, "G"),
        v if v >= 1e6 => (value / 1e6, "M"),
        v if v >= 1e3 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let text = if scaled.abs() < 0.1 { format!("{scaled:.4}") } else { format!("{scaled:.3}") };
    format!("{}{unit}", text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis, from: f64, to: f64) -> Vec<String> {
        axis.over([from, to].into_iter()).labels(6).into_iter().map(short).collect()
    }

    #[test]
    fn labels_are_round_few_and_inside() {
        let log = Axis::log("");
        assert_eq!(labels(&log, 1.0, 100.0), ["1", "10", "100"]);
        assert_eq!(labels(&log, 0.02, 30.0), ["0.1", "1", "10"]);
        assert_eq!(labels(&log, 3.0, 2e8), ["10", "1k", "100k", "10M"]);
        assert_eq!(labels(&log, 20.0, 26.0), ["18", "20", "22", "24", "26", "28"], "too narrow for powers");
        let linear = Axis::linear("");
        assert_eq!(labels(&linear, 3.0, 95.0), ["0", "20", "40", "60", "80"]);
        assert_eq!(labels(&linear, 990.0, 1010.0), ["980", "990", "1k", "1.01k", "1.02k"]);
        assert_eq!(labels(&linear, 1.0, 2.0), ["0", "0.5", "1", "1.5", "2"]);
        let whole = Axis::whole("");
        assert_eq!(labels(&whole, 1.0, 2.0), ["0", "1", "2"]);
        assert_eq!(labels(&whole, 1.0, 12.0), ["0", "5", "10"]);
        assert_eq!(labels(&whole, 1.0, 64.0), ["0", "20", "40", "60"]);
    }

    /// From 0 to 1.
    fn place(span: &Span, value: f64) -> f64 {
        f64::from(span.map(&value, (0, 100_000))) / 1e5
    }

    #[test]
    fn places_run_from_one_end_to_the_other() {
        for axis in [Axis::log(""), Axis::linear(""), Axis::whole("")] {
            let span = axis.over([10.0, 1000.0].into_iter());
            let places: Vec<f64> = [10.0, 100.0, 1000.0].map(|value| place(&span, value)).into();
            assert!(places.is_sorted() && places[0] >= 0.0 && places[2] <= 1.0, "{places:?}");
            assert!(span.labels(6).iter().all(|&label| (0.0..=1.0).contains(&place(&span, label))));
            assert!(!axis.takes(f64::NAN) && axis.takes(1.0));
        }
        assert!(!Axis::log("").takes(0.0) && Axis::linear("").takes(0.0));
        let one = Axis::linear("").over(std::iter::once(5.0));
        assert!((place(&one, 5.0) - 0.5).abs() < 1e-4);
    }

    #[test]
    fn values_are_short() {
        let all = [5.0, 0.2, 3000.0, 2_500_000.0, 0.05, 0.0, 4e9].map(short);
        assert_eq!(all, ["5", "0.2", "3k", "2.5M", "0.05", "0", "4G"]);
    }
}
