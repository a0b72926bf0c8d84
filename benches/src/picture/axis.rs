//! An axis: from a value to its place, and where its labels stand. Pure functions. Invariant: a label stands at the place of the
//! very value that it says.

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

/// The values that an axis reaches.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    scale: Scale,
    from: f64,
    to: f64,
}

/// Mantissas of labels within a decade, the most first.
const MANTISSAS: [&[f64]; 4] =
    [&[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0], &[1.0, 2.0, 5.0], &[1.0, 3.0], &[1.0]];
/// Steps of linear labels, as mantissas.
const STEPS: [f64; 4] = [1.0, 2.0, 2.5, 5.0];

impl Span {
    /// Where a value lies, from 0 to 1.
    pub(super) fn place(self, value: f64) -> f64 {
        match self.scale {
            Scale::Log => (value / self.from).ln() / (self.to / self.from).ln(),
            Scale::Linear | Scale::Whole => (value - self.from) / (self.to - self.from),
        }
    }

    /// At most `most` values for labels, evenly spread.
    pub(super) fn labels(self, most: usize) -> Vec<f64> {
        match self.scale {
            Scale::Log => self.log_labels(most).unwrap_or_else(|| self.linear_labels(most)),
            Scale::Linear | Scale::Whole => self.linear_labels(most),
        }
    }

    /// None where fewer than three would fit.
    fn log_labels(self, most: usize) -> Option<Vec<f64>> {
        #[expect(clippy::cast_possible_truncation, reason = "exponents are small")]
        let (first, last) = (self.from.log10().floor() as i32, self.to.log10().ceil() as i32);
        let inside = |values: Vec<f64>| -> Vec<f64> {
            values.into_iter().filter(|value| (self.from..=self.to).contains(value)).collect()
        };
        let of = |mantissas: &[f64], every: i32| {
            let decades = (first..=last).filter(|decade| decade.rem_euclid(every) == 0);
            inside(
                decades.flat_map(|decade| mantissas.iter().map(move |m| m * 10_f64.powi(decade))).collect(),
            )
        };
        let dense = MANTISSAS.iter().map(|mantissas| of(mantissas, 1));
        let sparse = [2, 3, 4, 6].into_iter().map(|every| of(&[1.0], every));
        dense.chain(sparse).find(|labels| labels.len() <= most).filter(|labels| labels.len() >= 3)
    }

    fn linear_labels(self, most: usize) -> Vec<f64> {
        let range = self.to - self.from;
        #[expect(clippy::cast_possible_truncation, reason = "exponents are small")]
        let decade = (range / most as f64).log10().floor() as i32;
        let steps = (0..3).flat_map(|more| STEPS.map(|step| step * 10_f64.powi(decade + more)));
        let least = if self.scale == Scale::Whole { 1.0 } else { 0.0 };
        let fits = |step: &f64| *step >= least && range / step < most as f64;
        // Two and a half is no step of what is counted.
        let may = |step: &f64| self.scale != Scale::Whole || step.fract() == 0.0;
        let step = steps.into_iter().find(|step| fits(step) && may(step)).unwrap_or(range);
        #[expect(clippy::cast_possible_truncation, reason = "a few labels")]
        let (first, last) = ((self.from / step).ceil() as i64, (self.to / step).floor() as i64);
        (first..=last).map(|nth| nth as f64 * step).collect()
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
        assert_eq!(labels(&log, 1.0, 100.0), ["1", "3", "10", "30", "100"]);
        assert_eq!(labels(&log, 0.02, 30.0), ["0.1", "1", "10"]);
        assert_eq!(labels(&log, 3.0, 2e8), ["100", "10k", "1M", "100M"]);
        assert_eq!(labels(&log, 20.0, 26.0), ["17.5", "20", "22.5", "25", "27.5"], "too narrow for powers");
        let linear = Axis::linear("");
        assert_eq!(labels(&linear, 3.0, 95.0), ["0", "20", "40", "60", "80"]);
        assert_eq!(labels(&linear, 990.0, 1010.0), ["980", "990", "1k", "1.01k", "1.02k"]);
        assert_eq!(labels(&linear, 1.0, 2.0), ["0", "0.5", "1", "1.5", "2"]);
        let whole = Axis::whole("");
        assert_eq!(labels(&whole, 1.0, 2.0), ["0", "1", "2"]);
        assert_eq!(labels(&whole, 1.0, 12.0), ["0", "5", "10"]);
        assert_eq!(labels(&whole, 1.0, 64.0), ["0", "20", "40", "60"]);
    }

    #[test]
    fn places_run_from_one_end_to_the_other() {
        for axis in [Axis::log(""), Axis::linear(""), Axis::whole("")] {
            let span = axis.over([10.0, 1000.0].into_iter());
            let places: Vec<f64> = [10.0, 100.0, 1000.0].map(|value| span.place(value)).into();
            assert!(places.is_sorted() && places[0] >= 0.0 && places[2] <= 1.0, "{places:?}");
            assert!(span.labels(6).iter().all(|&label| (0.0..=1.0).contains(&span.place(label))));
            assert!(!axis.takes(f64::NAN) && axis.takes(1.0));
        }
        assert!(!Axis::log("").takes(0.0) && Axis::linear("").takes(0.0));
        let one = Axis::linear("").over(std::iter::once(5.0));
        assert!((one.place(5.0) - 0.5).abs() < 1e-9);
    }

    #[test]
    fn values_are_short() {
        let all = [5.0, 0.2, 3000.0, 2_500_000.0, 0.05, 0.0, 4e9].map(short);
        assert_eq!(all, ["5", "0.2", "3k", "2.5M", "0.05", "0", "4G"]);
    }
}
