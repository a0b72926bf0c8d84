//! Byte strings as programs of the allocator's whole interface, run against a model: what the fuzz target and the
//! seeded test have in common.
//!
//! A program is a sequence of steps, each a byte that says what, and bytes that say how; what is missing is zero.
//! Invariant: nothing is installed and a program frees all it made, so programs can follow one another in a process;
//! no other user of the allocator may be in it.

use std::alloc::{GlobalAlloc, Layout};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use bucketmask_alloc::{
    BucketAlloc, LentPage, PageOccupancy, PageRequest, PageUse, Range, current_node, give_back, lend, locate,
    raw,
};

/// Most blocks that a program holds, and most bytes.
const MOST_BLOCKS: usize = 4000;
const MOST_BYTES: usize = 256 << 20;
/// Most pages that a program borrows.
const MOST_LENT: usize = 40;

/// The rest of a program.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn byte(&mut self) -> usize {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        usize::from(first)
    }

    /// A number of any magnitude up to 2^`bits`, small ones as likely as large ones.
    fn number(&mut self, bits: u32) -> usize {
        let magnitude = self.byte() as u32 % (bits + 1);
        let low = self.byte() | self.byte() << 8 | self.byte() << 16;
        let top = 1usize << magnitude;
        top + (low & (top - 1))
    }

    /// A size of at least one byte, mostly small, up to 4 MiB, at an alignment of up to 64 KiB.
    fn layout(&mut self) -> Layout {
        let size = self.number(22);
        let align = 1
            << match self.byte() {
                exponent @ 0..=16 => exponent,
                other => other % 5,
            };
        Layout::from_size_align(size, align).unwrap()
    }
}

/// A live block, whose first and last bytes are `mark`.
struct Block {
    layout: Layout,
    mark: u8,
    /// Made by `raw`, so freed by it.
    raw: bool,
}

/// What a program made so far, by address.
#[derive(Default)]
struct Model {
    blocks: BTreeMap<usize, Block>,
    bytes: usize,
    lent: Vec<(LentPage, [u64; 8])>,
    ranges: Vec<Range>,
    marks: u8,
}

/// Runs a program. Panics where the allocator and the model disagree.
pub(crate) fn run(program: &[u8]) {
    let (mut bytes, mut model) = (Bytes(program), Model::default());
    while !bytes.0.is_empty() {
        step(&mut bytes, &mut model);
    }
    model.check_masks();
    model.end();
}

fn step(bytes: &mut Bytes<'_>, model: &mut Model) {
    match bytes.byte() % 32 {
        0..=7 => model.allocate(bytes, false),
        8 => model.allocate(bytes, true),
        9 => {
            // As many of one layout as fill some buckets.
            let (layout, count) = (bytes.layout(), bytes.byte());
            for _ in 0..count {
                model.add(layout, false, || plain(layout));
            }
        }
        10..=16 => model.free(bytes),
        17 => {
            let count = bytes.byte();
            (0..count).for_each(|_| model.free(bytes));
        }
        18 | 19 => model.free_in_thread(bytes),
        20 => model.allocate_in_thread(bytes),
        21..=24 => model.resize(bytes),
        25 => model.lend(bytes),
        26 => model.give(bytes),
        27 => model.range(bytes),
        28 => {
            let most = bytes.byte() % 3;
            model.ranges.truncate(most);
        }
        29 => {
            BucketAlloc.purge();
            model.check_contents();
        }
        30 => model.who_pins(bytes),
        _ => model.check(),
    }
}

fn plain(layout: Layout) -> *mut u8 {
    // SAFETY: not of size 0.
    unsafe { BucketAlloc.alloc(layout) }
}

/// Frees what a block's maker made.
fn dealloc(address: usize, block: &Block) {
    // SAFETY: made with this layout, or by `raw`; taken out of the model, so freed once.
    unsafe {
        if block.raw {
            raw::free(address as *mut u8);
        } else {
            BucketAlloc.dealloc(address as *mut u8, block.layout);
        }
    }
}

impl Block {
    fn ends(&self, address: usize) -> [*mut u8; 2] {
        [address as *mut u8, (address + self.layout.size() - 1) as *mut u8]
    }

    fn write(&self, address: usize) {
        for end in self.ends(address) {
            // SAFETY: inside a live block.
            unsafe { end.write(self.mark) };
        }
    }

    fn check(&self, address: usize) {
        // SAFETY: inside a live block, whose ends were written.
        let found = self.ends(address).map(|end| unsafe { end.read() });
        assert_eq!(found, [self.mark; 2], "the content of {address:#x} changed");
    }
}

