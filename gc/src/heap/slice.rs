//! Slices whose length is known when they are made: their tables, and how they are filled.
//!
//! ```text
//! slot:  element 0 | element 1 | ... | element len - 1 | unused | len
//! ```
//!
//! A table speaks for all slices of one element type whose slots have the same size, of which there are four for each power of
//! two; so there are few tables, and they are never freed. The length lies in the last word of the slot, whose size page or header
//! tell. Owned by the process. Invariant: the first `len` elements of a live slice are values, also while it is being filled.
#![allow(unsafe_code)]

use super::colour::Place;
use super::ephemeron::Waiter;
use super::mark::Marker;
use super::remains::Remains;
use super::table::{TypeTable, Typed};
use super::verify::Reached;
use super::{Context, checked, huge, is_huge, locate, plan};
use crate::collect::{Collect, Trace};
use crate::metrics::UNIT_BYTES;
use crate::parts::{PART_BYTES, Traced};
use std::collections::BTreeMap;
use std::ptr::NonNull;
use std::sync::{Mutex, PoisonError};

/// Bytes of a slice's length.
const LEN_BYTES: usize = size_of::<usize>();

/// Tables that were made, by the table of the element's type and the bytes of a slot. Tables of equal contents may be one or several.
static TABLES: Mutex<BTreeMap<(usize, usize), &'static TypeTable>> = Mutex::new(BTreeMap::new());

/// The table for slices of so many elements. `None`: more bytes than there are addresses.
fn table_for<'gc, T: Collect<'gc> + 'gc>(len: usize) -> Option<&'static TypeTable> {
    let bytes = rounded(len.checked_mul(size_of::<T>())?.checked_add(LEN_BYTES)?)?;
    let align = align_of::<T>().max(align_of::<usize>());
    let slot_bytes = plan::slot_bytes(bytes, align);
    let key = (Typed::<T>::TABLE.expose(), slot_bytes);
    // What the lock guards is whole whatever panicked.
    let mut tables = TABLES.lock().unwrap_or_else(PoisonError::into_inner);
    Some(tables.entry(key).or_insert_with(|| Box::leak(Box::new(new_table::<T>(slot_bytes, align)))))
}

/// Four sizes for each power of two, from 64 bytes on. `None`: too large.
fn rounded(bytes: usize) -> Option<usize> {
    const SMALL: usize = 64;
    let step = if bytes <= SMALL { 16 } else { 1 << ((bytes - 1).ilog2() - 2) };
    bytes.checked_next_multiple_of(step).filter(|&bytes| bytes <= isize::MAX as usize / 2)
}

fn new_table<'gc, T: Collect<'gc> + 'gc>(slot_bytes: usize, align: usize) -> TypeTable {
    let in_parts = slot_bytes > PART_BYTES;
    let drops = std::mem::needs_drop::<T>();
    TypeTable {
        trace: trace::<T>,
        trace_part: in_parts.then_some(trace_part::<T>),
        wake,
        forget,
        resurrects: false,
        visit: visit::<T>,
        drop: drops.then_some(drop_run::<T>),
        drop_part: (drops && in_parts).then_some(drop_part::<T>),
        size: slot_bytes,
        align,
        slot_bytes,
        trace_bytes: if in_parts { UNIT_BYTES } else { slot_bytes },
        needs_trace: T::NEEDS_TRACE,
        name: std::any::type_name::<[T]>,
    }
}

/// Where the length of a slice lies.
///
/// # Safety
///
/// `object` is the address of a slice that was made here and whose slot nobody else has.
unsafe fn len_of(object: *mut u8) -> *mut usize {
    // SAFETY: as the caller promises.
    let slot_bytes = unsafe {
        if is_huge(object) { huge::header(object).table.slot_bytes } else { locate(object).0.slot_size() }
    };
    // SAFETY: the slot's last word.
    unsafe { object.add(slot_bytes - LEN_BYTES).cast() }
}

/// The elements.
///
/// # Safety
///
/// `object` is the address of a live slice of `T` that nobody holds mutably.
unsafe fn elements<'a, T>(object: *const u8) -> &'a [T] {
    // SAFETY: as the caller promises; so many elements are values.
    unsafe { std::slice::from_raw_parts(object.cast(), *len_of(object.cast_mut())) }
}

/// Calls `each` with the address of every slot in `todo`.
///
/// # Safety
///
/// The slots `todo` of the bucket whose first slot is at `first` hold slices, or `todo` is 1 and `first` a huge one.
unsafe fn each_slot(first: *const u8, todo: &mut u64, mut each: impl FnMut(*const u8)) {
    // A page's slot may lie at the start of a chunk, but no object that is not huge does.
    let is_huge = *todo == 1 && is_huge(first);
    // SAFETY: else it is a slot of a page.
    let slot_bytes = if is_huge { 0 } else { unsafe { locate(first) }.0.slot_size() };
    while *todo != 0 {
        let slot = todo.trailing_zeros() as usize;
        *todo &= *todo - 1;
        // SAFETY: a slot of the bucket.
        each(unsafe { first.add(slot * slot_bytes) });
    }
}

