//! What the memory itself allows: the two bounds beside which a scan's figures stand. Owned by a case of the scan.
//! Invariant: the table here is as large as the map's and as densely kept, and every byte of it has memory behind it.

/// Bytes of a slot: a key and a pointer.
const SLOT: usize = 16;
/// Words of a slot.
const WORDS: usize = SLOT / 8;

/// A table and its packed masks.
pub(super) struct Bound {
    table: Vec<u64>,
    masks: Vec<u64>,
}

impl Bound {
    /// A table of `bytes`, of whose slots `keep` percent are live, spread by a fixed pseudo-random sequence.
    pub(super) fn new(bytes: usize, keep: u32) -> Self {
        let slots = bytes / SLOT;
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut kept = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) * 100 < u64::from(keep) << 32
        };
        let masks =
            (0..slots / 64).map(|_| (0..64).fold(0, |mask, slot| mask | u64::from(kept()) << slot)).collect();
        // Written, not zeroed: zero pages would all be the same physical page.
        let table = (0..slots as u64 * WORDS as u64).collect();
        Self { table, masks }
    }

    /// Reads every byte in order.
    pub(super) fn stream(&mut self) -> u64 {
        let lanes = self.table.chunks_exact(8).fold([0_u64; 8], |mut sums, chunk| {
            sums.iter_mut().zip(chunk).for_each(|(sum, word)| *sum = sum.wrapping_add(*word));
            sums
        });
        lanes.into_iter().fold(0, u64::wrapping_add)
    }

    /// Loads one word of each live slot; the loads do not depend on one another.
    pub(super) fn lines(&mut self) -> u64 {
        let mut sum = 0_u64;
        for (bucket, slots) in self.masks.iter().zip(self.table.chunks_exact(64 * WORDS)) {
            let mut left = *bucket;
            while left != 0 {
                sum = sum.wrapping_add(slots[left.trailing_zeros() as usize * WORDS]);
                left &= left - 1;
            }
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_read_what_they_say() {
        let mut all = Bound::new(64 * 1024, 100);
        let words = 64 * 1024 / 8;
        assert_eq!(all.stream(), words * (words - 1) / 2);
        assert_eq!(all.lines(), (0..words).step_by(2).sum::<u64>());
        let tenth = Bound::new(1 << 20, 10);
        let live: u32 = tenth.masks.iter().map(|mask| mask.count_ones()).sum();
        assert!((6000..7100).contains(&live), "{live} of 65536");
    }
}
