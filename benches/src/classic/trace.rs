//! Which lines a lookup reads, by the addresses that it reads. A case owns one [`Lines`] a side. Invariant: the lookup that is
//! counted is the one that is timed, compiled for [`Untraced`] there, so counting costs the timed one nothing.

/// Bytes of a cache line.
pub(super) const LINE: usize = 64;

/// Is told of every read of a lookup's, but for the key that is sought.
pub(super) trait Trace {
    /// Something of this type is read at this place.
    fn read<T>(&mut self, place: &T);
}

/// Counts nothing.
pub(super) struct Untraced;

impl Trace for Untraced {
    #[inline(always)]
    fn read<T>(&mut self, _: &T) {}
}

/// Counts the bytes and the lines of many lookups.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// First byte and length of each read of the present lookup.
    reads: Vec<(usize, usize)>,
    lookups: u64,
    bytes: u64,
    fetched: u64,
}

impl Trace for Lines {
    fn read<T>(&mut self, place: &T) {
        self.reads.push((std::ptr::from_ref(place).addr(), size_of::<T>()));
    }
}

impl Lines {
    /// Ends a lookup: each line that it read counts once, however often it was read.
    pub(super) fn end_lookup(&mut self) {
        let mut lines: Vec<_> = self.reads.iter().flat_map(|&(at, len)| lines_of(at, len)).collect();
        lines.sort_unstable();
        lines.dedup();
        self.lookups += 1;
        self.fetched += lines.len() as u64;
        self.bytes += self.reads.drain(..).map(|(_, len)| len as u64).sum::<u64>();
    }

    /// Lines a lookup.
    pub(super) fn a_lookup(&self) -> f64 {
        self.fetched as f64 / self.lookups as f64
    }

    /// Percent of the bytes of those lines that were read.
    pub(super) fn used(&self) -> f64 {
        100.0 * self.bytes as f64 / (self.fetched * LINE as u64) as f64
    }
}

/// The lines on which bytes lie.
fn lines_of(at: usize, len: usize) -> std::ops::RangeInclusive<usize> {
    at / LINE..=(at + len - 1) / LINE
}

/// Percent of the lines on which each element lies that are its own bytes, in the mean over the elements.
pub(super) fn own_share<T>(elements: &[T]) -> f64 {
    let share = |element: &T| {
        let lines = lines_of(std::ptr::from_ref(element).addr(), size_of::<T>()).count();
        size_of::<T>() as f64 / (lines * LINE) as f64
    };
    100.0 * elements.iter().map(share).sum::<f64>() / elements.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[repr(C, align(64))]
    struct Row([u64; 24]);

    #[test]
    fn a_line_counts_once_a_lookup_and_bytes_each_time() {
        let row = Row([0; 24]);
        let mut lines = Lines::default();
        lines.read(&row.0[0]);
        lines.read(&row.0[7]);
        lines.end_lookup();
        lines.read(&row.0[1]);
        lines.read(&row.0[8]);
        lines.read(&row.0[23]);
        lines.end_lookup();
        assert!((lines.a_lookup() - 2.0).abs() < 1e-9);
        assert!((lines.used() - 100.0 * 40.0 / 256.0).abs() < 1e-9);
    }

    #[test]
    fn what_straddles_lies_on_two_lines() {
        let row = Row([0; 24]);
        // Places 0, 24 and 48 of a line, then 8, 32 and 56: the third and the sixth straddle.
        let records: &[[u64; 3]] = row.0.as_chunks().0;
        assert!((own_share(records) - (6.0 * 37.5 + 2.0 * 18.75) / 8.0).abs() < 1e-9);
        assert!((own_share(std::slice::from_ref(&row)) - 100.0).abs() < 1e-9);
        let mut lines = Lines::default();
        lines.read(&records[2]);
        lines.end_lookup();
        assert!((lines.a_lookup() - 2.0).abs() < 1e-9);
    }
}
