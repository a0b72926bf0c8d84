//! [`External`]: memory outside an arena that its objects hold, so that it counts when a collection is due.
//!
//! Owned by the object that holds the memory. Invariant: what is alive of it is what its arena's metrics count.

#![allow(unsafe_code)]

use crate::metrics::Metrics;

/// So many bytes outside the arena, for as long as this lives. Keep it in the object that holds the memory.
///
/// More bytes make debt as the allocation of objects does; those that are alive when a cycle ends let the next one wait
/// longer, as objects that stay do.
///
/// ```
/// use bucketmask_gc::{Arena, Collect, External, Gc, Rootable};
///
/// #[derive(Collect)]
/// #[collect(no_drop)]
/// struct Image {
///     pixels: Vec<u8>,
///     counted: External,
/// }
///
/// let mut arena = Arena::<Rootable![()]>::new(|_| ());
/// arena.mutate(|mc, ()| {
///     let pixels = vec![0; 4 << 20];
///     Gc::new(mc, Image { counted: mc.metrics().external(pixels.len()), pixels });
/// });
/// assert_eq!(arena.metrics().external_bytes(), 4 << 20);
/// arena.collect_debt();
/// assert_eq!(arena.metrics().external_bytes(), 0);
/// ```
#[derive(Debug)]
pub struct External {
    metrics: Metrics,
    bytes: usize,
}

impl External {
    pub(crate) fn new(metrics: Metrics, bytes: usize) -> Self {
        let mut external = Self { metrics, bytes: 0 };
        external.resize(bytes);
        external
    }

    /// The bytes that are counted.
    #[inline]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Counts more bytes, or fewer.
    #[inline]
    pub fn resize(&mut self, bytes: usize) {
        self.metrics.count_external(self.bytes, bytes);
        self.bytes = bytes;
    }
}

impl Drop for External {
    fn drop(&mut self) {
        self.resize(0);
    }
}

crate::static_collect!(External);