unsafe fn trace<'gc, T: Collect<'gc> + 'gc>(first: *const u8, todo: u64, marker: &mut Marker) {
    let trace_one = |object: *const u8, marker: &mut Marker| {
        checked::touch("trace", object);
        // SAFETY: a live slice, which no program code holds mutably during a cycle.
        let table = unsafe { Place::of(object) }.table();
        if table.trace_part.is_some() {
            marker.parts.begin(object, table);
        } else {
            // SAFETY: as above.
            marker.trace(unsafe { elements::<T>(object) });
        }
    };
    let mut left = todo;
    // SAFETY: the caller's promise.
    unsafe { each_slot(first, &mut left, |object| trace_one(object, marker)) };
    while let Some(object) = marker.next_of_pile() {
        trace_one(object, marker);
    }
}

unsafe fn trace_part<'gc, T: Collect<'gc>>(
    object: *const u8,
    at: usize,
    bytes: usize,
    marker: &mut Marker,
) -> Traced {
    // SAFETY: a live slice, which no program code holds mutably during a cycle.
    let elements = unsafe { elements::<T>(object) };
    // Positions are bytes, as those of arrays are.
    let size = size_of::<T>().max(1);
    let first = (at / size).min(elements.len());
    let end = at.saturating_add(bytes).div_ceil(size).clamp(first, elements.len());
    let first = if at > 0 && checked::seeded!("gc: part of a slice not traced") { end } else { first };
    marker.trace(&elements[first..end]);
    Traced { next: (end < elements.len()).then_some(end * size), bytes: (end - first) * size }
}

/// Nothing waits for keys in a slice.
unsafe fn wake(_waiter: &Waiter, _marker: &mut Marker) {}

unsafe fn forget(_waiter: &Waiter) {}

unsafe fn visit<'gc, T: Collect<'gc>>(object: *const u8, reached: &mut Reached) {
    // SAFETY: a live slice.
    reached.trace(unsafe { elements::<T>(object) });
}

unsafe fn drop_run<T>(first: *mut u8, left: &mut u64, _remains: &mut Remains) {
    let drop_one = |object: *const u8| {
        checked::touch("drop", object);
        let object = object.cast_mut();
        // SAFETY: a slice that nobody will use again; its bit is clear, so its elements are dropped once.
        unsafe {
            let len = *len_of(object);
            NonNull::slice_from_raw_parts(NonNull::new_unchecked(object.cast::<T>()), len).drop_in_place();
        }
    };
    // SAFETY: the caller's promise.
    unsafe { each_slot(first, left, drop_one) };
}

unsafe fn drop_part<T>(object: *mut u8, at: &mut usize, bytes: usize) -> bool {
    // SAFETY: a dead slice, whose memory is there until all is dropped.
    let len = unsafe { *len_of(object) };
    let end = at.saturating_add(bytes.div_ceil(size_of::<T>().max(1))).min(len);
    while *at < end {
        let element = object.cast::<T>().wrapping_add(*at);
        *at += 1;
        // SAFETY: an element that nobody will use again, and that was not dropped before.
        unsafe { element.drop_in_place() };
    }
    end == len
}

impl Context {
    /// A slice of what `elements` gives, at most so many. `None`: so many are more bytes than there are addresses.
    pub(crate) fn allocate_slice<'gc, T: Collect<'gc> + 'gc>(
        &self,
        most: usize,
        elements: impl Iterator<Item = T>,
    ) -> Option<NonNull<[T]>> {
        let table = table_for::<T>(most)?;
        let object = self.allocate_in(table);
        // SAFETY: the slot is this slice's, and its last word is behind the last element.
        let len = unsafe { len_of(object.as_ptr()) };
        // SAFETY: as above.
        unsafe { len.write(0) };
        let first = object.cast::<T>();
        // Where the elements come from may allocate, look at the heap, or panic: the slice is a whole one at any time.
        for (at, element) in elements.take(most).enumerate() {
            // SAFETY: there is room for `most` elements.
            unsafe {
                first.add(at).write(element);
                len.write(at + 1);
            }
        }
        // SAFETY: as above.
        Some(NonNull::slice_from_raw_parts(first, unsafe { len.read() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_few_and_near() {
        let mut sizes = std::collections::BTreeSet::new();
        for bytes in 8..200_000 {
            let size = rounded(bytes).unwrap();
            assert!(size >= bytes && size % 16 == 0 && size * 4 <= bytes.max(64) * 5, "{bytes}: {size}");
            sizes.insert(size);
        }
        assert!(sizes.len() <= 4 + 4 * 12, "{}", sizes.len());
        assert_eq!((rounded(usize::MAX), rounded(usize::MAX / 2)), (None, None));
    }
}
