//! The facts about machine and compiler that belong to a record. Plain values, read once. Invariant: what cannot be read
//! is empty or 0, never guessed.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::peer;
use crate::record::write_file;

/// The target triple that this binary was built for.
pub const TARGET: &str = env!("BUCKETMASK_TARGET");

/// Where and with what figures were measured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's own name.
    pub processor: String,
    /// Processors that this process may use.
    pub processors: u32,
    /// NUMA nodes that are online.
    pub nodes: u32,
    /// Second-level cache of one processor, in bytes.
    pub level2_bytes: u64,
    /// Last-level cache, in bytes.
    pub level3_bytes: u64,
    /// Main memory, in bytes.
    pub memory_bytes: u64,
    /// Kernel release.
    pub kernel: String,
    /// `always`, `madvise` or `never`.
    pub transparent_huge_pages: String,
    /// The compiler.
    pub rustc: String,
    /// The commit of the checkout in which the command ran, `-dirty` behind it where files were changed; empty elsewhere.
    #[serde(default)]
    pub commit: String,
    /// The target.
    pub target: String,
    /// The allocators in this binary, by name, with their versions.
    #[serde(default)]
    pub allocators: BTreeMap<String, String>,
    /// Other programs that were measured, by name, with their versions.
    #[serde(default)]
    pub peers: BTreeMap<String, String>,
}

/// Collectors in this binary that are not Rust's, by name, with their versions.
fn linked() -> BTreeMap<String, String> {
    #[cfg(feature = "bdwgc")]
    return BTreeMap::from([("bdwgc".to_owned(), crate::bdwgc::version())]);
    #[cfg(not(feature = "bdwgc"))]
    BTreeMap::new()
}

impl Machine {
    /// Reads what this machine says about itself.
    pub fn here() -> Self {
        let cpu = "/sys/devices/system/cpu/cpu0/cache";
        Self {
            processor: field("/proc/cpuinfo", "model name").unwrap_or_default(),
            processors: std::thread::available_parallelism().map_or(0, |count| count.get() as u32),
            nodes: count_list(&line("/sys/devices/system/node/online")),
            level2_bytes: size(&line(&format!("{cpu}/index2/size"))),
            level3_bytes: size(&line(&format!("{cpu}/index3/size"))),
            memory_bytes: field("/proc/meminfo", "MemTotal").map_or(0, |text| size(&text)),
            kernel: line("/proc/sys/kernel/osrelease"),
            transparent_huge_pages: chosen(&line("/sys/kernel/mm/transparent_hugepage/enabled")),
            rustc: env!("BUCKETMASK_RUSTC").into(),
            commit: commit(),
            target: TARGET.into(),
            allocators: peer::versions(),
            peers: linked(),
        }
    }

    /// The same, with programs beside which it was measured.
    #[must_use]
    pub fn beside(mut self, programs: impl Iterator<Item = (String, String)>) -> Self {
        self.peers.extend(programs);
        self
    }

    /// Writes the facts as JSON.
    ///
    /// # Errors
    /// The file cannot be written.
    ///
    /// # Panics
    /// Never: a plain struct serialises.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        let text = serde_json::to_string_pretty(self).expect("a plain struct serialises");
        write_file(path, &(text + "\n"))
    }

    /// Reads facts that were written; `None` where there are none, or others than ours.
    pub fn read(path: &Path) -> Option<Self> {
        serde_json::from_str(&fs::read_to_string(path).ok()?).ok()
    }

    /// One line for headings.
    pub fn summary(&self) -> String {
        format!(
            "{}, {} processors, {} node(s), L2 {}, L3 {}, {} memory, Linux {}, {}",
            self.processor,
            self.processors,
            self.nodes,
            crate::format::bytes(self.level2_bytes),
            crate::format::bytes(self.level3_bytes),
            crate::format::bytes(self.memory_bytes),
            self.kernel,
            self.rustc
        )
    }
}

/// See [`Machine::commit`]. Only in a checkout of this project: another's commit would say nothing.
fn commit() -> String {
    if !Path::new("benches/Cargo.toml").exists() {
        return String::new();
    }
    let output =
        Command::new("git").args(["describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]).output();
    let text = output.ok().filter(|output| output.status.success()).map(|output| output.stdout);
    text.and_then(|text| String::from_utf8(text).ok()).unwrap_or_default().trim().to_owned()
}

fn line(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

/// The value after `name` and a colon in a file of such lines.
fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// `512K`, `8M` or `24 kB` in bytes; 0 when it is none of these.
fn size(text: &str) -> u64 {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let factor = match text[digits.len()..].trim().to_ascii_lowercase().as_str() {
        "k" | "kb" => 1 << 10,
        "m" => 1 << 20,
        "g" => 1 << 30,
        _ => 1,
    };
    digits.parse::<u64>().unwrap_or(0) * factor
}

/// How many numbers a list like `0-1,3` names; 1 when there is no list.
fn count_list(text: &str) -> u32 {
    let count = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(last.parse::<u32>().ok()?.checked_sub(first.parse().ok()?)? + 1)
    };
    text.split(',').map(count).sum::<Option<u32>>().unwrap_or(1)
}

/// The word in brackets of `always [madvise] never`.
fn chosen(text: &str) -> String {
    let inner = text.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
    inner.map(|(word, _)| word.to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_lists() {
        assert_eq!(size("512K"), 512 << 10);
        assert_eq!(size("24689068 kB"), 24_689_068 << 10);
        assert_eq!(size("8M"), 8 << 20);
        assert_eq!(size(""), 0);
        assert_eq!(count_list("0-1,3"), 3);
        assert_eq!(count_list("0"), 1);
        assert_eq!(count_list(""), 1);
        assert_eq!(chosen("always [madvise] never"), "madvise");
        assert_eq!(chosen("?"), "");
    }

    #[test]
    fn programs_stand_beside_what_is_linked() {
        let linked = Machine::here().peers;
        assert_eq!(linked.contains_key("bdwgc"), cfg!(feature = "bdwgc"));
        for version in linked.values() {
            let parts: Vec<u32> = version.split('.').map(|part| part.parse().unwrap()).collect();
            assert!(parts.len() == 3 && parts[0] >= 7, "{version}");
        }
        let beside = Machine::here().beside(std::iter::once(("go".into(), "1.27".into()))).peers;
        assert!(beside.len() == linked.len() + 1 && beside["go"] == "1.27");
    }

    #[test]
    fn facts_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("facts.machine.json");
        let machine = Machine { commit: "0123".into(), ..Machine::here() };
        machine.write(&path).unwrap();
        assert_eq!(Machine::read(&path), Some(machine));
        assert_eq!(Machine::read(&dir.path().join("none.json")), None);
        fs::write(&path, "[]").unwrap();
        assert_eq!(Machine::read(&path), None);
    }

    #[test]
    fn this_machine_says_something() {
        let machine = Machine::here();
        assert!(machine.processors >= 1 && machine.memory_bytes > 0, "{machine:?}");
        assert!(machine.rustc.starts_with("rustc 1."), "{machine:?}");
        assert_eq!(machine.target, TARGET);
        assert!(machine.allocators["mimalloc"].starts_with("3."), "{machine:?}");
    }
}
