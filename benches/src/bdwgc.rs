//! The conservative collector of Boehm, Demers and Weiser, as Debian's libgc-dev has it: what the benches call of it. The
//! process owns its one heap. Invariant: it is called from the thread that first called it, whose stack it scans.
#![allow(unsafe_code)]

use std::alloc::Layout;
use std::ffi::{c_uint, c_void};
use std::ptr::NonNull;
use std::sync::Once;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use allocator_api2::alloc::{AllocError, Allocator};

#[link(name = "gc")]
unsafe extern "C" {
    fn GC_init();
    fn GC_disable();
    fn GC_enable();
    fn GC_gcollect();
    fn GC_malloc(bytes: usize) -> *mut c_void;
    fn GC_malloc_atomic(bytes: usize) -> *mut c_void;
    fn GC_malloc_uncollectable(bytes: usize) -> *mut c_void;
    fn GC_free(block: *mut c_void);
    fn GC_get_version() -> c_uint;
}

/// The version of the library that was loaded.
pub(crate) fn version() -> String {
    // SAFETY: asks for a constant; needs no initialisation.
    let version = unsafe { GC_get_version() };
    format!("{}.{}.{}", version >> 16, version >> 8 & 0xff, version & 0xff)
}

fn init() {
    static ONCE: Once = Once::new();
    // SAFETY: called once, before anything else of the library.
    ONCE.call_once(|| unsafe { GC_init() });
}

/// Collects only when it is told to from now on, or by itself again.
pub(crate) fn collect_by_itself(on: bool) {
    static ON: AtomicBool = AtomicBool::new(true);
    init();
    // The library counts: one call a change. Relaxed: one thread calls it.
    if ON.swap(on, Relaxed) != on {
        // SAFETY: initialised.
        unsafe { if on { GC_enable() } else { GC_disable() } };
    }
}

/// One whole collection, though it collects only when told to; what it frees is swept when it is needed.
pub(crate) fn collect() {
    init();
    // SAFETY: initialised. A disabled collector would do nothing when told.
    unsafe {
        GC_enable();
        GC_gcollect();
        GC_disable();
    }
}

/// The largest alignment that every block has.
const ALIGN: usize = 16;

fn given<T>(block: *mut c_void, value: T) -> NonNull<T> {
    const { assert!(align_of::<T>() <= ALIGN && !std::mem::needs_drop::<T>()) };
    let place =
        NonNull::new(block.cast::<T>()).unwrap_or_else(|| std::alloc::handle_alloc_error(Layout::new::<T>()));
    // SAFETY: a fresh block of the type's size and alignment.
    unsafe { place.write(value) };
    place
}

/// A block for a value that may hold pointers to others. It stays as long as a stack, a register, a static or such a block
/// points to it; a reader must keep it so.
pub(crate) fn make<T>(value: T) -> NonNull<T> {
    init();
    // SAFETY: initialised.
    given(unsafe { GC_malloc(size_of::<T>().max(1)) }, value)
}

/// The same for a value without pointers.
pub(crate) fn make_leaf<T>(value: T) -> NonNull<T> {
    init();
    // SAFETY: initialised.
    given(unsafe { GC_malloc_atomic(size_of::<T>().max(1)) }, value)
}

/// A block that stays, and whose pointers are followed.
pub(crate) fn make_root<T>(value: T) -> &'static mut T {
    init();
    let block = {
        // SAFETY: initialised.
        unsafe { GC_malloc_uncollectable(size_of::<T>().max(1)) }
    };
    const { assert!(align_of::<T>() <= ALIGN) };
    let place =
        NonNull::new(block.cast::<T>()).unwrap_or_else(|| std::alloc::handle_alloc_error(Layout::new::<T>()));
    // SAFETY: a fresh block of the type's size and alignment that is never freed, and that nobody else knows.
    unsafe {
        place.write(value);
        &mut *place.as_ptr()
    }
}

/// The collector's heap as an allocator of blocks whose pointers are followed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Collected;

// SAFETY: a block stays while it is reachable from a root, where `make_root` puts its owner; clones share the one heap.
unsafe impl Allocator for Collected {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        init();
        if layout.align() > ALIGN {
            return Err(AllocError);
        }
        // SAFETY: initialised.
        let block = unsafe { GC_malloc(layout.size().max(1)) };
        let block = NonNull::new(block.cast::<u8>()).ok_or(AllocError)?;
        Ok(NonNull::slice_from_raw_parts(block, layout.size()))
    }

    unsafe fn deallocate(&self, block: NonNull<u8>, _layout: Layout) {
        // SAFETY: the caller says that `allocate` gave the block.
        unsafe { GC_free(block.as_ptr().cast()) };
    }
}
