//! NUMA-aware slab allocator with truthful occupancy masks.
