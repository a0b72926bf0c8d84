//! Gates: where an operation parks, so that another one is sure to meet it, and keys that lead to them.

use parking_lot::{Condvar, Mutex};
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;

/// Where an operation parks once, if it was asked to.
#[derive(Default)]
pub(crate) struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default, PartialEq, Clone, Copy, Debug)]
pub(crate) enum State {
    #[default]
    Open,
    Armed,
    Parked,
}

impl Gate {
    pub(crate) fn arm(&self) {
        *self.state.lock() = State::Armed;
    }

    /// Parks until [`open`](Self::open), if the gate is armed.
    pub(crate) fn pass(&self) {
        let mut state = self.state.lock();
        if *state == State::Armed {
            *state = State::Parked;
            self.changed.notify_all();
            self.changed.wait_while(&mut state, |state| *state == State::Parked);
        }
    }

    /// Waits until somebody is parked here.
    pub(crate) fn await_parked(&self) {
        let mut state = self.state.lock();
        self.changed.wait_while(&mut state, |state| *state != State::Parked);
    }

    pub(crate) fn open(&self) {
        *self.state.lock() = State::Open;
        self.changed.notify_all();
    }
}

/// A key that passes a gate when it is compared or hashed.
#[derive(Clone, Default)]
pub(crate) struct Key {
    pub(crate) id: u64,
    pub(crate) at_eq: Option<Arc<Gate>>,
    pub(crate) at_hash: Option<Arc<Gate>>,
}

impl Key {
    pub(crate) fn new(id: u64) -> Self {
        Self { id, ..Self::default() }
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.at_eq.iter().for_each(|gate| gate.pass());
        self.id == other.id
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.at_hash.iter().for_each(|gate| gate.pass());
        state.write_u64(self.id);
    }
}

/// The hash under which a report names a key.
pub(crate) fn reported_hash(build: &impl BuildHasher, id: u64) -> String {
    // The finaliser of the map: decision 8.
    let hash = build.hash_one(Key::new(id)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!("{hash:#018x}")
}
