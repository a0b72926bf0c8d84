//! What may be asked for: the sizes and alignments that the family's functions accept, as numbers.
//!
//! Invariant: a size that comes from here, with an alignment that comes from here, overflows nothing later.

/// Bytes of an OS page, for `valloc` and `pvalloc`.
pub(crate) const OS_PAGE: usize = 4096;

/// Largest block there can be: a difference of two pointers into it is still a number. As in glibc.
const LARGEST: usize = isize::MAX as usize;

/// `size`, if a block of it at `align` can be.
#[inline]
pub(crate) fn fitting(size: usize, align: usize) -> Option<usize> {
    if size <= LARGEST - align { Some(size) } else { None }
}

/// The bytes of `count` elements of `size`, if such a block can be.
#[inline]
pub(crate) fn array(count: usize, size: usize) -> Option<usize> {
    let bytes = count.checked_mul(size)?;
    if bytes <= LARGEST { Some(bytes) } else { None }
}

/// `size` in whole pages, at least one of them, if such a block can be.
pub(crate) fn whole_pages(size: usize) -> Option<usize> {
    fitting(size.max(1).checked_next_multiple_of(OS_PAGE)?, OS_PAGE)
}

/// The alignment `memalign` gives where `align` was asked for: the next power of two, if it is one that a
/// block can have.
pub(crate) fn rounded_alignment(align: usize) -> Option<usize> {
    valid_alignment(align.checked_next_power_of_two()?)
}

/// `align`, if it is one: a power of two, such that a block can have it.
pub(crate) fn valid_alignment(align: usize) -> Option<usize> {
    if align.is_power_of_two() && align <= LARGEST / 2 { Some(align) } else { None }
}

/// `align`, if `posix_memalign` takes it: a power of two and a multiple of a pointer's size.
pub(crate) fn posix_alignment(align: usize) -> Option<usize> {
    if align % size_of::<*const ()>() == 0 { valid_alignment(align) } else { None }
}
