//! The heap of one arena, and the story of a cycle.
//!
//! ```text
//! Gc::new -> Context::allocate -> types.rs: window of the type -> trailing_zeros -> slot
//!                                   (none left: next free word; none left: a page from `bucketmask_alloc::lend`)
//!
//! cycle:  mark    mark.rs   root -> bits in `marked`; pages with grey objects in a queue, traced a page at a time
//!         sweep   sweep.rs  dead = occupied & !marked; occupied &= marked; destructors; empty pages go home
//! ```
//!
//! A cycle runs in steps (`cycle.rs`), between which the program changes the graph; write barriers (`barrier.rs`) tell the
//! marker. `colour.rs` is what the bits of an object mean, weak pointers included. `table.rs` is what the collector knows
//! of a type (`slice.rs`: of slices), `parts.rs` and `remains.rs` what is traced and dropped in parts, `ephemeron.rs` what waits for others to be marked, `plan.rs` how big its pages are, `index.rs` finds a type's pages, `huge.rs` keeps what does not fit a page,
//! `verify.rs` checks it all.
//!
//! Invariants. Between cycles `occupied` is exactly the live objects, `marked` is zero, and `scanned` holds only slots
//! whose value is gone and whose address a weak pointer still needs. A slot is handed out only if its bit is clear in
//! `occupied` and `scanned`, and while the sweep runs only on a page that was swept. An address that is a multiple of a
//! chunk (4 MiB) belongs to a huge object, and no other object has such an address.
#![allow(unsafe_code)]

pub(crate) mod barrier;
#[cfg(feature = "checked")]
pub(crate) mod checked;
#[cfg(not(feature = "checked"))]
#[path = "unchecked.rs"]
pub(crate) mod checked;
mod colour;
pub(crate) mod cycle;
pub(crate) mod dump;
mod ephemeron;
mod huge;
mod index;
mod mark;
mod parts;
mod plan;
mod remains;
mod slice;
mod sweep;
mod table;
mod types;
pub(crate) mod verify;

use crate::Static;
use crate::collect::Collect;
use crate::metrics::Metrics;
use crate::report::{Barriers, CycleReport};
use crate::trace_line;
use crate::walk::Walk;
use bucketmask_alloc::LentPage;
use cycle::Phase;
use huge::HugeList;
use index::Index;
use mark::Marker;
pub(crate) use plan::slot_bytes;
use remains::Remains;
use std::alloc::{Layout, handle_alloc_error};
use std::cell::{Cell, UnsafeCell};
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::atomic::Ordering::Relaxed;
use sweep::{Destructors, Sweep};
use table::{TypeTable, Typed};
use types::TypeHeap;

/// Bytes of a chunk of the region: the alignment that tells huge objects from slots.
const CHUNK_BYTES: usize = 4 << 20;

/// Whether this is the address of a huge object; see the invariants above.
#[inline(always)]
fn is_huge(address: *const u8) -> bool {
    address.addr() % CHUNK_BYTES == 0
}

/// The page and slot of an object that is not huge, and whether objects of its type are never traced.
///
/// # Safety
///
/// `address` is that of an object of an arena, which is not huge; the object may have been dropped if a weak pointer
/// holds its slot.
#[inline(always)]
unsafe fn locate(address: *const u8) -> (LentPage, usize, bool) {
    // SAFETY: objects lie at starts of slots of lent pages, which stay lent while a slot is occupied or held.
    let (page, slot, leaf) = unsafe { bucketmask_alloc::locate(address) };
    (page, slot as usize, leaf)
}

/// Whether the value at `address` has not been dropped.
///
/// # Safety
///
/// `address` is that of an object of an arena, which may have been dropped if a weak pointer holds its slot.
#[inline]
pub(crate) unsafe fn is_live(address: *const u8) -> bool {
    if is_huge(address) {
        // SAFETY: as the caller promises.
        return unsafe { huge::header(address) }.live.get();
    }
    // SAFETY: as the caller promises.
    let (page, slot, _) = unsafe { locate(address) };
    page.occupied()[slot / 64].load(Relaxed) >> (slot % 64) & 1 != 0
}

/// What stays the same while a callback runs; a [`Mutation`](crate::Mutation) is one. Nothing in it has interior mutability, so that
/// the compiler may keep in a register, or ask once before a loop, whether barriers have something to do.
pub(crate) struct View {
    /// Whether barriers have something to do: to tell the marker, or to be counted.
    pub(crate) alert: bool,
    /// The context that this is the view of.
    pub(crate) context: *const Context,
}

