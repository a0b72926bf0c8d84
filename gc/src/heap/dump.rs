//! [`HeapDump`]: every object of an arena with what it leads to, and why it is kept. A plain value; changes nothing.
#![allow(unsafe_code)]

use super::verify::{Reached, table_of};
use super::{Context, Heap};
use crate::collect::{Collect, Trace};
use std::collections::{HashMap, VecDeque};
use std::fmt;

/// An object of a [`HeapDump`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DumpedObject {
    /// Its address, as [`Gc::as_ptr`](crate::Gc::as_ptr) gives it.
    pub address: usize,
    /// Its type.
    pub type_name: &'static str,
    /// Bytes of its slot; of a huge object, its own.
    pub bytes: usize,
    /// The objects that it keeps.
    pub pointers: Vec<usize>,
    /// The objects that it refers to weakly.
    pub weak: Vec<usize>,
    /// Keys that it waits for, each with what it keeps while the key is kept.
    pub ephemerons: Vec<(usize, Vec<usize>)>,
}

/// All objects of an arena, those included that no cycle has freed yet, from [`Arena::dump`](crate::Arena::dump).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeapDump {
    /// The objects, by address.
    pub objects: Vec<DumpedObject>,
    /// What the root keeps.
    pub roots: Vec<usize>,
}

impl HeapDump {
    /// Why an object is kept: a shortest way from the root to it, both ends included but the root. `None`: nothing keeps
    /// it. O(objects and pointers).
    pub fn path_to(&self, address: usize) -> Option<Vec<&DumpedObject>> {
        let by_address: HashMap<usize, &DumpedObject> =
            self.objects.iter().map(|object| (object.address, object)).collect();
        let mut parents: HashMap<usize, usize> = HashMap::new();
        let mut waiting: HashMap<usize, Vec<(usize, usize)>> = HashMap::new();
        // 0 is the root's own address.
        let mut queue: VecDeque<(usize, usize)> = self.roots.iter().map(|&root| (root, 0)).collect();
        while let Some((at, parent)) = queue.pop_front() {
            if parents.contains_key(&at) {
                continue;
            }
            parents.insert(at, parent);
            if at == address {
                break;
            }
            queue.extend(waiting.remove(&at).unwrap_or_default());
            let Some(object) = by_address.get(&at) else { continue };
            queue.extend(object.pointers.iter().map(|&to| (to, at)));
            for (key, values) in &object.ephemerons {
                let values = values.iter().map(|&to| (to, at));
                if parents.contains_key(key) {
                    queue.extend(values);
                } else {
                    waiting.entry(*key).or_default().extend(values);
                }
            }
        }
        let mut path = Vec::new();
        let mut at = address;
        while at != 0 {
            path.push(*by_address.get(&at)?);
            at = *parents.get(&at)?;
        }
        path.reverse();
        Some(path)
    }
}

impl fmt::Display for HeapDump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "root -> {:x?}", self.roots)?;
        for object in &self.objects {
            let DumpedObject { address, type_name, bytes, pointers, weak, ephemerons } = object;
            write!(f, "{address:#x} {type_name} {bytes} -> {pointers:x?}")?;
            if !weak.is_empty() {
                write!(f, " weak {weak:x?}")?;
            }
            if !ephemerons.is_empty() {
                write!(f, " while {ephemerons:x?}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

fn addresses(pointers: &[*const u8]) -> Vec<usize> {
    pointers.iter().map(|pointer| pointer.addr()).collect()
}

impl Context {
    /// A dump of the heap.
    ///
    /// # Safety
    ///
    /// `root` is this arena's, and nothing of it is borrowed mutably.
    pub(crate) unsafe fn dump<'gc, R: Collect<'gc> + ?Sized>(&self, root: &R) -> HeapDump {
        // SAFETY: only `trace` implementations run here, which cannot allocate in this arena.
        let heap = unsafe { &*self.heap.get() };
        let mut reached = Reached::default();
        reached.trace(root);
        HeapDump { objects: heap.dump_objects(), roots: addresses(&reached.strong) }
    }
}

impl Heap {
    fn dump_objects(&self) -> Vec<DumpedObject> {
        let mut objects: Vec<_> = self.objects().into_iter().collect();
        objects.sort_unstable();
        let dump = |address: *const u8| {
            let mut told = Reached::default();
            // SAFETY: a live object, of the table's type.
            let table = unsafe { table_of(address) };
            if table.needs_trace {
                // SAFETY: as above.
                unsafe { (table.visit)(address, &mut told) };
            }
            let ephemerons = told.ephemerons.iter().map(|(key, values)| (key.addr(), addresses(values)));
            DumpedObject {
                address: address.addr(),
                type_name: (table.name)(),
                bytes: table.slot_bytes,
                pointers: addresses(&told.strong),
                weak: addresses(&told.weak),
                ephemerons: ephemerons.collect(),
            }
        };
        objects.into_iter().map(dump).collect()
    }
}
