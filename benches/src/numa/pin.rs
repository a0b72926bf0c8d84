//! The machine's nodes with processors, and putting a thread onto one. Owns nothing. Invariant: a thread is pinned to
//! processors that this process may use, or not at all.
#![allow(unsafe_code)]

use std::fs;
use std::io;
use std::path::Path;

use bucketmask_alloc::{NodeId, Topology, pretend_on};

/// Where threads can be put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Site {
    /// The kernel's number of the node; of a fake node, its number among ours.
    pub(super) kernel: usize,
    /// The node that serves threads here: this one, or the nearest with memory.
    pub(super) home: NodeId,
    /// Processors to pin to; none for a fake node, and where the system does not tell.
    pub(super) processors: Vec<usize>,
}

impl Site {
    /// All sites of this process: one for each node with processors that it may use, by the kernel's number; those of a fake
    /// topology; or a single one, where the system tells of no nodes.
    pub(super) fn all(topology: &Topology) -> Vec<Self> {
        if topology.is_fake() {
            let site = |node| Self { kernel: node, home: NodeId(node as u8), processors: Vec::new() };
            return (0..topology.nodes()).map(site).collect();
        }
        let mut sites = Self::in_tree(Path::new("/sys/devices/system/node"), &usable(), topology);
        if sites.is_empty() {
            sites.push(Self { kernel: 0, home: NodeId(0), processors: Vec::new() });
        }
        sites
    }

    fn in_tree(tree: &Path, usable: &[usize], topology: &Topology) -> Vec<Self> {
        let read = |name: &str| numbers(&fs::read_to_string(tree.join(name)).unwrap_or_default());
        let site = |kernel: usize| {
            let mut processors = read(&format!("node{kernel}/cpulist"));
            processors.retain(|processor| usable.contains(processor));
            Self { kernel, home: topology.home_of(kernel), processors }
        };
        read("online").into_iter().map(site).filter(|site| !site.processors.is_empty()).collect()
    }

    /// Puts the calling thread onto this node.
    ///
    /// # Errors
    /// The kernel refuses.
    pub(super) fn enter(&self) -> io::Result<()> {
        pretend_on(self.home);
        if self.processors.is_empty() {
            return Ok(());
        }
        // SAFETY: a set of processors is plain words, for which all zero is the empty set.
        let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
        for &processor in &self.processors {
            // SAFETY: `usable` gave only numbers that a set has room for.
            unsafe { libc::CPU_SET(processor, &mut set) };
        }
        // SAFETY: reads the set, whose size is given; 0 is the calling thread.
        match unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// The processors that this thread may run on; none where the kernel does not tell.
fn usable() -> Vec<usize> {
    // SAFETY: as in `enter`; the call writes the set, whose size is given.
    let (told, set) = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        (libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set) == 0, set)
    };
    let room = libc::CPU_SETSIZE as usize;
    // SAFETY: numbers below the set's room.
    (0..room).filter(|&processor| told && unsafe { libc::CPU_ISSET(processor, &set) }).collect()
}

/// The numbers that a list like `0-1,3` names; none for anything else.
fn numbers(list: &str) -> Vec<usize> {
    let part = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse::<usize>().ok()?..=last.parse().ok()?)
    };
    let ranges: Option<Vec<_>> = list.trim().split(',').map(part).collect();
    ranges.unwrap_or_default().into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_numbers_are_read() {
        assert_eq!(numbers("0-2,5\n"), [0, 1, 2, 5]);
        assert!(numbers("").is_empty());
        assert!(numbers("0-x").is_empty());
    }

    #[test]
    fn sites_are_nodes_with_processors_that_may_be_used() {
        let tree = tempfile::tempdir().unwrap();
        fs::write(tree.path().join("online"), "0,2-3\n").unwrap();
        for (node, processors) in [(0, "0-1"), (2, "2-3"), (3, "")] {
            let node = tree.path().join(format!("node{node}"));
            fs::create_dir(&node).unwrap();
            fs::write(node.join("cpulist"), processors).unwrap();
        }
        let topology = Topology::of_tree(tree.path(), "0,2-3");
        let sites = |usable: &[usize]| -> Vec<(usize, Vec<usize>)> {
            let sites = Site::in_tree(tree.path(), usable, &topology);
            sites.into_iter().map(|site| (site.kernel, site.processors)).collect()
        };
        assert_eq!(sites(&[0, 1, 2, 3]), [(0, vec![0, 1]), (2, vec![2, 3])]);
        assert_eq!(sites(&[3]), [(2, vec![3])]);
    }

    #[test]
    fn this_thread_can_be_put_somewhere() {
        let sites = Site::all(&bucketmask_alloc::topology());
        assert!(!sites.is_empty());
        std::thread::spawn(move || sites.iter().for_each(|site| site.enter().unwrap())).join().unwrap();
    }
}
