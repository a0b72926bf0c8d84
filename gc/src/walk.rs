//! How a mask is walked: by word arithmetic, or slot by slot. Owned by the benches, which compare the two.
//!
//! Invariant: both walks visit the same slots and leave the same masks; they differ in what looking costs. The marker
//! and the sweeper are one loop each and take their words from here.

/// How the collector finds the slots of a word that need work. A parameter for measurements; programs have no use for
/// any other than the default.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Walk {
    /// By word arithmetic: slots without work cost nothing.
    #[default]
    Mask,
    /// Each slot's bits are tested singly, as a collector without packed masks must.
    Flat,
}

impl Walk {
    /// The next piece of `todo` to work on: the whole word, or the first set slot at or after `at`, where a flat walk
    /// stands. Empty when there is none.
    #[inline]
    pub(crate) fn next_piece(self, todo: u64, at: &mut u32, slots: u32) -> u64 {
        match self {
            Self::Mask => todo,
            Self::Flat => {
                while *at < slots {
                    let slot = *at;
                    *at += 1;
                    if test(todo, slot) {
                        return 1 << slot;
                    }
                }
                0
            }
        }
    }

    /// The slots that are occupied and not marked.
    #[inline(always)]
    pub(crate) fn dead(self, occupied: u64, marked: u64, slots: u32) -> u64 {
        match self {
            Self::Mask => occupied & !marked,
            Self::Flat => {
                let mut dead = 0;
                for slot in 0..slots {
                    if test(occupied, slot) && !test(marked, slot) {
                        dead |= 1 << slot;
                    }
                }
                dead
            }
        }
    }

    /// How many of `slots` slots a walk looks at to work on `worked` of them.
    #[inline]
    pub(crate) fn looked_at(self, slots: u32, worked: u32) -> u32 {
        match self {
            Self::Mask => worked,
            Self::Flat => slots,
        }
    }
}

/// One slot's bit. (In the assembly each is tested by its own instructions: the optimiser does not see the word.)
#[inline]
fn test(word: u64, slot: u32) -> bool {
    word >> slot & 1 != 0
}

#[cfg(test)]
mod tests {
    use super::Walk;

    fn pieces(walk: Walk, word: u64, slots: u32) -> u64 {
        let mut left = word;
        let mut at = 0;
        loop {
            let piece = walk.next_piece(left, &mut at, slots);
            if piece == 0 {
                return word & !left;
            }
            assert_eq!(piece & !left, 0, "a slot was visited twice");
            left &= !piece;
        }
    }

    #[test]
    fn both_walks_visit_the_same_slots() {
        let mut word = 0x9E37_79B9_7F4A_7C15_u64;
        for slots in 1..=64 {
            word = word.rotate_left(7).wrapping_mul(0x2545_F491_4F6C_DD1D);
            let full = u64::MAX >> (64 - slots);
            for todo in [0, full, word & full] {
                assert_eq!(pieces(Walk::Mask, todo, slots), todo);
                assert_eq!(pieces(Walk::Flat, todo, slots), todo);
                let marked = todo & word.rotate_left(31);
                assert_eq!(Walk::Flat.dead(todo, marked, slots), Walk::Mask.dead(todo, marked, slots));
            }
        }
    }
}
