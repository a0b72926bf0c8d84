//! What the system says about its NUMA nodes, read without allocating.
//!
//! Owned by `node`, which asks once, inside the first allocation. Invariant: what is missing, too long
//! or malformed is told as not known; nothing is guessed here.
#![allow(unsafe_code)]

use core::ffi::CStr;

use crate::node_set::{KERNEL_NODES, NodeSet, number};
use crate::sys;

/// Where Linux tells of its nodes.
pub(crate) const SYSTEM: &CStr = c"/sys/devices/system/node";

/// Longest text that is understood: a row of distances of as many nodes as there can be.
const TEXT: usize = 4096;

/// What is known about the machine's nodes, in a directory laid out as Linux does.
pub(crate) struct Machine {
    tree: sys::File,
    /// Nodes that are in use.
    pub online: NodeSet,
    /// Of these, the ones with memory that this process may use.
    pub memory: NodeSet,
    /// Of these, the ones with processors.
    pub processors: NodeSet,
}

impl Machine {
    /// Reads the directory; `allowed` are the nodes whose memory the process may use. `None` without a
    /// readable list of nodes, or without memory that may be used.
    pub(crate) fn read(tree: &CStr, allowed: &NodeSet) -> Option<Self> {
        let tree = sys::File::open(tree)?;
        let online = list(&tree, c"online").filter(|online| !online.is_empty())?;
        // Kernels without movable memory have only the second name.
        let memory = list(&tree, c"has_memory").or_else(|| list(&tree, c"has_normal_memory"));
        let memory = memory.unwrap_or(online).intersection(&online).intersection(allowed);
        let processors = list(&tree, c"has_cpu").unwrap_or(online).intersection(&online);
        (!memory.is_empty()).then_some(Self { tree, online, memory, processors })
    }

    /// The nearest of `others` to an online node, itself included, by the distance table; the lowest
    /// where nothing is known.
    pub(crate) fn nearest(&self, node: usize, others: &NodeSet) -> Option<usize> {
        if others.contains(node) {
            return Some(node);
        }
        let mut text = [0; TEXT];
        let row = self.distances(node, &mut text).unwrap_or(&[]);
        // A row has a distance for each online node, in their order.
        let mut distances = row.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).map(number);
        let mut nearest: Option<(usize, usize)> = None;
        for other in self.online.iter() {
            let distance = distances.next().flatten().unwrap_or(usize::MAX);
            if others.contains(other) && nearest.is_none_or(|(_, least)| distance < least) {
                nearest = Some((other, distance));
            }
        }
        nearest.map(|(other, _)| other)
    }

    fn distances<'text>(&self, node: usize, text: &'text mut [u8; TEXT]) -> Option<&'text [u8]> {
        let mut path = *b"node0000/distance\0";
        let digits = if node < 10 {
            1
        } else if node < 100 {
            2
        } else if node < 1000 {
            3
        } else {
            4
        };
        let mut rest = node;
        for place in (4..4 + digits).rev() {
            path[place] = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        path.copy_within(8.., 4 + digits);
        self.tree.read_all(CStr::from_bytes_until_nul(&path).ok()?, text)
    }
}

fn list(tree: &sys::File, name: &CStr) -> Option<NodeSet> {
    let mut text = [0; TEXT];
    NodeSet::parse(tree.read_all(name, &mut text)?)
}

/// The nodes whose memory this process may use, by its cpuset; all where the kernel doesn't tell.
pub(crate) fn allowed() -> NodeSet {
    sys::allowed_nodes().or_else(allowed_by_status).filter(|set| !set.is_empty()).unwrap_or(NodeSet::FULL)
}

/// The same from `/proc`, for sandboxes that forbid the call.
fn allowed_by_status() -> Option<NodeSet> {
    let mut text = [0; 2 * TEXT];
    let status = sys::File::open(c"/proc/self")?.read_all(c"status", &mut text)?;
    allowed_in(status)
}

fn allowed_in(status: &[u8]) -> Option<NodeSet> {
    let mut lines = status.split(|&byte| byte == b'\n');
    NodeSet::parse(lines.find_map(|line| line.strip_prefix(b"Mems_allowed_list:"))?)
}

static_assertions::const_assert!(KERNEL_NODES <= 10_000);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_says_which_nodes_it_may_use() {
        let status = b"Name:\tx\nMems_allowed:\t00000000,00000005\nMems_allowed_list:\t0,2\nThreads:\t1\n";
        assert_eq!(allowed_in(status), NodeSet::parse(b"0,2"));
        assert_eq!(allowed_in(b"Name:\tx\n"), None);
        assert!(!allowed().is_empty());
    }

    #[cfg(all(target_os = "linux", not(bucketmask_portable)))]
    #[test]
    fn the_call_and_the_text_agree() {
        if let (Some(told), Some(written)) = (sys::allowed_nodes(), allowed_by_status()) {
            assert_eq!(told, written);
        }
    }
}
