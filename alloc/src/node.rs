//! NUMA nodes: how many there are, and which one this thread is on.
//!
//! Read by `region` once and by slow paths after that. Invariant: node numbers here are dense, 0 to
//! count - 1, whatever the kernel's are; a machine without NUMA has one node and takes the same
//! code path.
#![allow(unsafe_code)]

use core::cell::Cell;
use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};

use crate::lock::FutexMutex;
use crate::sys;

/// Most nodes that are told apart; what the kernel numbers beyond shares the last one.
pub(crate) const MAX_NODES: usize = 16;

/// A NUMA node with memory, numbered densely from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct NodeId(pub u8);

/// The nodes memory is taken from.
///
/// The system's is found by itself. A fake one lets any machine, and any test, run with as many
/// nodes as it likes: everything but the placement by the kernel is then as on a real one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Topology {
    /// The kernel's number of each dense node.
    kernel: [u8; MAX_NODES],
    count: u8,
    fake: bool,
}

/// Why a topology could not be installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TopologyError {
    /// The region exists already: something was allocated before.
    TooLate,
    /// No nodes, or more than 16.
    Count,
}

impl fmt::Display for TopologyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLate => write!(f, "the topology must be set before the first allocation"),
            Self::Count => write!(f, "a topology has 1 to {MAX_NODES} nodes"),
        }
    }
}

impl std::error::Error for TopologyError {}

static INSTALLED: FutexMutex<Option<Topology>> = FutexMutex::new(None);
static FAKED: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// The node a thread of a fake topology is on.
    static PRETENDED: Cell<u8> = const { Cell::new(0) };
}

impl Topology {
    /// One node.
    const SINGLE: Self = Self { kernel: [0; MAX_NODES], count: 1, fake: false };

    /// The machine's nodes that have memory, read from sysfs; one node where there is no sysfs.
    pub fn system() -> Self {
        let mut text = [0u8; 256];
        let read = read_file(c"/sys/devices/system/node/has_memory", &mut text);
        Self::parse(&text[..read]).unwrap_or(Self::SINGLE)
    }

    /// `count` nodes that exist only here.
    ///
    /// # Errors
    /// [`TopologyError::Count`] unless `count` is 1 to 16.
    pub fn fake(count: usize) -> Result<Self, TopologyError> {
        if count == 0 || count > MAX_NODES {
            return Err(TopologyError::Count);
        }
        let mut topology = Self { count: count as u8, fake: true, ..Self::SINGLE };
        for node in 0..count {
            topology.kernel[node] = node as u8;
        }
        Ok(topology)
    }

    /// Makes this the topology of the process.
    ///
    /// # Errors
    /// [`TopologyError::TooLate`] once the region exists, that is after the first allocation by
    /// [`BucketAlloc`](crate::BucketAlloc), the first lent page or the first range.
    pub fn install(self) -> Result<(), TopologyError> {
        let mut installed = INSTALLED.lock();
        if crate::region::REGION.is_decided() {
            return Err(TopologyError::TooLate);
        }
        *installed = Some(self);
        Ok(())
    }

    /// Number of nodes, 1 to 16.
    pub fn nodes(&self) -> usize {
        usize::from(self.count)
    }

    /// Whether the nodes exist only here.
    pub fn is_fake(&self) -> bool {
        self.fake
    }

    /// The kernel's number of a node.
    pub(crate) fn kernel_number(&self, node: NodeId) -> u8 {
        self.kernel[usize::from(node.0) % MAX_NODES]
    }

    /// The topology the region is to be made for: the installed one, that of `BUCKETMASK_NODES`
    /// (a number of fake nodes), or the system's.
    pub(crate) fn decided() -> Self {
        let topology =
            *INSTALLED.lock().get_or_insert_with(|| Self::from_environment().unwrap_or_else(Self::system));
        FAKED.store(topology.fake, Ordering::Relaxed);
        topology
    }

