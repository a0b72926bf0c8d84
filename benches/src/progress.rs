//! Progress on standard error. Owned by the command that works. Invariant: a bar on a terminal, plain lines elsewhere,
//! no colours where `NO_COLOR` is set; standard output stays free for results.

use std::borrow::Cow;
use std::io::{IsTerminal, stderr};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Shows how far a command has come.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    plain: bool,
}

impl Progress {
    /// Starts a bar of `total` units.
    pub fn new(total: u64) -> Self {
        let plain = !stderr().is_terminal();
        let target = if plain { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(Some(total), target);
        let colour = if std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) {
            "{bar:30}"
        } else {
            "{bar:30.cyan/blue}"
        };
        let template = format!("{{elapsed:>4}} {colour} {{percent:>3}} % {{msg}}");
        if let Ok(style) = ProgressStyle::with_template(&template) {
            bar.set_style(style.progress_chars("=> "));
        }
        Self { bar, plain }
    }

    /// Names what comes next; a plain line where there is no terminal.
    pub fn stage(&self, name: impl Into<Cow<'static, str>>) {
        let name = name.into();
        if self.plain {
            eprintln!("{name}");
        }
        self.bar.set_message(name);
    }

    /// Moves the bar to an absolute position.
    pub fn reach(&self, position: u64) {
        self.bar.set_position(position);
    }

    /// Moves the bar on by `units`.
    pub fn advance(&self, units: u64) {
        self.bar.inc(units);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
