//! Parts of a table: walks that split at mask words, for work in parallel.
//!
//! Owned by `par`. Parts of one table never share an entry, because no two share a mask word.
//! Invariant: a part of owned entries drops those that it did not give out.

#![allow(unsafe_code)]

use super::layout::Layout;
use super::table::Bare;
use super::walk::Walk;
use core::marker::PhantomData;
use core::mem;

/// Something that goes over a table's entries and can leave half of its mask words to another of its kind.
pub(crate) trait Part: Iterator + Send + Sized {
    /// Keeps the lower half of the words that are still to come. None: there are not two.
    fn split(&mut self) -> Option<Self>;
}

/// Entries of some mask words, by reference.
pub(crate) struct Shared<'a, T, L: Layout>(Walk<T, L>, PhantomData<&'a T>);

/// Entries of some mask words, by unique reference.
pub(crate) struct Unique<'a, T, L: Layout>(Walk<T, L>, PhantomData<&'a mut T>);

/// Entries of some mask words, owned; the memory is not.
pub(crate) struct Owned<'a, T, L: Layout>(Walk<T, L>, PhantomData<(T, &'a ())>);

// SAFETY: a bundle of &T.
unsafe impl<T: Sync, L: Layout> Send for Shared<'_, T, L> {}
// SAFETY: a bundle of &mut T.
unsafe impl<T: Send, L: Layout> Send for Unique<'_, T, L> {}
// SAFETY: a bundle of T.
unsafe impl<T: Send, L: Layout> Send for Owned<'_, T, L> {}

impl<T, L: Layout> Walk<T, L> {
    /// As `Part::split`.
    fn halve(&mut self) -> Option<Self> {
        let rest = self.rest();
        if rest.len() < 2 { None } else { Some(self.split_off(rest.start + rest.len() / 2)) }
    }
}

impl<T, L: Layout> Bare<T, L> {
    /// All entries, as one part.
    pub(crate) fn shared_part(&self) -> Shared<'_, T, L> {
        Shared(Walk::part(self, 0..self.words()), PhantomData)
    }

    /// All entries, as one part.
    pub(crate) fn unique_part(&mut self) -> Unique<'_, T, L> {
        Unique(Walk::part(self, 0..self.words()), PhantomData)
    }

    /// Gives all entries to `work`, as one part, and keeps the memory. The table is empty afterwards, also when `work`
    /// panics; what it did not take is dropped with the part.
    pub(crate) fn drain_part<R>(&mut self, work: impl FnOnce(Owned<'_, T, L>) -> R) -> R {
        let part = Walk::part(self, 0..self.words());
        let _forgotten = Forgotten(self);
        work(Owned(part, PhantomData))
    }
}

/// Resets a table whose entries belong to parts, on the way out, by unwinding too.
struct Forgotten<'a, T, L: Layout>(&'a mut Bare<T, L>);

impl<T, L: Layout> Drop for Forgotten<'_, T, L> {
    fn drop(&mut self) {
        self.0.reset();
    }
}

impl<'a, T, L: Layout> Iterator for Shared<'a, T, L> {
    type Item = &'a T;

    #[inline]
    fn next(&mut self) -> Option<&'a T> {
        // SAFETY: the table is borrowed for 'a.
        unsafe { self.0.advance().map(|(entry, _)| entry.as_ref()) }
    }
}

impl<'a, T, L: Layout> Iterator for Unique<'a, T, L> {
    type Item = &'a mut T;

    #[inline]
    fn next(&mut self) -> Option<&'a mut T> {
        // SAFETY: the table is borrowed uniquely for 'a; each entry lies in one part and is visited once.
        unsafe { self.0.advance().map(|(mut entry, _)| entry.as_mut()) }
    }
}

impl<T, L: Layout> Iterator for Owned<'_, T, L> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        // SAFETY: the memory outlives the part, and the table forgets its entries when `drain_part` ends; each entry lies
        // in one part and is read once.
        unsafe { self.0.advance().map(|(entry, _)| entry.read()) }
    }
}

impl<T: Sync, L: Layout> Part for Shared<'_, T, L> {
    fn split(&mut self) -> Option<Self> {
        self.0.halve().map(|walk| Self(walk, PhantomData))
    }
}

impl<T: Send, L: Layout> Part for Unique<'_, T, L> {
    fn split(&mut self) -> Option<Self> {
        self.0.halve().map(|walk| Self(walk, PhantomData))
    }
}

impl<T: Send, L: Layout> Part for Owned<'_, T, L> {
    fn split(&mut self) -> Option<Self> {
        self.0.halve().map(|walk| Self(walk, PhantomData))
    }
}

impl<T, L: Layout> Drop for Owned<'_, T, L> {
    fn drop(&mut self) {
        if mem::needs_drop::<T>() {
            self.for_each(drop);
        }
    }
}
