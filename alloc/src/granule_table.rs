//! [`GranuleTable`]: something beside each granule of the region, found by an address alone; feature `checked`.
//!
//! A word a granule, and a row for each granule that has one, in a mapping of its own that is made when it is first wanted.
//! Invariant: nothing here allocates from the allocator; without memory there is no row. Rows are never unmapped.
#![allow(unsafe_code)]

use core::sync::atomic::{AtomicPtr, Ordering};

use crate::class::GRANULE;
use crate::region::REGION;
use crate::sys;

/// What may lie beside a granule.
///
/// # Safety
/// Zeroed memory is a value, and all of it may be written through shared references by any thread.
pub(crate) unsafe trait Row {}

/// The rows of a kind, none at first.
pub(crate) struct GranuleTable<T>(AtomicPtr<AtomicPtr<T>>);

impl<T: Row> GranuleTable<T> {
    pub(crate) const fn new() -> Self {
        Self(AtomicPtr::new(core::ptr::null_mut()))
    }

    /// The row of an address of the region, made if wanted, and how far into its granule the address is.
    #[inline]
    pub(crate) fn row(&'static self, address: usize, wanted: bool) -> Option<(&'static T, usize)> {
        let offset = REGION.offset_of(address)?;
        let mut tables = self.0.load(Ordering::Acquire);
        if tables.is_null() && wanted {
            tables = publish(&self.0, REGION.bytes() / GRANULE * size_of::<usize>());
        }
        if tables.is_null() {
            return None;
        }
        // SAFETY: a word for each granule of the region, zeroed at first, never unmapped.
        let place = unsafe { &*tables.add(offset / GRANULE) };
        let mut row = place.load(Ordering::Acquire);
        if row.is_null() && wanted {
            row = publish(place, size_of::<T>());
        }
        // SAFETY: null, or a row of zeroed memory, which is a value; never unmapped.
        unsafe { row.as_ref() }.map(|row| (row, offset % GRANULE))
    }
}

/// Maps `bytes` of zeroed memory into an empty place; what is there in the end, by this thread or another.
#[cold]
fn publish<T>(place: &AtomicPtr<T>, bytes: usize) -> *mut T {
    let Some(memory) = sys::map(bytes) else { return core::ptr::null_mut() };
    let null = core::ptr::null_mut();
    // Release pairs with the acquires in `row`: who sees the mapping sees its zeros.
    match place.compare_exchange(null, memory.as_ptr().cast(), Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => memory.as_ptr().cast(),
        Err(other) => {
            // SAFETY: mapped above, seen by nobody.
            unsafe { sys::unmap(memory, bytes) };
            other
        }
    }
}
