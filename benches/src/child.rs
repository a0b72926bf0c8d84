//! Starts the report's program in a child process of this same binary and listens to it. The report owns each child.
//! Invariant: a child is waited for whatever happens, and one that dies or speaks nonsense becomes an error that carries
//! its last words.

use std::io::{BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;

use crate::error::Error;
use crate::installed::{Choice, VARIABLE};
use crate::interrupt;
use crate::protocol::{self, Account, Plan, Side};

/// The hidden subcommand under which the binary is a child.
pub const SUBCOMMAND: &str = "child";

/// How much of a child's standard error an error message carries, in bytes.
const LAST_WORDS: usize = 2000;

impl Side {
    /// The implementation's name in figures and tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ours => crate::record::OURS,
            Self::Peer => "mimalloc+gc-arena+hashbrown",
        }
    }

    /// The allocator under it.
    pub const fn allocator(self) -> Choice {
        match self {
            Self::Ours => Choice::Bucketmask,
            Self::Peer => Choice::Mimalloc,
        }
    }
}

/// Runs `plan` over `texts` in a child process of the program `binary`.
///
/// # Errors
/// It could not be started, died, or broke the protocol.
pub fn run(
    binary: &Path,
    plan: &Plan,
    texts: &[String],
    progress: impl FnMut(u64),
) -> Result<Account, Error> {
    let fail = |why: String| Error::Child { engine: plan.side.name().into(), why };
    let mut child = interrupt::apart(&mut Command::new(binary))
        .arg(SUBCOMMAND)
        .env(VARIABLE, plan.side.allocator().name())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| fail(format!("cannot start {}: {error}", binary.display())))?;
    let minded = interrupt::mind(&child);
    let (heard, last_words, status) = converse(&mut child, plan, texts, progress);
    drop(minded);
    match (heard, status) {
        (Ok(account), Ok(status)) if status.success() => Ok(account),
        (heard, status) => {
            let mut why = heard.err().map_or_else(String::new, |error| error.to_string());
            why += &status.map_or_else(|error| format!("; {error}"), |status| format!("; {status}"));
            if !last_words.trim().is_empty() {
                why = format!("{why}; its last words: {}", last_words.trim());
            }
            Err(fail(why.trim_start_matches("; ").to_owned()))
        }
    }
}

type Heard = Result<Account, protocol::ProtocolError>;

fn converse(
    child: &mut Child,
    plan: &Plan,
    texts: &[String],
    progress: impl FnMut(u64),
) -> (Heard, String, std::io::Result<ExitStatus>) {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    thread::scope(|scope| {
        // Both ends are served at once: a child that complains before it has read its plan must not block us.
        scope.spawn(move || {
            // A child that dies early breaks this pipe; its exit status tells more than the broken pipe.
            stdin.map(|mut stdin| protocol::send_plan(&mut stdin, plan, texts))
        });
        let words = scope.spawn(move || {
            let mut bytes = Vec::new();
            // What could be read up to an error is still worth showing.
            let _ = stderr.map(|mut stderr| stderr.read_to_end(&mut bytes));
            let tail = &bytes[bytes.len().saturating_sub(LAST_WORDS)..];
            String::from_utf8_lossy(tail).into_owned()
        });
        let heard = match stdout {
            Some(stdout) => protocol::listen(BufReader::new(stdout), plan.side, progress),
            None => Err(protocol::ProtocolError::Short(0)),
        };
        if heard.is_err() {
            // It may still run and never stop; it is ours, and what it has to say is lost.
            let _ = child.kill();
        }
        let status = child.wait();
        (heard, words.join().unwrap_or_default(), status)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::path::PathBuf;

    fn script(text: &str) -> (tempfile::TempDir, PathBuf) {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("program");
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        (dir, path)
    }

    fn error_of(text: &str) -> String {
        let (_dir, path) = script(text);
        let plan = Plan { side: Side::Peer, keeps: vec![100], cycles: 1, texts: 1000 };
        run(&path, &plan, &vec!["x".repeat(1000); 1000], |_| ()).unwrap_err().to_string()
    }

    #[test]
    fn a_child_that_dies_is_an_error_with_its_last_words() {
        let error = error_of("echo 'out of memory' >&2; exit 3");
        assert!(error.contains("mimalloc+gc-arena+hashbrown"), "{error}");
        assert!(error.contains("exit status: 3") && error.contains("out of memory"), "{error}");
    }

    #[test]
    fn a_child_that_babbles_is_killed() {
        let error = error_of("echo hello; exec sleep 1000");
        assert!(error.contains("line 1"), "{error}");
    }

    #[test]
    fn a_binary_that_is_not_there_is_an_error() {
        let plan = Plan { side: Side::Ours, keeps: vec![], cycles: 1, texts: 0 };
        let error = run(Path::new("/nowhere/at/all"), &plan, &[], |_| ()).unwrap_err();
        assert!(error.to_string().contains("/nowhere/at/all"), "{error}");
    }
}
