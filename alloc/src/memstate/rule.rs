//! [`should_trigger`]: whether a request breaks a rule, decided on address, size and memory state alone.
//!
//! Owned by whoever asks; every barrier decision and every guarded access of a `checked` build is asked here, and nowhere else.
//! Invariant: a pure function of its two arguments; it reads no memory, so any address will do.

use super::MemState;

/// Bytes of a cache line, the grain of a rule's range.
pub const LINE: usize = 64;

/// What is about to be done, or was: to so many bytes, and the state that they are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// The first byte.
    pub address: usize,
    /// How many; 0 touches nothing.
    pub size: usize,
    /// The state of the memory there.
    pub state: MemState,
}

/// Cache lines side by side, by number (address / 64).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lines {
    first: usize,
    /// None if there is no line.
    last: Option<usize>,
}

impl Lines {
    /// All there are.
    pub const ALL: Self = Self { first: 0, last: Some(usize::MAX / LINE) };

    /// Those that `size` bytes from `address` on lie in; none for no bytes. Bytes beyond the last address are cut off.
    pub const fn of(address: usize, size: usize) -> Self {
        let last = match size {
            0 => None,
            _ => Some(address.saturating_add(size - 1) / LINE),
        };
        Self { first: address / LINE, last }
    }

    /// Whether a line is in both.
    pub const fn intersects(self, other: Self) -> bool {
        match (self.last, other.last) {
            (Some(last), Some(others)) => self.first <= others && other.first <= last,
            _ => false,
        }
    }
}

/// How a request's size must relate to the rule's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// In any way.
    Any,
    /// Smaller.
    Below(usize),
    /// Not larger.
    AtMost(usize),
    /// The same.
    Exactly(usize),
    /// Another.
    Not(usize),
    /// Not smaller.
    AtLeast(usize),
    /// Larger.
    Above(usize),
}

impl Size {
    /// Whether `size` relates so.
    pub const fn holds(self, size: usize) -> bool {
        match self {
            Self::Any => true,
            Self::Below(bound) => size < bound,
            Self::AtMost(bound) => size <= bound,
            Self::Exactly(bound) => size == bound,
            Self::Not(bound) => size != bound,
            Self::AtLeast(bound) => size >= bound,
            Self::Above(bound) => size > bound,
        }
    }
}

/// What is looked for. Made from [`Rule::ANYTHING`] by narrowing it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Where.
    pub lines: Lines,
    /// Requests of which sizes.
    pub size: Size,
    /// Bits that the state must all have.
    pub all: MemState,
    /// Bits of which the state must have one, unless there are none.
    pub any: MemState,
    /// Bits of which the state must have none.
    pub none: MemState,
}

impl Rule {
    /// Every request of a byte or more.
    pub const ANYTHING: Self = Self {
        lines: Lines::ALL,
        size: Size::Any,
        all: MemState::EMPTY,
        any: MemState::EMPTY,
        none: MemState::EMPTY,
    };

    /// Whether a state has the rule's bits.
    pub const fn matches(&self, state: MemState) -> bool {
        state.has_all(self.all)
            && (self.any.is_empty() || state.has_any(self.any))
            && !state.has_any(self.none)
    }
}

