//! Size classes: which slot size serves a request, and how large its pages are.
//!
//! Owned by nobody: constants. Invariant: a class serves every request that maps to it, wastes at
//! most 12.5 % of a request from 128 bytes up, and its page's tail wastes at most 3 %.

/// Number of size classes.
pub(crate) const CLASSES: usize = 75;
/// Largest slot, and so the largest request that pages serve.
pub(crate) const LARGEST: usize = 32 * 1024;
/// Largest alignment that pages serve. Pages of slots from 128 bytes on are whole granules, so each slot is
/// aligned to the largest power of two that divides its size.
pub(crate) const LARGEST_ALIGN: usize = LARGEST;

/// Bytes of the smallest page.
pub(crate) const SMALLEST_PAGE: usize = 8 * 1024;
/// Bytes of the largest page.
pub(crate) const LARGEST_PAGE: usize = 8 * GRANULE;
/// Bytes of a granule.
pub(crate) const GRANULE: usize = 64 * 1024;
/// Most slots a page may have: eight mask words.
pub(crate) const PAGE_SLOTS: usize = 512;

/// Least slot, and up to where classes are 8 bytes apart: headers of `Vec` and `String` have 24 bytes.
const LEAST: usize = 16;
const FINEST: usize = 64;
/// Classes up to and including [`FINEST`].
const FINEST_CLASSES: usize = (FINEST - LEAST) / 8 + 1;
/// Up to here classes are 16 bytes apart.
const FINE: usize = 128;
/// Classes up to and including [`FINE`].
const FINE_CLASSES: usize = FINEST_CLASSES + (FINE - FINEST) / 16;
/// Classes a doubling above [`FINE`].
const STEPS: usize = 8;

/// The index of a class, below [`CLASSES`]: made here alone, so that looking a class up needs no check.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ClassIdx(u8);

impl ClassIdx {
    /// The class of a slab page's tag; `None` for what is none.
    pub(crate) fn from_tag(tag: u8) -> Option<Self> {
        (usize::from(tag) < CLASSES).then_some(Self(tag))
    }

    /// All classes, ascending.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        (0..CLASSES as u8).map(Self)
    }

    #[inline(always)]
    pub(crate) fn get(self) -> usize {
        usize::from(self.0)
    }

    pub(crate) fn tag(self) -> u8 {
        self.0
    }

    /// What the class is.
    pub(crate) fn about(self) -> &'static Class {
        &TABLE[self.get()]
    }

    /// The alignment that every slot has: a power of two up to 32 KiB.
    pub(crate) fn align(self) -> usize {
        LARGEST_ALIGN.min(1 << self.about().slot_size.trailing_zeros())
    }
}

/// What a class is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Class {
    /// Bytes a slot.
    pub slot_size: u32,
    /// Bytes a page.
    pub page_bytes: u32,
    /// Slots a page.
    pub slots: u16,
    /// Slots a thread's window holds at most.
    pub window: u16,
    /// log2 of the largest power of two that divides the slot size.
    pub twos: u8,
    /// The inverse of the slot size's odd factor, modulo 2^64. A multiple of the slot size times the
    /// inverse, rotated right by `twos`, is the quotient (Granlund and Montgomery, "Division by Invariant Integers
    /// using Multiplication", 1994, section 9). Both steps are one to one, so no other number gives the number of
    /// a slot: the one comparison tells what begins a slot of a page from everything else, wherever it lies.
    pub inverse: u64,
}

/// All classes, ascending.
pub(crate) static TABLE: [Class; CLASSES] = table();

/// Largest request whose class is looked up.
pub(crate) const SMALL: usize = 1024;
/// Sizes up to [`SMALL`], from 0.
pub(crate) const SMALL_SIZES: usize = SMALL + 1;

/// Class of every request up to [`SMALL`].
static SMALL_CLASSES: [u8; SMALL_SIZES] = small();

/// The size to look the class up by, of a request up to [`SMALL`] at an alignment of at most 16: slots of a class that
/// serves a multiple of 16 are aligned to 16.
#[inline(always)]
pub(crate) const fn small_size(size: usize, align: usize) -> usize {
    if align > 8 { size.next_multiple_of(16) } else { size }
}

/// The class of a request up to [`SMALL`], at an alignment of at most 8.
pub(crate) fn of_small(size: usize) -> ClassIdx {
    ClassIdx(SMALL_CLASSES[size])
}