impl Model {
    fn allocate(&mut self, bytes: &mut Bytes<'_>, zeroed: bool) {
        let (layout, raw) = (bytes.layout(), bytes.byte() % 4 == 0);
        // Zeroed memory of `raw` has no alignment of its own.
        let raw = raw && !(zeroed && layout.align() > raw::ALIGN);
        let made = self.add(layout, raw, || match (raw, zeroed) {
            (false, false) => plain(layout),
            // SAFETY: not of size 0.
            (false, true) => unsafe { BucketAlloc.alloc_zeroed(layout) },
            (true, true) => raw::malloc_zeroed(layout.size()),
            (true, false) => raw::malloc_aligned(layout.size(), layout.align()),
        });
        if let (true, Some(address)) = (zeroed, made) {
            let inner = 1..layout.size().saturating_sub(1);
            // SAFETY: inside the block, but for its ends, which are written by now.
            let is_zero = |at: usize| unsafe { (address as *const u8).add(at).read() } == 0;
            assert!(inner.step_by(61).all(is_zero), "a zeroed block is not");
        }
    }

    /// Adds the block that `make` makes, if there is room for one.
    fn add(&mut self, layout: Layout, raw: bool, make: impl FnOnce() -> *mut u8) -> Option<usize> {
        let room = self.blocks.len() < MOST_BLOCKS && self.bytes + layout.size() < MOST_BYTES;
        room.then(|| {
            let address = make() as usize;
            self.insert(address, layout, raw);
            address
        })
    }

    fn insert(&mut self, address: usize, layout: Layout, raw: bool) {
        assert_ne!(address, 0, "no memory for {layout:?}");
        assert_eq!(address % layout.align(), 0, "{layout:?}");
        let end = address + layout.size();
        let before = self.blocks.range(..end).next_back();
        assert!(
            before.is_none_or(|(&at, block)| at + block.layout.size() <= address),
            "{address:#x} overlaps"
        );
        self.marks = self.marks.wrapping_add(1);
        let block = Block { layout, mark: self.marks, raw };
        block.write(address);
        self.bytes += layout.size();
        self.blocks.insert(address, block);
    }

    /// Takes a block out, chosen by the next bytes.
    fn take(&mut self, bytes: &mut Bytes<'_>) -> Option<(usize, Block)> {
        let near = self.blocks.keys().next()? + bytes.number(24);
        let address = *self.blocks.range(near..).next().or_else(|| self.blocks.iter().next_back())?.0;
        let block = self.blocks.remove(&address)?;
        block.check(address);
        self.bytes -= block.layout.size();
        Some((address, block))
    }

    fn free(&mut self, bytes: &mut Bytes<'_>) {
        if let Some((address, block)) = self.take(bytes) {
            dealloc(address, &block);
        }
    }

    fn free_in_thread(&mut self, bytes: &mut Bytes<'_>) {
        let count = bytes.byte();
        let taken: Vec<(usize, Block)> = (0..count).filter_map(|_| self.take(bytes)).collect();
        let free = move || taken.iter().for_each(|(address, block)| dealloc(*address, block));
        std::thread::spawn(free).join().unwrap();
    }

    fn allocate_in_thread(&mut self, bytes: &mut Bytes<'_>) {
        let (layout, count) = (bytes.layout(), bytes.byte());
        let room = MOST_BYTES.saturating_sub(self.bytes) / layout.size();
        let count = count.min(room).min(MOST_BLOCKS - self.blocks.len());
        let make = move || (0..count).map(|_| plain(layout) as usize).collect::<Vec<usize>>();
        for address in std::thread::spawn(make).join().unwrap() {
            self.insert(address, layout, false);
        }
    }

    fn resize(&mut self, bytes: &mut Bytes<'_>) {
        let new = bytes.number(22);
        let Some((address, block)) = self.take(bytes) else { return };
        let (layout, block_ptr) = (block.layout, address as *mut u8);
        let align = if block.raw { raw::ALIGN.min(layout.align()) } else { layout.align() };
        let resized = Layout::from_size_align(new, align).unwrap();
        // SAFETY: made by the same maker with this layout; the new size is not 0.
        let moved = unsafe {
            if block.raw { raw::realloc(block_ptr, new) } else { BucketAlloc.realloc(block_ptr, layout, new) }
        };
        assert!(!moved.is_null());
        // SAFETY: the first byte was kept.
        assert_eq!(unsafe { moved.read() }, block.mark, "a resize lost the content");
        self.insert(moved as usize, resized, block.raw);
    }

