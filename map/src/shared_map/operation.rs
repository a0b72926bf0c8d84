//! The operations of a `SharedMap`, by number and by name, for reports.
//!
//! Owned by `shared_map`. Invariant: an operation's number is its place in [`ALL`].

/// What is done to a map.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Operation {
    Get,
    With,
    ContainsKey,
    Len,
    Read,
    #[cfg_attr(not(feature = "detect"), allow(dead_code, reason = "a detector's"))]
    Iterate,
    #[cfg_attr(not(feature = "gc"), allow(dead_code, reason = "a collector's"))]
    Trace,
    Insert,
    Update,
    Remove,
    Retain,
    Clear,
    Reserve,
    Write,
    IntoInner,
    Drop,
}

#[cfg(feature = "detect")]
const ALL: [(Operation, &str); 16] = [
    (Operation::Get, "get"),
    (Operation::With, "with"),
    (Operation::ContainsKey, "contains_key"),
    (Operation::Len, "len"),
    (Operation::Read, "read"),
    (Operation::Iterate, "iter"),
    (Operation::Trace, "trace"),
    (Operation::Insert, "insert"),
    (Operation::Update, "update"),
    (Operation::Remove, "remove"),
    (Operation::Retain, "retain"),
    (Operation::Clear, "clear"),
    (Operation::Reserve, "reserve"),
    (Operation::Write, "write"),
    (Operation::IntoInner, "into_inner"),
    (Operation::Drop, "drop"),
];

#[cfg(feature = "detect")]
impl Operation {
    /// The operation of that number.
    pub(crate) fn numbered(number: u8) -> Option<Self> {
        ALL.get(usize::from(number)).map(|&(operation, _)| operation)
    }

    pub(crate) fn name(self) -> &'static str {
        ALL[self as usize].1
    }

    /// Whether it is done to one key.
    pub(crate) fn has_key(self) -> bool {
        use Operation::{ContainsKey, Get, Insert, Remove, Update, With};
        matches!(self, Get | With | ContainsKey | Insert | Update | Remove)
    }
}

#[cfg(all(test, feature = "detect"))]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_places() {
        for (number, (operation, _)) in ALL.iter().enumerate() {
            assert_eq!(*operation as usize, number);
            assert_eq!(Operation::numbered(number as u8), Some(*operation));
        }
        assert_eq!(Operation::numbered(16), None);
    }
}
