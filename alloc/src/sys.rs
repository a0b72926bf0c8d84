//! The kernel's calls, each wrapped once, with failure as a value.
//!
//! Owned by `region`, `span`, `range`, `node`, `sysfs`, `placement` and `lock`. Invariant: nothing here allocates
//! or panics, and the thread's `errno` is after a call what it was before it, whether the call failed or not.
#![allow(unsafe_code)]

use core::ffi::CStr;
use core::ptr::NonNull;

#[cfg(all(target_os = "linux", not(bucketmask_portable)))]
use crate::node_set::KERNEL_NODES;
use crate::node_set::NodeSet;

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
    map_to(bytes, OS_PAGE)
}

/// As [`map`], at a multiple of `align`, a power of two of at least an OS page.
pub(crate) fn map_to(bytes: usize, align: usize) -> Option<NonNull<u8>> {
    map_aligned(bytes, align, libc::PROT_READ | libc::PROT_WRITE)
}

fn map_aligned(bytes: usize, align: usize, protection: i32) -> Option<NonNull<u8>> {
    let padded = bytes.checked_add(align - OS_PAGE)?;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: an anonymous mapping at an address of the kernel's choice overlaps nothing.
    let raw =
        keeping_errno(|| unsafe { libc::mmap(core::ptr::null_mut(), padded, protection, flags, -1, 0) });
    if raw == libc::MAP_FAILED {
        return None;
    }
    let start = raw as usize;
    let base = start.next_multiple_of(align);
    let (head, tail) = (base - start, start + padded - (base + bytes));
    if head > 0 {
        // SAFETY: the head of the mapping made above, in front of what is kept.
        keeping_errno(|| unsafe { libc::munmap(raw, head) });
    }
    if tail > 0 {
        // SAFETY: the tail of the mapping made above, behind what is kept.
        keeping_errno(|| unsafe { libc::munmap(raw.wrapping_byte_add(head + bytes), tail) });
    }
    NonNull::new(raw.wrapping_byte_add(head).cast())
}

/// Bytes of address space that the process may still map, where that is limited.
pub(crate) fn address_space_left() -> Option<usize> {
    let mut limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: writes the limit.
    let told = unsafe { libc::getrlimit(libc::RLIMIT_AS, &raw mut limit) } == 0;
    let limited = told && limit.rlim_cur != libc::RLIM_INFINITY;
    limited.then(|| {
        usize::try_from(limit.rlim_cur).unwrap_or(usize::MAX).saturating_sub(mapped_bytes().unwrap_or(0))
    })
}

/// Bytes that the process has mapped: the first number of `/proc/self/statm`, in OS pages.
fn mapped_bytes() -> Option<usize> {
    number_in(c"/proc/self", c"statm")?.checked_mul(OS_PAGE)
}

/// The number that a file of the system's begins with.
fn number_in(folder: &CStr, name: &CStr) -> Option<usize> {
    let mut text = [0; 128];
    let told = File::open(folder)?.read_all(name, &mut text)?;
    let digits = told.split(|byte| !byte.is_ascii_digit()).next()?;
    core::str::from_utf8(digits).ok()?.parse().ok()
}

/// Bytes of memory of the machine, or what a container lets its processes have of them.
pub(crate) fn memory() -> Option<usize> {
    // SAFETY: asks for a number.
    let pages = keeping_errno(|| unsafe { libc::sysconf(libc::_SC_PHYS_PAGES) });
    let machine = usize::try_from(pages).ok().map(|pages| pages.saturating_mul(OS_PAGE));
    let container = number_in(c"/sys/fs/cgroup", c"memory.max");
    machine.into_iter().chain(container).min()
}

/// Bytes that a file which this process writes may have, where that is limited.
pub(crate) fn file_limit() -> Option<u64> {
    let mut limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: writes the limit.
    let told = keeping_errno(|| unsafe { libc::getrlimit(libc::RLIMIT_FSIZE, &raw mut limit) }) == 0;
    (told && limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur)
}

