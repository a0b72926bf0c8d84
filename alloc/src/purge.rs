//! Memory back to the kernel: which is due, and how it is taken.
//!
//! A look walks the chunks and gives what was of no use at the last look already: ranges without an owner, free granules, runs
//! that heaps keep, what lies behind medium blocks, and holes in slab pages. By hand, everything. Invariants: one
//! look at a time, which a fork waits for; memory is taken only from what cannot be handed out meanwhile,
//! because it was taken from its span, or claimed.
//!
//! A slab page is claimed in three steps: say so in its metadata, have a barrier run on all threads, look
//! which of its slots its heap's window has. A heap puts slots in its window first and looks for a claim
//! then, and takes them out again where it finds one; so one of the two sees the other
//! (`remote::Expected`), and the heap, whose step it is far more often, needs no barrier. Nobody waits. A
//! free needs no claim: it only adds bits.
#![allow(unsafe_code)]

use core::sync::atomic::{AtomicU8, Ordering};

use crate::class::SMALLEST_PAGE;
use crate::events::mem as events;
use crate::granule::Kind;
use crate::holes::Holes;
use crate::lock::FutexMutex;
use crate::mask::BucketMask;
use crate::node::NodeId;
use crate::page::{PageMeta, WORDS};
use crate::region::REGION;
use crate::span::{CHUNK, for_each_page_of};
use crate::sys::{self, OS_PAGE};
use crate::window::Window;
use crate::{medium, parked, probes, thread};

/// Held a chunk long by who looks; over a fork by the forking thread, behind the ranges': their holder allocates, and may so look.
pub(crate) static LOOKING: FutexMutex<()> = FutexMutex::new(());

/// What a look found.
#[derive(Clone, Copy, Default)]
pub(crate) struct Found {
    /// Bytes given to the kernel.
    pub given: usize,
    /// Whether something was given or is to be looked at again.
    pub is_news: bool,
}

impl Found {
    fn add(&mut self, other: Self) {
        self.given += other.given;
        self.is_news |= other.is_news;
    }
}

/// Looks at all memory. `by_hand`: nothing has to wait for its delay.
pub(crate) fn look(by_hand: bool) -> Found {
    probes::purge_start(by_hand);
    let mut found = {
        let _alone = LOOKING.lock();
        parked::look(by_hand)
    };
    // What is taken from a part of a huge page splits it, for less than it is worth.
    let huge = huge_pages();
    for (node, span) in REGION.spans().iter().enumerate() {
        let node = NodeId(node as u8);
        for chunk in 0..span.chunks() {
            let _alone = LOOKING.lock();
            if !huge {
                for_each_page_of(node, chunk, |page, _| {
                    if page.kind() == Kind::Medium {
                        found.add(of_medium(page, by_hand));
                    }
                });
                found.add(of_slabs(node, chunk, by_hand));
            }
            found.add(span.purge_granules(node, chunk, by_hand, huge));
        }
    }
    probes::purge_end(found.given);
    if events::is_on() && found.given > 0 {
        events::tell(events::Kind::Purged, [found.given as u64, 0, 0, 0]);
    }
    found
}

/// What a medium block's page metadata says of it in `looked`: purgeable when looked at last.
const SEEN: u16 = 1;
/// Not to be had: locked memory. Until the run is used anew.
const LOCKED: u16 = 2;

fn of_medium(page: &'static PageMeta, by_hand: bool) -> Found {
    let looked = &page.header.looked;
    if !medium::is_purgeable(page) {
        return Found::default();
    }
    // Relaxed: only a note of when to look.
    match looked.load(Ordering::Relaxed) {
        LOCKED if !by_hand => Found::default(),
        SEEN | LOCKED => take_medium(page),
        _ if by_hand => take_medium(page),
        _ => {
            looked.store(SEEN, Ordering::Relaxed);
            Found { given: 0, is_news: true }
        }
    }
}

fn take_medium(page: &'static PageMeta) -> Found {
    if let Some(given) = medium::purge(page) {
        return Found { given, is_news: given > 0 };
    }
    page.header.looked.store(LOCKED, Ordering::Relaxed);
    Found::default()
}

/// OS pages of a chunk.
const OS_PAGES: usize = CHUNK / OS_PAGE;
/// Pages of a chunk at most.
const PAGES: usize = CHUNK / SMALLEST_PAGE;
/// In a slab page's `looked`, beside its free slots: the kernel keeps its memory.
const KEPT: u16 = 1 << 15;

/// Gives the holes of a chunk's slab pages.
fn of_slabs(node: NodeId, chunk: usize, by_hand: bool) -> Found {
    let mut found = Found::default();
    let mut claimed = [None; PAGES];
    let mut count = 0;
    // One byte an OS page: whether it is in memory. Asked once something is due.
    let mut resident = None;
    let base = REGION.base() + usize::from(node.0) * REGION.span_bytes() + chunk * CHUNK;
    for_each_page_of(node, chunk, |page, _| {
        if page.kind() != Kind::Slab || count == PAGES {
            return;
        }
        let holes = holes_of(page);
        if !is_due(page, &holes, by_hand, &mut found) {
            return;
        }
        let resident = resident.get_or_insert_with(|| {
            let mut states = [0; OS_PAGES];
            sys::residency(base, &mut states);
            states
        });
        if for_each_resident(page, &holes, base, resident, |_, _| true) {
            page.header.expected.claim();
            claimed[count] = Some(page);
            count += 1;
        }
    });
    let (Some(resident), true) = (&resident, count > 0) else { return found };
    let may_take = thread::barrier_on_all();
    if may_take {
        // Else the kernel might fill the holes again, to make a huge page of what is left.
        // SAFETY: an opened chunk.
        unsafe { sys::advise_small(base as *mut u8, CHUNK) };
    }
    for page in claimed[..count].iter().flatten() {
        if let (true, Some(in_window)) = (may_take, in_window(page)) {
            let given = take_holes(page, in_window, base, resident);
            found.add(Found { given, is_news: given > 0 });
        }
        page.header.expected.release();
    }
    found
}

