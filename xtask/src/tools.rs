//! The programs that tests use beside our own, and how tests learn where they are: Python with
//! clients that are not ours, real servers, jq.
//!
//! What cannot be had is left out and said; with CI=true that fails the run. Used by `test`, and by
//! `cargo xtask tools` for whoever runs some tests by hand.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::run::Steps;
use crate::{packages, servers, workspace};

/// `cargo xtask tools`: fetches them, and prints what `eval "$(cargo xtask tools)"` sets.
pub(crate) fn print() -> ExitCode {
    let mut steps = Steps::new();
    let tools = Tools::get(&mut steps);
    if let Some(python) = &tools.python {
        println!("export PATH='{}'", packages::path_with(python).to_string_lossy());
    }
    for (variable, program) in tools.variables() {
        println!("export {variable}='{}'", program.display());
    }
    if steps.all_ran() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Where each of them is; what is missing has been said.
#[derive(Default)]
pub(crate) struct Tools {
    /// The folder of a `python3` with the packages that tests import.
    python: Option<PathBuf>,
    mongod: Option<PathBuf>,
    redis_server: Option<PathBuf>,
    haproxy: Option<PathBuf>,
}

impl Tools {
    /// Finds or fetches all of them.
    pub(crate) fn get(steps: &mut Steps) -> Self {
        let mut tools = Self::default();
        let mut keep = |name: &str, found: anyhow::Result<PathBuf>| match found {
            Ok(path) => Some(path),
            Err(error) => {
                steps.leave_out(name, &format!("{error:#}"));
                None
            }
        };
        tools.python =
            keep("python: websockets, schemathesis, pymongo", packages::python(packages::TESTS));
        let python = tools.python.clone().unwrap_or_else(|| PathBuf::from("/usr/bin"));
        tools.mongod = keep("servers: mongod", servers::mongod(&python));
        tools.redis_server = keep("servers: redis-server", servers::redis_server());
        tools.haproxy = keep("servers: haproxy", servers::haproxy());
        keep("recipes: jq", packages::jq().map(|()| PathBuf::new()));
        tools
    }

    pub(crate) fn haproxy(&self) -> Option<&Path> {
        self.haproxy.as_deref()
    }

    /// Tells a command where the programs are, and puts our Python first on its PATH.
    pub(crate) fn tell<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        // The settings of whoever runs the tests are not the tests' settings.
        for (name, _) in env::vars_os() {
            let ours = name.to_str().is_some_and(|name| name.starts_with("PULSEBOARD_"));
            if ours && name != "PULSEBOARD_DATA" {
                command.env_remove(name);
            }
        }
        if let Some(python) = &self.python {
            command.env("PATH", packages::path_with(python));
        }
        command
            .envs(self.variables())
            .env("PULSEBOARDD", workspace::program("pulseboardd"))
            .env("PULSEBOARD", workspace::program("pulseboard"))
    }

    /// The variables that name real servers.
    fn variables(&self) -> impl Iterator<Item = (&'static str, &PathBuf)> {
        let all = [
            ("MONGOD", &self.mongod),
            ("REDIS_SERVER", &self.redis_server),
            ("HAPROXY", &self.haproxy),
        ];
        all.into_iter().filter_map(|(variable, program)| Some((variable, program.as_ref()?)))
    }
}
