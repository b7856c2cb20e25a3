//! `cargo xtask test`: everything that must hold before a change goes in.
//!
//! Fetches what the tests need, then runs every check to its end, whatever the one before it said,
//! and closes with `N passed, N failed`. What could not be run is said; with CI=true it is a failure.

use std::process::{Command, ExitCode};

use crate::run::{Steps, cargo, npm, plainly};
use crate::tools::Tools;
use crate::{packages, page, service};

/// Runs the checks.
pub(crate) fn run() -> anyhow::Result<ExitCode> {
    packages::need_compiler()?;
    let mut steps = Steps::new();

    steps.step("rust: format", || plainly(&mut cargo(&["fmt", "--all", "--check"])));

    // The page first: the daemon carries it in its binary.
    let node = packages::need_node();
    let mut page = false;
    match &node {
        Ok(()) if steps.step("page: packages", page::install) => {
            for (name, script) in [
                ("page: lint", "lint"),
                ("page: types", "types"),
                ("page: tests", "test"),
                ("page: build and size", "build"),
            ] {
                page = steps.step(name, || plainly(&mut npm(&["run", "--silent", script])));
            }
        }
        Ok(()) => {}
        Err(error) => steps.leave_out("page", &format!("{error:#}")),
    }

    let lint = ["clippy", "--quiet", "--workspace", "--all-targets", "--", "--deny", "warnings"];
    steps.step("rust: lint", || plainly(&mut cargo(&lint)));
    let built = steps.step("rust: build", || {
        plainly(&mut cargo(&["build", "--quiet", "--workspace", "--bins"]))
    });

    match packages::systemd_analyze() {
        Ok(program) if built => {
            steps.step("service: systemd units", || service::units(&program));
        }
        Ok(_) => steps.leave_out("service: systemd units", "the daemon was not built"),
        Err(error) => steps.leave_out("service: systemd units", &format!("{error:#}")),
    }
    match service::promtool() {
        Ok(program) => {
            steps.step("service: prometheus rules", || service::prometheus(&program));
        }
        Err(error) => steps.leave_out("service: prometheus rules", &format!("{error:#}")),
    }

    match service::nginx() {
        Ok(program) => {
            steps.step("service: nginx site", || service::proxy(&program));
        }
        Err(error) => steps.leave_out("service: nginx site", &format!("{error:#}")),
    }

    let tools = Tools::get(&mut steps);
    if let Some(haproxy) = tools.haproxy() {
        steps.step("service: haproxy", || service::balancer(haproxy));
    }
    steps.step("rust: tests", || plainly(tools.tell(&mut tests())));
    match packages::may_mount() {
        Ok(()) => {
            steps.step("rust: a full disk", || plainly(tools.tell(&mut full_disk())));
        }
        Err(error) => steps.pass_over("rust: a full disk", &format!("{error:#}")),
    }

    if !page || !built {
        steps.leave_out("page: in a browser", "the page or the daemon was not built");
        return Ok(steps.close());
    }
    match packages::chromium() {
        Ok(chromium) => {
            let mut browser = npm(&["run", "--silent", "e2e"]);
            browser.env("CHROMIUM", chromium);
            steps.step("page: in a browser", || plainly(tools.tell(&mut browser)));
        }
        Err(error) => steps.leave_out("page: in a browser", &format!("{error:#}")),
    }
    Ok(steps.close())
}

/// The workspace's tests: one process each where nextest is there.
fn tests() -> Command {
    let mut nextest = cargo(&["nextest", "--version"]);
    if nextest.output().is_ok_and(|output| output.status.success()) {
        let all = ["--config-file", ".config/nextest-all.toml"];
        return cargo(&[&["nextest", "run", "--workspace", "--no-fail-fast"], &all[..]].concat());
    }
    println!("cargo-nextest is not installed: cargo test runs the tests instead");
    cargo(&["test", "--quiet", "--workspace", "--no-fail-fast"])
}

/// The scenario in which MongoDB has no room, on a file system of its own.
fn full_disk() -> Command {
    let scenario = ["--test", "faults", "mongodb_has_no_room", "--", "--ignored", "--exact"];
    cargo(&[&["test", "--quiet", "--workspace"], &scenario[..]].concat())
}
