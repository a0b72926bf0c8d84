//! NUMA nodes: how many there are, which of them serves whom, and which one this thread is on.
//!
//! Read by `region` once and by slow paths after that. Invariant: node numbers here are dense, 0 to
//! count - 1, whatever the kernel's are; a machine without NUMA has one node and takes the same
//! code path.
#![allow(unsafe_code)]

use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::lock::FutexMutex;
use crate::node_set::{KERNEL_NODES, NodeSet, number};
use crate::region::REGION;
use crate::slot;
use crate::sys;
use crate::sysfs::{self, Machine};

/// Most nodes that are told apart; what the kernel numbers beyond shares the last one.
pub(crate) const MAX_NODES: usize = 16;

/// A NUMA node with memory, numbered densely from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct NodeId(pub u8);

/// The nodes memory is taken from, and which of them serves whom.
///
/// A node has memory of ours if it is the home of a node with processors: itself where it has memory
/// that the process may use (its cpuset decides), otherwise the nearest such node by the machine's
/// table of distances. At most 16 nodes are told apart; those beyond are served by the nearest of
/// the 16.
///
/// The system's is found by itself. A fake one lets any machine, and any test, run with as many
/// nodes as it likes: everything but the placement by the kernel is then as on a real one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Topology {
    /// The kernel's number of each dense node.
    kernel: [u16; MAX_NODES],
    /// The dense node that serves each of the kernel's.
    homes: [u8; KERNEL_NODES],
    count: u8,
    fake: bool,
}

impl fmt::Debug for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Topology")
            .field("kernel", &&self.kernel[..self.nodes()])
            .field("fake", &self.fake)
            .finish_non_exhaustive()
    }
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

pub(crate) static INSTALLED: FutexMutex<Option<Topology>> = FutexMutex::new(None);
static FAKED: AtomicBool = AtomicBool::new(false);

impl Topology {
    /// One node.
    const SINGLE: Self = Self { kernel: [0; MAX_NODES], homes: [0; KERNEL_NODES], count: 1, fake: false };

    /// The machine's, read from sysfs; one node where there is no sysfs or it can't be understood.
    pub fn system() -> Self {
        if cfg!(any(bucketmask_portable, not(target_os = "linux"))) {
            return Self::SINGLE;
        }
        Machine::read(sysfs::SYSTEM, &sysfs::allowed()).map_or(Self::SINGLE, |machine| Self::of(&machine))
    }

    /// The topology that a machine would have whose `/sys/devices/system/node` is the directory `tree`,
    /// for a process that may use the memory of the nodes `allowed` (in the kernel's list form, such as
    /// `0-1,4`). It is a [fake](Self::is_fake) one: for tests, and to see what a machine would get.
    ///
    /// A tree or list that can't be understood gives one node, as on a system without one.
    pub fn of_tree(tree: &Path, allowed: &str) -> Self {
        let machine = CString::new(tree.as_os_str().as_bytes())
            .ok()
            .and_then(|tree| Machine::read(&tree, &NodeSet::parse(allowed.as_bytes())?));
        Self { fake: true, ..machine.map_or(Self::SINGLE, |machine| Self::of(&machine)) }
    }

    fn of(machine: &Machine) -> Self {
        let mut homes = NodeSet::EMPTY;
        for node in machine.processors.iter() {
            if let Some(home) = machine.nearest(node, &machine.memory) {
                homes.add(home);
            }
        }
        let homes = if homes.is_empty() { machine.memory } else { homes };
        let mut told_apart = NodeSet::EMPTY;
        let mut topology = Self { count: 0, ..Self::SINGLE };
        for node in homes.iter().take(MAX_NODES) {
            told_apart.add(node);
            topology.kernel[topology.nodes()] = node as u16;
            topology.count += 1;
        }
        for node in machine.online.iter() {
            let home = machine.nearest(node, &told_apart);
            let dense = home.and_then(|home| told_apart.iter().position(|other| other == home));
            topology.homes[node] = dense.unwrap_or(0) as u8;
        }
        topology
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
            topology.kernel[node] = node as u16;
            topology.homes[node] = node as u8;
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
        if REGION.is_decided() {
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

    /// The kernel's number of a node; nodes that do not exist have that of node 0.
    pub fn kernel_number(&self, node: NodeId) -> usize {
        let exists = usize::from(node.0) < self.nodes();
        usize::from(self.kernel[if exists { usize::from(node.0) } else { 0 }])
    }

    /// The node that serves threads on the kernel's node `kernel`: itself, or the nearest with memory;
    /// node 0 for numbers that no node had when the topology was read.
    pub fn home_of(&self, kernel: usize) -> NodeId {
        NodeId(self.homes.get(kernel).copied().unwrap_or(0))
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
        Self::fake(number(text.to_bytes())?).ok()
    }
}

/// The topology of the process: that of its region, which is made now if it wasn't.
pub fn topology() -> Topology {
    *REGION.get().topology()
}

/// Number of nodes that memory is taken from, 1 to 16.
pub fn nodes() -> usize {
    REGION.get().topology().nodes()
}

/// The node that serves the processor this thread runs on now. Asks the kernel's vDSO: for slow paths.
pub fn current_node() -> NodeId {
    let topology = REGION.get().topology();
    if FAKED.load(Ordering::Relaxed) {
        return NodeId(slot::node() % topology.count);
    }
    if topology.nodes() == 1 { NodeId(0) } else { topology.home_of(sys::kernel_node()) }
}

/// Under a fake topology, puts the calling thread on `node` (modulo the number of nodes).
pub fn pretend_on(node: NodeId) {
    slot::set_node(node.0);
}

#[cfg(test)]
mod tests {
    use super::*;

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