/// Whether the request is one that the rule is about: some line of it is the rule's, its size relates to the rule's as said, and
/// its state has the bits. Some instructions without a load; a request of no bytes never triggers.
#[inline]
pub const fn should_trigger(request: &Request, rule: &Rule) -> bool {
    Lines::of(request.address, request.size).intersects(rule.lines)
        && rule.size.holds(request.size)
        && rule.matches(request.state)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition, byte by byte: whether a byte of one lies in a line of the other.
    fn share_a_line(one: (usize, usize), other: (usize, usize)) -> bool {
        let bytes = |(address, size): (usize, usize)| (0..size).filter_map(move |at| address.checked_add(at));
        bytes(one).any(|byte| bytes(other).any(|its| its / LINE == byte / LINE))
    }

    fn request(address: usize, size: usize, state: MemState) -> Request {
        Request { address, size, state }
    }

    /// Every start and end within three lines, at the bottom of the address space, in its middle, and at its top.
    #[test]
    fn lines_are_those_of_the_bytes() {
        let edges = [0, 1, 8, 62, 63, 64, 65, 127, 128, 129, 191];
        let sizes = [0, 1, 2, 8, 63, 64, 65, 128, 192];
        for base in [0, 0x7f00_0000_1000, usize::MAX - 191] {
            for rule_at in edges {
                for rule_size in [0, 1, 63, 64, 65] {
                    let rule = (base + rule_at, rule_size);
                    for at in edges {
                        for size in sizes {
                            let asked = (base + at, size);
                            let rule = Rule { lines: Lines::of(rule.0, rule.1), ..Rule::ANYTHING };
                            assert_eq!(
                                should_trigger(&request(asked.0, size, MemState::EMPTY), &rule),
                                share_a_line(asked, (base + rule_at, rule_size)),
                                "{asked:x?} against {rule:x?}"
                            );
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn aligned_crossing_empty_and_overflowing_requests() {
        let line = |number: usize| Rule { lines: Lines::of(number * LINE, LINE), ..Rule::ANYTHING };
        let triggers =
            |address, size, rule: &Rule| should_trigger(&request(address, size, MemState::LIVE), rule);
        // A whole line is that line alone.
        assert!(triggers(64, 64, &line(1)) && !triggers(64, 64, &line(0)) && !triggers(64, 64, &line(2)));
        // One byte more on either side is another line.
        assert!(triggers(63, 65, &line(0)) && triggers(64, 65, &line(2)));
        // A word across two lines is of both, and of no third.
        let hits: Vec<_> = (0..5).filter(|&number| triggers(124, 8, &line(number))).collect();
        assert_eq!(hits, [1, 2]);
        // No bytes, no line; not even of all lines, and not at the ends of the address space.
        for address in [0, 63, 64, usize::MAX] {
            assert!(!triggers(address, 0, &Rule::ANYTHING) && !triggers(address, 0, &line(address / LINE)));
        }
        // What would go beyond the last address ends there, and does not come round to the first.
        let last = usize::MAX / LINE;
        for (address, size) in
            [(usize::MAX, 1), (usize::MAX, 2), (usize::MAX - 7, 64), (usize::MAX, usize::MAX)]
        {
            assert!(triggers(address, size, &line(last)), "{address:x} {size:x}");
            assert!(!triggers(address, size, &line(0)), "{address:x} {size:x}");
        }
        assert!((0..3).all(|number| triggers(0, usize::MAX, &line(number))));
        assert!(triggers(1, usize::MAX, &line(last)));
    }

    #[test]
    fn every_relation_of_sizes_is_the_one_that_it_is_called() {
        let sizes = [1, 2, 7, 8, 9, 16, 64, usize::MAX - 1, usize::MAX];
        for bound in [0, 1, 2, 7, 8, 9, 16, 64, usize::MAX - 1, usize::MAX] {
            for size in sizes {
                let relations = [
                    (Size::Any, true),
                    (Size::Below(bound), size < bound),
                    (Size::AtMost(bound), size <= bound),
                    (Size::Exactly(bound), size == bound),
                    (Size::Not(bound), size != bound),
                    (Size::AtLeast(bound), size >= bound),
                    (Size::Above(bound), size > bound),
                ];
                for (relation, expected) in relations {
                    let rule = Rule { size: relation, ..Rule::ANYTHING };
                    assert_eq!(
                        should_trigger(&request(4096, size, MemState::EMPTY), &rule),
                        expected,
                        "{size} {relation:?}"
                    );
                }
            }
        }
    }

    /// Every state against every set of bits, in each of the three places; and against pairs of sets where two places are
    /// in play.
    #[test]
    fn every_state_mask() {
        let every = || (0..=MemState::ALL.bits()).map(MemState::from_bits);
        for state in every() {
            for mask in every() {
                let asked = request(100, 8, state);
                let naive = |bit: u16| state.bits() >> bit & 1 != 0;
                let bits: Vec<u16> = (0..16).filter(|bit| mask.bits() >> bit & 1 != 0).collect();
                let all = Rule { all: mask, ..Rule::ANYTHING };
                let any = Rule { any: mask, ..Rule::ANYTHING };
                let none = Rule { none: mask, ..Rule::ANYTHING };
                assert_eq!(should_trigger(&asked, &all), bits.iter().all(|&bit| naive(bit)));
                assert_eq!(
                    should_trigger(&asked, &any),
                    bits.is_empty() || bits.iter().any(|&bit| naive(bit))
                );
                assert_eq!(should_trigger(&asked, &none), !bits.iter().any(|&bit| naive(bit)));
                let other = MemState::from_bits(mask.bits().rotate_left(3) & MemState::ALL.bits());
                let both = Rule { any: mask, none: other, ..Rule::ANYTHING };
                assert_eq!(should_trigger(&asked, &both), any.matches(state) && !state.has_any(other));
                let both = Rule { all: mask, none: other, ..Rule::ANYTHING };
                assert_eq!(should_trigger(&asked, &both), all.matches(state) && !state.has_any(other));
            }
        }
    }

    /// The three conditions are joined by "and": each alone can keep the rule from triggering.
    #[test]
    fn each_condition_counts() {
        let rule = Rule {
            lines: Lines::of(640, 64),
            size: Size::Above(8),
            any: MemState::POISONED,
            ..Rule::ANYTHING
        };
        let right = request(650, 16, MemState::POISONED);
        assert!(should_trigger(&right, &rule));
        assert!(!should_trigger(&Request { address: 512, ..right }, &rule));
        assert!(!should_trigger(&Request { size: 8, ..right }, &rule));
        assert!(!should_trigger(&Request { state: MemState::LIVE, ..right }, &rule));
    }
}
