//! A program that is asked line by line: one request, one answer. Its owner starts it, and ends it by dropping the
//! dialogue. Invariant: a program that breaks off or says something else is an error with its request, and none outlives its
//! owner.

use std::cell::RefCell;
use std::fmt::Display;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::error::Error;
use crate::interrupt::{self, Minded};

/// A running program.
#[derive(Debug)]
pub struct Dialogue {
    name: String,
    talk: RefCell<Talk>,
}

/// Both ends of the program.
#[derive(Debug)]
struct Talk {
    child: Child,
    _minded: Minded,
    // None once the program is told to end.
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

/// The error of a program that does not do what it should.
pub fn fail(engine: &str, why: &dyn Display) -> Error {
    Error::Child { engine: engine.into(), why: why.to_string() }
}

/// Numbers that count something.
#[expect(clippy::cast_sign_loss, reason = "counts are not negative, and a cast saturates")]
pub fn counts<const COUNT: usize>(numbers: [f64; COUNT]) -> [u64; COUNT] {
    numbers.map(|number| number as u64)
}

impl Dialogue {
    /// Starts a program; errors call it `name`.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(name: &str, program: &mut Command) -> Result<Self, Error> {
        let piped = interrupt::apart(program).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = piped.spawn().map_err(|error| fail(name, &error))?;
        let minded = interrupt::mind(&child);
        let requests = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().ok_or_else(|| fail(name, &"no standard output"))?);
        Ok(Self { name: name.into(), talk: RefCell::new(Talk { child, _minded: minded, requests, answers }) })
    }

    /// What errors call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Calls it something else from now on.
    pub fn rename(&mut self, name: String) {
        self.name = name;
    }

    /// One request, one answer.
    ///
    /// # Errors
    /// The program has ended, or its pipe is broken.
    pub fn ask(&self, request: &str) -> Result<String, Error> {
        let mut talk = self.talk.borrow_mut();
        let broken = |error: std::io::Error| fail(&self.name, &format!("asked {request:?}: {error}"));
        if let Some(requests) = &mut talk.requests {
            writeln!(requests, "{request}").and_then(|()| requests.flush()).map_err(broken)?;
        }
        let mut answer = String::new();
        talk.answers.read_line(&mut answer).map_err(broken)?;
        if answer.is_empty() {
            return Err(fail(&self.name, &format!("it ended when asked {request:?}")));
        }
        Ok(answer.trim().to_owned())
    }

    /// One request, answered by numbers.
    ///
    /// # Errors
    /// As [`ask`](Self::ask); or the answer is something else.
    pub fn numbers(&self, request: &str) -> Result<Vec<f64>, Error> {
        let answer = self.ask(request)?;
        let numbers: Option<Vec<f64>> = answer.split(' ').map(|word| word.parse().ok()).collect();
        numbers
            .filter(|numbers| numbers.iter().all(|number| number.is_finite()))
            .ok_or_else(|| fail(&self.name, &format!("asked {request:?}, it said {answer:?}")))
    }

    /// One request, answered by exactly so many numbers.
    ///
    /// # Errors
    /// As [`numbers`](Self::numbers).
    pub fn exactly<const COUNT: usize>(&self, request: &str) -> Result<[f64; COUNT], Error> {
        let numbers = self.numbers(request)?;
        let said = numbers.len();
        <[f64; COUNT]>::try_from(numbers)
            .map_err(|_| fail(&self.name, &format!("asked {request:?}, it said {said} numbers")))
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        // It ends when it hears nothing more.
        self.requests = None;
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Dialogue {
        Dialogue::start("shell", Command::new("sh").arg("-c").arg(script)).unwrap()
    }

    #[test]
    fn requests_are_answered_in_turn() {
        let dialogue = shell("read first; echo 1.5 2; read second; echo \"$second\"; cat >/dev/null");
        assert_eq!(dialogue.numbers("one").unwrap(), [1.5, 2.0]);
        assert_eq!(dialogue.ask("some words").unwrap(), "some words");
    }

    #[test]
    fn programs_that_break_off_or_babble_are_errors() {
        let error = shell("exit 3").numbers("fill 10").unwrap_err().to_string();
        assert!(error.contains("fill 10") && error.contains("shell"), "{error}");
        let error = shell("read any; echo hello; cat >/dev/null").numbers("fill").unwrap_err().to_string();
        assert!(error.contains("hello"), "{error}");
        let error = shell("read any; echo 1 2; cat >/dev/null").exactly::<3>("fill").unwrap_err().to_string();
        assert!(error.contains("2 numbers"), "{error}");
        let nowhere = Dialogue::start("nobody", &mut Command::new("/nowhere/at/all"));
        assert!(nowhere.unwrap_err().to_string().contains("nobody"));
    }
}
