//! [`Budget`]: how much one step of the collector may do. A plain value, made by the program.
//!
//! Invariant: a step stops at the first piece of work after its budget is used up, and pieces are small.

use std::time::{Duration, Instant};

/// The limit of a call of [`Arena::step`](crate::Arena::step): an amount of work, or a point in time.
///
/// ```
/// use bucketmask_gc::{Arena, Budget, Gc, Rootable};
/// use std::time::Duration;
///
/// let mut arena = Arena::<Rootable![Vec<Gc<'_, u64>>]>::new(|mc| (0..9999).map(|n| Gc::new(mc, n)).collect());
/// let mut steps = 1;
/// while !arena.step(Budget::time(Duration::from_micros(500))) {
///     steps += 1; // the program runs in between
/// }
/// assert_eq!(arena.last_cycle().steps, steps);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget(pub(crate) Limit);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    Work(usize),
    Until(Instant),
}

impl Budget {
    /// About so many bytes of work: of objects and of containers' entries that are traced, and of values that are dropped. A
    /// page that is swept counts as 256 bytes, and what only an address is looked at for, as 16.
    #[must_use]
    pub fn work(bytes: usize) -> Self {
        Self(Limit::Work(bytes))
    }

    /// Until then. The clock is read after each piece of work.
    #[must_use]
    pub fn until(end: Instant) -> Self {
        Self(Limit::Until(end))
    }

    /// So long from now on. A time that the clock cannot tell is no limit, but for that of a day.
    #[must_use]
    pub fn time(length: Duration) -> Self {
        let now = Instant::now();
        Self::until(now.checked_add(length).unwrap_or(now + Duration::from_secs(86_400)))
    }
}
