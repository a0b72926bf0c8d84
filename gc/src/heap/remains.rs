//! [`Remains`]: values that were found dead and take more than one step to drop. Owned by the heap.
//!
//! A dead object's slot is free at once; what it owned is moved here, a box each, and goes a part at a time, before the sweep
//! goes on. Invariant: a sweep ends only when nothing remains.
#![allow(unsafe_code)]

use super::sweep::Destructors;
use crate::parts::{DropInParts, PART_BYTES};

#[derive(Default)]
pub(super) struct Remains {
    values: Vec<Box<dyn DropInParts>>,
}

impl Remains {
    /// Takes the rest of a dead value.
    ///
    /// # Safety
    ///
    /// Nothing that the value borrows for `'gc` is looked at when it is dropped, as `Collect` asks of every type.
    pub(super) unsafe fn add<'gc>(&mut self, rest: Box<dyn DropInParts + 'gc>) {
        // SAFETY: only the brand is forgotten, behind which is nothing that a destructor may use.
        self.values.push(unsafe {
            std::mem::transmute::<Box<dyn DropInParts + 'gc>, Box<dyn DropInParts + 'static>>(rest)
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Drops one part of one value.
    pub(super) fn drop_a_part(&mut self, destructors: &mut Destructors) {
        let Some(value) = self.values.last_mut() else { return };
        if destructors.catch(|| value.drop_part(PART_BYTES)).unwrap_or(false) {
            let value = self.values.pop();
            destructors.catch(|| drop(value));
        }
    }

    /// Drops all of it.
    pub(super) fn drop_all(&mut self, destructors: &mut Destructors) {
        while !self.is_empty() {
            self.drop_a_part(destructors);
        }
    }
}
