//! What a report says of blocks that the test knows, and who pins a page.

mod common;

use std::alloc::{GlobalAlloc, Layout};
use std::collections::BTreeMap;

use bucketmask_alloc::{
    BucketAlloc, NodeReport, PageRequest, Range, Report, SlotsReport, current_node, give_back, lend,
};
use parking_lot::Mutex;

/// 320 bytes a slot: a page of 204 slots, and the test's harness, which has an allocator of its own, is not in the way.
const LAYOUT: Layout = Layout::new::<[u64; 40]>();

/// These tests count pages: one at a time.
static ALONE: Mutex<()> = Mutex::new(());

fn blocks(layout: Layout, count: usize) -> Vec<usize> {
    // SAFETY: not of size 0.
    (0..count).map(|_| unsafe { BucketAlloc.alloc(layout) } as usize).collect()
}

fn free(layout: Layout, block: usize) {
    // SAFETY: of `blocks`, freed once.
    unsafe { BucketAlloc.dealloc(block as *mut u8, layout) };
}

fn free_all(layout: Layout, blocks: impl IntoIterator<Item = usize>) {
    for block in blocks {
        free(layout, block);
    }
}

fn class(report: &Report, slot_size: usize) -> SlotsReport {
    let mut classes = report.nodes.iter().flat_map(|node| &node.classes);
    classes.find(|class| class.slot_size == slot_size).cloned().unwrap_or_default()
}

/// Bytes of a block that mimalloc serves.
const LARGE: usize = 40 << 20;

/// The longest run of slots of which none is live, slot by slot.
fn naive_run(live: impl Iterator<Item = bool>) -> usize {
    let (mut longest, mut run) = (0, 0);
    for live in live {
        run = if live { 0 } else { run + 1 };
        longest = longest.max(run);
    }
    longest
}

#[test]
fn histogram_and_free_runs_are_what_a_slot_by_slot_count_gives() {
    let _alone = ALONE.lock();
    let mut held = blocks(LAYOUT, 20_000);
    let mut random = common::Random::new(7);
    for share in [100, 70, 30, 4] {
        let mut kept = Vec::new();
        for block in held {
            if random.below(100) < share { kept.push(block) } else { free(LAYOUT, block) }
        }
        held = kept;
        let report = class(&BucketAlloc.report(), 320);
        let mut pages = BTreeMap::<usize, Vec<bool>>::new();
        for page in BucketAlloc.occupancy().iter().filter(|page| page.slot_size == 320) {
            let bits = page.live_bits();
            let live: Vec<bool> = bits.iter().by_vals().take(page.slots).collect();
            assert!(bits[page.slots..].not_any());
            assert_eq!(page.largest_free_run(), naive_run(live.iter().copied()));
            pages.insert(page.base, live);
        }
        let mut histogram = [0; 10];
        for live in pages.values() {
            let tenths = live.iter().filter(|&&live| live).count() * 10 / live.len();
            histogram[tenths.min(9)] += 1;
        }
        assert_eq!(report.histogram, histogram, "{share}");
        assert_eq!(report.pages, pages.len());
        assert_eq!(report.histogram.iter().sum::<usize>(), report.pages);
        assert_eq!(
            report.largest_free_run,
            pages.values().map(|live| naive_run(live.iter().copied())).max().unwrap()
        );
        assert_eq!(report.live, held.len());
        assert_eq!(report.requested, held.len() * LAYOUT.size());
    }
    free_all(LAYOUT, held);
}

