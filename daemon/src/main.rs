//! The daemon's binary: arguments, settings, log, then [`pulseboardd::app`].
//!
//! Decides nothing but the exit code: 2 for the command line, the settings or the data directory,
//! 1 for what failed, 0 after an orderly stop. Prints `error: …` on stderr, one line.

use std::fmt::Display;
use std::io::Write as _;
use std::process::ExitCode;

use pulseboardd::app;
use pulseboardd::config::{self, Action, Given, Loaded};

mod logging;

fn main() -> ExitCode {
    let (given, action) = config::given();
    match action {
        Action::InitAuth => return init_auth(&given),
        Action::Health => return health(&given),
        Action::Run | Action::Check | Action::Print | Action::SetupStore => {}
    }
    let loaded = match config::load(&given) {
        Ok(loaded) => loaded,
        Err(error) => return refuse(&error),
    };
    if action == Action::Print {
        return say(&loaded.print());
    }
    if action == Action::SetupStore {
        return setup_store(&loaded);
    }
    let warning = match app::check(&loaded) {
        Ok(warning) => warning,
        Err(error) => return refuse(&error),
    };
    if action == Action::Check {
        if let Err(error) = app::check_files(&loaded) {
            return refuse(&error);
        }
        return say(&checked(&loaded, warning.as_deref()));
    }
    logging::start(&loaded.config.log);
    if let Some(warning) = warning {
        tracing::warn!("{warning}");
    }
    run(loaded)
}

fn init_auth(given: &Given) -> ExitCode {
    let loaded = match config::load_without_secrets(given) {
        Ok(loaded) => loaded,
        Err(error) => return refuse(&error),
    };
    match app::init_auth(&loaded) {
        Ok(text) => say(&text),
        Err(error) => fail(error.exit_code(), &error),
    }
}

fn health(given: &Given) -> ExitCode {
    // Whoever asks may not read the secrets, and need not.
    match config::load_without_secrets(given) {
        Ok(loaded) => match app::alive(loaded.config.server.bind) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(1, &error),
        },
        Err(error) => refuse(&error),
    }
}

fn setup_store(loaded: &Loaded) -> ExitCode {
    match block_on(app::setup_store(loaded)) {
        Ok(Ok(text)) => say(&text),
        Ok(Err(error)) => fail(error.exit_code(), &error),
        Err(error) => fail(1, &error),
    }
}

fn run(loaded: Loaded) -> ExitCode {
    match block_on(app::run(loaded)) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => fail(error.exit_code(), &error),
        Err(error) => fail(1, &error),
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> std::io::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(work);
    // What a server that went away still owes is not waited for.
    runtime.shutdown_background();
    Ok(done)
}

fn checked(loaded: &Loaded, warning: Option<&str>) -> String {
    let from = loaded.file.as_ref().map_or_else(
        || "no file, so built-in values, environment and flags".to_owned(),
        |path| path.display().to_string(),
    );
    let warning = warning.map_or_else(String::new, |warning| format!("warning: {warning}\n"));
    format!("The settings are valid ({from}). --print-config shows each.\n{warning}")
}

fn refuse(error: &dyn Display) -> ExitCode {
    fail(2, error)
}

fn fail(code: u8, error: &dyn Display) -> ExitCode {
    // One line, whatever a name in a file holds.
    let line = error.to_string().replace(char::is_control, " ");
    // Nothing is left to do when stderr is gone.
    let _ = writeln!(std::io::stderr(), "error: {line}");
    ExitCode::from(code)
}

fn say(text: &str) -> ExitCode {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
