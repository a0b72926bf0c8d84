//! Memory back to the kernel: which is due, and how it is taken.
//!
//! A look walks the chunks and gives what was of no use at the last look already: free granules, runs that
//! heaps keep and what lies behind medium blocks. By hand, everything. Invariants: one look at a time,
//! which a fork waits for; memory is taken only from who cannot be handed out meanwhile, because it was
//! taken from its span, or claimed.
#![allow(unsafe_code)]

use core::sync::atomic::{AtomicU8, Ordering};

use crate::granule::Kind;
use crate::lock::FutexMutex;
use crate::medium;
use crate::node::NodeId;
use crate::page::PageMeta;
use crate::region::REGION;
use crate::span::for_each_page_of;
use crate::sys;

/// Held a chunk long by who looks; over a fork by the forking thread, before all others.
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
    let mut found = Found::default();
    let huge = huge_pages();
    for (node, span) in REGION.spans().iter().enumerate() {
        let node = NodeId(node as u8);
        for chunk in 0..span.chunks() {
            let _alone = LOOKING.lock();
            for_each_page_of(node, chunk, |page, _| found.add(of_page(page, by_hand, huge)));
            found.add(span.purge_granules(node, chunk, by_hand, huge));
        }
    }
    found
}

fn of_page(page: &'static PageMeta, by_hand: bool, huge: bool) -> Found {
    match page.kind() {
        // What is taken from a part of a huge page splits it, for less than it is worth.
        Kind::Medium if !huge => of_medium(page, by_hand),
        _ => Found::default(),
    }
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
