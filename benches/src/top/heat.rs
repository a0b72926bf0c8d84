//! A report read back from its text: pages by node, size class, and tenth of occupancy.
//!
//! Owned by `top.rs`. Invariant: of a file, the last report that is whole; a line that is not understood is passed over.

/// Pages by how full they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) node: usize,
    /// Blocks, or a collector's objects.
    pub(super) kind: String,
    pub(super) slot_size: usize,
    /// By tenths.
    pub(super) pages: [usize; 10],
}

/// A report's rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Heat {
    /// Its first line, where it has one.
    pub(super) title: String,
    pub(super) rows: Vec<Row>,
    /// The line about the process.
    pub(super) process: String,
}

impl Heat {
    /// The last whole report of a text.
    pub(super) fn last_of(text: &str) -> Option<Self> {
        let (mut whole, mut heat) = (None, Self::default());
        let (mut node, mut kind) = (0, None::<String>);
        for line in text.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            if line.starts_with("bucketmask report of process ") {
                heat = Self { title: line.to_owned(), ..Self::default() };
            } else if let ["node", number] = words[..] {
                node = number.parse().unwrap_or(0);
            } else if words.len() > 10 && words[1] == "0%" && words[10] == "90%" {
                kind = Some(words[0].to_owned());
            } else if line.starts_with("process: ") {
                line.clone_into(&mut heat.process);
                whole = Some(std::mem::take(&mut heat));
                kind = None;
            } else if let Some(row) = kind.as_ref().and_then(|kind| row(node, kind, &words)) {
                heat.rows.push(row);
            } else {
                kind = None;
            }
        }
        whole
    }

    pub(super) fn pages(&self) -> usize {
        self.rows.iter().flat_map(|row| row.pages).sum()
    }
}

fn row(node: usize, kind: &str, words: &[&str]) -> Option<Row> {
    let numbers: Vec<usize> = words.iter().map(|word| word.parse().ok()).collect::<Option<_>>()?;
    let (&slot_size, pages) = numbers.split_first()?;
    Some(Row { node, kind: kind.to_owned(), slot_size, pages: pages.try_into().ok()? })
}

#[cfg(test)]
mod tests {
    use std::alloc::{GlobalAlloc, Layout};

    use bucketmask_alloc::BucketAlloc;

    use super::*;

    #[test]
    #[expect(unsafe_code, reason = "blocks of an allocator that is not installed here")]
    fn a_report_is_read_back_as_it_was() {
        let layout = Layout::new::<[u64; 40]>();
        // SAFETY: not of size 0; each freed once below.
        let blocks: Vec<usize> = (0..3000).map(|_| unsafe { BucketAlloc.alloc(layout) } as usize).collect();
        let report = BucketAlloc.report();
        let text = format!("bucketmask report of process 7 on SIGUSR2\n{report}\n");
        let heat = Heat::last_of(&text).unwrap();
        assert!(heat.title.ends_with("process 7 on SIGUSR2") && heat.process.contains("resident"));
        let rows = report.nodes.iter().flat_map(|node| {
            let rows = |kind: &'static str, slots: &[bucketmask_alloc::SlotsReport]| {
                let row = |slots: &bucketmask_alloc::SlotsReport| Row {
                    node: usize::from(node.node.0),
                    kind: kind.to_owned(),
                    slot_size: slots.slot_size,
                    pages: slots.histogram,
                };
                slots.iter().map(row).collect::<Vec<_>>()
            };
            [rows("blocks", &node.classes), rows("objects", &node.lent)].concat()
        });
        assert_eq!(heat.rows, rows.collect::<Vec<_>>());
        assert!(heat.rows.iter().any(|row| row.slot_size == 320 && row.pages.iter().sum::<usize>() >= 14));
        // A report that is being written is not there yet.
        let half = format!("{text}bucketmask report of process 8 on SIGUSR2\nnode 0\n");
        assert_eq!(Heat::last_of(&half), Some(heat));
        assert_eq!(Heat::last_of(&half[text.len()..]), None);
        // SAFETY: made above.
        blocks.into_iter().for_each(|block| unsafe { BucketAlloc.dealloc(block as *mut u8, layout) });
    }
}
