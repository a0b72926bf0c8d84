//! What a `checked` build asks of a table after each change of a bucket and each step of a migration, and the faults by which
//! that is tested.
//!
//! Owned by `raw`. Invariant: without a fault nothing is reported, and nothing changes but time.

use crate::hash::first_hash;
use crate::raw::group::Head;
use crate::raw::layout::{GROUP, Geometry, LANE_BITS, LANES, Layout};
use crate::raw::table::Bare;
use bucketmask_alloc::memstate::report::Report;
use bucketmask_alloc::memstate::{self, MemState};

/// Faults that this crate's code has switches for, see [`plant`](bucketmask_alloc::memstate::seed::plant).
pub const FAULTS: [&str; 6] = [
    "map: mask bit not set",
    "map: mask bit not cleared",
    "map: summary bit not set",
    "map: tophash in the neighbouring slot",
    "map: watermark one bucket too high",
    "map: watermark one bucket too low",
];

/// Whether a fault of this name is planted.
macro_rules! seeded {
    ($name:expr) => {
        bucketmask_alloc::memstate::seed::is_planted($name)
    };
}
pub(crate) use seeded;

/// What lies in a slot is on its way to another, until [`is_moved`]: who asks meanwhile for the state of its memory is told.
pub(crate) fn moves<T>(slot: *const T) {
    memstate::mark(slot.addr(), size_of::<T>(), MemState::MIGRATING);
}

/// What lay in the slot has arrived.
pub(crate) fn is_moved<T>(slot: *const T) {
    memstate::unmark(slot.addr(), size_of::<T>(), MemState::MIGRATING);
}

impl<T, L: Layout> Bare<T, L> {
    /// A bucket has changed: its mask must say what its tophashes say, and the summary must know of its mask word.
    pub(crate) fn bucket_changed(&self, bucket: usize) {
        let word = bucket / LANES;
        // SAFETY: an open bucket and its words.
        #[expect(unsafe_code, reason = "reads a bucket's head and masks")]
        let (heads, mask, marks, at) = unsafe {
            let head = L::Geometry::head(&self.zones, bucket);
            let marks = *self.zones.summary.as_ptr().add(word / GROUP);
            (Head::load(head).occupied(), self.word(word), marks, head.addr())
        };
        let lane = (mask >> (bucket % LANES * LANE_BITS)) as u16;
        let what = if lane != heads {
            "a map's mask and tophashes disagree"
        } else if mask != 0 && marks >> (word % GROUP) & 1 == 0 {
            "a map's summary leaves out a mask word"
        } else {
            return;
        };
        let mut report = Report::at(what, at);
        report.detail =
            format!("bucket {bucket}: mask {lane:#06x}, tophashes {heads:#06x}, summary {marks:#x}");
        report.raise();
    }

    /// The watermark has moved: it must be the first hash of the bucket that the migration has reached.
    pub(crate) fn watermark_moved(&self) {
        let (frontier, old) = (self.care.frontier, if self.care.shrinking { self.upper } else { self.lower });
        if self.is_migrating() && self.watermark != first_hash(frontier, old) {
            let mut report = Report::at(
                "a map's watermark is not where its migration is",
                core::ptr::from_ref(self).addr(),
            );
            report.detail = format!(
                "at {:#x}, bucket {frontier} of {old} begins at {:#x}",
                self.watermark,
                first_hash(frontier, old)
            );
            report.raise();
        }
    }
}
