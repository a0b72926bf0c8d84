//! Repeated measurements of one thing. Owned by the command that measures; goes into a record as one figure.
//! Invariant: the median and the spread are of at least one finite value.

/// Values of one metric, one a round.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Samples {
    values: Vec<f64>,
}

impl Samples {
    /// No value yet.
    pub const fn new() -> Self {
        Self { values: Vec::new() }
    }

    /// Adds one round's value.
    ///
    /// # Panics
    /// When the value is not finite: a figure that is none must not get as far as a record.
    pub fn push(&mut self, value: f64) {
        assert!(value.is_finite(), "a measured value is finite");
        self.values.push(value);
    }

    /// The values, in the order of the rounds.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// The mean of several things' values, round by round, for as many rounds as all of them had.
    pub fn mean_of(all: &[&Self]) -> Self {
        let rounds = all.iter().map(|samples| samples.values.len()).min().unwrap_or(0);
        let mean = |round| all.iter().map(|samples| samples.values[round]).sum::<f64>() / all.len() as f64;
        (0..rounds).map(mean).collect()
    }

    /// How many rounds there were.
    pub fn rounds(&self) -> u32 {
        self.values.len() as u32
    }

    /// Whether nothing was measured.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The middle value (mean of the middle two), 0 when there is none. O(n log n).
    pub fn median(&self) -> f64 {
        self.quartile(2)
    }

    /// The median of counts or bytes, rounded.
    #[expect(clippy::cast_sign_loss, reason = "counts and bytes are not negative, and a cast saturates")]
    pub fn median_count(&self) -> u64 {
        self.median().round() as u64
    }

    /// Distance between the quartiles over the median: 0.1 reads "half of the rounds lie within 10 % of each other".
    pub fn spread(&self) -> f64 {
        let median = self.median();
        if median == 0.0 { 0.0 } else { (self.quartile(3) - self.quartile(1)) / median.abs() }
    }

    /// The value that so many quarters of the values lie below, between two neighbours in proportion.
    fn quartile(&self, quarters: usize) -> f64 {
        let mut sorted = self.values.clone();
        sorted.sort_by(f64::total_cmp);
        let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
        let (place, rest) = (quarters * last / 4, quarters * last % 4);
        let below = sorted[place];
        let above = sorted[(place + 1).min(last)];
        below + (above - below) * rest as f64 / 4.0
    }
}

/// The geometric mean; none of nothing.
pub fn geometric_mean(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let (count, sum) =
        values.into_iter().fold((0_u32, 0.0), |(count, sum), value| (count + 1, sum + value.ln()));
    (count > 0).then(|| (sum / f64::from(count)).exp())
}

impl FromIterator<f64> for Samples {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        let mut samples = Self::new();
        values.into_iter().for_each(|value| samples.push(value));
        samples
    }
}

impl Extend<f64> for Samples {
    fn extend<I: IntoIterator<Item = f64>>(&mut self, values: I) {
        values.into_iter().for_each(|value| self.push(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_and_spread() {
        let samples: Samples = [5.0, 1.0, 3.0, 2.0, 4.0].into_iter().collect();
        assert!((samples.median() - 3.0).abs() < 1e-12);
        assert!((samples.spread() - 2.0 / 3.0).abs() < 1e-12);
        let even: Samples = [1.0, 2.0].into_iter().collect();
        assert!((even.median() - 1.5).abs() < 1e-12);
        let none = Samples::new();
        assert!(none.is_empty() && none.median_count() == 0 && none.spread().abs() < 1e-12);
    }

    #[test]
    fn means() {
        assert_eq!(geometric_mean([2.0, 8.0]), Some(4.0));
        assert_eq!(geometric_mean([]), None);
        let (one, two): (Samples, Samples) =
            ([1.0, 2.0].into_iter().collect(), [3.0, 6.0, 9.0].into_iter().collect());
        assert_eq!(Samples::mean_of(&[&one, &two]), [2.0, 4.0].into_iter().collect());
        assert!(Samples::mean_of(&[]).is_empty());
    }

    #[test]
    #[should_panic(expected = "finite")]
    fn refuses_what_is_no_number() {
        Samples::new().push(f64::NAN);
    }
}
