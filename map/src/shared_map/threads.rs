//! Threads as the detector knows them: each has a number for good, and a shard of its own while shards last.
//!
//! Owned by `watch`. Invariant: no two living threads have the same shard, but for the last one, which is shared.

use super::marks::{Me, THREAD_BITS};
use super::watch::SHARDS;
use core::cell::Cell;
use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};
use std::thread;

/// Shards that belong to one thread.
const OWNED: u64 = (1 << (SHARDS - 1)) - 1;
/// Threads that ended whose names are still known.
const REMEMBERED: usize = 1024;

/// What is known of all threads that ever used a map.
struct Roster {
    last: u32,
    /// Shards that no thread owns.
    free: u64,
    names: BTreeMap<u32, String>,
    ended: VecDeque<u32>,
}

static ROSTER: Mutex<Roster> =
    Mutex::new(Roster { last: 0, free: OWNED, names: BTreeMap::new(), ended: VecDeque::new() });

thread_local! {
    /// The thread's number, shard and whether its stacks are recorded: `number << 8 | recorded << 7 | shard`. 0: not known yet.
    static ME: Cell<u32> = const { Cell::new(0) };
    /// Gives the shard back when the thread ends.
    static LEAVING: Leaving = const { Leaving };
}

const RECORDED: u32 = 1 << 7;

struct Leaving;

impl Drop for Leaving {
    fn drop(&mut self) {
        let me = unpack(ME.get());
        // What runs after this, in other destructors, marks the shared shard.
        ME.set(pack(Me { shard: SHARDS - 1, number: me.number }, ME.get() & RECORDED != 0));
        let mut roster = ROSTER.lock();
        if me.shard < SHARDS - 1 {
            roster.free |= 1 << me.shard;
        }
        roster.ended.push_back(me.number);
        if roster.ended.len() > REMEMBERED {
            let oldest = roster.ended.pop_front();
            oldest.map(|number| roster.names.remove(&number));
        }
        drop(roster);
        super::stacks::forget_thread(me.number);
    }
}

fn pack(me: Me, recorded: bool) -> u32 {
    // A number of 23 bits leaves one to spare.
    me.number << 8 | if recorded { RECORDED } else { 0 } | me.shard as u32
}

fn unpack(me: u32) -> Me {
    Me { shard: (me & (RECORDED - 1)) as usize, number: me >> 8 }
}

/// Who calls, and whether its stacks are recorded.
#[inline(always)]
pub(crate) fn me() -> (Me, bool) {
    // Never fails, since it has no destructor; unlike `get` it is always compiled in place.
    let mut packed = ME.try_with(Cell::get).unwrap_or(0);
    if packed == 0 {
        packed = arrive();
    }
    (unpack(packed), packed & RECORDED != 0)
}

#[cold]
#[inline(never)]
fn arrive() -> u32 {
    let lives = LEAVING.try_with(|_| ()).is_ok();
    let mut roster = ROSTER.lock();
    let number = if roster.last < (1 << THREAD_BITS) - 1 { roster.last + 1 } else { 0 };
    roster.last = roster.last.max(number);
    let owns = lives && number != 0;
    let shard = if owns { (roster.free.trailing_zeros() as usize).min(SHARDS - 1) } else { SHARDS - 1 };
    roster.free &= !(1 << shard);
    if owns {
        if let Some(name) = thread::current().name() {
            roster.names.insert(number, name.to_owned());
        }
    }
    drop(roster);
    let packed = pack(Me { shard, number }, super::report::records_stacks());
    ME.set(packed);
    packed
}

/// The name of a thread by its number.
pub(crate) fn name_of(number: u32) -> Option<String> {
    ROSTER.lock().names.get(&number).cloned()
}