/// A context at its address for life, and the one pointer that all uses of it come from. Owns it.
pub(crate) struct Home(NonNull<Context>);

impl Home {
    pub(crate) fn new() -> Self {
        let context = NonNull::from(Box::leak(Box::new(Context::new())));
        // SAFETY: just made, and nobody else's.
        unsafe { (*context.as_ptr()).view.context = context.as_ptr() };
        Self(context)
    }

    /// For as long as a callback runs.
    #[inline(always)]
    pub(crate) fn view(&self) -> *const View {
        // SAFETY: the context lives as long as its home.
        unsafe { &raw const (*self.0.as_ptr()).view }
    }
}

impl Deref for Home {
    type Target = Context;

    #[inline(always)]
    fn deref(&self) -> &Context {
        // SAFETY: the context lives as long as its home; mutable borrows take a mutable home.
        unsafe { self.0.as_ref() }
    }
}

impl DerefMut for Home {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut Context {
        // SAFETY: as above; and views are used in callbacks only, which borrow the arena, and with it its home.
        unsafe { self.0.as_mut() }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // SAFETY: leaked by `new`, and dropped once.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}

/// The heap and the counters of an arena.
pub(crate) struct Context {
    phase: Cell<Phase>,
    /// What callbacks see of it.
    view: View,
    /// Whether those are counted that have not.
    counts: Cell<bool>,
    barriers: Cell<Barriers>,
    heap: UnsafeCell<Heap>,
    metrics: Metrics,
    /// What checks the barriers, in `checked` builds.
    #[cfg_attr(not(feature = "checked"), expect(dead_code, reason = "nothing is remembered"))]
    detector: checked::Detector,
}

impl Context {
    fn new() -> Self {
        let counts = trace_line::counts_barriers();
        Self {
            phase: Cell::new(Phase::Sleep),
            view: View { alert: counts || checked::is_armed(), context: std::ptr::null() },
            counts: Cell::new(counts),
            barriers: Cell::default(),
            heap: UnsafeCell::new(Heap::new()),
            metrics: Metrics::new(),
            detector: checked::Detector::new(),
        }
    }

    #[inline]
    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    pub(crate) fn last_cycle(&self) -> CycleReport {
        // SAFETY: no user code runs while this shared borrow lasts, so nobody borrows the heap mutably.
        unsafe { (*self.heap.get()).last }
    }

    pub(crate) fn set_walk(&mut self, walk: Walk) {
        self.heap.get_mut().walk = walk;
    }

    /// Moves a value into a slot.
    #[inline]
    #[cfg_attr(feature = "checked", track_caller)]
    pub(crate) fn allocate<'gc, T: Collect<'gc> + 'gc>(&self, value: T) -> NonNull<T> {
        let table = Typed::<T>::TABLE;
        // SAFETY: the borrow ends before any user code can run: neither the index nor a refill calls any.
        let heap = unsafe { &mut *self.heap.get() };
        let address = if Typed::<T>::HUGE {
            heap.allocate_huge(table)
        } else {
            heap.allocate_slot(table, Typed::<T>::SLOT_BYTES, &self.metrics)
        };
        self.metrics.count_allocated(Typed::<T>::SLOT_BYTES);
        checked::made(address.as_ptr());
        let address = address.cast::<T>();
        // SAFETY: a free slot of the type's size and alignment, now marked as occupied.
        unsafe { address.write(value) };
        address
    }
}

/// How to allocate a value of a certain zero-sized type that is never traced or dropped, without having it.
pub(crate) struct ZstSlot(&'static TypeTable);

impl ZstSlot {
    pub(crate) const fn of<T: 'static>() -> Self {
        assert!(size_of::<T>() == 0 && !std::mem::needs_drop::<T>(), "only the alignment counts");
        Self(Typed::<Static<T>>::TABLE)
    }
}

impl Context {
    /// An object without bytes or destructor.
    pub(crate) fn allocate_zst(&self, slot: &ZstSlot) -> NonNull<()> {
        self.allocate_in(slot.0).cast()
    }

