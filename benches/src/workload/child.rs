//! Runs one workload in a child process of this same binary, and that child's side. The contest owns each child.
//! Invariant: a child's standard output is one [`Account`] as one line of JSON; a child that dies, speaks nonsense or takes
//! longer than it may is an error with its last words, and none outlives its error.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use bucketmask_alloc::BucketAlloc;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::installed::{Choice, Installed, VARIABLE};
use crate::interrupt;
use crate::memory::{self, Footprint};
use crate::output;
use crate::workload::{Ran, Scale, Workload};

/// The hidden subcommand under which the binary runs a workload.
pub const SUBCOMMAND: &str = "workload";

/// How much of a child's standard error an error message carries, in bytes.
const LAST_WORDS: usize = 2000;

/// Remote frees of a run from which on their cost is told.
const COUNTED: u64 = 1000;

/// How long a child may take beyond its idle time: some hundred times what the longest takes on a quiet machine.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// What a child is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Which workload.
    pub workload: Workload,
    /// The allocator under it.
    pub allocator: Choice,
    /// How.
    pub scale: Scale,
}

/// What a child tells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Account {
    /// The allocator that served the process.
    pub allocator: Choice,
    /// What the workload did.
    pub ran: Ran,
    /// The most that the process had resident, in bytes.
    pub peak_resident: u64,
    /// What it had resident when all was freed, in bytes.
    pub steady_resident: u64,
    /// Atomic read-modify-writes a block freed by another thread than its page's; of ours, where there are such.
    pub atomics: Option<f64>,
}

/// The child's side: runs `plan`, which is JSON, and prints the account.
///
/// # Errors
/// The plan is no plan, or nobody listens any more.
pub fn answer(installed: &Installed, plan: &str) -> Result<(), Error> {
    let fail = |why: serde_json::Error| Error::Child { engine: "this".into(), why: why.to_string() };
    let plan: Plan = serde_json::from_str(plan).map_err(fail)?;
    let ran = plan.workload.run_on(plan.allocator, plan.scale);
    let steady_resident = Footprint::now().resident;
    // The kernel's peak comes from counters that lag behind by some pages a processor; the maps are exact.
    let seen = ran.settled.map_or(0, |settled| settled.busy).max(steady_resident);
    let peak_resident = memory::peak_resident().max(seen);
    let remote = BucketAlloc.report().remote;
    let atomics = (remote.frees >= COUNTED).then(|| remote.atomics as f64 / remote.frees as f64);
    let account = Account { allocator: installed.choice(), ran, peak_resident, steady_resident, atomics };
    output::print(&(serde_json::to_string(&account).map_err(fail)? + "\n"))
}

/// Runs `plan` in a child process of the program `binary`, which gets `patience` beyond its idle time.
///
/// # Errors
/// It could not be started, died, took too long, or answered something else.
pub fn run(binary: &Path, plan: Plan, patience: Duration) -> Result<Account, Error> {
    let engine = format!("{} on {}", plan.workload.name(), plan.allocator.name());
    let fail = |why: String| Error::Child { engine: engine.clone(), why };
    let text = serde_json::to_string(&plan).map_err(|error| fail(error.to_string()))?;
    let child = interrupt::apart(&mut Command::new(binary))
        .args([SUBCOMMAND, &text])
        .env(VARIABLE, plan.allocator.name())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| fail(format!("cannot start {}: {error}", binary.display())))?;
    let said = listen(child, patience + Duration::from_millis(plan.scale.idle_ms)).map_err(fail)?;
    let account: Account =
        serde_json::from_str(&said).map_err(|error| fail(format!("it said {said:?}: {error}")))?;
    if account.allocator == plan.allocator {
        Ok(account)
    } else {
        Err(fail(format!("it ran on {}", account.allocator.name())))
    }
}

/// What a child says until it ends in peace; else why not.
pub(crate) fn listen(mut child: Child, patience: Duration) -> Result<String, String> {
    let _minded = interrupt::mind(&child);
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (send, receive) = channel();
    thread::scope(|scope| {
        let words = scope.spawn(move || {
            let mut bytes = Vec::new();
            // What could be read up to an error is still worth showing.
            let _ = stderr.map(|mut stderr| stderr.read_to_end(&mut bytes));
            let tail = &bytes[bytes.len().saturating_sub(LAST_WORDS)..];
            String::from_utf8_lossy(tail).trim().to_owned()
        });
        scope.spawn(move || {
            let mut said = String::new();
            let read = stdout.map_or(Ok(0), |mut stdout| stdout.read_to_string(&mut said));
            // The receiver waits below; it may have lost patience.
            let _ = send.send(read.map(|_| said));
        });
        let said = receive.recv_timeout(patience);
        if said.is_err() {
            // It is ours, and what it has to say is lost.
            let _ = child.kill();
        }
        let status = child.wait();
        let words = words.join().unwrap_or_default();
        let why = match (said, status) {
            (Ok(Ok(said)), Ok(status)) if status.success() => return Ok(said),
            (Err(RecvTimeoutError::Timeout), _) => format!("no answer after {} s", patience.as_secs()),
            (_, Ok(status)) => status.to_string(),
            (_, Err(error)) => error.to_string(),
        };
        Err(if words.is_empty() { why } else { format!("{why}; its last words: {words}") })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::Size;

    use std::os::unix::fs::PermissionsExt;

    fn error_of(text: &str, patience: Duration) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("program");
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let scale = Scale { size: Size::Tiny, threads: 2, idle_ms: 0 };
        let plan = Plan { workload: Workload::Pair, allocator: Choice::Mimalloc, scale };
        run(&path, plan, patience).unwrap_err().to_string()
    }

    #[test]
    fn a_child_that_dies_is_an_error_with_its_last_words() {
        let error = error_of("echo 'freed twice' >&2; exit 3", PATIENCE);
        for part in ["pair on mimalloc", "exit status: 3", "freed twice"] {
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn a_child_that_hangs_is_killed() {
        let error = error_of("exec sleep 1000", Duration::from_millis(100));
        assert!(error.contains("no answer"), "{error}");
    }

    #[test]
    fn a_child_that_babbles_is_an_error() {
        assert!(error_of("echo hello", PATIENCE).contains("it said \"hello"));
        let other = r#"echo '{"allocator":"system","ran":{"operations":1,"nanoseconds":1.0,"checksum":1,"settled":null},"peak_resident":1,"steady_resident":1,"atomics":null}'"#;
        assert!(error_of(other, PATIENCE).contains("it ran on system"));
    }
}
