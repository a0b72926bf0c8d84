//! What the kernel and mimalloc say about this process's memory. Owns nothing. Invariant: figures are bytes, and a source
//! that is not there reads as 0, never as a guess.
#![allow(unsafe_code)]

use serde::{Deserialize, Serialize};

/// Memory of a process, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Footprint {
    /// Resident now (`Rss` of `smaps_rollup`).
    pub resident: u64,
    /// Of that, private and dirty: what this process alone keeps busy.
    pub private_dirty: u64,
    /// Of that, in transparent huge pages.
    pub huge: u64,
    /// What mimalloc has committed, whoever uses it; 0 where it serves nothing.
    pub mimalloc_committed: u64,
}

impl Footprint {
    /// Reads `/proc/self/smaps_rollup`.
    pub fn now() -> Self {
        let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap_or_default();
        Self { mimalloc_committed: mimalloc_committed(), ..Self::parse(&rollup) }
    }

    fn parse(rollup: &str) -> Self {
        let kib = |name: &str| kib(rollup, name);
        Self {
            resident: kib("Rss:"),
            private_dirty: kib("Private_Dirty:"),
            huge: kib("AnonHugePages:"),
            mimalloc_committed: 0,
        }
    }
}

/// The most that this process has had resident (`VmHWM`), in bytes.
pub fn peak_resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    kib(&status, "VmHWM:")
}

/// The value of a line `name   12 kB`, in bytes; 0 when there is none.
fn kib(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    number.unwrap_or(0) * 1024
}

unsafe extern "C" {
    fn mi_process_info(
        elapsed: *mut usize,
        user: *mut usize,
        system: *mut usize,
        resident: *mut usize,
        peak_resident: *mut usize,
        committed: *mut usize,
        peak_committed: *mut usize,
        faults: *mut usize,
    );
}

fn mimalloc_committed() -> u64 {
    let mut words = [0_usize; 8];
    let [elapsed, user, system, resident, peak, committed, peak_committed, faults] = &mut words;
    // SAFETY: mimalloc is linked into this binary (libmimalloc-sys); all eight places are valid for writes.
    unsafe { mi_process_info(elapsed, user, system, resident, peak, committed, peak_committed, faults) };
    words[5] as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rollups_are_read_in_bytes() {
        let text = "55d0-7ffc ---p 00000000 00:00 0 [rollup]\nRss:    2048 kB\nPss:  100 kB\nPrivate_Dirty:   12 kB\n\
                    AnonHugePages:  4096 kB\n";
        let footprint = Footprint::parse(text);
        assert_eq!(footprint.resident, 2048 * 1024);
        assert_eq!(footprint.private_dirty, 12 * 1024);
        assert_eq!(footprint.huge, 4096 * 1024);
        assert_eq!(Footprint::parse(""), Footprint::default());
    }

    #[test]
    fn this_process_is_resident() {
        let before = Footprint::now();
        assert!(before.resident > 0);
        let block = std::hint::black_box(vec![1_u8; 64 << 20]);
        assert!(Footprint::now().resident >= before.resident + (60 << 20));
        assert!(peak_resident() >= before.resident + (60 << 20));
        drop(block);
    }
}