    /// A slot for an object of a table, marked as occupied; the caller puts a value there before anything can look.
    #[cfg_attr(feature = "checked", track_caller)]
    fn allocate_in(&self, table: &'static TypeTable) -> NonNull<u8> {
        // SAFETY: as in `allocate`.
        let heap = unsafe { &mut *self.heap.get() };
        let address = if plan::is_huge(table.size, table.align) {
            heap.allocate_huge(table)
        } else {
            heap.allocate_slot(table, table.slot_bytes, &self.metrics)
        };
        self.metrics.count_allocated(table.slot_bytes);
        checked::made(address.as_ptr());
        address
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        let mut destructors = Destructors::default();
        self.heap.get_mut().drop_all(&mut destructors);
        self.metrics.close();
        if !std::thread::panicking() {
            destructors.resume_panic();
        }
    }
}

/// Pages by type, and huge objects.
struct Heap {
    index: Index,
    huge: HugeList,
    marker: Marker,
    /// What is left of values that the sweep has found dead.
    remains: Remains,
    walk: Walk,
    /// The number of the type heap whose pages are being swept.
    sweeping: usize,
    /// Of the cycle that runs, and of the last one that has ended.
    report: CycleReport,
    last: CycleReport,
    /// Barriers up to the end of the last cycle.
    barriers_before: Barriers,
    /// Whether each cycle writes a line.
    traces: bool,
}

impl Heap {
    fn new() -> Self {
        Self {
            index: Index::new(),
            huge: HugeList::default(),
            marker: Marker::new(),
            remains: Remains::default(),
            walk: Walk::default(),
            sweeping: 0,
            report: CycleReport::default(),
            last: CycleReport::default(),
            barriers_before: Barriers::default(),
            traces: trace_line::wanted(),
        }
    }

    #[inline(always)]
    fn allocate_slot(
        &mut self,
        table: &'static TypeTable,
        slot_bytes: usize,
        metrics: &Metrics,
    ) -> NonNull<u8> {
        let heap = match self.index.get(table) {
            // SAFETY: the index owns its type heaps, and this is the only borrow of one.
            Some(heap) => unsafe { &mut *heap.as_ptr() },
            None => self.add_type(table),
        };
        match heap.take(slot_bytes) {
            Some(slot) => slot,
            None => self.allocate_slow(table, metrics),
        }
    }

    #[cold]
    fn add_type(&mut self, table: &'static TypeTable) -> &mut TypeHeap {
        self.index.insert(table)
    }

    /// Finds the type a new window, or a new page.
    #[cold]
    #[inline(never)]
    fn allocate_slow(&mut self, table: &'static TypeTable, metrics: &Metrics) -> NonNull<u8> {
        let heap = self.index.insert(table);
        // The heap sweeps pages of types without destructors only.
        let (destructors, remains) = (&mut Destructors::default(), &mut self.remains);
        let mut sweep = Sweep { walk: self.walk, report: &mut self.report, metrics, destructors, remains };
        if heap.refill(&mut sweep) {
            if let Some(slot) = heap.take(table.slot_bytes) {
                return slot;
            }
        }
        if !heap.solitary() {
            out_of_memory(table);
        }
        // A page of one slot can fail for want of a place that is not at a chunk's start.
        self.allocate_huge(table)
    }

    #[cold]
    #[inline(never)]
    fn allocate_huge(&mut self, table: &'static TypeTable) -> NonNull<u8> {
        let Some(object) = self.huge.allocate(table) else { out_of_memory(table) };
        object
    }

    /// Bytes of bucket pages and huge objects.
    fn held_bytes(&self) -> usize {
        self.index.heaps().map(TypeHeap::held_bytes).sum::<usize>() + self.huge.live_bytes()
    }

    /// Every page of every type.
    fn pages(&self) -> impl Iterator<Item = LentPage> + '_ {
        self.index.heaps().flat_map(TypeHeap::pages)
    }

    /// Runs all destructors and gives everything back.
    fn drop_all(&mut self, destructors: &mut Destructors) {
        for heap in self.index.heaps_mut() {
            heap.drop_all(destructors, &mut self.remains);
        }
        self.huge.drop_all(destructors, &mut self.remains);
        self.remains.drop_all(destructors);
    }
}

fn out_of_memory(table: &TypeTable) -> ! {
    handle_alloc_error(Layout::from_size_align(table.size, table.align).unwrap_or(Layout::new::<u8>()))
}
