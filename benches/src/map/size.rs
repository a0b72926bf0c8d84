//! How many entries a map has, as asked for on the command line and as part of cases. Plain values. Invariant: a size's
//! name reads back as the same size.

use std::fmt;
use std::str::FromStr;

/// Steps of an octave.
pub(super) const STEPS: u64 = 8;

/// A size, or the eight sizes from one to almost its double over which figures are averaged: a table that doubles is well
/// filled at some of them and half empty at others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// So many entries.
    One(u64),
    /// The octave that starts at so many entries.
    Octave(u64),
}

/// Where the octave starts unless it is said.
const OCTAVE: u64 = 1_000_000;

/// The octave's sizes.
pub(super) fn octave(base: u64) -> [u64; STEPS as usize] {
    #[expect(clippy::cast_sign_loss, reason = "a positive number times a power of two")]
    std::array::from_fn(|step| (base as f64 * (step as f64 / STEPS as f64).exp2()).round() as u64)
}

/// A number of entries as it stands in cases: three digits at most and a unit.
pub(super) fn label(entries: u64) -> String {
    let (unit, name) = match entries {
        0..1000 => (1, ""),
        1000..1_000_000 => (1000, "k"),
        _ => (1_000_000, "M"),
    };
    let rounded = match entries / unit {
        100.. => format!("{:.0}", entries as f64 / unit as f64),
        10..100 => format!("{:.1}", entries as f64 / unit as f64),
        _ => format!("{:.2}", entries as f64 / unit as f64),
    };
    let digits = if rounded.contains('.') {
        rounded.trim_end_matches('0').trim_end_matches('.')
    } else {
        rounded.as_str()
    };
    format!("{digits}{name}")
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::One(entries) => f.write_str(&label(entries)),
            Self::Octave(_) => f.write_str("octave"),
        }
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(base) = text.strip_prefix("octave") {
            let base = base.strip_prefix(':').map_or(Ok(OCTAVE), entries)?;
            return Ok(Self::Octave(base));
        }
        entries(text).map(Self::One)
    }
}

/// `16`, `30k`, `1.7M`.
fn entries(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no size such as 16, 30k, 1.7M or octave:1M");
    let (number, unit) = match text.strip_suffix('k') {
        Some(number) => (number, 1e3),
        None => text.strip_suffix('M').map_or((text, 1.0), |number| (number, 1e6)),
    };
    let amount = number.parse::<f64>().map_err(|_| wrong())? * unit;
    #[expect(clippy::cast_sign_loss, reason = "between 1 and a hundred million")]
    if (1.0..=1e8).contains(&amount) { Ok(amount.round() as u64) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for name in ["16", "1k", "30k", "1M", "1.7M", "10M", "octave", "1.09M"] {
            assert_eq!(name.parse::<Size>().unwrap().to_string(), name);
        }
        assert_eq!("1.7M".parse(), Ok(Size::One(1_700_000)));
        assert_eq!("octave".parse(), Ok(Size::Octave(1_000_000)));
        assert_eq!("octave:20k".parse(), Ok(Size::Octave(20_000)));
        for wrong in ["", "x", "0", "-1", "1G", "octave:", "1e99", "NaN"] {
            assert!(wrong.parse::<Size>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_octave_ends_below_its_double() {
        let sizes = octave(1_000_000);
        assert_eq!((sizes[0], sizes[4], sizes[7]), (1_000_000, 1_414_214, 1_834_008));
        assert_eq!(label(sizes[1]), "1.09M");
        assert_eq!(label(123_456), "123k");
        assert_eq!(label(100), "100");
    }
}
