//! The entries that every side is given: four types of them, all made from a number. Pure functions. Invariant: the key of
//! a number is the same on every side, in every process and in Go, and no two numbers have the same key.

use std::hash::Hash;

use super::table::{Job, Strings, of};

/// 2^64 over the golden ratio, odd, so that multiplying by it loses nothing.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
/// What separates this bench's keys from the plain numbers.
const SEED: u64 = 0x6275_636b_6574;
/// Where the numbers that choose keys begin: no table holds as many.
const DRAWS: u64 = 1 << 56;

/// A number spread over 64 bits, one to one (the finaliser of `SplitMix64`, Steele and others 2014).
pub(crate) const fn mix(number: u64) -> u64 {
    let spread = number.wrapping_add(SEED).wrapping_mul(SPREAD);
    let once = (spread ^ (spread >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let twice = (once ^ (once >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    twice ^ (twice >> 31)
}

/// The `step`-th of a sequence of random numbers below `below`.
pub(super) const fn draw(step: u64, below: u64) -> u64 {
    ((mix(DRAWS + step) as u128 * below as u128) >> 64) as u64
}

/// Sixteen hexadecimal digits of the spread number.
fn digits(number: u64) -> String {
    let spread = mix(number);
    (0..16)
        .rev()
        .map(|place| char::from(b"0123456789abcdef"[(spread >> (4 * place)) as usize & 15]))
        .collect()
}

/// A type of entries.
pub(super) trait Entry: 'static {
    /// Key.
    type Key: Hash + Eq + Clone + 'static;
    /// Value.
    type Value: Clone + 'static;
    /// The type's name in cases.
    const NAME: &'static str;

    /// The key of a number.
    fn key(number: u64) -> Self::Key;
    /// The value that belongs to it.
    fn value(number: u64) -> Self::Value;
    /// A word that stands in the value's slot, so that whoever wants it has read the slot.
    fn weigh(value: &Self::Value) -> u64;
    /// The sides that there are for this type alone.
    fn more_sides<J: Job<Self::Key, Self::Value>>() -> Vec<(&'static str, J::Given)> {
        Vec::new()
    }

    /// Bytes that the entry's strings have outside a table that holds them as `String`.
    fn payload(_number: u64) -> usize {
        0
    }
}

/// `u64` to `u64`.
pub(super) struct Words;

impl Entry for Words {
    type Key = u64;
    type Value = u64;
    const NAME: &'static str = "u64-u64";

    fn key(number: u64) -> u64 {
        mix(number)
    }

    fn value(number: u64) -> u64 {
        number
    }

    fn weigh(value: &u64) -> u64 {
        *value
    }
}

/// `u64` to 56 bytes: an entry fills a cache line.
pub(super) struct Lines;

impl Entry for Lines {
    type Key = u64;
    type Value = [u64; 7];
    const NAME: &'static str = "u64-56B";

    fn key(number: u64) -> u64 {
        mix(number)
    }

    fn value(number: u64) -> [u64; 7] {
        [number; 7]
    }

    fn weigh(value: &[u64; 7]) -> u64 {
        value[0]
    }
}

/// A string of 16 bytes to `u64`.
pub(super) struct Names;

impl Entry for Names {
    type Key = String;
    type Value = u64;
    const NAME: &'static str = "str16-u64";

    fn key(number: u64) -> String {
        digits(number)
    }

    fn value(number: u64) -> u64 {
        number
    }

    fn weigh(value: &u64) -> u64 {
        *value
    }

    fn more_sides<J: Job<String, u64>>() -> Vec<(&'static str, J::Given)> {
        vec![of::<Self, Strings<u64>, J>()]
    }

    fn payload(_number: u64) -> usize {
        16
    }
}

/// Two `u32` to a string of 16 bytes.
pub(super) struct Pairs;

impl Entry for Pairs {
    type Key = (u32, u32);
    type Value = String;
    const NAME: &'static str = "u32u32-string";

    fn key(number: u64) -> (u32, u32) {
        let spread = mix(number);
        ((spread >> 32) as u32, spread as u32)
    }

    fn value(number: u64) -> String {
        digits(number)
    }

    fn weigh(value: &String) -> u64 {
        value.len() as u64
    }

    fn payload(_number: u64) -> usize {
        16
    }
}

/// A string to a string, of 6 to 29 and 4 to 67 bytes.
pub(super) struct Texts;

impl Texts {
    fn text(number: u64, len: usize) -> String {
        let mut text = String::with_capacity(len);
        let part = digits(number);
        while text.len() < len {
            text.push_str(&part[..part.len().min(len - text.len())]);
        }
        text
    }

    /// The key's length; all begin with the number itself, so that short ones differ too.
    const fn lens(number: u64) -> (usize, usize) {
        let spread = mix(!number);
        (6 + (spread % 24) as usize, 4 + ((spread >> 32) % 64) as usize)
    }
}

impl Entry for Texts {
    type Key = String;
    type Value = String;
    const NAME: &'static str = "string-string";

    fn key(number: u64) -> String {
        let start = format!("{number:x}-");
        let rest = Self::text(number, Self::lens(number).0.saturating_sub(start.len()));
        let mut text = String::with_capacity(start.len() + rest.len());
        text.push_str(&start);
        text.push_str(&rest);
        text
    }

    fn value(number: u64) -> String {
        Self::text(number, Self::lens(number).1)
    }

    fn weigh(value: &String) -> u64 {
        value.len() as u64
    }

    fn more_sides<J: Job<String, String>>() -> Vec<(&'static str, J::Given)> {
        vec![of::<Self, Strings<String>, J>()]
    }

    fn payload(number: u64) -> usize {
        Self::key(number).len() + Self::lens(number).1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn distinct<E: Entry>() -> HashSet<E::Key> {
        (0..3000).chain(1_000_000..1_003_000).map(E::key).collect()
    }

    #[test]
    fn keys_differ_and_repeat() {
        assert_eq!(distinct::<Words>().len(), 6000);
        assert_eq!(distinct::<Pairs>().len(), 6000);
        assert_eq!(distinct::<Texts>().len(), 6000);
        assert_eq!(distinct::<Names>(), distinct::<Names>());
        // Records of different days are about the same keys.
        assert_eq!([mix(0), mix(1)], [0x5559_00f7_17a5_0409, 0x6849_485c_53cb_b5f8]);
        assert_eq!(Names::key(0), format!("{:016x}", mix(0)));
    }

    #[test]
    fn strings_are_as_long_as_their_payload() {
        for number in (0..500).chain(900_000..900_500) {
            assert_eq!(Names::payload(number), Names::key(number).capacity());
            assert_eq!(Pairs::payload(number), Pairs::value(number).capacity());
            let (key, value) = (Texts::key(number), Texts::value(number));
            assert_eq!(Texts::payload(number), key.capacity() + value.capacity());
            assert!((6..30).contains(&key.len()) && (4..68).contains(&value.len()), "{key} {value}");
        }
    }

    #[test]
    fn draws_reach_everything_below_their_bound() {
        let drawn: HashSet<u64> = (0..1000).map(|step| draw(step, 16)).collect();
        assert_eq!(drawn.len(), 16);
        assert!(drawn.iter().all(|&number| number < 16));
    }
}
