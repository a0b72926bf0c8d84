//! Whose turn it is. Pure functions. Invariant: every round asks every side once, and over the rounds nobody always follows
//! the same neighbour.

/// The sides of one round, in its order: the start turns and the direction alternates.
pub fn order(round: u32, sides: usize) -> impl Iterator<Item = usize> {
    (0..sides).map(move |place| {
        let turned = (place + round as usize) % sides;
        if round.is_multiple_of(2) { turned } else { sides - 1 - turned }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_have_their_turn_and_the_first_changes() {
        for sides in 0..6 {
            for round in 0..10 {
                let mut seen: Vec<usize> = order(round, sides).collect();
                seen.sort_unstable();
                assert!(seen.into_iter().eq(0..sides));
            }
        }
        assert_eq!(order(0, 3).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(order(1, 3).collect::<Vec<_>>(), [1, 0, 2]);
    }
}
