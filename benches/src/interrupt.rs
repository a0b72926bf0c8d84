//! What Ctrl-C, and the like, do to a command: what was finished is told and written, children are stopped, and the exit code says
//! which signal it was. `main` starts the watch in the process that a user started, nowhere else. Invariant: nothing is cut off
//! in the middle of an output; who measures asks [`check`] between samples, and who runs a command takes
//! [`Error::Interrupted`] for an end.

use std::io::{IsTerminal, stderr};
use std::process::{Child, Command};
use std::sync::atomic::AtomicI32;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::error::Error;

/// The first signal that asked for an end; 0 when none did.
static ASKED: AtomicI32 = AtomicI32::new(0);

/// Children that run, by process id.
static CHILDREN: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// What a shell adds to the number of the signal that ended a program.
const BY_SIGNAL: i32 = 128;

/// Stops waiting for an end of its own: the first signal ends the command after the sample under way, a second one at once.
///
/// # Errors
/// The system refuses the handlers or the thread that waits.
pub fn watch() -> std::io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let wait = move || {
        for signal in signals.forever() {
            // A bar may stand in this line.
            let clear = if stderr().is_terminal() { "\r\x1b[2K" } else { "" };
            let first = ASKED.load(Relaxed);
            if first != 0 {
                stop_all(&children());
                eprint!("{clear}");
                std::process::exit(BY_SIGNAL + first);
            }
            // Before the command knows, which may then end faster than this is said.
            eprintln!("{clear}stopping after this sample; once more stops at once");
            // Relaxed: a flag that guards no other memory, and this thread alone changes it.
            ASKED.store(signal, Relaxed);
            stop_all(&children());
        }
    };
    thread::Builder::new().name("signals".into()).spawn(wait)?;
    Ok(())
}

/// Whether the command was asked to end.
pub fn asked() -> bool {
    ASKED.load(Relaxed) != 0
}

/// Asked for between samples.
///
/// # Errors
/// [`Error::Interrupted`] once the command was asked to end.
pub fn check() -> Result<(), Error> {
    if asked() { Err(Error::Interrupted) } else { Ok(()) }
}

/// What a part of a command gave; none where it was interrupted, which also ends children that then seem to have failed.
///
/// # Errors
/// Those that are no interruption.
pub fn finished<T>(result: Result<T, Error>) -> Result<Option<T>, Error> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Error::Interrupted) => Ok(None),
        Err(Error::Child { .. }) if asked() => Ok(None),
        Err(error) => Err(error),
    }
}

/// The exit code of a command that was asked to end.
pub fn exit_code() -> Option<u8> {
    Some(ASKED.load(Relaxed))
        .filter(|&signal| signal != 0)
        .map(|signal| u8::try_from(BY_SIGNAL + signal).unwrap_or(u8::MAX))
}

fn children() -> MutexGuard<'static, Vec<Pid>> {
    CHILDREN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn stop_all(children: &[Pid]) {
    for &child in children {
        // One that has ended meanwhile is as good as stopped.
        let _ = kill_process(child, Signal::KILL);
    }
}

/// Puts a child where a terminal's signals do not reach it, so that it ends after its parent knows why.
pub fn apart(command: &mut Command) -> &mut Command {
    use std::os::unix::process::CommandExt;
    command.process_group(0)
}

/// Stops a child when the command is interrupted, for as long as this is held; to be dropped once it was waited for.
#[derive(Debug)]
pub struct Minded(Option<Pid>);

/// Minds a child.
pub fn mind(child: &Child) -> Minded {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let mut all = children();
    all.extend(pid);
    // The signal may have come between the child's start and this.
    if asked() {
        stop_all(&all);
    }
    Minded(pid)
}

impl Drop for Minded {
    fn drop(&mut self) {
        children().retain(|&child| Some(child) != self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_interruption_ends_in_peace() {
        assert_eq!(finished(Ok(7)).unwrap(), Some(7));
        assert_eq!(finished::<()>(Err(Error::Interrupted)).unwrap(), None);
        let failed = || Error::Child { engine: "sh".into(), why: "exit status: 1".into() };
        assert!(finished::<()>(Err(failed())).is_err(), "nobody asked for it");
        assert!(check().is_ok() && exit_code().is_none());
    }

    #[test]
    fn children_are_minded_while_they_run() {
        let mut child = apart(Command::new("sleep").arg("1000")).spawn().unwrap();
        let minded = mind(&child);
        let pid = minded.0.unwrap();
        assert!(children().contains(&pid));
        stop_all(&[pid]);
        assert!(!child.wait().unwrap().success());
        drop(minded);
        assert!(!children().contains(&pid));
    }
}
