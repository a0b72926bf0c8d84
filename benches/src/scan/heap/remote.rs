//! Maps in programs of their own: Go's, and bdwgc's. The scan owns the running programs. Invariant: each is asked for the
//! very entries that the others have, and for whole collections of one processor.

use super::Wave;
use crate::dialogue::{Dialogue, counts};
use crate::error::Error;
use crate::go::Toolchain;
use crate::timer::Taken;

/// A program that is asked line by line.
pub(in crate::scan) struct Remote<'a> {
    talk: &'a Dialogue,
}

/// A program to start.
pub(in crate::scan) type Talker = Dialogue;

/// Starts what can be asked in programs of their own.
pub(in crate::scan) fn remotes(go: &[Toolchain]) -> Result<Vec<Talker>, Error> {
    let mut all = Vec::new();
    #[cfg(feature = "bdwgc")]
    all.push(crate::gc::child::start(crate::gc::child::Side::Bdwgc)?);
    for toolchain in go {
        all.push(toolchain.start_alone()?);
    }
    Ok(all)
}

impl<'a> Remote<'a> {
    /// The map of the keys `0..entries` in that program.
    pub(in crate::scan) fn filled(talk: &'a Dialogue, entries: u64) -> Result<Self, Error> {
        let [_] = talk.exactly(&format!("scan-fill {entries}"))?;
        Ok(Self { talk })
    }

    pub(in crate::scan) fn name(&self) -> &str {
        self.talk.name()
    }

    pub(in crate::scan) fn thin_out(&mut self, wave: Wave) -> Result<(), Error> {
        let Wave { entries, percent, pattern } = wave;
        let [_] = self.talk.exactly(&format!("scan-thin {entries} {percent} {}", pattern.name()))?;
        Ok(())
    }

    /// Entries, and the low bits of the sum of keys and values.
    pub(in crate::scan) fn sum(&self) -> Result<[u64; 2], Error> {
        self.talk.exactly("scan-sum").map(counts)
    }

    /// The first collection after deletes.
    pub(in crate::scan) fn first(&mut self) -> Result<Taken, Error> {
        self.taken("scan-first")
    }

    /// One collection, as the mean of as many as it takes.
    pub(in crate::scan) fn collect(&mut self) -> Result<Taken, Error> {
        self.taken("scan-collect")
    }

    fn taken(&self, request: &str) -> Result<Taken, Error> {
        self.talk.exactly(request).map(|[time, cpu]| Taken { time, cpu })
    }
}