/// Whether the process has rights that who started it need not have (set-user-ID, say).
#[cfg(target_os = "linux")]
pub(crate) fn has_others_rights() -> bool {
    // SAFETY: asks for a number.
    keeping_errno(|| unsafe { libc::getauxval(libc::AT_SECURE) }) != 0
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn has_others_rights() -> bool {
    // SAFETY: ask for numbers.
    unsafe { libc::getuid() != libc::geteuid() || libc::getgid() != libc::getegid() }
}

/// Gives a whole mapping back. Failure (the kernel's mapping limit) leaves it mapped.
///
/// # Safety
/// `[base, base + bytes)` was mapped by this module and nothing uses it any more.
pub(crate) unsafe fn unmap(base: NonNull<u8>, bytes: usize) {
    // SAFETY: by this function's contract.
    keeping_errno(|| unsafe { libc::munmap(base.as_ptr().cast(), bytes) });
}

/// Makes reserved memory readable and writable. `false` when the kernel refuses.
///
/// # Safety
/// `[base, base + bytes)` lies in a reservation of this module, OS-page aligned.
pub(crate) unsafe fn open(base: *mut u8, bytes: usize) -> bool {
    // SAFETY: by this function's contract; opening takes no right away from anybody.
    keeping_errno(|| unsafe { libc::mprotect(base.cast(), bytes, libc::PROT_READ | libc::PROT_WRITE) == 0 })
}

/// Asks the kernel to back opened memory by huge pages where it can: fewer faults, and fewer misses of the
/// address translation. Where it has none, nothing changes.
///
/// # Safety
/// As [`open`].
#[cfg(not(bucketmask_portable))]
pub(crate) unsafe fn advise_huge(base: *mut u8, bytes: usize) {
    // SAFETY: by this function's contract; advice changes no content.
    keeping_errno(|| unsafe { libc::madvise(base.cast(), bytes, libc::MADV_HUGEPAGE) });
}

#[cfg(bucketmask_portable)]
pub(crate) unsafe fn advise_huge(_base: *mut u8, _bytes: usize) {}

/// Has the kernel put memory behind opened pages in one call, where it would otherwise take a fault for each. Content stays. A
/// kernel that can't (Linux before 5.14), or has no memory, leaves them to their faults: `false`.
///
/// # Safety
/// As [`open`].
#[cfg(not(bucketmask_portable))]
pub(crate) unsafe fn populate(base: *mut u8, bytes: usize) -> bool {
    // SAFETY: by this function's contract; pages that are there keep their content.
    keeping_errno(|| unsafe { libc::madvise(base.cast(), bytes, libc::MADV_POPULATE_WRITE) == 0 })
}

#[cfg(bucketmask_portable)]
pub(crate) unsafe fn populate(_base: *mut u8, _bytes: usize) -> bool {
    false
}

/// Has the kernel copy opened memory, in small pages so far, to a huge one. Content stays; who touches it meanwhile waits. `false` where
/// it can't (Linux before 6.1) or has none.
///
/// # Safety
/// As [`open`].
#[cfg(not(bucketmask_portable))]
pub(crate) unsafe fn collapse(base: *mut u8, bytes: usize) -> bool {
    // SAFETY: by this function's contract.
    keeping_errno(|| unsafe { libc::madvise(base.cast(), bytes, libc::MADV_COLLAPSE) == 0 })
}

#[cfg(bucketmask_portable)]
pub(crate) unsafe fn collapse(_base: *mut u8, _bytes: usize) -> bool {
    false
}

/// Takes that back: the kernel makes no huge pages there any more.
///
/// # Safety
/// As [`open`].
#[cfg(not(bucketmask_portable))]
pub(crate) unsafe fn advise_small(base: *mut u8, bytes: usize) {
    // SAFETY: by this function's contract; advice changes no content.
    keeping_errno(|| unsafe { libc::madvise(base.cast(), bytes, libc::MADV_NOHUGEPAGE) });
}

#[cfg(bucketmask_portable)]
pub(crate) unsafe fn advise_small(_base: *mut u8, _bytes: usize) {}

/// Drops the memory behind an opened range and takes its access away; it reads as zero when
/// opened again. `false` if the kernel kept the memory (locked pages): then it stays open.
///
/// # Safety
/// As [`open`]; nothing in the range is used any more.
pub(crate) unsafe fn close(base: *mut u8, bytes: usize) -> bool {
    // SAFETY: by this function's contract.
    keeping_errno(|| unsafe {
        discard(base, bytes) && libc::mprotect(base.cast(), bytes, libc::PROT_NONE) == 0
    })
}

/// Drops the memory behind an opened range; it stays open and reads as zero. `false` if the kernel
/// kept it (locked pages).
///
/// # Safety
/// As [`open`]; nothing in the range is used any more.
pub(crate) unsafe fn discard(base: *mut u8, bytes: usize) -> bool {
    // SAFETY: by this function's contract.
    keeping_errno(|| unsafe { libc::madvise(base.cast(), bytes, libc::MADV_DONTNEED) == 0 })
}

/// Tells for each OS page from `base` (OS-page aligned) on, one byte a page, whether it is in
/// memory: bit 0. All zero where the kernel does not say.
pub(crate) fn residency(base: usize, states: &mut [u8]) {
    // SAFETY: `states` has a byte for each OS page asked about; mincore reads no memory itself.
    let done = keeping_errno(|| unsafe {
        libc::mincore(base as *mut libc::c_void, states.len() * OS_PAGE, states.as_mut_ptr().cast())
    });
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
pub(crate) unsafe fn prefer_node(base: *mut u8, bytes: usize, node: usize) -> bool {
    const MPOL_PREFERRED: libc::c_long = 1;
    let mut mask = [0u64; NODE_WORDS];
    mask[node / 64] = 1 << (node % 64);
    // SAFETY: mbind reads `mask`, whose length is given, and changes no content of the range.
    keeping_errno(|| unsafe {
        libc::syscall(libc::SYS_mbind, base, bytes, MPOL_PREFERRED, mask.as_ptr(), NODE_BITS, 0usize) == 0
    })
}

#[cfg(not(all(target_os = "linux", not(bucketmask_portable))))]
pub(crate) unsafe fn prefer_node(_base: *mut u8, _bytes: usize, _node: usize) -> bool {
    false
}

/// Words of the kernel's node masks.
#[cfg(all(target_os = "linux", not(bucketmask_portable)))]
const NODE_WORDS: usize = KERNEL_NODES / 64;
/// Their length in bits, and the one that the kernel takes off.
#[cfg(all(target_os = "linux", not(bucketmask_portable)))]
const NODE_BITS: usize = KERNEL_NODES + 1;

/// The nodes whose memory this process may use, by its cpuset. `None` where the kernel has no such
/// call or forbids it.
#[cfg(all(target_os = "linux", not(bucketmask_portable)))]
pub(crate) fn allowed_nodes() -> Option<NodeSet> {
    const MPOL_F_MEMS_ALLOWED: usize = 4;
    let mut mask = [0u64; NODE_WORDS];
    let nowhere = core::ptr::null_mut::<u8>();
    // SAFETY: get_mempolicy writes `mask`, whose length is given; the other places may be null.
    let done = keeping_errno(|| unsafe {
        libc::syscall(
            libc::SYS_get_mempolicy,
            nowhere,
            mask.as_mut_ptr(),
            NODE_BITS,
            nowhere,
            MPOL_F_MEMS_ALLOWED,
        )
    });
    (done == 0).then(|| NodeSet::from_words(&mask))
}

#[cfg(not(all(target_os = "linux", not(bucketmask_portable))))]
pub(crate) fn allowed_nodes() -> Option<NodeSet> {
    None
}

/// Asks the kernel on which node each OS page is: for each address a node's number, or a negative
/// error of that page alone (`-ENOENT`: not in memory). `Err`: the call's errno; it was refused.
#[cfg(all(target_os = "linux", not(bucketmask_portable)))]
pub(crate) fn nodes_of_pages(addresses: &[usize], nodes: &mut [i32]) -> Result<(), i32> {
    let count = addresses.len().min(nodes.len());
    keeping_errno(|| {
        // SAFETY: without a list of nodes to move to, move_pages only writes `count` words of `nodes`;
        // it dereferences no address.
        let done = unsafe {
            libc::syscall(
                libc::SYS_move_pages,
                0usize,
                count,
                addresses.as_ptr(),
                core::ptr::null::<i32>(),
                nodes.as_mut_ptr(),
                0usize,
            )
        };
        // SAFETY: the thread's own errno.
        if done == 0 { Ok(()) } else { Err(unsafe { *libc::__errno_location() }) }
    })
}

#[cfg(not(all(target_os = "linux", not(bucketmask_portable))))]
pub(crate) fn nodes_of_pages(_addresses: &[usize], _nodes: &mut [i32]) -> Result<(), i32> {
    Err(libc::ENOSYS)
}

/// The kernel's number of the node this thread runs on now; 0 where it can't be told.
pub(crate) fn kernel_node() -> usize {
    let (mut cpu, mut node) = (0u32, 0u32);
    let done = keeping_errno(|| getcpu(&mut cpu, &mut node));
    if done == 0 { node as usize } else { 0 }
}

/// The C library's, which asks the vDSO and not the kernel.
#[cfg(all(target_os = "linux", target_env = "gnu", not(bucketmask_portable)))]
fn getcpu(cpu: &mut u32, node: &mut u32) -> i64 {
    mod c {
        unsafe extern "C" {
            pub(super) fn getcpu(cpu: *mut u32, node: *mut u32) -> i32;
        }
    }
    // SAFETY: writes the two words.
    i64::from(unsafe { c::getcpu(cpu, node) })
}

#[cfg(all(target_os = "linux", not(target_env = "gnu"), not(bucketmask_portable)))]
fn getcpu(cpu: &mut u32, node: &mut u32) -> i64 {
    let (cpu, node): (*mut u32, *mut u32) = (cpu, node);
    // SAFETY: getcpu writes the two words; the third argument is unused.
    unsafe { libc::syscall(libc::SYS_getcpu, cpu, node, core::ptr::null_mut::<u8>()) as i64 }
}

#[cfg(not(all(target_os = "linux", not(bucketmask_portable))))]
fn getcpu(_cpu: &mut u32, _node: &mut u32) -> i64 {
    -1
}

/// Runs `calls` and puts the thread's errno back: for what may fail without the caller's failing.
pub(crate) fn keeping_errno<R>(calls: impl FnOnce() -> R) -> R {
    #[cfg(target_os = "linux")]
    {
        // SAFETY: the address of the thread's own errno, valid as long as the thread.
        let errno = unsafe { libc::__errno_location() };
        // SAFETY: as above. A pointer, not a reference: the calls write it too.
        let before = unsafe { errno.read() };
        let result = calls();
        // SAFETY: as above.
        unsafe { errno.write(before) };
        result
    }
    #[cfg(not(target_os = "linux"))]
    calls()
}

/// An open file or directory, closed when dropped.
pub(crate) struct File(i32);

impl File {
    pub(crate) fn open(path: &CStr) -> Option<Self> {
        Self::open_at(libc::AT_FDCWD, path)
    }

    fn open_at(directory: i32, path: &CStr) -> Option<Self> {
        // SAFETY: the path ends in a zero byte.
        let file = keeping_errno(|| unsafe {
            libc::openat(directory, path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC)
        });
        (file >= 0).then_some(Self(file))
    }

    /// The content of a file of this directory. `None` if it can't be read or does not fit.
    pub(crate) fn read_all<'text>(&self, path: &CStr, text: &'text mut [u8]) -> Option<&'text [u8]> {
        let file = Self::open_at(self.0, path)?;
        let mut len = 0;
        loop {
            let rest = &mut text[len..];
            // SAFETY: the place is as long as said.
            let read = keeping_errno(|| unsafe { libc::read(file.0, rest.as_mut_ptr().cast(), rest.len()) });
            match usize::try_from(read).ok()? {
                0 if len == text.len() => return None,
                0 => return Some(&text[..len]),
                more => len += more,
            }
        }
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // SAFETY: opened by `open_at`, closed once.
        keeping_errno(|| unsafe { libc::close(self.0) });
    }
}