const fn slot_size(class: usize) -> usize {
    if class < FINEST_CLASSES {
        LEAST + class * 8
    } else if class < FINE_CLASSES {
        FINEST + (class - FINEST_CLASSES + 1) * 16
    } else {
        let above = class - FINE_CLASSES;
        let doubling = FINE << (above / STEPS);
        doubling + doubling / STEPS * (above % STEPS + 1)
    }
}

const fn table() -> [Class; CLASSES] {
    let mut table =
        [Class { slot_size: 0, page_bytes: 0, slots: 0, window: 0, twos: 0, inverse: 0 }; CLASSES];
    let mut class = 0;
    while class < CLASSES {
        let size = slot_size(class);
        let bytes = page_bytes(size);
        let fit = bytes / size;
        let slots = if fit < PAGE_SLOTS { fit } else { PAGE_SLOTS };
        table[class] = Class {
            slot_size: size as u32,
            page_bytes: bytes as u32,
            slots: slots as u16,
            window: window(size) as u16,
            twos: size.trailing_zeros() as u8,
            inverse: inverse(size as u64 >> size.trailing_zeros()),
        };
        class += 1;
    }
    table
}

/// The inverse of an odd number modulo 2^64, by Newton's iteration: each step doubles the right bits, of
/// which the number itself has three.
const fn inverse(odd: u64) -> u64 {
    let mut inverse = odd;
    let mut step = 0;
    while step < 5 {
        inverse = inverse.wrapping_mul(2u64.wrapping_sub(odd.wrapping_mul(inverse)));
        step += 1;
    }
    inverse
}

/// Slots of a window at most: frees beyond go to their pages, at a third more work.
const DEPTH: usize = 1024;
/// Bytes of the slots that a window holds at most, but for the few it always may.
const WINDOW_BYTES: usize = 48 * 1024;
const FEW: usize = 4;

const fn window(size: usize) -> usize {
    let slots = WINDOW_BYTES / size;
    if slots > DEPTH {
        DEPTH
    } else if slots < FEW {
        FEW
    } else {
        slots
    }
}

/// Slots of all windows.
pub(crate) const fn windows() -> usize {
    let (mut class, mut slots) = (0, 0);
    while class < CLASSES {
        slots += window(slot_size(class));
        class += 1;
    }
    slots
}

/// Least page that wastes at most 3 %, of at most 512 slots: 8 to 32 KiB inside a granule up to 112 bytes a slot, whole
/// granules above.
const fn page_bytes(size: usize) -> usize {
    let mut bytes = match size {
        0..=24 => 8 * 1024,
        25..=56 => 16 * 1024,
        57..=112 => 32 * 1024,
        _ => GRANULE,
    };
    loop {
        let fit = bytes / size;
        let used = (if fit < PAGE_SLOTS { fit } else { PAGE_SLOTS }) * size;
        if (bytes - used) * 100 <= bytes * 3 {
            return bytes;
        }
        bytes += GRANULE;
    }
}

const fn small() -> [u8; SMALL_SIZES] {
    let mut small = [0; SMALL_SIZES];
    let mut size = 0;
    while size < small.len() {
        small[size] = class_by_shift(size) as u8;
        size += 1;
    }
    small
}

/// The class by arithmetic, for up to [`LARGEST`] bytes at an alignment of 8; above [`FINEST`] of 16.
#[inline(always)]
const fn class_by_shift(size: usize) -> usize {
    if size <= LEAST {
        0
    } else if size <= FINEST {
        (size - LEAST).div_ceil(8)
    } else if size <= FINE {
        FINEST_CLASSES - 1 + (size - FINEST).div_ceil(16)
    } else {
        let doubling = (size - 1).ilog2() - FINE.ilog2();
        let step = (FINE << doubling) / STEPS;
        FINE_CLASSES + doubling as usize * STEPS + (size - 1 - (FINE << doubling)) / step
    }
}

/// The class that serves `size` bytes at `align`, or `None` where pages don't: more than 32 KiB, or
/// aligned over 32 KiB. Constant time for alignments up to 16, a few steps above.
#[inline(always)]
pub(crate) fn class_of(size: usize, align: usize) -> Option<ClassIdx> {
    if align > 16 {
        return aligned_class(size, align);
    }
    if size <= SMALL {
        return Some(of_small(small_size(size, align)));
    }
    if size <= LARGEST { Some(ClassIdx(class_by_shift(size) as u8)) } else { None }
}