    fn lend(&mut self, bytes: &mut Bytes<'_>) {
        let slot_size = (bytes.number(12) + 8).next_multiple_of(8);
        let request =
            PageRequest { bytes: 8192 << (bytes.byte() % 5), slot_size, leaf: bytes.byte() % 2 == 0 };
        if self.lent.len() == MOST_LENT {
            return;
        }
        if let Some(page) = lend(current_node(), request) {
            let mut occupied = [0u64; 8];
            for slot in (0..page.slots()).filter(|_| bytes.byte() % 3 == 1) {
                occupied[slot / 64] |= 1 << (slot % 64);
                let address = page.base().as_ptr().wrapping_add(slot * slot_size);
                // SAFETY: a slot's start of a page that is lent.
                let (found, at, leaf) = unsafe { locate(address) };
                assert_eq!((found, at as usize, leaf), (page, slot, request.leaf));
            }
            for (word, bits) in page.occupied().iter().zip(occupied) {
                word.store(bits, Ordering::Relaxed);
            }
            self.lent.push((page, occupied));
        }
    }

    fn give(&mut self, bytes: &mut Bytes<'_>) {
        if !self.lent.is_empty() {
            let (page, _) = self.lent.swap_remove(bytes.byte() % self.lent.len());
            // SAFETY: lent to this program, which keeps no pointer into it.
            unsafe { give_back(page) };
        }
    }

    fn range(&mut self, bytes: &mut Bytes<'_>) {
        let (room, offset, len) = (bytes.number(26), bytes.number(22), bytes.number(16));
        let Some(range) = Range::reserve(room) else { return };
        assert!(range.room() >= room);
        let fits = offset + len <= range.room();
        assert_eq!(range.open(offset, len), fits);
        if fits {
            let first = range.base().as_ptr().wrapping_add(offset);
            // SAFETY: opened, and nobody else's.
            unsafe {
                assert_eq!((first.read(), first.add(len - 1).read()), (0, 0));
                first.write_bytes(0xff, len);
            }
            range.close(offset, len);
        }
        if self.ranges.len() < 8 {
            self.ranges.push(range);
        }
    }

    fn who_pins(&mut self, bytes: &mut Bytes<'_>) {
        let Some((address, block)) = self.take(bytes) else { return };
        let pins = BucketAlloc.who_pins(address);
        assert!(pins.is_empty() || pins.iter().any(|pin| pin.address == address));
        self.bytes += block.layout.size();
        self.blocks.insert(address, block);
    }

    fn check_contents(&self) {
        self.blocks.iter().for_each(|(&address, block)| block.check(address));
    }

    /// No other thread is in the allocator: masks and report are the model.
    fn check(&self) {
        let seen = self.check_masks();
        let report = BucketAlloc.report();
        assert_eq!(seen + report.large.blocks, self.blocks.len(), "blocks were not seen");
        assert_eq!(report.nodes.iter().map(|node| node.ranges.count).sum::<usize>(), self.ranges.len());
    }

    /// The masks are the model; how many blocks they have.
    fn check_masks(&self) -> usize {
        self.check_contents();
        let mut lent: BTreeMap<usize, [u64; 8]> =
            self.lent.iter().map(|(page, occupied)| (page.base().as_ptr() as usize, *occupied)).collect();
        let mut seen = 0;
        BucketAlloc.for_each_page(|page: &PageOccupancy| match page.usage {
            PageUse::Lent => {
                let occupied = lent.remove(&page.base).expect("a page that was not lent");
                assert_eq!(page.live.map(u64::from), occupied);
            }
            _ => {
                for address in page.live_addresses() {
                    assert!(self.blocks.contains_key(&address), "{address:#x} is live, but not in the model");
                    seen += 1;
                }
            }
        });
        assert!(lent.is_empty(), "a lent page is not seen");
        seen
    }

    /// Frees everything; then nothing is live.
    fn end(mut self) {
        for (address, block) in std::mem::take(&mut self.blocks) {
            block.check(address);
            dealloc(address, &block);
        }
        self.bytes = 0;
        for (page, _) in self.lent.drain(..) {
            // SAFETY: lent to this program, which keeps no pointer into it.
            unsafe { give_back(page) };
        }
        self.ranges.clear();
        assert_eq!(self.check_masks(), 0);
    }
}