    fn from_environment() -> Option<Self> {
        // SAFETY: getenv reads the environment, which nothing writes while the allocator starts;
        // the text is read before anything else runs.
        let text = unsafe {
            let value = libc::getenv(c"BUCKETMASK_NODES".as_ptr());
            if value.is_null() {
                return None;
            }
            core::ffi::CStr::from_ptr(value)
        };
        let count = text.to_bytes().iter().try_fold(0usize, |number, &digit| {
            digit.is_ascii_digit().then(|| number.saturating_mul(10) + usize::from(digit - b'0'))
        })?;
        Self::fake(count).ok()
    }

    /// Reads the kernel's list form, such as `0-1,4`. `None` for a list that names no node.
    fn parse(text: &[u8]) -> Option<Self> {
        let mut topology = Self { count: 0, ..Self::SINGLE };
        for part in text.trim_ascii().split(|&byte| byte == b',') {
            let mut ends = part.split(|&byte| byte == b'-').map(number);
            let first = ends.next()??;
            let last = ends.next().unwrap_or(Some(first))?;
            for kernel in first..=last {
                if topology.nodes() < MAX_NODES {
                    topology.kernel[topology.nodes()] = kernel;
                    topology.count += 1;
                }
            }
        }
        (topology.count > 0).then_some(topology)
    }

    /// The dense number of the kernel's node; a node without memory of its own is served by node 0.
    fn dense(&self, kernel: u32) -> NodeId {
        let found = self.kernel[..self.nodes()].iter().position(|&number| u32::from(number) == kernel);
        NodeId(found.unwrap_or(0) as u8)
    }
}

fn number(digits: &[u8]) -> Option<u8> {
    core::str::from_utf8(digits).ok()?.parse().ok()
}

/// Reads the start of a file without allocating; 0 bytes if it can't be read.
fn read_file(path: &core::ffi::CStr, buffer: &mut [u8]) -> usize {
    // SAFETY: the path ends in a zero byte, the buffer is as long as said, and the descriptor is
    // closed by the one who opened it.
    unsafe {
        let file = libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
        if file < 0 {
            return 0;
        }
        let read = libc::read(file, buffer.as_mut_ptr().cast(), buffer.len());
        libc::close(file);
        usize::try_from(read).unwrap_or(0)
    }
}

/// Number of nodes that memory is taken from, 1 to 16.
pub fn nodes() -> usize {
    crate::region::REGION.get().topology().nodes()
}

/// The node this thread runs on now. A system call: for slow paths.
pub fn current_node() -> NodeId {
    let topology = crate::region::REGION.get().topology();
    if FAKED.load(Ordering::Relaxed) {
        return NodeId(PRETENDED.with(Cell::get) % topology.count);
    }
    if topology.nodes() == 1 { NodeId(0) } else { topology.dense(sys::kernel_node()) }
}

/// Under a fake topology, puts the calling thread on `node` (modulo the number of nodes).
pub fn pretend_on(node: NodeId) {
    PRETENDED.with(|pretended| pretended.set(node.0));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_lists_are_read() {
        let read = |text: &str| Topology::parse(text.as_bytes());
        let two = read("0-1\n").unwrap();
        assert_eq!((two.nodes(), two.is_fake()), (2, false));
        let sparse = read("0,2-3,8\n").unwrap();
        assert_eq!(sparse.kernel[..sparse.nodes()], [0, 2, 3, 8]);
        assert_eq!(sparse.dense(3), NodeId(2));
        assert_eq!(sparse.dense(5), NodeId(0), "a node without memory is served by the first");
        assert_eq!(read("0-63").unwrap().nodes(), MAX_NODES);
        for bad in ["", "\n", "x", "1-", "-", "0,,1", "300"] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn fake_topologies_have_one_to_sixteen_nodes() {
        assert_eq!(Topology::fake(0), Err(TopologyError::Count));
        assert_eq!(Topology::fake(17), Err(TopologyError::Count));
        assert_eq!(Topology::fake(16).unwrap().nodes(), 16);
    }

    #[test]
    fn the_system_has_a_node() {
        assert!(Topology::system().nodes() >= 1);
    }
}