#[inline(never)]
fn aligned_class(size: usize, align: usize) -> Option<ClassIdx> {
    let size = size.max(align).checked_next_multiple_of(align)?;
    if size > LARGEST || align > LARGEST_ALIGN {
        return None;
    }
    // Every power of two is a class, so the search ends at the next one at the latest.
    let mut classes = class_by_shift(size)..CLASSES;
    classes.find(|&class| TABLE[class].slot_size as usize % align == 0).map(|class| ClassIdx(class as u8))
}

static_assertions::const_assert_eq!(slot_size(CLASSES - 1), LARGEST);
static_assertions::const_assert!(CLASSES <= u8::MAX as usize);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_gets_the_least_class_that_holds_it() {
        for size in 0..=LARGEST {
            let class = class_of(size, 8).unwrap().get();
            assert!(TABLE[class].slot_size as usize >= size.max(1), "{size}");
            assert!(class == 0 || (TABLE[class - 1].slot_size as usize) < size.max(1), "{size}");
            if size >= 128 {
                let waste = TABLE[class].slot_size as usize - size;
                assert!(waste * 8 <= size, "{size} wastes {waste}");
            }
        }
        assert_eq!(class_of(LARGEST + 1, 1), None);
    }

    #[test]
    fn every_alignment_is_met_by_every_slot_of_a_page() {
        for align in (0..=15).map(|shift| 1usize << shift) {
            for size in (0..=LARGEST).step_by(7) {
                let served = class_of(size, align).unwrap();
                let class = served.get();
                assert!(served.align() >= align);
                assert!(TABLE[class].slot_size as usize >= size);
                assert_eq!(TABLE[class].slot_size as usize % align.max(8), 0, "{size} at {align}");
                assert!(TABLE[class].slot_size as usize - size.max(1) < align.max(16) || size > FINE);
                assert_eq!(TABLE[class].page_bytes as usize % align.min(8192), 0, "{size} at {align}");
                assert!(align <= 8192 || TABLE[class].page_bytes as usize % GRANULE == 0);
            }
        }
        assert_eq!(class_of(1, 2 * LARGEST_ALIGN), None);
        assert_eq!(class_of(usize::MAX - 5, 64), None);
    }

    #[test]
    fn pages_waste_at_most_three_percent_and_hold_at_most_eight_words() {
        for class in TABLE {
            let used = class.slot_size as usize * class.slots as usize;
            assert!(class.slots as usize <= PAGE_SLOTS);
            assert!((class.page_bytes as usize - used) * 100 <= class.page_bytes as usize * 3, "{class:?}");
            let whole = class.page_bytes as usize % GRANULE == 0;
            assert!(whole || class.page_bytes.is_power_of_two(), "{class:?}");
            assert!(class.page_bytes as usize <= LARGEST_PAGE, "{class:?}");
        }
    }

    #[test]
    fn exact_division_finds_slots_and_nothing_else() {
        for class in TABLE {
            let (size, bytes) = (u64::from(class.slot_size), u64::from(class.page_bytes));
            let quotient =
                |in_page: u64| in_page.wrapping_mul(class.inverse).rotate_right(u32::from(class.twos));
            for in_page in 0..bytes {
                if in_page % size == 0 {
                    assert_eq!(quotient(in_page), in_page / size);
                } else {
                    assert!(quotient(in_page) >= PAGE_SLOTS as u64, "{in_page} in {class:?}");
                }
            }
            // In front of the page, far behind it, and where 32 bits would see the page again.
            for other in [0, 1 << 20, 1 << 32, 1 << 47, u64::MAX << 20, u64::MAX << 40] {
                for in_page in (0..bytes).step_by(8) {
                    let far = in_page.wrapping_add(other);
                    assert!(far < bytes || quotient(far) >= u64::from(class.slots), "{far} in {class:?}");
                }
            }
        }
    }

    #[test]
    fn sizes_ascend_and_hold_every_power_of_two() {
        assert!(TABLE.is_sorted_by(|a, b| a.slot_size < b.slot_size));
        for shift in 4..=15 {
            assert!(TABLE.iter().any(|class| class.slot_size == 1 << shift));
        }
    }
}
