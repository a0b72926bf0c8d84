//! What keeps a page: its live blocks.
//!
//! Invariant: read from the masks like everything else; nothing is kept for it.

use crate::class::TABLE;
use crate::node::NodeId;
use crate::occupancy::{self, PageUse};
use crate::{site, span};

/// A live block or object that keeps its page from being given back.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct PinningBlock {
    /// Its address.
    pub address: usize,
    /// Bytes of its slot.
    pub slot_size: usize,
    /// The index of its size class; `None` for a collector's object and a medium block.
    pub class: Option<usize>,
    /// The node whose span holds the page.
    pub node: NodeId,
    /// Return addresses of the calls that made it, the innermost first: with the feature `checked`; empty without.
    pub allocated_at: Vec<usize>,
}

/// The live slots of the page that `address` lies in, ascending; none if there is no page.
pub(crate) fn who_pins(address: usize) -> Vec<PinningBlock> {
    let Some(page) = span::page_at(address).and_then(occupancy::of_page) else { return Vec::new() };
    let class = match page.usage {
        PageUse::Slab => TABLE.iter().position(|class| class.slot_size as usize == page.slot_size),
        PageUse::Lent | PageUse::Medium => None,
    };
    let pin = |address| PinningBlock {
        address,
        slot_size: page.slot_size,
        class,
        node: page.node,
        allocated_at: site::made_at(address),
    };
    page.live_addresses().map(pin).collect()
}
