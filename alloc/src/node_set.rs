//! A set of NUMA nodes by the kernel's numbers: a value, owned by whoever reads the machine.
//!
//! Invariant: its text form is the kernel's list form (`0-1,4`), and it holds no number that the
//! kernel could not give a node.

use crate::mask::BucketMask;

/// Numbers that the kernel gives to nodes are below this, on any architecture and configuration.
pub(crate) const KERNEL_NODES: usize = 1024;

const SLOTS: usize = BucketMask::SLOTS as usize;

/// See the module.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct NodeSet([BucketMask; KERNEL_NODES / SLOTS]);

impl NodeSet {
    /// No node.
    pub(crate) const EMPTY: Self = Self([BucketMask::EMPTY; KERNEL_NODES / SLOTS]);
    /// Every node there could be.
    pub(crate) const FULL: Self = Self([BucketMask::FULL; KERNEL_NODES / SLOTS]);

    /// Reads the kernel's list form. `None` for anything else; an empty list is the empty set.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let text = text.trim_ascii();
        let mut set = Self::EMPTY;
        if text.is_empty() {
            return Some(set);
        }
        for part in text.split(|&byte| byte == b',') {
            let mut ends = part.splitn(2, |&byte| byte == b'-').map(number);
            let first = ends.next()??;
            let last = ends.next().unwrap_or(Some(first))?;
            if first > last || last >= KERNEL_NODES {
                return None;
            }
            (first..=last).for_each(|node| set.add(node));
        }
        Some(set)
    }

    /// The set whose bits are those of the kernel's node mask.
    #[cfg(all(target_os = "linux", not(bucketmask_portable)))]
    pub(crate) fn from_words(words: &[u64; KERNEL_NODES / SLOTS]) -> Self {
        Self(words.map(BucketMask::from_word))
    }

    /// Adds a node; numbers that no node has are passed over.
    pub(crate) fn add(&mut self, node: usize) {
        if let Some(mask) = self.0.get_mut(node / SLOTS) {
            *mask = mask.with((node % SLOTS) as u32);
        }
    }

    pub(crate) fn contains(&self, node: usize) -> bool {
        self.0.get(node / SLOTS).is_some_and(|mask| mask.contains((node % SLOTS) as u32))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(|mask| mask.is_empty())
    }

    pub(crate) fn intersection(&self, other: &Self) -> Self {
        Self(core::array::from_fn(|word| self.0[word].intersection(other.0[word])))
    }

    /// The nodes, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        let masks = self.0.iter().enumerate();
        masks.flat_map(|(word, mask)| mask.occupied().map(move |slot| word * SLOTS + slot as usize))
    }
}

/// A decimal number; `None` for anything else.
pub(crate) fn number(digits: &[u8]) -> Option<usize> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0usize, |number, &digit| {
        let value = digit.is_ascii_digit().then(|| usize::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Vec<usize>> {
        NodeSet::parse(text.as_bytes()).map(|set| set.iter().collect())
    }

    #[test]
    fn the_kernels_lists_are_read() {
        assert_eq!(read("0-1\n"), Some(vec![0, 1]));
        assert_eq!(read("0,2-3,8\n"), Some(vec![0, 2, 3, 8]));
        assert_eq!(read("63-64,1023"), Some(vec![63, 64, 1023]));
        assert_eq!(read("\n"), Some(vec![]));
        for bad in
            ["x", "1-", "-", "-1", "0,,1", "1024", "0-1024", "3-1", "0-1-2", "0 1", "99999999999999999999"]
        {
            assert_eq!(read(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn sets_have_in_common_what_both_hold() {
        let set = |text: &str| NodeSet::parse(text.as_bytes()).unwrap();
        let common = set("0-7,300").intersection(&set("4-9,300"));
        assert_eq!(common, set("4-7,300"));
        assert!(common.contains(300) && !common.contains(3) && !common.contains(KERNEL_NODES));
        assert!(set("0").intersection(&set("1")).is_empty());
        assert_eq!(NodeSet::FULL.intersection(&common), common);
    }
}
