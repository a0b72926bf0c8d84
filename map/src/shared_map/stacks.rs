//! Stacks of the other side: where each thread entered a map last, if it was asked to write that down.
//!
//! Owned by `watch`. Invariant: a stack is given for an operation only if it was recorded by that very kind of operation of that thread on that map.

use bucketmask_alloc::frames::Stack;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;

/// By thread and map: the last operation, and where it came from.
type Stacks = BTreeMap<(u32, usize), (u8, Arc<Stack>)>;

static STACKS: Mutex<Stacks> = Mutex::new(BTreeMap::new());

/// Writes down where the calling thread is.
pub(crate) fn record(thread: u32, map: usize, operation: u8) {
    let stack = Arc::new(Stack::capture());
    let _old = STACKS.lock().insert((thread, map), (operation, stack));
}

/// Where that thread entered that map for that operation, if it is the last that it wrote down.
pub(crate) fn recorded(thread: u32, map: usize, operation: u8) -> Option<Arc<Stack>> {
    let stacks = STACKS.lock();
    let (last, stack) = stacks.get(&(thread, map))?;
    (*last == operation).then(|| Arc::clone(stack))
}

/// Drops what an ended thread wrote down. Its last operations stay known for as long as their map, if it is asked for them no more.
pub(crate) fn forget_thread(thread: u32) {
    STACKS.lock().retain(|&(of, _), _| of != thread);
}

/// Drops what was written down of a map that is gone.
pub(crate) fn forget_map(map: usize) {
    STACKS.lock().retain(|&(_, of), _| of != map);
}