/// The free slots of a slab page. Of a page that is not claimed, about as they are.
fn holes_of(page: &PageMeta) -> Holes {
    let free = |bucket: usize| {
        // Acquire pairs with the releases of who freed: what they did to the slots is done.
        let local_free = page.local_free.0[bucket].load(Ordering::Acquire);
        let free = local_free | page.remote.0[bucket].load(Ordering::Acquire);
        BucketMask::from_word(free).intersection(page.bucket_slots(bucket))
    };
    Holes {
        free: core::array::from_fn(free),
        slots: page.slots(),
        slot_size: page.slot_size(),
        bytes: page.bytes(),
    }
}

/// Whether a page's holes were there at the last look already; notes them for the next.
fn is_due(page: &PageMeta, holes: &Holes, by_hand: bool, found: &mut Found) -> bool {
    let (count, looked) = (holes.count(), &page.header.looked);
    if count * holes.slot_size < OS_PAGE {
        return false;
    }
    // As many free slots as then: hardly anything was handed out meanwhile.
    let note = count as u16 + 1;
    let before = looked.swap(note, Ordering::Relaxed);
    if before == (note | KEPT) && !by_hand {
        looked.store(before, Ordering::Relaxed);
        return false;
    }
    found.is_news |= before != note;
    before == note || by_hand
}

/// What of a claimed page is in its owner's window, and may so be handed out all the same; `None` if the page
/// was given back. Call behind the barrier.
fn in_window(page: &PageMeta) -> Option<[u64; WORDS]> {
    // A page that was given back before it was claimed may be lent, or a medium block, and carry the claim; one
    // that was given back since has lost it. A claimed slab page stays one: its heap sees the claim.
    if !page.header.expected.is_claimed() || page.kind() != Kind::Slab {
        return None;
    }
    let owner = page.header.owner.load(Ordering::Acquire);
    if owner == 0 {
        return None;
    }
    // SAFETY: a slab page's owner word is a window's address; heaps live for ever.
    let window = unsafe { &*(owner as *const Window) };
    Some(window.slots_of(page))
}

/// Gives the holes of a claimed page that are in memory; bytes given.
fn take_holes(
    page: &PageMeta,
    in_window: [u64; WORDS],
    chunk_base: usize,
    resident: &[u8; OS_PAGES],
) -> usize {
    let mut given = 0;
    // The masks are read behind the window: a slot that left it meanwhile is live in them.
    let mut holes = holes_of(page);
    for (free, in_window) in holes.free.iter_mut().zip(in_window) {
        *free = free.difference(BucketMask::from_word(in_window));
    }
    for_each_resident(page, &holes, chunk_base, resident, |address, bytes| {
        // SAFETY: OS pages of an opened page in which no slot is live, nor can be handed out.
        let taken = unsafe { sys::discard(address as *mut u8, bytes) };
        if taken {
            given += bytes;
        } else {
            page.header.looked.store((holes.count() as u16 + 1) | KEPT, Ordering::Relaxed);
        }
        !taken
    });
    given
}

/// Calls `visit` with address and bytes of each hole, from its first to its last OS page that is in memory,
/// until it says true; whether it did.
fn for_each_resident(
    page: &PageMeta,
    holes: &Holes,
    chunk_base: usize,
    resident: &[u8; OS_PAGES],
    mut visit: impl FnMut(usize, usize) -> bool,
) -> bool {
    let mut done = false;
    let first_page = page.base().wrapping_sub(chunk_base) / OS_PAGE;
    holes.for_each(|hole| {
        // A page with another life by now may seem to lie elsewhere.
        let states = resident.get(first_page + hole.start..first_page + hole.end).unwrap_or(&[]);
        let is_in = |state: &u8| state & 1 != 0;
        if let (false, Some(first), Some(last)) =
            (done, states.iter().position(is_in), states.iter().rposition(is_in))
        {
            done = visit(page.base() + (hole.start + first) * OS_PAGE, (last + 1 - first) * OS_PAGE);
        }
    });
    done
}

/// Whether the kernel makes huge pages of any memory: then whole ones are given back.
fn huge_pages() -> bool {
    const UNKNOWN: u8 = 0;
    const NO: u8 = 1;
    const YES: u8 = 2;
    static ALWAYS: AtomicU8 = AtomicU8::new(UNKNOWN);
    let known = ALWAYS.load(Ordering::Relaxed);
    if known != UNKNOWN {
        return known == YES;
    }
    let mut text = [0; 64];
    let told = sys::File::open(c"/sys/kernel/mm/transparent_hugepage");
    let told = told.as_ref().and_then(|folder| folder.read_all(c"enabled", &mut text));
    let always = told.is_some_and(|text| text.windows(8).any(|word| word == b"[always]"));
    ALWAYS.store(if always { YES } else { NO }, Ordering::Relaxed);
    always
}
