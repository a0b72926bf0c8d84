//! The kernel's calls, each wrapped once, with failure as a value.
//!
//! Owned by `region`, `span`, `range`, `node` and `lock`. Invariant: nothing here allocates or panics.
//! A call that fails sets the thread's `errno`, as it would anywhere.
#![allow(unsafe_code)]

use core::ptr::NonNull;

/// Bytes of an OS page. Linux on x86-64 has no other base size. Where the real one is larger, opening
/// part of one is refused, which callers take for a range that can't be had.
pub(crate) const OS_PAGE: usize = 4096;

/// Reserves `bytes` of address space, aligned to `align` (a power of two, at least an OS page),
/// without access and without backing. `None` when the kernel refuses.
pub(crate) fn reserve(bytes: usize, align: usize) -> Option<NonNull<u8>> {
    map_aligned(bytes, align, libc::PROT_NONE)
}

/// Maps `bytes` of zeroed readable and writable memory, backed as it is touched.
pub(crate) fn map(bytes: usize) -> Option<NonNull<u8>> {
    map_aligned(bytes, OS_PAGE, libc::PROT_READ | libc::PROT_WRITE)
}

fn map_aligned(bytes: usize, align: usize, protection: i32) -> Option<NonNull<u8>> {
    let padded = bytes.checked_add(align - OS_PAGE)?;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: an anonymous mapping at an address of the kernel's choice overlaps nothing.
    let raw = unsafe { libc::mmap(core::ptr::null_mut(), padded, protection, flags, -1, 0) };
    if raw == libc::MAP_FAILED {
        return None;
    }
    let start = raw as usize;
    let base = start.next_multiple_of(align);
    let (head, tail) = (base - start, start + padded - (base + bytes));
    if head > 0 {
        // SAFETY: the head of the mapping made above, in front of what is kept.
        unsafe { libc::munmap(raw, head) };
    }
    if tail > 0 {
        // SAFETY: the tail of the mapping made above, behind what is kept.
        unsafe { libc::munmap(raw.wrapping_byte_add(head + bytes), tail) };
    }
    NonNull::new(raw.wrapping_byte_add(head).cast())
}

/// Gives a whole mapping back. Failure (the kernel's mapping limit) leaves it mapped.
///
/// # Safety
/// `[base, base + bytes)` was mapped by this module and nothing uses it any more.
pub(crate) unsafe fn unmap(base: NonNull<u8>, bytes: usize) {
    // SAFETY: by this function's contract.
    unsafe { libc::munmap(base.as_ptr().cast(), bytes) };
}

/// Makes reserved memory readable and writable. `false` when the kernel refuses.
///
/// # Safety
/// `[base, base + bytes)` lies in a reservation of this module, OS-page aligned.
pub(crate) unsafe fn open(base: *mut u8, bytes: usize) -> bool {
    // SAFETY: by this function's contract; opening takes no right away from anybody.
    unsafe { libc::mprotect(base.cast(), bytes, libc::PROT_READ | libc::PROT_WRITE) == 0 }
}

/// Drops the memory behind an opened range and takes its access away; it reads as zero when
/// opened again. `false` if the kernel kept the memory (locked pages): then it stays open.
///
/// # Safety
/// As [`open`]; nothing in the range is used any more.
pub(crate) unsafe fn close(base: *mut u8, bytes: usize) -> bool {
    // SAFETY: by this function's contract.
    unsafe { discard(base, bytes) && libc::mprotect(base.cast(), bytes, libc::PROT_NONE) == 0 }
}

/// Drops the memory behind an opened range; it stays open and reads as zero. `false` if the kernel
/// kept it (locked pages).
///
/// # Safety
/// As [`open`]; nothing in the range is used any more.
pub(crate) unsafe fn discard(base: *mut u8, bytes: usize) -> bool {
    // SAFETY: by this function's contract.
    unsafe { libc::madvise(base.cast(), bytes, libc::MADV_DONTNEED) == 0 }
}

/// Tells for each OS page from `base` (OS-page aligned) on, one byte a page, whether it is in
/// memory: bit 0. All zero where the kernel does not say.
pub(crate) fn residency(base: usize, states: &mut [u8]) {
    // SAFETY: `states` has a byte for each OS page asked about; mincore reads no memory itself.
    let done = unsafe {
        libc::mincore(base as *mut libc::c_void, states.len() * OS_PAGE, states.as_mut_ptr().cast())
    };
    if done != 0 {
        states.fill(0);
    }
}

/// Asks that memory of `[base, base + bytes)` comes from `node`, if it has some. `false` where the
/// kernel has no such call or forbids it: placement is then the kernel's.
///
/// # Safety
/// The range lies in a reservation of this module, OS-page aligned.
#[cfg(all(target_os = "linux", not(bucketmask_portable)))]
pub(crate) unsafe fn prefer_node(base: *mut u8, bytes: usize, node: u8) -> bool {
    const MPOL_PREFERRED: libc::c_long = 1;
    let mut mask = [0 as libc::c_ulong; 256 / libc::c_ulong::BITS as usize];
    let bits = libc::c_ulong::BITS as usize;
    mask[node as usize / bits] |= 1 << (node as usize % bits);
    // SAFETY: mbind reads `mask`, whose length in bits (plus the one it takes off) is given.
    unsafe {
        libc::syscall(libc::SYS_mbind, base, bytes, MPOL_PREFERRED, mask.as_ptr(), 257usize, 0usize) == 0
    }
}

#[cfg(not(all(target_os = "linux", not(bucketmask_portable))))]
pub(crate) unsafe fn prefer_node(_base: *mut u8, _bytes: usize, _node: u8) -> bool {
    false
}

/// The kernel's number of the node this thread runs on now; 0 where it can't be told.
pub(crate) fn kernel_node() -> u32 {
    #[cfg(all(target_os = "linux", not(bucketmask_portable)))]
    {
        let (mut cpu, mut node) = (0u32, 0u32);
        // SAFETY: getcpu writes two words that live here; the third argument is unused.
        let done = unsafe {
            libc::syscall(libc::SYS_getcpu, &raw mut cpu, &raw mut node, core::ptr::null_mut::<u8>())
        };
        if done == 0 {
            return node;
        }
    }
    0
}

/// Writes `message` to standard error and ends the process. Allocates nothing.
pub(crate) fn abort_with(message: &[u8]) -> ! {
    // SAFETY: writes bytes that live here; abort does not return.
    unsafe {
        libc::write(2, message.as_ptr().cast(), message.len());
        libc::abort()
    }
}
