//! Running programs: as steps that are announced, timed and counted, or plainly.
//!
//! A failed step does not end the run; the closing summary lists it. Used by every command.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::workspace;

/// `cargo` as the one that runs us.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    command(program, arguments, &workspace::root())
}

/// `npm` in the browser dashboard's folder.
pub(crate) fn npm(arguments: &[&str]) -> Command {
    command("npm", arguments, &workspace::web())
}

pub(crate) fn command(program: impl AsRef<OsStr>, arguments: &[&str], folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder);
    command
}

/// Runs a program to its end; its failure is ours.
pub(crate) fn plainly(command: &mut Command) -> anyhow::Result<()> {
    let shown = shown(command);
    let status = command.status().with_context(|| format!("{shown} could not be started"))?;
    if !status.success() {
        bail!("{shown} failed ({status})");
    }
    Ok(())
}

/// The command as one would type it.
fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let arguments = command.get_args().map(OsStr::to_string_lossy);
    std::iter::once(program.to_string_lossy()).chain(arguments).collect::<Vec<_>>().join(" ")
}

enum Outcome {
    Passed,
    Failed(String),
    Skipped(String),
}

/// The steps of a run and how they ended.
pub(crate) struct Steps {
    done: Vec<(String, Outcome, Duration)>,
}

impl Steps {
    pub(crate) fn new() -> Self {
        Self { done: Vec::new() }
    }

    /// Announces a step, runs it, and keeps how it ended.
    pub(crate) fn step(&mut self, name: &str, work: impl FnOnce() -> anyhow::Result<()>) -> bool {
        println!("\n── {name}");
        let started = now();
        let outcome = match work() {
            Ok(()) => Outcome::Passed,
            Err(error) => {
                println!("failed: {error:#}");
                Outcome::Failed(format!("{error:#}"))
            }
        };
        let passed = matches!(outcome, Outcome::Passed);
        self.done.push((name.to_owned(), outcome, started.elapsed()));
        passed
    }

    /// Leaves a step out and says so; where everything must run that is a failure.
    pub(crate) fn leave_out(&mut self, name: &str, why: &str) {
        eprintln!("\n── {name}\nnot run: {why}");
        let outcome = if workspace::is_ci() {
            Outcome::Failed(format!("not run: {why}"))
        } else {
            Outcome::Skipped(why.to_owned())
        };
        self.done.push((name.to_owned(), outcome, Duration::ZERO));
    }

    /// Leaves out a step that the machine's owner forbids, and says so; nothing could be fetched to
    /// change that, so it is no failure anywhere.
    pub(crate) fn pass_over(&mut self, name: &str, why: &str) {
        eprintln!("\n── {name}\nnot run: {why}");
        self.done.push((name.to_owned(), Outcome::Skipped(why.to_owned()), Duration::ZERO));
    }

    /// Whether nothing failed or was left out so far.
    pub(crate) fn all_ran(&self) -> bool {
        self.done.iter().all(|(_, outcome, _)| matches!(outcome, Outcome::Passed))
    }

    /// Prints each step with its time, and the closing line `N passed, N failed`.
    pub(crate) fn close(self) -> ExitCode {
        println!("\n── summary");
        let (mut passed, mut failed, mut skipped) = (0, 0, 0);
        for (name, outcome, took) in &self.done {
            let (sign, word, why) = match outcome {
                Outcome::Passed => ("✓", "passed", ""),
                Outcome::Failed(why) => ("✗", "FAILED", why.as_str()),
                Outcome::Skipped(why) => ("–", "not run", why.as_str()),
            };
            match outcome {
                Outcome::Passed => passed += 1,
                Outcome::Failed(_) => failed += 1,
                Outcome::Skipped(_) => skipped += 1,
            }
            println!("{sign} {name:44} {word:8} {:6.1} s  {why}", took.as_secs_f64());
        }
        let skipped = match skipped {
            0 => String::new(),
            skipped => format!(", {skipped} not run"),
        };
        println!("\n{passed} passed, {failed} failed{skipped}");
        if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

/// The time, for how long something took.
#[allow(
    clippy::disallowed_methods,
    reason = "steps are timed, and the clock module is the daemon's"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}
