//! Heaps and threads: which thread uses which heap, and what happens when one starts or exits.
//!
//! Invariants: a heap is used by one thread, or idle in the list, or borrowed under the lock; heaps
//! are made of memory of their own and live for ever; the thread's own pointer has no destructor,
//! a pthread key hands the heap back.
#![allow(unsafe_code)]

use core::ffi::c_void;
use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use lock_api::RawMutex;

use crate::class::ClassIdx;
use crate::heap::{self, Front, GONE, HEAP_BYTES, Heap, RECORDED};
use crate::lock::FutexMutex;
use crate::node::{MAX_NODES, NodeId, current_node};
use crate::page::PageMeta;
use crate::region::REGION;
use crate::slot;
use crate::sys;
use crate::trace::recorder;

/// All heaps ever made, newest first.
static HEAPS: AtomicPtr<Heap> = AtomicPtr::new(core::ptr::null_mut());

static IDLE: FutexMutex<IdleHeaps> = FutexMutex::new(IdleHeaps { first: [core::ptr::null_mut(); MAX_NODES] });

/// The pthread key plus one; 0 while there is none.
static EXIT_KEY: AtomicU64 = AtomicU64::new(0);

/// Idle heaps, by the node they were last used on: a thread goes on with pages of its own node.
struct IdleHeaps {
    first: [*mut Heap; MAX_NODES],
}

// SAFETY: heaps live for ever, and idle ones belong to whoever holds the lock.
unsafe impl Send for IdleHeaps {}

/// This thread's front, its heap's if it has one by now, and what it is the front of.
#[inline(always)]
pub(crate) fn own_front() -> (&'static Front, *const Heap) {
    let heap = slot::get();
    // SAFETY: a heap, which begins with its front, or one of the fronts that are none's. All live for ever.
    (unsafe { &*heap.cast::<Front>() }, heap)
}

/// This thread's heap, if it has one by now.
#[inline(always)]
pub(crate) fn own_heap() -> Option<&'static Heap> {
    let (front, heap) = own_front();
    // SAFETY: heaps live for ever; this one is the thread's own.
    front.is_heap().then(|| unsafe { &*heap })
}

/// What the thread's slot holds once it gave its heap back. Frees that come later borrow one.
fn gone() -> *const Heap {
    core::ptr::from_ref(&GONE).cast()
}

/// What the slot of a thread holds that has a heap and records what it does.
fn recorded() -> *const Heap {
    core::ptr::from_ref(&RECORDED).cast()
}

/// The heap of a thread that records; how it is found then.
#[cold]
fn recorded_heap() -> Option<&'static Heap> {
    if slot::get() != recorded() {
        return None;
    }
    // Acquire pairs with the release in `hand_back_at_exit`, which this thread went through.
    let key = EXIT_KEY.load(Ordering::Acquire);
    // SAFETY: the key was made; what is set is the thread's own heap, and heaps live for ever.
    unsafe { libc::pthread_getspecific(key.wrapping_sub(1) as libc::pthread_key_t).cast::<Heap>().as_ref() }
}

/// Whether this thread has a heap of its own, recorded or not.
pub(crate) fn has_heap() -> bool {
    own_heap().is_some() || slot::get() == recorded()
}

/// Lets the calling thread record from here on, if it has a heap.
pub(crate) fn record_this_thread() {
    if own_heap().is_some() {
        slot::set(recorded());
    }
}

/// Calls `work` with this thread's heap, got now if need be. `None` if there is no memory for one.
#[cold]
#[inline(never)]
pub(crate) fn with_heap<R>(work: impl FnOnce(&'static Heap) -> R) -> Option<R> {
    if let Some(heap) = own_heap() {
        return Some(work(heap));
    }
    if slot::get() == gone() {
        return borrowed(work);
    }
    if let Some(heap) = recorded_heap() {
        if !recorder::is_on() {
            slot::set(heap);
        }
        return Some(work(heap));
    }
    // Before a heap is there: making the region may allocate.
    REGION.get();
    if let Some(heap) = own_heap() {
        // It did.
        return Some(work(heap));
    }
    let heap = IDLE.lock().take()?;
    // Before the key is set: setting it may allocate.
    slot::set(heap);
    if !hand_back_at_exit(heap) {
        slot::set(gone());
        // Setting the key may have allocated from it.
        heap.park();
        IDLE.lock().put(heap);
        return borrowed(work);
    }
    if recorder::is_on() {
        slot::set(recorded());
    }
    Some(work(heap))
}

/// Calls `work` with a heap borrowed for this one call, under the lock: for threads that have given
/// theirs back.
fn borrowed<R>(work: impl FnOnce(&'static Heap) -> R) -> Option<R> {
    let mut idle = IDLE.lock();
    let heap = idle.take()?;
    let result = work(heap);
    heap.park();
    idle.put(heap);
    Some(result)
}

impl IdleHeaps {
    /// An idle heap of the thread's node, a new one, or where there is no memory another node's.
    fn take(&mut self) -> Option<&'static Heap> {
        let node = current_node();
        let heap = self
            .pop(usize::from(node.0))
            .or_else(Self::make)
            .or_else(|| (0..MAX_NODES).find_map(|other| self.pop(other)))?;
        heap.settle(node);
        Some(heap)
    }

    fn pop(&mut self, node: usize) -> Option<&'static Heap> {
        // SAFETY: heaps live for ever.
        let heap = unsafe { self.first[node].as_ref() }?;
        self.first[node] = heap.next_idle.load(Ordering::Relaxed);
        Some(heap)
    }

    fn make() -> Option<&'static Heap> {
        let memory = sys::map_to(HEAP_BYTES, HEAP_BYTES)?.cast::<Heap>();
        // SAFETY: mapped just now, zeroed, of a heap's size and alignment.
        let heap = unsafe { Heap::make(memory) };
        heap.next_made.store(HEAPS.load(Ordering::Relaxed), Ordering::Relaxed);
        // Release pairs with the acquire in `for_each_heap`. Under the lock, so no other push.
        HEAPS.store(memory.as_ptr(), Ordering::Release);
        Some(heap)
    }

    fn put(&mut self, heap: &'static Heap) {
        let first = &mut self.first[usize::from(heap.node().0) % MAX_NODES];
        heap.next_idle.store(*first, Ordering::Relaxed);
        *first = core::ptr::from_ref(heap).cast_mut();
    }
}

