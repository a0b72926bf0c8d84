//! Pages lent to a collector, and ranges: requests, lookup of addresses, giving back.

use std::sync::atomic::Ordering;

use parking_lot::Mutex;

use bucketmask_alloc::{
    BucketAlloc, LentPage, Locator, PageRequest, PageShape, PageUse, Range, Shaped, current_node, give_back,
    lend, locate, prefetch,
};

fn page(bytes: usize, slot_size: usize, leaf: bool) -> LentPage {
    lend(current_node(), PageRequest { bytes, slot_size, leaf }).unwrap()
}

fn give(page: LentPage) {
    // SAFETY: lent by this test, which keeps no pointer into it.
    unsafe { give_back(page) };
}

/// Asks for an address by every shape: only its own finds it, and none where the locator looks for none.
///
/// # Safety
/// `address` is that of the slot that was found.
unsafe fn check_shapes(locator: &Locator, address: *const u8, found: (LentPage, u32, bool)) {
    let (page, slot, leaf) = found;
    let own = (page.bytes(), page.slot_size());
    for (shift, size) in [(10, 16), (13, 16), (13, 24), (14, 24), (14, 40), (16, 16), (16, 136), (16, 408)] {
        let shape = PageShape::new(shift, size);
        let expected = match leaf {
            _ if own != (1 << shift, size) => Shaped::Other,
            true => Shaped::Leaf(page, slot),
            false => Shaped::Traced(page, slot),
        };
        // SAFETY: the caller's promise.
        unsafe {
            assert_eq!(locator.locate_in(address, shape), expected);
            assert_eq!(locator.without_shapes().locate_in(address, shape), Shaped::Other);
        }
    }
}

#[test]
fn every_slot_of_every_kind_of_page_is_located() {
    let locator = Locator::new();
    let kinds = [
        (1, 16),
        (1, 408),
        (2, 48),
        (4, 1024),
        (8, 16),
        (8, 24),
        (16, 40),
        (32, 1024),
        (64, 16),
        (64, 136),
        (64, 32 * 1024),
        (192, 4096),
    ];
    for (kib, slot_size) in kinds {
        for leaf in [false, true] {
            let pages: Vec<LentPage> = (0..40).map(|_| page(kib * 1024, slot_size, leaf)).collect();
            for &lent in &pages {
                assert_eq!(lent.slot_size(), slot_size);
                assert!(lent.bytes() >= kib * 1024 && lent.slots() == (lent.bytes() / slot_size).min(512));
                assert_eq!(lent.base().as_ptr() as usize % (kib.min(8) * 1024), 0);
                for slot in 0..lent.slots() {
                    let address = lent.base().as_ptr().wrapping_add(slot * slot_size);
                    // SAFETY: a slot start of a lent page; the page is this test's, so writing is fine.
                    let (found, located) = unsafe {
                        address.write(slot as u8);
                        prefetch(address);
                        (locate(address), locator.locate(address))
                    };
                    assert_eq!(found, (lent, slot as u32, leaf));
                    assert_eq!((located.page, located.slot, located.leaf), found);
                    // SAFETY: as above.
                    unsafe { check_shapes(&locator, address, found) };
                }
            }
            pages.into_iter().for_each(give);
        }
    }
}

#[test]
fn pages_do_not_overlap_and_come_back_clean() {
    let mut spans = Vec::new();
    for round in 0..3 {
        let pages: Vec<LentPage> = (0..100).map(|step| page(8192 << (step % 4), 32, step % 2 == 0)).collect();
        spans.clear();
        for &lent in &pages {
            let lines = [lent.occupied(), lent.marked(), lent.scanned()];
            assert!(
                lines.iter().all(|line| line.iter().all(|word| word.load(Ordering::Relaxed) == 0)),
                "{round}"
            );
            assert!(lent.user().iter().all(|word| word.load(Ordering::Relaxed) == 0), "{round}");
            for line in lines {
                line[0].store(round + 1, Ordering::Relaxed);
            }
            lent.user()[2].store(7, Ordering::Relaxed);
            spans.push((lent.base().as_ptr() as usize, lent.bytes()));
        }
        spans.sort_unstable();
        assert!(spans.windows(2).all(|pair| pair[0].0 + pair[0].1 <= pair[1].0));
        pages.into_iter().for_each(give);
    }
}

#[test]
fn requests_out_of_range_are_refused() {
    let refused = [
        (512, 16),
        (3072, 16),
        (8192, 8),
        (8192, 20),
        (8192, 16384),
        (12 * 1024, 16),
        (100_000, 16),
        (8 << 20, 64),
    ];
    for (bytes, slot_size) in refused {
        assert_eq!(
            lend(current_node(), PageRequest { bytes, slot_size, leaf: false }),
            None,
            "{bytes} {slot_size}"
        );
    }
    // A chunk in one slot is the most.
    give(page(4 << 20, 4 << 20, false));
}

