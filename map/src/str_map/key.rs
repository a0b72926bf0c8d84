//! `StrKey` as a `str`: the traits through which it is used as one.
//!
//! Owned by `raw/short.rs`, which says what a key is. Invariant: every comparison and hash is that of the text, never of
//! the words.

use crate::raw::short::StrKey;
use core::borrow::Borrow;
use core::cmp::Ordering;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::ops::Deref;

impl Deref for StrKey {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for StrKey {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl Borrow<str> for StrKey {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Debug for StrKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for StrKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.as_str(), f)
    }
}

impl Hash for StrKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl PartialEq for StrKey {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for StrKey {}

impl PartialEq<str> for StrKey {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for StrKey {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl Ord for StrKey {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl PartialOrd for StrKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl From<&str> for StrKey {
    fn from(text: &str) -> Self {
        Self::of(text)
    }
}

impl From<String> for StrKey {
    fn from(text: String) -> Self {
        Self::of(text)
    }
}

impl From<Box<str>> for StrKey {
    fn from(text: Box<str>) -> Self {
        Self::of(text)
    }
}