/// Makes the thread's exit hand `heap` back. `false`: no key to be had.
fn hand_back_at_exit(heap: &'static Heap) -> bool {
    // Acquire pairs with the release below.
    let mut key = EXIT_KEY.load(Ordering::Acquire);
    if key == 0 {
        let guard = IDLE.lock();
        key = EXIT_KEY.load(Ordering::Relaxed);
        if key == 0 {
            let mut made: libc::pthread_key_t = 0;
            // SAFETY: writes the key; the destructor lives for ever.
            if unsafe { libc::pthread_key_create(&raw mut made, Some(at_exit)) } != 0 {
                return false;
            }
            key = u64::from(made) + 1;
            // Release pairs with the acquire above: who sees the number has the key.
            EXIT_KEY.store(key, Ordering::Release);
        }
        drop(guard);
    }
    // SAFETY: the key was made above, by this thread or under the lock before it.
    unsafe {
        libc::pthread_setspecific((key - 1) as libc::pthread_key_t, core::ptr::from_ref(heap).cast()) == 0
    }
}

extern "C" fn at_exit(heap: *mut c_void) {
    slot::set(gone());
    recorder::thread_ended();
    // SAFETY: what `hand_back_at_exit` set: this thread's heap.
    let heap: &'static Heap = unsafe { &*heap.cast::<Heap>() };
    heap.park();
    IDLE.lock().put(heap);
}

/// A page of `class` with free slots that an idle heap owns, made `heap`'s. The idle heaps looked at get
/// their mail, so that their empty pages go back. Gives way where another thread is at the lists.
pub(crate) fn adopt(class: ClassIdx, heap: &Heap) -> Option<&'static PageMeta> {
    /// Heaps looked at: a bound on the time under the lock.
    const LOOK: usize = 64;
    let idle = IDLE.try_lock()?;
    let here = current_node();
    // SAFETY: heaps live for ever.
    let next = |heap: *mut Heap| unsafe { heap.as_ref() };
    let list = |&first: &*mut Heap| {
        core::iter::successors(next(first), |heap| next(heap.next_idle.load(Ordering::Relaxed)))
    };
    idle.first.iter().flat_map(list).take(LOOK).find_map(|idle| heap.adopt_from(idle, class, here))
}

/// Calls `visit` with each heap ever made, used or idle.
pub(crate) fn for_each_heap(mut visit: impl FnMut(&'static Heap)) {
    // Acquire pairs with the release in `make`.
    let mut next = HEAPS.load(Ordering::Acquire);
    // SAFETY: heaps live for ever.
    while let Some(heap) = unsafe { next.as_ref() } {
        visit(heap);
        next = heap.next_made.load(Ordering::Relaxed);
    }
}

/// In a forked child: brings the inboxes in line with the masks, in time by the pages in use. A thread that the child lacks
/// may have said that slots will come and not posted the page yet, or not set their bits; these slots are lost, but what
/// other threads free later must not be.
pub(crate) fn post_anew() {
    let first = HEAPS.load(Ordering::Relaxed);
    // SAFETY: heaps live for ever.
    let alone = unsafe { first.as_ref() }.is_none_or(|heap| heap.next_made.load(Ordering::Relaxed).is_null());
    if alone {
        return;
    }
    for_each_heap(Heap::drop_mail);
    for (node, span) in REGION.spans().iter().enumerate() {
        span.for_each_page(NodeId(node as u8), |page, _| heap::post_again(page));
    }
}

/// Holds the list's lock over a fork.
pub(crate) fn lock() {
    core::mem::forget(IDLE.lock());
}

/// Lets go of it again.
///
/// # Safety
/// Held since [`lock`].
pub(crate) unsafe fn unlock() {
    // SAFETY: by this function's contract.
    unsafe { IDLE.raw().unlock() };
}