#[test]
fn lent_pages_are_in_the_masks() {
    let lent = page(8192, 48, true);
    lent.occupied()[1].store(0b1011, Ordering::Relaxed);
    let pages = BucketAlloc.occupancy();
    let base = lent.base().as_ptr() as usize;
    let seen = pages.iter().find(|page| page.base == base).unwrap();
    assert_eq!(seen.usage, PageUse::Lent);
    assert_eq!(seen.live_slots(), 3);
    assert_eq!(seen.live_addresses().collect::<Vec<_>>(), [64, 65, 67].map(|slot| base + slot * 48));
    give(lent);
}

/// Tests of ranges run one at a time: one takes all there are.
static RANGES: Mutex<()> = Mutex::new(());

#[test]
fn ranges_open_close_and_read_as_zero_again() {
    let _alone = RANGES.lock();
    let range = Range::reserve(9 << 20).unwrap();
    assert_eq!(range.room(), 12 << 20);
    assert_eq!(range.base().as_ptr() as usize % (4 << 20), 0);
    // SAFETY: an address in a range.
    let found = unsafe { Locator::new().locate_in(range.base().as_ptr(), PageShape::new(13, 16)) };
    assert_eq!(found, Shaped::Other);
    assert!(range.open(0, 10_000) && range.open(8 << 20, 4096));
    assert_eq!(range.opened(), 12_288 + 4096);
    let bytes = range.base().as_ptr();
    // SAFETY: all inside what is open, which is this test's.
    unsafe {
        assert_eq!(bytes.add(9_999).read(), 0);
        bytes.write_bytes(1, 10_000);
        bytes.add(8 << 20).write(2);
    }
    assert!(range.open(0, 10_000));
    assert_eq!(range.opened(), 12_288 + 4096, "what is open is not counted twice");
    range.close(1, 10_000);
    assert_eq!(range.opened(), 8192 + 4096, "only OS pages wholly inside are closed");
    assert!(range.open(4096, 4096));
    // SAFETY: as above.
    unsafe {
        assert_eq!(bytes.read(), 1);
        assert_eq!(bytes.add(4096).read(), 0, "what was closed reads as zero");
        assert_eq!(bytes.add(8192).read(), 1);
    }
    assert!(!range.open(range.room() - 1, 2) && !range.open(usize::MAX, 2), "outside the room");
    range.close(usize::MAX, 5);
}

#[test]
fn ample_ranges_leave_room_for_others() {
    let _alone = RANGES.lock();
    let least = 5 << 20;
    let first = Range::reserve_ample(least).unwrap().room();
    assert!(first > 256 << 20, "{first}: the first ones get far more than they ask for");
    let mut ranges: Vec<Range> = (0..1500).map(|_| Range::reserve_ample(least).unwrap()).collect();
    assert!(ranges.iter().all(|range| range.room() >= least));
    assert!(ranges.last().unwrap().room() < first / 8);
    let whole = Range::reserve(first).expect("there is room for large ones still");
    ranges.push(whole);
    assert!(ranges.iter().all(|range| range.open(range.room() - 4096, 4096)));
}

#[test]
fn ranges_leave_mappings_to_others() {
    let _alone = RANGES.lock();
    let mappings = || std::fs::read_to_string("/proc/self/maps").unwrap().lines().count();
    let before = mappings();
    let mut ranges = Vec::new();
    // Three parts open in each, as a table has them.
    while let Some(range) = Range::reserve(1 << 20) {
        assert!([0, 1 << 18, 1 << 19].into_iter().all(|part| range.open(part, 4096)));
        ranges.push(range);
    }
    let limit = std::fs::read_to_string("/proc/sys/vm/max_map_count").unwrap();
    let limit: usize = limit.trim().parse().unwrap();
    assert!(mappings() - before <= limit / 2, "{} of {limit}", mappings());
    assert!(ranges.len() >= limit / 32, "{} ranges", ranges.len());
    ranges.pop();
    assert!(Range::reserve(1 << 20).is_some());
}

#[test]
fn ranges_are_apart_and_come_back() {
    let _alone = RANGES.lock();
    let ranges: Vec<Range> = (1..40).map(|chunks| Range::reserve(chunks * (4 << 20)).unwrap()).collect();
    let mut spans: Vec<(usize, usize)> =
        ranges.iter().map(|range| (range.base().as_ptr() as usize, range.room())).collect();
    spans.sort_unstable();
    assert!(spans.windows(2).all(|pair| pair[0].0 + pair[0].1 <= pair[1].0));
    drop(ranges);
    // What was dropped is room again: this is more than the region in all.
    for _ in 0..100 {
        assert_eq!(Range::reserve(64 << 30).unwrap().room(), 64 << 30);
    }
    assert!(Range::reserve(usize::MAX / 2).is_none(), "more than there is");
}
