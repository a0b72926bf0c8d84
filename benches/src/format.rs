//! Numbers as people read them, the same in the terminal and on the page. Pure functions. Invariant: a unit is always
//! there where one is needed, and three significant digits are enough.

/// Bytes with a binary unit.
pub fn bytes(value: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut amount = value as f64;
    let mut unit = 0;
    while amount >= 1024.0 && unit + 1 < UNITS.len() {
        amount /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{value} B") } else { format!("{} {}", significant(amount), UNITS[unit]) }
}

/// Nanoseconds with the unit that fits.
pub fn nanoseconds(value: f64) -> String {
    match value.abs() {
        v if v >= 1e9 => format!("{} s", significant(value / 1e9)),
        v if v >= 1e6 => format!("{} ms", significant(value / 1e6)),
        v if v >= 1e3 => format!("{} us", significant(value / 1e3)),
        _ => format!("{} ns", significant(value)),
    }
}

/// A count, its thousands apart.
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (idx, digit) in digits.chars().enumerate() {
        if idx > 0 && (digits.len() - idx).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// A ratio.
pub fn ratio(value: f64) -> String {
    if value >= 10.0 { format!("{value:.1}") } else { format!("{value:.2}") }
}

/// A ratio that may be far below one.
pub fn small_ratio(value: f64) -> String {
    if value < 0.1 { format!("{value:.4}") } else { ratio(value) }
}

/// A ratio with `! ` before it where it is over its bound; a dash for none.
pub fn judged(quotient: Option<f64>, bound: f64) -> String {
    quotient.map_or_else(|| "-".into(), |q| format!("{}{}", if q > bound { "! " } else { "" }, ratio(q)))
}

/// A part of a whole in percent; a dash when there is no whole.
pub fn percent(part: f64, whole: f64) -> String {
    if whole == 0.0 { "-".into() } else { format!("{} %", significant(100.0 * part / whole)) }
}

/// Three significant digits, no exponent.
pub fn significant(value: f64) -> String {
    match value.abs() {
        v if v >= 99.95 => format!("{value:.0}"),
        v if v >= 9.995 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1536), "1.50 KiB");
        assert_eq!(bytes(123 << 20), "123 MiB");
        assert_eq!(nanoseconds(12.345), "12.3 ns");
        assert_eq!(nanoseconds(1234.0), "1.23 us");
        assert_eq!(nanoseconds(99_960_000.0), "100 ms");
        assert_eq!(nanoseconds(2e9), "2.00 s");
        assert_eq!(count(7), "7");
        assert_eq!(count(1_234_567), "1 234 567");
        assert_eq!(ratio(0.147), "0.15");
        assert_eq!(
            [judged(Some(1.2), 1.1), judged(Some(1.1), 1.1), judged(None, 1.0)],
            ["! 1.20", "1.10", "-"]
        );
        assert_eq!([small_ratio(0.00123), small_ratio(0.25)], ["0.0012", "0.25"]);
        assert_eq!(percent(1.0, 4.0), "25.0 %");
        assert_eq!(percent(1.0, 0.0), "-");
    }
}
