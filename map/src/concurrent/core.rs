//! The map without its hasher: which table is the truth for a reader, and for a writer.
//!
//! A writer locks the home of its key in the table that is authoritative for it: having the lock, it looks at the mark
//! again, since the copier flips a bucket only with that lock.
//!
//! Owned by `map.rs`; `write.rs` is what writers do then, `migrate.rs` the copier. Invariant: no reference into the map is made
//! but by who is pinned.

#![allow(unsafe_code)]

use super::bucket::{Entry, Locked};
use super::clock::is_flipped;
use super::garbage::{Garbage, SHARDS};
use super::lane::Lane;
use super::rules::{Fault, Rules};
use super::table::Table;
use crate::sync::{AtomicBool, AtomicIsize, AtomicPtr, Ordering};
use bucketmask_alloc::sync::Padded;
use core::marker::PhantomData;
use core::ptr::{self, NonNull};

pub(crate) struct Core<K, V, R: Rules> {
    /// The table to begin at. Stored with release by who ends a migration; loaded with acquire by all.
    pub(crate) table: AtomicPtr<Table<K, V>>,
    /// Where writers begin: behind `table` only while a table that has ended is still mirrored. Ordered as `table`.
    pub(crate) oldest: AtomicPtr<Table<K, V>>,
    /// Whether a thread copies, or begins or ends a migration. Claimed with acquire, given back with release. Padded: it changes with
    /// each bucket that is moved, and readers load what lies beside it.
    pub(crate) copying: Padded<AtomicBool>,
    /// What some threads write alone.
    pub(crate) lanes: [Lane<K, V>; SHARDS],
    /// Entries inserted less entries removed by others, by shard. Counts only; with those of the lanes their sum is exact while nobody
    /// writes.
    pub(crate) counts: [Padded<AtomicIsize>; SHARDS],
    pub(crate) garbage: Garbage<K, V>,
    /// The map owns keys and values, whichever thread drops them.
    owns: PhantomData<(K, V)>,
    rules: PhantomData<fn() -> R>,
}

/// The view that a guard keeps where the rules have it keep one: a table and the `read_ts` it had.
pub(crate) struct View<K, V>(*const Table<K, V>, usize);

impl<K, V> Clone for View<K, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K, V> Copy for View<K, V> {}

/// The trail that a key is written in, and its mirror in the old table.
pub(crate) struct Held<'t, K, V> {
    pub(crate) truth: Locked<'t, K, V>,
    pub(crate) mirror: Option<Locked<'t, K, V>>,
}

impl<K, V, R: Rules> Core<K, V, R> {
    pub(crate) fn new(homes: usize) -> Self {
        let table = Box::into_raw(Box::new(Table::new(homes)));
        Self {
            table: AtomicPtr::new(table),
            oldest: AtomicPtr::new(table),
            copying: Padded(AtomicBool::new(false)),
            lanes: core::array::from_fn(|_| Lane::new()),
            counts: core::array::from_fn(|_| Padded(AtomicIsize::new(0))),
            garbage: Garbage::new(),
            owns: PhantomData,
            rules: PhantomData,
        }
    }

    /// The first table. The caller is pinned. Acquire: pairs with the release store in `finish`.
    #[inline(always)]
    pub(crate) fn first(&self) -> &Table<K, V> {
        let relaxed = matches!(R::FAULT, Fault::RelaxedTable);
        let table = self.table.load(if relaxed { Ordering::Relaxed } else { Ordering::Acquire });
        // SAFETY: never null; a table lives until a grace period after it was replaced, and the caller is pinned.
        unsafe { &*table }
    }

    /// A guard's view, taken as it begins.
    pub(crate) fn view(&self) -> View<K, V> {
        if R::MIRRORED || matches!(R::FAULT, Fault::CachedReadTs) {
            let table = self.first();
            View(table, table.read_ts::<R>())
        } else {
            View(ptr::null(), 0)
        }
    }

    /// The entry of `hash` that `wanted` says yes to. The caller is pinned.
    #[inline(always)]
    pub(crate) fn find(
        &self,
        view: View<K, V>,
        hash: u64,
        mut wanted: impl FnMut(&Entry<K, V>) -> bool,
    ) -> Option<NonNull<Entry<K, V>>> {
        if matches!(R::FAULT, Fault::NaiveRead) {
            return self.find_naively(hash, wanted);
        }
        let mut table = self.first();
        if let Some((kept, kept_ts)) = Self::kept(view) {
            let home = kept.home(hash);
            if home >= kept_ts {
                return kept.look(home, hash, wanted);
            }
            table = kept.behind::<R>();
        }
        loop {
            let home = table.home(hash);
            let read_ts = table.read_ts::<R>();
            if !is_flipped::<R>(home, read_ts) || Self::has_no_next(table) {
                return table.look(home, hash, &mut wanted);
            }
            table = table.behind::<R>();
        }
    }

    #[inline(always)]
    fn kept<'t>(view: View<K, V>) -> Option<(&'t Table<K, V>, usize)> {
        if R::MIRRORED || matches!(R::FAULT, Fault::CachedReadTs) {
            // SAFETY: the guard that has the view was pinned before it loaded the table.
            Some((unsafe { &*view.0 }, view.1))
        } else {
            None
        }
    }

    #[inline(always)]
    fn has_no_next(table: &Table<K, V>) -> bool {
        matches!(R::FAULT, Fault::OffByOne) && table.next::<R>().is_null()
    }

    fn find_naively(
        &self,
        hash: u64,
        mut wanted: impl FnMut(&Entry<K, V>) -> bool,
    ) -> Option<NonNull<Entry<K, V>>> {
        let table = self.first();
        // SAFETY: null or a table that outlives this one.
        let newer = unsafe { table.next::<R>().as_ref() };
        let found = newer.and_then(|newer| newer.look(newer.home(hash), hash, &mut wanted));
        found.or_else(|| table.look(table.home(hash), hash, wanted))
    }

    /// Locks the trail that is the truth for `hash`. The caller is pinned.
    pub(crate) fn hold(&self, hash: u64) -> Held<'_, K, V> {
        // SAFETY: as in `first`. Acquire: as there.
        let mut table = unsafe { &*self.oldest.load(Ordering::Acquire) };
        loop {
            let home = table.home(hash);
            // Acquire: a bucket that was flipped is the next table's for ever.
            let flipped = home < table.read_ts::<R>();
            if R::MIRRORED || !flipped {
                let locked = table.bucket(home).lock();
                // The copier stores the mark while it has this lock, so what it is now it stays while we have it.
                if home >= table.read_ts::<R>() {
                    return Held { truth: locked, mirror: None };
                }
                if R::MIRRORED {
                    // Old before new, as the copier locks.
                    let next = table.behind::<R>();
                    let home = next.home(hash);
                    let truth = next.bucket(home).lock();
                    // Flipped already, if `oldest` was let go since it was loaded: nobody needs its mirror then.
                    if home >= next.read_ts::<R>() {
                        return Held { truth, mirror: Some(locked) };
                    }
                }
            }
            table = table.behind::<R>();
        }
    }
}
