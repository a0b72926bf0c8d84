//! Memory back to the kernel.

use crate::granule::Kind;
use crate::medium;
use crate::node::NodeId;
use crate::region::REGION;

/// Gives memory that no block needs to the kernel, now; bytes given.
pub(crate) fn now() -> usize {
    let mut given = 0;
    for (node, span) in REGION.get().spans().iter().enumerate() {
        let node = NodeId(node as u8);
        span.for_each_page(node, |page, _| {
            if page.kind() == Kind::Medium && medium::is_purgeable(page) {
                given += medium::purge(page).unwrap_or(0);
            }
        });
        for chunk in 0..span.chunks() {
            given += span.purge_granules(node, chunk, true, false);
        }
    }
    given
}