#[test]
fn who_pins_a_page_names_its_live_blocks() {
    let _alone = ALONE.lock();
    let layout = Layout::from_size_align(1400, 8).unwrap();
    let held = blocks(layout, 300);
    let page = BucketAlloc
        .occupancy()
        .into_iter()
        .find(|page| page.live_addresses().any(|address| address == held[7]));
    let page = page.unwrap();
    let (here, elsewhere): (Vec<usize>, Vec<usize>) =
        held.iter().partition(|&&block| (page.base..page.base + page.bytes).contains(&block));
    for &block in &here[2..] {
        free(layout, block);
    }
    for address in [page.base, page.base + page.bytes - 1, here[0] + 3] {
        let pins = BucketAlloc.who_pins(address);
        let mut expected = here[..2].to_vec();
        expected.sort_unstable();
        assert_eq!(pins.iter().map(|pin| pin.address).collect::<Vec<_>>(), expected);
        assert!(pins.iter().all(|pin| pin.slot_size == 1408 && pin.class.is_some() && pin.node == page.node));
    }
    assert_eq!(BucketAlloc.who_pins(&raw const page as usize), []);
    free_all(layout, elsewhere);
    free_all(layout, here[..2].iter().copied());
}

#[test]
fn the_kernel_and_mimalloc_are_heard() {
    let _alone = ALONE.lock();
    let (before, large) = (BucketAlloc.report(), Layout::from_size_align(LARGE, 4096).unwrap());
    // SAFETY: not of size 0; written as far as it reaches.
    let block = unsafe {
        let block = BucketAlloc.alloc(large);
        block.write_bytes(1, LARGE);
        block as usize
    };
    let range = Range::reserve(64 << 20).unwrap();
    assert!(range.open(0, 20 << 20));
    // SAFETY: opened, and this test's alone.
    unsafe { range.base().as_ptr().write_bytes(1, 20 << 20) };
    let report = BucketAlloc.report();
    assert!(report.large.committed >= before.large.committed + LARGE / 2, "{:?}", report.large);
    let (all, memory) = (report.process.unwrap(), report.nodes[0].memory.unwrap());
    assert!(memory.resident >= 20 << 20 && memory.private_dirty >= 20 << 20, "{memory:?}");
    assert!(all.resident >= memory.resident + LARGE, "{all:?}");
    assert!(all.resident >= before.process.unwrap().resident + LARGE);
    free(large, block);
}

#[test]
fn the_kernel_counts_pages_to_their_node() {
    let _alone = ALONE.lock();
    let resident = || BucketAlloc.report().nodes[0].memory.unwrap().resident;
    let layout = Layout::from_size_align(20_000, 8).unwrap();
    let before = resident();
    let held = blocks(layout, 1000);
    for &block in &held {
        // SAFETY: this test's block, of that size.
        unsafe { (block as *mut u8).write_bytes(1, layout.size()) };
    }
    assert!(resident() >= before + 18_000 * held.len(), "{before}");
    free_all(layout, held);
}

#[test]
fn free_granules_are_counted() {
    let _alone = ALONE.lock();
    let granules = |report: &Report| report.nodes[0].granules;
    // A page of a whole chunk less one granule.
    let page =
        lend(current_node(), PageRequest { bytes: 63 << 16, slot_size: 63 << 16, leaf: true }).unwrap();
    let now = granules(&BucketAlloc.report());
    assert!(now.open % 64 == 0 && now.open >= 64 && now.free < now.open);
    assert!(now.largest_free_run <= 64 && now.largest_free_run <= now.free);
    let bytes: usize = BucketAlloc.occupancy().iter().map(|page| page.bytes).sum();
    assert!((now.open - now.free) << 16 >= bytes / 2);
    // SAFETY: lent above, and nothing points into it.
    unsafe { give_back(page) };
}

#[test]
fn a_report_prints_all_its_parts() {
    let _alone = ALONE.lock();
    let held = blocks(LAYOUT, 10);
    let report = BucketAlloc.report();
    let NodeReport { classes, .. } = &report.nodes[0];
    let text = report.to_string();
    assert!(!classes.is_empty());
    for part in [
        "requested",
        "ext.",
        "pages at least so full",
        "granules: ",
        "lazy free",
        "private dirty",
        "held by mimalloc",
        "process: ",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(text.lines().all(|line| line.len() < 140), "{text}");
    free_all(LAYOUT, held);
}
