//! [`Report`]: a fault that a check has found, told from both sides: who ran into it, and who made or wrote what is there.
//!
//! The other side did its part earlier, so its stack is that of the first time that its line of the program did such a thing:
//! one stack a line, taken once, where one a deed would cost more than the deed. Owned by who raises it. Invariant: a report is
//! raised where the allocator holds no lock, since it allocates.

use core::cell::RefCell;
use core::fmt;
use core::panic::Location;
use std::collections::HashMap;

use super::{Deed, MemState, last_deed, made_by, state_of};
use crate::frames::{Place, Stack};

/// Lines of the program that a thread remembers having a stack of, by the low bits of their addresses.
const KNOWN: usize = 256;

type Key = *const Location<'static>;

/// Stacks by line. One lock, taken for a line that a thread comes past for the first time, or again after another one.
struct Stacks(parking_lot::Mutex<Option<HashMap<usize, Stack>>>);

static STACKS: Stacks = Stacks(parking_lot::Mutex::new(None));

thread_local! {
    static SEEN: RefCell<[Key; KNOWN]> = const { RefCell::new([core::ptr::null(); KNOWN]) };
}

/// Keeps the calling thread's stack as that of this line of the program, if there is none of it.
#[inline]
pub(super) fn know(place: &'static Location<'static>) {
    let key: Key = place;
    let at = key.addr() / align_of::<Location<'_>>() % KNOWN;
    let is_news = SEEN.try_with(|seen| core::mem::replace(&mut seen.borrow_mut()[at], key) != key);
    if is_news == Ok(true) {
        keep(key);
    }
}

#[cold]
fn keep(key: Key) {
    let mut stacks = STACKS.0.lock();
    let stack = Stack::capture();
    stacks.get_or_insert_default().entry(key.addr()).or_insert(stack);
}

fn stack_of(place: &'static Location<'static>) -> Option<Stack> {
    STACKS.0.lock().as_ref()?.get(&core::ptr::from_ref(place).addr()).cloned()
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Report {
    /// What is wrong, in a few words.
    pub what: &'static str,
    /// More of it.
    pub detail: String,
    /// Where in memory.
    pub address: usize,
    /// The state of the memory there.
    pub state: MemState,
    /// The type of what lies there, where it is known.
    pub type_name: Option<&'static str>,
    /// The line of the program that ran into it; none for what the collector finds by itself.
    pub here: Option<&'static Location<'static>>,
    stack: Stack,
}

impl Report {
    /// A fault at an address, with the state of the memory there and the calling thread's stack.
    #[cold]
    #[must_use]
    pub fn at(what: &'static str, address: usize) -> Self {
        Self {
            what,
            detail: String::new(),
            address,
            state: state_of(address),
            type_name: None,
            here: None,
            stack: Stack::capture(),
        }
    }

    /// Panics with the whole report as message.
    ///
    /// # Panics
    /// Always: that is what it is for.
    #[cold]
    pub fn raise(self) -> ! {
        panic!("{self}")
    }
}

/// From the line of the program on that did what is told.
fn tell_stack(f: &mut fmt::Formatter<'_>, stack: &Stack, place: Option<&Location<'_>>) -> fmt::Result {
    let own = ["bucketmask_alloc::memstate::", "bucketmask_gc::"];
    let frames = place.map_or_else(|| stack.resolve(&own), |place| stack.resolve_from(place, &own));
    for (number, frame) in frames.iter().enumerate() {
        writeln!(f, "    {number:3}: {}", frame.to_string().replace('\n', "\n    "))?;
    }
    Ok(())
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, address, state, .. } = self;
        write!(f, "bucketmask: {what}: {address:#x}")?;
        if let Some(name) = self.type_name {
            write!(f, " ({name})")?;
        }
        writeln!(f, ", {state}")?;
        if !self.detail.is_empty() {
            writeln!(f, "  {}", self.detail)?;
        }
        if let Some(place) = Place::of(*address) {
            writeln!(f, "  in {place}")?;
        }
        match self.here {
            Some(here) => writeln!(f, "  this side: {here}")?,
            None => writeln!(f, "  this side: the collector")?,
        }
        tell_stack(f, &self.stack, self.here)?;
        let made = made_by(*address).map(|place| (Deed::Made, place));
        let last = last_deed(*address).filter(|&deed| Some(deed) != made);
        if made.is_none() && last.is_none() {
            return writeln!(f, "  other side: not known");
        }
        for (deed, place) in made.into_iter().chain(last) {
            match deed {
                Deed::Made => writeln!(f, "  other side: made at {place}")?,
                Deed::Written => writeln!(f, "  other side: written to, with a barrier, at {place}")?,
                Deed::Swept => {
                    writeln!(f, "  other side: swept by the collector")?;
                    continue;
                }
            }
            match stack_of(place) {
                Some(stack) => {
                    writeln!(f, "    when that was done first:")?;
                    tell_stack(f, &stack, Some(place))?;
                }
                None => writeln!(f, "    stack not known")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memstate::note;
    use crate::{PageRequest, current_node, give_back, lend};

    #[track_caller]
    #[inline(never)]
    fn make(address: usize) {
        note(address, Deed::Made, Location::caller());
    }

    #[inline(never)]
    fn a_maker(address: usize) {
        make(address);
        std::hint::black_box(address);
    }

    #[test]
    fn both_sides_are_told_with_their_stacks() {
        let request = PageRequest { bytes: 1024, slot_size: 32, leaf: true };
        let page = lend(current_node(), request).unwrap();
        let address = page.base().addr().get() + 64;
        a_maker(address);
        let report = Report { here: Some(Location::caller()), ..Report::at("read of a free slot", address) };
        let text = report.to_string();
        assert!(text.starts_with(&format!("bucketmask: read of a free slot: {address:#x}, free")), "{text}");
        assert!(text.contains("slots of 32 bytes, slot 2, bucket 0"), "{text}");
        let (this, other) = text.split_once("other side: made at").unwrap();
        assert!(this.contains("both_sides_are_told_with_their_stacks"), "{text}");
        assert!(other.contains("a_maker") && other.contains("report.rs"), "{text}");
        // SAFETY: nobody uses the page.
        unsafe { give_back(page) };
    }
}