/// Writes one line to standard error. Allocates nothing.
pub(crate) fn complain(why: &str) {
    for part in ["bucketmask: ", why, "\n"] {
        // SAFETY: writes bytes that live here. Where nobody listens nobody is told.
        keeping_errno(|| unsafe { libc::write(2, part.as_ptr().cast(), part.len()) });
    }
}

/// Writes `message` to standard error and ends the process. Allocates nothing.
pub(crate) fn abort_with(message: &[u8]) -> ! {
    // SAFETY: writes bytes that live here; abort does not return.
    unsafe {
        libc::write(2, message.as_ptr().cast(), message.len());
        libc::abort()
    }
}

#[cfg(all(test, target_os = "linux", not(bucketmask_portable)))]
mod tests {
    use super::*;

    /// From here on the kernel answers `calls` of this thread with `errno`, as sandboxes do.
    fn forbid(calls: [libc::c_long; 4], errno: i32) {
        let calls = calls.map(|call| u32::try_from(call).unwrap());
        let errno = u32::try_from(errno).unwrap();
        let step = |code: u32, jt: u8, jf: u8, k: u32| libc::sock_filter { code: code as u16, jt, jf, k };
        let is = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
        let end = libc::BPF_RET | libc::BPF_K;
        let mut program = [
            // The call's number lies at the front of what the kernel shows.
            step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
            step(is, 4, 0, calls[0]),
            step(is, 3, 0, calls[1]),
            step(is, 2, 0, calls[2]),
            step(is, 1, 0, calls[3]),
            step(end, 0, 0, libc::SECCOMP_RET_ALLOW),
            step(end, 0, 0, libc::SECCOMP_RET_ERRNO | errno),
        ];
        let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
        // SAFETY: the program lives over the call, which copies it; it holds for this thread alone.
        unsafe {
            assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
            let filter = &raw const filter;
            assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, filter, 0, 0), 0);
        }
    }

    #[test]
    fn refused_calls_are_values_and_leave_errno() {
        let calls = [libc::SYS_mbind, libc::SYS_get_mempolicy, libc::SYS_move_pages, libc::SYS_getcpu];
        for refusal in [libc::EPERM, libc::ENOSYS] {
            let test = move || {
                let memory = map(OS_PAGE).unwrap();
                forbid(calls, refusal);
                // SAFETY: the thread's own errno; then memory just mapped.
                unsafe {
                    *libc::__errno_location() = 77;
                    assert!(!prefer_node(memory.as_ptr(), OS_PAGE, 0));
                }
                assert_eq!(allowed_nodes(), None);
                assert_eq!(nodes_of_pages(&[memory.as_ptr() as usize], &mut [0]), Err(refusal));
                let _ = kernel_node();
                // SAFETY: as above.
                assert_eq!(unsafe { *libc::__errno_location() }, 77);
                // SAFETY: mapped above, not used any more.
                unsafe { unmap(memory, OS_PAGE) };
            };
            std::thread::spawn(test).join().unwrap();
        }
    }

    #[test]
    fn the_node_of_a_touched_page_is_one_that_is_allowed() {
        let memory = map(2 * OS_PAGE).unwrap();
        // SAFETY: mapped above.
        unsafe { memory.write(1) };
        let addresses = [memory.as_ptr() as usize, memory.as_ptr() as usize + OS_PAGE];
        let mut nodes = [0; 2];
        if let (Ok(()), Some(allowed)) = (nodes_of_pages(&addresses, &mut nodes), allowed_nodes()) {
            assert!(usize::try_from(nodes[0]).is_ok_and(|node| allowed.contains(node)), "{nodes:?}");
            assert_eq!(nodes[1], -libc::ENOENT);
        }
        // SAFETY: mapped above, not used any more.
        unsafe { unmap(memory, 2 * OS_PAGE) };
    }

    #[test]
    fn files_are_read_whole_or_not_at_all() {
        let proc = File::open(c"/proc/self").unwrap();
        let mut text = [0; 4096];
        let len = proc.read_all(c"stat", &mut text).unwrap().len();
        assert!(len > 10);
        assert_eq!(proc.read_all(c"stat", &mut text[..10]), None);
        assert_eq!(proc.read_all(c"nothing", &mut text), None);
        assert!(File::open(c"/nonexistent").is_none());
    }
}
