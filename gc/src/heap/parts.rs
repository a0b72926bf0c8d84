//! [`Parts`]: objects that are being traced a part at a time. Owned by the marker.
//!
//! ```text
//! grey object of such a type -> running: traced up to here; its `scanned` bit is set
//! barrier on one bucket of a slice that was passed -> again: that bucket alone, once however often it is written to
//! barrier on all of it -> grey again -> running from the start
//! ```
//!
//! Invariant: an object is in `running` at most once, and what of an object lies behind its position there, or is in `again`,
//! counts as grey.
#![allow(unsafe_code)]

use super::mark::Marker;
use super::table::TypeTable;
use crate::parts::{PART_BYTES, Traced};
use std::collections::BTreeMap;

struct Part {
    object: *const u8,
    table: &'static TypeTable,
    at: usize,
}

/// One bucket of a slice that is to be traced once more: bytes of it, and how.
struct Bucket {
    bytes: usize,
    table: &'static TypeTable,
}

#[derive(Default)]
pub(super) struct Parts {
    running: Vec<Part>,
    /// By address of the object and position in it.
    again: BTreeMap<(usize, usize), Bucket>,
    /// Whether an object of `running` may have become grey again.
    may_repeat: bool,
}

impl Parts {
    /// Takes an object up, from its start on.
    pub(super) fn begin(&mut self, object: *const u8, table: &'static TypeTable) {
        if self.may_repeat {
            if let Some(part) = self.running.iter_mut().find(|part| part.object == object) {
                part.at = 0;
                return;
            }
        }
        self.running.push(Part { object, table, at: 0 });
    }

    /// An object has become grey again; it may be one that is running.
    pub(super) fn expect_again(&mut self) {
        self.may_repeat = !self.running.is_empty();
    }

    /// A bucket of a black object takes up pointers. False: it is still to be traced anyway.
    pub(super) fn add_bucket(
        &mut self,
        object: *const u8,
        table: &'static TypeTable,
        at: usize,
        bytes: usize,
    ) -> bool {
        let ahead = |part: &Part| part.object == object && part.at <= at;
        if self.running.iter().any(ahead) {
            return false;
        }
        self.again.insert((object.expose_provenance(), at), Bucket { bytes, table });
        true
    }

    pub(super) fn is_empty(&self) -> bool {
        self.running.is_empty() && self.again.is_empty()
    }

    /// Whether a part of the object is still to be traced.
    pub(super) fn has(&self, object: *const u8) -> bool {
        let from = (object.addr(), 0);
        self.running.iter().any(|part| part.object == object)
            || self.again.range(from..=(object.addr(), usize::MAX)).next().is_some()
    }

    pub(super) fn clear(&mut self) {
        self.running.clear();
        self.again.clear();
    }
}

impl Marker {
    /// Traces one part of one object, and says how many bytes of it. `None`: there is none.
    pub(super) fn trace_a_part(&mut self) -> Option<usize> {
        if let Some(Part { object, table, at }) = self.parts.running.pop() {
            let Some(trace_part) = table.trace_part else { return Some(0) };
            // SAFETY: marked objects are live, and this one is of the table's type.
            let Traced { next, bytes } = unsafe { trace_part(object, at, PART_BYTES, self) };
            if let Some(at) = next {
                self.parts.running.push(Part { object, table, at });
            }
            return Some(bytes);
        }
        let ((object, at), Bucket { bytes, table }) = self.parts.again.pop_first()?;
        let object = std::ptr::with_exposed_provenance(object);
        if let Some(trace_part) = table.trace_part {
            // SAFETY: as above.
            unsafe { trace_part(object, at, bytes, self) };
        }
        Some(bytes)
    }
}
